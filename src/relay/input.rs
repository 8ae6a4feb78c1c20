//! Everything that can happen to the relay: a closed list.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::{
    mail::{
        Parcel,
        mailbox::{Done, MailboxId, Verdict},
    },
    store::{Change, Loaded, StoreError},
};

/// A connection, inbound or outbound; the shell hands them out and never uses one twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId {
    /// Dense: below the most connections open at one time.
    pub slot: u32,
    /// Tells this use of the slot from every other.
    pub generation: u32,
}

/// Ties an answer to its question. The relay hands them out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

#[derive(Debug)]
pub enum Input {
    /// A client has connected to listener number `listener` of the configuration. `of_client`:
    /// connections its address has open now on all cores, this one included.
    Accepted { connection: ConnectionId, listener: u16, remote: SocketAddr, of_client: usize },
    /// The answer to `Output::Connect`.
    Connected { ticket: Ticket, result: Result<ConnectionId, Trouble> },
    /// The answer to `Output::Receive`: at least one octet; the end of the stream is `Closed`.
    Received { connection: ConnectionId, bytes: Bytes },
    /// All pieces of the sends that asked for it are with the kernel.
    Sent { connection: ConnectionId },
    /// The peer has closed or the connection failed. The last input of this connection; its id
    /// may not be used any more.
    Closed { connection: ConnectionId, trouble: Trouble },
    /// The answer to `Output::Query`.
    Answer { ticket: Ticket, result: Result<Bytes, Trouble> },
    /// The answer to `Output::Store`: it is on stable storage, or nothing of it is. The change
    /// comes back so that its memory is freed by the thread that took it, which costs less.
    Stored { ticket: Ticket, result: Result<Done, StoreError>, change: Change },
    /// The answer to `Output::Load`.
    Loaded { ticket: Ticket, loaded: Loaded },
    /// The answer to `Output::Authenticate`.
    Authenticated { ticket: Ticket, verdict: Verdict },
    /// Another core found that this parcel's destination is ours.
    Assigned { parcel: Box<Parcel> },
    /// Something in a mailbox that is watched has changed, and is on stable storage.
    MailboxChanged { mailbox: MailboxId },
    /// How much room the store has: told at start and at every change.
    Space(Space),
    /// Finish: refuse new sessions, end open transactions, stop. Answered by `Output::Drained`.
    Drain,
    /// The instant that `next_wake` named has come.
    Wake,
}

/// What the store's room allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Octets that may still be accepted before the floor is reached.
    pub free: u64,
}

/// Why a connection or an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    #[error("lost connection")]
    Ended,
    #[error("Connection reset by peer")]
    Reset,
    #[error("Connection refused")]
    Refused,
    #[error("Connection timed out")]
    TimedOut,
    #[error("No route to host")]
    Unreachable,
    #[error("{0} is no address of this machine")]
    SourceAddress(IpAddr),
    #[error("too many open files")]
    Descriptors,
    #[error("system error {0}")]
    System(i32),
}
