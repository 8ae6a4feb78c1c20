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

/// One core's sessions on a mailbox.
struct Watch {
    core: u16,
    /// Every one of them has been told up to here.
    told: ModSeq,
    /// The core has been told of a change and has not looked yet: another one adds nothing.
    ringing: bool,
}

type Watching = HashMap<MailboxId, SmallVec<[Watch; 2]>>;

/// Shared by all cores and the store's thread. A core speaks when a session selects a mailbox,
/// leaves it, or has told its client; the store's thread once a commit that changed mailboxes.
#[derive(Default)]
pub struct Watches {
    by_mailbox: Mutex<Watching>,
    said: AtomicU64,
}

impl Watches {
    /// `told`: no session of `core` is behind this; `None`: it has none on the mailbox any more.
    pub fn watch(&self, core: u16, mailbox: MailboxId, told: Option<ModSeq>) {
        self.said.fetch_add(1, Ordering::Relaxed);
        let mut by_mailbox = self.lock();
        let watches = by_mailbox.entry(mailbox).or_default();
        let place = watches.iter().position(|watch| watch.core == core);
        match (place, told) {
            (Some(place), Some(told)) => watches[place].told = told,
            (Some(place), None) => drop(watches.swap_remove(place)),
            (None, Some(told)) => watches.push(Watch { core, told, ringing: false }),
            (None, None) => {}
        }
        if watches.is_empty() {
            by_mailbox.remove(&mailbox);
        }
    }

    /// The cores that are to hear of a change, less those that have not looked since the last one.
    pub fn ring(&self, mailbox: MailboxId) -> SmallVec<[u16; 2]> {
        let mut by_mailbox = self.lock();
        let watches = by_mailbox.get_mut(&mailbox).into_iter().flatten();
        let silent = watches.filter_map(|watch| {
            let ringing = std::mem::replace(&mut watch.ringing, true);
            (!ringing).then_some(watch.core)
        });
        silent.collect()
    }

    /// A core is about to look: what changes from now on it must hear of again.
    pub fn heard(&self, core: u16, mailbox: MailboxId) {
        let mut by_mailbox = self.lock();
        let watches = by_mailbox.get_mut(&mailbox).into_iter().flatten();
        watches.filter(|watch| watch.core == core).for_each(|watch| watch.ringing = false);
    }

    /// What everyone who looks has been told; `None`: nobody looks.
    pub fn told(&self, mailbox: MailboxId) -> Option<ModSeq> {
        self.lock().get(&mailbox)?.iter().map(|watch| watch.told).min()
    }

    /// Counts what was said: where it stands still, nobody was told anything.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Watching> {
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
        assert_eq!((watches.told(mailbox), watches.ring(mailbox).len()), (None, 0));
        watches.watch(0, mailbox, Some(ModSeq(5)));
        watches.watch(1, mailbox, Some(ModSeq(3)));
        assert_eq!(watches.told(mailbox), Some(ModSeq(3)));
        assert_eq!(watches.ring(mailbox).as_slice(), [0, 1]);
        watches.watch(1, mailbox, Some(ModSeq(9)));
        assert_eq!(watches.told(mailbox), Some(ModSeq(5)));
        // Neither has looked yet; then one does.
        assert_eq!(watches.ring(mailbox).len(), 0);
        watches.heard(1, mailbox);
        assert_eq!(watches.ring(mailbox).as_slice(), [1]);
        watches.watch(0, mailbox, None);
        watches.watch(1, mailbox, None);
        assert_eq!((watches.told(mailbox), watches.lock().len()), (None, 0));
    }
}
