//! Clients: their sessions' replies go out, their messages are cut into parcels and committed.

use std::net::SocketAddr;

use super::{
    Relay, Turn,
    connections::Peer,
    event::Event,
    input::ConnectionId,
    ledger::{Accepted, StoreErrand},
    output::Output,
};
use crate::{
    config::Protocol,
    limits::{REPLY_BACKLOG_MAX, SENT_REPORT_EVERY, SPOOL_IN_FLIGHT_MAX},
    mail::QueueId,
    smtp::reply,
    smtp::server::{CommitError, Context, Effect, Pressure, Session, Steps, Submission},
    store::{Change, StoreError},
};

/// A client's connection.
pub(super) struct Inbound {
    session: Session,
    client: SocketAddr,
    /// Octets of replies not yet known to be with the kernel.
    unsent: usize,
    spool: Spooling,
    /// A message whose parts are not all on disk yet: it is committed when they are.
    waiting: Option<Box<Submission>>,
    /// Octets of a body handed to the store with its commit.
    committing: usize,
    /// Octets of bodies here and on their way to the disk, as counted in the core's memory.
    held: usize,
    /// A read is asked for.
    reading: bool,
}

/// Parts of a long body on their way to the disk, ahead of the commit.
#[derive(Default)]
struct Spooling {
    /// The message whose parts were handed over last, unless one found no room.
    message: Option<QueueId>,
    /// Octets not answered for yet, of it and of those before it.
    octets: usize,
}

impl Relay {
    pub(super) fn accepted(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        accepted: (u16, SocketAddr, usize),
    ) {
        let (listener, client, of_client) = accepted;
        let full = self.connections.inbound_count() >= self.inbound_max;
        let crowded = full || of_client > self.options.server.connections_per_client_max;
        let role = match self.options.protocols.get(usize::from(listener)) {
            Some(Protocol::Smtp(role)) => *role,
            Some(Protocol::Imap) if !crowded => return self.imap_accepted(turn, id, client),
            Some(Protocol::Pop3) if !crowded => return self.pop3_accepted(turn, id, client),
            Some(Protocol::Imap) => {
                return part(turn, id, b"* BYE Too many connections; try again later\r\n");
            }
            Some(Protocol::Pop3) => {
                return part(turn, id, b"-ERR [IN-USE] Too many connections; try again later\r\n");
            }
            None => return part(turn, id, b""),
        };
        if crowded {
            let reply =
                if full { reply::TOO_MANY_CONNECTIONS } else { reply::TOO_MANY_FROM_CLIENT };
            return turn_away(turn, id, client, reply);
        }
        let mut steps = Steps::default();
        let pressure = self.pressure();
        let mut cx =
            Context { options: &self.options.server, now: turn.now, ids: &mut self.ids, pressure };
        let session = Session::new(client, role, &mut cx, &mut steps);
        let inbound = Box::new(Inbound {
            session,
            client,
            unsent: 0,
            spool: Spooling::default(),
            waiting: None,
            committing: 0,
            held: 0,
            reading: false,
        });
        self.connections.insert(id, Peer::Inbound(inbound));
        if let Peer::Inbound(inbound) = self.connections.take(id) {
            self.finish_step(turn, id, inbound, steps);
        }
    }

