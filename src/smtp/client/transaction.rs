//! The client's session after the handshake: at most two transactions, one ahead of the other,
//! and the commands they say.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{
    Effect, End, Options, Steps, Transaction, Unfinished,
    body::Form,
    command,
    exchange::{Exchange, Phase, Turn},
    hello::Extensions,
    reply::{Reply, ReplyError},
    trouble::{During, Lost, Trouble},
};
use crate::{
    limits::{COMMANDS_ROOM, DATA_INITIATION_TIMEOUT, WRITE_TIMEOUT},
    time::Duration,
};

/// A last piece up to this long joins the commands behind it: one piece less to send.
const END_MAX: usize = b"\r\n.\r\n".len();

/// After the handshake.
#[derive(Debug)]
pub(super) struct Open {
    offered: Extensions,
    /// In the order they began; replies are for the first.
    exchanges: VecDeque<Exchange>,
    commands: BytesMut,
    /// Transactions settled on this connection.
    settled: usize,
    /// The host may think itself within a transaction that is over: RSET goes ahead of the next.
    unclean: bool,
    /// QUIT follows what is under way.
    pub leaving: bool,
}

impl Open {
    pub fn new(offered: Extensions) -> Self {
        Self {
            offered,
            exchanges: VecDeque::with_capacity(2),
            commands: BytesMut::new(),
            settled: 0,
            unclean: false,
            leaving: false,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// The host waits for more of a body.
    pub fn is_sending(&self) -> bool {
        self.exchanges.front().is_some_and(|first| matches!(first.phase, Phase::Body(_)))
    }

    /// RFC 2920 §3.1: behind the final dot, the next MAIL may ride along.
    pub fn may_begin(&self) -> bool {
        let room = match self.exchanges.front() {
            None => true,
            Some(first) => {
                self.offered.pipelining
                    && self.exchanges.len() == 1
                    && matches!(first.phase, Phase::End)
            }
        };
        let begun = self.settled + self.exchanges.len();
        room && !self.leaving && self.offered.transactions_max.is_none_or(|max| begun < max)
    }

    pub fn begin(&mut self, transaction: Transaction, steps: &mut Steps) {
        let mut exchange = Exchange::new(transaction, &self.offered);
        if matches!(exchange.phase, Phase::Unfit) {
            self.exchanges.push_back(exchange);
            // The verdicts of an older transaction come first.
            self.finish_unfit(steps);
            return;
        }
        self.commands.reserve(COMMANDS_ROOM);
        if steps.send.last().is_some_and(|last| last.len() <= END_MAX)
            && let Some(end) = steps.send.pop()
        {
            self.commands.extend_from_slice(&end);
        }
        let pipelined = self.offered.pipelining;
        let clear = std::mem::take(&mut self.unclean);
        if clear {
            self.commands.extend_from_slice(b"RSET\r\n");
            exchange.phase = Phase::Clear;
        }
        if pipelined || !clear {
            command::mail(&mut self.commands, &exchange.transaction, &self.offered);
        }
        if pipelined {
            for recipient in &exchange.transaction.recipients[..exchange.asked] {
                command::rcpt(&mut self.commands, recipient, &self.offered);
            }
            if exchange.form != Form::Chunk {
                self.commands.extend_from_slice(b"DATA\r\n");
            }
        }
        self.exchanges.push_back(exchange);
        self.say(steps);
    }

    /// Takes one reply; an error ends the session.
    pub fn reply(&mut self, reply: &Reply, steps: &mut Steps) -> Result<(), ReplyError> {
        let first = self.exchanges.front_mut().ok_or(ReplyError::OutOfPlace(reply.code))?;
        let turn = first.hear(reply, self.offered.pipelining)?;
        let transaction = &first.transaction;
        match turn {
            Turn::Wait => return Ok(()),
            Turn::Mail => command::mail(&mut self.commands, transaction, &self.offered),
            Turn::Rcpt(at) => {
                command::rcpt(&mut self.commands, &transaction.recipients[at], &self.offered);
            }
            Turn::Data => self.commands.extend_from_slice(b"DATA\r\n"),
            Turn::LoneDot => self.commands.extend_from_slice(b".\r\n"),
            Turn::Body => {
                if first.form == Form::Chunk {
                    // RFC 3030 §2: one chunk, its size known from the message's record.
                    let bdat = format!("BDAT {} LAST\r\n", transaction.message.size);
                    self.commands.extend_from_slice(bdat.as_bytes());
                }
                steps.effects.push(Effect::Body);
            }
            Turn::Over { open } => {
                // One that has begun behind this one was preceded by RSET if need be.
                let followed =
                    self.exchanges.get(1).is_some_and(|next| !matches!(next.phase, Phase::Unfit));
                self.unclean = open && !followed;
                self.finish(steps);
                self.finish_unfit(steps);
            }
        }
        self.say(steps);
        Ok(())
    }

    pub fn body(
        &mut self,
        pieces: impl IntoIterator<Item = Bytes>,
        last: bool,
        steps: &mut Steps,
    ) -> Result<(), Lost> {
        let Some(first) = self.exchanges.front_mut() else { return Ok(()) };
        let Phase::Body(handover) = &mut first.phase else { return Ok(()) };
        handover.take(pieces, last, steps).map_err(|_| Lost::Body)?;
        if last {
            self.unclean = first.form == Form::Chunk;
            first.phase = Phase::End;
        }
        Ok(())
    }

    /// RFC 5321 §4.5.3.2.
    pub fn timeout(&self, options: &Options) -> Option<Duration> {
        Some(match self.exchanges.front()?.during() {
            During::Greeting | During::Hello | During::Mail | During::Rcpt => {
                options.command_timeout
            }
            During::Data => options.command_timeout.min(DATA_INITIATION_TIMEOUT),
            During::Body => options.data_timeout.min(WRITE_TIMEOUT),
            During::End => options.data_timeout,
        })
    }

    /// The end of the session before its time.
    pub fn end(self, trouble: &Trouble<'_>) -> End {
        let mut end = End::default();
        let mut progress = self.settled > 0;
        for exchange in self.exchanges {
            if exchange.is_unstarted() {
                // Where the connection has not settled a single transaction, another one to this
                // host would fare no better.
                end.host = (!progress).then(|| trouble.verdict(During::Mail));
                end.unfinished.push(Unfinished::Unstarted(exchange.transaction));
            } else {
                progress = true;
                let (transaction, verdicts) = exchange.broken(trouble);
                let dsn_passed = self.offered.dsn;
                end.unfinished.push(Unfinished::Settled { transaction, verdicts, dsn_passed });
            }
        }
        end
    }

    fn finish_unfit(&mut self, steps: &mut Steps) {
        while self.exchanges.front().is_some_and(|first| matches!(first.phase, Phase::Unfit)) {
            self.finish(steps);
        }
    }

    fn finish(&mut self, steps: &mut Steps) {
        if let Some(first) = self.exchanges.pop_front() {
            self.settled += 1;
            let (transaction, verdicts) = first.over();
            let dsn_passed = self.offered.dsn;
            steps.effects.push(Effect::Done { transaction, verdicts, dsn_passed });
        }
    }

    /// Sends the commands written. When all earlier ones are gone, their room is used again.
    fn say(&mut self, steps: &mut Steps) {
        if !self.commands.is_empty() {
            steps.send.push(self.commands.split().freeze());
        }
    }
}
