//! A small store in memory: what a mailbox is to a session, with pages so short that all are met.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    limits::LISTED_OCTETS,
    mail::{
        QueueId,
        mailbox::{
            Account, AccountId, Act, Ask, Changes, Content, ContentId, Done, Entry, FlagChange,
            Flags, Folder, Found, How, Keyword, Keywords, Listed, MailboxId, MailboxName, Mark,
            ModSeq, NewContent, NewMessage, Opened, Refusal, SpecialUse, Standing, Summary, Uid,
            Uids,
        },
        mime::Scan,
    },
    time::Wall,
};

/// Messages, changes and names in one answer.
const PAGE: usize = 2;

pub struct Store {
    pub folders: BTreeMap<MailboxName, Name>,
    pub boxes: BTreeMap<MailboxId, Mailbox>,
    contents: BTreeMap<ContentId, (Bytes, Summary, u32)>,
    /// Contents that cannot be read.
    pub damaged: Vec<ContentId>,
    pub quota: Option<u64>,
    next_id: u64,
}

#[derive(Clone, Default)]
pub struct Name {
    mailbox: Option<MailboxId>,
    subscribed: bool,
    special_use: Option<SpecialUse>,
}

pub struct Mailbox {
    uid_validity: u32,
    uid_next: u32,
    modseq: u64,
    recent_from: Uid,
    keywords: Vec<Keyword>,
    live: BTreeMap<Uid, Entry>,
    ghosts: BTreeMap<Uid, Entry>,
}

pub fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

