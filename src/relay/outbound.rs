//! Next hops: finding a host that answers, and transactions over its connection.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{
    Relay, Turn,
    connections::Peer,
    dial::Dial,
    event::{RelayHost, Via},
    input::ConnectionId,
    ledger::LoadErrand,
    output::Output,
};
use crate::{
    dns::Host,
    limits::{COMMAND_ROOM, LOAD_BODY_MAX},
    mail::Verdict,
    queue::{Place, Queued},
    smtp::client::{Effect, End, Lost, Session, Steps, Transaction, Unfinished},
    store::Load,
    time::Instant,
};

/// A connection to a next hop.
pub(super) struct Outbound {
    session: Session,
    place: Place,
    host: RelayHost,
    /// Where to go on should this host prove of no use; until its first transaction has ended.
    dial: Option<Dial>,
    /// From the first attempt to connect until the handshake was done; `None` before that.
    setup: Option<Duration>,
    /// Transactions under way, oldest first.
    flights: VecDeque<Flight>,
    /// Transactions begun.
    begun: u32,
    /// Transactions ended by a reply.
    ended: u32,
}

/// A parcel under way.
pub(super) struct Flight {
    pub queued: Queued,
    began: Instant,
    /// Octets of the body read from disk so far.
    offset: u64,
}

/// How an attempt went, for the log and the reports.
pub(super) struct Attempted {
    pub queued: Queued,
    pub verdicts: Vec<Verdict>,
    pub dsn_passed: bool,
    pub via: Via,
    pub setup: Duration,
    pub transmission: Duration,
}

impl Relay {
    pub(super) fn outbound_received(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut outbound: Box<Outbound>,
        bytes: Bytes,
    ) {
        let mut steps = Steps::default();
        let session = std::mem::take(&mut outbound.session);
        outbound.session = session.receive(bytes, &self.options.client, &mut steps);
        turn.out.push(Output::Receive { connection: id, room: COMMAND_ROOM });
        self.advance(turn, id, outbound, steps);
    }

    /// The kernel has taken a part of a body that lies on disk: read the next.
    pub(super) fn outbound_sent(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        outbound: Box<Outbound>,
    ) {
        if let Some(flight) = outbound.flights.front() {
            self.load_body(turn, id, flight);
        }
        self.connections.put_back(id, Peer::Outbound(outbound));
    }

    pub(super) fn body_loaded(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        message: crate::mail::QueueId,
        pieces: Option<Vec<Bytes>>,
    ) {
        let Peer::Outbound(mut outbound) = self.connections.take(id) else { return };
        let flight = outbound.flights.front_mut();
        let Some(flight) = flight.filter(|flight| flight.queued.parcel.message.id == message)
        else {
            return self.connections.put_back(id, Peer::Outbound(outbound));
        };
        let octets = pieces.iter().flatten().map(Bytes::len).sum::<usize>() as u64;
        let Some(pieces) = pieces.filter(|_| octets > 0) else {
            // The next hop has part of a body that we cannot finish: it must never see its end.
            turn.out.push(Output::Abort { connection: id });
            return self.end(turn, id, outbound, Lost::Body);
        };
        flight.offset += octets;
        let last = flight.offset >= flight.queued.parcel.message.size;
        let mut steps = Steps::default();
        let session = std::mem::take(&mut outbound.session);
        outbound.session = session.body(pieces, last, &mut steps);
        if !last {
            let pieces = std::mem::take(&mut steps.send);
            turn.out.push(Output::Send { connection: id, pieces, report: true });
        }
        self.advance(turn, id, outbound, steps);
    }

    /// No word for as long as the session waits: an idle connection is closed in good order.
    pub(super) fn outbound_overdue(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut outbound: Box<Outbound>,
    ) {
        if outbound.session.is_idle() {
            self.schedule.destination(outbound.place).idle.retain(|idle| *idle != id);
            let mut steps = Steps::default();
            outbound.session = std::mem::take(&mut outbound.session).quit(&mut steps);
            return self.advance(turn, id, outbound, steps);
        }
        turn.out.push(Output::Abort { connection: id });
        self.end(turn, id, outbound, Lost::TimedOut);
    }

