//! Random lives of an account against plain maps.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Bench, all, name};
use crate::{
    mail::mailbox::{
        AccountId, Act, Ask, Done, FlagChange, Flags, Found, How, Keyword, MailboxId, ModSeq,
        Refusal, Uid, Uids, Want,
    },
    random::Random,
    store::mailbox::purge,
};

const NAMES: [&str; 4] = ["INBOX", "Sent", "Work", "Work/Old"];
const KEYWORDS: [&str; 4] = ["$Forwarded", "$Junk", "urgent", "later"];

#[derive(Clone, PartialEq, Eq, Debug)]
struct Message {
    flags: Flags,
    keywords: BTreeSet<&'static str>,
    modseq: u64,
    size: u64,
}

/// A mailbox as it should be.
#[derive(Clone, Debug)]
struct Model {
    uid_next: u32,
    highest: u64,
    messages: BTreeMap<u32, Message>,
}

struct Life {
    bench: Bench,
    random: Random,
    account: AccountId,
    models: BTreeMap<&'static str, Model>,
}

#[test]
fn lives() {
    for seed in 0..16 {
        let (bench, account) = Bench::with_account();
        let empty = Model { uid_next: 1, highest: 1, messages: BTreeMap::new() };
        let models = NAMES[..2].iter().map(|name| (*name, empty.clone())).collect();
        let mut life = Life { bench, random: Random::from_seed([seed; 32]), account, models };
        for step in 0..120 {
            let did = life.step();
            // What a panic prints, to find the step again.
            println!("seed {seed}, step {step}: {did}");
            life.bench.map.audit();
            life.compare();
        }
        life.end();
    }
}

impl Life {
    fn step(&mut self) -> String {
        let place = self.random.below(NAMES.len() as u32) as usize;
        let name = NAMES[place];
        match self.random.below(12) {
            0..=2 => self.append(name),
            3..=5 => self.flag(name),
            6 => self.expunge(name),
            7 | 8 => self.copy(name),
            9 => self.create_or_delete(name),
            10 => self.remove(name),
            _ => self.purge(),
        }
    }

    fn mailbox(&self, name: &str) -> MailboxId {
        self.bench.mailbox(self.account, name)
    }

    fn append(&mut self, to: &'static str) -> String {
        let count = 1 + self.random.below(3);
        let mut messages = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..count {
            let flags = self.flags();
            let text = "Some words. ".repeat(self.random.below(900) as usize);
            let mut message = self.bench.message(text.as_bytes(), flags);
            let keywords = self.keywords();
            message.keywords = parsed(&keywords);
            expected.push((flags, keywords, message.content.size));
            messages.push(message);
        }
        let (account, quota) = (self.account, 0);
        let done = self.bench.act(&Act::Append { account, name: name(to), messages, quota });
        let Some(model) = self.models.get_mut(to) else {
            assert_eq!(done, Done::Refused(Refusal::NoMailbox));
            return format!("append to {to}");
        };
        model.highest += 1;
        let mut uids = Vec::new();
        for (flags, keywords, size) in expected {
            uids.push(Uid(model.uid_next));
            let message = Message { flags, keywords, modseq: model.highest, size };
            model.messages.insert(model.uid_next, message);
            model.uid_next += 1;
        }
        let Done::Appended { uids: done, .. } = done else { panic!("{done:?}") };
        assert_eq!(done, uids);
        format!("append to {to}: {uids:?}")
    }

    fn flag(&mut self, to: &'static str) -> String {
        let how = [How::Add, How::Remove, How::Replace][self.random.below(3) as usize];
        let (flags, keywords) = (self.flags(), self.keywords());
        let uids = self.uids();
        let Some(model) = self.models.get_mut(to) else { return String::new() };
        let unchanged_since = match self.random.below(3) {
            0 => Some(ModSeq(u64::from(self.random.below(model.highest as u32 + 1)))),
            _ => None,
        };
        let change = FlagChange { how, flags, keywords: parsed(&keywords), unchanged_since };
        let told = format!("flag {to} {uids:?} {change:?}");
        let (mut refused, mut modseq) = (Uids::default(), None);
        for (uid, message) in model.messages.iter_mut() {
            if !uids.contains(Uid(*uid)) {
                continue;
            }
            if unchanged_since.is_some_and(|since| message.modseq > since.0) {
                refused.insert(Uid(*uid));
                continue;
            }
            let was = message.clone();
            match how {
                How::Replace => {
                    (message.flags, message.keywords) = (flags, keywords.clone());
                }
                How::Add => {
                    message.flags = message.flags.with(flags);
                    message.keywords.extend(&keywords);
                }
                How::Remove => {
                    message.flags = message.flags.without(flags);
                    message.keywords.retain(|keyword| !keywords.contains(keyword));
                }
            }
            if *message != was {
                message.modseq = model.highest + 1;
                modseq = Some(ModSeq(model.highest + 1));
            }
        }
        model.highest += u64::from(modseq.is_some());
        let mailbox = self.mailbox(to);
        let done = self.bench.act(&Act::Flag { mailbox, uids, change });
        assert_eq!(done, Done::Flagged { modseq, refused }, "{told}");
        told
    }

