//! One thread of the run: its sessions on its ring, and which of them does what when.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam::channel::Sender;

use super::{
    job::{News, Run},
    seat::Seat,
    session::{Action, Again, Role, Session},
    work::Kind,
};
use crate::ring::{Closed, Desk, Id, Service, Tls};

/// The alarm of the next command that is due; other alarms name the seat that connects.
const DUE: u32 = u32::MAX;

pub struct Worker {
    run: Arc<Run>,
    number: usize,
    channel: Sender<News>,
    news: News,
    /// Workers first, then their watchers in the same order.
    seats: Vec<Seat>,
    workers: usize,
    /// By slot of the connection: the seat.
    by_slot: Vec<Option<(Id, usize)>>,
    /// Seats that wait for a command to be due.
    free: VecDeque<usize>,
    /// Commands taken from the schedule so far.
    taken: u64,
    alarmed: Option<Instant>,
    measuring: Option<Instant>,
}

impl Worker {
    pub fn new(run: Arc<Run>, number: usize, channel: Sender<News>) -> Self {
        let roles: &[Role] = match run.work.has(Kind::Idle) {
            true => &[Role::Worker, Role::Watcher],
            false => &[Role::Worker],
        };
        let mine = (number..run.sessions).step_by(run.cores);
        let workers = mine.clone().count();
        let seats = roles
            .iter()
            .flat_map(|role| mine.clone().map(|session| Seat::new(&run, *role, session)))
            .collect();
        Self {
            run,
            number,
            channel,
            news: News::default(),
            seats,
            workers,
            by_slot: Vec::new(),
            free: VecDeque::new(),
            taken: 0,
            alarmed: None,
            measuring: None,
        }
    }

    /// What has not been told yet.
    pub fn rest(self) -> News {
        self.news
    }

    fn seat_of(&self, id: Id) -> Option<usize> {
        let (owner, seat) = (*self.by_slot.get(id.slot as usize)?)?;
        (owner == id).then_some(seat)
    }

    fn connect(&mut self, desk: &mut Desk, seat: usize) {
        let now = desk.now();
        let Some(place) = self.seats.get_mut(seat) else { return };
        place.session.connecting(now);
        match desk.connect(self.run.target, None) {
            Ok(id) => {
                place.id = Some(id);
                let slot = id.slot as usize;
                if self.by_slot.len() <= slot {
                    self.by_slot.resize(slot + 1, None);
                }
                self.by_slot[slot] = Some((id, seat));
                self.arm(desk, seat);
            }
            Err(error) => self.tell(desk, seat, |session, _, out| {
                session.closed(&format!("no socket: {error}; raise `ulimit -n`"), out);
            }),
        }
    }

    /// Lets the session of a seat take news, and does what it then wants.
    fn tell(
        &mut self,
        desk: &mut Desk,
        seat: usize,
        news: impl FnOnce(&mut Session, Instant, &mut Vec<Action>),
    ) {
        let Some(place) = self.seats.get_mut(seat) else { return };
        let mut actions = Vec::new();
        news(&mut place.session, desk.now(), &mut actions);
        for action in actions {
            self.act(desk, seat, action);
        }
        self.arm(desk, seat);
    }

    fn act(&mut self, desk: &mut Desk, seat: usize, action: Action) {
        let Some(place) = self.seats.get_mut(seat) else { return };
        let now = desk.now();
        match (action, place.id) {
            (Action::Send(octets), Some(id)) => desk.send(id, octets),
            (Action::Secure, Some(id)) => {
                if let Some((config, name)) = &self.run.tls {
                    desk.secure(id, Tls::Client(Arc::clone(config), name.clone()));
                }
            }
            (Action::Send(_) | Action::Secure, None) => {}
            (Action::Reconnect(again), _) => self.reconnect(desk, seat, again),
            (Action::Ready, _) => self.ready(desk, seat),
            (Action::Done { kind, took }, _) if self.counts(now) => {
                self.news.tally.done(kind, took);
                self.news.last = Some(now);
            }
            (Action::Failed { kind, text }, _) if self.measuring.is_none() || self.counts(now) => {
                self.news.tally.failed(kind, &text);
                self.news.last = kind.and(Some(now)).or(self.news.last);
            }
            (Action::Done { .. } | Action::Failed { .. }, _) => {}
            (Action::Filled, _) => self.news.filled += 1,
            (Action::Exists(messages), _) => {
                if let Some(worker) = seat.checked_sub(self.workers) {
                    self.tell(desk, worker, |session, now, out| {
                        session.noticed(messages, now, out);
                    });
                }
            }
        }
    }

