//! The store on a real LMDB: what goes in comes out, in the same rows as in a map, and a full or
//! foreign store is told apart from a good one.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use heed::{CommitOrAbort, EnvOpenOptions, types::Bytes as Octets};
use proptest::prelude::*;
use ringmail::{
    config,
    limits::{BODY_ROW, CLEARED_ROWS_MAX, GLANCE_ROWS},
    mail::{
        Address, Class, DestinationKey, Due, Envelope, Message, Parcel, ParcelId, QueueId,
        Recipient, Wire,
        mailbox::{
            Act, Ask, Content, Directory, Done, FlagChange, Flags, Found, How, MailboxName, ModSeq,
            NewMessage, Uid, Uids, Want,
        },
    },
    random::Random,
    relay::{Input, Ticket},
    shell::{
        lmdb::{Handle, OpenError, Store, open},
        mesh::Mesh,
    },
    store::{
        Accept, Change, Load, Loaded, Reads, Rows, Settle, StoreError, Table,
        content::{Builder, Press, Unpress},
        key,
        mailbox::purge,
        write_batch,
    },
    time::Wall,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The store as a map: what the simulation has for a disk.
#[derive(Default, Clone, PartialEq, Debug)]
struct Map(BTreeMap<(&'static str, Vec<u8>), Vec<u8>>);

impl Rows for Map {
    fn put(&mut self, table: Table, key: &[u8], value: &[&[u8]]) -> Result<(), Self::Error> {
        self.0.insert((table.name(), key.to_vec()), value.concat());
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Self::Error> {
        self.0.remove(&(table.name(), key.to_vec()));
        Ok(())
    }

    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), Self::Error> {
        self.0.retain(|(name, key), _| *name != table.name() || !key.starts_with(prefix));
        Ok(())
    }

    fn any_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<bool, Self::Error> {
        Ok(self.0.keys().any(|(name, key)| *name == table.name() && key.starts_with(prefix)))
    }
}

impl Reads for Map {
    type Error = std::convert::Infallible;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Self::Error> {
        Ok(self.0.get(&(table.name(), key.to_vec())).map(Vec::as_slice))
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, Self::Error> {
        let mut rows = self.0.range((table.name(), from.to_vec())..);
        Ok(rows.next().filter(|((name, _), _)| *name == table.name()).map(|((_, key), _)| &key[..]))
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Self::Error> {
        for ((name, key), value) in self.0.range((table.name(), from.to_vec())..) {
            if *name != table.name() || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}

/// A store with one core that asks and waits.
struct Rig {
    mesh: Arc<Mesh>,
    store: Store,
    handle: Handle,
    tickets: u64,
    space: Option<u64>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    fn open(dir: &Path, size_max: u64) -> Rig {
        let opened = open(dir, &config::Store { size_max }).unwrap();
        let mesh = Arc::new(Mesh::new(1).unwrap());
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let warned = warnings.clone();
        let warn = Box::new(move |sentence| warned.lock().unwrap().push(sentence));
        let store = opened.start(mesh.clone(), 1, warn).unwrap();
        Rig { handle: store.handle(), mesh, store, tickets: 0, space: None, warnings }
    }

    fn hand(&mut self, change: Change) {
        self.tickets += 1;
        self.handle.store(0, Ticket(self.tickets), change);
    }

    /// Hands over all at once; the answers in the order of the questions.
    fn change(&mut self, changes: Vec<Change>) -> Vec<Result<(), StoreError>> {
        self.done(changes).into_iter().map(|result| result.map(drop)).collect()
    }

    /// The same, with what came of each.
    fn done(&mut self, changes: Vec<Change>) -> Vec<Result<Done, StoreError>> {
        let (first, count) = (self.tickets + 1, changes.len());
        changes.into_iter().for_each(|change| self.hand(change));
        let mut answers: BTreeMap<u64, _> = BTreeMap::new();
        while answers.len() < count {
            if let Input::Stored { ticket, result, .. } = self.next() {
                assert!(ticket.0 >= first && answers.insert(ticket.0, result).is_none());
            }
        }
        answers.into_values().collect()
    }

    fn load(&mut self, load: Load) -> Loaded {
        self.tickets += 1;
        self.handle.load(0, Ticket(self.tickets), load);
        loop {
            if let Input::Loaded { ticket, loaded } = self.next() {
                assert_eq!(ticket.0, self.tickets);
                return loaded;
            }
        }
    }

    fn next(&mut self) -> Input {
        let begun = Instant::now();
        loop {
            match self.mesh.take(0) {
                Some(Input::Space(space)) => self.space = Some(space.free),
                Some(input) => return input,
                None => self.hear(),
            }
            assert!(begun.elapsed() < ANSWER_WITHIN, "no answer from the store");
        }
    }

    /// Waits for the bell.
    fn hear(&mut self) {
        let mut bell = [rustix::event::PollFd::from_borrowed_fd(
            self.mesh.bell(0),
            rustix::event::PollFlags::IN,
        )];
        let second = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
        if rustix::event::poll(&mut bell, Some(&second)).unwrap() > 0 {
            rustix::io::read(self.mesh.bell(0), &mut [0; 8]).unwrap();
            self.mesh.heard(0);
        }
    }

    fn wait_for_space(&mut self, wanted: impl Fn(u64) -> bool) {
        let begun = Instant::now();
        while !self.space.is_some_and(&wanted) {
            assert!(begun.elapsed() < ANSWER_WITHIN, "space stays {:?}", self.space);
            match self.mesh.take(0) {
                Some(Input::Space(space)) => self.space = Some(space.free),
                Some(other) => panic!("{other:?}"),
                None => self.hear(),
            }
        }
    }
}

fn octets(id: u64, size: usize) -> Bytes {
    (0..size).map(|at| (at as u64 * 7 + id + at as u64 / 251) as u8).collect::<Vec<_>>().into()
}

/// A body in pieces that keep no boundary of rows.
fn pieces(body: &Bytes) -> Vec<Bytes> {
    let mut rest = body.clone();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let length = rest.len().min([1, 5000, 17, 12_000][pieces.len() % 4]);
        pieces.push(rest.split_to(length));
    }
    pieces
}

fn due(destination: u64, class: Class, at: u64) -> Due {
    let destination = DestinationKey::from_u64(destination);
    Due { destination, class, at: Wall::from_millis(at) }
}

fn accept(id: u64, size: usize, dues: &[Due]) -> Accept {
    let sender = Address::parse(Bytes::from(format!("s{id}@example.net"))).unwrap();
    let message = Arc::new(Message {
        id: QueueId::from_u64(id),
        arrived: Wall::from_millis(1000 + id),
        envelope: Envelope { reverse_path: Some(sender), ..Envelope::default() },
        wire: Wire::Stuffed,
        size: size as u64,
        parcels: dues.len() as u16,
    });
    let parcels = (0..).zip(dues).map(|(part, due)| Parcel {
        message: message.clone(),
        part,
        due: *due,
        attempts: 0,
        warned: false,
        recipients: vec![Recipient::plain(
            Address::parse(Bytes::from(format!("r{part}@example.org"))).unwrap(),
        )],
        last_reply: Bytes::new(),
        body: None,
    });
    let parcels = parcels.collect();
    Accept { message, parcels, body: pieces(&octets(id, size)), spooled_rows: 0 }
}

fn settle(parcel: &Parcel, left: Option<Parcel>) -> Change {
    Change::Settle(Box::new(Settle {
        message: parcel.message.clone(),
        parcel: parcel.id(),
        was: parcel.due,
        left,
        report: None,
        delivery: None,
    }))
}

fn page(destination: u64, class: Class, until: u64) -> Load {
    Load::Page {
        destination: DestinationKey::from_u64(destination),
        class,
        after: None,
        until: Wall::from_millis(until),
        limit: 100,
        body_octets: 1 << 20,
    }
}

fn parcels(loaded: Loaded) -> (Vec<Parcel>, Option<u64>) {
    match loaded {
        Loaded::Page { parcels, next_due } => (parcels, next_due.map(Wall::as_millis)),
        other => panic!("{other:?}"),
    }
}

/// Every row on disk, read by LMDB alone.
fn dump(dir: &Path) -> Map {
    // SAFETY: the store is closed, and nobody else has this folder.
    let env = unsafe {
        let mut options = EnvOpenOptions::new();
        options.map_size(1 << 30).max_dbs(Table::ALL.len() as u32);
        options.open(dir.join("queue")).unwrap()
    };
    let txn = env.write_txn().unwrap();
    let mut map = Map::default();
    env.create_databases_and_commit(txn, |opener, txn| {
        for table in Table::ALL {
            let rows = opener.create_database::<Octets, Octets>(txn, Some(table.name()))?;
            for row in rows.iter(txn)? {
                let (key, value) = row?;
                map.put(table, key, &[value]).unwrap();
            }
        }
        Ok::<_, heed::Error>(CommitOrAbort::<(), ()>::Abort(()))
    })
    .unwrap();
    let closed = env.prepare_for_closing();
    closed.wait();
    map
}

/// Puts rows into a closed store.
fn tamper(dir: &Path, table: Table, key: &[u8], value: Option<&[u8]>) {
    // SAFETY: as in `dump`.
    let env = unsafe {
        let mut options = EnvOpenOptions::new();
        options.map_size(1 << 30).max_dbs(Table::ALL.len() as u32);
        options.open(dir.join("queue")).unwrap()
    };
    let txn = env.write_txn().unwrap();
    env.create_databases_and_commit(txn, |opener, txn| {
        let rows = opener.create_database::<Octets, Octets>(txn, Some(table.name()))?;
        match value {
            Some(value) => rows.put(txn, key, value)?,
            None => assert!(rows.delete(txn, key)?),
        }
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(rows))
    })
    .unwrap()
    .unwrap_commit();
    env.prepare_for_closing().wait();
}

fn refusal(dir: &Path) -> OpenError {
    match open(dir, &config::Store { size_max: 0 }) {
        Err(error) => error,
        Ok(_) => panic!("the store opened"),
    }
}

#[test]
fn accepted_read_settled_and_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), 0);
    for size in [1, 100, BODY_ROW - 1, BODY_ROW, BODY_ROW + 1, 3 * BODY_ROW, 100_000] {
        let id = size as u64;
        let one = accept(id, size, &[due(5, Class::Fresh, id), due(9, Class::Deferred, 7)]);
        assert_eq!(rig.change(vec![Change::Accept(Box::new(one.clone()))]), [Ok(())]);
        let (fresh, next) = parcels(rig.load(page(5, Class::Fresh, id)));
        assert_eq!((fresh.len(), next), (1, None), "{size}");
        let body = fresh[0].body.clone().unwrap();
        assert_eq!(body.pieces.concat(), octets(id, size), "{size}");
        assert_eq!(Parcel { body: None, ..fresh[0].clone() }, one.parcels[0]);
        assert_eq!(parcels(rig.load(page(5, Class::Fresh, id - 1))), (vec![], Some(id)));

        // The first waits for another attempt, the second leaves, then the first leaves.
        let mut later = one.parcels[0].clone();
        later.due = due(5, Class::Deferred, 50);
        later.attempts = 1;
        later.last_reply = Bytes::from_static(b"450 4.2.0 later");
        let changes =
            vec![settle(&one.parcels[0], Some(later.clone())), settle(&one.parcels[1], None)];
        assert_eq!(rig.change(changes), [Ok(()), Ok(())]);
        assert_eq!(parcels(rig.load(page(5, Class::Fresh, u64::MAX))), (vec![], None));
        let (deferred, _) = parcels(rig.load(page(5, Class::Deferred, u64::MAX)));
        assert_eq!(Parcel { body: None, ..deferred[0].clone() }, later);
        assert_eq!(rig.change(vec![settle(&later, None)]), [Ok(())]);
    }
    rig.store.stop();
    let left = dump(dir.path());
    assert!(left.0.keys().all(|(table, _)| *table == "meta"), "{left:?}");
    let opened = open(dir.path(), &config::Store { size_max: 0 }).unwrap();
    assert_eq!(opened.highest_id(), QueueId::from_u64(100_000));
}

#[test]
fn parts_of_a_body() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), 0);
    let size = 3 * BODY_ROW + 10;
    let whole = octets(1, size);
    rig.change(vec![Change::Accept(Box::new(accept(1, size, &[due(1, Class::Fresh, 1)])))]);
    for (offset, count) in
        [(0, size), (0, 1), (BODY_ROW - 1, 2), (BODY_ROW, 2 * BODY_ROW), (size - 1, 99), (size, 1)]
    {
        let message = QueueId::from_u64(1);
        let loaded = rig.load(Load::Body { message, offset: offset as u64, octets: count });
        let Loaded::Body { pieces } = loaded else { panic!("{loaded:?}") };
        let end = size.min(offset + count);
        assert_eq!(pieces.concat(), whole[offset..end], "{count} from {offset}");
    }
    let missing = Load::Body { message: QueueId::from_u64(2), offset: 0, octets: 1 };
    assert_eq!(rig.load(missing), Loaded::Failed(StoreError::Failed));
    assert_eq!(rig.warnings.lock().unwrap().len(), 1);
}

