//! Cuts the octets of a connection into commands, literals and the messages of APPEND.
//!
//! The session calls [`Frames::next`] again and again until it says `None`: some frames come
//! without an octet more. What it does with each:
//!
//! - `Continue`: sends `+ OK` and goes on. The literal becomes part of its command.
//! - `Command` with `Request::Append`: the messages follow, each as `Message`, any number of
//!   `Octets`, `MessageEnd`; behind the last comes `AppendEnd`. A `Message` whose literal is
//!   synchronizing is answered by `+ OK` before `next` is called again.
//! - From that `Command` on and up to `AppendEnd` it may call [`Frames::refuse_message`] whenever
//!   it has decided against the whole APPEND: what the client sends of it regardless is read
//!   over, and the next frame is `AppendEnd`. The tagged reply waits for that.
//! - In place of `AppendEnd` may come `Bad`, `TooBig` or `Fatal`: nothing is appended then.
//! - `Line` comes where `Dialect::line` asks for it: behind AUTHENTICATE's continuation or IDLE's.
//! - Behind `Fatal` nothing comes any more.
//!
//! A line may end in LF alone, as people type it. That is no danger here as it is in SMTP: nobody
//! passes these octets on to another server that could see other lines in them.

mod appending;
mod gathering;
mod literal;
mod skipping;

use bytes::Bytes;

use self::{appending::Appending, gathering::Gathering, skipping::Skipping};
use super::{
    command::{Appended, Command},
    parse::Fault,
};
use crate::{limits::*, mail::mailbox::NameError};

/// Where a connection stands between its octets. Idle it is a few words and no memory besides.
#[derive(Default)]
pub struct Frames {
    state: State,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A whole command with its literals, or the start of an APPEND.
    Command(Command),
    /// The client waits with a literal: `+ OK`.
    Continue,
    /// One message of an APPEND. `binary`: it may hold NULs (literal8, RFC 3516 §4.4), or is
    /// in UTF-8 (RFC 6855 §4).
    Message {
        appended: Appended,
        size: u64,
        synchronizing: bool,
        binary: bool,
    },
    /// A slice of what was read.
    Octets(Bytes),
    MessageEnd,
    AppendEnd,
    /// One line as it is, without its end.
    Line(Bytes),
    /// Not understood: BAD.
    Bad {
        tag: Option<Bytes>,
        text: &'static str,
    },
    /// Understood, and more than we take: `NO [LIMIT]` or BAD.
    TooBig {
        tag: Option<Bytes>,
        text: &'static str,
    },
    /// `NO [BADCHARSET]`; `saving`: the result was to be kept as `$`.
    BadCharset {
        tag: Bytes,
        saving: bool,
    },
    /// No mailbox can have that name: `NO [CANNOT]`.
    BadName {
        tag: Bytes,
        error: NameError,
    },
    /// A special use that we do not have: `NO [USEATTR]` (RFC 6154 §3).
    BadUse {
        tag: Bytes,
    },
    /// Where the next command begins is not known or too far off: BYE.
    Fatal {
        text: &'static str,
    },
}

/// What the next octets may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dialect {
    /// Names are UTF-8 on the wire (RFC 6855 §3, RFC 9051 §5.1).
    pub utf8: bool,
    /// Before login limits are small.
    pub stranger: bool,
    /// The next frame is a `Line`.
    pub line: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Between,
    /// A command has begun.
    Gathering(Box<Gathering>),
    Appending(Box<Appending>),
    Skipping(Box<Skipping>),
    /// A raw line has begun.
    Line(Vec<u8>),
    /// Behind `Fatal`.
    Lost,
}

/// How far a step came.
enum Step {
    /// What was read is used up.
    Wait(State),
    Frame(Frame, State),
    /// Nothing to tell; on to the next state.
    On(State),
}

impl Frames {
    /// The next frame of `rest`, whose front is taken off. `None`: `rest` is used up.
    pub fn next(&mut self, rest: &mut Bytes, dialect: Dialect) -> Option<Frame> {
        loop {
            let step = match std::mem::take(&mut self.state) {
                State::Between if rest.is_empty() => Step::Wait(State::Between),
                State::Between if dialect.line => line(Vec::new(), rest, dialect),
                State::Between => Gathering::default().step(rest, dialect),
                State::Gathering(gathering) => (*gathering).step(rest, dialect),
                State::Appending(appending) => appending.step(rest, dialect),
                State::Skipping(skipping) => skipping.step(rest, dialect),
                State::Line(kept) => line(kept, rest, dialect),
                State::Lost => {
                    rest.clear();
                    Step::Wait(State::Lost)
                }
            };
            match step {
                Step::Wait(state) => {
                    self.state = state;
                    return None;
                }
                Step::Frame(frame, state) => {
                    self.state = state;
                    return Some(frame);
                }
                Step::On(state) => self.state = state,
            }
        }
    }

    /// The session will have none of this APPEND. A literal that waits for its `+ OK` does not get
    /// it and the command is over; others are read over in steps.
    pub fn refuse_message(&mut self) {
        self.state = match std::mem::take(&mut self.state) {
            State::Appending(appending) => State::Skipping(Box::new(appending.refused())),
            state => state,
        };
    }

    /// Octets held.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + match &self.state {
                State::Between | State::Lost => 0,
                State::Gathering(gathering) => gathering.memory(),
                State::Appending(appending) => appending.memory(),
                State::Skipping(skipping) => skipping.memory(),
                State::Line(kept) => kept.capacity(),
            }
    }
}

impl Step {
    fn fatal(text: &'static str) -> Self {
        Step::Frame(Frame::Fatal { text }, State::Lost)
    }
}

impl Dialect {
    fn line_max(self) -> usize {
        if self.stranger { IMAP_COMMAND_STRANGER_MAX } else { IMAP_LINE_MAX }
    }

    fn command_max(self) -> usize {
        if self.stranger { IMAP_COMMAND_STRANGER_MAX } else { IMAP_COMMAND_MAX }
    }

    fn skip_max(self) -> u64 {
        if self.stranger { IMAP_SKIP_STRANGER_MAX } else { IMAP_SKIP_MAX }
    }
}

impl Fault {
    fn frame(self, tag: Option<Bytes>) -> Frame {
        match (self, tag) {
            (Fault::Bad(text), tag) => Frame::Bad { tag, text },
            (Fault::TooBig(text), tag) => Frame::TooBig { tag, text },
            (Fault::Charset { saving }, Some(tag)) => Frame::BadCharset { tag, saving },
            (Fault::Name(error), Some(tag)) => Frame::BadName { tag, error },
            (Fault::Use, Some(tag)) => Frame::BadUse { tag },
            (_, tag) => Frame::Bad { tag, text: "the command has no tag" },
        }
    }
}

/// A raw line, where it lies if it lies there whole.
fn line(mut kept: Vec<u8>, rest: &mut Bytes, dialect: Dialect) -> Step {
    let end = memchr::memchr(b'\n', rest);
    let taken = rest.split_to(end.map_or(rest.len(), |end| end + 1));
    if kept.len() + taken.len() > dialect.line_max() {
        return Step::fatal("that line is too long");
    }
    let mut line = if kept.is_empty() && end.is_some() {
        taken
    } else {
        kept.extend_from_slice(&taken);
        if end.is_none() {
            return Step::Wait(State::Line(kept));
        }
        Bytes::from(kept)
    };
    let text = line.strip_suffix(b"\n").unwrap_or(&line);
    line.truncate(text.strip_suffix(b"\r").unwrap_or(text).len());
    Step::Frame(Frame::Line(line), State::Between)
}

#[cfg(test)]
mod tests;
