//! EXPUNGE, UID EXPUNGE and CLOSE: messages that are `\Deleted` go.

use super::{
    Job as Jobs,
    step::{Answer, Next, Tell, Turn},
};
use crate::{
    imap::{
        command::Set,
        reply::{Code, Reply},
    },
    mail::mailbox::{Act, Done},
};

#[derive(Debug)]
pub(in crate::imap) enum Job {
    Expunge { uids: bool },
    Close,
}

pub(super) fn begin(set: Option<&Set>, turn: &mut Turn) -> Next {
    let Some(view) = turn.peer.view() else { return Next::end(read_only()) };
    if view.read_only {
        return Next::end(read_only());
    }
    let uids = set.map(|set| set.resolve_uids(&view.uids, &view.saved));
    let job = Job::Expunge { uids: uids.is_some() };
    let mailbox = view.mailbox;
    turn.act(Act::Expunge { mailbox, uids });
    Next::Wait(Jobs::Expunge(job))
}

/// RFC 9051 §6.4.1: nothing is told of what goes.
pub(super) fn close(turn: &mut Turn) -> Next {
    match turn.peer.view() {
        Some(view) if !view.read_only => {
            let act = Act::Expunge { mailbox: view.mailbox, uids: None };
            turn.act(act);
            Next::Wait(Jobs::Expunge(Job::Close))
        }
        _ => closed(turn),
    }
}

fn closed(turn: &mut Turn) -> Next {
    turn.peer.deselect();
    Next::end(Reply::ok("No mailbox is selected"))
}

pub(super) fn read_only() -> Reply {
    Reply::no("The mailbox was opened to be looked at; SELECT it").code("READ-ONLY")
}

impl Job {
    pub(super) fn answered(self, answer: Answer, turn: &mut Turn) -> Next {
        let Answer::Done(Done::Expunged { uids: gone, .. }) = answer else {
            return Next::unexpected(answer);
        };
        let Job::Expunge { uids } = self else { return closed(turn) };
        if let Some(view) = turn.peer.view_mut() {
            view.stale |= !gone.is_empty();
        }
        let mut reply = Reply::ok("They are gone");
        // RFC 7162 §3.2.7.
        if turn.peer.enabled.condstore && !gone.is_empty() {
            reply.code = Code::HighestModSeq;
        }
        Next::End(reply, Tell::all(uids))
    }
}