#[test]
fn pages_and_the_agenda_go_on_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), 0);
    let accepts = (1..=20u64).map(|id| {
        let class = if id % 3 == 0 { Class::Deferred } else { Class::Fresh };
        Change::Accept(Box::new(accept(id, 10, &[due(id % 4, class, 100 - id)])))
    });
    assert!(rig.change(accepts.collect()).iter().all(Result::is_ok));
    let mut seen = Vec::new();
    let (mut from, to) = (Some(DestinationKey::MIN), DestinationKey::from_u64(2));
    while let Some(start) = from {
        let loaded = rig.load(Load::Agenda { from: start, to, limit: 2 });
        let Loaded::Agenda { entries, next } = loaded else { panic!("{loaded:?}") };
        assert!(entries.len() <= 2);
        seen.extend(entries.iter().map(|entry| {
            let at = |wall: Option<Wall>| wall.map(Wall::as_millis);
            (entry.destination.as_u64(), at(entry.fresh), at(entry.deferred))
        }));
        from = next;
    }
    assert_eq!(seen, [(0, Some(80), Some(88)), (1, Some(83), Some(91)), (2, Some(86), Some(82))]);
    let (mut after, mut ids) = (None, Vec::new());
    loop {
        let loaded = rig.load(Load::Page {
            destination: DestinationKey::from_u64(1),
            class: Class::Fresh,
            after,
            until: Wall::from_millis(98),
            limit: 1,
            body_octets: 0,
        });
        let (found, next) = parcels(loaded);
        ids.extend(found.iter().map(|parcel| parcel.message.id.as_u64()));
        assert!(found.iter().all(|parcel| parcel.body.is_none()));
        after = found.last().map(|parcel| (parcel.due.at, parcel.id()));
        let Some(at) = next.filter(|&at| at <= 98) else {
            assert_eq!(next, Some(99));
            break;
        };
        assert!(at > 80);
    }
    assert_eq!(ids, [17, 13, 5]);
}

