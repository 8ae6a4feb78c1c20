//! Finding a host of a next hop that answers: destinations are driven, hosts dialed, next hops
//! that cannot be reached left alone for a while.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{
    Relay, Turn,
    connections::Peer,
    input::{ConnectionId, Trouble},
    ledger::Ledger,
    outbound::{Attempted, Outbound},
    output::Output,
};
use crate::{
    dns::{Host, Lookup, NextHop},
    limits::{COMMAND_ROOM, OUTBOUND_PER_CORE_MAX},
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
    /// What the last host said.
    pub verdict: Verdict,
}

impl Relay {
    /// Moves a destination on: parcels to idle connections, new connections for the rest.
    pub(super) fn drive(&mut self, turn: &mut Turn<'_>, place: Place) {
        if self.draining {
            return;
        }
        let destination = self.schedule.destination(place);
        if let Some(down) = destination.down.clone()
            && turn.now.instant < down.until
        {
            return self.put_off(turn, place, &down.verdict);
        }
        while self.schedule.destination(place).ready() > 0 {
            let Some(id) = self.schedule.destination(place).idle.pop() else { break };
            if let Peer::Outbound(outbound) = self.connections.take(id) {
                self.advance(turn, id, outbound, Steps::default());
            }
        }
        while self.schedule.destination(place).wants_connection()
            && self.connections.outbound_count() + self.dials.len() < OUTBOUND_PER_CORE_MAX
        {
            let hop = self.schedule.destination(place).hop.clone();
            let mut queries = Vec::new();
            let lookup = self.resolver.look_up(&hop, turn.now, &mut queries);
            self.send_queries(turn, queries);
            match lookup {
                Lookup::Pending => self.schedule.destination(place).resolving = true,
                Lookup::Found(hosts) => self.dial(turn, place, hosts),
                Lookup::Failed(verdict) => return self.unreachable(turn, place, verdict),
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
        let verdict = Verdict::own(
            Outcome::Deferred,
            Status::new(4, 4, 1),
            Bytes::from_static(b"no host of the next hop could be tried"),
        );
        let hosts = hosts.into();
        self.dial_next(turn, Dial { place, hosts, host: None, began: turn.now.instant, verdict });
    }

    pub(super) fn dial_next(&mut self, turn: &mut Turn<'_>, mut dial: Dial) {
        let Some(host) = dial.hosts.pop_front() else {
            self.schedule.destination(dial.place).dialing -= 1;
            return self.unreachable(turn, dial.place, dial.verdict);
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
            Err(trouble) => {
                dial.verdict = not_connected(&host, trouble);
                self.dial_next(turn, dial);
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

    /// No host of the next hop could be reached.
    pub(super) fn unreachable(&mut self, turn: &mut Turn<'_>, place: Place, verdict: Verdict) {
        let destination = self.schedule.destination(place);
        if destination.open + destination.dialing > 0 {
            // Others of its connections live or may yet: nothing is lost by waiting for them.
            return;
        }
        if verdict.outcome == Outcome::Deferred {
            let failures = destination.down.as_ref().map_or(0, |down| down.failures) + 1;
            let until = turn.now.instant + self.options.retry.backoff(failures);
            destination.down = Some(Down { until, failures, verdict: verdict.clone() });
        }
        self.put_off(turn, place, &verdict);
    }

    /// Settles everything that waits for a destination with one verdict, without an attempt.
    fn put_off(&mut self, turn: &mut Turn<'_>, place: Place, verdict: &Verdict) {
        while let Some(queued) = self.schedule.next_parcel(place) {
            let verdicts = vec![verdict.clone(); queued.here];
            self.settle(
                turn,
                Attempted {
                    queued,
                    verdicts,
                    dsn_passed: false,
                    host: None,
                    setup: Duration::ZERO,
                    transmission: Duration::ZERO,
                },
            );
        }
    }
}

/// Postfix's words: operators and their tools know them.
fn not_connected(host: &Host, trouble: Trouble) -> Verdict {
    let text = format!("connect to {}[{}]: {trouble}", host.name, host.address);
    Verdict::own(Outcome::Deferred, Status::new(4, 4, 1), text)
}
