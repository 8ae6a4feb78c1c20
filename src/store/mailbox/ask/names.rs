//! Names in pages: the folders of an account, and the addresses of all of them.

use bytes::Bytes;

use super::{standing, usage};
use crate::{
    limits::FOLDERS_PAGE,
    mail::mailbox::{AccountId, AddressLine, Folder, Found, MailboxName},
    store::{
        Reads, Table,
        mailbox::{
            key::{self, Named},
            record::{AddressRecord, FolderRecord, decode},
            row::{Fault, Step, damage, read},
        },
        record::RecordError,
    },
};

/// Names of an account behind one of them.
pub fn folders<R: Reads>(
    reads: &R,
    account: AccountId,
    after: Option<&MailboxName>,
    standing: bool,
    warn: &mut dyn FnMut(String),
) -> Step<Found, R::Error> {
    let prefix = key::account(account);
    let from = match after {
        Some(name) => key::after(&key::folder(account, name)),
        None => Named::from_slice(&prefix),
    };
    let (mut found, mut more) = (Vec::new(), false);
    let walked = reads.walk(Table::Folder, &from, &mut |key, value| {
        if !key.starts_with(&prefix) {
            return false;
        }
        if found.len() >= FOLDERS_PAGE {
            more = true;
            return false;
        }
        match (key::read_folder(key), decode(Table::Folder, key, value)) {
            (Some((_, name)), Ok(record)) => found.push((name, record)),
            (None, Ok(_)) => warn(damage(Table::Folder, key, RecordError::Field("name"))),
            (_, Err(error)) => warn(damage(Table::Folder, key, error)),
        }
        true
    });
    walked.map_err(Fault::Rows)?;
    let named = |(name, record)| one(reads, name, record, standing, warn);
    let folders = found.into_iter().map(named).collect::<Result<_, _>>()?;
    Ok(Found::Folders { folders, more })
}

/// One name with its standing.
pub fn folder<R: Reads>(
    reads: &R,
    account: AccountId,
    name: &MailboxName,
    warn: &mut dyn FnMut(String),
) -> Step<Option<Folder>, R::Error> {
    let record = read(reads, Table::Folder, &key::folder(account, name))?;
    record.map(|record| one(reads, name.clone(), record, true, warn)).transpose()
}

/// Addresses behind one of them.
pub fn accounts<R: Reads>(
    reads: &R,
    after: Option<&[u8]>,
    warn: &mut dyn FnMut(String),
) -> Step<Found, R::Error> {
    let from = after.filter(|key| key::is_address(key)).map(key::after).unwrap_or_default();
    let (mut found, mut more) = (Vec::new(), false);
    let walked = reads.walk(Table::Address, &from, &mut |key, value| {
        if found.len() >= FOLDERS_PAGE {
            more = true;
            return false;
        }
        match decode::<AddressRecord>(Table::Address, key, value) {
            Ok(record) => found.push((Bytes::copy_from_slice(key), record)),
            Err(error) => warn(damage(Table::Address, key, error)),
        }
        true
    });
    walked.map_err(Fault::Rows)?;
    let mut lines = Vec::with_capacity(found.len());
    for (key, record) in found {
        lines.push(match record {
            AddressRecord::Alias { targets } => AddressLine { key, targets, account: None },
            AddressRecord::Account { id, .. } => {
                let account = match usage(reads, id) {
                    Err(Fault::Damaged(sentence)) => {
                        warn(sentence);
                        None
                    }
                    other => other?,
                };
                let used = account.map(|one| (one.quota, one.octets, one.messages));
                let account = Some(used.unwrap_or_default());
                AddressLine { key, targets: Vec::new(), account }
            }
        });
    }
    Ok(Found::Accounts { lines, more })
}

fn one<R: Reads>(
    reads: &R,
    name: MailboxName,
    record: FolderRecord,
    with_standing: bool,
    warn: &mut dyn FnMut(String),
) -> Step<Folder, R::Error> {
    let FolderRecord { mailbox, subscribed, special_use } = record;
    let standing = match mailbox.filter(|_| with_standing) {
        Some(mailbox) => match standing(reads, mailbox) {
            Ok(standing) => standing.map(Box::new),
            Err(Fault::Damaged(sentence)) => {
                warn(sentence);
                None
            }
            Err(other) => return Err(other),
        },
        None => None,
    };
    Ok(Folder { name, mailbox, subscribed, special_use, standing })
}