#[test]
fn what_was_spooled_is_swept_unless_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), 0);
    let spool = |id: u64, first_row: u32| {
        let whole = octets(id, 4 * BODY_ROW);
        let from = first_row as usize * BODY_ROW;
        let pieces = pieces(&whole.slice(from..from + 2 * BODY_ROW));
        Change::Spool { message: QueueId::from_u64(id), first_row, pieces }
    };
    let mut long = accept(1, 4 * BODY_ROW + 5, &[due(1, Class::Fresh, 1)]);
    let tail = octets(1, 4 * BODY_ROW + 5).slice(4 * BODY_ROW..);
    (long.body, long.spooled_rows) = (vec![tail], 4);
    let changes = vec![
        spool(1, 0),
        spool(2, 0),
        spool(1, 2),
        spool(3, 0),
        Change::Accept(Box::new(long)),
        Change::Abandon { message: QueueId::from_u64(3) },
    ];
    assert_eq!(rig.change(changes), [Ok(()); 6]);
    rig.store.stop();
    let rows = |map: &Map, id: u64| {
        let prefix = key::message(QueueId::from_u64(id));
        map.0.keys().filter(|(table, key)| *table == "body" && key.starts_with(&prefix)).count()
    };
    let before = dump(dir.path());
    assert_eq!([1, 2, 3].map(|id| rows(&before, id)), [5, 2, 0]);
    let mut rig = Rig::open(dir.path(), 0);
    let (found, _) = parcels(rig.load(page(1, Class::Fresh, 1)));
    let body = found[0].body.clone().unwrap();
    assert_eq!(body.pieces.concat(), octets(1, 4 * BODY_ROW + 5));
    rig.store.stop();
    let after = dump(dir.path());
    assert_eq!([1, 2, 3].map(|id| rows(&after, id)), [5, 0, 0]);
    assert!(after.0.keys().all(|(table, _)| *table != "spool"));
}

