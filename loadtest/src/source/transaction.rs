//! One message's way through a session: MAIL, RCPT, DATA or BDAT, and the answers to them.

use std::time::Instant;

use super::{
    reply::Line,
    schedule::Job,
    work::{Pipelining, Verdict, Work},
};

/// What the session allows its transactions.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// MAIL says BODY=8BITMIME.
    pub is_eight_bit: bool,
    /// The next envelope may go out with the end of a message.
    pub may_chain: bool,
}

/// A transaction by what is waited for.
#[derive(Debug)]
pub enum Transaction {
    Envelope(Envelope),
    Ending(Ending),
    /// DATA was taken although no recipient was, and got an empty message (RFC 2920 §3.1).
    Emptying(Envelope),
}

/// Answers to the envelope come.
#[derive(Debug)]
pub struct Envelope {
    job: Job,
    flight: Flight,
    /// Replies so far: the first is MAIL's, then one for each recipient, then DATA's.
    answers: u32,
    is_mail_taken: bool,
    accepted: u32,
    /// The first of the replies that will not have the message.
    refusal: Option<u16>,
    /// Where the latency counts from, when no due time says it.
    begun: Instant,
}

/// How much of the transaction is under way before its answers.
#[derive(Debug)]
enum Flight {
    /// One command.
    Step,
    /// The envelope, and DATA.
    Group,
    /// The envelope and the message: so many octets, by BDAT.
    Whole(u64),
}

/// The message has gone out whole; its answer comes.
#[derive(Debug)]
pub struct Ending {
    job: Job,
    since: Instant,
    octets: u64,
    accepted: u32,
    refusal: Option<u16>,
    /// Its envelope went out with the end of this one.
    next: Option<Envelope>,
}

/// Where a reply leads.
#[derive(Debug)]
pub enum Step {
    Waits(Transaction),
    Over {
        next: Option<Transaction>,
        /// The server must be told to forget what it has of the transaction.
        resets: bool,
    },
}

/// RFC 5321 §4.2.2: what DATA says when no recipient was taken.
const NO_VALID_RECIPIENTS: u16 = 554;

const DONE: Step = Step::Over { next: None, resets: false };
const UNDONE: Step = Step::Over { next: None, resets: true };

impl Transaction {
    pub fn begin(job: Job, now: Instant, terms: Terms, work: &mut Work) -> Transaction {
        let envelope = Envelope::begin(job, now, terms, work);
        if !matches!(envelope.flight, Flight::Whole(_)) {
            work.flush();
        }
        Transaction::Envelope(envelope)
    }

    /// The last line of a reply.
    pub fn answered(self, line: Line<'_>, now: Instant, terms: Terms, work: &mut Work) -> Step {
        match self {
            Transaction::Envelope(envelope) => envelope.answered(line, now, terms, work),
            Transaction::Ending(ending) => ending.answered(line, work),
            Transaction::Emptying(envelope) => {
                envelope.settle(work);
                DONE
            }
        }
    }

    /// The server said 421: it refuses what it was asked last, and all after it.
    pub fn dismissed(self, line: Line<'_>, work: &mut Work) {
        match self {
            Transaction::Envelope(mut envelope) => {
                envelope.refusal = Some(line.code);
                envelope.settle(work);
            }
            Transaction::Ending(ending) => {
                work.settle(ending.job, ending.since, Verdict::Refused(line.code));
                ending.give_back_next(work);
            }
            Transaction::Emptying(envelope) => envelope.settle(work),
        }
    }

    /// What the server was asked last, for a person.
    pub fn step(&self) -> &'static str {
        match self {
            Transaction::Envelope(_) => "envelope",
            Transaction::Ending(_) | Transaction::Emptying(_) => "end of message",
        }
    }

    /// The connection is gone.
    pub fn lost(self, work: &mut Work) {
        match self {
            Transaction::Envelope(envelope) => match envelope.flight {
                Flight::Whole(_) => work.settle(envelope.job, envelope.since(), Verdict::Unknown),
                Flight::Step | Flight::Group => work.schedule.give_back(envelope.job),
            },
            Transaction::Ending(ending) => {
                work.settle(ending.job, ending.since, Verdict::Unknown);
                ending.give_back_next(work);
            }
            Transaction::Emptying(envelope) => envelope.settle(work),
        }
    }
}

