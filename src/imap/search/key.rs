//! A SEARCH's keys, made ready for a mailbox, and what they say of a message.

use bytes::Bytes;

use super::envelope;
use crate::{
    imap::{command::SearchKey, session::peer::View, uids},
    limits::LISTED_OCTETS,
    mail::{
        mailbox::{Content, Entry, Flags, Listed, Mark, ModSeq, Uids, Want},
        text::{Needle, decode_words, fields, parse_date},
    },
    time::{Duration, Wall},
};

/// The keys with what they share.
#[derive(Debug)]
pub(super) struct Tree {
    pub key: Key,
    /// Texts that BODY and TEXT look for.
    pub needles: Vec<Needle>,
    /// One of the keys is MODSEQ.
    pub asks_modseq: bool,
    /// The messages that are searched.
    all: Uids,
}

#[derive(Debug)]
pub(super) enum Key {
    /// Exactly these.
    These(Uids),
    And(Vec<Key>),
    Or(Box<(Key, Key)>),
    Not(Box<Key>),
    Flag(Flags),
    /// Bit of the mailbox's keywords.
    Keyword(u32),
    Before(i64),
    On(i64),
    Since(i64),
    SentBefore(i64),
    SentOn(i64),
    SentSince(i64),
    Larger(u64),
    Smaller(u64),
    /// Received at this time or before it.
    Until(Wall),
    ModSeq(ModSeq),
    Field {
        name: Bytes,
        needle: Box<Needle>,
    },
    /// Places in `Tree::needles`.
    Body(usize),
    Text(usize),
}

/// What must be known of a message, each with all before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Level {
    Entry,
    Envelope,
    Header,
    Content,
}

impl Level {
    /// What the store must bring of a message.
    pub fn want(self) -> Want {
        let content = match self {
            Level::Entry | Level::Envelope => Content::None,
            Level::Header => Content::Header,
            Level::Content => Content::Whole { at_most: LISTED_OCTETS },
        };
        Want { summary: self > Level::Entry, content }
    }
}

/// What is known of a message.
pub(super) struct Known<'a> {
    pub entry: &'a Entry,
    pub envelope: Option<&'a [u8]>,
    pub header: Option<&'a [u8]>,
    /// By needle: in the header, in the body.
    pub texts: Option<&'a [(bool, bool)]>,
}

impl Tree {
    pub fn new(key: &SearchKey, view: &View, now: Wall) -> Self {
        let all = view.uids.difference(&view.gone);
        let mut tree =
            Self { key: Key::And(Vec::new()), needles: Vec::new(), asks_modseq: false, all };
        tree.key = tree.ready(key, view, now);
        tree
    }

    fn ready(&mut self, key: &SearchKey, view: &View, now: Wall) -> Key {
        match key {
            SearchKey::All => Key::These(self.all.clone()),
            SearchKey::None => Key::These(Uids::default()),
            SearchKey::And(keys) => {
                Key::And(keys.iter().map(|key| self.ready(key, view, now)).collect())
            }
            SearchKey::Or(keys) => {
                Key::Or(Box::new((self.ready(&keys.0, view, now), self.ready(&keys.1, view, now))))
            }
            SearchKey::Not(key) => Key::Not(Box::new(self.ready(key, view, now))),
            SearchKey::Sequence(set) => {
                let uids = set.found_sequences(&view.uids, &view.saved);
                Key::These(uids.intersection(&self.all))
            }
            SearchKey::Uid(set) => {
                let uids = view.resolve(set, true).unwrap_or_default();
                Key::These(uids.intersection(&self.all))
            }
            SearchKey::Flag(flags) => Key::Flag(*flags),
            SearchKey::Keyword(keyword) => {
                match view.keywords.iter().position(|known| known == keyword) {
                    Some(number) => Key::Keyword(number as u32),
                    None => Key::These(Uids::default()),
                }
            }
            SearchKey::Recent => {
                Key::These(view.uids.from(view.recent_from).intersection(&self.all))
            }
            SearchKey::Before(day) => Key::Before(*day),
            SearchKey::On(day) => Key::On(*day),
            SearchKey::Since(day) => Key::Since(*day),
            SearchKey::SentBefore(day) => Key::SentBefore(*day),
            SearchKey::SentOn(day) => Key::SentOn(*day),
            SearchKey::SentSince(day) => Key::SentSince(*day),
            SearchKey::Larger(octets) => Key::Larger(*octets),
            SearchKey::Smaller(octets) => Key::Smaller(*octets),
            // RFC 5032 §2: OLDER is at least so old, YOUNGER at most.
            SearchKey::Older(seconds) => Key::Until(now - Duration::from_secs((*seconds).into())),
            SearchKey::Younger(seconds) => {
                let before = now - Duration::from_secs(seconds.saturating_add(1).into());
                Key::Not(Box::new(Key::Until(before)))
            }
            SearchKey::ModSeq(modseq) => {
                self.asks_modseq = true;
                Key::ModSeq(*modseq)
            }
            SearchKey::Header { field, text } => {
                Key::Field { name: field.clone(), needle: Box::new(Needle::new(text)) }
            }
            SearchKey::Body(text) => Key::Body(self.needle(text)),
            SearchKey::Text(text) => Key::Text(self.needle(text)),
        }
    }

