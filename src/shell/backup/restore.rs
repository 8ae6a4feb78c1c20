//! `ringmail restore`: a store made of a backup; and a part of one, to be exported.

use std::{borrow::Cow, collections::BTreeSet, path::Path};

use bytes::Bytes;

use super::{super::entropy, BackupError, folder::Folder, reader::Manifest};
use crate::{
    config::Config,
    limits::RESTORED_TOGETHER,
    mail::{
        QueueId,
        mailbox::{AccountId, Ask, Found, MailboxId, MailboxName, Uid, Uids, Want},
    },
    shell::lmdb::{Filling, Source},
    store::{
        Table,
        backup::{self, End, Located, MANIFEST, RowIter, UnitHead, UnitKind, block::BlockKind},
        content::Unpress,
        mailbox::{ask, moved_on},
    },
};

/// What was restored.
#[derive(Clone, Copy, Debug)]
pub struct Restored {
    pub end: End,
}

/// Whose mail is taken out of a backup.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The account, as `Account::key` has it.
    pub key: Bytes,
    /// `None`: all folders.
    pub mailbox: Option<MailboxName>,
}

/// Fills the empty `data_dir` of `config` with the backup in `dir`.
pub fn restore(config: &Config, dir: &Path) -> Result<Restored, BackupError> {
    let (folder, manifest) = Folder::to_read(dir)?;
    let filling = Filling::begin(&config.data_dir, &config.store)?;
    let rows = fill_rows(&folder, &filling, &mut |_, _| Ok(true))?;
    let mut found = End { rows, ..End::new(manifest.end.begun) };
    fill_units(&folder, &manifest, &filling, |line| {
        found.count(line);
        true
    })?;
    if found.rows != manifest.end.rows || !found.same_units(&manifest.end) {
        return Err(BackupError::Malformed { path: folder.file(MANIFEST) });
    }
    filling.finish(&config.data_dir, &config.store)?;
    Ok(Restored { end: manifest.end })
}

/// The mail of one account out of a backup, in a store that has no name and goes with this value.
/// Its files are made in `scratch`, which does not exist yet and does not stay.
pub fn account(dir: &Path, wanted: &Wanted, scratch: &Path) -> Result<Source, BackupError> {
    let (folder, manifest) = Folder::to_read(dir)?;
    let filling = Filling::nameless(scratch)?;
    let mut chosen = Chosen { filling: &filling, wanted, account: None, mailboxes: None };
    let mut contents: Option<BTreeSet<QueueId>> = None;
    fill_rows(&folder, &filling, &mut |table, key| {
        // The rows come table by table: what a row is chosen by lies before it.
        Ok(match table {
            Table::Meta | Table::Address | Table::Account => true,
            Table::Folder => {
                chosen.account()?.is_some_and(|id| key.starts_with(&id.0.to_be_bytes()))
            }
            Table::Mailbox | Table::Marks | Table::Entry => chosen.has_mailbox(key)?,
            Table::Held => {
                if contents.is_none() {
                    contents = Some(chosen.contents()?);
                }
                let id = key.try_into().map(u64::from_be_bytes).map(QueueId::from_u64);
                let contents = contents.as_ref();
                id.is_ok_and(|id| contents.is_some_and(|contents| contents.contains(&id)))
            }
            _ => false,
        })
    })?;
    if chosen.account()?.is_none() {
        let key = String::from_utf8_lossy(&wanted.key).into_owned();
        return Err(BackupError::NoAccount(key));
    }
    let contents = contents.unwrap_or_default();
    fill_units(&folder, &manifest, &filling, |line| {
        line.kind == UnitKind::Content && contents.contains(&line.id)
    })?;
    Ok(filling.into_source())
}

type Choose<'a> = &'a mut dyn FnMut(Table, &[u8]) -> Result<bool, BackupError>;

/// Puts the rows of the manifest that `choose` takes; gives their count.
fn fill_rows(folder: &Folder, filling: &Filling, choose: Choose<'_>) -> Result<u64, BackupError> {
    let chance = entropy::octets().map_err(BackupError::Entropy)?;
    let chance = u16::from_le_bytes(chance);
    let mut blocks = folder.blocks(MANIFEST)?;
    let mut raw = Vec::new();
    let mut count = 0;
    while let Some((kind, payload)) = blocks.next()? {
        if kind != BlockKind::Rows {
            break;
        }
        if !backup::unpack(payload, &mut raw) {
            return Err(blocks.malformed());
        }
        let mut rows = Vec::new();
        let mut of = None;
        for row in RowIter(&raw) {
            let (table, key, value) = row.map_err(|_| blocks.malformed())?;
            // A row may be chosen by all rows of the tables before its own.
            if of.replace(table).is_some_and(|before| before != table) {
                filling.put(rows.drain(..))?;
            }
            if choose(table, key)? {
                let value = match table {
                    Table::Mailbox => {
                        moved_on(key, value, chance).map_or(Cow::Borrowed(value), Cow::Owned)
                    }
                    _ => Cow::Borrowed(value),
                };
                rows.push((table, key, value));
                count += 1;
            }
        }
        filling.put(rows.into_iter())?;
    }
    Ok(count)
}

