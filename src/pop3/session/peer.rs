//! The peer of a session: what it sent and has yet to take, and what is counted against it.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{Context, Options, Steps};
use crate::{
    limits::{POP3_BACKLOG_MAX, POP3_LOGINS_MAX, POP3_VAIN_MAX},
    pop3::line::{Lines, TooLong},
};

/// What a session knows of its client from first to last.
#[derive(Debug)]
pub struct Peer {
    client: SocketAddr,
    lines: Lines,
    /// What was read and waits until the command before it is answered.
    rest: Bytes,
    /// Octets put out since all was taken.
    owed: usize,
    /// Commands before a login, and those behind it that were none.
    vain: u32,
    failed_logins: u32,
}

impl Peer {
    pub(super) fn greet(client: SocketAddr, cx: &Context<'_>, steps: &mut Steps) -> Self {
        // RFC 1939 §7: a greeting without a timestamp in angle brackets says that there is no APOP.
        steps.out.text(b"+OK ");
        steps.out.text(cx.options.hostname.as_bytes());
        steps.out.text(b" Ringmail POP3\r\n");
        let (lines, rest) = (Lines::default(), Bytes::new());
        Self { client, lines, rest, owed: 0, vain: 0, failed_logins: 0 }
    }

    /// Takes what was read. There is nothing left of the read before: `is_ready` said so.
    pub(super) fn receive(&mut self, bytes: Bytes) {
        if self.rest.is_empty() {
            self.rest = bytes;
        } else {
            self.rest = [&*self.rest, &*bytes].concat().into();
        }
    }

    /// The next line of what was read.
    pub(super) fn line<T>(&mut self, parse: impl FnOnce(&[u8]) -> T) -> Option<Result<T, TooLong>> {
        self.lines.next(&mut self.rest, parse)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }

    /// The client may be read from: all that it sent has been looked at, and it takes what it is
    /// sent.
    pub(super) fn is_ready(&self) -> bool {
        self.rest.is_empty() && self.owed < POP3_BACKLOG_MAX
    }

    /// The client does not take what it is sent, with what this step has put out.
    pub(super) fn is_behind(&self, steps: &Steps) -> bool {
        self.owed + steps.out.len() >= POP3_BACKLOG_MAX
    }

    pub(super) fn owes(&mut self, octets: usize) {
        self.owed += octets;
    }

    pub(super) fn has_taken_all(&mut self) {
        self.owed = 0;
    }

    /// Whether a password in clear text may come from this client.
    pub(super) fn may_log_in(&self, options: &Options) -> bool {
        options.plaintext_login || self.client.ip().to_canonical().is_loopback()
    }

    /// Counts a command before a login, or one that is none.
    pub(super) fn count(&mut self) {
        self.vain += 1;
    }

    pub(super) fn has_used_up_patience(&self) -> bool {
        self.vain >= POP3_VAIN_MAX
    }

    /// Whether it may try another time.
    pub(super) fn count_failed_login(&mut self) -> bool {
        self.failed_logins += 1;
        self.failed_logins < POP3_LOGINS_MAX
    }

    pub(super) fn forgive(&mut self) {
        (self.vain, self.failed_logins) = (0, 0);
    }
}
