//! RFC 1939 §6, the UPDATE state: what was marked is removed, and only then it is said. In steps,
//! as all of a large maildrop in one commit would make everybody wait.

use super::{Effect, Session, Steps, maildrop::Maildrop, peer::Peer};
use crate::{
    limits::EDITED_AT_ONCE,
    mail::mailbox::{Act, Done, FlagChange, Flags, How, Pages, StoreTrouble},
    pop3::reply,
};

/// What is under way, and the messages that are left of it.
#[derive(Debug)]
pub struct Update {
    phase: Phase,
    pages: Pages,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Messages that were retrieved and stay become `\Seen`, so that whoever reads the same INBOX
    /// over IMAP finds them read. Now, for all of them: a commit for each RETR would make the
    /// client wait as often.
    Flagging,
    Removing,
}

impl Update {
    pub(super) fn begin(peer: Box<Peer>, maildrop: Box<Maildrop>, steps: &mut Steps) -> Session {
        let pages = Pages::new(maildrop.retrieved.difference(&maildrop.marked));
        Update { phase: Phase::Flagging, pages }.next(peer, maildrop, steps)
    }

    fn next(mut self, peer: Box<Peer>, mut maildrop: Box<Maildrop>, steps: &mut Steps) -> Session {
        if self.pages.is_empty() {
            match self.phase {
                Phase::Removing => return Session::close(reply::REMOVED, steps),
                Phase::Flagging if maildrop.marked.is_empty() => {
                    return Session::close(reply::BYE, steps);
                }
                Phase::Flagging => {
                    let pages = Pages::new(std::mem::take(&mut maildrop.marked));
                    self = Update { phase: Phase::Removing, pages };
                }
            }
        }
        let (mailbox, _) = maildrop.watching();
        let uids = self.pages.next(EDITED_AT_ONCE);
        steps.effects.push(Effect::Act(match self.phase {
            Phase::Flagging => {
                let (how, keywords) = (How::Add, Vec::new());
                let change =
                    FlagChange { how, flags: Flags::SEEN, keywords, unchanged_since: None };
                Act::Flag { mailbox, uids, change }
            }
            Phase::Removing => Act::Remove { mailbox, uids },
        }));
        Session::Update(peer, maildrop, self)
    }

    pub(super) fn done(
        self,
        peer: Box<Peer>,
        maildrop: Box<Maildrop>,
        done: Result<Done, StoreTrouble>,
        steps: &mut Steps,
    ) -> Session {
        match (self.phase, done) {
            (Phase::Removing, Ok(Done::Done | Done::Expunged { .. })) => {}
            // Steps before it are done; and a commit that failed may be on the disk all the same.
            (Phase::Removing, _) => return Session::close(reply::NOT_REMOVED, steps),
            // The client did not ask for `\Seen`: it does not hear whether that was done.
            (Phase::Flagging, _) => {}
        }
        self.next(peer, maildrop, steps)
    }
}