#[test]
fn a_second_opening_is_refused_and_names_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path(), &config::Store { size_max: 0 }).unwrap();
    let told = refusal(dir.path()).to_string();
    assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
    drop(opened);
    open(dir.path(), &config::Store { size_max: 0 }).unwrap();
}

#[test]
fn newer_and_foreign_formats_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &config::Store { size_max: 0 }).unwrap());
    let newer = key::FORMAT + 1;
    tamper(dir.path(), Table::Meta, key::META_FORMAT, Some(&newer.to_le_bytes()));
    let told = refusal(dir.path());
    assert!(matches!(told, OpenError::Newer { found, .. } if found == newer), "{told}");
    for value in [&b""[..], b"xyz", &[0; 4], b"12345"] {
        tamper(dir.path(), Table::Meta, key::META_FORMAT, Some(value));
        assert!(matches!(refusal(dir.path()), OpenError::Foreign { .. }), "{value:?}");
    }
    tamper(dir.path(), Table::Meta, key::META_FORMAT, None);
    assert!(matches!(refusal(dir.path()), OpenError::Foreign { .. }));
    tamper(dir.path(), Table::Meta, LAST_ID, None);
    drop(open(dir.path(), &config::Store { size_max: 0 }).unwrap());
    tamper(dir.path(), Table::Meta, key::META_FORMAT, None);
    tamper(dir.path(), Table::Meta, LAST_ID, None);
    tamper(dir.path(), Table::Due, b"row", Some(b""));
    assert!(matches!(refusal(dir.path()), OpenError::Foreign { .. }));
}

