//! FETCH: pages of messages are asked for, and each message is put out as it was asked for.

mod message;
mod section;

use self::message::{Message, Step};
use super::{
    command::{BodyForm, BodyItem, Fetch, FetchItem, Section},
    reply::Reply,
    session::{Answer, Job as Jobs, Next, Tell, Telling, Turn, number, write_vanished},
    uids,
};
use crate::{
    limits::{LISTED_MAX, LISTED_OCTETS},
    mail::mailbox::{
        Act, Ask, Changes, Content, Done, FlagChange, Flags, Found, How, Listed, ModSeq, Pages,
        Uid, Uids, Want,
    },
};

#[derive(Debug)]
pub(super) struct Job {
    items: Vec<FetchItem>,
    by_uid: bool,
    want: Want,
    /// Reading a body sets `\Seen`.
    marks_seen: bool,
    stage: Stage,
    pages: Pages,
    page: std::vec::IntoIter<Listed>,
    current: Option<Box<Message>>,
    /// Own changes, told with the messages.
    own: Vec<ModSeq>,
    faults: Faults,
}

/// What the end of the command must say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub damaged: bool,
    /// RFC 3516 §4.3.
    pub unknown_encoding: bool,
}

#[derive(Debug)]
enum Stage {
    /// What has changed since is looked for.
    Changes(Box<Since>),
    Page,
    /// The page's messages get `\Seen` before they are told.
    Seen(Vec<Listed>),
    /// Pieces of the current message come.
    Content,
}

/// CHANGEDSINCE, and VANISHED with it (RFC 7162 §3.1.4, §3.2.6).
#[derive(Debug)]
struct Since {
    /// Those that are fetched if they have changed.
    wanted: Uids,
    changed: Uids,
    gone: Uids,
    /// What the command names, whether there are such messages or not; for VANISHED.
    named: Option<Uids>,
}

pub(super) fn begin(mut request: Fetch, turn: &mut Turn) -> Next {
    if request.changed_since.is_some() || request.items.contains(&FetchItem::ModSeq) {
        turn.enable_condstore();
    }
    if request.vanished && !(turn.peer.enabled.qresync && request.by_uid) {
        return Next::end(Reply::bad("VANISHED is for UID FETCH, behind ENABLE QRESYNC"));
    }
    let Some(view) = turn.peer.view() else { return Next::end(number()) };
    let Some(uids) = view.resolve(&request.set, request.by_uid) else { return Next::end(number()) };
    if request.by_uid && !request.items.contains(&FetchItem::Uid) {
        request.items.insert(0, FetchItem::Uid);
    }
    if request.changed_since.is_some() && !request.items.contains(&FetchItem::ModSeq) {
        request.items.push(FetchItem::ModSeq);
    }
    let mut job = Box::new(Job {
        want: want(&request.items),
        marks_seen: !view.read_only && request.items.iter().any(reads),
        items: request.items,
        by_uid: request.by_uid,
        stage: Stage::Page,
        pages: Pages::default(),
        page: Vec::new().into_iter(),
        current: None,
        own: Vec::new(),
        faults: Faults::default(),
    });
    let Some(since) = request.changed_since else {
        job.pages = Pages::new(uids);
        return job.next_page(turn);
    };
    // Messages behind the last that is there may be among those that are gone: `*` is any.
    let named = request.vanished.then(|| uids::of_set(&request.set, Uid(u32::MAX)));
    let (changed, gone) = (Uids::default(), Uids::default());
    let since_job = Since { wanted: uids, changed, gone, named };
    let ask = Ask::Changes { mailbox: view.mailbox, since, after: None };
    job.stage = Stage::Changes(Box::new(since_job));
    turn.ask(ask);
    Next::Wait(Jobs::Fetch(job))
}

/// What the store must bring for these items.
fn want(items: &[FetchItem]) -> Want {
    let mut want = Want::default();
    for item in items {
        match item {
            FetchItem::Envelope | FetchItem::Structure { .. } => want.summary = true,
            FetchItem::Body(BodyItem { part, section, .. }) => {
                let top = part.is_empty();
                want.summary |= !(top && *section == Section::Whole);
                let header = matches!(section, Section::Header | Section::Fields { .. });
                if !(top && header) {
                    want.content = Content::Whole { at_most: LISTED_OCTETS };
                } else if want.content == Content::None {
                    want.content = Content::Header;
                }
            }
            _ => {}
        }
    }
    want
}

/// Something of it was wanted and cannot be read.
pub(super) fn is_damaged(listed: &Listed, want: Want) -> bool {
    let content = match want.content {
        Content::None => false,
        // A longer one is read in pieces, and found out then.
        Content::Header => {
            let parts = listed.summary.as_ref().map(|summary| summary.parts.iter());
            let message = parts.and_then(|mut parts| parts.next());
            message.is_some_and(|message| message.header as usize <= LISTED_OCTETS)
        }
        Content::Whole { at_most } => listed.entry.size <= at_most as u64,
    };
    want.summary && listed.summary.is_none() || content && listed.content.is_none()
}

/// RFC 9051 §6.4.5: what implicitly sets `\Seen`.
fn reads(item: &FetchItem) -> bool {
    matches!(item, FetchItem::Body(body) if !body.peek && body.form != BodyForm::BinarySize)
}

