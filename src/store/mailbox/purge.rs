//! What nobody looks at any more goes from the disk, in small steps: ghosts of expunged messages,
//! the oldest marks of when they went, and the rows of deleted mailboxes.

use super::{
    held, key,
    record::{GhostRecord, MailboxRecord, Stored, decode, encode},
    row::{Fault, read},
};
use crate::{
    limits::EXPUNGES_REMEMBERED,
    mail::mailbox::{ContentId, Entry, MailboxId, ModSeq, Uid},
    store::{Rows, Table},
};

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Purged {
    /// Rows that went, changed or were passed on the way, at most: of a content that was compressed
    /// there are fewer.
    pub rows: usize,
    /// There may be more to do at once.
    pub more: bool,
}

/// Clears what `told` leaves to go: up to which MODSEQ every session in a mailbox has been told of
/// its changes, `None` where no session is in it. It ends when `limit` rows have gone, or more with
/// those of the last message's content.
///
/// It goes by seeks: mailboxes without ghosts are never looked at, and those whose ghosts must
/// stay cost few looks each.
pub fn purge<R: Rows>(
    rows: &mut R,
    told: &dyn Fn(MailboxId) -> Option<ModSeq>,
    limit: usize,
) -> Result<Purged, R::Error> {
    let mut purge = Purge { rows, limit, cleared: 0 };
    purge.ghosts(told)?;
    purge.doomed(told)?;
    Ok(Purged { rows: purge.cleared, more: purge.is_done() })
}

struct Purge<'a, R> {
    rows: &'a mut R,
    /// Rows after which this step ends, and those that it has cleared or passed.
    limit: usize,
    cleared: usize,
}

