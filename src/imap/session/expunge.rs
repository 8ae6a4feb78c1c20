//! EXPUNGE, UID EXPUNGE and CLOSE: messages that are `\Deleted` go, in steps: all of a large
//! mailbox in one commit would make everybody wait.

use super::{
    Job as Jobs,
    step::{Answer, Next, Tell, Turn},
};
use crate::{
    imap::{
        command::Set,
        reply::{Code, Reply},
    },
    limits::EDITED_AT_ONCE,
    mail::mailbox::{Act, Ask, Done, Found, MailboxId, Mark, Pages, Uids},
};

#[derive(Debug)]
pub(in crate::imap) struct Job {
    kind: Kind,
    pages: Pages,
    /// Some are gone.
    gone: bool,
}

#[derive(Debug)]
enum Kind {
    Expunge,
    /// Of these only.
    UidExpunge(Uids),
    Close,
}

pub(super) fn begin(set: Option<&Set>, turn: &mut Turn) -> Next {
    let Some(view) = turn.peer.view() else { return Next::end(read_only()) };
    if view.read_only {
        return Next::end(read_only());
    }
    let named = set.map(|set| set.resolve_uids(&view.uids, &view.saved));
    look(named.map_or(Kind::Expunge, Kind::UidExpunge), view.mailbox, turn)
}

/// RFC 9051 §6.4.1: nothing is told of what goes.
pub(super) fn close(turn: &mut Turn) -> Next {
    match turn.peer.view() {
        Some(view) if !view.read_only => look(Kind::Close, view.mailbox, turn),
        _ => closed(turn),
    }
}

/// Which are `\Deleted` now.
fn look(kind: Kind, mailbox: MailboxId, turn: &mut Turn) -> Next {
    turn.ask(Ask::Marked { mailbox, mark: Mark::Deleted });
    Next::Wait(Jobs::Expunge(Box::new(Job { kind, pages: Pages::default(), gone: false })))
}

fn closed(turn: &mut Turn) -> Next {
    turn.peer.deselect();
    Next::end(Reply::ok("No mailbox is selected"))
}

pub(super) fn read_only() -> Reply {
    Reply::no("The mailbox was opened to be looked at; SELECT it").code("READ-ONLY")
}

impl Job {
    pub(super) fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        let Some(view) = turn.peer.view_mut() else { return Next::end(read_only()) };
        match answer {
            Answer::Found(Found::Marked(deleted)) => {
                self.pages = Pages::new(match &self.kind {
                    Kind::UidExpunge(named) => deleted.intersection(named),
                    Kind::Expunge | Kind::Close => deleted,
                });
            }
            Answer::Done(Done::Expunged { uids, .. }) => {
                view.stale |= !uids.is_empty();
                self.gone |= !uids.is_empty();
            }
            other => return Next::unexpected(other),
        }
        if self.pages.is_empty() {
            return self.end(turn);
        }
        let (mailbox, uids) = (view.mailbox, self.pages.next(EDITED_AT_ONCE));
        turn.act(Act::Expunge { mailbox, uids });
        Next::Wait(Jobs::Expunge(self))
    }

    fn end(self, turn: &mut Turn) -> Next {
        if matches!(self.kind, Kind::Close) {
            return closed(turn);
        }
        let mut reply = Reply::ok("They are gone");
        // RFC 7162 §3.2.7.
        if turn.peer.enabled.condstore && self.gone {
            reply.code = Code::HighestModSeq;
        }
        Next::End(reply, Tell::all(matches!(self.kind, Kind::UidExpunge(_))))
    }
}
