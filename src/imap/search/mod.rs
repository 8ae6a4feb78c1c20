//! SEARCH: what marks and sets can tell first, then what listings can, and contents last.
//!
//! Each level of knowledge costs more than the one before it, so a message comes to the next only
//! when this one has left it undecided. Messages go through the levels page by page; between two
//! pages other sessions have their turn.

mod content;
mod envelope;
mod key;
mod results;

use self::{
    content::{Reader, Step},
    key::{Known, Level, Tree},
    results::Results,
};
use super::{
    command::{Search, SearchReturn},
    fetch::is_damaged,
    reply::Reply,
    session::{Answer, Job as Jobs, Next, Tell, Telling, Turn, number},
    uids,
};
use crate::{
    limits::LISTED_MAX,
    mail::mailbox::{Ask, Entry, Found, Listed, Mark, Pages, StoreTrouble, Uids},
};

pub(super) struct Job {
    by_uid: bool,
    returns: Option<SearchReturn>,
    tree: Tree,
    stage: Stage,
    /// Where each level's knowledge is needed, messages that wait for it.
    waiting: Vec<(Level, Pages)>,
    /// Found by what sets tell.
    certain: Uids,
    results: Results,
    page: std::vec::IntoIter<Listed>,
    reader: Option<Box<Reader>>,
    damaged: bool,
}

#[derive(Debug)]
enum Stage {
    /// Marks are asked for.
    Marks(Vec<Mark>),
    /// A page of the messages that wait for the level at this place.
    Page(usize),
    /// A piece of a content.
    Content(usize),
}

pub(super) fn begin(request: Search, turn: &mut Turn) -> Next {
    let Some(view) = turn.peer.view() else { return Next::end(number()) };
    let tree = Tree::new(&request.key, view, turn.cx.now.wall);
    if tree.asks_modseq {
        turn.enable_condstore();
    }
    let marks = tree.marks();
    let job = Box::new(Job {
        by_uid: request.by_uid,
        returns: request.returns,
        tree,
        stage: Stage::Marks(Vec::new()),
        waiting: Vec::new(),
        certain: Uids::default(),
        results: Results::default(),
        page: Vec::new().into_iter(),
        reader: None,
        damaged: false,
    });
    job.next_mark(marks, turn)
}

