//! RFC 1939 §6, the UPDATE state: what was marked is removed, and only then it is said.

use super::{Effect, Session, Steps, maildrop::Maildrop, peer::Peer};
use crate::{
    mail::mailbox::{Act, Done, FlagChange, Flags, How, StoreTrouble},
    pop3::reply,
};

/// The act that is under way.
#[derive(Clone, Copy, Debug)]
pub enum Update {
    /// Messages that were retrieved and stay become `\Seen`, so that whoever reads the same INBOX
    /// over IMAP finds them read. One act for all of them: a commit for each RETR would make the
    /// client wait as often.
    Flagging,
    Removing,
}

impl Update {
    pub(super) fn begin(peer: Box<Peer>, maildrop: Box<Maildrop>, steps: &mut Steps) -> Session {
        let uids = maildrop.retrieved.difference(&maildrop.marked);
        if uids.is_empty() {
            return Self::remove(peer, maildrop, steps);
        }
        let (mailbox, _) = maildrop.watching();
        let change = FlagChange {
            how: How::Add,
            flags: Flags::SEEN,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        steps.effects.push(Effect::Act(Act::Flag { mailbox, uids, change }));
        Session::Update(peer, maildrop, Update::Flagging)
    }

    fn remove(peer: Box<Peer>, mut maildrop: Box<Maildrop>, steps: &mut Steps) -> Session {
        if maildrop.marked.is_empty() {
            return Session::close(reply::BYE, steps);
        }
        let (mailbox, _) = maildrop.watching();
        let uids = std::mem::take(&mut maildrop.marked);
        steps.effects.push(Effect::Act(Act::Remove { mailbox, uids }));
        Session::Update(peer, maildrop, Update::Removing)
    }

    pub(super) fn done(
        self,
        peer: Box<Peer>,
        maildrop: Box<Maildrop>,
        done: Result<Done, StoreTrouble>,
        steps: &mut Steps,
    ) -> Session {
        match (self, done) {
            // The client did not ask for `\Seen`: it does not hear whether that was done.
            (Update::Flagging, _) => Self::remove(peer, maildrop, steps),
            (Update::Removing, Ok(Done::Done | Done::Expunged { .. })) => {
                Session::close(reply::REMOVED, steps)
            }
            // Its last commit may be on the disk all the same.
            (Update::Removing, Err(StoreTrouble::Failed)) => {
                Session::close(reply::REMOVED_PERHAPS, steps)
            }
            (Update::Removing, _) => Session::close(reply::NOT_REMOVED, steps),
        }
    }
}
