//! A process of the relay: one `Relay` a core, its seats and questions, from its start to its end.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use slab::Slab;

use crate::{
    mail::{
        QueueId,
        mailbox::{MailboxId, ModSeq},
    },
    random::Random,
    relay::{ConnectionId, Options, Relay, Setup},
    time::Instant,
};

pub struct Process {
    pub cores: Vec<Core>,
    pub started: Instant,
    pub options: Arc<Options>,
    /// Open connections by client.
    pub clients: BTreeMap<IpAddr, usize>,
    /// Since when it drains.
    pub draining: Option<Instant>,
    /// The store has failed for good: the process ends.
    pub failed: bool,
    /// Descriptors have run out.
    pub crowded: bool,
    /// By mailbox: up to where all sessions of a core have been told.
    pub watches: BTreeMap<MailboxId, BTreeMap<u16, ModSeq>>,
}

pub struct Core {
    pub relay: Relay,
    /// When the next wake-up comes.
    pub armed: Option<Instant>,
    /// By slot: the link.
    pub seats: Slab<(u32, u64)>,
    generation: u32,
    /// Questions without an answer.
    pub stores: usize,
    pub loads: usize,
    pub secrets: usize,
    /// Connections to next hops, made and being made.
    pub outbound: BTreeMap<std::net::SocketAddr, usize>,
    pub drained: bool,
    /// Inputs within this minute: a relay that spins has many.
    pub inputs: u32,
    pub minute: u64,
}

impl Process {
    pub fn start(
        options: Options,
        cores: u16,
        bounds: (usize, usize),
        highest_id: QueueId,
        now: Instant,
        random: &mut Random,
    ) -> Process {
        let options = Arc::new(options);
        let (inbound_max, outbound_max) = bounds;
        let core = |core| Core {
            relay: Relay::new(Setup {
                options: options.clone(),
                core,
                cores,
                random: random.split(),
                highest_id,
                inbound_max,
                outbound_max,
            }),
            armed: None,
            seats: Slab::new(),
            generation: 0,
            stores: 0,
            loads: 0,
            secrets: 0,
            outbound: BTreeMap::new(),
            drained: false,
            inputs: 0,
            minute: 0,
        };
        let cores = (0..cores).map(core).collect();
        Process {
            cores,
            started: now,
            options,
            clients: BTreeMap::new(),
            draining: None,
            failed: false,
            crowded: false,
            watches: BTreeMap::new(),
        }
    }
}

impl Process {
    /// What the store's thread knows of who looks at what.
    pub fn watch(&mut self, core: u16, mailbox: MailboxId, told: Option<ModSeq>) {
        let watches = self.watches.entry(mailbox).or_default();
        match told {
            Some(told) => drop(watches.insert(core, told)),
            None => drop(watches.remove(&core)),
        }
        if watches.is_empty() {
            self.watches.remove(&mailbox);
        }
    }
}

impl Core {
    /// Gives a link its id.
    pub fn admit(&mut self, link: u64) -> ConnectionId {
        let generation = self.generation;
        self.generation += 1;
        let slot = self.seats.insert((generation, link)) as u32;
        ConnectionId { slot, generation }
    }

    pub fn link(&self, id: ConnectionId) -> Option<u64> {
        let (generation, link) = self.seats.get(id.slot as usize)?;
        (*generation == id.generation).then_some(*link)
    }

    pub fn retire(&mut self, id: ConnectionId) {
        if self.link(id).is_some() {
            self.seats.remove(id.slot as usize);
        }
    }
}