#[test]
fn damage_is_told_and_costs_only_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), 0);
    let accepts =
        (1..=6).map(|id| Change::Accept(Box::new(accept(id, 9000, &[due(1, Class::Fresh, id)]))));
    rig.change(accepts.collect());
    rig.store.stop();
    let rows = dump(dir.path());
    let id = QueueId::from_u64;
    let flipped = |table: Table, key: &[u8]| {
        let mut value = rows.0[&(table.name(), key.to_vec())].clone();
        value[10] ^= 1;
        tamper(dir.path(), table, key, Some(&value));
    };
    flipped(Table::Message, &key::message(id(1)));
    flipped(Table::Parcel, &key::parcel(ParcelId { message: id(2), part: 0 }));
    flipped(Table::Body, &key::body(id(3), 1));
    tamper(dir.path(), Table::Body, &key::body(id(4), 2), None);
    let strayed = key::due(&due(1, Class::Fresh, 99), ParcelId { message: id(5), part: 0 });
    tamper(dir.path(), Table::Due, &strayed, Some(b""));
    let mut rig = Rig::open(dir.path(), 0);
    let (found, _) = parcels(rig.load(page(1, Class::Fresh, 100)));
    let ids: Vec<u64> = found.iter().map(|parcel| parcel.message.id.as_u64()).collect();
    // A damaged body is found when it is delivered; its parcel is not lost sight of.
    assert_eq!(ids, [3, 4, 5, 6]);
    let body = |id| Load::Body { message: QueueId::from_u64(id), offset: 0, octets: 9000 };
    assert_eq!(rig.load(body(3)), Loaded::Failed(StoreError::Failed));
    assert_eq!(rig.load(body(4)), Loaded::Failed(StoreError::Failed));
    let warnings = rig.warnings.lock().unwrap().clone();
    assert_eq!(warnings.len(), 5, "{warnings:#?}");
    for (warning, part) in
        warnings.iter().zip(["checksum", "parcel 0", "another time", "row 1", "row 2"])
    {
        assert!(warning.contains(part), "{warning}");
    }
}

#[test]
fn a_full_store_refuses_settles_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), 24 << 20);
    rig.wait_for_space(|free| free > 16 << 20);
    let mut held: Vec<Accept> = Vec::new();
    for round in 0..3u64 {
        let mut id = 1000 * (round + 1);
        let refused = loop {
            id += 16;
            let some: Vec<Accept> =
                (0..16).map(|n| accept(id + n, 100_000, &[due(n, Class::Fresh, id)])).collect();
            let changes = some.iter().map(|one| Change::Accept(Box::new(one.clone())));
            let answers = rig.change(changes.collect());
            held.extend(
                some.iter().zip(&answers).filter(|(_, a)| a.is_ok()).map(|(one, _)| one.clone()),
            );
            if let Some(refused) = answers.into_iter().find(Result::is_err) {
                break refused;
            }
        };
        assert_eq!(refused, Err(StoreError::Full));
        assert!(held.len() >= 100, "only {} of 100 KB fit", held.len());
        // Half the floor of 4 MiB stays free for deletes; a body of 100 KB takes 25 pages.
        let pages = held.len() as u64 * 25 * 4096;
        assert!(pages <= 22 << 20, "{} of 100 KB have eaten into the reserve", held.len());
        rig.wait_for_space(|free| free == 0);
        // A settle in one batch with mail that finds no room is done all the same.
        let large = accept(id + 90, 4 << 20, &[due(1, Class::Fresh, 1)]);
        let leaves = held.pop().unwrap();
        let changes = vec![settle(&leaves.parcels[0], None), Change::Accept(Box::new(large))];
        assert_eq!(rig.change(changes), [Ok(()), Err(StoreError::Full)]);
        // All but one leave, one by one and then together; mail in the same batch is refused or
        // accepted, but no settle is.
        let gone = held.drain(1..).collect::<Vec<_>>();
        for one in &gone[..20] {
            assert_eq!(rig.change(vec![settle(&one.parcels[0], None)]), [Ok(())]);
        }
        let mut changes: Vec<Change> =
            gone[20..].iter().map(|one| settle(&one.parcels[0], None)).collect();
        changes.push(Change::Accept(Box::new(accept(id + 100, 1, &[due(1, Class::Fresh, 1)]))));
        let mut answers = rig.change(changes);
        if answers.pop() == Some(Ok(())) {
            held.push(accept(id + 100, 1, &[due(1, Class::Fresh, 1)]));
        }
        assert!(answers.iter().all(Result::is_ok));
        rig.wait_for_space(|free| free > 16 << 20);
    }
    assert_eq!(rig.store.failed(), None);
    rig.store.stop();
    let mut rig = Rig::open(dir.path(), 24 << 20);
    let (found, _) = parcels(rig.load(page(0, Class::Fresh, u64::MAX)));
    assert_eq!(found[0].body.as_ref().unwrap().pieces.concat(), octets(1016, 100_000));
}