    /// One step of a client's session: the step consumes the state and leaves the next.
    pub(super) fn step_inbound(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut inbound: Box<Inbound>,
        step: impl FnOnce(Session, &mut Context<'_>, &mut Steps) -> Session,
    ) {
        let mut steps = Steps::default();
        let pressure = self.pressure();
        let mut cx =
            Context { options: &self.options.server, now: turn.now, ids: &mut self.ids, pressure };
        inbound.session =
            step(std::mem::replace(&mut inbound.session, Session::Closed), &mut cx, &mut steps);
        self.finish_step(turn, id, inbound, steps);
    }

    pub(super) fn inbound_received(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut inbound: Box<Inbound>,
        bytes: bytes::Bytes,
    ) {
        inbound.reading = false;
        self.step_inbound(turn, id, inbound, |session, cx, steps| {
            session.receive(bytes, cx, steps)
        });
    }

    pub(super) fn inbound_sent(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut inbound: Box<Inbound>,
    ) {
        inbound.unsent = 0;
        self.read_on(turn, id, &mut inbound, false);
        self.connections.put_back(id, Peer::Inbound(inbound));
    }

    /// The client's time is up.
    pub(super) fn inbound_overdue(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        inbound: Box<Inbound>,
    ) {
        let after = inbound.session.stage().unwrap_or("CONNECT");
        let lost = Event::Lost { client: inbound.client, after, timed_out: true };
        turn.out.push(Output::Note(Box::new(lost)));
        self.step_inbound(turn, id, inbound, |session, cx, steps| session.timed_out(cx, steps));
    }

    /// The client is gone. One that leaves between two messages, as health checks do, is not
    /// worth a line.
    pub(super) fn inbound_lost(&mut self, turn: &mut Turn<'_>, id: ConnectionId, inbound: Inbound) {
        if let Some(after) = inbound.session.stage() {
            let lost = Event::Lost { client: inbound.client, after, timed_out: false };
            turn.out.push(Output::Note(Box::new(lost)));
        }
        self.inbound_closed(turn, id, inbound);
    }

    fn inbound_closed(&mut self, turn: &mut Turn<'_>, id: ConnectionId, inbound: Inbound) {
        self.connections.forget_inbound(id);
        self.inbound_memory -= inbound.held;
        // Nobody was promised anything about a message that still waits for its parts.
        let waiting = inbound.waiting.map(|submission| submission.id);
        if let Some(message) = inbound.session.closed().or(waiting) {
            self.ledger.store(Change::Abandon { message }, StoreErrand::Abandon, turn.out);
        }
    }

    /// The answer to a commit.
    pub(super) fn accept_stored(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut accepted: Accepted,
        result: Result<(), StoreError>,
    ) {
        let parcels = std::mem::take(&mut accepted.parcels);
        if let (Err(_), true, Some(first)) = (result, accepted.spooled, parcels.first()) {
            // Nobody was promised anything: the parts that went ahead are of no use.
            let change = Change::Abandon { message: first.message.id };
            self.ledger.store(change, StoreErrand::Abandon, turn.out);
        }
        if let (Ok(()), Some(first)) = (result, parcels.first()) {
            turn.out.push(Output::Note(Box::new(Event::Accepted {
                id: first.message.id,
                client: Some(accepted.client),
                from: accepted.from,
                message_id: accepted.message_id,
                size: accepted.size,
                recipients: accepted.recipients,
            })));
        }
        // The client's answer first: its next message is under way while we deliver this one.
        if let Peer::Inbound(mut inbound) = self.connections.take(id) {
            inbound.committing = 0;
            self.step_inbound(turn, id, inbound, |session, cx, steps| {
                session.stored(result.map_err(commit_error), cx, steps)
            });
        }
        if result.is_ok() {
            for parcel in parcels {
                self.assign(turn, parcel);
            }
        }
    }

    /// The answer to a part of a long body.
    pub(super) fn spool_stored(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        part: (QueueId, usize),
        result: Result<(), StoreError>,
    ) {
        let Peer::Inbound(mut inbound) = self.connections.take(id) else { return };
        let (message, octets) = part;
        let spool = &mut inbound.spool;
        spool.octets = spool.octets.saturating_sub(octets);
        // Parts of a message that was given up meanwhile only free their memory.
        let current = spool.message == Some(message);
        let failed = result.err().filter(|_| current).map(commit_error);
        if failed.is_some() {
            spool.message = None;
        }
        match (failed, inbound.waiting.take()) {
            (Some(error), Some(submission)) => {
                let change = Change::Abandon { message: submission.id };
                self.ledger.store(change, StoreErrand::Abandon, turn.out);
                self.step_inbound(turn, id, inbound, |session, cx, steps| {
                    session.stored(Err(error), cx, steps)
                });
            }
            (Some(_), None) => self.step_inbound(turn, id, inbound, |session, cx, steps| {
                session.spool_failed(cx, steps)
            }),
            (None, waiting) => {
                inbound.waiting = waiting;
                self.commit_waiting(turn, id, &mut inbound);
                self.recount(&mut inbound);
                self.read_on(turn, id, &mut inbound, true);
                self.connections.put_back(id, Peer::Inbound(inbound));
            }
        }
    }

    fn pressure(&self) -> Pressure {
        Pressure {
            free: self.space.free,
            memory_short: self.bodies() > self.body_memory_max() / 4 * 3,
            draining: self.draining,
        }
    }

    /// Octets of bodies in this core's memory.
    fn bodies(&self) -> usize {
        self.inbound_memory + self.body_memory
    }

    /// Counts what this client's bodies take of the memory now.
    fn recount(&mut self, inbound: &mut Inbound) {
        let held = inbound.session.held() + inbound.spool.octets + inbound.committing;
        self.inbound_memory = self.inbound_memory + held - inbound.held;
        inbound.held = held;
    }

    /// Commits the message that waits, once all its parts are on disk: what a commit refers to
    /// must be there.
    fn commit_waiting(&mut self, turn: &mut Turn<'_>, id: ConnectionId, inbound: &mut Inbound) {
        let waits = inbound.spool.octets > 0
            && inbound.waiting.as_ref().is_some_and(|waiting| waiting.spooled_rows > 0);
        if !waits && let Some(submission) = inbound.waiting.take() {
            inbound.committing = submission.body.iter().map(bytes::Bytes::len).sum();
            self.commit(turn, id, inbound.client, *submission);
        }
    }

    /// Sends the replies, does what the session asked for, and reads on or closes.
    fn finish_step(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut inbound: Box<Inbound>,
        mut steps: Steps,
    ) {
        let mut close = false;
        for effect in steps.effects.drain(..) {
            match effect {
                Effect::LookUp { address, size } => self.look_up(turn, id, address, size),
                Effect::Commit(submission) => {
                    inbound.waiting = Some(submission);
                    self.commit_waiting(turn, id, &mut inbound);
                }
                Effect::Spool { message, first_row, pieces } => {
                    let octets = pieces.iter().map(bytes::Bytes::len).sum();
                    inbound.spool.message = Some(message);
                    inbound.spool.octets += octets;
                    let change = Change::Spool { message, first_row, pieces };
                    let errand = StoreErrand::Spool { connection: id, message, octets };
                    self.ledger.store(change, errand, turn.out);
                }
                Effect::Abandon { message } => {
                    inbound.spool.message = None;
                    let change = Change::Abandon { message };
                    self.ledger.store(change, StoreErrand::Abandon, turn.out);
                }
                Effect::Rejected { helo, command, reply, from, to } => {
                    let client = inbound.client;
                    turn.out.push(Output::Note(Box::new(Event::Rejected {
                        client,
                        helo,
                        command,
                        reply,
                        from,
                        to,
                    })));
                }
                Effect::Close => close = true,
            }
        }
        let replied = !steps.replies.is_empty();
        if replied {
            inbound.unsent += steps.replies.len();
            turn.out.push(Output::Send {
                connection: id,
                pieces: smallvec::smallvec![steps.replies.freeze()],
                report: inbound.unsent > SENT_REPORT_EVERY,
            });
        }
        let before = inbound.held;
        self.recount(&mut inbound);
        if close {
            turn.out.push(Output::Close { connection: id });
            return self.inbound_closed(turn, id, *inbound);
        }
        // Part of a command is no progress: a client that drips its octets gains no time by it.
        let progress = replied || inbound.held != before || inbound.session.is_in_body();
        self.read_on(turn, id, &mut inbound, progress);
        self.connections.put_back(id, Peer::Inbound(inbound));
    }

    /// Asks for the next read, unless the session, its replies or its body must wait.
    fn read_on(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        inbound: &mut Inbound,
        progress: bool,
    ) {
        if progress {
            let timeout = inbound.session.timeout(&self.options.server);
            self.connections.set_deadline(id, Some(turn.now.instant + timeout));
        }
        let spooling = inbound.spool.octets;
        let waits = inbound.reading
            || inbound.unsent > REPLY_BACKLOG_MAX
            || spooling >= SPOOL_IN_FLIGHT_MAX
            // Over the memory's share, a body goes on when its last part is on disk.
            || spooling > 0 && self.bodies() > self.body_memory_max();
        if let (false, Some(room)) = (waits, inbound.session.room()) {
            inbound.reading = true;
            turn.out.push(Output::Receive { connection: id, room });
        }
    }
}

/// RFC 5321 §3.1: a 421 in place of a greeting.
fn turn_away(turn: &mut Turn<'_>, id: ConnectionId, client: SocketAddr, reply: reply::Reply) {
    turn.out.push(Output::Note(Box::new(Event::Rejected {
        client,
        helo: bytes::Bytes::new(),
        command: "CONNECT",
        reply: reply.to_bytes(),
        from: None,
        to: None,
    })));
    let mut steps = Steps::default();
    let _closed = Session::refuse(reply, &mut steps);
    let pieces = smallvec::smallvec![steps.replies.freeze()];
    turn.out.push(Output::Send { connection: id, pieces, report: false });
    turn.out.push(Output::Close { connection: id });
}

/// Says a last word to a client that is not served.
fn part(turn: &mut Turn<'_>, id: ConnectionId, words: &'static [u8]) {
    let pieces = smallvec::smallvec![bytes::Bytes::from_static(words)];
    turn.out.push(Output::Send { connection: id, pieces, report: false });
    turn.out.push(Output::Close { connection: id });
}

fn commit_error(error: StoreError) -> CommitError {
    match error {
        StoreError::Full => CommitError::Full,
        StoreError::Failed => CommitError::Failed,
    }
}
