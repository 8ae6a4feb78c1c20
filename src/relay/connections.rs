//! The connections of a core, by slot, with one deadline each.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{inbound::Inbound, input::ConnectionId, outbound::Outbound, reader::Reader};
use crate::time::Instant;

/// Who is at the other end.
#[derive(Default)]
pub(super) enum Peer {
    #[default]
    Nobody,
    /// A client.
    Inbound(Box<Inbound>),
    /// A client that reads its mail.
    Reader(Box<Reader>),
    /// A next hop.
    Outbound(Box<Outbound>),
}

#[derive(Default)]
pub(super) struct Connections {
    slots: Vec<Slot>,
    /// At most one entry a slot counts, and it is never later than the slot's deadline; so a
    /// deadline that moves on, as it does with every command, costs nothing.
    timers: BinaryHeap<Reverse<(Instant, u32)>>,
    inbound: usize,
    outbound: usize,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    deadline: Option<Instant>,
    armed: Option<Instant>,
    peer: Peer,
}

impl Connections {
    pub fn insert(&mut self, id: ConnectionId, peer: Peer) {
        let index = id.slot as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        match peer {
            Peer::Nobody => {}
            Peer::Inbound(_) | Peer::Reader(_) => self.inbound += 1,
            Peer::Outbound(_) => self.outbound += 1,
        }
        let slot = &mut self.slots[index];
        slot.generation = id.generation;
        slot.deadline = None;
        slot.peer = peer;
    }

    /// Takes a connection out for a step; `put_back` or a `forget_…` follows.
    pub fn take(&mut self, id: ConnectionId) -> Peer {
        match self.slot(id) {
            Some(slot) => std::mem::take(&mut slot.peer),
            None => Peer::Nobody,
        }
    }

    pub fn put_back(&mut self, id: ConnectionId, peer: Peer) {
        if let Some(slot) = self.slot(id) {
            slot.peer = peer;
        }
    }

    /// Forgets a client that was taken out.
    pub fn forget_inbound(&mut self, id: ConnectionId) {
        self.inbound -= 1;
        self.vacate(id);
    }

    /// Forgets a next hop that was taken out.
    pub fn forget_outbound(&mut self, id: ConnectionId) {
        self.outbound -= 1;
        self.vacate(id);
    }

    pub fn inbound_count(&self) -> usize {
        self.inbound
    }

    pub fn outbound_count(&self) -> usize {
        self.outbound
    }

    pub fn ids(&self) -> Vec<ConnectionId> {
        let open = self.slots.iter().enumerate().filter(|(_, s)| !matches!(s.peer, Peer::Nobody));
        open.map(|(index, s)| ConnectionId { slot: index as u32, generation: s.generation })
            .collect()
    }

    pub fn set_deadline(&mut self, id: ConnectionId, deadline: Option<Instant>) {
        let Some(slot) = self.slot(id) else { return };
        slot.deadline = deadline;
        if let Some(at) = deadline
            && slot.armed.is_none_or(|armed| at < armed)
        {
            slot.armed = Some(at);
            self.timers.push(Reverse((at, id.slot)));
        }
    }

    /// When `overdue` should be asked, at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// A connection whose deadline has passed; its deadline is gone.
    pub fn overdue(&mut self, now: Instant) -> Option<ConnectionId> {
        while let Some(&Reverse((at, index))) = self.timers.peek() {
            if at > now {
                return None;
            }
            self.timers.pop();
            let slot = &mut self.slots[index as usize];
            if slot.armed != Some(at) {
                continue;
            }
            slot.armed = None;
            match slot.deadline {
                Some(deadline) if deadline <= now => {
                    slot.deadline = None;
                    return Some(ConnectionId { slot: index, generation: slot.generation });
                }
                Some(deadline) => {
                    slot.armed = Some(deadline);
                    self.timers.push(Reverse((deadline, index)));
                }
                None => {}
            }
        }
        None
    }

    fn slot(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)
    }

    fn vacate(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slot(id) {
            slot.deadline = None;
            // Ids are never used twice; this makes a stale one find nobody.
            slot.generation = slot.generation.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnectionId {
        ConnectionId { slot, generation: 1 }
    }

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_deadline_that_moves_on_fires_once_and_late() {
        let mut connections = Connections::default();
        connections.insert(id(0), Peer::Nobody);
        connections.insert(id(1), Peer::Nobody);
        connections.set_deadline(id(0), Some(at(10)));
        connections.set_deadline(id(1), Some(at(20)));
        connections.set_deadline(id(0), Some(at(30)));
        assert_eq!(connections.overdue(at(15)), None);
        assert_eq!(connections.overdue(at(25)), Some(id(1)));
        assert_eq!(connections.overdue(at(25)), None);
        assert_eq!(connections.next_deadline(), Some(at(30)));
        assert_eq!(connections.overdue(at(30)), Some(id(0)));
        assert_eq!(connections.overdue(at(99)), None);
        assert_eq!(connections.next_deadline(), None);
    }

    #[test]
    fn timers_are_bounded_by_slots() {
        let mut connections = Connections::default();
        for generation in 0..1000 {
            let id = ConnectionId { slot: 0, generation };
            connections.insert(id, Peer::Nobody);
            connections.set_deadline(id, Some(at(1_000_000 + u64::from(generation))));
            connections.vacate(id);
        }
        assert_eq!(connections.timers.len(), 1);
        assert_eq!(connections.overdue(at(2_000_000)), None);
    }
}