#[test]
fn an_older_store_opens_and_is_of_this_format() {
    // 1 had no mailboxes.
    (1..key::FORMAT).for_each(an_older_store_opens);
}

fn an_older_store_opens(format: u32) {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), 0);
    let one = accept(1, 100, &[due(1, Class::Fresh, 1)]);
    assert_eq!(rig.change(vec![Change::Accept(Box::new(one))]), [Ok(())]);
    rig.store.stop();
    tamper(dir.path(), Table::Meta, key::META_FORMAT, Some(&format.to_le_bytes()));
    let mut rig = Rig::open(dir.path(), 0);
    assert_eq!(parcels(rig.load(page(1, Class::Fresh, u64::MAX))).0.len(), 1);
    rig.store.stop();
    let format = dump(dir.path()).row(Table::Meta, key::META_FORMAT).unwrap().map(<[u8]>::to_vec);
    assert_eq!(format, Some(key::FORMAT.to_le_bytes().to_vec()));
}

/// Acts on the account 1 with its folders, as they come one after the other.
fn acts(random: &mut Random) -> Vec<Act> {
    let account = ringmail::mail::mailbox::AccountId(1);
    let name = |text| MailboxName::parse(text).unwrap();
    let (inbox, mut press) = (ringmail::mail::mailbox::MailboxId(2), Press::default());
    let (key, password) = (Bytes::from("a@x.example"), Bytes::from("hash"));
    let added = Directory::AddAccount { key, password, quota: None };
    let mut acts = vec![Act::Directory(added)];
    for step in 1..80 {
        let uids: Uids = (0..5).map(|_| Uid(1 + random.below(60))).collect();
        let (flags, size) =
            (Flags::from_bits(random.below(32) as u8).unwrap(), random.below(90_000));
        acts.push(match random.below(6) {
            0..=2 => {
                let mut builder = Builder::new(QueueId::from_u64(step));
                builder.feed(&octets(step, size as usize), &mut press);
                let content = builder.finish(&mut press);
                let (keywords, received) = (Vec::new(), Wall::from_millis(step));
                let messages = vec![NewMessage { content, flags, keywords, received }];
                Act::Append { account, name: name("INBOX"), messages, quota: 0 }
            }
            3 => {
                let (how, keywords) = (How::Replace, Vec::new());
                let change = FlagChange { how, flags, keywords, unchanged_since: None };
                Act::Flag { mailbox: inbox, uids, change }
            }
            4 => Act::Expunge { mailbox: inbox, uids: (1..200).map(Uid).collect() },
            _ => {
                let (to, taking) = (name("Sent"), random.below(2) == 0);
                Act::Copy { account, from: inbox, uids, to, taking, quota: 0 }
            }
        });
    }
    acts
}

/// All that can be seen of the account.
fn asks() -> Vec<Load> {
    let account = ringmail::mail::mailbox::AccountId(1);
    let want = Want { summary: true, content: Content::Whole { at_most: 10_000 } };
    let mut asks = vec![
        Ask::Account { key: Bytes::from("a@x.example") },
        Ask::Folders { account, after: None, standing: true },
        Ask::Usage { account },
        Ask::Accounts { after: None },
    ];
    for mailbox in (2..8).map(ringmail::mail::mailbox::MailboxId) {
        let uids = (1..200).map(Uid).collect();
        asks.push(Ask::Messages { mailbox, uids, want });
        asks.push(Ask::Changes { mailbox, since: ModSeq(3), after: None });
    }
    for content in (1..80).map(QueueId::from_u64) {
        asks.push(Ask::Content { content, offset: 100, octets: 70_000 });
    }
    for name in ["INBOX", "Sent", "None"] {
        asks.push(Ask::Open { account, name: MailboxName::parse(name).unwrap() });
    }
    asks.into_iter().map(|ask| Load::Mailbox(Box::new(ask))).collect()
}

/// The first words of two answers that should be one.
fn differing(rig: &mut Rig, load: &Load, map: &Map) -> String {
    let (disk, map) =
        (rig.load(load.clone()), load.run(map, &mut Unpress::default(), &mut |_| ()).unwrap());
    let [disk, map] = [disk, map].map(|loaded| format!("{loaded:?}"));
    let same = disk.bytes().zip(map.bytes()).take_while(|(one, other)| one == other).count();
    format!("from octet {same} on:\n{:.300}\n{:.300}", &disk[same..], &map[same..])
}

/// Where a store keeps the last number of an account or mailbox.
const LAST_ID: &[u8] = b"last id";

/// Makes a store whose numbers do not begin by chance.
fn begin_at_one(dir: &Path) {
    drop(open(dir, &config::Store { size_max: 0 }).unwrap());
    tamper(dir, Table::Meta, LAST_ID, None);
}

