//! Accounts and aliases: what the operator's commands change.

use bytes::Bytes;

use super::{
    key,
    record::{AccountRecord, AddressRecord, FolderRecord, decode},
    row::{Fault, Step, damage, erase, read, write},
    tree::{Tree, doom, make_mailbox, mint},
};
use crate::{
    limits::ALIAS_TARGETS_MAX,
    mail::mailbox::{
        AccountId, Directory, Done, MailboxId, MailboxName, NameError, Refusal, SpecialUse,
    },
    store::{Reads, Rows, Table},
};

/// What every account has from its beginning, besides INBOX.
const FOLDERS: [(&str, SpecialUse); 5] = [
    ("Archive", SpecialUse::Archive),
    ("Drafts", SpecialUse::Drafts),
    ("Junk", SpecialUse::Junk),
    ("Sent", SpecialUse::Sent),
    ("Trash", SpecialUse::Trash),
];

pub fn change<R: Rows>(
    rows: &mut R,
    change: &Directory,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    match change {
        Directory::AddAccount { key, password, quota } => {
            add_account(rows, key, password, *quota)?;
        }
        Directory::SetPassword { key, password } => {
            let (id, _) = account(rows, key)?.ok_or(Fault::Refused(Refusal::NoAddress))?;
            let record = AddressRecord::Account { id, password: password.clone() };
            write(rows, Table::Address, key, &record)?;
        }
        Directory::SetQuota { key, quota } => {
            let (id, _) = account(rows, key)?.ok_or(Fault::Refused(Refusal::NoAddress))?;
            let mut tree = Tree::of(rows, id)?;
            tree.account.quota = *quota;
            tree.close()?;
        }
        Directory::RemoveAccount { key } => {
            let (id, _) = account(rows, key)?.ok_or(Fault::Refused(Refusal::NoAddress))?;
            remove_account(rows, key, id, touched)?;
        }
        Directory::AddAlias { key, targets } => {
            let fits = key::is_address(key) && targets.len() <= ALIAS_TARGETS_MAX;
            if !fits {
                return Err(Fault::Refused(Refusal::NoAddress));
            }
            if address(rows, key)?.is_some() {
                return Err(Fault::Refused(Refusal::Exists));
            }
            let record = AddressRecord::Alias { targets: targets.clone() };
            write(rows, Table::Address, key, &record)?;
        }
        Directory::RemoveAlias { key } => match address(rows, key)? {
            Some(AddressRecord::Alias { .. }) => erase(rows, Table::Address, key)?,
            _ => return Err(Fault::Refused(Refusal::NoAddress)),
        },
    }
    Ok(Done::Done)
}

/// What an address leads to.
pub fn address<R: Reads>(reads: &R, key: &[u8]) -> Step<Option<AddressRecord>, R::Error> {
    // LMDB takes a key that is too long for an error of its own.
    if !key::is_address(key) {
        return Ok(None);
    }
    read(reads, Table::Address, key)
}

/// The account with this very address: its id, and its password's hash.
pub fn account<R: Reads>(reads: &R, key: &[u8]) -> Step<Option<(AccountId, Bytes)>, R::Error> {
    Ok(match address(reads, key)? {
        Some(AddressRecord::Account { id, password }) => Some((id, password)),
        _ => None,
    })
}

fn add_account<R: Rows>(
    rows: &mut R,
    key: &Bytes,
    password: &Bytes,
    quota: Option<u64>,
) -> Step<(), R::Error> {
    if !key::is_address(key) {
        return Err(Fault::Refused(Refusal::NoAddress));
    }
    if address(rows, key)?.is_some() {
        return Err(Fault::Refused(Refusal::Exists));
    }
    let id = AccountId(mint(rows)?);
    let inbox = make_mailbox(rows, id)?;
    let address = AddressRecord::Account { id, password: password.clone() };
    write(rows, Table::Address, key, &address)?;
    let (octets, messages, folders) = (0, 0, 0);
    let account = AccountRecord { inbox, quota, octets, messages, folders, key: key.clone() };
    let mut tree = Tree { rows, id, account };
    let record = FolderRecord { mailbox: Some(inbox), subscribed: true, special_use: None };
    tree.put(&MailboxName::inbox(), record)?;
    for (name, special_use) in FOLDERS {
        let besides = FolderRecord { special_use: Some(special_use), ..record };
        let name = MailboxName::parse(name);
        let name = name.map_err(|_: NameError| Fault::Refused(Refusal::Name))?;
        tree.make(&name, besides)?;
    }
    tree.close()
}

/// The account is gone at once; its mailboxes' rows go in steps. Its names are few (`FOLDERS_MAX`).
fn remove_account<R: Rows>(
    rows: &mut R,
    key: &[u8],
    id: AccountId,
    touched: &mut Vec<MailboxId>,
) -> Step<(), R::Error> {
    let prefix = key::account(id);
    let mut mailboxes = Vec::new();
    let mut fault = None;
    let walked = rows.walk(Table::Folder, &prefix, &mut |key, value| {
        if !key.starts_with(&prefix) {
            return false;
        }
        match decode::<FolderRecord>(Table::Folder, key, value) {
            Ok(record) => mailboxes.extend(record.mailbox),
            Err(error) => fault = Some(damage(Table::Folder, key, error)),
        }
        fault.is_none()
    });
    walked.map_err(Fault::Rows)?;
    if let Some(sentence) = fault {
        return Err(Fault::Damaged(sentence));
    }
    for mailbox in mailboxes {
        doom(rows, mailbox)?;
        touched.push(mailbox);
    }
    rows.delete_prefix(Table::Folder, &prefix).map_err(Fault::Rows)?;
    erase(rows, Table::Account, &prefix)?;
    erase(rows, Table::Address, key)
}