    /// Whether what ends now lies in the time that is measured.
    fn counts(&self, now: Instant) -> bool {
        self.measuring.is_some_and(|began| match self.run.duration {
            Some(duration) => now <= began + duration,
            None => true,
        })
    }

    fn reconnect(&mut self, desk: &mut Desk, seat: usize, again: Again) {
        let Some(place) = self.seats.get_mut(seat) else { return };
        place.ready = false;
        place.awaits_watcher = None;
        place.woken_at = None;
        let id = place.id.take();
        if let Some(entry) = id.and_then(|id| self.by_slot.get_mut(id.slot as usize)) {
            *entry = None;
        }
        match (again, id) {
            (Again::AtOnce, Some(id)) => desk.close(id),
            (Again::Later, Some(id)) => desk.reset(id),
            (_, None) => {}
        }
        match again {
            Again::AtOnce => self.connect(desk, seat),
            Again::Later => {
                self.news.settled += usize::from(place.settle());
                desk.alarm_at(desk.now() + place.pause(), seat as u32);
            }
        }
    }

    fn ready(&mut self, desk: &mut Desk, seat: usize) {
        let Some(place) = self.seats.get_mut(seat) else { return };
        place.calm();
        if self.measuring.is_none() && place.turn_to_unfilled(&self.run) {
            return self.tell(desk, seat, |session, now, out| session.leave(now, out));
        }
        place.ready = true;
        if place.settle() {
            self.news.settled += 1;
            self.news.ready += 1;
        }
        if self.measuring.is_none() {
            return;
        }
        match seat.checked_sub(self.workers) {
            Some(worker) => {
                let waiting =
                    self.seats.get_mut(worker).and_then(|place| place.awaits_watcher.take());
                if let Some(since) = waiting {
                    self.begin(desk, worker, Kind::Idle, since);
                }
            }
            None => self.free(desk, seat),
        }
    }

    /// Gives a ready worker its next command, at once or when one is due.
    fn free(&mut self, desk: &mut Desk, seat: usize) {
        if self.run.rate.is_none() {
            return self.next(desk, seat, desk.now());
        }
        let Some(place) = self.seats.get_mut(seat) else { return };
        if !std::mem::replace(&mut place.queued, true) {
            self.free.push_back(seat);
        }
        self.serve(desk);
    }

    /// Hands what is due to those who are free.
    fn serve(&mut self, desk: &mut Desk) {
        let now = desk.now();
        while let Some(due) = self.due().filter(|due| *due <= now)
            && let Some(seat) = self.free.pop_front()
        {
            let Some(place) = self.seats.get_mut(seat) else { continue };
            place.queued = false;
            if place.ready {
                self.taken += 1;
                self.next(desk, seat, due);
            }
        }
        if let Some(due) = self.due().filter(|due| *due > now)
            && self.alarmed != Some(due)
        {
            self.alarmed = Some(due);
            desk.alarm_at(due, DUE);
        }
    }

    /// When the next command of this thread is due: the threads take turns.
    fn due(&self) -> Option<Instant> {
        let (began, rate) = (self.measuring?, self.run.rate?);
        let index = self.taken as f64 * self.run.cores as f64 + self.number as f64;
        began.checked_add(Duration::try_from_secs_f64(index / rate).ok()?)
    }

