//! The relay of one core: composes sessions, queue, resolver and store, and owns no protocol.

pub mod event;
pub mod input;
pub mod output;

pub use event::Event;
pub use input::{ConnectionId, Input, Space, Ticket, Trouble};
pub use output::{Outbox, Output, Pieces, Transport};

use std::sync::Arc;

use crate::{
    mail::QueueId,
    random::Random,
    time::{Instant, Now},
};

/// What the relay is told once, at its birth.
pub struct Setup {
    pub options: Arc<Options>,
    pub core: u16,
    pub cores: u16,
    pub random: Random,
    /// The highest queue id ever committed.
    pub highest_id: QueueId,
    /// Inbound connections this core may hold.
    pub inbound_max: usize,
}

/// The configuration, as far as the relay needs it.
#[derive(Clone, Debug)]
pub struct Options {}

impl Options {
    pub fn from_config(config: &crate::config::Config) -> Options {
        let _ = config;
        Options {}
    }
}

pub struct Relay {}

impl Relay {
    /// The first outputs (looking for mail on disk) come with the first `Wake`.
    pub fn new(setup: Setup) -> Relay {
        let _ = setup;
        Relay {}
    }

    /// Takes one input; leaves in `out` what is to be done about it.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Outbox) {
        let _ = (now, input, out);
    }

    /// When `Input::Wake` is wanted at the latest.
    pub fn next_wake(&self) -> Option<Instant> {
        None
    }
}
