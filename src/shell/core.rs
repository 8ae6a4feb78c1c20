//! One core: a pinned thread with its ring, its listeners and its relay, and the loop's rule:
//! take one input, stamp it with the time, handle it, drain the outbox.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    net::IpAddr,
    os::fd::OwnedFd,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use crossbeam::channel::Sender;
use slab::Slab;

use super::{
    accept::{self, Listener},
    clients::Clients,
    clock,
    connection::Connection,
    datagram,
    desk::{Desk, Ending},
    dial, lmdb,
    log::Log,
    mesh::Mesh,
    operation,
    secrets::{Attempt, Secrets},
    timer,
};
use crate::{
    limits::{ACCEPT_REST, GLANCES_IN_TURN, INBOX_TURN},
    relay::{ConnectionId, Input, Outbox, Output, Relay},
    store::{Load, Loaded},
    time::{Instant, Now},
};

/// What thinks: the relay, or a test's stand-in for it.
pub trait Brain {
    fn handle(&mut self, now: Now, input: Input, out: &mut Outbox);
    fn next_wake(&self) -> Option<Instant>;
}

impl Brain for Relay {
    fn handle(&mut self, now: Now, input: Input, out: &mut Outbox) {
        Relay::handle(self, now, input, out);
    }

    fn next_wake(&self) -> Option<Instant> {
        Relay::next_wake(self)
    }
}

/// Where outputs leave the core, besides its ring.
pub struct Doors {
    pub core: u16,
    pub store: lmdb::Handle,
    pub secrets: Secrets,
    pub mesh: Arc<Mesh>,
    pub log: Log,
    pub clients: Arc<Clients>,
    /// Told this core's number when it has drained.
    pub drained: Sender<u16>,
    /// The core ends when this is set and its bell has rung.
    pub stop: Arc<AtomicBool>,
}

pub struct Core {
    doors: Doors,
    state: RefCell<State>,
    alarm: RefCell<Alarm>,
    crowded: Cell<bool>,
}

struct State {
    brain: Box<dyn Brain>,
    outbox: Outbox,
    glance: lmdb::Glance,
    /// Looks since the ring had its turn.
    glances: usize,
    /// Inputs that outputs of this very core have become.
    own: VecDeque<Input>,
    seats: Slab<Seat>,
    /// Of the next connection.
    generation: u32,
    /// The relay has drained; our last words may still be under way to clients.
    drained: bool,
}

/// A connection of this core.
struct Seat {
    generation: u32,
    desk: Rc<RefCell<Desk>>,
    /// Set for inbound connections, which are counted by client.
    client: Option<IpAddr>,
}

/// What the brain and the timer's task know of each other.
#[derive(Default)]
pub struct Alarm {
    /// When the brain wants to be woken.
    pub wanted: Option<Instant>,
    /// When the timer will look again by itself.
    pub armed: Option<Instant>,
    pub task: Option<Waker>,
}

/// Runs the core on the calling thread until it is stopped.
pub async fn run(brain: Box<dyn Brain>, doors: Doors, listeners: Vec<Listener>) {
    let core = Rc::new(Core::new(brain, doors));
    tokio_uring::spawn(timer::run(core.clone()));
    for listener in listeners {
        accept::start(&core, listener);
    }
    core.feed(Input::Wake);
    core.take_inputs().await;
}

impl Core {
    fn new(brain: Box<dyn Brain>, doors: Doors) -> Core {
        let state = State {
            brain,
            outbox: Outbox::new(),
            glance: doors.store.glance(),
            glances: 0,
            own: VecDeque::new(),
            seats: Slab::new(),
            generation: 0,
            drained: false,
        };
        Core {
            doors,
            state: RefCell::new(state),
            alarm: RefCell::default(),
            crowded: Cell::new(false),
        }
    }

