//! What must hold between all rows, whatever was done.

use std::collections::{BTreeMap, BTreeSet};

use super::Map;
use crate::{
    mail::{
        QueueId,
        mailbox::{AccountId, Entry, Flags, MailboxId, ModSeq, Summary, Uid},
    },
    store::{
        Table,
        content::Unpress,
        mailbox::{
            held, key,
            marks::{Kind, Reach, marked},
            record::{
                AccountRecord, FolderRecord, GhostRecord, HeldRecord, MailboxRecord, Stored, decode,
            },
        },
    },
};

impl Map {
    pub fn table<T: Stored>(&self, table: Table) -> BTreeMap<Vec<u8>, T> {
        self.rows(table)
            .map(|(key, value)| (key.clone(), decode(table, key, value).unwrap()))
            .collect()
    }

    pub fn rows(&self, table: Table) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        let rows = self.0.iter().filter(move |((of, _), _)| *of == table as u8);
        rows.map(|((_, key), value)| (key, value))
    }

    fn keys(&self, table: Table) -> BTreeSet<Vec<u8>> {
        self.rows(table).map(|(key, _)| key.clone()).collect()
    }

    /// Panics where two rows disagree.
    pub fn audit(&self) {
        let mailboxes: BTreeMap<_, MailboxRecord> = self.table(Table::Mailbox);
        let entries: BTreeMap<_, Entry> = self.table(Table::Entry);
        for (key, record) in &mailboxes {
            assert_eq!(key::read_mailbox(key), Some(record.standing.mailbox));
            self.audit_mailbox(record, &entries);
        }
        let validities: BTreeSet<u32> =
            mailboxes.values().map(|record| record.standing.uid_validity).collect();
        assert_eq!(validities.len(), mailboxes.len());
        self.audit_contents(&entries);
        self.audit_accounts(&mailboxes);
        let of_mailboxes: BTreeSet<MailboxId> = mailboxes
            .keys()
            .cloned()
            .chain(self.keys(Table::Doomed))
            .filter_map(|key| key::read_mailbox(&key))
            .collect();
        for table in [Table::Entry, Table::Ghost, Table::Parting, Table::Changed, Table::Marks] {
            for key in self.keys(table) {
                assert!(of_mailboxes.contains(&key::read_mailbox(&key).unwrap()), "{table:?}");
            }
        }
    }

    fn audit_mailbox(&self, record: &MailboxRecord, entries: &BTreeMap<Vec<u8>, Entry>) {
        let standing = &record.standing;
        let of = |key: &Vec<u8>| key::read_mailbox(key) == Some(standing.mailbox);
        let live: Vec<&Entry> =
            entries.iter().filter(|(key, _)| of(key)).map(|(_, entry)| entry).collect();
        let count = |bears: &dyn Fn(&Entry) -> bool| {
            live.iter().filter(|entry| bears(entry)).map(|entry| entry.uid).collect::<Vec<Uid>>()
        };
        let unseen = count(&|entry| !entry.flags.contains(Flags::SEEN));
        let deleted = count(&|entry| entry.flags.contains(Flags::DELETED));
        let present = count(&|_| true);
        let counts = [present.len(), unseen.len(), deleted.len()].map(|count| count as u32);
        assert_eq!(counts, [standing.messages, standing.unseen, standing.deleted]);
        assert_eq!(live.iter().map(|entry| entry.size).sum::<u64>(), standing.size);
        for (kind, uids) in
            [(Kind::Present, present), (Kind::Unseen, unseen), (Kind::Deleted, deleted)]
        {
            let marks =
                marked(self, standing, [(kind, Reach::All)], &mut |sentence| panic!("{sentence}"));
            let [marks] = marks.unwrap();
            assert_eq!(marks.iter().collect::<Vec<_>>(), uids, "{kind:?}");
        }
        for (key, entry) in entries.iter().filter(|(key, _)| of(key)) {
            assert_eq!(key::read_message(key), Some((standing.mailbox, entry.uid)));
            assert!(entry.uid < standing.uid_next && entry.modseq <= standing.highest_modseq);
            let known = standing.keywords.len() as u32;
            assert!(u64::BITS - entry.keywords.0.leading_zeros() <= known);
        }
        self.audit_changes(record, &live);
    }

    /// One row for each message that is there, and a mark for each that has gone and is remembered.
    fn audit_changes(&self, record: &MailboxRecord, live: &[&Entry]) {
        let standing = &record.standing;
        let mut there = BTreeSet::new();
        let mut gone = BTreeMap::new();
        for (key, value) in self.rows(Table::Changed) {
            let (mailbox, modseq, uid) = key::read_change(key).unwrap();
            if mailbox != standing.mailbox {
                continue;
            }
            assert!(modseq <= standing.highest_modseq);
            if value.is_empty() {
                there.insert((uid, modseq));
            } else {
                assert_eq!(gone.insert(uid, modseq), None);
            }
        }
        let entries: BTreeSet<(Uid, ModSeq)> =
            live.iter().map(|entry| (entry.uid, entry.modseq)).collect();
        assert_eq!(there, entries);
        assert!(live.iter().all(|entry| !gone.contains_key(&entry.uid)));
        assert_eq!(gone.len(), record.remembered() as usize);
        let forgotten = record.forgotten;
        assert_eq!(
            live.len() + gone.len() + forgotten.messages as usize,
            standing.uid_next.0 as usize - 1
        );
        assert!(gone.iter().all(|(uid, modseq)| (*modseq, *uid) > forgotten.upto));
        let ghosts: BTreeMap<_, GhostRecord> = self.table(Table::Ghost);
        let partings: BTreeSet<_> =
            self.keys(Table::Parting).iter().filter_map(|key| key::read_change(key)).collect();
        for (key, ghost) in &ghosts {
            let (mailbox, uid) = key::read_message(key).unwrap();
            assert!(partings.contains(&(mailbox, ghost.expunged, uid)));
            if mailbox == standing.mailbox {
                let is_forgotten = (ghost.expunged, uid) <= forgotten.upto;
                assert_eq!(gone.get(&uid), Some(&ghost.expunged).filter(|_| !is_forgotten));
            }
        }
        assert_eq!(partings.len(), ghosts.len());
    }

    fn audit_contents(&self, entries: &BTreeMap<Vec<u8>, Entry>) {
        let ghosts: BTreeMap<_, GhostRecord> = self.table(Table::Ghost);
        let mut references: BTreeMap<QueueId, u32> = BTreeMap::new();
        let shown = entries.values().map(|entry| entry.content);
        for content in shown.chain(ghosts.values().map(|ghost| ghost.entry.content)) {
            *references.entry(content).or_default() += 1;
        }
        let held: BTreeMap<_, HeldRecord> = self.table(Table::Held);
        assert_eq!(held.len(), references.len());
        for (content, count) in &references {
            let record = held[&key::content(*content)[..]];
            assert_eq!(record.references, *count, "{content}");
            let octets =
                held::part(self, *content, &record, (0, usize::MAX), &mut Unpress::default())
                    .unwrap();
            assert_eq!(octets.len() as u64, record.size);
        }
        let summaries: BTreeMap<_, Summary> = self.table(Table::Summary);
        assert!(summaries.keys().eq(held.keys()));
        let arriving = self.keys(Table::Arriving);
        for key in self.keys(Table::Content) {
            assert!(held.contains_key(&key[..8]) || arriving.contains(&key[..8]));
        }
    }

    fn audit_accounts(&self, mailboxes: &BTreeMap<Vec<u8>, MailboxRecord>) {
        let folders: BTreeMap<_, FolderRecord> = self.table(Table::Folder);
        let accounts: BTreeMap<_, AccountRecord> = self.table(Table::Account);
        for (key, account) in &accounts {
            let id = AccountId(u64::from_be_bytes(key[..].try_into().unwrap()));
            let own = mailboxes.values().filter(|record| record.account == id);
            let (octets, messages) = own.fold((0, 0), |(octets, messages), record| {
                let standing = &record.standing;
                (octets + standing.size, messages + u64::from(standing.messages))
            });
            assert_eq!((account.octets, account.messages), (octets, messages));
            let names = folders.keys().filter(|folder| folder.starts_with(key)).count();
            assert_eq!(names, account.folders as usize);
        }
        let named: BTreeSet<_> = folders.values().filter_map(|folder| folder.mailbox).collect();
        let all: BTreeSet<_> = mailboxes.values().map(|record| record.standing.mailbox).collect();
        assert_eq!(named, all);
        assert!(accounts.values().all(|account| named.contains(&account.inbox)));
    }
}