    /// We are stopping: what is under way comes to its end, the rest ends now.
    pub(super) fn outbound_drain(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        outbound: Box<Outbound>,
    ) {
        if outbound.session.is_idle() {
            self.outbound_overdue(turn, id, outbound);
        } else if outbound.flights.is_empty() {
            turn.out.push(Output::Abort { connection: id });
            self.end(turn, id, outbound, Lost::Stopping);
        } else {
            self.connections.put_back(id, Peer::Outbound(outbound));
        }
    }

    /// Does what the session asked for, gives it more to do, sends, and waits.
    pub(super) fn advance(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut outbound: Box<Outbound>,
        mut steps: Steps,
    ) {
        let mut closing = false;
        loop {
            for effect in std::mem::take(&mut steps.effects) {
                match effect {
                    Effect::Ready => self.handshake_done(turn, &mut outbound),
                    Effect::Body => self.give_body(turn, id, &mut outbound, &mut steps),
                    Effect::Done { transaction, verdicts, dsn_passed } => {
                        outbound.ended += 1;
                        outbound.dial = None;
                        if let Some(flight) = outbound.land(transaction) {
                            let attempted = outbound.attempted(flight, verdicts, dsn_passed, turn);
                            self.settle(turn, attempted);
                        }
                    }
                    Effect::Close => closing = true,
                }
            }
            if closing || !self.begin_next(turn, &mut outbound, &mut steps) {
                break;
            }
        }
        if !steps.send.is_empty() {
            turn.out.push(Output::Send {
                connection: id,
                pieces: std::mem::take(&mut steps.send),
                report: false,
            });
        }
        if closing {
            // What is unsent may be part of a body that must not come to its end.
            turn.out.push(Output::Abort { connection: id });
            return self.end(turn, id, outbound, Lost::Ended);
        }
        if outbound.session.is_idle() {
            let idle = &mut self.schedule.destination(outbound.place).idle;
            // An idle host that says something all the same gains no time by it.
            if !idle.contains(&id) {
                idle.push(id);
                let deadline = turn.now.instant + self.options.idle_timeout;
                self.connections.set_deadline(id, Some(deadline));
            }
        } else if steps.waits_anew {
            let timeout = outbound.session.timeout(&self.options.client);
            self.connections.set_deadline(id, timeout.map(|timeout| turn.now.instant + timeout));
        }
        self.connections.put_back(id, Peer::Outbound(outbound));
    }

    fn handshake_done(&mut self, turn: &mut Turn<'_>, outbound: &mut Outbound) {
        if let Some(dial) = &outbound.dial {
            outbound.setup = Some(turn.now.instant.since(dial.began));
            let destination = self.schedule.destination(outbound.place);
            destination.dialing -= 1;
            destination.open += 1;
            destination.down = None;
        }
    }

    /// Begins a transaction, if the session can take one and there is one; or says QUIT when the
    /// connection has served its time. Returns whether anything was done.
    fn begin_next(
        &mut self,
        turn: &mut Turn<'_>,
        outbound: &mut Outbound,
        steps: &mut Steps,
    ) -> bool {
        if !outbound.session.may_begin() {
            return false;
        }
        let destination = self.schedule.destination(outbound.place);
        let spent = outbound.begun >= destination.shape.messages_per_connection;
        if spent || self.draining {
            if !outbound.session.is_idle() {
                return false;
            }
            outbound.session = std::mem::take(&mut outbound.session).quit(steps);
            return true;
        }
        // A transaction may ride behind a body; but not while another connection has nothing to
        // do, or could be opened: it would wait for the body's reply.
        let busy = !outbound.session.is_idle();
        if busy && (!destination.idle.is_empty() || destination.wants_connection(turn.now.instant))
        {
            return false;
        }
        let Some(mut queued) = self.schedule.next_parcel(outbound.place) else { return false };
        let parcel = &mut queued.parcel;
        let elsewhere = parcel.recipients.split_off(queued.here);
        let recipients = std::mem::replace(&mut parcel.recipients, elsewhere);
        let transaction = Transaction { message: parcel.message.clone(), recipients };
        let session = std::mem::take(&mut outbound.session);
        outbound.session = session.begin(transaction, steps);
        outbound.begun += 1;
        outbound.flights.push_back(Flight { queued, began: turn.now.instant, offset: 0 });
        true
    }