#[test]
fn mailboxes_on_the_disk_and_in_a_map_are_the_same() {
    for seed in 0..6 {
        let mut random = Random::from_seed([seed; 32]);
        let acts = acts(&mut random).into_iter().map(|act| Change::Mailbox(Box::new(act)));
        let changes: Vec<Change> = acts.collect();
        let dir = tempfile::tempdir().unwrap();
        let mut map = Map::default();
        map.put(Table::Meta, key::META_FORMAT, &[&key::FORMAT.to_le_bytes()]).unwrap();
        let written = write_batch(&changes, QueueId::MIN, &mut map).unwrap();
        begin_at_one(dir.path());
        let mut rig = Rig::open(dir.path(), 0);
        let done: Vec<Done> = rig.done(changes).into_iter().map(Result::unwrap).collect();
        assert_eq!(done, written.done, "seed {seed}");
        // What was given up before the end of the process is swept by the next start.
        let content = QueueId::from_u64(1 << 40);
        let chunks = vec![Bytes::from(vec![0; 9000])];
        let spool = Act::Spool { content, first_chunk: 0, chunks };
        assert_eq!(rig.change(vec![Change::Mailbox(Box::new(spool))]), [Ok(())]);
        rig.store.stop();
        let mut rig = Rig::open(dir.path(), 0);
        let mut glance = rig.handle.glance();
        let mut glanced = 0;
        // Nobody looks at what was expunged: the start clears it away, in its own time.
        while purge(&mut map, &|_| None, CLEARED_ROWS_MAX).unwrap().more {}
        for load in asks() {
            let of_map = load.run(&map, &mut Unpress::default(), &mut |_| ()).unwrap();
            let begun = Instant::now();
            while rig.load(load.clone()) != of_map {
                let late = begun.elapsed() > ANSWER_WITHIN;
                assert!(
                    !late,
                    "seed {seed}: {load:?} differs\n{}",
                    differing(&mut rig, &load, &map)
                );
                std::thread::yield_now();
            }
            // A core that looks by itself sees the same, or leaves it to the thread.
            let by_itself = glance.answer(&load);
            glanced += usize::from(by_itself.is_some());
            assert!(by_itself.is_none_or(|loaded| loaded == of_map), "seed {seed}: {load:?}");
        }
        assert!(glanced > 0, "seed {seed}");
        let Loaded::Mailbox(found) = rig.load(asks().swap_remove(0)) else { panic!("no account") };
        assert!(matches!(*found, Found::Account(Some(_))));
        rig.store.stop();
        assert!(dump(dir.path()) == map, "seed {seed}");
    }
}

#[test]
fn a_core_looks_by_itself_where_a_few_rows_answer() {
    let dir = tempfile::tempdir().unwrap();
    begin_at_one(dir.path());
    let mut rig = Rig::open(dir.path(), 0);
    let account = ringmail::mail::mailbox::AccountId(1);
    let (key, password) = (Bytes::from("a@x.example"), Bytes::from("hash"));
    let added = Act::Directory(Directory::AddAccount { key, password, quota: None });
    assert_eq!(rig.change(vec![Change::Mailbox(Box::new(added))]), [Ok(())]);
    let load = Load::Mailbox(Box::new(Ask::Folders { account, after: None, standing: true }));
    let mut glance = rig.handle.glance();
    assert_eq!(glance.answer(&load), Some(rig.load(load.clone())));

    // Each commit is seen by the next look; one that would take more rows is given up.
    let subscribe = |number: usize| {
        let name = MailboxName::parse(&format!("folder {number}")).unwrap();
        Change::Mailbox(Box::new(Act::Subscribe { account, name, on: true }))
    };
    for number in 0..GLANCE_ROWS {
        assert_eq!(rig.change(vec![subscribe(number)]), [Ok(())]);
        let all = rig.load(load.clone());
        // The account has some names of its own.
        let brief = number < GLANCE_ROWS / 2;
        assert!(glance.answer(&load).map_or(!brief, |loaded| loaded == all), "{number}");
    }
    assert_eq!(glance.answer(&load), None);
    // What is no reader's question is never looked for.
    let body = Load::Body { message: QueueId::from_u64(1), offset: 0, octets: 1 };
    assert_eq!(glance.answer(&body), None);
    drop(glance);
    rig.store.stop();

    // What is damaged is told once, by the thread.
    tamper(dir.path(), Table::Account, &1u64.to_be_bytes(), Some(b"damaged"));
    let mut rig = Rig::open(dir.path(), 0);
    let usage = Load::Mailbox(Box::new(Ask::Usage { account }));
    assert_eq!(rig.handle.glance().answer(&usage), None);
    assert_eq!(rig.warnings.lock().unwrap().len(), 0);
    assert_eq!(rig.load(usage), Loaded::Failed(StoreError::Failed));
    assert_eq!(rig.warnings.lock().unwrap().len(), 1);
    rig.store.stop();
}