    /// Takes one input, and all that follows from it on this core.
    pub fn feed(self: &Rc<Self>, input: Input) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.glances = 0;
        let mut next = Some(input);
        while let Some(input) = next {
            state.brain.handle(clock::now(), input, &mut state.outbox);
            let mut outbox = std::mem::take(&mut state.outbox);
            for output in outbox.drain(..) {
                self.perform(state, output);
            }
            state.outbox = outbox;
            next = state.own.pop_front();
        }
        self.tell_drained(state);
        self.alarm.borrow_mut().set(state.brain.next_wake());
    }

    /// Gives a socket its id and its task. The relay is told by the caller, at once.
    pub fn admit(self: &Rc<Self>, socket: OwnedFd, client: Option<IpAddr>) -> ConnectionId {
        let mut state = self.state.borrow_mut();
        let desk = Rc::new(RefCell::new(Desk::default()));
        let generation = state.generation;
        state.generation = generation.wrapping_add(1);
        let slot = state.seats.insert(Seat { generation, desk: desk.clone(), client }) as u32;
        let id = ConnectionId { slot, generation };
        tokio_uring::spawn(Connection::new(self.clone(), id, desk, Rc::new(socket)));
        id
    }

    /// Forgets a connection that is closed.
    pub fn retire(&self, id: ConnectionId) {
        let mut state = self.state.borrow_mut();
        let seat = state.seats.try_remove(id.slot as usize);
        self.tell_drained(&mut state);
        if let Some(client) = seat.and_then(|seat| seat.client) {
            self.doors.clients.leave(client);
        }
    }

    /// Whether descriptors or memory for connections have run out; gives what held before.
    pub fn set_crowded(&self, crowded: bool) -> bool {
        self.crowded.replace(crowded)
    }

    pub fn clients(&self) -> &Clients {
        &self.doors.clients
    }

    pub fn log(&self) -> &Log {
        &self.doors.log
    }

    pub fn alarm(&self) -> &RefCell<Alarm> {
        &self.alarm
    }

    /// Tells the main thread, once the last connection has been closed in good order.
    fn tell_drained(&self, state: &mut State) {
        if state.drained && state.seats.is_empty() {
            state.drained = false;
            // It waits for one from each core; more would tell it nothing.
            let _ = self.doors.drained.try_send(self.doors.core);
        }
    }

    fn perform(self: &Rc<Self>, state: &mut State, output: Output) {
        let Doors { core: me, store, secrets, mesh, log, .. } = &self.doors;
        match output {
            Output::Receive { connection, room } => {
                state.order(connection, |desk| desk.receive(room));
            }
            Output::Send { connection, pieces, report } => {
                state.order(connection, |desk| desk.send(pieces, report));
            }
            Output::Close { connection } => state.order(connection, |d| d.end(Ending::Close)),
            Output::Abort { connection } => state.order(connection, |d| d.end(Ending::Abort)),
            Output::Connect { ticket, remote, source, timeout } => {
                tokio_uring::spawn(dial::answer(self.clone(), ticket, remote, source, timeout));
            }
            Output::Query { ticket, server, message, transport, timeout } => {
                let query = datagram::Query { server, message, transport, timeout };
                tokio_uring::spawn(datagram::answer(self.clone(), ticket, query));
            }
            Output::Store { ticket, change } => store.store(*me, ticket, change),
            Output::Load { ticket, load } => match state.look(&load) {
                Some(loaded) => state.own.push_back(Input::Loaded { ticket, loaded }),
                None => store.load(*me, ticket, load),
            },
            Output::Authenticate { ticket, client, user, password, hash } => {
                let attempt = Attempt { core: *me, ticket, client, user, password, hash };
                if let Err(verdict) = secrets.check(attempt) {
                    state.own.push_back(Input::Authenticated { ticket, verdict });
                }
            }
            Output::Assign { core, parcel } if core == *me => {
                state.own.push_back(Input::Assigned { parcel });
            }
            Output::Assign { core, parcel } => mesh.assign(core, parcel),
            Output::Watch { mailbox, told } => mesh.watches().watch(*me, mailbox, told),
            Output::Note(event) => log.note(event),
            Output::Drained => state.drained = true,
        }
    }

    /// Takes what other threads post, until the core is to stop.
    async fn take_inputs(self: &Rc<Self>) {
        let Doors { core: me, mesh, stop, .. } = &self.doors;
        while !stop.load(Ordering::Acquire) {
            let (heard, _) = operation::hear(mesh, *me).await;
            if let Err(error) = heard {
                // An eventfd's read does not fail; resting keeps a mystery from spinning.
                self.log().warn(format!("the inbox of a core cannot be read: {error}"));
                tokio::time::sleep(ACCEPT_REST).await;
            }
            mesh.heard(*me);
            let mut taken = 0;
            while let Some(input) = mesh.take(*me) {
                self.feed(input);
                taken += 1;
                if taken % INBOX_TURN != 0 {
                    continue;
                }
                // The ring is looked after only when the thread waits.
                if tokio_uring::no_op().await.is_err() || stop.load(Ordering::Acquire) {
                    break;
                }
            }
        }
    }
}

impl State {
    /// Answers a question on the spot, where that is quick.
    fn look(&mut self, load: &Load) -> Option<Loaded> {
        if self.glances >= GLANCES_IN_TURN {
            return None;
        }
        let answer = self.glance.answer(load)?;
        self.glances += 1;
        Some(answer)
    }

    /// Puts an order on the connection's desk. One that is gone gets none.
    fn order(&mut self, id: ConnectionId, order: impl FnOnce(&mut Desk)) {
        if let Some(seat) = self.seats.get(id.slot as usize)
            && seat.generation == id.generation
        {
            order(&mut seat.desk.borrow_mut());
        }
    }
}

impl Alarm {
    /// Wakes the timer's task when it would look too late.
    fn set(&mut self, wanted: Option<Instant>) {
        self.wanted = wanted;
        let too_late = match (wanted, self.armed) {
            (Some(wanted), Some(armed)) => wanted < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if too_late && let Some(task) = &self.task {
            self.armed = wanted;
            task.wake_by_ref();
        }
    }
}
