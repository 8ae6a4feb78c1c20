//! STORE, COPY and MOVE: what is done to messages of the selected mailbox.
//!
//! STORE and MOVE go in steps: all of a large mailbox in one commit would make everybody wait. COPY
//! is one step, as it must be done whole or not at all (RFC 9051 §6.4.7).

use super::{
    Job as Jobs,
    expunge::read_only,
    step::{Answer, Next, Tell, Telling, Turn},
    tell,
};
use crate::{
    imap::{
        command::{Set, Store},
        reply::{Code, Reply},
        set,
    },
    limits::EDITED_AT_ONCE,
    mail::mailbox::{
        AccountId, Act, Done, FlagChange, MailboxId, MailboxName, ModSeq, Pages, Uid, Uids,
    },
};

#[derive(Debug)]
pub(in crate::imap) struct Job {
    mailbox: MailboxId,
    /// All of them, and those that are still to be changed.
    uids: Uids,
    pages: Pages,
    change: FlagChange,
    by_uid: bool,
    silent: bool,
    /// What the steps so far have changed, and left alone.
    own: Vec<ModSeq>,
    refused: Uids,
}

/// A STORE whose messages are known.
#[derive(Debug)]
pub(in crate::imap) struct Pending {
    uids: Uids,
    request: Store,
}

#[derive(Debug)]
pub(in crate::imap) struct Copying {
    account: AccountId,
    quota: u64,
    from: MailboxId,
    to: MailboxName,
    by_uid: bool,
    moving: bool,
    pages: Pages,
    copied: Copied,
}

/// What was copied so far: UIDs in both mailboxes.
#[derive(Debug, Default)]
struct Copied {
    uid_validity: u32,
    from: Vec<Uid>,
    to: Vec<Uid>,
}

pub(super) fn begin(request: Store, turn: &mut Turn) -> Next {
    if request.unchanged_since.is_some() {
        turn.enable_condstore();
    }
    let Some(view) = turn.peer.view() else { return Next::end(read_only()) };
    if view.read_only {
        return Next::end(read_only());
    }
    let Some(uids) = view.resolve(&request.set, request.by_uid) else { return Next::end(number()) };
    if uids.is_empty() {
        return Next::End(Reply::ok("There are no such messages"), Tell::numbered());
    }
    let pending = Box::new(Pending { uids, request });
    // What others did to these messages would be hidden behind a change that is kept silent.
    if pending.request.silent && view.stale {
        return tell::begin(tell::After::Store(pending), Telling::default(), turn);
    }
    pending.begin(turn)
}

impl Pending {
    pub(super) fn begin(self, turn: &mut Turn) -> Next {
        let Some(view) = turn.peer.view() else { return Next::end(read_only()) };
        let Pending { uids, request } = self;
        let Store { by_uid, how, silent, flags, keywords, unchanged_since, .. } = request;
        let change = FlagChange { how, flags, keywords, unchanged_since };
        let (mailbox, pages) = (view.mailbox, Pages::new(uids.clone()));
        let (own, refused) = (Vec::new(), Uids::default());
        let job = Job { mailbox, uids, pages, change, by_uid, silent, own, refused };
        Box::new(job).next(turn)
    }
}

pub(super) fn copy(
    set: &Set,
    by_uid: bool,
    to: MailboxName,
    moving: bool,
    turn: &mut Turn,
) -> Next {
    let (Some(login), Some(view)) = (turn.peer.login(), turn.peer.view()) else {
        return Next::end(read_only());
    };
    if moving && view.read_only {
        return Next::end(read_only());
    }
    let Some(uids) = view.resolve(set, by_uid) else { return Next::end(number()) };
    if uids.is_empty() {
        return Next::End(Reply::ok("There are no such messages"), Tell::all(by_uid));
    }
    let (account, quota, from) = (login.account, login.quota, view.mailbox);
    let (pages, copied) = (Pages::new(uids), Copied::default());
    let job = Copying { account, quota, from, to, by_uid, moving, pages, copied };
    Box::new(job).next(turn)
}

/// RFC 9051 §9 `seq-number`: one that no message has is the client's error.
pub(in crate::imap) fn number() -> Reply {
    Reply::bad("No message has such a number")
}

impl Job {
    fn next(mut self: Box<Self>, turn: &mut Turn) -> Next {
        let (mailbox, uids) = (self.mailbox, self.pages.next(EDITED_AT_ONCE));
        turn.act(Act::Flag { mailbox, uids, change: self.change.clone() });
        Next::Wait(Jobs::Store(self))
    }

