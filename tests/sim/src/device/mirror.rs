//! A device's copy of a mailbox: messages by their numbers, as far as it was told.

use std::{collections::BTreeMap, rc::Rc};

use super::words::{list_after, number_after, numbers_of};
use crate::{
    mail::mailbox::MailboxId,
    oracle::{Broken, Checked, boxes::Sight, broken},
};

/// What a device keeps of a folder when it goes.
#[derive(Clone, Debug)]
pub struct Copy {
    pub validity: u32,
    pub modseq: u64,
    pub messages: BTreeMap<u32, String>,
}

/// The folder that it has selected.
#[derive(Debug, Default)]
pub struct View {
    pub name: &'static str,
    pub mailbox: Option<MailboxId>,
    pub validity: u32,
    /// All that was told up to here is known.
    pub modseq: u64,
    /// In the order of their numbers.
    pub messages: Vec<Message>,
    /// What it knew before, while it selects with QRESYNC.
    pub before: Option<Copy>,
    count: usize,
    /// The last message that was read.
    pub read: Option<u32>,
    selected: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Message {
    pub uid: Option<u32>,
    pub flags: Option<String>,
}

/// What a silent STORE does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Replace(&'static str),
    Add(&'static str),
    Remove(&'static str),
}

impl View {
    pub fn new(name: &'static str, before: Option<Copy>) -> View {
        View { name, before, ..View::default() }
    }

    pub fn exists(&mut self, count: usize) -> Checked {
        self.count = count;
        if count < self.messages.len() {
            return broken(format!("EXISTS {count}, there were {}", self.messages.len()));
        }
        if self.selected || self.before.is_none() {
            self.messages.resize(count, Message::default());
        }
        Ok(())
    }

    pub fn expunged(&mut self, number: usize) -> Checked {
        if number == 0 || number > self.messages.len() {
            return broken(format!("{number} EXPUNGE of {}", self.messages.len()));
        }
        self.messages.remove(number - 1);
        Ok(())
    }

    pub fn vanished(&mut self, set: &str) -> Checked {
        for uid in numbers_of(set).unwrap_or_default() {
            let Some(place) = self.messages.iter().position(|m| m.uid == Some(uid)) else {
                // It was told of by its number only, and lies between those that it lies between.
                let above = self.messages.iter().position(|m| m.uid.is_some_and(|u| u > uid));
                let below = &self.messages[..above.unwrap_or(self.messages.len())];
                if let Some(place) = below.iter().rposition(|m| m.uid.is_none()) {
                    self.messages.remove(place);
                    continue;
                }
                return broken(format!("{uid} has vanished, and was not there"));
            };
            self.messages.remove(place);
        }
        Ok(())
    }

    pub fn vanished_earlier(&mut self, set: &str) -> Checked {
        let Some(before) = &mut self.before else {
            return broken(format!("VANISHED (EARLIER) {set}, and nobody asked"));
        };
        for uid in numbers_of(set).unwrap_or_default() {
            before.messages.remove(&uid);
        }
        Ok(())
    }

    /// One message of a FETCH; its UID, where it is known.
    pub fn fetched(&mut self, number: usize, text: &str, whole: bool) -> Checked<Option<u32>> {
        let uid = number_after(text, "UID ").map(|uid| uid as u32);
        let flags = list_after(text, "FLAGS (");
        let modseq = number_after(text, "MODSEQ (");
        if whole || !self.selected {
            self.modseq = self.modseq.max(modseq.unwrap_or(0));
        }
        if let (false, Some(before)) = (self.selected, &mut self.before) {
            if let (Some(uid), Some(flags)) = (uid, flags) {
                before.messages.insert(uid, flags);
            }
            return Ok(uid);
        }
        let count = self.messages.len();
        let Some(message) = number.checked_sub(1).and_then(|at| self.messages.get_mut(at)) else {
            return Err(Broken(format!("{number} FETCH, there are {count}")));
        };
        if let (Some(old), Some(new)) = (message.uid, uid)
            && old != new
        {
            return Err(Broken(format!("message {number} was {old}, and is told to be {new}")));
        }
        message.uid = message.uid.or(uid);
        message.flags = flags.or_else(|| message.flags.take());
        let uid = message.uid;
        let uids: Vec<u32> = self.messages.iter().filter_map(|message| message.uid).collect();
        match uids.is_sorted_by(|a, b| a < b) {
            true => Ok(uid),
            false => Err(Broken(format!("UIDs do not rise: {uids:?}"))),
        }
    }

    /// The folder is another one than the name had before.
    pub fn forget(&mut self) {
        self.before = None;
        self.messages = vec![Message::default(); self.count];
    }

    /// SELECT has succeeded.
    pub fn selected(&mut self) -> Checked {
        self.selected = true;
        let Some(before) = self.before.take() else { return Ok(()) };
        let known = before.messages.into_iter();
        let message = |(uid, flags)| Message { uid: Some(uid), flags: Some(flags) };
        self.messages = known.map(message).collect();
        match self.messages.len() == self.count {
            true => Ok(()),
            false => broken(format!(
                "{} has {} messages, and a device that is told what has changed knows {:?}",
                self.name,
                self.count,
                self.messages.iter().map(|message| message.uid).collect::<Vec<_>>()
            )),
        }
    }

    /// The first number of which the UID or the flags are not known.
    pub fn unknown(&self) -> Option<usize> {
        let known = |message: &Message| message.uid.is_some() && message.flags.is_some();
        self.messages.iter().position(|message| !known(message)).map(|place| place + 1)
    }

    /// The answer to UID SEARCH ALL. What has ended since may be among them, or not.
    pub fn found(&self, found: &str, there: Option<&Sight>) -> Checked {
        let found: Vec<u32> = found.split(' ').filter_map(|word| word.parse().ok()).collect();
        let Some(known) = self.sight() else { return Ok(()) };
        let ended = |uid| there.is_some_and(|there| !there.contains_key(uid));
        let right = found.iter().all(|uid| known.contains_key(uid))
            && known.keys().all(|uid| found.contains(uid) || ended(uid));
        match right {
            true => Ok(()),
            false => broken(format!("UID SEARCH ALL finds {found:?} in {self:?}")),
        }
    }

    /// A silent STORE has succeeded.
    pub fn change(&mut self, uids: &[u32], change: &Change) {
        for message in &mut self.messages {
            let (Some(uid), Some(flags)) = (message.uid, &mut message.flags) else { continue };
            if !uids.contains(&uid) {
                continue;
            }
            let old: Vec<&str> = flags.split(' ').filter(|flag| !flag.is_empty()).collect();
            let mut new = match change {
                Change::Replace(flag) => vec![*flag],
                Change::Add(flag) => [&old[..], &[*flag]].concat(),
                Change::Remove(flag) => old.into_iter().filter(|old| old != flag).collect(),
            };
            new.sort_unstable();
            new.dedup();
            *flags = new.join(" ");
        }
    }

    /// What the device believes; `None`: there is something that it knows it does not know.
    pub fn sight(&self) -> Option<Sight> {
        let pair = |message: &Message| -> Option<(u32, Rc<str>)> {
            Some((message.uid?, message.flags.as_deref()?.into()))
        };
        self.messages.iter().map(pair).collect()
    }

    pub fn copy(&self) -> Copy {
        let pair = |message: &Message| Some((message.uid?, message.flags.clone()?));
        let messages = self.messages.iter().filter_map(pair).collect();
        Copy { validity: self.validity, modseq: self.modseq, messages }
    }
}
