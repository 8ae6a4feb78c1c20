//! The audit of mailboxes: the rows on disk against what the oracle knows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Boxes, Snapshot};
use crate::{
    disk::Disk,
    mail::mailbox::{Ask, ContentId, Found},
    oracle::{Checked, broken},
    store::Table,
    time::Instant,
};

impl Boxes {
    /// The accounts that the operator made before the first start.
    pub fn found(&mut self, keys: &[String], disk: &Disk, now: Instant) -> Checked {
        for key in keys {
            let ask = Ask::Account { key: key.clone().into() };
            if let Found::Account(Some(account)) = disk.ask(ask)? {
                self.accounts.insert(key.clone(), account.id);
            }
        }
        self.list(disk, now)
    }

    /// Every mailbox stands as it was left, and every content has its octets.
    pub fn audit(&self, disk: &Disk) -> Checked {
        let there: BTreeSet<_> = disk.mailboxes(Table::Mailbox).collect();
        let known = self.boxes.iter().filter(|(_, known)| !known.deleted);
        if !known.clone().map(|(id, _)| *id).eq(there.iter().copied()) {
            return broken(format!("mailboxes on disk: {there:?}"));
        }
        let mut shown: BTreeMap<ContentId, u32> = BTreeMap::new();
        for (id, known) in known {
            let Some(snapshot) = Snapshot::of(disk, *id)? else { continue };
            if snapshot.entries != known.entries {
                return broken(format!("{id:?} holds {:?} on disk", snapshot.entries.keys()));
            }
            let standing = &snapshot.standing;
            let size: u64 = known.entries.values().map(|entry| entry.size).sum();
            if (standing.messages as usize, standing.size) != (known.entries.len(), size) {
                return broken(format!("{id:?} is told to be {standing:?}"));
            }
            for entry in known.entries.values() {
                *shown.entry(entry.content).or_default() += 1;
            }
        }
        let held: BTreeSet<ContentId> = disk.contents().collect();
        if let Some(missing) = shown.keys().find(|content| !held.contains(content)) {
            return broken(format!("{missing} is shown, and is not there"));
        }
        for (key, id) in &self.accounts {
            if let Found::Usage { octets, .. } = disk.ask(Ask::Usage { account: *id })?
                && self.used.get(id).is_some_and(|used| used.0 != octets)
            {
                return broken(format!("{key} is told to use {octets}: {:?}", self.used.get(id)));
            }
        }
        Ok(())
    }

    /// In the end each message reads as it was sent, and nothing lies there that nobody shows.
    pub fn audit_contents(&self, disk: &Disk) -> Checked {
        let mut shown = BTreeSet::new();
        for known in self.boxes.values().filter(|known| !known.deleted) {
            for entry in known.entries.values() {
                let content = entry.content;
                shown.insert(content);
                let Found::Content(octets) =
                    disk.ask(Ask::Content { content, offset: 0, octets: 1 << 20 })?
                else {
                    continue;
                };
                if self.contents.get(&content).is_none_or(|sent| *sent != octets) {
                    return broken(format!("{content} reads otherwise than it was sent"));
                }
                let length = self.octets_of(entry).map_or(0, |octets| octets.len());
                if entry.size != length as u64 {
                    return broken(format!("{entry:?} has {length} octets"));
                }
            }
        }
        let held: BTreeSet<ContentId> = disk.contents().collect();
        match held == shown {
            true => Ok(()),
            false => broken(format!("contents that nobody shows: {:?}", &held - &shown)),
        }
    }
}
