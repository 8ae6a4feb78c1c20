//! The schedule against a model of the disk: whatever settles, fails to fit or is read twice,
//! every parcel is attempted once for each time it is due, and none is forgotten.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use proptest::prelude::*;

use super::{Admission, Place, Queued, Schedule, shaping::Shape};
use crate::{
    limits::{FRESH_LEASE, PAGE_PARCELS, WINDOW_MAX, WINDOW_PER_DESTINATION},
    mail::{
        Address, Class, DestinationKey, Due, Envelope, Message, Parcel, ParcelId, QueueId,
        Recipient, Wire,
    },
    time::{Duration, Now, Wall},
};

const KEY: DestinationKey = DestinationKey::MIN;
const START: Wall = Wall::from_millis(1_000_000);

fn parcel(number: u64, class: Class, at: Wall) -> Parcel {
    let message = Message {
        id: QueueId::from_u64(number),
        arrived: START,
        envelope: Envelope::default(),
        wire: Wire::Stuffed,
        size: 10,
        parcels: 1,
    };
    Parcel {
        message: Arc::new(message),
        part: 0,
        due: Due { destination: KEY, class, at },
        attempts: 0,
        warned: false,
        recipients: vec![Recipient::plain(
            Address::parse(Bytes::from_static(b"a@example.org")).unwrap(),
        )],
        last_reply: Bytes::new(),
        body: None,
    }
}

fn queued(parcel: Parcel) -> Queued {
    Queued { here: parcel.recipients.len(), parcel: Box::new(parcel), since: Now::default() }
}

/// The due index of one destination, as LMDB holds it.
#[derive(Default)]
struct Disk(BTreeMap<(Class, Wall, ParcelId), Parcel>);

impl Disk {
    fn put(&mut self, parcel: Parcel) {
        self.0.insert((parcel.due.class, parcel.due.at, parcel.id()), parcel);
    }

    fn delete(&mut self, due: Due, id: ParcelId) {
        assert!(self.0.remove(&(due.class, due.at, id)).is_some(), "{id:?} settled twice");
    }

    fn page(
        &self,
        class: Class,
        after: Option<(Wall, ParcelId)>,
        until: Wall,
    ) -> (Vec<Parcel>, Option<Wall>) {
        let mut rows = self
            .0
            .iter()
            .filter(|((c, at, id), _)| *c == class && after.is_none_or(|after| (*at, *id) > after));
        let mut parcels = Vec::new();
        for ((_, at, _), parcel) in rows.by_ref() {
            if *at > until || parcels.len() == PAGE_PARCELS {
                return (parcels, Some(*at));
            }
            parcels.push(parcel.clone());
        }
        (parcels, None)
    }
}

struct World {
    schedule: Schedule<u8, ()>,
    place: Place,
    disk: Disk,
    now: Wall,
    attempts: BTreeMap<ParcelId, u32>,
}

impl World {
    fn new() -> Self {
        let mut schedule = Schedule::default();
        schedule.start(START);
        let place = schedule.place(&0, Shape::default);
        World { schedule, place, disk: Disk::default(), now: START, attempts: BTreeMap::new() }
    }

    fn read_pages(&mut self) -> usize {
        let mut read = 0;
        while let Some(wanted) = self.schedule.wanted(self.now) {
            let (parcels, next) = self.disk.page(wanted.class, wanted.after, wanted.until);
            let place = self.place;
            let shelf = (wanted.destination, wanted.class);
            for parcel in self.schedule.page_read(shelf, parcels, next) {
                read += 1;
                self.schedule.admit(place, queued(parcel));
            }
        }
        read
    }

    fn attempt(&mut self) -> Option<Queued> {
        let queued = self.schedule.next_parcel(self.place)?;
        *self.attempts.entry(queued.parcel.id()).or_default() += 1;
        Some(queued)
    }