/// Puts the rows of the units that `choose` takes.
fn fill_units(
    folder: &Folder,
    manifest: &Manifest,
    filling: &Filling,
    mut choose: impl FnMut(&Located) -> bool,
) -> Result<(), BackupError> {
    let mut index = manifest.index(folder)?;
    let mut open = None;
    let mut gathered = Vec::new();
    while let Some(line) = index.next()? {
        if !choose(&line) {
            continue;
        }
        let mut segment = match open.take() {
            Some((number, blocks)) if number == line.segment => blocks,
            _ => folder.blocks(line.segment)?,
        };
        let path = folder.file(line.segment);
        segment.unit(&line, |payload| {
            let malformed = || BackupError::Malformed { path: path.clone() };
            let (_, rows) = UnitHead::split(payload).ok_or_else(malformed)?;
            gathered.extend_from_slice(rows);
            match gathered.len() >= RESTORED_TOGETHER {
                true => put_gathered(filling, &mut gathered, &path),
                false => Ok(()),
            }
        })?;
        open = Some((line.segment, segment));
    }
    put_gathered(filling, &mut gathered, folder.path())
}

fn put_gathered(filling: &Filling, rows: &mut Vec<u8>, path: &Path) -> Result<(), BackupError> {
    let read = RowIter(rows).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|_| BackupError::Malformed { path: path.into() })?;
    filling.put(read.into_iter().map(|(table, key, value)| (table, key, Cow::Borrowed(value))))?;
    rows.clear();
    Ok(())
}

/// What is known of an account while its rows come.
struct Chosen<'a> {
    filling: &'a Filling,
    wanted: &'a Wanted,
    account: Option<Option<AccountId>>,
    mailboxes: Option<BTreeSet<MailboxId>>,
}

impl Chosen<'_> {
    fn ask(&self, question: &Ask) -> Result<Option<Found>, BackupError> {
        // What was damaged when the backup was made is not there.
        Ok(self.filling.look(|reads| ask(question, reads, &mut Unpress::default(), &mut drop))?)
    }

    /// The account, once all of them are there.
    fn account(&mut self) -> Result<Option<AccountId>, BackupError> {
        if self.account.is_none() {
            let key = self.wanted.key.clone();
            self.account = Some(match self.ask(&Ask::Account { key })? {
                Some(Found::Account(account)) => account.map(|account| account.id),
                _ => None,
            });
        }
        Ok(self.account.flatten())
    }

    /// Whether a row is of a mailbox that is wanted, once all folders are there.
    fn has_mailbox(&mut self, key: &[u8]) -> Result<bool, BackupError> {
        if self.mailboxes.is_none() {
            self.mailboxes = Some(self.folders()?);
        }
        let id = key.first_chunk().map(|id| MailboxId(u64::from_be_bytes(*id)));
        let mailboxes = self.mailboxes.as_ref();
        Ok(id.is_some_and(|id| mailboxes.is_some_and(|mailboxes| mailboxes.contains(&id))))
    }

    fn folders(&mut self) -> Result<BTreeSet<MailboxId>, BackupError> {
        let mut mailboxes = BTreeSet::new();
        let Some(account) = self.account()? else { return Ok(mailboxes) };
        let mut after = None;
        loop {
            let question = Ask::Folders { account, after, standing: false };
            let Some(Found::Folders { folders, more }) = self.ask(&question)? else {
                return Ok(mailboxes);
            };
            let wanted = self.wanted.mailbox.as_ref();
            let chosen = folders.iter().filter(|one| wanted.is_none_or(|name| *name == one.name));
            mailboxes.extend(chosen.filter_map(|folder| folder.mailbox));
            after = folders.last().map(|folder| folder.name.clone());
            if !more || after.is_none() {
                return Ok(mailboxes);
            }
        }
    }

    /// The contents that the wanted mailboxes show, once all entries are there.
    fn contents(&mut self) -> Result<BTreeSet<QueueId>, BackupError> {
        let mut contents = BTreeSet::new();
        for mailbox in self.mailboxes.iter().flatten() {
            let mut next = Some(Uid(1));
            while let Some(from) = next {
                let mut uids = Uids::default();
                uids.insert_run(from..=Uid(u32::MAX));
                let question = Ask::Messages { mailbox: *mailbox, uids, want: Want::default() };
                let Some(Found::Messages { messages, rest }) = self.ask(&question)? else { break };
                contents.extend(messages.iter().map(|listed| listed.entry.content));
                next = rest;
            }
        }
        Ok(contents)
    }
}
