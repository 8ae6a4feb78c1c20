//! Finding a host of a next hop that answers: destinations are driven, hosts dialed, next hops
//! that cannot be reached left alone for a while.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{
    Relay, Turn,
    connections::Peer,
    event::{Event, RelayHost, Via},
    input::{ConnectionId, Trouble},
    ledger::Ledger,
    outbound::{Attempted, Outbound},
    output::Output,
};
use crate::{
    dns::{Host, Lookup, NextHop},
    limits::{COMMAND_ROOM, DIAL_REST, SHORTAGE_REST},
    mail::{Outcome, Status, Verdict},
    queue::{Down, Place},
    smtp::client::Steps,
    time::Instant,
};

/// Looking for a host of a next hop that lets us in.
pub(super) struct Dial {
    pub place: Place,
    /// Still to be tried.
    hosts: VecDeque<Host>,
    /// Being tried.
    host: Option<Host>,
    pub began: Instant,
    /// What the hosts tried so far have said, and who said it.
    refusal: Option<(Verdict, Option<RelayHost>)>,
}

impl Dial {
    /// Another host was of no use. One that may take the mail later outweighs one that never
    /// will: the mail waits for it.
    pub fn refused(&mut self, verdict: Verdict, host: Option<RelayHost>) {
        let waits = |(old, _): &(Verdict, _)| old.outcome == Outcome::Deferred;
        if verdict.outcome == Outcome::Deferred || !self.refusal.as_ref().is_some_and(waits) {
            self.refusal = Some((verdict, host));
        }
    }
}

impl Relay {
    /// Moves a destination on: parcels to idle connections, new connections for the rest.
    pub(super) fn drive(&mut self, turn: &mut Turn<'_>, place: Place) {
        if self.draining {
            return;
        }
        let destination = self.schedule.destination(place);
        if destination.hop == NextHop::Local {
            return self.deliver_here(turn, place);
        }
        if let Some(down) = destination.down.clone()
            && turn.now.instant < down.until
        {
            return self.put_off(turn, place, &down.verdict, None);
        }
        while self.schedule.destination(place).ready() > 0 {
            let Some(id) = self.schedule.destination(place).idle.pop() else { break };
            if let Peer::Outbound(outbound) = self.connections.take(id) {
                self.advance(turn, id, outbound, Steps::default());
            }
        }
        while self.schedule.destination(place).wants_connection(turn.now.instant) {
            let outbound = self.connections.outbound_count() + self.dials.len();
            if outbound >= self.outbound_max || self.dial_again.is_some() {
                return self.crowd_out(place);
            }
            let hop = self.schedule.destination(place).hop.clone();
            let mut queries = Vec::new();
            let lookup = self.resolver.look_up(&hop, turn.now, &mut queries);
            self.send_queries(turn, queries);
            match lookup {
                Lookup::Pending => self.schedule.destination(place).resolving = true,
                Lookup::Found(hosts) => self.dial(turn, place, hosts),
                Lookup::Failed(verdict) => return self.unreachable(turn, place, verdict, None),
            }
        }
    }

    fn dial(&mut self, turn: &mut Turn<'_>, place: Place, hosts: Vec<Host>) {
        let by_host = self.options.shape_of_hosts(&hosts);
        let destination = self.schedule.destination(place);
        if let (Some(shape), NextHop::Mx(_)) = (by_host, &destination.hop) {
            destination.shape = shape;
            if destination.open + destination.dialing >= shape.connections_max {
                return;
            }
        }
        destination.dialing += 1;
        let (hosts, began) = (hosts.into(), turn.now.instant);
        self.dial_next(turn, Dial { place, hosts, host: None, began, refusal: None });
    }

    pub(super) fn dial_next(&mut self, turn: &mut Turn<'_>, mut dial: Dial) {
        let Some(host) = dial.hosts.pop_front() else {
            self.schedule.destination(dial.place).dialing -= 1;
            let (verdict, host) = dial.refusal.unwrap_or_else(|| (no_host(), None));
            return self.unreachable(turn, dial.place, verdict, host);
        };
        let remote = host.address;
        dial.host = Some(host);
        let ticket = Ledger::dial_ticket(self.dials.insert(dial));
        turn.out.push(Output::Connect {
            ticket,
            remote,
            source: self.options.source(remote),
            timeout: self.options.connect_timeout,
        });
    }

