//! Bringing parcels into memory: from a commit, from another core, from disk.

use super::{
    Relay, Turn,
    input::Trouble,
    ledger::{Ledger, LoadErrand},
    output::{Output, Transport},
};
use crate::{
    dns::{NextHop, Query},
    limits::{AGENDA_PAGE, AGENDA_PASS, AGENDA_REST, BODY_MEMORY_MAX, PAGE_BODIES, PAGE_PARCELS},
    mail::{Class, DestinationKey, Domain, Parcel, Recipient},
    queue::{Admission, Queued},
    store::{AgendaEntry, Load},
    time::{Instant, Wall},
};

/// The look through the destinations on disk, which finds what memory does not know.
#[derive(Default)]
pub(super) struct Pass {
    /// A page of it is being read.
    reading: bool,
    began: Instant,
    /// When the next look is due; zero at start.
    next: Wall,
}

impl Relay {
    /// Hands a parcel to the core that owns its destination: ourselves, mostly.
    pub(super) fn assign(&mut self, turn: &mut Turn<'_>, mut parcel: Parcel) {
        let core = parcel.due.destination.core(self.cores);
        if core == self.core {
            return self.admit(turn, Box::new(parcel));
        }
        if self.body_memory > self.body_memory_max() {
            parcel.body = None;
        }
        turn.out.push(Output::Assign { core, parcel: Box::new(parcel) });
    }

    /// Another core hands us a parcel. When its lease is over (the commit was slow, or we were, or
    /// the clock stepped) a page may have brought it before, and it may have been delivered since:
    /// then the disk tells whether it is still there.
    pub(super) fn assigned(&mut self, turn: &mut Turn<'_>, parcel: Box<Parcel>) {
        match self.schedule.is_leased(parcel.due.at, turn.now.wall) {
            true => self.admit(turn, parcel),
            false => self.schedule.lies_on_disk(parcel.due, parcel.id()),
        }
    }

    /// Takes a parcel into the window, if there is room; else it waits on disk.
    pub(super) fn admit(&mut self, turn: &mut Turn<'_>, mut parcel: Box<Parcel>) {
        let Some(first) = parcel.recipients.first() else { return };
        let hop = self.hop_of(first);
        // Routes may have changed since the parcel was cut: those for this hop come first.
        let elsewhere: Vec<Recipient> =
            parcel.recipients.extract_if(1.., |other| self.hop_of(other) != hop).collect();
        let here = parcel.recipients.len();
        parcel.recipients.extend(elsewhere);
        let octets = parcel.body.as_ref().map_or(0, crate::mail::Body::len);
        if self.body_memory + octets > self.body_memory_max() {
            parcel.body = None;
        }
        let octets = parcel.body.as_ref().map_or(0, crate::mail::Body::len);
        let (options, core, cores) = (&self.options, self.core, self.cores);
        let place = self.schedule.place(&hop, || options.shape(&hop, core, cores));
        let queued = Queued { parcel, here, since: turn.now };
        if self.schedule.admit(place, queued) == Admission::Taken {
            self.body_memory += octets;
            self.pending.push_back(place);
        }
    }

    /// Reads what is due on disk and has room in memory.
    pub(super) fn look_on_disk(&mut self, turn: &mut Turn<'_>) {
        if self.draining {
            return;
        }
        while let Some(wanted) = self.schedule.wanted(turn.now.wall) {
            let taken = self.body_memory + self.bodies_asked;
            // What is only re-dated needs no body.
            let body_octets = match wanted.place {
                Some(place) if self.schedule.destination(place).is_down(turn.now.instant) => 0,
                _ => self.body_memory_max().saturating_sub(taken).min(PAGE_BODIES),
            };
            self.bodies_asked += body_octets;
            let load = Load::Page {
                destination: wanted.destination,
                class: wanted.class,
                after: wanted.after,
                until: wanted.until,
                limit: PAGE_PARCELS,
                body_octets,
            };
            let errand = LoadErrand::Page(wanted.destination, wanted.class, body_octets);
            self.ledger.load(load, errand, turn.out);
        }
        if !self.pass.reading && self.pass.next <= turn.now.wall {
            self.pass.began = turn.now.instant;
            self.schedule.prune(turn.now.instant);
            self.load_agenda(turn, DestinationKey::first_of(self.core, self.cores));
        }
    }

