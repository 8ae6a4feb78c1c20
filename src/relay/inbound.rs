//! Clients: their sessions' replies go out, their messages are cut into parcels and committed.

use std::{net::SocketAddr, sync::Arc};

use super::{
    Relay, Turn,
    connections::Peer,
    event::Event,
    input::ConnectionId,
    ledger::{Accepted, StoreErrand},
    output::Output,
};
use crate::{
    dns::NextHop,
    limits::{BODY_MEMORY_MAX, PARCEL_RECIPIENTS_MAX, REPLY_BACKLOG_MAX, SPOOL_IN_FLIGHT_MAX},
    mail::{Body, Class, Due, Message, Parcel, Recipient},
    smtp::reply,
    smtp::server::{CommitError, Context, Effect, Pressure, Session, Steps, Submission},
    store::{Accept, Change, StoreError},
};

/// A client's connection.
pub(super) struct Inbound {
    session: Session,
    client: SocketAddr,
    /// Octets of replies not yet known to be with the kernel.
    unsent: usize,
    /// Octets of a body on their way to the disk ahead of the commit.
    spooling: usize,
    /// Octets of a body in the session, as counted in the core's memory.
    held: usize,
    /// A read is asked for.
    reading: bool,
}

/// Replies are counted as sent when the kernel says so, and it is asked this often.
const SENT_REPORT_EVERY: usize = 4096;

impl Relay {
    pub(super) fn accepted(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        accepted: (u16, SocketAddr, usize),
    ) {
        let (listener, client, of_client) = accepted;
        let full = self.connections.inbound_count() >= self.inbound_max || self.crowded;
        if full || of_client > self.options.server.connections_per_client_max {
            let reply =
                if full { reply::TOO_MANY_CONNECTIONS } else { reply::TOO_MANY_FROM_CLIENT };
            return turn_away(turn, id, reply);
        }
        let Some(role) = self.options.roles.get(usize::from(listener)).copied() else {
            turn.out.push(Output::Abort { connection: id });
            return;
        };
        let mut steps = Steps::default();
        let pressure = self.pressure();
        let mut cx =
            Context { options: &self.options.server, now: turn.now, ids: &mut self.ids, pressure };
        let session = Session::new(client, role, &mut cx, &mut steps);
        let inbound =
            Box::new(Inbound { session, client, unsent: 0, spooling: 0, held: 0, reading: false });
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
        self.read_on(turn, id, &mut inbound);
        self.connections.put_back(id, Peer::Inbound(inbound));
    }