/// One step of a random life of the queue.
#[derive(Clone, Debug)]
enum Step {
    Accept { size: usize, parcels: usize, spool: bool },
    Redate { which: usize, at: u64 },
    Leave { which: usize, report: bool },
    Abandon { rows: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..20_000, 1usize..4, any::<bool>())
            .prop_map(|(size, parcels, spool)| Step::Accept { size, parcels, spool }),
        2 => (any::<usize>(), 0u64..1000).prop_map(|(which, at)| Step::Redate { which, at }),
        3 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, report)| Step::Leave { which, report }),
        1 => (0usize..4).prop_map(|rows| Step::Abandon { rows }),
    ]
}

/// The changes of a life, and the parcels that are left at its end.
fn changes(steps: &[Step]) -> (Vec<Change>, Vec<Parcel>) {
    let (mut changes, mut live) = (Vec::new(), Vec::<Parcel>::new());
    for (id, step) in (1..).zip(steps) {
        match *step {
            Step::Accept { size, parcels, spool } => {
                let dues: Vec<Due> =
                    (0..parcels as u64).map(|n| due((id + n) % 3, Class::Fresh, id)).collect();
                let mut one = accept(id, size, &dues);
                live.extend(one.parcels.iter().cloned());
                if spool && size > BODY_ROW {
                    let body = octets(id, size);
                    let (message, first_row) = (one.message.id, 0);
                    let first = pieces(&body.slice(..BODY_ROW));
                    changes.push(Change::Spool { message, first_row, pieces: first });
                    (one.body, one.spooled_rows) = (pieces(&body.slice(BODY_ROW..)), 1);
                }
                changes.push(Change::Accept(Box::new(one)));
            }
            Step::Redate { which, at } if !live.is_empty() => {
                let place = which % live.len();
                let mut left = live[place].clone();
                left.due = due(left.due.destination.as_u64(), Class::Deferred, at);
                left.attempts += 1;
                changes.push(settle(&live[place], Some(left.clone())));
                live[place] = left;
            }
            Step::Leave { which, report } if !live.is_empty() => {
                let parcel = live.swap_remove(which % live.len());
                let mut change = settle(&parcel, None);
                if let (true, Change::Settle(settle)) = (report, &mut change) {
                    let report = accept(id, 500, &[due(2, Class::Fresh, id)]);
                    live.extend(report.parcels.iter().cloned());
                    settle.report = Some(Box::new(report));
                }
                changes.push(change);
            }
            Step::Abandon { rows } => {
                let message = QueueId::from_u64(id);
                let pieces = pieces(&octets(id, rows * BODY_ROW));
                changes.push(Change::Spool { message, first_row: 0, pieces });
                changes.push(Change::Abandon { message });
            }
            Step::Redate { .. } | Step::Leave { .. } => {}
        }
    }
    (changes, live)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_and_a_map_hold_the_same(steps in prop::collection::vec(step(), 1..60)) {
        let (changes, live) = changes(&steps);
        let dir = tempfile::tempdir().unwrap();
        let mut map = Map::default();
        map.put(Table::Meta, key::META_FORMAT, &[&key::FORMAT.to_le_bytes()]).unwrap();
        write_batch(&changes, QueueId::MIN, &mut map).unwrap();
        begin_at_one(dir.path());
        let mut rig = Rig::open(dir.path(), 0);
        prop_assert!(rig.change(changes).iter().all(Result::is_ok));

        let mut found = Vec::new();
        for (destination, class) in
            (0..3).flat_map(|destination| [Class::Fresh, Class::Deferred].map(|c| (destination, c)))
        {
            let load = page(destination, class, u64::MAX);
            let warn = &mut |sentence| panic!("{sentence}");
            let of_map = load.run(&map, &mut Unpress::default(), warn).unwrap();
            let loaded = rig.load(load);
            prop_assert_eq!(&loaded, &of_map);
            found.extend(parcels(loaded).0);
        }
        for parcel in &found {
            let id = parcel.message.id.as_u64();
            let body = parcel.body.as_ref().unwrap();
            prop_assert_eq!(body.pieces.concat(), octets(id, body.len()));
        }
        let ids = |parcels: &[Parcel]| {
            let mut ids: Vec<_> = parcels.iter().map(|parcel| (parcel.id(), parcel.due)).collect();
            ids.sort_by_key(|(id, _)| *id);
            ids
        };
        prop_assert_eq!(ids(&found), ids(&live));
        rig.store.stop();
        prop_assert_eq!(dump(dir.path()), map);
    }
}