impl Envelope {
    /// Writes what may go out before an answer; the caller flushes it, but for a message by BDAT.
    fn begin(job: Job, now: Instant, terms: Terms, work: &mut Work) -> Envelope {
        work.write_mail(terms.is_eight_bit);
        let flight = match (work.manner.pipelining, work.manner.bdat) {
            (Pipelining::Off, _) => Flight::Step,
            (Pipelining::On | Pipelining::Chain, is_bdat) => {
                for index in 0..work.composer.recipients() {
                    work.write_recipient(job.sequence, index);
                }
                if is_bdat {
                    Flight::Whole(work.send_message(job.sequence))
                } else {
                    work.write(b"DATA\r\n");
                    Flight::Group
                }
            }
        };
        Envelope {
            job,
            flight,
            answers: 0,
            is_mail_taken: false,
            accepted: 0,
            refusal: None,
            begun: now,
        }
    }

    fn answered(mut self, line: Line<'_>, now: Instant, terms: Terms, work: &mut Work) -> Step {
        let recipients = work.composer.recipients();
        let asked = self.answers;
        self.answers += 1;
        if asked > recipients {
            return self.data_answered(line, now, terms, work);
        }
        let is_taken = line.code / 100 == 2;
        match asked {
            0 if is_taken => self.is_mail_taken = true,
            0 => self.refused("MAIL", line, work),
            // After a refused MAIL the rest of the group is refused too, and says nothing new.
            _ if !self.is_mail_taken => {}
            _ if is_taken => self.accepted += 1,
            _ => self.refused("RCPT", line, work),
        }
        match self.flight {
            Flight::Step => self.step(asked, recipients, now, work),
            Flight::Whole(octets) if asked == recipients => self.ending(octets, None),
            Flight::Group | Flight::Whole(_) => Step::Waits(Transaction::Envelope(self)),
        }
    }

    /// Sends the command after the `asked`-th one.
    fn step(mut self, asked: u32, recipients: u32, now: Instant, work: &mut Work) -> Step {
        if !self.is_mail_taken {
            self.settle(work);
            return DONE;
        }
        if asked < recipients {
            work.write_recipient(self.job.sequence, asked);
            work.flush();
        } else if self.accepted == 0 {
            self.settle(work);
            return UNDONE;
        } else if work.manner.bdat {
            let octets = work.send_message(self.job.sequence);
            self.begun = now;
            return self.ending(octets, None);
        } else {
            work.command("DATA");
        }
        Step::Waits(Transaction::Envelope(self))
    }

    fn data_answered(
        mut self,
        line: Line<'_>,
        now: Instant,
        terms: Terms,
        work: &mut Work,
    ) -> Step {
        if line.code != 354 {
            // Without a recipient it had to be refused, and says nothing new.
            if self.accepted > 0 {
                self.refusal = None;
                self.refused("DATA", line, work);
            }
            let resets = self.is_mail_taken;
            self.settle(work);
            return Step::Over { next: None, resets };
        }
        if self.accepted == 0 {
            work.command(".");
            return Step::Waits(Transaction::Emptying(self));
        }
        let octets = work.send_message(self.job.sequence);
        work.write(b".\r\n");
        let next = if terms.may_chain { work.schedule.take(now) } else { None };
        let next = next.map(|job| Envelope::begin(job, now, terms, work));
        work.flush();
        self.begun = now;
        self.ending(octets, next)
    }

    fn refused(&mut self, step: &str, line: Line<'_>, work: &mut Work) {
        self.refusal.get_or_insert(line.code);
        work.trouble(step, line);
    }

    /// Refused by what refused it first; 554 stands for a server that gave no reason.
    fn settle(self, work: &mut Work) {
        let verdict = Verdict::Refused(self.refusal.unwrap_or(NO_VALID_RECIPIENTS));
        work.settle(self.job, self.since(), verdict);
    }

    fn since(&self) -> Instant {
        self.job.due.unwrap_or(self.begun)
    }

    fn ending(self, octets: u64, next: Option<Envelope>) -> Step {
        let since = self.since();
        let Envelope { job, accepted, refusal, .. } = self;
        Step::Waits(Transaction::Ending(Ending { job, since, octets, accepted, refusal, next }))
    }
}

impl Ending {
    fn answered(self, line: Line<'_>, work: &mut Work) -> Step {
        let is_taken = line.code / 100 == 2;
        let verdict = match self.refusal {
            // By BDAT the message went out before its recipients were refused.
            Some(code) if self.accepted == 0 => Verdict::Refused(code),
            _ if is_taken => {
                Verdict::Acknowledged { recipients: self.accepted, octets: self.octets }
            }
            _ => {
                work.trouble("end of message", line);
                Verdict::Refused(line.code)
            }
        };
        work.settle(self.job, self.since, verdict);
        // RFC 3030 §2: what a refused BDAT leaves of the transaction is for RSET to clear.
        let resets = work.manner.bdat && !is_taken;
        Step::Over { next: self.next.map(Transaction::Envelope), resets }
    }

    fn give_back_next(self, work: &mut Work) {
        if let Some(next) = self.next {
            work.schedule.give_back(next.job);
        }
    }
}