    fn settle(&mut self, queued: Queued, left: Option<Due>) {
        let mut parcel = *queued.parcel;
        let was = parcel.due;
        self.disk.delete(was, parcel.id());
        if let Some(due) = left {
            parcel.due = due;
            self.disk.put(parcel.clone());
        }
        self.schedule.settled(parcel.id(), was, left);
    }

    fn look(&mut self) {
        for class in [Class::Fresh, Class::Deferred] {
            if let (_, Some(at)) = self.disk.page(class, None, Wall::from_millis(0)) {
                self.schedule.found(KEY, class, at);
            }
        }
    }
}

#[test]
fn a_backlog_larger_than_the_window_drains_in_order() {
    let mut world = World::new();
    let backlog = 2 * WINDOW_PER_DESTINATION as u64 + 77;
    for number in 0..backlog {
        world.disk.put(parcel(number, Class::Deferred, START + Duration::from_millis(number)));
    }
    world.now = START + Duration::from_secs(3600);
    world.look();
    let mut next = 0;
    loop {
        world.read_pages();
        assert!(
            world.schedule.destination(world.place).ready()
                <= WINDOW_PER_DESTINATION + PAGE_PARCELS
        );
        let Some(queued) = world.attempt() else { break };
        assert_eq!(queued.parcel.message.id.as_u64(), next);
        next += 1;
        world.settle(queued, None);
    }
    assert_eq!(next, backlog);
    assert_eq!(world.schedule.next_due(), None);
}

#[test]
fn new_mail_takes_turns_with_a_backlog() {
    let mut world = World::new();
    for number in 0..100 {
        let parcel = parcel(number, Class::Deferred, START);
        world.disk.put(parcel.clone());
        assert_eq!(world.schedule.admit(world.place, queued(parcel)), Admission::Taken);
    }
    let fresh = parcel(1000, Class::Fresh, START);
    world.disk.put(fresh.clone());
    world.schedule.admit(world.place, queued(fresh));
    let first_two = [world.attempt().unwrap(), world.attempt().unwrap()];
    assert!(first_two.iter().any(|queued| queued.parcel.due.class == Class::Fresh));
}

