//! How a session answers: its replies in order, each when it is due, as the rules will have it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    policy::Policy,
    rule::{Action, Mask, Step},
    transaction::Message,
};

/// What the connection has to do, at the earliest when it is due and never before the one ahead.
#[derive(Debug)]
pub struct Output {
    pub due: Instant,
    pub act: Act,
}

#[derive(Debug)]
pub enum Act {
    Send(Bytes),
    /// Counts a message whose 250 was delayed, as that goes out.
    Count(Box<Message>),
    /// Begins the TLS handshake.
    Secure,
    StopReading,
    Close,
    Reset,
}

/// What one input is handled with.
pub struct Turn<'a> {
    pub now: Instant,
    pub policy: &'a mut Policy,
    pub out: &'a mut Vec<Output>,
}

/// The usual answer to a step.
pub struct Usual {
    pub reply: Bytes,
    pub accepts: bool,
}

impl Usual {
    pub fn accept(reply: impl Into<Bytes>) -> Usual {
        Usual { reply: reply.into(), accepts: true }
    }

    pub fn refuse(reply: impl Into<Bytes>) -> Usual {
        Usual { reply: reply.into(), accepts: false }
    }
}

/// How the session goes on after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    Accepted,
    Refused,
    /// Accepted, and not to be counted.
    Forgotten,
    /// Accepted, and to be counted twice.
    Doubled,
}

/// The answering side of a session.
#[derive(Debug, Default)]
pub struct Voice {
    /// When the last delayed answer is due.
    busy_until: Option<Instant>,
    over: bool,
}

impl Voice {
    /// Nothing more will be said, whatever comes.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether an earlier answer is still held back.
    pub fn is_busy(&self, now: Instant) -> bool {
        self.busy_until.is_some_and(|until| until > now)
    }

    pub fn say(&mut self, turn: &mut Turn, reply: impl Into<Bytes>) {
        self.act(turn, Act::Send(reply.into()));
    }

    pub fn act(&mut self, turn: &mut Turn, act: Act) {
        self.over |= matches!(act, Act::Close | Act::Reset | Act::StopReading);
        turn.out.push(Output { due: self.due(turn.now), act });
    }

    pub fn close_with(&mut self, turn: &mut Turn, reply: impl Into<Bytes>) {
        self.say(turn, reply);
        self.act(turn, Act::Close);
    }

    /// Answers a step as usual, unless a rule wants it otherwise.
    pub fn answer(&mut self, turn: &mut Turn, step: Step, named: Mask, usual: Usual) -> Course {
        let Some(rule) = turn.policy.rules.choose(step, named) else {
            self.say(turn, usual.reply);
            return if usual.accepts { Course::Accepted } else { Course::Refused };
        };
        let (delay, action) = (rule.delay, rule.action.clone());
        self.hold(turn.now, delay);
        let accepted = if usual.accepts { Course::Accepted } else { Course::Refused };
        match action {
            Action::Reply(reply) => self.reply_by_rule(turn, reply, accepted),
            Action::Drop => self.end(turn, Act::Close),
            Action::Reset => self.end(turn, Act::Reset),
            Action::Stall => {
                self.over = true;
                Course::Refused
            }
            Action::StopReading => {
                self.say(turn, usual.reply);
                self.act(turn, Act::StopReading);
                accepted
            }
            Action::Usual | Action::Forget | Action::Twice => {
                self.say(turn, usual.reply);
                match action {
                    Action::Forget if usual.accepts => Course::Forgotten,
                    Action::Twice if usual.accepts => Course::Doubled,
                    _ => accepted,
                }
            }
        }
    }

    fn reply_by_rule(&mut self, turn: &mut Turn, reply: Bytes, accepted: Course) -> Course {
        let (is_positive, ends) = (reply.first() < Some(&b'4'), reply.starts_with(b"421"));
        self.say(turn, reply);
        if ends {
            self.act(turn, Act::Close);
        }
        if is_positive { accepted } else { Course::Refused }
    }

    fn end(&mut self, turn: &mut Turn, act: Act) -> Course {
        self.act(turn, act);
        Course::Refused
    }

    fn due(&self, now: Instant) -> Instant {
        self.busy_until.map_or(now, |until| until.max(now))
    }

    fn hold(&mut self, now: Instant, delay: Duration) {
        if !delay.is_zero() {
            self.busy_until = Some(self.due(now) + delay);
        }
    }
}