    pub(super) fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        let Answer::Done(Done::Flagged { modseq, refused }) = answer else {
            return Next::unexpected(answer);
        };
        if let Some(view) = turn.peer.view_mut() {
            view.stale |= modseq.is_some();
        }
        self.own.extend(modseq);
        refused.runs().for_each(|run| self.refused.insert_run(run));
        if self.pages.is_empty() { self.end(turn) } else { self.next(turn) }
    }

    fn end(self, turn: &mut Turn) -> Next {
        let Some(view) = turn.peer.view_mut() else { return Next::end(read_only()) };
        let mut how = Telling { uids: self.by_uid, ..Telling::default() };
        if !self.silent {
            how.echo = self.uids.difference(&self.refused);
        } else {
            how.own = view.unmixed(self.own);
            how.own_modseq = true;
        }
        let reply = match self.refused.is_empty() {
            true => Reply::ok("The flags are set"),
            // RFC 7162 §3.1.3: in the numbers of the command.
            false => {
                let numbers =
                    if self.by_uid { self.refused } else { view.sequences(&self.refused) };
                let mut code = b"MODIFIED ".to_vec();
                set::write(&numbers, &mut code);
                let code = String::from_utf8_lossy(&code).into_owned();
                Reply::ok("Some messages have changed since").code(code)
            }
        };
        Next::End(reply, Tell::Changes(Box::new(how)))
    }
}

impl Copying {
    fn next(mut self: Box<Self>, turn: &mut Turn) -> Next {
        let uids = self.pages.next(if self.moving { EDITED_AT_ONCE } else { usize::MAX });
        let Copying { account, quota, from, moving: taking, .. } = *self;
        turn.act(Act::Copy { account, from, uids, to: self.to.clone(), taking, quota });
        Next::Wait(Jobs::Copy(self))
    }

    pub(super) fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        let (uid_validity, from, to) = match answer {
            Answer::Done(Done::Copied { uid_validity, from, to }) => (uid_validity, from, to),
            other => {
                self.tell_moved(turn);
                let Answer::Done(Done::Refused(refusal)) = other else {
                    return Next::unexpected(other);
                };
                return Next::End(Reply::refused_into(refusal, &self.to), Tell::all(self.by_uid));
            }
        };
        turn.peer.touch(&self.to);
        if uid_validity != self.copied.uid_validity {
            // Another mailbox has the name since the last step.
            self.tell_moved(turn);
        }
        self.copied.uid_validity = uid_validity;
        self.copied.from.extend(from);
        self.copied.to.extend(to);
        if self.pages.is_empty() { self.end(turn) } else { self.next(turn) }
    }

    fn end(mut self, turn: &mut Turn) -> Next {
        let tell = Tell::all(self.by_uid);
        if self.copied.from.is_empty() {
            let reply = match self.by_uid {
                true => Reply::ok("There are no such messages"),
                // RFC 2180 §4.4: the client counts them still, and must not take them for copied.
                false => Reply::no("These messages have just gone").code("EXPUNGEISSUED"),
            };
            return Next::End(reply, tell);
        }
        if !self.moving {
            return Next::End(Reply::ok("They are copied").code(self.copied.code()), tell);
        }
        self.tell_moved(turn);
        let mut reply = Reply::ok("They are moved");
        if turn.peer.enabled.condstore {
            reply.code = Code::HighestModSeq;
        }
        Next::End(reply, tell)
    }

    /// RFC 6851 §4.3: before what goes is told. Of a MOVE that fails it is told as far as it came.
    fn tell_moved(&mut self, turn: &mut Turn) {
        if !self.moving || self.copied.from.is_empty() {
            return;
        }
        let moved = std::mem::take(&mut self.copied);
        turn.out().untagged("OK", &moved.code(), "They are moved");
        if let Some(view) = turn.peer.view_mut() {
            view.stale = true;
        }
    }
}

impl Copied {
    /// RFC 4315 §3.
    fn code(&self) -> String {
        let Copied { uid_validity, from, to } = self;
        format!("COPYUID {uid_validity} {} {}", ordered(from), ordered(to))
    }
}

/// UIDs in their order: the n-th of one set is the n-th of the other (RFC 4315 §3).
pub(super) fn ordered(uids: &[Uid]) -> String {
    let mut text = Vec::new();
    set::write_in_order(uids, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