impl Job {
    pub(super) fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        let stage = std::mem::replace(&mut self.stage, Stage::Marks(Vec::new()));
        match (stage, answer) {
            (Stage::Marks(mut marks), Answer::Found(Found::Marked(uids))) => {
                if let Some(mark) = marks.pop() {
                    self.tree.know(mark, &uids);
                }
                self.next_mark(marks, turn)
            }
            (Stage::Page(at), Answer::Found(Found::Messages { messages, rest })) => {
                rest.into_iter().for_each(|uid| self.waiting[at].1.back_to(uid));
                self.page = messages.into_iter();
                self.go_through(at, turn)
            }
            (Stage::Content(at), Answer::Found(Found::Content(octets))) => {
                if let Some(reader) = &mut self.reader {
                    reader.read(octets, &self.tree.needles);
                }
                self.go_through(at, turn)
            }
            (Stage::Content(at), Answer::Trouble(StoreTrouble::Damaged)) => {
                self.damaged = true;
                self.reader = None;
                self.go_through(at, turn)
            }
            (_, other) => {
                // RFC 5182 §2.1: a search that fails leaves nothing to refer to.
                if let (true, Some(view)) = (self.saves(), turn.peer.view_mut()) {
                    view.saved = Uids::default();
                }
                Next::unexpected(other)
            }
        }
    }

    fn next_mark(mut self: Box<Self>, marks: Vec<Mark>, turn: &mut Turn) -> Next {
        let (Some(mark), Some(view)) = (marks.last(), turn.peer.view()) else {
            return self.start(turn);
        };
        let ask = Ask::Marked { mailbox: view.mailbox, mark: *mark };
        turn.ask(ask);
        self.stage = Stage::Marks(marks);
        Next::Wait(Jobs::Search(self))
    }

    /// What sets alone decide is decided; the rest waits for the first level that is needed.
    fn start(mut self: Box<Self>, turn: &mut Turn) -> Next {
        let (certain, possible) = self.tree.bounds();
        self.waiting =
            self.tree.levels().into_iter().map(|level| (level, Pages::default())).collect();
        if let Some((_, waiting)) = self.waiting.first_mut() {
            *waiting = Pages::new(possible.difference(&certain));
        }
        self.certain = certain;
        self.next_page(turn)
    }

    /// Those furthest on go first, so that few wait in between.
    fn next_page(mut self: Box<Self>, turn: &mut Turn) -> Next {
        let Some(at) = self.waiting.iter().rposition(|(_, waiting)| !waiting.is_empty()) else {
            return self.end(turn);
        };
        let Some(view) = turn.peer.view() else { return Next::end(number()) };
        self.stage = Stage::Page(at);
        let (level, waiting) = &mut self.waiting[at];
        let (uids, want) = (waiting.next(LISTED_MAX), level.want());
        let ask = Ask::Messages { mailbox: view.mailbox, uids, want };
        turn.ask(ask);
        Next::Wait(Jobs::Search(self))
    }

    /// The messages of a page, as far as the store need not be asked for more of one.
    fn go_through(mut self: Box<Self>, at: usize, turn: &mut Turn) -> Next {
        let level = self.waiting[at].0;
        let mut undecided = Uids::default();
        loop {
            if let Some(mut reader) = self.reader.take() {
                match reader.go_on(&self.tree.needles) {
                    Step::Read(ask) => {
                        turn.ask(ask);
                        self.reader = Some(reader);
                        self.stage = Stage::Content(at);
                        return Next::Wait(Jobs::Search(self));
                    }
                    Step::Broken => self.damaged = true,
                    Step::Done => {
                        let decided = self.tree.key.holds(&reader.known(level));
                        self.decide(decided, &reader.listed().entry, &mut undecided);
                    }
                }
            } else {
                let Some(listed) = self.page.next() else { break };
                if is_damaged(&listed, level.want()) {
                    self.damaged = true;
                    continue;
                }
                let needles = match level {
                    Level::Content => Some(self.tree.needles.len()),
                    // A header that is too long for a listing is read by itself.
                    Level::Header if listed.content.is_none() => Some(0),
                    _ => None,
                };
                if let Some(needles) = needles {
                    self.reader = Some(Box::new(Reader::new(listed, needles)));
                    continue;
                }
                let decided = self.tree.key.holds(&Known::of(&listed, level));
                self.decide(decided, &listed.entry, &mut undecided);
            }
        }
        if let Some((_, waiting)) = self.waiting.get_mut(at + 1) {
            // Nobody waits there: those furthest on go first.
            *waiting = Pages::new(undecided);
        }
        self.next_page(turn)
    }

    fn decide(&mut self, decided: Option<bool>, entry: &Entry, undecided: &mut Uids) {
        match decided {
            Some(true) => self.results.add(entry.uid, entry.modseq),
            Some(false) => {}
            None => undecided.insert(entry.uid),
        }
    }

    fn saves(&self) -> bool {
        self.returns.is_some_and(|returns| returns.save)
    }

    fn end(mut self: Box<Self>, turn: &mut Turn) -> Next {
        self.results.uids = uids::union(&self.certain, &self.results.uids);
        let modseq = self.tree.asks_modseq;
        let (rev2, tag) = (turn.peer.enabled.rev2, turn.tag.clone());
        let saves = self.saves();
        let Turn { peer, steps, .. } = turn;
        let Some(view) = peer.view_mut() else { return Next::end(number()) };
        let numbers = match self.by_uid {
            true => self.results.uids.clone(),
            false => view.sequences(&self.results.uids),
        };
        match self.returns {
            // RFC 9051 §7.3.4: IMAP4rev2 knows only ESEARCH.
            None if !rev2 => self.results.write_plain(&numbers, modseq, &mut steps.out),
            returns => {
                let returns = returns.unwrap_or(SearchReturn { all: true, ..Default::default() });
                let form = results::Form { returns, by_uid: self.by_uid, modseq };
                self.results.write_extended(&numbers, form, &tag, &mut steps.out);
                if saves {
                    view.saved = self.results.saved(returns);
                }
            }
        }
        if self.damaged {
            let text = "Some messages are damaged on disk and could not be searched";
            steps.out.untagged("NO", "CORRUPTION", text);
        }
        // RFC 9051 §7.5.1.
        let how = Telling { expunged: self.by_uid, uids: self.by_uid, ..Telling::default() };
        Next::End(Reply::ok("That is all"), Tell::Changes(Box::new(how)))
    }
}
