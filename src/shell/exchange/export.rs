//! `ringmail export`: the mail of an account as files, read page by page from a store.

use std::path::Path;

use super::{
    ExchangeError, Format, files,
    outlet::{Outlet, create_empty},
};
use crate::{
    limits::EXPORT_PIECE,
    mail::{
        exchange::Marks,
        mailbox::{
            AccountId, Ask, Entry, Folder, Found, Keyword, MailboxId, MailboxName, Opened, Want,
        },
    },
    shell::{backup::Wanted, lmdb::Source},
    store::{content::Unpress, mailbox::ask},
};

/// What was exported.
#[derive(Clone, Copy, Default, Debug)]
pub struct Exported {
    pub mailboxes: u64,
    pub messages: u64,
    /// Messages that are damaged in the store.
    pub damaged: u64,
}

/// Writes what is `wanted` to `path`, where nothing is yet.
pub fn export(
    source: &Source,
    wanted: &Wanted,
    (format, path): (Format, &Path),
    warn: &mut dyn FnMut(String),
) -> Result<Exported, ExchangeError> {
    let mut export =
        Export { source, format, exported: Exported::default(), unpress: Unpress::default(), warn };
    let account = export.account(wanted)?;
    if let Some(name) = &wanted.mailbox {
        let missing = || ExchangeError::NoMailbox(name.to_string());
        let Found::Open(opened) = export.ask(&Ask::Open { account, name: name.clone() })? else {
            return Err(ExchangeError::Damaged);
        };
        let opened = opened.ok_or_else(missing)?;
        export.mailbox(&opened, path)?;
        return Ok(export.exported);
    }
    let folders = export.folders(account)?;
    if format == Format::Mbox {
        create_empty(path)?;
    }
    // INBOX is the Maildir that the others lie in: it comes first.
    for inbox in [true, false] {
        for (name, id) in folders.iter().filter(|(name, _)| name.is_inbox() == inbox) {
            let Found::Open(Some(opened)) =
                export.ask(&Ask::Open { account, name: name.clone() })?
            else {
                // It was deleted or renamed meanwhile.
                continue;
            };
            let file = files::name(format, name, *id);
            export.mailbox(&opened, &path.join(&file))?;
        }
    }
    Ok(export.exported)
}

struct Export<'a> {
    source: &'a Source,
    format: Format,
    exported: Exported,
    unpress: Unpress,
    warn: &'a mut dyn FnMut(String),
}

impl Export<'_> {
    /// Asks in a snapshot of its own.
    fn ask(&mut self, question: &Ask) -> Result<Found, ExchangeError> {
        let Self { source, unpress, warn, .. } = self;
        let found = source.look(|reads| ask(question, reads, unpress, *warn))?;
        found.ok_or(ExchangeError::Damaged)
    }

    fn account(&mut self, wanted: &Wanted) -> Result<AccountId, ExchangeError> {
        match self.ask(&Ask::Account { key: wanted.key.clone() })? {
            Found::Account(Some(account)) => Ok(account.id),
            _ => Err(ExchangeError::NoAccount(String::from_utf8_lossy(&wanted.key).into_owned())),
        }
    }

    fn folders(
        &mut self,
        account: AccountId,
    ) -> Result<Vec<(MailboxName, MailboxId)>, ExchangeError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let question = Ask::Folders { account, after, standing: false };
            let Found::Folders { folders, more } = self.ask(&question)? else {
                return Err(ExchangeError::Damaged);
            };
            after = folders.last().map(|folder| folder.name.clone());
            let mailbox = |folder: Folder| folder.mailbox.map(|id| (folder.name, id));
            all.extend(folders.into_iter().filter_map(mailbox));
            if !more || after.is_none() {
                return Ok(all);
            }
        }
    }

    fn mailbox(&mut self, opened: &Opened, path: &Path) -> Result<(), ExchangeError> {
        let mailbox = opened.standing.mailbox;
        let mut outlet = Outlet::create(self.format, path)?;
        let mut uids = opened.uids.clone();
        loop {
            let question = Ask::Messages { mailbox, uids: uids.clone(), want: Want::default() };
            let Found::Messages { messages, rest } = self.ask(&question)? else { break };
            for listed in messages {
                self.message(&listed.entry, &opened.standing.keywords, &mut outlet)?;
            }
            let Some(rest) = rest else { break };
            uids = uids.from(rest);
        }
        self.exported.mailboxes += 1;
        outlet.finish()
    }

    fn message(
        &mut self,
        entry: &Entry,
        keywords: &[Keyword],
        outlet: &mut Outlet,
    ) -> Result<(), ExchangeError> {
        let has = |(bit, keyword): (u32, &Keyword)| {
            (entry.keywords.0 >> bit & 1 == 1).then(|| keyword.clone())
        };
        let keywords = (0..u64::BITS).zip(keywords).filter_map(has).collect();
        let marks = Marks { flags: entry.flags, keywords, received: Some(entry.received) };
        let mut letter = outlet.begin(entry, marks)?;
        let field = entry.delivered_field();
        letter.feed(&field)?;
        let size = entry.size.saturating_sub(field.len() as u64);
        let mut offset = 0;
        while offset < size {
            let question = Ask::Content { content: entry.content, offset, octets: EXPORT_PIECE };
            match self.ask(&question) {
                Ok(Found::Content(octets)) if !octets.is_empty() => {
                    letter.feed(&octets)?;
                    offset += octets.len() as u64;
                }
                // It is told already; or the message was expunged and cleared away meanwhile.
                Ok(_) | Err(ExchangeError::Damaged) => {
                    self.exported.damaged += 1;
                    return letter.abandon();
                }
                Err(error) => return Err(error),
            }
        }
        self.exported.messages += 1;
        letter.finish()
    }
}
