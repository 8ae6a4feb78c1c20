//! What the sessions of a core share: their manners, the messages to be sent, what they ask for.

use std::{sync::Arc, time::Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    SourceError,
    reply::Line,
    schedule::{Job, Schedule},
};
use crate::mail::{Composer, write_decimal};

/// Octets of commands and heads that are allocated at once.
const WIRE_BLOCK: usize = 64 * 1024;
/// What is free of it before a message is written: few messages need more.
const WIRE_LEAST: usize = 2 * 1024;
/// Characters of a reply's text that tell one trouble from another.
const REPLY_CHARACTERS_MAX: usize = 60;

/// How much goes out without waiting for an answer (RFC 2920).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pipelining {
    /// One command at a time
    Off,
    /// The envelope at once
    On,
    /// The next envelope together with the end of a message
    Chain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Security {
    None,
    /// STARTTLS after EHLO
    Starttls,
    /// TLS from the first octet, as on port 465
    Implicit,
}

/// How a session behaves.
#[derive(Debug)]
pub struct Manner {
    pub pipelining: Pipelining,
    pub bdat: bool,
    pub security: Security,
    /// The initial response of AUTH PLAIN (RFC 4616), in base64.
    pub plain: Option<String>,
    /// Messages, then the session ends and a new one begins.
    pub messages_per_session: u64,
    /// What EHLO names.
    pub name: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Acknowledged {
        recipients: u32,
        octets: u64,
    },
    Refused(u16),
    /// The connection was lost between the end of the message and its answer.
    Unknown,
}

/// What a session asks for.
#[derive(Debug)]
pub enum Action {
    Send(Bytes),
    /// The server waits for a TLS handshake.
    Secure,
    /// The greeting has come.
    Greeted,
    /// Nothing is due: the session can take a message later.
    Idle,
    Settled {
        job: Job,
        /// Where its latency counts from.
        since: Instant,
        verdict: Verdict,
    },
    Trouble(String),
    /// The session is over.
    Close(Parting),
    /// No session can do what was asked for.
    GiveUp(SourceError),
}

/// How a session parts from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// As agreed, by QUIT.
    Agreed,
    /// The server will not go on, or does not speak SMTP.
    Soured,
}

/// Passed to every session in turn.
#[derive(Debug)]
pub struct Work {
    pub manner: Arc<Manner>,
    pub composer: Arc<Composer>,
    pub schedule: Schedule,
    /// In the order in which they were asked.
    pub actions: Vec<Action>,
    wire: BytesMut,
}

impl Work {
    pub fn new(manner: Arc<Manner>, composer: Arc<Composer>, schedule: Schedule) -> Work {
        Work { manner, composer, schedule, actions: Vec::new(), wire: BytesMut::new() }
    }

    /// Adds a command, or a part of one, to what the next `flush` sends.
    pub fn write(&mut self, octets: &[u8]) {
        self.wire.put_slice(octets);
    }

    pub fn flush(&mut self) {
        let octets = self.wire.split().freeze();
        self.actions.push(Action::Send(octets));
    }

    /// Writes and sends one command.
    pub fn command(&mut self, command: &str) {
        self.write(command.as_bytes());
        self.write(b"\r\n");
        self.flush();
    }

    pub fn write_mail(&mut self, is_eight_bit: bool) {
        if self.wire.capacity() < WIRE_LEAST {
            self.wire.reserve(WIRE_BLOCK);
        }
        self.wire.put_slice(b"MAIL FROM:<");
        self.wire.put_slice(self.composer.sender().as_bytes());
        let end: &[u8] = if is_eight_bit { b"> BODY=8BITMIME\r\n" } else { b">\r\n" };
        self.wire.put_slice(end);
    }

    pub fn write_recipient(&mut self, sequence: u64, index: u32) {
        self.wire.put_slice(b"RCPT TO:<");
        self.composer.write_recipient(sequence, index, &mut self.wire);
        self.wire.put_slice(b">\r\n");
    }

    /// Sends what was written, and the message after it; answers the message's octets.
    pub fn send_message(&mut self, sequence: u64) -> u64 {
        let message = self.composer.message(sequence);
        if self.manner.bdat {
            self.wire.put_slice(b"BDAT ");
            write_decimal(message.size(), &mut self.wire);
            self.wire.put_slice(b" LAST\r\n");
        }
        let rest = message.write_head(&mut self.wire);
        let octets = message.size();
        self.flush();
        self.actions.push(Action::Send(rest));
        octets
    }

    pub fn trouble(&mut self, step: &str, line: Line<'_>) {
        let text = String::from_utf8_lossy(line.text);
        let text: String = text.chars().take(REPLY_CHARACTERS_MAX).collect();
        self.actions.push(Action::Trouble(format!("{step}: {} {text}", line.code)));
    }

    pub fn settle(&mut self, job: Job, since: Instant, verdict: Verdict) {
        self.schedule.settled();
        self.actions.push(Action::Settled { job, since, verdict });
    }
}