    fn give_body(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        outbound: &mut Outbound,
        steps: &mut Steps,
    ) {
        let Some(flight) = outbound.flights.front_mut() else { return };
        let Some(body) = flight.queued.parcel.body.clone() else {
            return self.load_body(turn, id, flight);
        };
        let session = std::mem::take(&mut outbound.session);
        let pieces = body.pieces.iter().cloned();
        outbound.session = session.body(pieces, true, steps);
    }

    fn load_body(&mut self, turn: &mut Turn<'_>, id: ConnectionId, flight: &Flight) {
        let message = flight.queued.parcel.message.id;
        let load = Load::Body { message, offset: flight.offset, octets: LOAD_BODY_MAX };
        self.ledger.load(load, LoadErrand::Body { connection: id, message }, turn.out);
    }

    /// A connection has ended; its parcels are settled or given back, another host is tried.
    pub(super) fn end(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut outbound: Box<Outbound>,
        lost: Lost,
    ) {
        let End { host, unfinished } = std::mem::take(&mut outbound.session).lost(lost);
        let place = outbound.place;
        let destination = self.schedule.destination(place);
        destination.idle.retain(|idle| *idle != id);
        match outbound.setup {
            Some(_) => destination.open -= 1,
            None => destination.dialing -= 1,
        }
        for unfinished in unfinished {
            match unfinished {
                Unfinished::Unstarted(transaction) => {
                    if let Some(flight) = outbound.land(transaction) {
                        self.schedule.give_back(place, flight.queued);
                    }
                }
                Unfinished::Settled { transaction, verdicts, dsn_passed } => {
                    if let Some(flight) = outbound.land(transaction) {
                        let attempted = outbound.attempted(flight, verdicts, dsn_passed, turn);
                        self.settle(turn, attempted);
                    }
                }
            }
        }
        let dial = outbound.dial.take();
        self.connections.forget_outbound(id);
        if let (Some(mut dial), Some(verdict), false) = (dial, host, self.draining) {
            dial.refused(verdict, Some(outbound.host));
            self.schedule.destination(place).dialing += 1;
            self.dial_next(turn, dial);
        }
        self.pending.push_back(place);
    }
}

impl Outbound {
    pub(super) fn new(dial: Dial, host: &Host) -> Self {
        Self {
            session: Session::new(),
            place: dial.place,
            host: RelayHost {
                name: Bytes::copy_from_slice(host.name.as_bytes()),
                address: host.address,
            },
            dial: Some(dial),
            setup: None,
            flights: VecDeque::new(),
            begun: 0,
            ended: 0,
        }
    }

    /// The oldest flight, with its recipients back in their parcel.
    fn land(&mut self, transaction: Transaction) -> Option<Flight> {
        let mut flight = self.flights.pop_front()?;
        let recipients = &mut flight.queued.parcel.recipients;
        let elsewhere = std::mem::replace(recipients, transaction.recipients);
        recipients.extend(elsewhere);
        Some(flight)
    }

    fn attempted(
        &self,
        flight: Flight,
        verdicts: Vec<Verdict>,
        dsn_passed: bool,
        turn: &Turn<'_>,
    ) -> Attempted {
        Attempted {
            queued: flight.queued,
            verdicts,
            dsn_passed,
            via: Via::Host(self.host.clone()),
            // The first transaction of a connection waited for it; the others did not.
            setup: self.setup.filter(|_| self.ended <= 1).unwrap_or_default(),
            transmission: turn.now.instant.since(flight.began),
        }
    }
}
