//! What the oracle knows of the mailboxes: which message lies where, what it says, and how each
//! mailbox stood at every moment, so that what a client believes can be held against it.

mod acts;
mod audit;
mod snapshot;

pub use self::snapshot::Snapshot;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{Checked, broken};
use crate::{
    mail::{
        QueueId,
        mailbox::{AccountId, ContentId, Entry, MailboxId, Uid, Uids},
    },
    time::{Duration, Instant},
};

/// What a client may see of a mailbox: each UID with its flags, in one text.
pub type Sight = BTreeMap<u32, Rc<str>>;

/// How late a core may hear of a change that another one made.
pub const HEARING: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Boxes {
    pub boxes: BTreeMap<MailboxId, Mailbox>,
    /// By UIDVALIDITY, which no two mailboxes share.
    by_validity: BTreeMap<u32, MailboxId>,
    /// What was sent of each content, as it must be read.
    contents: BTreeMap<ContentId, Vec<u8>>,
    /// Messages that clients set out to append, by their tokens.
    pub appends: BTreeMap<u32, Append>,
    /// What clients of POP3 have said QUIT for.
    removals: BTreeMap<(MailboxId, u32), Times>,
    accounts: BTreeMap<String, AccountId>,
    /// Octets that each account uses, and the most it ever did.
    used: BTreeMap<AccountId, (u64, u64)>,
}

#[derive(Debug)]
pub struct Mailbox {
    pub account: AccountId,
    pub validity: u32,
    uid_next: u32,
    highest: u64,
    pub entries: BTreeMap<u32, Entry>,
    /// Expunged.
    gone: BTreeMap<u32, Entry>,
    /// How it stood, and since when; the last one is how it stands.
    versions: Vec<(Instant, Rc<Sight>)>,
    pub deleted: bool,
}

/// A message that a client appends.
#[derive(Clone, Debug)]
pub struct Append {
    pub content: Vec<u8>,
    /// All of it is on its way.
    pub sent: bool,
    /// The client was told that it is not there.
    pub refused: bool,
    /// UIDVALIDITY and UID.
    pub committed: Option<(u32, u32)>,
}

/// What is to go with a QUIT.
pub type Removal = (MailboxId, BTreeSet<u32>);

/// How often a message was to be removed, and was.
#[derive(Clone, Copy, Default, Debug)]
struct Times {
    said: u32,
    done: u32,
}

impl Boxes {
    pub fn of_validity(&self, validity: u32) -> Option<MailboxId> {
        self.by_validity.get(&validity).copied()
    }

    /// The octets of a message as a client must read it, gone or not.
    pub fn octets(&self, mailbox: MailboxId, uid: u32) -> Option<Vec<u8>> {
        let mailbox = self.boxes.get(&mailbox)?;
        let entry = mailbox.entries.get(&uid).or_else(|| mailbox.gone.get(&uid))?;
        self.octets_of(entry)
    }

    fn octets_of(&self, entry: &Entry) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        if !entry.delivered_to.is_empty() {
            octets.extend_from_slice(b"Delivered-To: ");
            octets.extend_from_slice(&entry.delivered_to);
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(self.contents.get(&entry.content)?);
        Some(octets)
    }

    /// A client believes that its mailbox stands so, and asked for the news at `asked`: did it
    /// stand so, then or later?
    pub fn is_true(&self, mailbox: MailboxId, sight: &Sight, asked: Instant) -> bool {
        let Some(known) = self.boxes.get(&mailbox) else { return false };
        let mut until = None;
        for (since, version) in known.versions.iter().rev() {
            if until.is_some_and(|until: Instant| until + HEARING < asked) {
                break;
            }
            if **version == *sight {
                return true;
            }
            until = Some(*since);
        }
        false
    }

    /// A client was shown these UIDs, as they were when it logged in at `asked`, or later.
    pub fn had(&self, mailbox: MailboxId, uids: &[u32], asked: Instant) -> bool {
        let Some(known) = self.boxes.get(&mailbox) else { return false };
        let mut until = None;
        for (since, version) in known.versions.iter().rev() {
            if until.is_some_and(|until: Instant| until < asked) {
                break;
            }
            if version.keys().eq(uids) {
                return true;
            }
            until = Some(*since);
        }
        false
    }

    /// A client of POP3 has said QUIT, and marked these.
    pub fn will_remove(&mut self, (mailbox, uids): &Removal) {
        for uid in uids {
            self.removals.entry((*mailbox, *uid)).or_default().said += 1;
        }
    }

    /// All of these were removed, by whomever.
    pub fn went(&self, (mailbox, uids): &Removal) -> bool {
        let went = |uid| self.removals.get(&(*mailbox, uid)).is_some_and(|times| times.done > 0);
        uids.iter().copied().all(went)
    }

    /// Messages are removed: of each somebody has marked it and said QUIT, once for each time.
    fn remove(&mut self, mailbox: MailboxId, uids: &Uids) -> Checked {
        for Uid(uid) in uids.iter() {
            let times = self.removals.entry((mailbox, uid)).or_default();
            times.done += 1;
            if times.done > times.said {
                return broken(format!("{uid} of {mailbox:?} goes, and nobody said QUIT"));
            }
        }
        Ok(())
    }

    /// How a mailbox stands, and since when.
    pub fn sight(&self, mailbox: MailboxId) -> Option<(Instant, &Sight)> {
        let known = self.boxes.get(&mailbox).filter(|known| !known.deleted)?;
        known.versions.last().map(|(since, sight)| (*since, &**sight))
    }

    /// The account's quota was met at some time.
    pub fn was_full(&self, key: &str, quota: Option<u64>) -> bool {
        let most = self.accounts.get(key).and_then(|id| self.used.get(id)).map_or(0, |used| used.1);
        quota.is_some_and(|quota| most >= quota)
    }

    /// A client is told OK for a message it appended.
    pub fn acknowledged(&self, token: u32, validity: u32, uid: u32) -> Checked {
        let committed = self.appends.get(&token).and_then(|append| append.committed);
        match committed == Some((validity, uid)) {
            true => Ok(()),
            false => broken(format!(
                "APPEND of {token} is told to be {uid} of {validity}; committed is {committed:?}"
            )),
        }
    }

    /// A client is told that a message it appended is not taken.
    pub fn turned_down(&mut self, token: u32) -> Checked {
        let Some(append) = self.appends.get_mut(&token) else { return Ok(()) };
        append.refused = true;
        match append.committed {
            Some(place) => broken(format!("APPEND of {token} was refused, and lies in {place:?}")),
            None => Ok(()),
        }
    }

    /// A client is told that these messages are copies of those.
    pub fn copied(&self, from: (MailboxId, u32), to: (u32, u32)) -> Checked {
        let content = |mailbox: Option<MailboxId>, uid: u32| {
            let mailbox = self.boxes.get(&mailbox?)?;
            let entry = mailbox.entries.get(&uid).or_else(|| mailbox.gone.get(&uid))?;
            Some((entry.content, entry.delivered_to.clone()))
        };
        let source = content(Some(from.0), from.1);
        match source.is_some() && source == content(self.of_validity(to.0), to.1) {
            true => Ok(()),
            false => broken(format!("COPYUID says that {from:?} is now {to:?}, which is not so")),
        }
    }

    /// What a letter says when it is in a mailbox.
    pub fn foresee(&mut self, id: QueueId, sender: &str, content: &[u8]) {
        let octets = [format!("Return-Path: <{sender}>\r\n").as_bytes(), content].concat();
        self.contents.entry(id).or_insert(octets);
    }
}