    pub(super) fn inbound_closed(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        inbound: Inbound,
    ) {
        self.connections.forget_inbound(id);
        self.inbound_memory -= inbound.held;
        if let Some(message) = inbound.session.closed() {
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
        let answer = match result {
            Ok(()) => Ok(()),
            Err(StoreError::Full) => Err(CommitError::Full),
            Err(StoreError::Failed) => Err(CommitError::Failed),
        };
        // The client's answer first: its next message is under way while we deliver this one.
        let peer = self.connections.take(id);
        if let Peer::Inbound(inbound) = peer {
            if let (Ok(()), Some(first)) = (result, parcels.first()) {
                turn.out.push(Output::Note(Box::new(Event::Accepted {
                    id: first.message.id,
                    client: inbound.client,
                    from: accepted.from.take(),
                    message_id: std::mem::take(&mut accepted.message_id),
                    size: accepted.size,
                    recipients: accepted.recipients,
                })));
            }
            self.step_inbound(turn, id, inbound, |session, cx, steps| {
                session.stored(answer, cx, steps)
            });
        }
        if result.is_ok() {
            for parcel in parcels {
                self.assign(turn, parcel);
            }
        }
    }

    pub(super) fn spool_stored(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        octets: usize,
        result: Result<(), StoreError>,
    ) {
        let Peer::Inbound(mut inbound) = self.connections.take(id) else { return };
        inbound.spooling = inbound.spooling.saturating_sub(octets);
        match result {
            Ok(()) => {
                self.read_on(turn, id, &mut inbound);
                self.connections.put_back(id, Peer::Inbound(inbound));
            }
            Err(_) => self.step_inbound(turn, id, inbound, |session, cx, steps| {
                session.spool_failed(cx, steps)
            }),
        }
    }

    fn pressure(&self) -> Pressure {
        let used = self.inbound_memory + self.body_memory;
        let share = BODY_MEMORY_MAX / usize::from(self.cores);
        Pressure {
            free: self.space.free,
            memory_short: used > share / 4 * 3,
            draining: self.draining,
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
                Effect::Commit(submission) => self.commit(turn, id, *submission),
                Effect::Spool { message, first_row, pieces } => {
                    let octets = pieces.iter().map(bytes::Bytes::len).sum();
                    inbound.spooling += octets;
                    let change = Change::Spool { message, first_row, pieces };
                    let errand = StoreErrand::Spool { connection: id, octets };
                    self.ledger.store(change, errand, turn.out);
                }
                Effect::Abandon { message } => {
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
        if !steps.replies.is_empty() {
            inbound.unsent += steps.replies.len();
            turn.out.push(Output::Send {
                connection: id,
                pieces: smallvec::smallvec![steps.replies.freeze()],
                report: inbound.unsent > SENT_REPORT_EVERY,
            });
        }
        let held = inbound.session.held();
        self.inbound_memory = self.inbound_memory + held - inbound.held;
        inbound.held = held;
        if close {
            turn.out.push(Output::Close { connection: id });
            return self.inbound_closed(turn, id, *inbound);
        }
        self.read_on(turn, id, &mut inbound);
        self.connections.put_back(id, Peer::Inbound(inbound));
    }

    /// Asks for the next read, unless the session, its replies or its body must wait.
    fn read_on(&mut self, turn: &mut Turn<'_>, id: ConnectionId, inbound: &mut Inbound) {
        let timeout = inbound.session.timeout(&self.options.server);
        self.connections.set_deadline(id, Some(turn.now.instant + timeout));
        let waits = inbound.reading
            || inbound.unsent > REPLY_BACKLOG_MAX
            || inbound.spooling >= SPOOL_IN_FLIGHT_MAX;
        if let (false, Some(room)) = (waits, inbound.session.room()) {
            inbound.reading = true;
            turn.out.push(Output::Receive { connection: id, room });
        }
    }

    /// Cuts a message into parcels and hands all to the store.
    fn commit(&mut self, turn: &mut Turn<'_>, id: ConnectionId, submission: Submission) {
        let Submission { recipients, envelope, body, message_id, .. } = submission;
        let count = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
        let groups = self.by_next_hop(recipients);
        let message = Arc::new(Message {
            id: submission.id,
            arrived: submission.arrived,
            envelope,
            wire: submission.wire,
            size: submission.size,
            parcels: u16::try_from(groups.len()).unwrap_or(u16::MAX),
        });
        let parcels = self.parcels(&message, groups, turn.now.wall);
        let accepted = Box::new(Accepted {
            parcels: match submission.spooled_rows {
                0 => with_body(&parcels, &Body::new(body.as_slice())),
                _ => parcels.clone(),
            },
            from: message.envelope.reverse_path.clone(),
            message_id,
            size: message.size,
            recipients: count,
        });
        let spooled_rows = submission.spooled_rows;
        let change = Change::Accept(Box::new(Accept { message, parcels, body, spooled_rows }));
        let errand = StoreErrand::Accept { connection: id, accepted };
        self.ledger.store(change, errand, turn.out);
    }

    /// A parcel for each group, filed under its next hop and due at once.
    pub(super) fn parcels(
        &self,
        message: &Arc<Message>,
        groups: Vec<(NextHop, Vec<Recipient>)>,
        now: crate::time::Wall,
    ) -> Vec<Parcel> {
        groups
            .into_iter()
            .zip(0..)
            .map(|((hop, recipients), part)| Parcel {
                message: message.clone(),
                part,
                due: Due {
                    destination: self.options.home(&hop, self.core, self.cores),
                    class: Class::Fresh,
                    at: now,
                },
                attempts: 0,
                warned: false,
                recipients,
                last_reply: bytes::Bytes::new(),
                body: None,
            })
            .collect()
    }

    /// Groups recipients by next hop, in the order of first mention, at most
    /// `PARCEL_RECIPIENTS_MAX` in a group.
    pub(super) fn by_next_hop(&self, recipients: Vec<Recipient>) -> Vec<(NextHop, Vec<Recipient>)> {
        let mut groups: Vec<(NextHop, Vec<Recipient>)> = Vec::with_capacity(1);
        let mut open = std::collections::HashMap::new();
        for recipient in recipients {
            let hop = self.hop_of(&recipient);
            if let Some((last, group)) = groups.last_mut()
                && *last == hop
                && group.len() < PARCEL_RECIPIENTS_MAX
            {
                group.push(recipient);
                continue;
            }
            let index = open.get(&hop).copied();
            match index.filter(|&i: &usize| groups[i].1.len() < PARCEL_RECIPIENTS_MAX) {
                Some(index) => groups[index].1.push(recipient),
                None => {
                    open.insert(hop.clone(), groups.len());
                    groups.push((hop, vec![recipient]));
                }
            }
        }
        groups
    }
}

/// RFC 5321 §3.1: a 421 in place of a greeting.
fn turn_away(turn: &mut Turn<'_>, id: ConnectionId, reply: reply::Reply) {
    let mut steps = Steps::default();
    let _closed = Session::refuse(reply, &mut steps);
    let pieces = smallvec::smallvec![steps.replies.freeze()];
    turn.out.push(Output::Send { connection: id, pieces, report: false });
    turn.out.push(Output::Close { connection: id });
}

fn with_body(parcels: &[Parcel], body: &Body) -> Vec<Parcel> {
    parcels.iter().map(|parcel| Parcel { body: Some(body.clone()), ..parcel.clone() }).collect()
}
