//! A mailbox as it lies on disk.

use std::{collections::BTreeMap, rc::Rc};

use super::Sight;
use crate::{
    disk::Disk,
    mail::mailbox::{Ask, Entry, Flags, Found, MailboxId, ModSeq, Standing, Uid, Uids, Want},
    oracle::{Broken, Checked},
    store::Table,
};

pub struct Snapshot {
    pub standing: Standing,
    pub entries: BTreeMap<u32, Entry>,
}

impl Snapshot {
    /// `None`: there is no such mailbox any more.
    pub fn of(disk: &Disk, mailbox: MailboxId) -> Checked<Option<Snapshot>> {
        let since = ModSeq(u64::MAX >> 1);
        let standing = match disk.ask(Ask::Changes { mailbox, since, after: None })? {
            Found::Changes(Some(changes)) => changes.standing,
            _ => return Ok(None),
        };
        // The keys are read as they lie there, not as the relay reads them.
        let uids: Uids = disk.uids_of(Table::Entry, mailbox).map(Uid).collect();
        let mut entries = BTreeMap::new();
        let mut left = Some(uids.clone()).filter(|uids| !uids.is_empty());
        while let Some(uids) = left {
            let ask = Ask::Messages { mailbox, uids: uids.clone(), want: Want::default() };
            let Found::Messages { messages, rest } = disk.ask(ask)? else { break };
            entries.extend(messages.into_iter().map(|one| (one.entry.uid.0, one.entry)));
            left = rest.map(|uid| uids.from(uid));
        }
        if entries.len() != uids.count() as usize {
            return Err(Broken(format!("{mailbox:?}: of {uids:?} some cannot be read")));
        }
        Ok(Some(Snapshot { standing, entries }))
    }

    /// As a client sees it.
    pub fn sight(&self) -> Rc<Sight> {
        let flags = |entry: &Entry| -> Rc<str> {
            let system = Flags::ALL.iter().filter(|(flag, _)| entry.flags.contains(*flag));
            let mut names: Vec<String> = system.map(|(_, name)| name.to_lowercase()).collect();
            for (place, keyword) in self.standing.keywords.iter().enumerate() {
                if entry.keywords.0 >> place & 1 == 1 {
                    names.push(String::from_utf8_lossy(keyword.as_bytes()).to_lowercase());
                }
            }
            names.sort();
            names.join(" ").into()
        };
        Rc::new(self.entries.iter().map(|(uid, entry)| (*uid, flags(entry))).collect())
    }
}
