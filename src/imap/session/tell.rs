//! Tells the client what has changed in its mailbox, before a command's last line or in IDLE.

use std::fmt::Write;

use super::{
    peer::{EntryForm, View},
    step::{Answer, Next, Telling, Turn},
    store,
};
use crate::{
    imap::{
        reply::{Out, Reply},
        uids,
    },
    limits::LISTED_MAX,
    mail::mailbox::{Ask, Changes, Entry, Found, ModSeq, Pages, Uid, Uids, Want},
};

#[derive(Debug)]
pub(in crate::imap) struct Job {
    how: Telling,
    after: After,
    /// Messages whose flags are to be told though nothing changed, and those told by a change.
    echo: Uids,
    told: Uids,
    /// What is left of them when all changes are told.
    pages: Pages,
    /// Where the next page begins.
    from: Option<(ModSeq, Option<Uid>)>,
}

/// What follows when all is told.
#[derive(Debug)]
pub(in crate::imap) enum After {
    Reply(Reply),
    Idle,
    /// What others did is told before the client's own change.
    Store(Box<store::Pending>),
}

/// Asks what has changed, where anything has.
pub(super) fn begin(after: After, mut how: Telling, turn: &mut Turn) -> Next {
    let echo = std::mem::take(&mut how.echo);
    let (told, pages) = (Uids::default(), Pages::default());
    let job = Box::new(Job { how, after, echo, told, pages, from: None });
    match turn.peer.view() {
        Some(view) if view.stale => job.ask(turn),
        _ => job.finish(turn),
    }
}

impl Job {
    fn ask(mut self: Box<Self>, turn: &mut Turn) -> Next {
        let Some(view) = turn.peer.view_mut() else { return self.end(turn) };
        view.stale = false;
        let (since, after) = self.from.take().unwrap_or((view.told, None));
        let ask = Ask::Changes { mailbox: view.mailbox, since, after };
        turn.ask(ask);
        Next::Wait(super::Job::Tell(self))
    }

