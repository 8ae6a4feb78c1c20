//! The simulated disk: the same rows as LMDB holds, in a map. What is not committed is gone when
//! the power goes; a commit under way is there whole or not at all.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
};

use crate::{
    limits::{BATCH_CHANGES_MAX, CHECKSUM},
    mail::{
        Message, QueueId,
        mailbox::{Act, Ask, Found, MailboxId, ModSeq},
    },
    oracle::{Broken, Checked},
    relay::Ticket,
    store::{
        Change, Load, Loaded, Reads, Rows, Table, Written,
        content::Unpress,
        key,
        mailbox::{Purged, purge},
        write_batch,
    },
    time::Instant,
};

/// A change handed over by a core.
#[derive(Debug)]
pub struct Job {
    pub core: u16,
    pub ticket: Ticket,
    pub change: Change,
}

#[derive(Default)]
pub struct Disk {
    rows: Stable,
    /// The highest queue id that the process knows of; its number.
    highest: u64,
    /// Handed over, in order.
    pub waiting: VecDeque<Job>,
    /// In the transaction under way.
    pub committing: Option<Vec<Job>>,
    /// Settlements that found no room. They must succeed.
    pub owed: Vec<Job>,
    /// When the last answer to a commit arrives.
    pub told: Instant,
    pub full: bool,
    pub slow: bool,
    /// The next commit fails, and all that follow.
    pub broken: bool,
    /// Reads fail.
    pub unreadable: bool,
}

#[derive(Default)]
struct Stable(BTreeMap<Vec<u8>, Vec<u8>>);

impl Disk {
    /// What the relay is told of the room.
    pub fn free(&self) -> u64 {
        if self.full { 0 } else { 1 << 40 }
    }

    /// The highest queue id ever committed, as a start reads it.
    pub fn highest(&self) -> QueueId {
        let row = self.row_of(Table::Meta, key::META_HIGHEST).and_then(|row| row.try_into().ok());
        QueueId::from_u64(row.map_or(0, u64::from_le_bytes))
    }

    /// Takes what one transaction holds, at most `limit` changes.
    pub fn begin(&mut self, limit: usize) {
        let count = self.waiting.len().min(limit.clamp(1, BATCH_CHANGES_MAX));
        self.committing = Some(self.waiting.drain(..count).collect());
    }

