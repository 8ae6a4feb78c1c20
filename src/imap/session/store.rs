//! STORE, COPY and MOVE: what is done to messages of the selected mailbox.

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
    mail::mailbox::{Act, Done, FlagChange, MailboxName, Uid, Uids},
};

#[derive(Debug)]
pub(in crate::imap) struct Job {
    uids: Uids,
    by_uid: bool,
    silent: bool,
}

/// A STORE whose messages are known.
#[derive(Debug)]
pub(in crate::imap) struct Pending {
    uids: Uids,
    request: Store,
}

#[derive(Debug)]
pub(in crate::imap) struct Copying {
    to: MailboxName,
    by_uid: bool,
    moving: bool,
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
        let mailbox = view.mailbox;
        turn.act(Act::Flag { mailbox, uids: uids.clone(), change });
        Next::Wait(Jobs::Store(Box::new(Job { uids, by_uid, silent })))
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
    turn.act(Act::Copy { account, from, uids, to: to.clone(), taking: moving, quota });
    Next::Wait(Jobs::Copy(Box::new(Copying { to, by_uid, moving })))
}

/// RFC 9051 §9 `seq-number`: one that no message has is the client's error.
pub(in crate::imap) fn number() -> Reply {
    Reply::bad("No message has such a number")
}

impl Job {
    pub(super) fn answered(self, answer: Answer, turn: &mut Turn) -> Next {
        let Answer::Done(Done::Flagged { modseq, refused }) = answer else {
            return Next::unexpected(answer);
        };
        let Some(view) = turn.peer.view_mut() else { return Next::end(read_only()) };
        view.stale |= modseq.is_some();
        let mut how = Telling { uids: self.by_uid, ..Telling::default() };
        if !self.silent {
            how.echo = self.uids.difference(&refused);
        } else {
            how.own = view.unmixed(modseq.into_iter().collect());
            how.own_modseq = true;
        }
        let reply = match refused.is_empty() {
            true => Reply::ok("The flags are set"),
            // RFC 7162 §3.1.3: in the numbers of the command.
            false => {
                let numbers = if self.by_uid { refused } else { view.sequences(&refused) };
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
    pub(super) fn answered(self, answer: Answer, turn: &mut Turn) -> Next {
        let (uid_validity, from, to) = match answer {
            Answer::Done(Done::Copied { uid_validity, from, to }) => (uid_validity, from, to),
            Answer::Done(Done::Refused(refusal)) => {
                return Next::End(Reply::refused_into(refusal, &self.to), Tell::all(self.by_uid));
            }
            other => return Next::unexpected(other),
        };
        turn.peer.touch(&self.to);
        let tell = Tell::all(self.by_uid);
        if from.is_empty() {
            let reply = match self.by_uid {
                true => Reply::ok("There are no such messages"),
                // RFC 2180 §4.4: the client counts them still, and must not take them for copied.
                false => Reply::no("These messages have just gone").code("EXPUNGEISSUED"),
            };
            return Next::End(reply, tell);
        }
        // RFC 4315 §3.
        let code = format!("COPYUID {uid_validity} {} {}", ordered(&from), ordered(&to));
        if !self.moving {
            return Next::End(Reply::ok("They are copied").code(code), tell);
        }
        if let Some(view) = turn.peer.view_mut() {
            view.stale = true;
        }
        // RFC 6851 §4.3: before what goes is told.
        turn.out().untagged("OK", &code, "They are moved");
        let mut reply = Reply::ok("They are moved");
        if turn.peer.enabled.condstore {
            reply.code = Code::HighestModSeq;
        }
        Next::End(reply, tell)
    }
}

/// UIDs in their order: the n-th of one set is the n-th of the other (RFC 4315 §3).
pub(super) fn ordered(uids: &[Uid]) -> String {
    let mut text = Vec::new();
    set::write_in_order(uids, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