    fn next(&mut self, desk: &mut Desk, seat: usize, since: Instant) {
        let watcher = self.seats.get(self.workers + seat).is_some_and(|watcher| watcher.ready);
        let Some(place) = self.seats.get_mut(seat) else { return };
        place.ready = false;
        let kind = place.next_kind(&self.run.work);
        if kind == Kind::Idle && !watcher {
            place.awaits_watcher = Some(since);
        } else {
            self.begin(desk, seat, kind, since);
        }
    }

    fn begin(&mut self, desk: &mut Desk, seat: usize, kind: Kind, since: Instant) {
        if !self.run.may_begin() {
            return;
        }
        if kind == Kind::Login
            && let Some(place) = self.seats.get_mut(seat)
        {
            place.turn(&self.run);
        }
        self.tell(desk, seat, |session, now, out| session.begin(kind, since, now, out));
    }

    /// All are ready: from here on it counts.
    fn measure(&mut self, desk: &mut Desk, began: Instant) {
        self.measuring = Some(began);
        for seat in 0..self.workers {
            if self.seats.get(seat).is_some_and(|place| place.ready) {
                // Others may have filled the mailbox since it was selected.
                self.tell(desk, seat, |session, now, out| session.refresh(now, out));
            }
        }
        self.serve(desk);
    }

    /// Has the seat woken when its session's deadline comes.
    fn arm(&mut self, desk: &mut Desk, seat: usize) {
        let Some(place) = self.seats.get_mut(seat) else { return };
        if let (Some(id), Some(deadline), None) =
            (place.id, place.session.deadline(), place.woken_at)
        {
            place.woken_at = Some(deadline);
            desk.wake_at(deadline, id, 0);
        }
    }
}

impl Service for Worker {
    fn started(&mut self, desk: &mut Desk) {
        for (seat, place) in self.seats.iter().enumerate() {
            let share = place.session_number as f64 / self.run.sessions.max(1) as f64;
            desk.alarm_at(desk.now() + self.run.ramp.mul_f64(share), seat as u32);
        }
    }

    fn connected(&mut self, desk: &mut Desk, id: Id) {
        if let Some((config, name)) = self.run.tls.as_ref().filter(|_| self.run.implicit) {
            desk.secure(id, Tls::Client(Arc::clone(config), name.clone()));
        }
    }

    fn secured(&mut self, desk: &mut Desk, id: Id) {
        if let Some(seat) = self.seat_of(id) {
            self.tell(desk, seat, |session, now, out| session.secured(now, out));
        }
    }

    fn received(&mut self, desk: &mut Desk, id: Id, octets: &[u8]) {
        if let Some(seat) = self.seat_of(id) {
            self.tell(desk, seat, |session, now, out| session.received(now, octets, out));
        }
    }

    fn closed(&mut self, desk: &mut Desk, id: Id, why: Closed) {
        let why = match why {
            Closed::Ended => "the server closed the connection".to_owned(),
            Closed::Failed(error) => format!("the connection failed: {error}"),
            Closed::Tls(text) => format!("TLS failed: {text}"),
        };
        if let Some(seat) = self.seat_of(id) {
            self.tell(desk, seat, |session, _, out| session.closed(&why, out));
        }
    }

    fn woken(&mut self, desk: &mut Desk, id: Id, _tag: u32) {
        let Some(seat) = self.seat_of(id) else { return };
        let now = desk.now();
        let Some(place) = self.seats.get_mut(seat) else { return };
        place.woken_at = None;
        match place.session.deadline() {
            Some(deadline) if deadline <= now => {
                self.tell(desk, seat, |session, now, out| session.expired(now, out));
            }
            _ => self.arm(desk, seat),
        }
    }

    fn alarm(&mut self, desk: &mut Desk, tag: u32) {
        if tag == DUE {
            self.serve(desk);
        } else {
            self.connect(desk, tag as usize);
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        if let (None, Some(began)) = (self.measuring, self.run.began.get()) {
            self.measure(desk, *began);
        }
        match self.channel.try_send(std::mem::take(&mut self.news)) {
            Ok(()) => {}
            // The next tick tells it.
            Err(refused) => self.news = refused.into_inner(),
        }
        if self.run.stop.load(Ordering::Relaxed) {
            desk.stop();
        }
    }
}