#[test]
fn what_settles_while_a_page_is_read_is_not_attempted_again() {
    let mut world = World::new();
    let due = START + Duration::from_secs(60);
    world.disk.put(parcel(1, Class::Deferred, START));
    world.disk.put(parcel(2, Class::Deferred, due));
    world.now = START;
    world.look();
    world.read_pages();
    let first = world.attempt().unwrap();
    // The second is due: its page is read from a snapshot in which the first still lies.
    world.now = due;
    let wanted = world.schedule.wanted(due).expect("a page");
    let (mut snapshot, next) = world.disk.page(wanted.class, None, wanted.until);
    assert_eq!(snapshot.len(), 2);
    world.settle(first, None);
    snapshot.sort_by_key(|parcel| parcel.due.at);
    let brought = world.schedule.page_read((KEY, Class::Deferred), snapshot, next);
    assert_eq!(brought.iter().map(|p| p.message.id.as_u64()).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_fresh_parcel_without_room_is_found_after_its_lease() {
    let mut world = World::new();
    for number in 0..=WINDOW_PER_DESTINATION as u64 {
        let parcel = parcel(number, Class::Fresh, START);
        world.disk.put(parcel.clone());
        let admission = world.schedule.admit(world.place, queued(parcel));
        let full = number == WINDOW_PER_DESTINATION as u64;
        assert_eq!(admission == Admission::Full, full, "{number}");
    }
    let mut attempted = 0;
    while let Some(queued) = world.attempt() {
        attempted += 1;
        world.settle(queued, None);
    }
    assert_eq!(world.read_pages(), 0, "its lease is not over");
    world.now = START + FRESH_LEASE;
    assert_eq!(world.read_pages(), 1);
    assert!(world.attempt().is_some());
    assert_eq!(attempted, WINDOW_PER_DESTINATION);
}

#[test]
fn pages_wait_for_settlements_to_be_stored() {
    let mut world = World::new();
    for number in 0..2 * WINDOW_MAX as u64 {
        world.disk.put(parcel(number, Class::Deferred, START));
    }
    world.now = START + Duration::from_secs(1);
    world.look();
    // A next hop that is down: every parcel is taken at once, and no settlement is stored.
    let mut under_way = Vec::new();
    loop {
        let read = world.read_pages();
        while let Some(queued) = world.attempt() {
            under_way.push(queued);
        }
        if read == 0 {
            break;
        }
    }
    assert!(under_way.len() <= WINDOW_MAX, "{} in memory", under_way.len());
    assert!(under_way.len() > WINDOW_MAX / 2);
    for queued in under_way {
        world.settle(queued, None);
    }
    assert!(world.read_pages() > 0, "and then they go on");
}

#[test]
fn what_a_page_brought_in_vain_is_brought_again() {
    let mut world = World::new();
    for number in 0..WINDOW_PER_DESTINATION as u64 {
        let mut other = parcel(number, Class::Deferred, START);
        other.due.destination = DestinationKey::from_u64(9);
        assert_eq!(world.schedule.admit(world.place, queued(other)), Admission::Taken);
    }
    world.disk.put(parcel(1_000_000, Class::Deferred, START));
    world.look();
    assert_eq!(world.read_pages(), 1);
    for _ in 0..WINDOW_PER_DESTINATION {
        let other = world.schedule.next_parcel(world.place).expect("the window was full");
        world.schedule.settled(other.parcel.id(), other.parcel.due, None);
    }
    assert!(world.attempt().is_none(), "there was no room for it");
    assert_eq!(world.read_pages(), 1);
    assert!(world.attempt().is_some());
}

#[test]
fn what_an_earlier_process_left_has_no_lease() {
    let mut world = World::new();
    world.disk.put(parcel(1, Class::Fresh, START - Duration::from_millis(5)));
    world.disk.put(parcel(2, Class::Fresh, START + Duration::from_millis(5)));
    world.now = START + Duration::from_secs(1);
    world.look();
    assert_eq!(world.read_pages(), 1);
    assert_eq!(world.attempt().unwrap().parcel.message.id.as_u64(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Arrivals, attempts that settle or defer, pages and time in any order: nothing is held
    /// twice, and in the end everything was attempted and the disk is empty.
    #[test]
    fn nothing_is_forgotten(steps in prop::collection::vec(0u8..6, 1..400)) {
        let mut world = World::new();
        let mut under_way: Vec<Queued> = Vec::new();
        let mut number = 0;
        for step in steps {
            match step {
                0 | 1 => {
                    number += 1;
                    let parcel = parcel(number, Class::Fresh, world.now);
                    world.disk.put(parcel.clone());
                    if step == 0 {
                        world.schedule.admit(world.place, queued(parcel));
                    }
                }
                2 => under_way.extend(world.attempt()),
                3 => if let Some(queued) = under_way.pop() { world.settle(queued, None) },
                4 => if !under_way.is_empty() {
                    let queued = under_way.remove(0);
                    let at = world.now + Duration::from_secs(5);
                    world.settle(
                        queued,
                        Some(Due { destination: KEY, class: Class::Deferred, at }),
                    );
                },
                _ => { world.now = world.now + Duration::from_secs(3); world.read_pages(); }
            }
        }
        for queued in under_way { world.settle(queued, None); }
        for _ in 0..number + 2 {
            world.now = world.now + FRESH_LEASE + Duration::from_secs(5);
            world.look();
            world.read_pages();
            while let Some(queued) = world.attempt() { world.settle(queued, None); }
        }
        prop_assert!(world.disk.0.is_empty(), "forgotten: {:?}", world.disk.0.keys());
        prop_assert_eq!(world.attempts.len() as u64, number);
    }
}