impl Store {
    pub fn new() -> Self {
        let mut store = Self {
            folders: BTreeMap::new(),
            boxes: BTreeMap::new(),
            contents: BTreeMap::new(),
            damaged: Vec::new(),
            quota: None,
            next_id: 1,
        };
        for (text, special_use) in [
            ("INBOX", None),
            ("Drafts", Some(SpecialUse::Drafts)),
            ("Trash", Some(SpecialUse::Trash)),
        ] {
            store.create(&name(text), special_use).unwrap();
            store.folders.get_mut(&name(text)).unwrap().subscribed = true;
        }
        store
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// What a scan at its delivery finds of a content.
    pub fn content(&mut self, octets: &[u8]) -> NewContent {
        let mut scan = Scan::new();
        scan.feed(octets);
        let (summary, header) = scan.finish();
        let id = QueueId::from_u64(self.id());
        let size = octets.len() as u64;
        let chunks = vec![Bytes::copy_from_slice(octets)];
        NewContent { id, size, header, chunks, spooled_chunks: 0, summary }
    }

    /// Mail from outside.
    pub fn deliver(&mut self, to: &MailboxName, octets: &[u8], received: Wall) -> MailboxId {
        let content = self.content(octets);
        let message =
            NewMessage { content, flags: Flags::default(), keywords: Vec::new(), received };
        let mailbox = self.folders[to].mailbox.unwrap();
        self.put(mailbox, message, b"user@example.org");
        mailbox
    }

    fn put(&mut self, to: MailboxId, message: NewMessage, delivered_to: &'static [u8]) -> Uid {
        let NewMessage { content, flags, keywords, received } = message;
        let mailbox = self.boxes.get_mut(&to).unwrap();
        mailbox.modseq += 1;
        let uid = Uid(mailbox.uid_next);
        mailbox.uid_next += 1;
        let keywords = mailbox.keywords(&keywords);
        let mut entry = Entry {
            uid,
            flags,
            keywords,
            modseq: ModSeq(mailbox.modseq),
            received,
            size: 0,
            content: content.id,
            delivered_to: Bytes::from_static(delivered_to),
        };
        entry.size = content.size + entry.delivered_field().len() as u64;
        mailbox.live.insert(uid, entry);
        let octets = content.chunks.concat().into();
        self.contents.insert(content.id, (octets, content.summary, content.header));
        uid
    }

    fn create(&mut self, text: &MailboxName, used: Option<SpecialUse>) -> Result<(), Refusal> {
        if self.folders.get(text).is_some_and(|known| known.mailbox.is_some()) {
            return Err(Refusal::Exists);
        }
        if let Some(parent) = text.parent() {
            let _ = self.create(&parent, None);
        }
        let id = self.id();
        let mailbox = Mailbox {
            uid_validity: 1000 + id as u32,
            uid_next: 1,
            modseq: 1,
            recent_from: Uid(1),
            keywords: Vec::new(),
            live: BTreeMap::new(),
            ghosts: BTreeMap::new(),
        };
        self.boxes.insert(MailboxId(id), mailbox);
        let folder = self.folders.entry(text.clone()).or_default();
        (folder.mailbox, folder.special_use) = (Some(MailboxId(id)), used);
        Ok(())
    }

    pub fn ask(&self, ask: &Ask) -> Result<Found, super::StoreTrouble> {
        Ok(match ask {
            Ask::Account { key } => Found::Account((**key == *b"user@example.org").then(|| {
                Box::new(Account {
                    id: AccountId(1),
                    inbox: MailboxId(1),
                    password: Bytes::from_static(b"secret"),
                    quota: self.quota,
                })
            })),
            Ask::Folders { after, standing, .. } => {
                let behind = |name: &&MailboxName| after.as_ref().is_none_or(|after| after < *name);
                let all: Vec<_> = self.folders.keys().filter(behind).collect();
                let page = all.iter().take(PAGE);
                let mut folders: Vec<_> = page.filter_map(|name| self.folder(name)).collect();
                for folder in folders.iter_mut().filter(|_| !standing) {
                    folder.standing = None;
                }
                Found::Folders { folders, more: all.len() > PAGE }
            }
            Ask::Folder { name, .. } => Found::Folder(self.folder(name).map(Box::new)),
            Ask::Open { name, .. } => Found::Open(self.open(name).map(Box::new)),
            Ask::Changes { mailbox, since, .. } => {
                Found::Changes(self.changes(*mailbox, *since).map(Box::new))
            }
            Ask::Messages { mailbox, uids, want } => {
                let mailbox = &self.boxes[mailbox];
                let find = |uid| mailbox.live.get(&uid).or(mailbox.ghosts.get(&uid));
                let mut messages = Vec::new();
                let mut known = uids.iter().filter_map(find);
                for entry in known.by_ref().take(PAGE) {
                    messages.push(self.list(entry, want.content, want.summary));
                }
                Found::Messages { messages, rest: known.next().map(|entry| entry.uid) }
            }
            Ask::Marked { mailbox, mark } => {
                let marked = |entry: &&Entry| match mark {
                    Mark::Unseen => !entry.flags.contains(Flags::SEEN),
                    Mark::Deleted => entry.flags.contains(Flags::DELETED),
                };
                let all = self.boxes[mailbox].live.values().filter(marked);
                Found::Marked(all.map(|entry| entry.uid).collect())
            }
            Ask::Content { content, offset, octets } => {
                if self.damaged.contains(content) {
                    return Err(super::StoreTrouble::Damaged);
                }
                let content = &self.contents[content].0;
                let from = (*offset as usize).min(content.len());
                // Fewer than were asked for, as at the border of a chunk.
                let to = (from + (*octets).min(10_000)).min(content.len());
                Found::Content(content.slice(from..to))
            }
            Ask::Usage { .. } => {
                let all = || self.boxes.values().flat_map(|mailbox| mailbox.live.values());
                let octets = all().map(|entry| entry.size).sum();
                Found::Usage { octets, messages: all().count() as u64 }
            }
            other => panic!("{other:?}"),
        })
    }

    fn list(&self, entry: &Entry, want: Content, summary: bool) -> Listed {
        let (octets, known, header) = &self.contents[&entry.content];
        let readable = !self.damaged.contains(&entry.content);
        let content = match want {
            Content::None => None,
            Content::Header => {
                let header = *header as usize;
                (header <= LISTED_OCTETS).then(|| octets.slice(..header))
            }
            Content::Whole { at_most } => (octets.len() <= at_most).then(|| octets.clone()),
        };
        let content = content.filter(|_| readable);
        let summary = summary.then(|| known.clone());
        Listed { entry: entry.clone(), summary, content }
    }

    pub fn content_of(&self, mailbox: MailboxId, uid: Uid) -> ContentId {
        self.boxes[&mailbox].live[&uid].content
    }

    fn folder(&self, name: &MailboxName) -> Option<Folder> {
        let known = self.folders.get(name)?;
        let standing = known.mailbox.map(|id| Box::new(self.boxes[&id].standing(id)));
        let Name { mailbox, subscribed, special_use } = known.clone();
        Some(Folder { name: name.clone(), mailbox, subscribed, special_use, standing })
    }

    fn open(&self, name: &MailboxName) -> Option<Opened> {
        let id = self.folders.get(name)?.mailbox?;
        let mailbox = &self.boxes[&id];
        let mut unseen = mailbox.live.values().filter(|e| !e.flags.contains(Flags::SEEN));
        Some(Opened {
            standing: mailbox.standing(id),
            uids: mailbox.live.keys().copied().collect(),
            first_unseen: unseen.next().map(|entry| entry.uid),
        })
    }

    fn changes(&self, id: MailboxId, since: ModSeq) -> Option<Changes> {
        let mailbox = self.boxes.get(&id)?;
        let all = mailbox.live.values().chain(mailbox.ghosts.values());
        let mut all: Vec<_> = all.filter(|entry| entry.modseq > since).collect();
        all.sort_by_key(|entry| (entry.modseq, entry.uid));
        let last = all.get(PAGE - 1).map_or(ModSeq(mailbox.modseq), |entry| entry.modseq);
        let more = all.iter().any(|entry| entry.modseq > last);
        let upto = if more { last } else { ModSeq(mailbox.modseq) };
        all.retain(|entry| entry.modseq <= upto);
        all.sort_by_key(|entry| entry.uid);
        let is_live = |entry: &&&Entry| mailbox.live.contains_key(&entry.uid);
        let gone = all.iter().filter(|entry| !is_live(entry)).map(|entry| entry.uid).collect();
        let changed = all.iter().filter(is_live).map(|entry| (*entry).clone()).collect();
        Some(Changes { standing: mailbox.standing(id), changed, gone, upto, within: None, more })
    }

    /// What an act does, and the mailboxes that it has changed.
    pub fn act(&mut self, act: Act) -> (Done, Vec<MailboxId>) {
        self.try_act(act).unwrap_or_else(|refusal| (Done::Refused(refusal), Vec::new()))
    }

    fn id_of(&self, name: &MailboxName) -> Result<MailboxId, Refusal> {
        self.folders.get(name).and_then(|known| known.mailbox).ok_or(Refusal::NoMailbox)
    }

    fn try_act(&mut self, act: Act) -> Result<(Done, Vec<MailboxId>), Refusal> {
        Ok(match act {
            Act::Append { name, messages, quota, .. } => {
                let id = self.id_of(&name)?;
                let size: u64 = messages.iter().map(|message| message.content.size).sum();
                if quota > 0 && size > quota {
                    return Err(Refusal::OverQuota);
                }
                let uids = messages.into_iter().map(|message| self.put(id, message, b"")).collect();
                let uid_validity = self.boxes[&id].uid_validity;
                (Done::Appended { uid_validity, uids }, vec![id])
            }
            Act::Flag { mailbox, uids, change } => {
                let done = self.boxes.get_mut(&mailbox).unwrap().flag(&uids, &change);
                (done, vec![mailbox])
            }
            Act::Expunge { mailbox, uids } => {
                let gone = self.boxes.get_mut(&mailbox).unwrap().expunge(|entry| {
                    uids.contains(entry.uid) && entry.flags.contains(Flags::DELETED)
                });
                (gone, vec![mailbox])
            }
            Act::Copy { from, uids, to, taking, .. } => {
                let id = self.id_of(&to)?;
                let chosen = self.boxes[&from].live.values();
                let chosen: Vec<_> =
                    chosen.filter(|entry| uids.contains(entry.uid)).cloned().collect();
                let (mut old, mut new) = (Vec::new(), Vec::new());
                for mut entry in chosen {
                    old.push(entry.uid);
                    let target = self.boxes.get_mut(&id).unwrap();
                    target.modseq += 1;
                    (entry.uid, entry.modseq) = (Uid(target.uid_next), ModSeq(target.modseq));
                    target.uid_next += 1;
                    new.push(entry.uid);
                    target.live.insert(entry.uid, entry);
                }
                if taking {
                    self.boxes.get_mut(&from).unwrap().expunge(|entry| old.contains(&entry.uid));
                }
                let uid_validity = self.boxes[&id].uid_validity;
                (Done::Copied { uid_validity, from: old, to: new }, vec![from, id])
            }
            Act::Create { name, special_use, .. } => {
                self.create(&name, special_use)?;
                (Done::Done, Vec::new())
            }
            Act::Delete { name, .. } => {
                if name.is_inbox() {
                    return Err(Refusal::Inbox);
                }
                let id = self.id_of(&name)?;
                self.boxes.remove(&id);
                if self.folders.keys().any(|other| other.is_below(&name)) {
                    self.folders.get_mut(&name).unwrap().mailbox = None;
                } else {
                    self.folders.remove(&name);
                }
                (Done::Done, vec![id])
            }
            Act::Rename { from, to, .. } => {
                self.id_of(&from)?;
                let moved: Vec<_> = self
                    .folders
                    .keys()
                    .filter_map(|n| Some((n.clone(), n.moved(&from, &to)?)))
                    .collect();
                for (old, new) in moved {
                    let known = self.folders.remove(&old).unwrap();
                    self.folders.insert(new, known);
                }
                (Done::Done, Vec::new())
            }
            Act::Subscribe { name, on, .. } => {
                self.folders.entry(name).or_default().subscribed = on;
                (Done::Done, Vec::new())
            }
            Act::Announce { mailbox, below } => {
                self.boxes.get_mut(&mailbox).unwrap().recent_from = below;
                (Done::Done, Vec::new())
            }
            other => panic!("{other:?}"),
        })
    }
}

impl Mailbox {
    fn standing(&self, mailbox: MailboxId) -> Standing {
        let count = |is: &dyn Fn(&Entry) -> bool| self.live.values().filter(|e| is(e)).count();
        Standing {
            mailbox,
            uid_validity: self.uid_validity,
            uid_next: Uid(self.uid_next),
            highest_modseq: ModSeq(self.modseq),
            messages: self.live.len() as u32,
            unseen: count(&|entry| !entry.flags.contains(Flags::SEEN)) as u32,
            deleted: count(&|entry| entry.flags.contains(Flags::DELETED)) as u32,
            size: self.live.values().map(|entry| entry.size).sum(),
            recent_from: self.recent_from,
            keywords: self.keywords.clone(),
        }
    }

