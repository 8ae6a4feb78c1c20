//! Inputs from thread to thread: one bounded inbox a core, and an eventfd that its ring reads.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use crossbeam::queue::ArrayQueue;
use rustix::event::{EventfdFlags, eventfd};

use super::watches::Watches;
use crate::{
    limits::{INBOX_MAX, INBOX_RESERVED},
    mail::Parcel,
    relay::Input,
};

/// The inboxes of all cores.
pub struct Mesh {
    inboxes: Vec<Inbox>,
    watches: Watches,
}

struct Inbox {
    queue: ArrayQueue<Input>,
    /// A wake-up is under way: further posts need no system call.
    rung: AtomicBool,
    bell: OwnedFd,
}

impl Mesh {
    pub fn new(cores: u16) -> io::Result<Mesh> {
        let inboxes = (0..cores)
            .map(|_| {
                Ok(Inbox {
                    queue: ArrayQueue::new(INBOX_MAX),
                    rung: AtomicBool::new(false),
                    bell: eventfd(0, EventfdFlags::CLOEXEC)?,
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Mesh { inboxes, watches: Watches::default() })
    }

    /// Posts answers to `core` and wakes it once.
    ///
    /// There is room: the relay has at most `INBOX_RESERVED` questions open, and news of a mailbox
    /// waits in an inbox once.
    pub fn post(&self, core: u16, inputs: impl IntoIterator<Item = Input>) {
        let inbox = &self.inboxes[usize::from(core)];
        for mut input in inputs {
            while let Err(refused) = inbox.queue.push(input) {
                // Not reached while the reserve holds; waiting is right, dropping never is.
                input = refused;
                inbox.ring();
                std::thread::yield_now();
            }
        }
        inbox.ring();
    }

    /// Hands a parcel to the core that owns its destination. When that core's inbox is full the
    /// parcel is let go: it is on disk, and a scan finds it there.
    pub fn assign(&self, core: u16, parcel: Box<Parcel>) {
        let inbox = &self.inboxes[usize::from(core)];
        if inbox.queue.len() < INBOX_MAX - INBOX_RESERVED
            && inbox.queue.push(Input::Assigned { parcel }).is_ok()
        {
            inbox.ring();
        }
    }

    /// Who looks at which mailbox.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// What the core's ring reads 8 octets from to be woken.
    pub fn bell(&self, core: u16) -> BorrowedFd<'_> {
        self.inboxes[usize::from(core)].bell.as_fd()
    }

    /// Called when the bell was heard, before `take`: posts ring it again from now on.
    pub fn heard(&self, core: u16) {
        self.inboxes[usize::from(core)].rung.store(false, Ordering::SeqCst);
    }

    /// The next input for `core`.
    pub fn take(&self, core: u16) -> Option<Input> {
        let input = self.inboxes[usize::from(core)].queue.pop();
        if let Some(Input::MailboxChanged { mailbox }) = input {
            self.watches.heard(core, mailbox);
        }
        input
    }
}

impl Inbox {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // An eventfd's counter cannot overflow here: it holds at most 1 between two reads.
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }
}
