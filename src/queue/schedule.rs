//! The schedule: a bounded window of parcels in memory over the unbounded queue on disk.
//!
//! Every parcel on disk is *held* (in memory, waiting or under way), or *noted* (the agenda knows
//! when the part of the disk it lies in is due), or will be found by the next look through the
//! disk. A *shelf* is such a part: the parcels of one destination key. Pages are read from a
//! shelf when it is due and its destination has room; a cursor keeps a page from returning what
//! is held already.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use slab::Slab;

use super::{
    agenda::Agenda,
    destination::{Destination, Queued},
    shaping::Shape,
    shelf::Shelf,
};
use crate::{
    limits::{FRESH_LEASE, PAGE_PARCELS, WINDOW_MAX},
    mail::{Class, DestinationKey, Due, Parcel, ParcelId},
    time::{Duration, Instant, Wall},
};

/// A destination's place in the schedule, valid while the destination has parcels in memory or
/// connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place(usize);

/// What became of a parcel that was offered to the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    Taken,
    /// It is held already.
    Known,
    /// No room: it waits on disk, and a page will bring it.
    Full,
}

/// A page the schedule wants read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    pub destination: DestinationKey,
    pub class: Class,
    pub after: Option<(Wall, ParcelId)>,
    pub until: Wall,
    /// Where the shelf's parcels went last.
    pub place: Option<Place>,
}

#[derive(Debug)]
pub struct Schedule<H, C> {
    destinations: Slab<Destination<H, C>>,
    places: HashMap<H, Place>,
    /// Parcels in memory, waiting or under way, and those whose settlement a page under way may
    /// not have seen.
    held: HashSet<ParcelId>,
    shelves: HashMap<DestinationKey, Shelf>,
    agenda: Agenda,
    /// Pages being read.
    pages: usize,
    /// Fresh parcels from before that were handed to nobody who lives.
    started: Wall,
}

impl<H: Clone + Eq + Hash, C> Default for Schedule<H, C> {
    fn default() -> Self {
        Self {
            destinations: Slab::new(),
            places: HashMap::new(),
            held: HashSet::new(),
            shelves: HashMap::new(),
            agenda: Agenda::default(),
            pages: 0,
            started: Wall::MAX,
        }
    }
}

impl<H: Clone + Eq + Hash, C> Schedule<H, C> {
    /// Tells when this process began to accept mail.
    pub fn start(&mut self, now: Wall) {
        self.started = now;
    }

    /// The place of a next hop; `shape` is asked for when it is new.
    pub fn place(&mut self, hop: &H, shape: impl FnOnce() -> Shape) -> Place {
        if let Some(place) = self.places.get(hop) {
            return *place;
        }
        let place = Place(self.destinations.insert(Destination::new(hop.clone(), shape())));
        self.places.insert(hop.clone(), place);
        place
    }

