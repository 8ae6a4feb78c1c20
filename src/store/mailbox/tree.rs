//! An account's folders while an act changes them: their rows, and the count of them.

use super::{
    key,
    record::{AccountRecord, FolderRecord, LastId, MailboxRecord, decode},
    row::{Fault, Step, damage, erase, read, write},
};
use crate::{
    limits::FOLDERS_MAX,
    mail::mailbox::{AccountId, MailboxId, MailboxName, ModSeq, Refusal, Standing, Uid},
    store::{Reads, Rows, Table},
};

/// The folders of an account that exists.
pub struct Tree<'a, R> {
    pub rows: &'a mut R,
    pub id: AccountId,
    pub account: AccountRecord,
}

/// The mailbox of a name.
pub fn mailbox<R: Reads>(
    reads: &R,
    account: AccountId,
    name: &MailboxName,
) -> Step<Option<MailboxId>, R::Error> {
    let record = read::<FolderRecord, R>(reads, Table::Folder, &key::folder(account, name))?;
    Ok(record.and_then(|record| record.mailbox))
}

/// Numbers of accounts and mailboxes begin anywhere in a new store, by chance: a UIDVALIDITY is
/// made of them, and a client that knew an account in a store that was lost must find none that
/// it knows (RFC 3501 §2.3.1.1).
pub fn begin<R: Rows>(rows: &mut R, chance: u32) -> Result<(), R::Error> {
    // The lower half of what a UIDVALIDITY can be; the rest is for mailboxes to come.
    let first = LastId(u64::from(chance >> 2));
    match write(rows, Table::Meta, key::META_LAST_ID, &first) {
        Err(Fault::Rows(error)) => Err(error),
        _ => Ok(()),
    }
}

/// The next id of an account or mailbox. It is the first thing that an act writes.
pub fn mint<R: Rows>(rows: &mut R) -> Step<u64, R::Error> {
    let last = read(rows, Table::Meta, key::META_LAST_ID)?.map_or(0, |LastId(last)| last);
    let next = last.checked_add(1).ok_or(Fault::Refused(Refusal::Mailboxes))?;
    write(rows, Table::Meta, key::META_LAST_ID, &LastId(next))?;
    Ok(next)
}

/// A new and empty mailbox, under no name yet.
pub fn make_mailbox<R: Rows>(rows: &mut R, account: AccountId) -> Step<MailboxId, R::Error> {
    let mailbox = MailboxId(mint(rows)?);
    // Some clients take it for a signed number.
    let validity = mailbox.0 as u32 & (u32::MAX >> 1);
    let standing = Standing {
        mailbox,
        uid_validity: validity.max(1),
        uid_next: Uid(1),
        // RFC 7162 §3.1.2.1: HIGHESTMODSEQ is positive.
        highest_modseq: ModSeq(1),
        messages: 0,
        unseen: 0,
        deleted: 0,
        size: 0,
        recent_from: Uid(1),
        keywords: Vec::new(),
    };
    let record = MailboxRecord::new(account, standing);
    write(rows, Table::Mailbox, &key::mailbox(mailbox), &record)?;
    Ok(mailbox)
}

/// A mailbox goes, its rows in steps. Gives the octets and messages that the account is rid of.
pub fn doom<R: Rows>(rows: &mut R, mailbox: MailboxId) -> Step<(u64, u64), R::Error> {
    let key = key::mailbox(mailbox);
    let freed = match read::<MailboxRecord, R>(rows, Table::Mailbox, &key) {
        Ok(Some(record)) => (record.standing.size, u64::from(record.standing.messages)),
        Err(Fault::Rows(error)) => return Err(Fault::Rows(error)),
        // A damaged mailbox can be deleted all the same.
        _ => (0, 0),
    };
    erase(rows, Table::Mailbox, &key)?;
    rows.put(Table::Doomed, &key, &[]).map_err(Fault::Rows)?;
    Ok(freed)
}