    /// When `look_on_disk` has something to do.
    pub(super) fn next_look(&self) -> Option<Wall> {
        if self.draining {
            return None;
        }
        let pass = (!self.pass.reading).then_some(self.pass.next);
        [self.schedule.next_due(), pass].into_iter().flatten().min()
    }

    pub(super) fn agenda_loaded(
        &mut self,
        turn: &mut Turn<'_>,
        entries: &[AgendaEntry],
        next: Option<DestinationKey>,
    ) {
        for entry in entries {
            let sides = [(Class::Fresh, entry.fresh), (Class::Deferred, entry.deferred)];
            for (class, at) in sides {
                if let Some(at) = at {
                    self.schedule.found(entry.destination, class, at);
                }
            }
        }
        match next {
            Some(from) => self.load_agenda(turn, from),
            None => {
                let took = turn.now.instant.since(self.pass.began);
                self.pass.reading = false;
                self.pass.next = turn.now.wall + AGENDA_PASS.max(took * AGENDA_REST);
            }
        }
    }

    pub(super) fn page_loaded(
        &mut self,
        turn: &mut Turn<'_>,
        shelf: (DestinationKey, Class),
        parcels: Vec<Parcel>,
        next_due: Option<Wall>,
    ) {
        for parcel in self.schedule.page_read(shelf, parcels, next_due) {
            self.admit(turn, Box::new(parcel));
        }
    }

    pub(super) fn send_queries(&mut self, turn: &mut Turn<'_>, queries: Vec<Query>) {
        for query in queries {
            turn.out.push(Output::Query {
                ticket: Ledger::resolver_ticket(query.key),
                server: query.server,
                message: query.message,
                transport: if query.stream { Transport::Stream } else { Transport::Datagram },
                timeout: self.options.dns.timeout,
            });
        }
    }

    pub(super) fn dns_answered(
        &mut self,
        turn: &mut Turn<'_>,
        key: u64,
        result: Result<bytes::Bytes, Trouble>,
    ) {
        let mut queries = Vec::new();
        let ours = matches!(result, Err(Trouble::Descriptors));
        let hops = match ours {
            true => self.resolver.withdraw(key),
            false => self.resolver.answer(key, result.map_err(drop), turn.now, &mut queries),
        };
        self.send_queries(turn, queries);
        for hop in hops {
            let Some(place) = self.schedule.known(&hop) else { continue };
            self.schedule.destination(place).resolving = false;
            match ours {
                true => self.rest_dialing(turn, place),
                false => self.pending.push_back(place),
            }
        }
    }

    /// Where a recipient's mail goes next. An address without a domain is never relayed; should
    /// one lie on disk, its name cannot be found, and that is what its sender hears.
    pub(super) fn hop_of(&self, recipient: &Recipient) -> NextHop {
        let domain = recipient.address.domain().unwrap_or(Domain::Name("invalid".into()));
        if self.options.server.local_domains.contains(&domain) {
            return NextHop::Local;
        }
        self.resolver.next_hop(&domain)
    }

    /// Where this core files parcels for `hop`.
    pub(super) fn home(&self, hop: &NextHop) -> DestinationKey {
        match hop {
            NextHop::Route(number) => self.route_homes[usize::from(*number)],
            NextHop::Local => self.local_home,
            mx => self.options.home(mx, self.core, self.cores),
        }
    }

    fn load_agenda(&mut self, turn: &mut Turn<'_>, from: DestinationKey) {
        self.pass.reading = true;
        let to = match self.core + 1 {
            next if next < self.cores => {
                let above = DestinationKey::first_of(next, self.cores);
                DestinationKey::from_u64(above.as_u64() - 1)
            }
            _ => DestinationKey::MAX,
        };
        let load = Load::Agenda { from, to, limit: AGENDA_PAGE };
        self.ledger.load(load, LoadErrand::Agenda, turn.out);
    }

    /// This core's share of the memory for bodies, in octets.
    pub(super) fn body_memory_max(&self) -> usize {
        BODY_MEMORY_MAX / usize::from(self.cores)
    }
}