    fn keywords(&mut self, names: &[Keyword]) -> Keywords {
        names.iter().fold(Keywords(0), |bits, name| {
            let place = self.keywords.iter().position(|known| known == name);
            let place = place.unwrap_or_else(|| {
                self.keywords.push(name.clone());
                self.keywords.len() - 1
            });
            Keywords(bits.0 | 1 << place)
        })
    }

    fn flag(&mut self, uids: &Uids, change: &FlagChange) -> Done {
        let keywords = self.keywords(&change.keywords).0;
        let next = ModSeq(self.modseq + 1);
        let (mut changed, mut refused) = (false, Uids::default());
        for entry in self.live.values_mut().filter(|entry| uids.contains(entry.uid)) {
            if change.unchanged_since.is_some_and(|since| entry.modseq > since) {
                refused.insert(entry.uid);
                continue;
            }
            let (flags, words) = match change.how {
                How::Replace => (change.flags, keywords),
                How::Add => (entry.flags.with(change.flags), entry.keywords.0 | keywords),
                How::Remove => (entry.flags.without(change.flags), entry.keywords.0 & !keywords),
            };
            if (flags, words) != (entry.flags, entry.keywords.0) {
                (entry.flags, entry.keywords, entry.modseq) = (flags, Keywords(words), next);
                changed = true;
            }
        }
        self.modseq += u64::from(changed);
        Done::Flagged { modseq: changed.then_some(next), refused }
    }

    fn expunge(&mut self, goes: impl Fn(&Entry) -> bool) -> Done {
        let gone: Uids = self.live.values().filter(|e| goes(e)).map(|entry| entry.uid).collect();
        let modseq = (!gone.is_empty()).then_some(ModSeq(self.modseq + 1));
        for uid in gone.iter() {
            let mut entry = self.live.remove(&uid).unwrap();
            entry.modseq = modseq.unwrap();
            self.ghosts.insert(uid, entry);
        }
        self.modseq += u64::from(modseq.is_some());
        Done::Expunged { modseq, uids: gone }
    }
}