    /// Parcels in memory, waiting or under way.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    pub fn known(&self, hop: &H) -> Option<Place> {
        self.places.get(hop).copied()
    }

    pub fn destination(&mut self, place: Place) -> &mut Destination<H, C> {
        &mut self.destinations[place.0]
    }

    /// Forgets the destinations that nothing refers to.
    pub fn prune(&mut self, now: Instant) {
        let shelves = &mut self.shelves;
        let places = &mut self.places;
        let mut gone = HashSet::new();
        self.destinations.retain(|index, destination| {
            let keep = !destination.is_forgettable(now);
            if !keep {
                places.remove(&destination.hop);
                gone.insert(Place(index));
            }
            keep
        });
        for shelf in shelves.values_mut() {
            shelf.place = shelf.place.filter(|place| !gone.contains(place));
        }
    }

    /// Offers a parcel to the window.
    pub fn admit(&mut self, place: Place, queued: Queued) -> Admission {
        let (id, due) = (queued.parcel.id(), queued.parcel.due);
        if self.held.contains(&id) {
            return Admission::Known;
        }
        let has_room = self.destinations[place.0].has_room(due.class);
        if self.held.len() >= WINDOW_MAX || !has_room {
            self.lies_on_disk(due, id);
            if !has_room {
                self.block(place, due.destination, due.class);
            }
            return Admission::Full;
        }
        let destination = &mut self.destinations[place.0];
        destination.push(queued);
        self.held.insert(id);
        let shelf = self.shelves.entry(due.destination).or_default();
        shelf.held += 1;
        shelf.place = Some(place);
        Admission::Taken
    }

    /// Takes the next parcel of a destination for an attempt; it stays held until it is settled.
    pub fn next_parcel(&mut self, place: Place) -> Option<Queued> {
        let destination = &mut self.destinations[place.0];
        let queued = destination.pop()?;
        if !destination.blocked.is_empty() && destination.is_low(queued.parcel.due.class) {
            for (key, class) in std::mem::take(&mut destination.blocked) {
                self.unblock(key, class);
            }
        }
        Some(queued)
    }

    /// Puts a parcel back that was taken and not attempted.
    pub fn give_back(&mut self, place: Place, queued: Queued) {
        self.destinations[place.0].push_front(queued);
    }

    /// The settlement of a held parcel is on disk; `left` is where it lies now, if anywhere.
    pub fn settled(&mut self, parcel: ParcelId, was: Due, left: Option<Due>) {
        if let Some(due) = left {
            self.lies_on_disk(due, parcel);
        }
        let Some(shelf) = self.shelves.get_mut(&was.destination) else {
            self.held.remove(&parcel);
            return;
        };
        shelf.held = shelf.held.saturating_sub(1);
        if shelf.reading {
            // The page under way may have been read before the settlement: until it is here the
            // parcel counts as held, so that it is not attempted again.
            shelf.settled_meanwhile.push(parcel);
            return;
        }
        self.held.remove(&parcel);
        self.tidy(was.destination);
    }

    /// A fresh parcel due at `at` belongs to the memory it is handed to: no page has brought it.
    pub fn is_leased(&self, at: Wall, now: Wall) -> bool {
        at > self.unleased_until(now)
    }

    /// Fresh parcels of up to this time have no lease: it is over, or never was.
    fn unleased_until(&self, now: Wall) -> Wall {
        (now - FRESH_LEASE).max(self.started - Duration::from_millis(1))
    }

    /// There is a parcel on disk, perhaps, that the next page of its shelf must bring.
    pub fn lies_on_disk(&mut self, due: Due, id: ParcelId) {
        self.note(due);
        self.step_back(due, id);
    }

    /// A look through the disk found parcels of this class, the first due at `at`.
    pub fn found(&mut self, destination: DestinationKey, class: Class, at: Wall) {
        if let Some(shelf) = self.shelves.get_mut(&destination) {
            let side = &mut shelf.sides[class as usize];
            if shelf.reading || side.noted.is_some() {
                return;
            }
            // It may be one that is held, or one behind the cursor that nobody knows of: the
            // next page starts at the beginning and tells.
            side.cursor = None;
        }
        self.note(Due { destination, class, at });
    }

    /// The next page to read, when one is due and there is room for it.
    pub fn wanted(&mut self, now: Wall) -> Option<Wanted> {
        let unleased = self.unleased_until(now);
        while let Some((at, key, class)) = self.agenda.first() {
            if at > now || !self.has_room_for_page() {
                return None;
            }
            let Some(shelf) = self.shelves.get_mut(&key) else {
                self.agenda.remove(at, key, class);
                continue;
            };
            if let Some(place) = shelf.place
                && !self.destinations[place.0].is_low(class)
            {
                self.block(place, key, class);
                continue;
            }
            self.agenda.remove(at, key, class);
            // One page of a shelf at a time: what settles meanwhile must be told apart.
            if shelf.reading {
                shelf.sides[class as usize].blocked = true;
                continue;
            }
            shelf.reading = true;
            self.pages += 1;
            let place = shelf.place;
            let side = &mut shelf.sides[class as usize];
            side.noted = None;
            let until = match class {
                Class::Fresh => unleased,
                Class::Deferred => now,
            };
            return Some(Wanted { destination: key, class, after: side.cursor, until, place });
        }
        None
    }

    /// The answer to `wanted`: returns the parcels that were not held. `last` is the last row
    /// that was read, `next_due` the time of the first that was not.
    pub fn page_read(
        &mut self,
        wanted: (DestinationKey, Class),
        parcels: Vec<Parcel>,
        next_due: Option<Wall>,
    ) -> Vec<Parcel> {
        let (key, class) = wanted;
        let last = parcels.last().map(|parcel| (parcel.due.at, parcel.id()));
        let fresh: Vec<Parcel> =
            parcels.into_iter().filter(|parcel| !self.held.contains(&parcel.id())).collect();
        self.pages -= 1;
        let Some(shelf) = self.shelves.get_mut(&key) else { return fresh };
        shelf.reading = false;
        for parcel in shelf.settled_meanwhile.drain(..) {
            self.held.remove(&parcel);
        }
        let side = &mut shelf.sides[class as usize];
        side.cursor = last.or(side.cursor);
        self.unblock(key, Class::Fresh);
        self.unblock(key, Class::Deferred);
        if let Some(at) = next_due {
            self.note(Due { destination: key, class, at });
        }
        if fresh.is_empty() {
            self.tidy(key);
        }
        fresh
    }

    /// When `wanted` should be asked again.
    pub fn next_due(&self) -> Option<Wall> {
        if !self.has_room_for_page() {
            return None;
        }
        self.agenda.first().map(|(at, ..)| at)
    }

    fn has_room_for_page(&self) -> bool {
        // What waits for its settlement to be stored counts, and what pages under way may bring.
        self.held.len() + (self.pages + 1) * PAGE_PARCELS <= WINDOW_MAX
    }

    /// Remembers that there is a parcel on disk.
    fn note(&mut self, due: Due) {
        // A fresh parcel belongs to the memory it was handed to until its lease is over.
        let at = match due.class {
            Class::Fresh if due.at >= self.started => due.at + FRESH_LEASE,
            Class::Fresh | Class::Deferred => due.at,
        };
        self.note_at(at, due.destination, due.class);
    }

    /// Remembers that a page of this shelf is to be read.
    fn note_at(&mut self, at: Wall, destination: DestinationKey, class: Class) {
        let shelf = self.shelves.entry(destination).or_default();
        let side = &mut shelf.sides[class as usize];
        match side.noted {
            Some(earlier) if earlier <= at => return,
            Some(later) if !side.blocked => {
                self.agenda.remove(later, destination, class);
            }
            _ => {}
        }
        side.noted = Some(at);
        if side.blocked {
            return;
        }
        let forgotten = self.agenda.insert(at, destination, class);
        if let Some((key, class)) = forgotten {
            if let Some(shelf) = self.shelves.get_mut(&key) {
                shelf.sides[class as usize].noted = None;
            }
            self.tidy(key);
        }
    }

    /// A page brought this parcel and there was no room: the next page must bring it again.
    fn step_back(&mut self, due: Due, id: ParcelId) {
        if let Some(shelf) = self.shelves.get_mut(&due.destination) {
            let side = &mut shelf.sides[due.class as usize];
            side.cursor = side.cursor.filter(|cursor| *cursor < (due.at, id));
        }
    }

    /// What lies on disk waits until its destination has room.
    fn block(&mut self, place: Place, key: DestinationKey, class: Class) {
        let Some(shelf) = self.shelves.get_mut(&key) else { return };
        let side = &mut shelf.sides[class as usize];
        if let (false, Some(at)) = (side.blocked, side.noted) {
            self.agenda.remove(at, key, class);
        }
        side.blocked = true;
        let blocked = &mut self.destinations[place.0].blocked;
        if !blocked.contains(&(key, class)) {
            blocked.push((key, class));
        }
    }

    fn unblock(&mut self, key: DestinationKey, class: Class) {
        let Some(shelf) = self.shelves.get_mut(&key) else { return };
        let side = &mut shelf.sides[class as usize];
        if std::mem::take(&mut side.blocked)
            && let Some(at) = side.noted
        {
            side.noted = None;
            self.note_at(at, key, class);
        }
    }

    /// Forgets a shelf of which nothing is held and nothing known; its cursor goes with it.
    fn tidy(&mut self, key: DestinationKey) {
        let idle = self.shelves.get(&key).is_some_and(|shelf| {
            shelf.held == 0 && !shelf.reading && shelf.sides.iter().all(|s| s.noted.is_none())
        });
        if idle {
            self.shelves.remove(&key);
        } else if let Some(shelf) = self.shelves.get_mut(&key)
            && shelf.held == 0
            && !shelf.reading
        {
            // Nothing of it is held: the next page starts at its beginning.
            shelf.sides.iter_mut().for_each(|side| side.cursor = None);
        }
    }
}
