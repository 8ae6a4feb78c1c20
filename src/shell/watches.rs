//! Who looks at which mailbox: tells the store's thread which cores to wake after a commit, and
//! what expunged messages somebody may still read.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use smallvec::SmallVec;

use crate::mail::mailbox::{MailboxId, ModSeq};

/// One core's sessions on a mailbox, and up to where every one of them has been told.
type Watch = (u16, ModSeq);

/// Shared by all cores and the store's thread. A core speaks when a session selects a mailbox,
/// leaves it, or has told its client; the store's thread once a commit that changed mailboxes.
#[derive(Default)]
pub struct Watches {
    by_mailbox: Mutex<HashMap<MailboxId, SmallVec<[Watch; 2]>>>,
    said: AtomicU64,
}

impl Watches {
    /// `told`: no session of `core` is behind this; `None`: it has none on the mailbox any more.
    pub fn watch(&self, core: u16, mailbox: MailboxId, told: Option<ModSeq>) {
        self.said.fetch_add(1, Ordering::Relaxed);
        let mut by_mailbox = self.lock();
        let watches = by_mailbox.entry(mailbox).or_default();
        watches.retain(|(other, _)| *other != core);
        watches.extend(told.map(|told| (core, told)));
        if watches.is_empty() {
            by_mailbox.remove(&mailbox);
        }
    }

    /// The cores that want to hear of a change.
    pub fn cores(&self, mailbox: MailboxId) -> SmallVec<[u16; 2]> {
        let by_mailbox = self.lock();
        by_mailbox.get(&mailbox).into_iter().flatten().map(|(core, _)| *core).collect()
    }

    /// What everyone who looks has been told; `None`: nobody looks.
    pub fn told(&self, mailbox: MailboxId) -> Option<ModSeq> {
        self.lock().get(&mailbox)?.iter().map(|(_, told)| *told).min()
    }

    /// Counts what was said: where it stands still, nobody was told anything.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MailboxId, SmallVec<[Watch; 2]>>> {
        self.by_mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_told_least_counts() {
        let watches = Watches::default();
        let mailbox = MailboxId(7);
        assert_eq!((watches.told(mailbox), watches.cores(mailbox).len()), (None, 0));
        watches.watch(0, mailbox, Some(ModSeq(5)));
        watches.watch(1, mailbox, Some(ModSeq(3)));
        assert_eq!(watches.told(mailbox), Some(ModSeq(3)));
        assert_eq!(watches.cores(mailbox).as_slice(), [0, 1]);
        watches.watch(1, mailbox, Some(ModSeq(9)));
        assert_eq!(watches.told(mailbox), Some(ModSeq(5)));
        watches.watch(0, mailbox, None);
        watches.watch(1, mailbox, None);
        assert_eq!((watches.told(mailbox), watches.lock().len()), (None, 0));
    }
}