    fn expunge(&mut self, to: &'static str) -> String {
        if !self.models.contains_key(to) {
            return String::new();
        }
        let uids = if self.random.below(2) == 0 { self.uids() } else { all() };
        let mailbox = self.mailbox(to);
        let goes =
            |uid, message: &Message| uids.contains(uid) && message.flags.contains(Flags::DELETED);
        let going = self.go(to, goes);
        assert_eq!(self.bench.act(&Act::Expunge { mailbox, uids }), going);
        format!("expunge {to}: {going:?}")
    }

    fn remove(&mut self, to: &'static str) -> String {
        let uids = self.uids();
        if !self.models.contains_key(to) {
            return String::new();
        }
        let mailbox = self.mailbox(to);
        let going = self.go(to, |uid, _| uids.contains(uid));
        let done = self.bench.act(&Act::Remove { mailbox, uids });
        assert_eq!(done, going);
        format!("remove from {to}: {going:?}")
    }

    fn go(&mut self, to: &'static str, goes: impl Fn(Uid, &Message) -> bool) -> Done {
        let model = self.models.get_mut(to).unwrap();
        let gone: Uids = model
            .messages
            .iter()
            .filter(|(uid, message)| goes(Uid(**uid), message))
            .map(|(uid, _)| Uid(*uid))
            .collect();
        model.messages.retain(|uid, _| !gone.contains(Uid(*uid)));
        model.highest += u64::from(!gone.is_empty());
        let modseq = (!gone.is_empty()).then_some(ModSeq(model.highest));
        Done::Expunged { modseq, uids: gone }
    }

    fn copy(&mut self, source: &'static str) -> String {
        let target = NAMES[self.random.below(NAMES.len() as u32) as usize];
        let (uids, taking) = (self.uids(), self.random.below(2) == 0);
        if !self.models.contains_key(source) {
            return String::new();
        }
        let (account, from) = (self.account, self.mailbox(source));
        let told = format!("copy {uids:?} from {source} to {target}, taking {taking}");
        let act =
            Act::Copy { account, from, uids: uids.clone(), to: name(target), taking, quota: 0 };
        let done = self.bench.act(&act);
        if !self.models.contains_key(target) {
            assert_eq!(done, Done::Refused(Refusal::NoMailbox), "{told}");
            return told;
        }
        let copied: Vec<(u32, Message)> = self.models[source]
            .messages
            .iter()
            .filter(|(uid, _)| uids.contains(Uid(**uid)))
            .map(|(uid, message)| (*uid, message.clone()))
            .collect();
        let old: Vec<Uid> = copied.iter().map(|(uid, _)| Uid(*uid)).collect();
        let model = self.models.get_mut(target).unwrap();
        model.highest += u64::from(!copied.is_empty());
        let mut new = Vec::new();
        for (_, mut message) in copied {
            message.modseq = model.highest;
            new.push(Uid(model.uid_next));
            model.messages.insert(model.uid_next, message);
            model.uid_next += 1;
        }
        if taking && !old.is_empty() {
            let model = self.models.get_mut(source).unwrap();
            model.highest += u64::from(source != target);
            model.messages.retain(|uid, _| !old.contains(&Uid(*uid)));
        }
        let Done::Copied { from, to, .. } = done else { panic!("{told}: {done:?}") };
        assert_eq!((from, to), (old, new), "{told}");
        told
    }

    fn create_or_delete(&mut self, of: &'static str) -> String {
        let account = self.account;
        let (is_there, name) = (self.models.contains_key(of), name(of));
        let act = match is_there {
            true => Act::Delete { account, name },
            false => Act::Create { account, name, special_use: None },
        };
        let done = self.bench.act(&act);
        let told = format!("{act:?}");
        if of == "INBOX" {
            assert_eq!(done, Done::Refused(Refusal::Inbox), "{told}");
        } else if is_there {
            assert_eq!(done, Done::Done, "{told}");
            self.models.remove(of);
        } else {
            assert_eq!(done, Done::Done, "{told}");
            let empty = Model { uid_next: 1, highest: 1, messages: BTreeMap::new() };
            self.models.insert(of, empty.clone());
            if of == "Work/Old" {
                self.models.entry("Work").or_insert(empty);
            }
        }
        told
    }

