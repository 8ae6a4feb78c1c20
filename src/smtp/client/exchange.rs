//! One transaction with the next hop, reply by reply: what each means, and what follows it.

use super::{
    Transaction,
    body::{Form, Handover},
    hello::Extensions,
    reply::{Reply, ReplyError},
    trouble::{During, Trouble, beyond_recipients_max, recipient_refused, said, unfit},
};
use crate::mail::Verdict;

/// A transaction on its way, with what has become of its recipients so far.
#[derive(Debug)]
pub(super) struct Exchange {
    pub transaction: Transaction,
    pub phase: Phase,
    pub form: Form,
    /// Of each recipient, in order; `None`: not known yet, and accepted once RCPT is answered.
    verdicts: Vec<Option<Verdict>>,
    /// RCPT is said for so many of the first recipients.
    pub asked: usize,
}

/// What the exchange waits for.
#[derive(Debug)]
pub(super) enum Phase {
    /// For its turn: nothing is said, the verdicts are known.
    Unfit,
    /// For the reply to the RSET that went ahead.
    Clear,
    Mail,
    /// For the reply to this recipient's RCPT.
    Rcpt(usize),
    Data,
    /// For us: the body is being handed over.
    Body(Handover),
    /// For the reply to the final dot or to BDAT LAST.
    End,
}

/// What follows a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    Wait,
    /// Without pipelining: say the next command.
    Mail,
    Rcpt(usize),
    Data,
    /// The body is wanted.
    Body,
    /// DATA was granted with nobody to send to.
    LoneDot,
    /// Everything is known. `open`: the host may still think itself within the transaction.
    Over {
        open: bool,
    },
}

impl Exchange {
    pub fn new(transaction: Transaction, offered: &Extensions) -> Self {
        let form = Form::of(&transaction.message, offered.chunking);
        let recipients = transaction.recipients.len();
        let asked = recipients.min(offered.recipients_max.unwrap_or(recipients));
        let mut verdicts = vec![None; recipients];
        let refusal = unfit(&transaction, offered);
        let phase = if refusal.is_some() { Phase::Unfit } else { Phase::Mail };
        if refusal.is_some() {
            verdicts.fill(refusal);
        } else if asked < recipients {
            verdicts[asked..].fill(Some(beyond_recipients_max(asked)));
        }
        Self { transaction, phase, form, verdicts, asked }
    }

    /// Takes the reply to what this exchange waits for. `pipelined`: all commands up to DATA
    /// were said at once, so that a reply is owed for each of them, whatever the others bring.
    pub fn hear(&mut self, reply: &Reply, pipelined: bool) -> Result<Turn, ReplyError> {
        match (&self.phase, reply.class()) {
            (Phase::Clear, _) => {
                self.phase = Phase::Mail;
                Ok(if pipelined { Turn::Wait } else { Turn::Mail })
            }
            (Phase::Mail, 2) => Ok(self.ask(0, pipelined)),
            (Phase::Mail, 4 | 5) => {
                self.settle(|| said(reply));
                Ok(if pipelined { self.ask(0, pipelined) } else { Turn::Over { open: false } })
            }
            (&Phase::Rcpt(at), 2) => Ok(self.ask(at + 1, pipelined)),
            (&Phase::Rcpt(at), 4 | 5) => {
                let others_accepted = self.verdicts[..at].iter().any(Option::is_none);
                self.verdicts[at].get_or_insert_with(|| recipient_refused(reply, others_accepted));
                Ok(self.ask(at + 1, pipelined))
            }
            (Phase::Data, 3) => Ok(self.granted()),
            (Phase::Data, 4 | 5) => {
                self.settle(|| said(reply));
                Ok(Turn::Over { open: true })
            }
            (Phase::End, 2 | 4 | 5) => {
                self.settle(|| said(reply));
                // RFC 3030 §2 leaves open what a refused chunk does to the transaction.
                Ok(Turn::Over { open: self.form == Form::Chunk && reply.class() != 2 })
            }
            _ => Err(ReplyError::OutOfPlace(reply.code)),
        }
    }

    /// Goes on to the next recipient, or past the last one.
    fn ask(&mut self, at: usize, pipelined: bool) -> Turn {
        if at < self.asked {
            self.phase = Phase::Rcpt(at);
            return if pipelined { Turn::Wait } else { Turn::Rcpt(at) };
        }
        match self.form {
            // RFC 3030 would let BDAT ride along with RCPT. It waits: the body is spared where
            // nobody is accepted, and DATA costs the same round trip.
            Form::Chunk if self.any_accepted() => self.granted(),
            Form::AsItLies | Form::Stuffed if pipelined => {
                self.phase = Phase::Data;
                Turn::Wait
            }
            Form::AsItLies | Form::Stuffed if self.any_accepted() => {
                self.phase = Phase::Data;
                Turn::Data
            }
            _ => Turn::Over { open: true },
        }
    }

    fn granted(&mut self) -> Turn {
        if self.any_accepted() {
            self.phase = Phase::Body(Handover::new(self.form, self.transaction.message.size));
            Turn::Body
        } else {
            // RFC 2920 §3.1: DATA may be granted though no RCPT was; a dot alone ends it.
            self.phase = Phase::End;
            Turn::LoneDot
        }
    }

    fn any_accepted(&self) -> bool {
        self.verdicts.iter().any(Option::is_none)
    }

    /// Gives a verdict to every recipient that has none.
    fn settle(&mut self, verdict: impl FnOnce() -> Verdict) {
        if self.any_accepted() {
            let verdict = verdict();
            for slot in self.verdicts.iter_mut().filter(|slot| slot.is_none()) {
                *slot = Some(verdict.clone());
            }
        }
    }

    /// The host has neither accepted nor refused anything of this transaction.
    pub fn is_unstarted(&self) -> bool {
        matches!(self.phase, Phase::Clear | Phase::Mail)
    }

    /// The transaction and its verdicts, the missing ones owed to `trouble`.
    pub fn broken(mut self, trouble: &Trouble<'_>) -> (Transaction, Vec<Verdict>) {
        let during = self.during();
        self.settle(|| trouble.verdict(during));
        self.over()
    }

    /// The transaction and its verdicts, which are all there.
    pub fn over(self) -> (Transaction, Vec<Verdict>) {
        (self.transaction, self.verdicts.into_iter().flatten().collect())
    }

    pub fn during(&self) -> During {
        match self.phase {
            Phase::Unfit | Phase::Clear | Phase::Mail => During::Mail,
            Phase::Rcpt(_) => During::Rcpt,
            Phase::Data => During::Data,
            Phase::Body(_) => During::Body,
            Phase::End => During::End,
        }
    }
}
