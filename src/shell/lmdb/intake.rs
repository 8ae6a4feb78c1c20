//! Changes on their way to the store's thread: a bounded queue that wakes it only when it wants.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use crossbeam::queue::ArrayQueue;

use super::Asker;
use crate::{
    mail::mailbox::Done,
    store::{Change, StoreError},
};

/// One change to be committed and answered.
#[derive(Debug)]
pub struct Job {
    pub asker: Asker<Result<Done, StoreError>>,
    pub change: Change,
    pub since: Instant,
}

/// The queue. The store's thread says for how many awaited changes it is to be woken, so that a
/// commit that gathers company costs the cores no system call for each message.
#[derive(Debug)]
pub struct Intake {
    queue: ArrayQueue<Job>,
    /// Changes in the queue that somebody waits for.
    awaited: AtomicUsize,
    /// Wake when so many are awaited; 0: for any change; `AWAKE`: not at all.
    wake_at: AtomicUsize,
    stopping: AtomicBool,
    thread: OnceLock<Thread>,
}

const AWAKE: usize = usize::MAX;

impl Intake {
    pub fn new(room: usize) -> Intake {
        Intake {
            queue: ArrayQueue::new(room.max(1)),
            awaited: AtomicUsize::new(0),
            wake_at: AtomicUsize::new(AWAKE),
            stopping: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    /// Hands over a change. There is room: a core has at most `STORE_IN_FLIGHT_MAX` under way.
    pub fn push(&self, mut job: Job) {
        if job.change.is_awaited() {
            self.awaited.fetch_add(1, Ordering::Relaxed);
        }
        while let Err(refused) = self.queue.push(job) {
            job = refused;
            self.unpark();
            thread::yield_now();
        }
        // Either this sees what the sleeper wants, or the sleeper sees this change.
        fence(Ordering::SeqCst);
        if self.awaited.load(Ordering::Relaxed) >= self.wake_at.load(Ordering::Relaxed)
            && self.wake_at.swap(AWAKE, Ordering::Relaxed) != AWAKE
        {
            self.unpark();
        }
    }

    /// The next change, for the store's thread.
    pub fn pop(&self) -> Option<Job> {
        let job = self.queue.pop()?;
        if job.change.is_awaited() {
            self.awaited.fetch_sub(1, Ordering::Relaxed);
        }
        Some(job)
    }

    /// Sleeps until `awaited` changes are there that somebody waits for (0: any change at all),
    /// the time is over or all is to stop. The caller looks again: it may end early.
    pub fn sleep(&self, awaited: usize, time: Duration) {
        self.thread.get_or_init(thread::current);
        self.wake_at.store(awaited, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let there = match awaited {
            0 => !self.queue.is_empty(),
            _ => self.awaited.load(Ordering::Relaxed) >= awaited,
        };
        if !there && !self.stopping() {
            thread::park_timeout(time);
        }
        self.wake_at.store(AWAKE, Ordering::Relaxed);
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.unpark();
    }

    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
