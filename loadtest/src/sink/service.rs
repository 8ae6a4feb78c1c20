//! The sink on one ring: its connections, and what each of them still holds back.

use std::{
    collections::VecDeque,
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam::channel::Sender;
use rustls::ServerConfig;

use super::{
    answer::{Act, Output, Turn},
    count::{Tally, Trouble},
    policy::Policy,
    session::Session,
};
use crate::ring::{Closed, Desk, Id, Service, Tls};

/// RFC 5321 §4.5.3.2.7: a server waits at least 5 minutes for the next command.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Delayed answers that a connection may have before it is read no further.
const HELD_MAX: usize = 256;

/// How often connections are looked through for idle ones: a wake-up for each would outlive
/// hundreds of thousands of short connections.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// What wake-ups and alarms are for.
const RELEASE: u32 = 0;
const SWEEP: u32 = 1;

/// What all cores share beside the ledger.
#[derive(Debug, Default)]
pub struct Shared {
    pub stop: AtomicBool,
    /// Connections of all cores.
    pub open: AtomicUsize,
    /// It was said that clients could not be accepted.
    pub has_complained: AtomicBool,
}

/// When a connection is secured.
#[derive(Clone)]
pub enum Security {
    Never,
    StartTls(Arc<ServerConfig>),
    Implicit(Arc<ServerConfig>),
}

/// One core of the sink.
pub struct Core {
    pub number: usize,
    pub policy: Policy,
    pub security: Security,
    pub shared: Arc<Shared>,
    pub connections_max: usize,
    /// Where the counts so far go at every tick.
    pub published: Sender<(usize, Tally)>,
    /// By slot.
    pub connections: Vec<Option<Connection>>,
    /// What the session at hand asks for; empty between calls, kept for its room.
    pub outputs: Vec<Output>,
}

pub struct Connection {
    id: Id,
    session: Session,
    admitted: bool,
    /// Answers that are not due yet, in order.
    held: VecDeque<Output>,
    is_paused: bool,
    heard: Instant,
}

impl Service for Core {
    fn started(&mut self, desk: &mut Desk) {
        desk.alarm_at(desk.now() + SWEEP_INTERVAL, SWEEP);
    }

    fn accepted(&mut self, desk: &mut Desk, id: Id, _listener: usize, peer: SocketAddr) {
        self.policy.tally.connections += 1;
        let open = self.shared.open.fetch_add(1, Ordering::Relaxed);
        let secure = matches!(self.security, Security::Implicit(_));
        let slot = id.slot as usize;
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Connection {
            id,
            session: Session::new(peer.ip(), secure),
            admitted: open < self.connections_max,
            held: VecDeque::new(),
            is_paused: false,
            heard: desk.now(),
        });
        match &self.security {
            Security::Implicit(config) => desk.secure(id, Tls::Server(config.clone())),
            _ => self.greet(desk, id),
        }
    }

    fn out_of_descriptors(&mut self, _desk: &mut Desk, error: io::Error) {
        // Once is enough, and whoever measures must know that it is the sink that is slow.
        if !self.shared.has_complained.swap(true, Ordering::Relaxed) {
            let _ = writeln!(
                io::stderr(),
                "clients are slow to be accepted: {error}; raise the hard limit of `ulimit -n`"
            );
        }
    }

    fn secured(&mut self, desk: &mut Desk, id: Id) {
        match self.security {
            Security::Implicit(_) => self.greet(desk, id),
            _ => {
                if let Some((connection, _)) = self.connection(id) {
                    connection.session.secured();
                }
            }
        }
    }

    fn received(&mut self, desk: &mut Desk, id: Id, octets: &[u8]) {
        self.with(desk, id, |connection, turn| {
            connection.heard = turn.now;
            connection.session.received(turn, octets);
        });
    }

    fn closed(&mut self, _desk: &mut Desk, id: Id, why: Closed) {
        let Some(connection) = self.forget(id) else { return };
        let trouble = match why {
            Closed::Ended if connection.session.is_in_transaction() => Trouble::EndedInTransaction,
            Closed::Ended => return,
            Closed::Failed(_) => Trouble::Failed,
            Closed::Tls(_) => Trouble::Tls,
        };
        self.policy.tally.trouble(trouble);
    }

    fn woken(&mut self, desk: &mut Desk, id: Id, _tag: u32) {
        self.release(desk, id);
    }

    fn alarm(&mut self, desk: &mut Desk, _tag: u32) {
        let now = desk.now();
        let is_idle = |connection: &&Connection| {
            now >= connection.heard + IDLE_MAX && !connection.session.is_busy(now)
        };
        let idle = self.connections.iter().flatten().filter(is_idle);
        for id in idle.map(|connection| connection.id).collect::<Vec<_>>() {
            self.with(desk, id, |connection, turn| connection.session.idle(turn));
        }
        // Of one that reads no more nobody tells the end.
        let is_mute =
            |connection: &&Connection| connection.session.is_over() && connection.held.is_empty();
        let mute = self.connections.iter().flatten().filter(is_mute);
        for id in mute.map(|connection| connection.id).collect::<Vec<_>>() {
            if desk.has_peer_left(id) {
                desk.reset(id);
                self.forget(id);
            }
        }
        desk.alarm_at(now + SWEEP_INTERVAL, SWEEP);
    }

    fn tick(&mut self, desk: &mut Desk) {
        // Counts are cumulative: where the reader is behind, the next ones tell all.
        let _ = self.published.try_send((self.number, self.policy.tally.clone()));
        if self.shared.stop.load(Ordering::Relaxed) {
            desk.stop();
        }
    }
}

