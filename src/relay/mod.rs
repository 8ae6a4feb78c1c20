//! The relay of one core: composes sessions, queue, resolver and store, and owns no protocol.
//!
//! It is pure: one [`Input`] at a time, stamped with the time, and a list of [`Output`]s to be
//! carried out before the next. The shell is its world, and a simulation can be.

mod commit;
mod connections;
mod deflate;
mod dial;
pub mod event;
mod inbound;
pub mod input;
mod ledger;
mod local;
mod lookup;
pub mod options;
mod outbound;
pub mod output;
mod reader;
mod settle;
#[cfg(test)]
mod tests;
mod watch;
mod window;
mod writing;

pub use event::Event;
pub use input::{ConnectionId, Input, Space, Ticket, Trouble};
pub use options::Options;
pub use output::{Outbox, Output, Pieces, Transport};

use std::{collections::VecDeque, sync::Arc};

use slab::Slab;

use self::{
    connections::{Connections, Peer},
    dial::Dial,
    ledger::{Asker, Ledger, LoadErrand, StoreErrand},
    window::Pass,
};
use crate::{
    dns::{NextHop, Resolver},
    limits::PAGE_REST,
    mail::{DestinationKey, QueueId, mailbox::Done, message::QueueIds},
    queue::{Place, Schedule},
    random::Random,
    smtp::client::Lost,
    store::{Loaded, StoreError},
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
    /// Outbound ones.
    pub outbound_max: usize,
}

/// The relay of one core.
pub struct Relay {
    options: Arc<Options>,
    core: u16,
    cores: u16,
    inbound_max: usize,
    outbound_max: usize,
    /// Where parcels for the routes are filed, by the number of the route.
    route_homes: Vec<DestinationKey>,
    /// Where parcels for our mailboxes are filed.
    local_home: DestinationKey,
    locals: local::Locals,
    watches: watch::Watches,
    random: Random,
    ids: QueueIds,
    connections: Connections,
    schedule: Schedule<NextHop, ConnectionId>,
    resolver: Resolver,
    dials: Slab<Dial>,
    /// Destinations that wait for connections to be had, in order.
    crowded_out: VecDeque<Place>,
    /// Descriptors ran out: no dialing before this.
    dial_again: Option<Instant>,
    /// When the operator was told so last.
    shortage_told: Option<Instant>,
    ledger: Ledger,
    /// Destinations to be driven before the next input.
    pending: VecDeque<Place>,
    /// Clients of which more was read than is inflated at once: each input is one's turn.
    inflating: VecDeque<ConnectionId>,
    pass: Pass,
    space: Space,
    /// Octets of bodies kept for delivery.
    body_memory: usize,
    /// Octets of bodies that pages under way may bring.
    bodies_asked: usize,
    /// Octets of bodies in sessions and on their way to the disk.
    inbound_memory: usize,
    draining: bool,
    drained: bool,
    /// Of the last input.
    last: Now,
}

/// What the relay of one core holds, against the bounds it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Census {
    /// Connections of clients.
    pub inbound: usize,
    /// Connections to next hops, those being made included.
    pub outbound: usize,
    /// Parcels in memory, of at most `WINDOW_MAX`.
    pub parcels: usize,
    /// Octets of bodies kept for delivery.
    pub kept_octets: usize,
    /// Octets of bodies that pages under way may bring.
    pub asked_octets: usize,
    /// Octets of bodies in sessions and on their way to the disk.
    pub inbound_octets: usize,
}

/// One input's worth of time and outputs.
struct Turn<'a> {
    now: Now,
    out: &'a mut Outbox,
}

impl Relay {
    /// The first outputs (looking for mail on disk) come with the first `Wake`.
    pub fn new(setup: Setup) -> Relay {
        let Setup { options, core, cores, mut random, highest_id, .. } = setup;
        let route_homes = (0..options.routes.len() as u16)
            .map(|route| options.home(&NextHop::Route(route), core, cores))
            .collect();
        // The configuration bounds the caches of all cores together.
        let cache_entries_max = options.dns.cache_entries_max / usize::from(cores);
        let local_home = options.home(&NextHop::Local, core, cores);
        let resolver = Resolver::new(crate::dns::Setup {
            options: crate::dns::Options { cache_entries_max, ..options.dns.clone() },
            hostname: options.server.hostname.clone(),
            own_addresses: options.own_addresses.clone(),
            routes: options.routes.clone(),
            port: options.port,
            random: random.split(),
        });
        Relay {
            ids: QueueIds::new(core as u8, highest_id),
            options,
            core,
            cores,
            inbound_max: setup.inbound_max,
            outbound_max: setup.outbound_max,
            route_homes,
            local_home,
            locals: local::Locals::default(),
            watches: watch::Watches::default(),
            random,
            connections: Connections::default(),
            schedule: Schedule::default(),
            resolver,
            dials: Slab::new(),
            crowded_out: VecDeque::new(),
            dial_again: None,
            shortage_told: None,
            ledger: Ledger::default(),
            pending: VecDeque::new(),
            inflating: VecDeque::new(),
            pass: Pass::default(),
            space: Space { free: u64::MAX },
            body_memory: 0,
            bodies_asked: 0,
            inbound_memory: 0,
            draining: false,
            drained: false,
            last: Now::default(),
        }
    }

