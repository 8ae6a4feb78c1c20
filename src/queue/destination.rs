//! One next hop: its part of the window, its connections, and whether it is down.

use std::collections::VecDeque;

use super::shaping::Shape;
use crate::{
    limits::{WINDOW_LOW, WINDOW_PER_DESTINATION},
    mail::{Class, DestinationKey, Parcel, Verdict},
    time::{Instant, Now},
};

/// A parcel in memory, ready for an attempt.
#[derive(Debug)]
pub struct Queued {
    pub parcel: Box<Parcel>,
    /// So many recipients, from the front, go to this next hop. All but always every one: routes
    /// may have changed since the parcel was cut, and the rest then waits for its own turn.
    pub here: usize,
    /// When the parcel came into memory.
    pub since: Now,
}

/// `C` names a connection.
#[derive(Debug)]
pub struct Destination<H, C> {
    pub hop: H,
    pub shape: Shape,
    /// Connections on which transactions are or may be made.
    pub open: usize,
    /// Attempts to open one.
    pub dialing: usize,
    /// Waiting for the resolver.
    pub resolving: bool,
    /// Open connections with nothing to do, the one idle for longest first.
    pub idle: Vec<C>,
    pub down: Option<Down>,
    /// While it has connections it gets no more until then: it refused one.
    pub enough_until: Option<Instant>,
    /// It waits for connections to be had.
    pub crowded_out: bool,
    sides: [VecDeque<Queued>; 2],
    turn: Class,
    /// Parts of the disk that wait for room here.
    pub(super) blocked: Vec<(DestinationKey, Class)>,
}

/// The next hop could not be reached: until then nothing is tried.
#[derive(Clone, Debug)]
pub struct Down {
    pub until: Instant,
    /// In a row.
    pub failures: u32,
    pub verdict: Verdict,
}

impl<H, C> Destination<H, C> {
    pub fn new(hop: H, shape: Shape) -> Self {
        Self {
            hop,
            shape,
            open: 0,
            dialing: 0,
            resolving: false,
            idle: Vec::new(),
            down: None,
            enough_until: None,
            crowded_out: false,
            sides: [VecDeque::new(), VecDeque::new()],
            turn: Class::Fresh,
            blocked: Vec::new(),
        }
    }

    /// Parcels waiting for a connection.
    pub fn ready(&self) -> usize {
        self.sides.iter().map(VecDeque::len).sum()
    }

    /// Another connection would help and is allowed.
    pub fn wants_connection(&self, now: Instant) -> bool {
        let have = self.open + self.dialing;
        let enough = have > 0 && self.enough_until.is_some_and(|until| now < until);
        !self.resolving
            && self.ready() > self.dialing
            && have < self.shape.connections_max
            && !enough
    }

    /// The next hop is down at `now`.
    pub fn is_down(&self, now: Instant) -> bool {
        self.down.as_ref().is_some_and(|down| now < down.until)
    }

    /// Nothing is lost by forgetting this destination.
    pub fn is_forgettable(&self, now: Instant) -> bool {
        self.ready() == 0
            && self.open + self.dialing == 0
            && !self.resolving
            && !self.crowded_out
            && self.blocked.is_empty()
            && !self.is_down(now)
    }

    pub(super) fn has_room(&self, class: Class) -> bool {
        self.sides[class as usize].len() < WINDOW_PER_DESTINATION
    }

    pub(super) fn is_low(&self, class: Class) -> bool {
        self.sides[class as usize].len() < WINDOW_LOW
    }

    pub(super) fn push(&mut self, queued: Queued) {
        self.sides[queued.parcel.due.class as usize].push_back(queued);
    }

    pub(super) fn push_front(&mut self, queued: Queued) {
        self.sides[queued.parcel.due.class as usize].push_front(queued);
    }

    /// New mail and deferred mail take turns, so that a backlog of one never holds up the other.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let (first, second) = match self.turn {
            Class::Fresh => (Class::Fresh, Class::Deferred),
            Class::Deferred => (Class::Deferred, Class::Fresh),
        };
        self.turn = second;
        let popped = self.sides[first as usize].pop_front();
        popped.or_else(|| self.sides[second as usize].pop_front())
    }
}
