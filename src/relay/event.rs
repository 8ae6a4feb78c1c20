//! What the relay tells the log and the counters. Field names are Postfix's, so that tools that
//! read its logs read ours.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::{
    mail::{Address, QueueId, Verdict},
    time::Duration,
};

#[derive(Clone, Debug)]
pub enum Event {
    /// A command was refused: `NOQUEUE: reject: RCPT from …`.
    Rejected {
        client: SocketAddr,
        helo: Bytes,
        /// `MAIL`, `RCPT`, `DATA`, …
        command: &'static str,
        /// The reply, without CRLF.
        reply: Bytes,
        from: Option<Bytes>,
        to: Option<Bytes>,
    },
    /// A client went away in the middle of a transaction, or kept us waiting for too long:
    /// `lost connection after DATA from …`.
    Lost { client: SocketAddr, after: &'static str, timed_out: bool },
    /// A user has logged in, by `imap` or `pop3`.
    LoggedIn { client: SocketAddr, protocol: &'static str, user: Bytes },
    /// No password was looked at: too many of this client were wrong, or too many wait.
    LoginPutOff { client: SocketAddr, protocol: &'static str },
    /// Nobody has, with this name.
    LoginFailed { client: SocketAddr, protocol: &'static str, user: Bytes },
    /// A message is on stable storage.
    Accepted {
        id: QueueId,
        /// `None`: a report of our own.
        client: Option<SocketAddr>,
        from: Option<Address>,
        /// Empty when the message has none.
        message_id: Bytes,
        size: u64,
        recipients: u32,
    },
    /// One recipient of one attempt.
    Attempt(Attempt),
    /// A report was accepted for delivery to the sender.
    Reported { id: QueueId, report: QueueId, kind: ReportKind },
    /// The message has left the queue.
    Removed { id: QueueId },
    /// A sentence for the operator.
    Notice(String),
    /// The same, where something is wrong.
    Warning(String),
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: QueueId,
    pub to: Address,
    pub via: Via,
    /// Since the message arrived.
    pub delay: Duration,
    /// Postfix's a/b/c/d: before the queue, in the queue, connecting, transmitting.
    pub delays: [Duration; 4],
    pub verdict: Verdict,
    pub status: AttemptStatus,
}

/// What an attempt came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Via {
    /// Nothing that would speak to us.
    Nobody,
    Host(RelayHost),
    /// The mailboxes of this very relay.
    Mailbox,
}

/// The host an attempt spoke to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayHost {
    pub name: Bytes,
    pub address: SocketAddr,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttemptStatus {
    Sent,
    Deferred,
    Bounced,
    Expired,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportKind {
    NonDelivery,
    Delay,
    Delivery,
}
