//! Everything the relay can ask for: a closed list.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    Event,
    input::{ConnectionId, Ticket},
};
use crate::{
    mail::{
        Parcel,
        mailbox::{MailboxId, ModSeq},
    },
    store::{Change, Load},
    time::Duration,
};

/// What is sent at once, in order.
pub type Pieces = SmallVec<[Bytes; 4]>;

#[derive(Debug)]
pub enum Output {
    /// Read once, up to `room` octets. At most one read of a connection is asked for at a time:
    /// not asking is how a peer is made to wait.
    Receive {
        connection: ConnectionId,
        room: usize,
    },
    /// Send behind what is being sent. `Input::Sent` follows when `report` is set.
    Send {
        connection: ConnectionId,
        pieces: Pieces,
        report: bool,
    },
    /// Close when all is sent. No input of this connection follows.
    Close {
        connection: ConnectionId,
    },
    /// Drop the connection at once, with what is still to be sent. No input of it follows.
    Abort {
        connection: ConnectionId,
    },
    Connect {
        ticket: Ticket,
        remote: SocketAddr,
        source: Option<IpAddr>,
        timeout: Duration,
    },
    /// One DNS exchange, from a new port.
    Query {
        ticket: Ticket,
        server: SocketAddr,
        message: Bytes,
        transport: Transport,
        timeout: Duration,
    },
    Store {
        ticket: Ticket,
        change: Change,
    },
    Load {
        ticket: Ticket,
        load: Load,
    },
    /// Judge a login, beside the ring. `hash` is that of the user's password; `None`: there is no
    /// such user, which takes as long to find.
    Authenticate {
        ticket: Ticket,
        client: IpAddr,
        user: Bytes,
        password: Bytes,
        hash: Option<Bytes>,
    },
    /// Hand a parcel to the core that owns its destination.
    Assign {
        core: u16,
        parcel: Box<Parcel>,
    },
    /// Sessions of this core have a mailbox selected, and all have been told what happened in it
    /// up to `told`; `None`: none has it any more. `Input::MailboxChanged` follows what happens.
    Watch {
        mailbox: MailboxId,
        told: Option<ModSeq>,
    },
    /// For the log and the counters.
    Note(Box<Event>),
    /// Draining is done: nothing is open and nothing unsaid.
    Drained,
}

/// How a DNS message travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    Datagram,
    /// RFC 7766: TCP, with two octets of length before each message.
    Stream,
}

/// Where `Relay::handle` leaves its outputs; the shell drains it before the next input.
pub type Outbox = Vec<Output>;
