//! What the threads of a run share, and what they tell.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::{ClientConfig, pki_types::ServerName};

use super::{
    account::Account,
    session::Options,
    tally::Tally,
    work::{Kind, Work},
};

/// What all threads of a run share.
pub struct Run {
    pub target: SocketAddr,
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// TLS from the first octet, not by STARTTLS.
    pub implicit: bool,
    pub options: Arc<Options>,
    pub work: Work,
    pub accounts: Vec<Account>,
    pub sessions: usize,
    pub cores: usize,
    /// The messages each mailbox has before work.
    pub fill: u32,
    /// Sessions begin within this time.
    pub ramp: Duration,
    /// Commands a second, of all threads.
    pub rate: Option<f64>,
    pub commands: Option<u64>,
    pub duration: Option<Duration>,
    /// Commands begun.
    pub tickets: AtomicU64,
    /// When measuring began: set once all sessions are ready.
    pub began: OnceLock<Instant>,
    pub stop: AtomicBool,
}

impl Run {
    /// Sessions and the watchers beside them.
    pub fn seats(&self) -> usize {
        if self.work.has(Kind::Idle) { 2 * self.sessions } else { self.sessions }
    }

    /// Whether sessions go from account to account: each login is to the next one.
    pub fn visits_all(&self) -> bool {
        self.work.has(Kind::Login) && self.accounts.len() > self.sessions
    }

    /// Takes a ticket for one more command, if there is one left.
    pub fn may_begin(&self) -> bool {
        let asked = self.commands.unwrap_or(u64::MAX);
        // No more than one above for each session, so it cannot wrap.
        self.tickets.load(Ordering::Relaxed) < asked
            && self.tickets.fetch_add(1, Ordering::Relaxed) < asked
    }
}

/// What a thread tells since it last did.
#[derive(Debug, Default)]
pub struct News {
    /// Seats whose first try to get ready is over.
    pub settled: usize,
    /// Of those, the ones that got ready.
    pub ready: usize,
    /// Messages appended before measuring.
    pub filled: u64,
    pub tally: Tally,
    /// The moment of the last answer that counted.
    pub last: Option<Instant>,
}
