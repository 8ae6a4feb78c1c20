//! The simulated network: connections with latency and small kernels at both ends, that are cut
//! anywhere, reset, closed by halves, or fall silent.

use std::{collections::VecDeque, net::SocketAddr};

use bytes::{Bytes, BytesMut};

use crate::{
    client::{Client, Draft},
    collector::Collector,
    device::Device,
    peer::Peer,
    relay::{ConnectionId, Trouble},
    time::{Duration, Instant},
};

/// How an outside end leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parting {
    Close,
    Reset,
    /// Nothing comes from it any more, and nothing tells.
    Vanish,
}

/// What a step of an outside end wants done.
#[derive(Default)]
pub struct Moves {
    /// Octets ever put before this step.
    put: u64,
    pub sends: Vec<(Duration, Bytes)>,
    pub parting: Option<Parting>,
    pub stops_reading: bool,
    /// Messages to be sent another time.
    pub again: Vec<Draft>,
}

impl Moves {
    pub fn after(put: u64) -> Moves {
        Moves { put, ..Moves::default() }
    }

    pub fn send(&mut self, delay: Duration, octets: &[u8]) {
        if self.parting.is_none() && !octets.is_empty() {
            self.sends.push((delay, Bytes::copy_from_slice(octets)));
        }
    }

    pub fn part(&mut self, parting: Parting) {
        self.parting.get_or_insert(parting);
    }

    pub fn stop_reading(&mut self) {
        self.stops_reading = true;
    }

    pub fn again(&mut self, draft: Draft) {
        self.again.push(draft);
    }

    /// The octet that ends the next `octets` to be sent, counted from the connection's first.
    pub fn mark_after(&self, octets: usize) -> u64 {
        let sent: usize = self.sends.iter().map(|(_, octets)| octets.len()).sum();
        self.put + (sent + octets) as u64
    }
}

/// Who is at the outside end.
pub enum Outside {
    Client(Box<Client>),
    Peer(Box<Peer>),
    Device(Box<Device>),
    Collector(Box<Collector>),
    /// It has left, and was taken along.
    Nobody,
}

/// One thing on its way through one direction.
#[derive(Debug)]
pub enum Flight {
    Octets(Bytes),
    End(Trouble),
}

/// One direction. What is put in arrives in order.
#[derive(Default)]
pub struct Pipe {
    pub flying: VecDeque<Flight>,
    /// When the last of it arrives.
    latest: Instant,
}

impl Pipe {
    /// When the next thing arrives that is put in at `now` and takes `delay`.
    pub fn arrival(&mut self, now: Instant, delay: Duration) -> Instant {
        self.latest = self.latest.max(now + delay);
        self.latest
    }
}

/// How the relay's socket ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seat {
    Taken,
    /// The relay has said close: what is queued is still sent.
    Leaving,
    /// The relay knows nothing of it any more.
    Left,
}

/// One connection. The relay's end is a socket as the shell keeps it.
pub struct Link {
    pub core: u16,
    pub id: ConnectionId,
    pub remote: SocketAddr,
    pub outside: Outside,
    pub seat: Seat,
    /// The relay has asked for a read of so many octets.
    pub room: Option<usize>,
    /// Here, and not read.
    pub arrived: BytesMut,
    /// What ends the stream behind `arrived`.
    pub end: Option<Trouble>,
    /// A send was tried after the end.
    pub broken: bool,
    /// To be sent by the relay's kernel when it has room.
    pub queue: VecDeque<Bytes>,
    pub queued: u64,
    pub sent: u64,
    /// Octets after which the relay wants to be told.
    pub reports: VecDeque<u64>,
    /// Octets under way to the outside, or there and unread.
    pub unread: usize,
    /// Octets that the kernels take between the two.
    pub window: usize,
    pub outward: Pipe,
    pub inward: Pipe,
    /// The outside reads.
    pub reads: bool,
    /// The outside has left, or is gone in silence.
    pub parted: Option<Parting>,
    /// Octets the outside ever put in, and octets the relay has read of them.
    pub put: u64,
    pub heard: u64,
    /// The last time anything happened at the relay's end.
    pub active: Instant,
    /// The replies of the relay up to the last whole line.
    pub line: Vec<u8>,
}

impl Link {
    /// Its other end came to us.
    pub fn is_of_client(&self) -> bool {
        !matches!(self.outside, Outside::Peer(_))
    }

    /// The relay's socket has something for it.
    pub fn has_news(&self) -> bool {
        let told = self.reports.front().is_some_and(|mark| *mark <= self.sent);
        let ended = self.end.is_some() && (self.room.is_some() || self.broken);
        told || ended || self.room.is_some() && !self.arrived.is_empty()
    }

    /// Moves what the kernel has room for; what moved.
    pub fn pump(&mut self) -> Vec<Bytes> {
        let mut moved = Vec::new();
        while self.unread < self.window {
            let Some(mut piece) = self.queue.pop_front() else { break };
            let taken = piece.split_to(piece.len().min(self.window - self.unread));
            if !piece.is_empty() {
                self.queue.push_front(piece);
            }
            self.unread += taken.len();
            self.sent += taken.len() as u64;
            moved.push(taken);
        }
        moved
    }
}
