//! The sessions of one core on its ring: connections made and made again, time watched.

use std::{
    collections::VecDeque,
    mem,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam::channel::Sender;
use rustix::io::Errno;
use rustls::{ClientConfig, pki_types::ServerName};

use super::{
    SourceError,
    schedule::Share,
    session::Session,
    tally::{Figures, Tally},
    work::{Action, Parting, Security, Work},
};
use crate::ring::{Closed, Desk, Id, Service, Tls};

/// After the first lost connection; each further one in a row doubles it.
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// At the end, for what is under way and for QUIT.
const PARTING_MAX: Duration = Duration::from_secs(2);
/// The alarm of the schedule; the others are the sessions' numbers.
const DUE: u32 = u32::MAX;

/// Where the sessions go, and how long they wait.
pub struct Route {
    pub target: SocketAddr,
    /// The sessions use them in turn; none is the kernel's choice.
    pub sources: Vec<IpAddr>,
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub answer_timeout: Duration,
    /// The sessions of all cores begin spread over it.
    pub ramp: Duration,
    pub sessions: u64,
}

/// One core's sessions.
pub struct Clients {
    route: Arc<Route>,
    share: Share,
    begun: Instant,
    work: Work,
    clients: Vec<Client>,
    /// By the slot of a connection, whose it is.
    seats: Vec<u32>,
    /// Sessions with nothing to send, the longest idle first.
    idle: VecDeque<u32>,
    tally: Tally,
    figures: Figures,
    told: Sender<Figures>,
    stop: Arc<AtomicBool>,
    has_connected: bool,
    due_alarm: Option<Instant>,
    /// The run is over for this core; what is open by then is cut.
    parting: Option<Instant>,
    failure: Option<SourceError>,
}

#[derive(Default)]
struct Client {
    session: Session,
    id: Option<Id>,
    /// When its connection began.
    begun: Option<Instant>,
    is_connected: bool,
    /// The server's answer is awaited so long.
    answer_by: Option<Instant>,
    back_off: Duration,
    /// It stands in the queue of idle sessions, be it still idle or not.
    is_listed: bool,
}

impl Clients {
    pub fn new(
        route: Arc<Route>,
        share: Share,
        begun: Instant,
        work: Work,
        told: Sender<Figures>,
        stop: Arc<AtomicBool>,
    ) -> Clients {
        // The cores' sessions are numbered in turn, as the messages are.
        let count = (route.sessions + share.cores - 1 - share.core) / share.cores;
        Clients {
            route,
            share,
            begun,
            work,
            clients: (0..count).map(|_| Client::default()).collect(),
            seats: Vec::new(),
            idle: VecDeque::new(),
            tally: Tally::default(),
            figures: Figures::default(),
            told,
            stop,
            has_connected: false,
            due_alarm: None,
            parting: None,
            failure: None,
        }
    }

    /// What was done, with what was not told yet.
    pub fn finish(self) -> Result<(Tally, Figures), SourceError> {
        self.failure.map_or(Ok((self.tally, self.figures)), Err)
    }

    fn number(&self, index: u32) -> u64 {
        u64::from(index) * self.share.cores + self.share.core
    }

    /// Whose connection it is.
    fn seat(&self, id: Id) -> Option<u32> {
        let index = *self.seats.get(id.slot as usize)?;
        self.clients
            .get(index as usize)
            .is_some_and(|client| client.id == Some(id))
            .then_some(index)
    }

    fn connect(&mut self, desk: &mut Desk, index: u32) {
        if self.parting.is_some() || self.work.schedule.is_done(desk.now()) {
            return;
        }
        let sources = &self.route.sources;
        let source = self.number(index).checked_rem(sources.len() as u64);
        let source = source.map(|place| sources[place as usize]);
        match desk.connect(self.route.target, source) {
            Ok(id) => self.sit(desk, index, id),
            Err(error) if self.has_connected => {
                self.tally.troubles.add(&format!("connect: {error}"));
                self.connect_later(desk, index);
            }
            Err(error) => self.unreachable(desk, error),
        }
    }

    fn sit(&mut self, desk: &mut Desk, index: u32, id: Id) {
        let slot = id.slot as usize;
        if slot >= self.seats.len() {
            self.seats.resize(slot + 1, u32::MAX);
        }
        self.seats[slot] = index;
        let now = desk.now();
        let answer_by = now + self.route.answer_timeout;
        let client = &mut self.clients[index as usize];
        client.session = Session::default();
        client.is_connected = false;
        (client.id, client.begun, client.answer_by) = (Some(id), Some(now), Some(answer_by));
        desk.wake_at(answer_by, id, 0);
    }

    /// After a connection that failed.
    fn connect_later(&mut self, desk: &mut Desk, index: u32) {
        if self.parting.is_none() {
            self.figures.errors += 1;
        }
        let client = &mut self.clients[index as usize];
        client.back_off = (client.back_off * 2).clamp(BACK_OFF_MIN, BACK_OFF_MAX);
        desk.alarm_at(desk.now() + client.back_off, index);
    }

    /// Does what the session asked for.
    fn act(&mut self, desk: &mut Desk, index: u32) {
        let now = desk.now();
        let mut actions = mem::take(&mut self.work.actions);
        for action in actions.drain(..) {
            let client = &mut self.clients[index as usize];
            let Some(id) = client.id else { break };
            match action {
                Action::Send(octets) => {
                    client.answer_by = Some(now + self.route.answer_timeout);
                    desk.send(id, octets);
                }
                Action::Secure => self.secure(desk, id),
                Action::Greeted => {
                    if let Some(begun) = client.begun {
                        self.tally.greeting.record(now.duration_since(begun));
                    }
                }
                Action::Idle if client.is_listed => {}
                Action::Idle => {
                    client.is_listed = true;
                    self.idle.push_back(index);
                }
                Action::Settled { job, since, verdict } => {
                    client.back_off = Duration::ZERO;
                    self.tally.settled(job.sequence / self.share.cores, verdict, now);
                    self.figures.settled(verdict, now.saturating_duration_since(since));
                }
                Action::Trouble(text) => self.tally.troubles.add(&text),
                Action::Close(parting) => {
                    client.id = None;
                    desk.close(id);
                    match parting {
                        Parting::Agreed => self.connect(desk, index),
                        Parting::Soured => self.connect_later(desk, index),
                    }
                }
                Action::GiveUp(error) => self.give_up(desk, error),
            }
        }
        self.work.actions = actions;
    }

    fn secure(&self, desk: &mut Desk, id: Id) {
        if let Some((config, name)) = &self.route.tls {
            desk.secure(id, Tls::Client(config.clone(), name.clone()));
        }
    }

    /// The connection is gone or worth nothing; whatever was under way is settled or given back.
    fn lose(&mut self, desk: &mut Desk, index: u32, why: &str) {
        let client = &mut self.clients[index as usize];
        let is_agreed = client.session.is_quitting();
        client.session.lost(&mut self.work);
        self.act(desk, index);
        self.clients[index as usize].id = None;
        if is_agreed {
            return self.connect(desk, index);
        }
        if self.parting.is_none() {
            self.tally.troubles.add(why);
        }
        self.connect_later(desk, index);
    }

    /// Gives what is due to sessions that are free, and sets the alarm for what comes next.
    fn feed(&mut self, desk: &mut Desk) {
        let now = desk.now();
        while self.work.schedule.is_due(now) {
            let Some(index) = self.idle.pop_front() else { return };
            let client = &mut self.clients[index as usize];
            client.is_listed = false;
            // One that was lost or ended meanwhile does nothing.
            client.session.proceed(now, &mut self.work);
            self.act(desk, index);
        }
        let Some(at) = self.work.schedule.wakes_at(now) else { return };
        if !self.idle.is_empty() && self.due_alarm.is_none_or(|alarm| at < alarm) {
            self.due_alarm = Some(at);
            desk.alarm_at(at, DUE);
        }
    }

    /// Ends what is idle with QUIT, and all when its time is up.
    fn part(&mut self, desk: &mut Desk) {
        let now = desk.now();
        let until = *self.parting.get_or_insert(now + PARTING_MAX);
        for index in 0..self.clients.len() as u32 {
            if self.clients[index as usize].id.is_some() {
                self.clients[index as usize].session.quit(&mut self.work);
                self.act(desk, index);
            }
        }
        let is_open = |client: &Client| client.id.is_some();
        if now >= until || !self.clients.iter().any(is_open) {
            for index in 0..self.clients.len() as u32 {
                self.clients[index as usize].session.lost(&mut self.work);
                self.act(desk, index);
            }
            desk.stop();
        }
    }

    fn tell(&mut self) {
        if self.figures.is_empty() {
            return;
        }
        let figures = mem::take(&mut self.figures);
        // When the main thread is behind, the figures wait here.
        if let Err(error) = self.told.try_send(figures) {
            self.figures = error.into_inner();
        }
    }

    fn give_up(&mut self, desk: &mut Desk, error: SourceError) {
        self.failure.get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
        desk.stop();
    }

    fn unreachable(&mut self, desk: &mut Desk, error: std::io::Error) {
        let target = self.route.target;
        self.give_up(
            desk,
            match Errno::from_io_error(&error) {
                Some(Errno::MFILE) => SourceError::Files,
                _ => SourceError::Unreachable { target, error },
            },
        );
    }
}

impl Service for Clients {
    fn started(&mut self, desk: &mut Desk) {
        for index in 0..self.clients.len() as u32 {
            let share = self.number(index) as f64 / self.route.sessions as f64;
            desk.alarm_at(self.begun + self.route.ramp.mul_f64(share), index);
        }
    }

    fn connected(&mut self, desk: &mut Desk, id: Id) {
        self.has_connected = true;
        self.tally.connections += 1;
        if let Some(index) = self.seat(id) {
            self.clients[index as usize].is_connected = true;
        }
        if self.work.manner.security == Security::Implicit {
            self.secure(desk, id);
        }
    }

    fn secured(&mut self, desk: &mut Desk, id: Id) {
        if let Some(index) = self.seat(id) {
            self.clients[index as usize].session.secured(&mut self.work);
            self.act(desk, index);
        }
    }

    fn received(&mut self, desk: &mut Desk, id: Id, octets: &[u8]) {
        if let Some(index) = self.seat(id) {
            let (now, client) = (desk.now(), &mut self.clients[index as usize]);
            // The answers to a long envelope come one by one, each in its time.
            client.answer_by = Some(now + self.route.answer_timeout);
            client.session.received(octets, now, &mut self.work);
            self.act(desk, index);
            if !self.idle.is_empty() {
                self.feed(desk);
            }
        }
    }

    fn closed(&mut self, desk: &mut Desk, id: Id, why: Closed) {
        let Some(index) = self.seat(id) else { return };
        let why = match why {
            Closed::Failed(error) if !self.has_connected => {
                return self.unreachable(desk, error);
            }
            Closed::Failed(error) if !self.clients[index as usize].is_connected => {
                format!("connect: {error}")
            }
            Closed::Failed(error) => format!("connection lost: {error}"),
            Closed::Ended => "connection closed by the server".into(),
            Closed::Tls(error) => format!("TLS: {error}"),
        };
        self.lose(desk, index, &why);
    }

    fn woken(&mut self, desk: &mut Desk, id: Id, _tag: u32) {
        let Some(index) = self.seat(id) else { return };
        let (now, client) = (desk.now(), &self.clients[index as usize]);
        match client.answer_by.filter(|_| client.session.is_waiting()) {
            Some(by) if by <= now => {
                desk.reset(id);
                self.lose(desk, index, "no answer in time");
            }
            by => desk.wake_at(by.unwrap_or(now + self.route.answer_timeout), id, 0),
        }
    }

    fn alarm(&mut self, desk: &mut Desk, tag: u32) {
        if tag == DUE {
            self.due_alarm = None;
            self.feed(desk);
        } else if self.clients[tag as usize].id.is_none() {
            self.connect(desk, tag);
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        self.tell();
        if self.stop.load(Ordering::Relaxed) {
            self.work.schedule.stop();
        }
        self.feed(desk);
        let is_stopped = self.stop.load(Ordering::Relaxed);
        if is_stopped || self.parting.is_some() || self.work.schedule.is_done(desk.now()) {
            self.part(desk);
        }
    }
}