    fn needle(&mut self, text: &str) -> usize {
        self.needles.push(Needle::new(text));
        self.needles.len() - 1
    }

    /// Marks that answer a key without a look at its messages.
    pub fn marks(&self) -> Vec<Mark> {
        let asks = |flag| self.key.any(&|key| matches!(key, Key::Flag(flags) if *flags == flag));
        let unseen = asks(Flags::SEEN).then_some(Mark::Unseen);
        unseen.into_iter().chain(asks(Flags::DELETED).then_some(Mark::Deleted)).collect()
    }

    /// Takes a mark's answer in.
    pub fn know(&mut self, mark: Mark, uids: &Uids) {
        let (flag, known) = match mark {
            Mark::Unseen => (Flags::SEEN, self.all.difference(uids)),
            Mark::Deleted => (Flags::DELETED, self.all.intersection(uids)),
        };
        self.key.replace(flag, &known);
    }

    /// Messages that surely match, and those that may.
    pub fn bounds(&self) -> (Uids, Uids) {
        let (certain, possible) = self.key.bounds(&self.all);
        // The MODSEQs of all that is found are to be told: their entries must be looked at.
        let certain = if self.asks_modseq { Uids::default() } else { certain };
        (certain, possible)
    }

    /// What must be known, the cheapest first.
    pub fn levels(&self) -> Vec<Level> {
        let needed = |level| self.key.any(&|key| key.level() == Some(level));
        let all = [Level::Entry, Level::Envelope, Level::Header, Level::Content];
        all.into_iter().filter(|level| needed(*level)).collect()
    }
}

impl Key {
    fn any(&self, is: &impl Fn(&Key) -> bool) -> bool {
        is(self)
            || match self {
                Key::And(keys) => keys.iter().any(|key| key.any(is)),
                Key::Or(keys) => keys.0.any(is) || keys.1.any(is),
                Key::Not(key) => key.any(is),
                _ => false,
            }
    }

    fn replace(&mut self, flag: Flags, known: &Uids) {
        match self {
            Key::Flag(flags) if *flags == flag => *self = Key::These(known.clone()),
            Key::And(keys) => keys.iter_mut().for_each(|key| key.replace(flag, known)),
            Key::Or(keys) => {
                keys.0.replace(flag, known);
                keys.1.replace(flag, known);
            }
            Key::Not(key) => key.replace(flag, known),
            _ => {}
        }
    }

    fn bounds(&self, all: &Uids) -> (Uids, Uids) {
        match self {
            Key::These(uids) => (uids.clone(), uids.clone()),
            Key::And(keys) => keys.iter().map(|key| key.bounds(all)).fold(
                (all.clone(), all.clone()),
                |(certain, possible), (also_certain, also_possible)| {
                    (certain.intersection(&also_certain), possible.intersection(&also_possible))
                },
            ),
            Key::Or(keys) => {
                let (one, other) = (keys.0.bounds(all), keys.1.bounds(all));
                (uids::union(&one.0, &other.0), uids::union(&one.1, &other.1))
            }
            Key::Not(key) => {
                let (certain, possible) = key.bounds(all);
                (all.difference(&possible), all.difference(&certain))
            }
            _ => (Uids::default(), all.clone()),
        }
    }

