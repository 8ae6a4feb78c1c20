//! SELECT and EXAMINE, with what CONDSTORE and QRESYNC add (RFC 7162 §3.1.8, §3.2.5).

use std::fmt::Write;

use super::{
    Job,
    peer::{EntryForm, Place, View},
    step::{Answer, Next, Turn},
};
use crate::{
    imap::{
        command::{Qresync, Select},
        reply::{Out, Reply},
        uids,
    },
    limits::LISTED_MAX,
    mail::mailbox::{AccountId, Act, Ask, Changes, Found, Opened, Pages, Uid, Uids, Want},
};

#[derive(Debug)]
pub(in crate::imap) struct Selecting {
    request: Select,
    /// The mailbox's next UID, as it was opened.
    uid_next: Uid,
    /// What ended, and what has changed, since the client was here.
    vanished: Uids,
    changed: Uids,
    /// Of those that have changed, what is still to be told.
    pages: Pages,
}

pub(super) fn begin(account: AccountId, request: Select, turn: &mut Turn) -> Next {
    let enabled = &mut turn.peer.enabled;
    if request.qresync.is_some() && !enabled.qresync {
        // RFC 7162 §3.2.5.
        return Next::end(Reply::bad("ENABLE QRESYNC first"));
    }
    enabled.condstore |= request.condstore || request.qresync.is_some();
    // RFC 9051 §6.3.2: the old mailbox is left even if the new one cannot be had.
    if turn.peer.deselect() {
        turn.out().untagged("OK", "CLOSED", "The other mailbox is left");
    }
    turn.ask(Ask::Open { account, name: request.name.clone() });
    let (vanished, changed) = (Uids::default(), Uids::default());
    let (uid_next, pages) = (Uid(1), Pages::default());
    let selecting = Selecting { request, uid_next, vanished, changed, pages };
    Next::Wait(Job::Select(Box::new(selecting)))
}