impl<'a, R: Rows> Tree<'a, R> {
    pub fn of(rows: &'a mut R, id: AccountId) -> Step<Self, R::Error> {
        let account = read(rows, Table::Account, &key::account(id))?;
        let account = account.ok_or(Fault::Refused(Refusal::NoMailbox))?;
        Ok(Self { rows, id, account })
    }

    pub fn folder(&self, name: &MailboxName) -> Step<Option<FolderRecord>, R::Error> {
        read(self.rows, Table::Folder, &key::folder(self.id, name))
    }

    /// All names below this one.
    pub fn below(&self, name: &MailboxName) -> Step<Vec<(MailboxName, FolderRecord)>, R::Error> {
        let prefix = key::below(self.id, name);
        let mut found = Vec::new();
        let mut fault = None;
        let walked = self.rows.walk(Table::Folder, &prefix, &mut |key, value| {
            if !key.starts_with(&prefix) {
                return false;
            }
            match (key::read_folder(key), decode(Table::Folder, key, value)) {
                (Some((_, name)), Ok(record)) => found.push((name, record)),
                (_, Err(error)) => fault = Some(damage(Table::Folder, key, error)),
                // Its checksum fits, so we wrote it; an older version may have had longer names.
                (None, Ok(_)) => {}
            }
            fault.is_none()
        });
        walked.map_err(Fault::Rows)?;
        fault.map_or(Ok(found), |sentence| Err(Fault::Damaged(sentence)))
    }

    /// The levels above a name that are no mailboxes yet, the highest first.
    pub fn missing_above(&self, name: &MailboxName) -> Step<Vec<MailboxName>, R::Error> {
        let mut missing = Vec::new();
        let mut above = name.parent();
        while let Some(level) = above {
            if self.folder(&level)?.is_none_or(|record| record.mailbox.is_none()) {
                missing.push(level.clone());
            }
            above = level.parent();
        }
        missing.reverse();
        Ok(missing)
    }

    /// Refuses where the account would have too many names with so many more.
    pub fn takes(&self, names: usize) -> Step<(), R::Error> {
        match self.account.folders as usize + names > FOLDERS_MAX {
            true => Err(Fault::Refused(Refusal::Mailboxes)),
            false => Ok(()),
        }
    }

    /// Gives a name a new mailbox, with what the name has besides.
    pub fn make(&mut self, name: &MailboxName, besides: FolderRecord) -> Step<MailboxId, R::Error> {
        let mailbox = make_mailbox(self.rows, self.id)?;
        self.put(name, FolderRecord { mailbox: Some(mailbox), ..besides })?;
        Ok(mailbox)
    }

    pub fn put(&mut self, name: &MailboxName, record: FolderRecord) -> Step<(), R::Error> {
        let key = key::folder(self.id, name);
        let known = self.rows.row(Table::Folder, &key).map_err(Fault::Rows)?.is_some();
        self.account.folders += u32::from(!known);
        write(self.rows, Table::Folder, &key, &record)
    }

    pub fn remove(&mut self, name: &MailboxName) -> Step<(), R::Error> {
        self.account.folders = self.account.folders.saturating_sub(1);
        erase(self.rows, Table::Folder, &key::folder(self.id, name))
    }

    /// A name that is neither a mailbox nor subscribed, with nothing below it, goes; then the one
    /// above it, if that is such a name too.
    pub fn prune(&mut self, name: MailboxName) -> Step<(), R::Error> {
        let mut level = Some(name);
        while let Some(name) = level {
            let idle = match self.folder(&name) {
                Ok(Some(record)) => record.mailbox.is_none() && !record.subscribed,
                Err(Fault::Rows(error)) => return Err(Fault::Rows(error)),
                // One that is damaged stays as it is.
                Err(_) => return Ok(()),
                Ok(None) => false,
            };
            let below = key::below(self.id, &name);
            if idle && !self.rows.any_prefix(Table::Folder, &below).map_err(Fault::Rows)? {
                self.remove(&name)?;
            }
            level = name.parent();
        }
        Ok(())
    }

    /// Writes what is counted.
    pub fn close(self) -> Step<(), R::Error> {
        write(self.rows, Table::Account, &key::account(self.id), &self.account)
    }
}