    pub fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        match answer {
            Answer::Found(Found::Changes(Some(changes))) => {
                let more = changes.more;
                self.page(*changes, turn);
                match more {
                    true if turn.is_full() => Next::Rest(super::Job::Tell(self)),
                    true => self.ask(turn),
                    false => self.finish(turn),
                }
            }
            // RFC 2180 §3.3: the mailbox has been deleted, and nothing can be said about it.
            Answer::Found(Found::Changes(None)) => {
                turn.out().untagged("BYE", "", "The selected mailbox has been deleted; closing");
                Next::Close
            }
            Answer::Found(Found::Messages { messages, rest }) => {
                let form = EntryForm::new(turn.peer.enabled, self.how.uids);
                if let Some(view) = turn.peer.view() {
                    for listed in &messages {
                        view.write_entry(&listed.entry, form, &mut turn.steps.out);
                    }
                }
                rest.into_iter().for_each(|uid| self.pages.back_to(uid));
                match turn.is_full() {
                    true => Next::Rest(super::Job::Tell(self)),
                    false => self.finish(turn),
                }
            }
            Answer::Sent if self.from.is_some() => self.ask(turn),
            Answer::Sent => self.finish(turn),
            // The command itself has been carried out: what could not be told now is told later.
            Answer::Trouble(_) => {
                if let Some(view) = turn.peer.view_mut() {
                    view.stale = true;
                }
                self.end(turn)
            }
            other => Next::unexpected(other),
        }
    }

    /// One step of changes, in an order in which every number means what the client takes it for.
    fn page(&mut self, changes: Changes, turn: &mut Turn) {
        let form = EntryForm::new(turn.peer.enabled, self.how.uids);
        let enabled = turn.peer.enabled;
        let out = &mut turn.steps.out;
        let Some(view) = turn.peer.view_mut() else { return };
        let gone = changes.gone.intersection(&view.uids);
        view.gone = uids::union(&view.gone, &gone);
        if self.how.expunged {
            tell_gone(view, enabled.qresync, out);
        }
        if changes.standing.keywords.len() > view.keywords.len() {
            view.keywords = changes.standing.keywords;
            view.write_flags(out);
        }
        let mut new = Uids::default();
        for entry in &changes.changed {
            if !view.uids.contains(entry.uid) {
                new.insert(entry.uid);
                continue;
            }
            if !self.echo.is_empty() {
                self.told.insert(entry.uid);
            }
            if let Some(form) = self.form_of(entry, form) {
                view.write_entry(entry, form, out);
            }
        }
        if !new.is_empty() {
            new.runs().for_each(|run| view.uids.insert_run(run));
            // At once: the next page counts with them, and may be long in coming.
            let _ = write!(out, "* {} EXISTS\r\n", view.uids.count());
            if !enabled.rev2 {
                let _ = write!(out, "* {} RECENT\r\n", view.recent());
            }
        }
        self.from = changes.more.then_some((changes.upto, changes.within));
        // A change that is told in part is told again from its start, should this be interrupted.
        let whole = changes.upto.0 - u64::from(changes.within.is_some() && changes.upto.0 > 0);
        view.told = view.told.max(ModSeq(whole));
        if view.gone.is_empty() {
            view.readable = view.told;
        }
    }

    /// How a change is told; `None`: the client knows it already.
    fn form_of(&self, entry: &Entry, form: EntryForm) -> Option<EntryForm> {
        if self.how.own.binary_search(&entry.modseq).is_err() {
            return Some(form);
        }
        // RFC 7162 §3.1.3: `.SILENT` keeps the flags back, not the MODSEQ.
        let told = self.how.own_modseq && form.modseq;
        told.then_some(EntryForm { uid: true, flags: false, ..form })
    }

    fn finish(mut self: Box<Self>, turn: &mut Turn) -> Next {
        let enabled = turn.peer.enabled;
        let out = &mut turn.steps.out;
        let Some(view) = turn.peer.view_mut() else { return self.end(turn) };
        if self.how.expunged {
            tell_gone(view, enabled.qresync, out);
            view.readable = view.told;
        }
        let echo = std::mem::take(&mut self.echo);
        if !echo.is_empty() {
            self.pages = Pages::new(echo.difference(&self.told).difference(&view.gone));
        }
        if self.pages.is_empty() {
            // A client in IDLE says nothing by which it could be told later. One that takes
            // nothing is told when it does.
            let again = view.stale && matches!(self.after, After::Idle) && !turn.is_full();
            return if again { self.ask(turn) } else { self.end(turn) };
        }
        let (mailbox, uids) = (view.mailbox, self.pages.next(LISTED_MAX));
        turn.ask(Ask::Messages { mailbox, uids, want: Want::default() });
        Next::Wait(super::Job::Tell(self))
    }

    fn end(self, turn: &mut Turn) -> Next {
        if matches!(self.after, After::Reply(_)) && turn.peer.enabled.qresync {
            hold_back(turn);
        }
        match self.after {
            After::Reply(reply) => Next::end(reply),
            After::Idle => Next::Idle,
            After::Store(pending) => pending.begin(turn),
        }
    }
}

/// RFC 7162 §3.2: a client that has seen later MODSEQs than that of an end it was not told of
/// must not begin behind that end when it comes back.
fn hold_back(turn: &mut Turn) {
    if let Some(view) = turn.peer.view().filter(|view| !view.gone.is_empty()) {
        let code = format!("HIGHESTMODSEQ {}", view.readable.0);
        turn.steps.out.untagged("OK", &code, "There is more to be told");
    }
}

/// Those whose end was held back, or has just come.
fn tell_gone(view: &mut View, vanished: bool, out: &mut Out) {
    if view.gone.is_empty() {
        return;
    }
    let gone = std::mem::take(&mut view.gone);
    if vanished {
        // RFC 7162 §3.2.10.
        out.text("* VANISHED ");
        out.set(&gone);
        out.text("\r\n");
    } else {
        // RFC 9051 §7.5.1: each one counts without those before it.
        let numbers = gone.iter().filter_map(|uid| view.uids.sequence_of(uid));
        for (before, number) in (0..).zip(numbers) {
            let _ = write!(out, "* {} EXPUNGE\r\n", number - before);
        }
    }
    view.uids = view.uids.difference(&gone);
    view.saved = view.saved.difference(&gone);
}
