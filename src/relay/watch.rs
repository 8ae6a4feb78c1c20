//! Which sessions of this core have which mailbox selected, and what each has been told.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{Relay, Turn, input::ConnectionId, output::Output};
use crate::mail::mailbox::{MailboxId, ModSeq};

/// The sessions of a mailbox, each with what its client has been told up to.
type Sessions = SmallVec<[(ConnectionId, ModSeq); 2]>;

#[derive(Default)]
pub(super) struct Watches {
    by_mailbox: HashMap<MailboxId, Sessions>,
}

impl Watches {
    pub fn sessions(&self, mailbox: MailboxId) -> SmallVec<[ConnectionId; 2]> {
        self.by_mailbox.get(&mailbox).into_iter().flatten().map(|(id, _)| *id).collect()
    }

    fn told(&self, mailbox: MailboxId) -> Option<ModSeq> {
        self.by_mailbox.get(&mailbox)?.iter().map(|(_, told)| *told).min()
    }

    fn leave(&mut self, mailbox: MailboxId, id: ConnectionId) {
        if let Some(sessions) = self.by_mailbox.get_mut(&mailbox) {
            sessions.retain(|(other, _)| *other != id);
            if sessions.is_empty() {
                self.by_mailbox.remove(&mailbox);
            }
        }
    }
}

impl Relay {
    /// A session has selected a mailbox, left one, or told its client more; says so to those who
    /// must know. True: it is new to its mailbox.
    pub(super) fn watch(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        was: Option<(MailboxId, ModSeq)>,
        now: Option<(MailboxId, ModSeq)>,
    ) -> bool {
        if was == now {
            return false;
        }
        let mailboxes = [was, now].map(|watched| watched.map(|(mailbox, _)| mailbox));
        let before = mailboxes.map(|mailbox| mailbox.and_then(|m| self.watches.told(m)));
        if let Some(mailbox) = mailboxes[0] {
            self.watches.leave(mailbox, id);
        }
        if let Some((mailbox, told)) = now {
            self.watches.by_mailbox.entry(mailbox).or_default().push((id, told));
        }
        let same = mailboxes[0] == mailboxes[1];
        for (mailbox, before) in mailboxes.into_iter().zip(before).skip(usize::from(same)) {
            let Some(mailbox) = mailbox else { continue };
            let told = self.watches.told(mailbox);
            if told != before {
                turn.out.push(Output::Watch { mailbox, told });
            }
        }
        !same && now.is_some()
    }
}