    fn level(&self) -> Option<Level> {
        match self {
            Key::These(_) | Key::And(_) | Key::Or(_) | Key::Not(_) => None,
            Key::SentBefore(_) | Key::SentOn(_) | Key::SentSince(_) => Some(Level::Envelope),
            Key::Field { name, .. } if envelope::has(name) => Some(Level::Envelope),
            Key::Field { .. } => Some(Level::Header),
            Key::Body(_) | Key::Text(_) => Some(Level::Content),
            _ => Some(Level::Entry),
        }
    }

    /// `None`: it takes more knowledge to tell.
    pub fn holds(&self, known: &Known) -> Option<bool> {
        let entry = known.entry;
        let day = (entry.received.as_millis() / 86_400_000).cast_signed();
        Some(match self {
            Key::These(uids) => uids.contains(entry.uid),
            Key::And(keys) => return conjunction(keys.iter().map(|key| key.holds(known))),
            Key::Or(keys) => {
                let neither = [&keys.0, &keys.1].map(|key| key.holds(known).map(|held| !held));
                !conjunction(neither.into_iter())?
            }
            Key::Not(key) => !key.holds(known)?,
            Key::Flag(flags) => entry.flags.contains(*flags),
            Key::Keyword(number) => entry.keywords.0.checked_shr(*number).unwrap_or(0) & 1 == 1,
            Key::Before(than) => day < *than,
            Key::On(that) => day == *that,
            Key::Since(that) => day >= *that,
            Key::SentBefore(than) => sent(known.envelope?).is_some_and(|day| day < *than),
            Key::SentOn(that) => sent(known.envelope?).is_some_and(|day| day == *that),
            Key::SentSince(that) => sent(known.envelope?).is_some_and(|day| day >= *that),
            Key::Larger(than) => entry.size > *than,
            Key::Smaller(than) => entry.size < *than,
            Key::Until(then) => entry.received <= *then,
            Key::ModSeq(from) => entry.modseq >= *from,
            Key::Field { name, needle } if envelope::has(name) => {
                envelope::text(known.envelope?, name).is_some_and(|text| needle.is_in(&text))
            }
            Key::Field { name, needle } => {
                let delivered = entry.delivered_field();
                let mut all = fields(&delivered).chain(fields(known.header?));
                all.any(|field| {
                    field.name.eq_ignore_ascii_case(name)
                        && (needle.is_empty() || needle.is_in(&decode_words(field.value)))
                })
            }
            Key::Body(place) => known.texts?.get(*place)?.1,
            Key::Text(place) => known.texts?.get(*place).map(|(header, body)| *header || *body)?,
        })
    }
}

impl<'a> Known<'a> {
    pub fn of(listed: &'a Listed, level: Level) -> Self {
        let summary = listed.summary.as_ref().filter(|_| level >= Level::Envelope);
        let header = listed.content.as_deref().filter(|_| level >= Level::Header);
        Self {
            entry: &listed.entry,
            envelope: summary.map(|summary| &*summary.envelope),
            header,
            texts: None,
        }
    }
}

/// The day of the `Date:` field, as it was written (RFC 9051 §6.4.4).
fn sent(envelope: &[u8]) -> Option<i64> {
    let date = envelope::raw(envelope, b"date")?;
    parse_date(&date).map(|date| date.day)
}

/// False where one is, whatever the others are.
fn conjunction(mut all: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all.try_fold(Some(true), |so_far, one| match (so_far, one) {
        (_, Some(false)) => Err(Some(false)),
        (Some(true), Some(true)) => Ok(Some(true)),
        _ => Ok(None),
    })
    .unwrap_or_else(|decided| decided)
}