    /// Takes one input; leaves in `out` what is to be done about it.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Outbox) {
        if self.last == Now::default() {
            self.schedule.start(now.wall);
        }
        self.last = now;
        let mut turn = Turn { now, out };
        // One that waits since an earlier input.
        let inflating = self.inflating.pop_front();
        self.take(&mut turn, input);
        if let Some(connection) = inflating {
            self.reader_inflates(&mut turn, connection);
        }
        while let Some(place) = self.pending.pop_front().or_else(|| self.next_crowded_out()) {
            self.drive(&mut turn, place);
        }
        self.look_on_disk(&mut turn);
        if self.draining {
            self.finish_drain(&mut turn);
        }
    }

    /// When `Input::Wake` is wanted at the latest.
    pub fn next_wake(&self) -> Option<Instant> {
        let on_disk = self.next_look().map(|wall| self.last.instant_of(wall));
        let inflate = (!self.inflating.is_empty()).then_some(self.last.instant);
        let wakes = [self.connections.next_deadline(), on_disk, self.dial_again, inflate];
        wakes.into_iter().flatten().min()
    }

    /// What there is now.
    pub fn census(&self) -> Census {
        Census {
            inbound: self.connections.inbound_count(),
            outbound: self.connections.outbound_count() + self.dials.len(),
            parcels: self.schedule.held(),
            kept_octets: self.body_memory,
            asked_octets: self.bodies_asked,
            inbound_octets: self.inbound_memory,
        }
    }

    fn take(&mut self, turn: &mut Turn<'_>, input: Input) {
        match input {
            Input::Accepted { connection, listener, remote, of_client } => {
                self.accepted(turn, connection, (listener, remote, of_client));
            }
            Input::Received { connection, bytes } => match self.connections.take(connection) {
                Peer::Inbound(inbound) => self.inbound_received(turn, connection, inbound, bytes),
                Peer::Reader(reader) => self.reader_received(turn, connection, reader, bytes),
                Peer::Outbound(outbound) => {
                    self.outbound_received(turn, connection, outbound, bytes);
                }
                Peer::Nobody => {}
            },
            Input::Sent { connection } => match self.connections.take(connection) {
                Peer::Inbound(inbound) => self.inbound_sent(turn, connection, inbound),
                Peer::Reader(reader) => self.reader_sent(turn, connection, reader),
                Peer::Outbound(outbound) => self.outbound_sent(turn, connection, outbound),
                Peer::Nobody => {}
            },
            Input::Closed { connection, trouble } => self.closed(turn, connection, trouble),
            Input::Connected { ticket, result } => {
                if let Some(Asker::Dial(dial)) = self.ledger.answered(ticket, turn.out) {
                    self.connected(turn, dial, result);
                }
            }
            Input::Answer { ticket, result } => {
                if let Some(Asker::Resolver(key)) = self.ledger.answered(ticket, turn.out) {
                    self.dns_answered(turn, key, result);
                }
            }
            Input::Stored { ticket, result, change: _ } => {
                if let Some(Asker::Store(errand)) = self.ledger.answered(ticket, turn.out) {
                    self.stored(turn, errand, result);
                }
            }
            Input::Loaded { ticket, loaded } => {
                if let Some(Asker::Load(errand)) = self.ledger.answered(ticket, turn.out) {
                    self.loaded(turn, errand, loaded);
                }
            }
            Input::MailboxChanged { mailbox } => self.mailbox_changed(turn, mailbox),
            Input::Authenticated { ticket, verdict } => {
                if let Some(Asker::Secret(connection)) = self.ledger.answered(ticket, turn.out) {
                    self.reader_authenticated(turn, connection, verdict);
                }
            }
            Input::Assigned { parcel } => self.assigned(turn, parcel),
            Input::Space(space) => self.space = space,
            Input::Drain => self.drain(turn),
            Input::Wake => self.wake(turn),
        }
    }

    fn closed(&mut self, turn: &mut Turn<'_>, id: ConnectionId, trouble: Trouble) {
        let peer = self.connections.take(id);
        match peer {
            Peer::Inbound(inbound) => self.inbound_lost(turn, id, *inbound),
            Peer::Reader(reader) => self.reader_closed(turn, id, *reader),
            Peer::Outbound(outbound) => {
                let lost = match trouble {
                    Trouble::Ended => Lost::Ended,
                    Trouble::Reset => Lost::Reset,
                    Trouble::TimedOut => Lost::TimedOut,
                    _ => Lost::Failed,
                };
                self.end(turn, id, outbound, lost);
            }
            Peer::Nobody => {}
        }
    }

    fn stored(
        &mut self,
        turn: &mut Turn<'_>,
        errand: StoreErrand,
        result: Result<Done, StoreError>,
    ) {
        match errand {
            StoreErrand::Accept { connection, accepted } => {
                self.accept_stored(turn, connection, *accepted, result.map(drop));
            }
            StoreErrand::Spool { connection, message, octets } => {
                self.spool_stored(turn, connection, (message, octets), result.map(drop));
            }
            StoreErrand::Abandon => {}
            StoreErrand::Reader { connection } => self.reader_done(turn, connection, result),
            StoreErrand::Writing { connection } => self.writing_stored(turn, connection, result),
            StoreErrand::LocalSpool(key) => self.local_spooled(turn, key, result),
            StoreErrand::Settle(settled) => self.settle_stored(turn, *settled, result),
        }
    }

    fn loaded(&mut self, turn: &mut Turn<'_>, errand: LoadErrand, loaded: Loaded) {
        match (errand, loaded) {
            (LoadErrand::Agenda, Loaded::Agenda { entries, next }) => {
                self.agenda_loaded(turn, &entries, next);
            }
            (LoadErrand::Agenda, _) => self.agenda_loaded(turn, &[], None),
            (LoadErrand::Page(destination, class, octets), loaded) => {
                self.bodies_asked -= octets;
                let (parcels, next_due) = match loaded {
                    Loaded::Page { parcels, next_due } => (parcels, next_due),
                    _ => (Vec::new(), Some(turn.now.wall + PAGE_REST)),
                };
                self.page_loaded(turn, (destination, class), parcels, next_due);
            }
            (LoadErrand::Body { connection, message }, loaded) => {
                let pieces = match loaded {
                    Loaded::Body { pieces } => Some(pieces),
                    _ => None,
                };
                self.body_loaded(turn, connection, message, pieces);
            }
            (LoadErrand::Reader { connection }, loaded) => {
                self.reader_found(turn, connection, loaded);
            }
            (LoadErrand::Local(key), loaded) => {
                let pieces = match loaded {
                    Loaded::Body { pieces } => Some(pieces),
                    _ => None,
                };
                self.local_loaded(turn, key, pieces);
            }
            (LoadErrand::Recipient { connection }, loaded) => {
                self.recipient_found(turn, connection, loaded);
            }
            (LoadErrand::Report(reporting), loaded) => {
                let start = match loaded {
                    Loaded::Body { pieces } => pieces,
                    _ => Vec::new(),
                };
                self.report_loaded(turn, *reporting, start);
            }
        }
    }

    fn wake(&mut self, turn: &mut Turn<'_>) {
        self.dial_again = self.dial_again.filter(|at| *at > turn.now.instant);
        while let Some(id) = self.connections.overdue(turn.now.instant) {
            match self.connections.take(id) {
                Peer::Inbound(inbound) => self.inbound_overdue(turn, id, inbound),
                Peer::Reader(reader) => self.reader_overdue(turn, id, reader),
                Peer::Outbound(outbound) => self.outbound_overdue(turn, id, outbound),
                Peer::Nobody => {}
            }
        }
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        for id in self.connections.ids() {
            match self.connections.take(id) {
                Peer::Inbound(inbound) => {
                    self.step_inbound(turn, id, inbound, |session, cx, steps| {
                        session.drain(cx, steps)
                    });
                }
                Peer::Outbound(outbound) => self.outbound_drain(turn, id, outbound),
                Peer::Reader(reader) => self.reader_drain(turn, id, reader),
                Peer::Nobody => {}
            }
        }
    }

    /// Draining ends when nobody is connected and the store has answered everything.
    fn finish_drain(&mut self, turn: &mut Turn<'_>) {
        // Those still dialing have nothing under way.
        let quiet = self.connections.inbound_count() + self.connections.outbound_count() == 0
            && self.ledger.is_settled();
        if quiet && !self.drained {
            self.drained = true;
            turn.out.push(Output::Drained);
        }
    }
}