impl Selecting {
    pub(super) fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        match answer {
            Answer::Found(Found::Open(Some(opened))) => self.open(*opened, turn),
            Answer::Found(Found::Open(None)) => {
                Next::end(Reply::no("There is no such mailbox").code("NONEXISTENT"))
            }
            Answer::Found(Found::Changes(Some(changes))) => {
                let (more, since, after) = (changes.more, changes.upto, changes.within);
                self.resynchronize(*changes, turn);
                let (true, Some(view)) = (more, turn.peer.view()) else {
                    // RFC 7162 §3.2.6: first what ended, then what has changed.
                    write_vanished(&self.vanished, turn.out());
                    self.pages = Pages::new(std::mem::take(&mut self.changed));
                    return self.next_page(turn);
                };
                turn.ask(Ask::Changes { mailbox: view.mailbox, since, after });
                Next::Wait(Job::Select(self))
            }
            Answer::Found(Found::Messages { messages, rest }) => {
                rest.into_iter().for_each(|uid| self.pages.back_to(uid));
                let form = EntryForm::new(turn.peer.enabled, true);
                if let Some(view) = turn.peer.view() {
                    for listed in &messages {
                        view.write_entry(&listed.entry, form, &mut turn.steps.out);
                    }
                }
                match turn.is_full() {
                    true => Next::Rest(Job::Select(self)),
                    false => self.next_page(turn),
                }
            }
            Answer::Sent => self.next_page(turn),
            Answer::Found(Found::Changes(None)) => {
                turn.peer.deselect();
                Next::end(Reply::no("The mailbox has just been deleted").code("NONEXISTENT"))
            }
            other => {
                turn.peer.deselect();
                Next::unexpected(other)
            }
        }
    }

    fn open(mut self: Box<Self>, opened: Opened, turn: &mut Turn) -> Next {
        let Some(login) = turn.peer.login().cloned() else { return self.end(turn) };
        let enabled = turn.peer.enabled;
        let out = &mut turn.steps.out;
        self.uid_next = opened.standing.uid_next;
        let uid_validity = opened.standing.uid_validity;
        let first_unseen = opened.first_unseen;
        let view = View::new(self.request.name.clone(), self.request.read_only, opened);
        view.write_flags(out);
        let _ = write!(out, "* {} EXISTS\r\n", view.uids.count());
        if enabled.rev2 {
            // RFC 9051 §6.3.2 asks for LIST, and knows neither RECENT nor UNSEEN.
            out.text("* LIST () \"/\" ");
            out.mailbox(view.name.as_str(), true);
            out.text("\r\n");
        } else {
            let _ = write!(out, "* {} RECENT\r\n", view.recent());
            if let Some(number) = first_unseen.and_then(|uid| view.uids.sequence_of(uid)) {
                let _ = write!(out, "* OK [UNSEEN {number}] The first unseen\r\n");
            }
        }
        let _ = write!(out, "* OK [UIDVALIDITY {uid_validity}] UIDs are valid\r\n");
        let _ = write!(out, "* OK [UIDNEXT {}] The next UID\r\n", self.uid_next.0);
        let _ = write!(out, "* OK [HIGHESTMODSEQ {}] The last change\r\n", view.told.0);
        let (mailbox, highest) = (view.mailbox, view.told);
        turn.peer.place = Place::Selected(login, Box::new(view));
        match &self.request.qresync {
            Some(known) if known.uid_validity == uid_validity && known.modseq < highest => {
                turn.ask(Ask::Changes { mailbox, since: known.modseq, after: None });
                Next::Wait(Job::Select(self))
            }
            _ => self.end(turn),
        }
    }

    /// RFC 7162 §3.2.5.1. Every end since is told without what the client says of sequence
    /// numbers (§3.2.5.2).
    fn resynchronize(&mut self, changes: Changes, turn: &mut Turn) {
        let Some(view) = turn.peer.view_mut() else { return };
        let known = match &self.request.qresync {
            Some(Qresync { known: Some(set), .. }) => uids::of_set(set, self.uid_next),
            _ => all_below(self.uid_next),
        };
        // What ended behind `Open` is told as any change is, and must not be told before it.
        view.stale |= changes.upto > view.told;
        let gone = changes.gone.intersection(&known).difference(&view.uids);
        self.vanished = uids::union(&self.vanished, &gone);
        let changed: Uids = changes.changed.iter().map(|entry| entry.uid).collect();
        let changed = changed.intersection(&known).intersection(&view.uids);
        self.changed = uids::union(&self.changed, &changed);
    }

    fn next_page(mut self: Box<Self>, turn: &mut Turn) -> Next {
        match turn.peer.view() {
            Some(view) if !self.pages.is_empty() => {
                let (mailbox, uids) = (view.mailbox, self.pages.next(LISTED_MAX));
                turn.ask(Ask::Messages { mailbox, uids, want: Want::default() });
                Next::Wait(Job::Select(self))
            }
            _ => self.end(turn),
        }
    }

    /// The tagged OK, with the last thing that is written: the next session finds nothing recent
    /// of what this one has told.
    fn end(self, turn: &mut Turn) -> Next {
        let Some(view) = turn.peer.view() else {
            return Next::end(Reply::no("There is no such mailbox").code("NONEXISTENT"));
        };
        let (mailbox, read_only) = (view.mailbox, view.read_only);
        if read_only {
            return Next::end(Reply::ok("You may look").code("READ-ONLY"));
        }
        if view.recent_from < self.uid_next {
            turn.act(Act::Announce { mailbox, below: self.uid_next });
        }
        Next::end(Reply::ok("It is yours").code("READ-WRITE"))
    }
}

/// `VANISHED (EARLIER)`, RFC 7162 §3.2.10.
pub(in crate::imap) fn write_vanished(gone: &Uids, out: &mut Out) {
    if !gone.is_empty() {
        out.text("* VANISHED (EARLIER) ");
        out.set(gone);
        out.text("\r\n");
    }
}

fn all_below(uid_next: Uid) -> Uids {
    let mut all = Uids::default();
    all.insert_run(Uid(1)..=Uid(uid_next.0.saturating_sub(1)));
    all
}
