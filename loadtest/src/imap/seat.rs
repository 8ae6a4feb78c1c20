//! A session's place in a thread: its connection, its accounts, its turn of the work.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    job::Run,
    session::{Role, Session},
    work::{Kind, Work},
};
use crate::{random::Random, ring::Id};

/// The pause before the first new try to connect; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Keeps the chances of mixes apart from those of the sessions' commands.
const MIX_SEED: u64 = 1 << 32;

pub struct Seat {
    pub session: Session,
    pub session_number: usize,
    pub id: Option<Id>,
    pub ready: bool,
    /// Waits in the queue of those who are free.
    pub queued: bool,
    /// When the connection is to be woken next.
    pub woken_at: Option<Instant>,
    /// An `idle` that was due then and waits for the watcher.
    pub awaits_watcher: Option<Instant>,
    role: Role,
    settled: bool,
    account: usize,
    turn: usize,
    pause: Duration,
    random: Random,
}

impl Seat {
    pub fn new(run: &Run, role: Role, number: usize) -> Self {
        let account = number % run.accounts.len().max(1);
        let login = run.accounts.get(account).cloned().unwrap_or_default();
        let mut session = Session::new(Arc::clone(&run.options), role, login, number as u32);
        // Each mailbox is filled by one session only.
        if role == Role::Worker && number < run.accounts.len() {
            session.fill(run.fill);
        }
        Self {
            session,
            session_number: number,
            id: None,
            ready: false,
            queued: false,
            woken_at: None,
            awaits_watcher: None,
            role,
            settled: false,
            account,
            turn: 0,
            pause: Duration::ZERO,
            random: Random::new(MIX_SEED + number as u64),
        }
    }

    /// The first try to get ready is over: tells so once.
    pub fn settle(&mut self) -> bool {
        !std::mem::replace(&mut self.settled, true)
    }

    pub fn next_kind(&mut self, work: &Work) -> Kind {
        work.next(&mut self.turn, &mut self.random)
    }

    /// How long to wait before the next try to connect.
    pub fn pause(&mut self) -> Duration {
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause
    }

    /// All is well: the next pause is short again.
    pub fn calm(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// The next login is to the next account, where there are more accounts than sessions.
    pub fn turn(&mut self, run: &Run) {
        if run.visits_all() {
            let next = self.account + run.sessions;
            self.account = if next < run.accounts.len() { next } else { self.session_number };
            if let Some(account) = run.accounts.get(self.account) {
                self.session.change_account(account.clone());
            }
        }
    }

    /// Turns to an account that this session has yet to fill before work, if there is one.
    pub fn turn_to_unfilled(&mut self, run: &Run) -> bool {
        let more = run.visits_all() && run.fill > 0 && self.role == Role::Worker;
        if !more || self.settled || self.account + run.sessions >= run.accounts.len() {
            return false;
        }
        self.turn(run);
        true
    }
}