    /// The answer to a connect.
    pub(super) fn connected(
        &mut self,
        turn: &mut Turn<'_>,
        dial: usize,
        result: Result<ConnectionId, Trouble>,
    ) {
        let Some(mut dial) = self.dials.try_remove(dial) else { return };
        let Some(host) = dial.host.take() else { return };
        match result {
            Err(Trouble::Descriptors) => {
                self.schedule.destination(dial.place).dialing -= 1;
                self.rest_dialing(turn, dial.place);
            }
            Err(trouble) => {
                dial.refused(not_connected(&host, trouble), None);
                self.dial_next(turn, dial);
            }
            Ok(id) if self.draining => {
                self.schedule.destination(dial.place).dialing -= 1;
                turn.out.push(Output::Abort { connection: id });
            }
            Ok(id) => {
                let outbound = Box::new(Outbound::new(dial, &host));
                self.connections.insert(id, Peer::Outbound(outbound));
                turn.out.push(Output::Receive { connection: id, room: COMMAND_ROOM });
                let timeout = self.options.client.greeting_timeout;
                self.connections.set_deadline(id, Some(turn.now.instant + timeout));
            }
        }
    }

    /// A destination waits until connections are to be had again.
    fn crowd_out(&mut self, place: Place) {
        let destination = self.schedule.destination(place);
        if !std::mem::replace(&mut destination.crowded_out, true) {
            self.crowded_out.push_back(place);
        }
    }

    /// The next of those that wait for a connection, while there are any to be had.
    pub(super) fn next_crowded_out(&mut self) -> Option<Place> {
        let outbound = self.connections.outbound_count() + self.dials.len();
        if outbound >= self.outbound_max || self.dial_again.is_some() || self.draining {
            return None;
        }
        let place = self.crowded_out.pop_front()?;
        self.schedule.destination(place).crowded_out = false;
        Some(place)
    }

    /// Descriptors ran out, which is ours to mend and not the host's fault: all dialing rests.
    pub(super) fn rest_dialing(&mut self, turn: &mut Turn<'_>, place: Place) {
        self.dial_again = Some(turn.now.instant + DIAL_REST);
        // Said now and then, not at every turn: at the very limit some connections are made.
        let now = turn.now.instant;
        if self.shortage_told.is_none_or(|told| now.since(told) >= SHORTAGE_REST) {
            self.shortage_told = Some(now);
            let sentence = "connecting rests: too many open files; raise the limit of open files";
            turn.out.push(Output::Note(Box::new(Event::Warning(sentence.to_owned()))));
        }
        self.crowd_out(place);
    }

    /// No host of the next hop could be reached.
    fn unreachable(
        &mut self,
        turn: &mut Turn<'_>,
        place: Place,
        verdict: Verdict,
        host: Option<RelayHost>,
    ) {
        let retry = &self.options.retry;
        let destination = self.schedule.destination(place);
        if destination.open + destination.dialing > 0 {
            // Others of its connections live or may yet: it has what it lets us have.
            destination.enough_until = Some(turn.now.instant + retry.backoff(1));
            return;
        }
        if verdict.outcome == Outcome::Deferred {
            let failures = destination.down.as_ref().map_or(0, |down| down.failures) + 1;
            let until = turn.now.instant + retry.backoff(failures);
            destination.down = Some(Down { until, failures, verdict: verdict.clone() });
        }
        self.put_off(turn, place, &verdict, host);
    }

    /// Settles everything that waits for a destination with one verdict, without an attempt.
    fn put_off(
        &mut self,
        turn: &mut Turn<'_>,
        place: Place,
        verdict: &Verdict,
        host: Option<RelayHost>,
    ) {
        while let Some(queued) = self.schedule.next_parcel(place) {
            let attempted = Attempted {
                verdicts: vec![verdict.clone(); queued.here],
                queued,
                dsn_passed: false,
                via: host.clone().map_or(Via::Nobody, Via::Host),
                setup: Duration::ZERO,
                transmission: Duration::ZERO,
            };
            self.settle(turn, attempted);
        }
    }
}

fn no_host() -> Verdict {
    let reason = Bytes::from_static(b"no host of the next hop could be tried");
    Verdict::own(Outcome::Deferred, Status::new(4, 4, 1), reason)
}

/// Postfix's words: operators and their tools know them.
fn not_connected(host: &Host, trouble: Trouble) -> Verdict {
    let (ip, port) = (host.address.ip(), host.address.port());
    let text = format!("connect to {}[{ip}]:{port}: {trouble}", host.name);
    Verdict::own(Outcome::Deferred, Status::new(4, 4, 1), text)
}