impl Core {
    fn greet(&mut self, desk: &mut Desk, id: Id) {
        self.with(desk, id, |connection, turn| {
            connection.session.greet(turn, connection.admitted);
        });
    }

    fn connection(&mut self, id: Id) -> Option<(&mut Connection, &mut Policy)> {
        let connection = self.connections.get_mut(id.slot as usize)?.as_mut()?;
        (connection.id == id).then_some((connection, &mut self.policy))
    }

    fn forget(&mut self, id: Id) -> Option<Connection> {
        self.connection(id)?;
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        self.connections.get_mut(id.slot as usize)?.take()
    }

    /// Gives the session a turn, then does what it asks for.
    fn with(&mut self, desk: &mut Desk, id: Id, step: impl FnOnce(&mut Connection, &mut Turn)) {
        let now = desk.now();
        let mut outputs = std::mem::take(&mut self.outputs);
        if let Some((connection, policy)) = self.connection(id) {
            step(connection, &mut Turn { now, policy, out: &mut outputs });
        }
        for output in outputs.drain(..) {
            self.put(desk, id, output);
        }
        self.outputs = outputs;
    }

    /// Does what is due, and holds back what is not or stands behind such.
    fn put(&mut self, desk: &mut Desk, id: Id, output: Output) {
        let Some((connection, _)) = self.connection(id) else { return };
        if connection.held.is_empty() && output.due <= desk.now() {
            return self.act(desk, id, output.act);
        }
        if connection.held.is_empty() {
            desk.wake_at(output.due, id, RELEASE);
        }
        connection.held.push_back(output);
        if connection.held.len() > HELD_MAX && !connection.is_paused {
            connection.is_paused = true;
            desk.pause(id);
        }
    }

    fn release(&mut self, desk: &mut Desk, id: Id) {
        while let Some((connection, _)) = self.connection(id) {
            match connection.held.pop_front_if(|output| output.due <= desk.now()) {
                Some(output) => self.act(desk, id, output.act),
                None => break,
            }
        }
        let Some((connection, _)) = self.connection(id) else { return };
        if let Some(next) = connection.held.front() {
            desk.wake_at(next.due, id, RELEASE);
        }
        if connection.is_paused && connection.held.len() <= HELD_MAX / 2 {
            connection.is_paused = false;
            desk.resume(id);
        }
    }

    fn act(&mut self, desk: &mut Desk, id: Id, act: Act) {
        match act {
            Act::Send(reply) => desk.send(id, reply),
            Act::Count(message) => self.policy.count(
                desk.now(),
                message.times,
                &message.id,
                message.octets,
                &message.recipients,
            ),
            Act::Secure => {
                if let Security::StartTls(config) = &self.security {
                    desk.secure(id, Tls::Server(config.clone()));
                }
            }
            Act::StopReading => desk.pause(id),
            Act::Close => {
                desk.close(id);
                self.forget(id);
            }
            Act::Reset => {
                desk.reset(id);
                self.forget(id);
            }
        }
    }
}