    fn purge(&mut self) -> String {
        let limit = 1 + self.random.below(20) as usize;
        let upto = u64::from(self.random.below(30));
        let seen = u64::from(self.random.below(3));
        let told = |mailbox: MailboxId| (mailbox.0 % 3 == seen).then_some(ModSeq(upto));
        let Ok(purged) = purge(&mut self.bench.map, &told, limit);
        assert_eq!(purged.more, purged.rows >= limit);
        format!("purge: {purged:?}")
    }

    fn flags(&mut self) -> Flags {
        Flags::from_bits(self.random.below(32) as u8).unwrap()
    }

    fn keywords(&mut self) -> BTreeSet<&'static str> {
        KEYWORDS.into_iter().filter(|_| self.random.below(4) == 0).collect()
    }

    fn uids(&mut self) -> Uids {
        if self.random.below(4) == 0 {
            return all();
        }
        (0..4).map(|_| Uid(1 + self.random.below(20))).collect()
    }

    /// What the store says is what the model holds.
    fn compare(&self) {
        for name in NAMES {
            let opened = self.bench.open(self.account, name);
            let Some(model) = self.models.get(name) else {
                assert_eq!(opened, None, "{name}");
                continue;
            };
            let opened = opened.unwrap();
            let standing = &opened.standing;
            assert_eq!(
                (standing.uid_next, standing.highest_modseq.0),
                (Uid(model.uid_next), model.highest)
            );
            let unseen = |(_, message): &(&u32, &Message)| !message.flags.contains(Flags::SEEN);
            let first_unseen = model.messages.iter().find(unseen).map(|(uid, _)| Uid(*uid));
            assert_eq!(opened.first_unseen, first_unseen);
            assert!(opened.uids.iter().map(|uid| uid.0).eq(model.messages.keys().copied()));
            let mut found = BTreeMap::new();
            for listed in self.bench.messages(standing.mailbox, &opened.uids, Want::default()) {
                let entry = listed.entry;
                let keywords = standing.keywords.iter().enumerate();
                let keywords = keywords
                    .filter(|(place, _)| entry.keywords.0 >> place & 1 == 1)
                    .map(|(_, keyword)| {
                        let text = keyword.as_bytes();
                        *KEYWORDS.iter().find(|known| known.as_bytes() == &text[..]).unwrap()
                    });
                let (flags, modseq, size) = (entry.flags, entry.modseq.0, entry.size);
                let message = Message { flags, keywords: keywords.collect(), modseq, size };
                found.insert(entry.uid.0, message);
            }
            assert_eq!(found, model.messages, "{name}");
            self.compare_changes(standing.mailbox, model);
        }
    }

    fn compare_changes(&self, mailbox: MailboxId, model: &Model) {
        let since = model.highest / 2;
        let ask = Ask::Changes { mailbox, since: ModSeq(since), after: None };
        let Found::Changes(Some(changes)) = self.bench.ask(&ask) else { panic!("{ask:?}") };
        let changed = changes.changed.iter().map(|entry| entry.uid.0);
        let expected = model.messages.iter().filter(|(_, message)| message.modseq > since);
        assert!(changed.eq(expected.map(|(uid, _)| *uid)));
        assert!(changes.gone.iter().all(|uid| !model.messages.contains_key(&uid.0)));
        assert_eq!((changes.upto.0, changes.more), (model.highest, false));
    }

    /// Everything is deleted, and nothing is left.
    fn end(mut self) {
        let key = Bytes::from_static(b"a@x.example");
        let gone = Act::Directory(crate::mail::mailbox::Directory::RemoveAccount { key });
        assert_eq!(self.bench.act(&gone), Done::Done);
        self.bench.map.audit();
        while purge(&mut self.bench.map, &|_| None, 7).unwrap().more {
            self.bench.map.audit();
        }
        let left: Vec<_> = self.bench.map.0.keys().filter(|(table, _)| *table != 0).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn parsed(keywords: &BTreeSet<&'static str>) -> Vec<Keyword> {
    let parse = |text: &&'static str| Keyword::parse(Bytes::from_static(text.as_bytes())).unwrap();
    keywords.iter().map(parse).collect()
}