impl Job {
    pub(super) fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        let stage = std::mem::replace(&mut self.stage, Stage::Page);
        match (stage, answer) {
            (Stage::Changes(since), Answer::Found(Found::Changes(Some(changes)))) => {
                self.since(since, *changes, turn)
            }
            (Stage::Page, Answer::Found(Found::Messages { messages, rest })) => {
                rest.into_iter().for_each(|uid| self.pages.back_to(uid));
                self.listed(messages, turn)
            }
            (Stage::Seen(page), Answer::Done(Done::Flagged { modseq, .. })) => {
                self.seen(page, modseq, turn)
            }
            (Stage::Content, Answer::Found(Found::Content(octets))) => {
                if let Some(message) = &mut self.current {
                    message.read(octets, &mut turn.steps.out);
                }
                self.go_on(turn)
            }
            (Stage::Content, Answer::Trouble(_)) => {
                if let Some(message) = &mut self.current {
                    message.read(bytes::Bytes::new(), &mut turn.steps.out);
                }
                self.go_on(turn)
            }
            (_, Answer::Sent) => self.go_on(turn),
            (_, other) => Next::unexpected(other),
        }
    }

    fn since(
        mut self: Box<Self>,
        mut since: Box<Since>,
        changes: Changes,
        turn: &mut Turn,
    ) -> Next {
        let Some(view) = turn.peer.view() else { return Next::end(number()) };
        let changed = changes.changed.iter().map(|entry| entry.uid).collect();
        since.changed = uids::union(&since.changed, &since.wanted.intersection(&changed));
        if let Some(named) = &since.named {
            // What the client still counts is told when it may be.
            let gone = changes.gone.intersection(named).difference(&view.uids);
            since.gone = uids::union(&since.gone, &gone);
        }
        if changes.more {
            let ask =
                Ask::Changes { mailbox: view.mailbox, since: changes.upto, after: changes.within };
            self.stage = Stage::Changes(since);
            turn.ask(ask);
            return Next::Wait(Jobs::Fetch(self));
        }
        write_vanished(&since.gone, turn.out());
        self.pages = Pages::new(since.changed);
        self.next_page(turn)
    }

    fn listed(mut self: Box<Self>, messages: Vec<Listed>, turn: &mut Turn) -> Next {
        let unseen = messages.iter().map(|listed| &listed.entry);
        let unseen = unseen.filter(|entry| !entry.flags.contains(Flags::SEEN));
        let unseen: Uids = unseen.map(|entry| entry.uid).collect();
        match turn.peer.view() {
            Some(view) if self.marks_seen && !unseen.is_empty() => {
                let change = FlagChange {
                    how: How::Add,
                    flags: Flags::SEEN,
                    keywords: Vec::new(),
                    unchanged_since: None,
                };
                let act = Act::Flag { mailbox: view.mailbox, uids: unseen, change };
                self.stage = Stage::Seen(messages);
                turn.act(act);
                Next::Wait(Jobs::Fetch(self))
            }
            _ => {
                self.page = messages.into_iter();
                self.go_on(turn)
            }
        }
    }

    /// The page's messages are seen now, and are told so.
    fn seen(
        mut self: Box<Self>,
        mut page: Vec<Listed>,
        modseq: Option<ModSeq>,
        turn: &mut Turn,
    ) -> Next {
        if let (Some(modseq), Some(view)) = (modseq, turn.peer.view_mut()) {
            view.stale = true;
            self.own.push(modseq);
            for Listed { entry, .. } in &mut page {
                if !entry.flags.contains(Flags::SEEN) {
                    entry.flags = entry.flags.with(Flags::SEEN);
                    entry.modseq = modseq;
                }
            }
        }
        self.page = page.into_iter();
        self.go_on(turn)
    }

    fn next_page(mut self: Box<Self>, turn: &mut Turn) -> Next {
        if self.pages.is_empty() {
            return self.end(turn);
        }
        let Some(view) = turn.peer.view() else { return Next::end(number()) };
        self.stage = Stage::Page;
        let uids = self.pages.next(LISTED_MAX);
        let ask = Ask::Messages { mailbox: view.mailbox, uids, want: self.want };
        turn.ask(ask);
        Next::Wait(Jobs::Fetch(self))
    }

    /// Puts out what is here, up to where the store or the client must come first.
    fn go_on(mut self: Box<Self>, turn: &mut Turn) -> Next {
        loop {
            if let Some(message) = &mut self.current {
                match message.go_on(&self.items, &mut self.faults, turn) {
                    Step::Done => self.current = None,
                    Step::Full => return Next::Rest(Jobs::Fetch(self)),
                    Step::Read(ask) => {
                        self.stage = Stage::Content;
                        turn.ask(ask);
                        return Next::Wait(Jobs::Fetch(self));
                    }
                    // In the midst of a literal there is no other way to say it.
                    Step::Broken => return Next::Close,
                }
            } else if turn.is_full() {
                return Next::Rest(Jobs::Fetch(self));
            } else if let Some(listed) = self.page.next() {
                if is_damaged(&listed, self.want) {
                    self.faults.damaged = true;
                    continue;
                }
                let told = self.own.binary_search(&listed.entry.modseq).is_ok();
                self.current = Some(Box::new(Message::new(listed, told)));
            } else {
                return self.next_page(turn);
            }
        }
    }

    fn end(self, turn: &Turn) -> Next {
        let reply = match self.faults {
            Faults { damaged: true, .. } => {
                Reply::no("Some messages are damaged on disk").code("CORRUPTION")
            }
            Faults { unknown_encoding: true, .. } => {
                Reply::no("Some parts cannot be decoded").code("UNKNOWN-CTE")
            }
            _ => Reply::ok("That is all"),
        };
        let how = Telling {
            // RFC 9051 §7.5.1: UID FETCH names no numbers, so what is gone may be told.
            expunged: self.by_uid,
            uids: self.by_uid,
            own: turn.peer.view().map_or_else(Vec::new, |view| view.unmixed(self.own)),
            ..Telling::default()
        };
        Next::End(reply, Tell::Changes(Box::new(how)))
    }
}