    /// The transaction is on stable storage.
    pub fn write<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) -> Written {
        let known = QueueId::from_u64(self.highest);
        let Ok(written) = write_batch(changes, known, &mut self.rows);
        self.highest = written.highest.as_u64();
        written
    }

    /// A step of clearing away what nobody looks at any more.
    pub fn purge(&mut self, told: &dyn Fn(MailboxId) -> Option<ModSeq>, limit: usize) -> Purged {
        let Ok(purged) = purge(&mut self.rows, told, limit);
        purged
    }

    /// Asks what a session might ask.
    pub fn ask(&self, ask: Ask) -> Checked<Found> {
        let mut fault = None;
        let text = format!("{ask:?}");
        let Ok(loaded) =
            Load::Mailbox(Box::new(ask))
                .run(self, &mut Unpress::default(), &mut |what| fault = Some(what));
        match (loaded, fault) {
            (Loaded::Mailbox(found), None) => Ok(*found),
            (other, fault) => Err(Broken(format!("{text} is answered {other:?}, {fault:?}"))),
        }
    }

    /// What a start does first: bodies that were never accepted go.
    pub fn sweep(&mut self) -> usize {
        let spooled: Vec<QueueId> = self.keys(Table::Spool).filter_map(key::read_message).collect();
        for &message in &spooled {
            let Ok(_) = write_batch([&Change::Abandon { message }], QueueId::MAX, &mut self.rows);
        }
        let arriving: Vec<QueueId> =
            self.keys(Table::Arriving).filter_map(key::read_message).collect();
        for &content in &arriving {
            let change = Change::Mailbox(Box::new(Act::Abandon { content }));
            let Ok(_) = write_batch([&change], QueueId::MAX, &mut self.rows);
        }
        spooled.len() + arriving.len()
    }

    /// The process is gone; so is what it had not committed.
    pub fn forget(&mut self) {
        self.waiting.clear();
        self.owed.clear();
        self.committing = None;
        self.broken = false;
        self.highest = self.highest().as_u64();
    }

    /// Nothing is queued, and nothing waits to be cleared away.
    pub fn is_empty(&self) -> bool {
        self.left().is_none()
    }

    /// A table in which something is left.
    pub fn left(&self) -> Option<Table> {
        use Table::{Arriving, Body, Doomed, Due, Ghost, Message, Parcel, Parting, Spool};
        [Message, Parcel, Due, Body, Spool, Arriving, Doomed, Ghost, Parting]
            .into_iter()
            .find(|table| self.keys(*table).next().is_some())
    }

    /// UIDs of a mailbox's rows in a table that is ordered by them.
    pub fn uids_of(&self, table: Table, mailbox: MailboxId) -> impl Iterator<Item = u32> {
        let prefix = named(table, &mailbox.0.to_be_bytes());
        let keys = self.rows.0.range(prefix.clone()..).map(|(key, _)| key);
        keys.take_while(move |key| key.starts_with(&prefix))
            .filter_map(|key| Some(u32::from_be_bytes(*key.last_chunk()?)))
    }

    pub fn mailboxes(&self, table: Table) -> impl Iterator<Item = MailboxId> {
        self.keys(table).filter_map(|key| Some(MailboxId(u64::from_be_bytes(*key.first_chunk()?))))
    }

    pub fn contents(&self) -> impl Iterator<Item = QueueId> {
        self.keys(Table::Held).filter_map(key::read_message)
    }

    pub fn keys(&self, table: Table) -> impl Iterator<Item = &[u8]> {
        let prefix = [table as u8];
        self.rows
            .0
            .range(prefix.to_vec()..)
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(|(key, _)| &key[1..])
    }

    pub fn row_of(&self, table: Table, key: &[u8]) -> Option<&[u8]> {
        let Ok(row) = self.rows.row(table, key);
        row
    }

    /// The rows of a body with their checksums, in order.
    pub fn body_rows(&self, id: QueueId) -> impl Iterator<Item = &[u8]> {
        let prefix = named(Table::Body, &key::message(id));
        let range = self.rows.0.range(prefix.clone()..);
        range.take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, row)| row.as_slice())
    }

    /// A body as it lies there.
    pub fn body_of(&self, message: &Message) -> Vec<u8> {
        self.body_rows(message.id).flat_map(|row| &row[..row.len() - CHECKSUM]).copied().collect()
    }
}

/// A change that is held against how mailboxes stood before it.
pub fn concerns_mailboxes(change: &Change) -> bool {
    match change {
        Change::Mailbox(_) => true,
        Change::Settle(settle) => settle.delivery.is_some(),
        Change::Accept(_) | Change::Spool { .. } | Change::Abandon { .. } => false,
    }
}

fn named(table: Table, key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(1 + key.len());
    name.push(table as u8);
    name.extend_from_slice(key);
    name
}

impl Rows for Stable {
    fn put(&mut self, table: Table, key: &[u8], value: &[&[u8]]) -> Result<(), Infallible> {
        self.0.insert(named(table, key), value.concat());
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Infallible> {
        self.0.remove(&named(table, key));
        Ok(())
    }

    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), Infallible> {
        let prefix = named(table, prefix);
        let range = self.0.range(prefix.clone()..);
        let keys: Vec<Vec<u8>> = range
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(key, _)| key.clone())
            .collect();
        keys.iter().for_each(|key| drop(self.0.remove(key)));
        Ok(())
    }

    fn any_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<bool, Infallible> {
        let prefix = named(table, prefix);
        let next = self.0.range(prefix.clone()..).next();
        Ok(next.is_some_and(|(key, _)| key.starts_with(&prefix)))
    }
}

impl Reads for Stable {
    type Error = Infallible;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Infallible> {
        Ok(self.0.get(&named(table, key)).map(Vec::as_slice))
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, Infallible> {
        let next = self.0.range(named(table, from)..).next();
        Ok(next.filter(|(key, _)| key[0] == table as u8).map(|(key, _)| &key[1..]))
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Infallible> {
        for (key, value) in self.0.range(named(table, from)..) {
            if key[0] != table as u8 || !visit(&key[1..], value) {
                break;
            }
        }
        Ok(())
    }
}

impl Reads for Disk {
    type Error = Infallible;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Infallible> {
        self.rows.row(table, key)
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, Infallible> {
        self.rows.key_from(table, from)
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Infallible> {
        self.rows.walk(table, from, visit)
    }
}