impl<R: Rows> Purge<'_, R> {
    fn is_done(&self) -> bool {
        self.cleared >= self.limit
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), R::Error> {
        self.cleared += 1;
        self.rows.delete(table, key)
    }

    fn release(&mut self, content: ContentId) -> Result<(), R::Error> {
        self.cleared = self.cleared.saturating_add(held::release(self.rows, content)?);
        Ok(())
    }

    fn ghosts(&mut self, told: &dyn Fn(MailboxId) -> Option<ModSeq>) -> Result<(), R::Error> {
        let mut next = Some(MailboxId(0));
        while let Some(from) = next
            && !self.is_done()
        {
            let first = self.rows.key_from(Table::Parting, &key::mailbox(from))?;
            let Some(mailbox) = first.and_then(key::read_mailbox) else { break };
            let upto = told(mailbox).unwrap_or(ModSeq(u64::MAX));
            // First, so that it keeps pace: without ghosts nobody looks here.
            self.forget(mailbox)?;
            for parting in self.keys(Table::Parting, mailbox, Some(upto))? {
                if self.is_done() {
                    break;
                }
                if let Some((_, _, uid)) = key::read_change(&parting) {
                    self.ghost(mailbox, uid)?;
                }
                self.delete(Table::Parting, &parting)?;
            }
            next = mailbox.0.checked_add(1).map(MailboxId);
        }
        Ok(())
    }

    /// The oldest marks of what has gone, where there are more than are kept. No row is passed
    /// twice. A session that has not heard of them yet will hear of all that is not there, as one
    /// does that comes back.
    fn forget(&mut self, mailbox: MailboxId) -> Result<(), R::Error> {
        let key = key::mailbox(mailbox);
        let mut record: MailboxRecord = match read(self.rows, Table::Mailbox, &key) {
            Ok(Some(record)) => record,
            Err(Fault::Rows(error)) => return Err(error),
            _ => return Ok(()),
        };
        let excess = record.remembered().saturating_sub(EXPUNGES_REMEMBERED) as usize;
        if excess == 0 {
            return Ok(());
        }
        let (modseq, uid) = record.forgotten.upto;
        let from = key::after(&key::change(mailbox, modseq, uid));
        let (mut marks, mut passed) = (Vec::new(), 0);
        let left = self.limit.saturating_sub(self.cleared);
        self.rows.walk(Table::Changed, &from, &mut |key, value| {
            let Some((of, modseq, uid)) = key::read_change(key) else { return false };
            if of != mailbox || passed == left || marks.len() == excess {
                return false;
            }
            passed += 1;
            record.forgotten.upto = (modseq, uid);
            if !value.is_empty() {
                marks.push(key.to_vec());
            }
            true
        })?;
        if passed == 0 {
            return Ok(());
        }
        self.cleared += passed;
        for mark in &marks {
            self.rows.delete(Table::Changed, mark)?;
        }
        record.forgotten.messages = record.forgotten.messages.saturating_add(marks.len() as u32);
        self.rows.put(Table::Mailbox, &key, &[&encode(Table::Mailbox, &key, &record)])
    }

    fn ghost(&mut self, mailbox: MailboxId, uid: Uid) -> Result<(), R::Error> {
        let key = key::message(mailbox, uid);
        match read::<GhostRecord, R>(self.rows, Table::Ghost, &key) {
            Ok(Some(ghost)) => self.release(ghost.entry.content)?,
            Err(Fault::Rows(error)) => return Err(error),
            // Its content is known no more and stays.
            _ => {}
        }
        self.delete(Table::Ghost, &key)
    }

    fn doomed(&mut self, told: &dyn Fn(MailboxId) -> Option<ModSeq>) -> Result<(), R::Error> {
        let mut next = Some(MailboxId(0));
        while let Some(from) = next
            && !self.is_done()
        {
            let first = self.rows.key_from(Table::Doomed, &key::mailbox(from))?;
            let Some(mailbox) = first.and_then(key::read_mailbox) else { break };
            next = mailbox.0.checked_add(1).map(MailboxId);
            // A session that has not heard of it yet may still read.
            if told(mailbox).is_none() {
                self.clear(mailbox)?;
            }
        }
        Ok(())
    }

    fn clear(&mut self, mailbox: MailboxId) -> Result<(), R::Error> {
        self.contents(mailbox, Table::Entry, |entry: Entry| entry.content)?;
        self.contents(mailbox, Table::Ghost, |ghost: GhostRecord| ghost.entry.content)?;
        for table in [Table::Parting, Table::Changed, Table::Marks] {
            for key in self.keys(table, mailbox, None)? {
                self.delete(table, &key)?;
            }
        }
        // There may be more of it where the step has ended.
        if !self.is_done() {
            self.delete(Table::Doomed, &key::mailbox(mailbox))?;
        }
        Ok(())
    }

    /// Deletes rows that show contents.
    fn contents<T: Stored>(
        &mut self,
        mailbox: MailboxId,
        table: Table,
        content: impl Fn(T) -> ContentId,
    ) -> Result<(), R::Error> {
        for key in self.keys(table, mailbox, None)? {
            if self.is_done() {
                break;
            }
            let shown = self.rows.row(table, &key)?.and_then(|row| decode(table, &key, row).ok());
            if let Some(shown) = shown {
                self.release(content(shown))?;
            }
            self.delete(table, &key)?;
        }
        Ok(())
    }

    /// Keys of a mailbox's rows, at most as many as may still go; of changes only those up to a
    /// MODSEQ.
    fn keys(
        &self,
        table: Table,
        mailbox: MailboxId,
        upto: Option<ModSeq>,
    ) -> Result<Vec<Vec<u8>>, R::Error> {
        let mut keys = Vec::new();
        let prefix = key::mailbox(mailbox);
        let left = self.limit.saturating_sub(self.cleared);
        self.rows.walk(table, &prefix, &mut |key, _| {
            let modseq = key::read_change(key).map(|(_, modseq, _)| modseq);
            let goes = key.starts_with(&prefix)
                && keys.len() < left
                && upto.is_none_or(|upto| modseq.is_none_or(|modseq| modseq <= upto));
            if goes {
                keys.push(key.to_vec());
            }
            goes
        })?;
        Ok(keys)
    }
}
