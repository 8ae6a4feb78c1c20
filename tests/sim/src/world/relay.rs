//! The relay's side of the world: inputs go in, every output is carried out, as the shell does.

use std::net::SocketAddr;

use super::{Event, World, told::summary};
use crate::{
    limits::{LOAD_IN_FLIGHT_MAX, STORE_IN_FLIGHT_MAX, WAKE_MIN},
    network::{Flight, Outside, Seat},
    oracle::{Checked, broken},
    relay::{ConnectionId, Event as Note, Input, Outbox, Output, Ticket, Transport, Trouble},
    store::{Change, Load},
    time::Duration,
    trace::Octets,
    zone,
};

/// A core that takes more inputs within a minute goes round in circles.
const INPUTS_MAX: u32 = 20_000;

impl World {
    /// Gives one input to a core, and carries out what it asks for.
    pub(super) fn feed(&mut self, core: u16, input: Input) -> Checked {
        self.trace_input(core, &input);
        let now = self.now();
        let Some(process) = &mut self.process else { return Ok(()) };
        let seat = &mut process.cores[usize::from(core)];
        match &input {
            Input::Stored { .. } => seat.stores -= 1,
            Input::Loaded { .. } => seat.loads -= 1,
            Input::Authenticated { .. } => seat.secrets -= 1,
            _ => {}
        }
        let minute = now.instant.as_micros() / 60_000_000;
        if seat.minute != minute {
            (seat.minute, seat.inputs) = (minute, 0);
        }
        seat.inputs += 1;
        if seat.inputs > INPUTS_MAX {
            return broken(format!("core {core} takes {INPUTS_MAX} inputs within a minute"));
        }
        let mut out = Outbox::new();
        seat.relay.handle(now, input, &mut out);
        for output in out {
            self.perform(core, output)?;
        }
        self.check_census(core)?;
        self.set_alarm(core);
        Ok(())
    }

    pub(super) fn wake(&mut self, core: u16) -> Checked {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        let seat = &mut process.cores[usize::from(core)];
        if seat.armed.is_none_or(|at| at > now) {
            return Ok(());
        }
        seat.armed = None;
        self.feed(core, Input::Wake)
    }

    fn set_alarm(&mut self, core: u16) {
        let (now, life) = (self.now, self.life);
        let Some(process) = &mut self.process else { return };
        let seat = &mut process.cores[usize::from(core)];
        let Some(wanted) = seat.relay.next_wake() else { return };
        let at = wanted.max(now + WAKE_MIN);
        if seat.armed.is_none_or(|armed| at < armed) {
            seat.armed = Some(at);
            self.push_at(at, Event::Wake { life, core });
        }
    }

    /// Everything the relay can ask for.
    fn perform(&mut self, core: u16, output: Output) -> Checked {
        let life = self.life;
        match output {
            Output::Receive { connection, room } => {
                self.say(format_args!("{core}> receive {connection:?} {room}"));
                if let Some(number) = self.link_of(core, connection) {
                    self.touch(number);
                    let doubled = self.links.get_mut(&number).and_then(|l| l.room.replace(room));
                    if doubled.is_some() {
                        return broken(format!("two reads of {connection:?} at a time"));
                    }
                    self.attend_soon(number);
                }
                Ok(())
            }
            Output::Send { connection, pieces, report } => {
                self.send(core, connection, &pieces, report)
            }
            Output::Close { connection } => {
                self.say(format_args!("{core}> close {connection:?}"));
                self.leave(core, connection);
                Ok(())
            }
            Output::Abort { connection } => {
                self.say(format_args!("{core}> abort {connection:?}"));
                self.abort(core, connection);
                Ok(())
            }
            Output::Connect { ticket, remote, timeout, .. } => {
                self.say(format_args!("{core}> connect {ticket:?} {remote}"));
                self.dial(core, ticket, remote, timeout)
            }
            Output::Query { ticket, server: _, message, transport, timeout } => {
                self.query(core, ticket, &message, transport, timeout);
                Ok(())
            }
            Output::Store { ticket, change } => self.store(core, ticket, change),
            Output::Load { ticket, load } => self.ask_disk(core, ticket, load),
            Output::Authenticate { ticket, user, password, hash, .. } => {
                self.say(format_args!("{core}> authenticate {ticket:?} {}", Octets(&user)));
                self.authenticate(core, ticket, &password, hash.as_deref())
            }
            Output::Watch { mailbox, told } => self.watch(core, mailbox, told),
            Output::Assign { core: to, parcel } => {
                self.say(format_args!("{core}> assign {to} {:?}", parcel.id()));
                if self.plan.troubles.lost_assignments && !self.healed && self.dice(4) {
                    self.coverage.count("mesh: an inbox is full");
                    return Ok(());
                }
                self.coverage.count("mesh: a parcel handed over");
                // A core may be held up, for seconds where the machine is short of processors.
                let most = if !self.healed && self.dice(4) { 15_000 } else { 5 };
                let delay = self.while_of(Duration::from_millis(most));
                self.push(
                    delay,
                    Event::Input { life, core: to, input: Input::Assigned { parcel } },
                );
                Ok(())
            }
            Output::Note(event) => self.note(core, &event),
            Output::Drained => {
                self.say(format_args!("{core}> drained"));
                self.drained(core)
            }
        }
    }

    fn note(&mut self, core: u16, event: &Note) -> Checked {
        match event {
            Note::Attempt(attempt) => self.say(format_args!(
                "{core}> {:?} {} {} {}",
                attempt.status,
                attempt.id,
                attempt.to,
                String::from_utf8_lossy(&attempt.verdict.reason)
            )),
            other => self.say(format_args!("{core}> {other:?}")),
        }
        let now = self.now();
        self.oracle.note(now, event, &mut self.coverage)
    }

    fn store(&mut self, core: u16, ticket: Ticket, change: Change) -> Checked {
        self.say(format_args!("{core}> store {ticket:?} {}", summary(&change)));
        let now = self.now();
        if let Change::Settle(settle) = &change {
            self.oracle.settling(settle, now);
        }
        if let Some(process) = &mut self.process {
            let stores = &mut process.cores[usize::from(core)].stores;
            *stores += 1;
            if *stores > STORE_IN_FLIGHT_MAX {
                return broken(format!("core {core} hands over too much at a time"));
            }
            if *stores == STORE_IN_FLIGHT_MAX {
                self.coverage.count("relay: as many changes under way as may be");
            }
        }
        self.hand_over(core, ticket, change);
        Ok(())
    }

    fn ask_disk(&mut self, core: u16, ticket: Ticket, load: Load) -> Checked {
        self.say(format_args!("{core}> load {ticket:?} {load:?}"));
        if let Some(process) = &mut self.process {
            let loads = &mut process.cores[usize::from(core)].loads;
            *loads += 1;
            if *loads > LOAD_IN_FLIGHT_MAX {
                return broken(format!("core {core} asks for too much at a time"));
            }
        }
        let life = self.life;
        let delay = self.while_of(Duration::from_millis(20));
        self.push(delay, Event::Load { life, core, ticket, load });
        Ok(())
    }

    fn dial(
        &mut self,
        core: u16,
        ticket: Ticket,
        remote: SocketAddr,
        timeout: Duration,
    ) -> Checked {
        let (life, crowded) = (self.life, self.process.as_ref().is_some_and(|p| p.crowded));
        if crowded && self.dice(2) {
            self.coverage.count("relay: no descriptors for a connection");
            let result = Err(Trouble::Descriptors);
            let input = Input::Connected { ticket, result };
            self.push(Duration::ZERO, Event::Input { life, core, input });
            return Ok(());
        }
        if let Some(process) = &mut self.process {
            *process.cores[usize::from(core)].outbound.entry(remote).or_default() += 1;
        }
        self.check_connections(remote)?;
        let delay = self.connecting_takes(remote, timeout);
        self.push(delay, Event::Connect { life, core, ticket, remote });
        Ok(())
    }

    /// A connection, made or being made, is no more.
    pub(super) fn undial(&mut self, core: u16, remote: SocketAddr) {
        if let Some(process) = &mut self.process
            && let Some(count) = process.cores[usize::from(core)].outbound.get_mut(&remote)
        {
            *count -= 1;
        }
    }

    fn query(
        &mut self,
        core: u16,
        ticket: Ticket,
        message: &[u8],
        transport: Transport,
        timeout: Duration,
    ) {
        self.say(format_args!("{core}> query {ticket:?} {transport:?} {}", Octets(message)));
        let life = self.life;
        if self.process.as_ref().is_some_and(|process| process.crowded) && self.dice(2) {
            self.coverage.count("relay: no descriptors for a query");
            let input = Input::Answer { ticket, result: Err(Trouble::Descriptors) };
            return self.push(Duration::ZERO, Event::Input { life, core, input });
        }
        let stream = transport == Transport::Stream;
        if stream {
            self.coverage.count("dns: by stream");
        }
        let reply = self.zone.answer(
            &self.plan,
            message,
            stream,
            &mut self.random,
            &mut self.oracle,
            &mut self.coverage,
        );
        let (result, delay) = match reply {
            zone::Reply::Silence => (Err(Trouble::TimedOut), timeout),
            zone::Reply::Says(octets) => (Ok(octets), self.while_of(timeout)),
        };
        self.push(delay, Event::Input { life, core, input: Input::Answer { ticket, result } });
    }

    pub(super) fn link_of(&self, core: u16, id: ConnectionId) -> Option<u64> {
        self.process.as_ref()?.cores[usize::from(core)].link(id)
    }

    fn send(
        &mut self,
        core: u16,
        id: ConnectionId,
        pieces: &[bytes::Bytes],
        report: bool,
    ) -> Checked {
        let octets = pieces.concat();
        self.say(format_args!("{core}> send {id:?} {}", Octets(&octets)));
        let Some(number) = self.link_of(core, id) else { return Ok(()) };
        self.touch(number);
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        if let Outside::Client(client) = &link.outside {
            link.line.extend_from_slice(&octets);
            let awaited = client.awaited();
            while let Some(end) = link.line.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = link.line.drain(..end + 2).collect();
                let Some(id) = acknowledged(&line) else { continue };
                self.oracle.acknowledged(id, awaited)?;
            }
        }
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        link.queued += octets.len() as u64;
        if !octets.is_empty() {
            link.queue.push_back(octets.into());
        }
        if report {
            link.reports.push_back(link.queued);
        }
        self.pump(number);
        self.attend_soon(number);
        Ok(())
    }

    /// Close when all is sent.
    fn leave(&mut self, core: u16, id: ConnectionId) {
        let Some(number) = self.link_of(core, id) else { return };
        self.vacate(number);
        if let Some(link) = self.links.get_mut(&number) {
            link.seat = Seat::Leaving;
        }
        self.pump(number);
    }

    /// Drop it now, with what is still to be sent.
    fn abort(&mut self, core: u16, id: ConnectionId) {
        let Some(number) = self.link_of(core, id) else { return };
        self.vacate(number);
        self.cut_off(number);
    }

    /// The seat is free for another.
    pub(super) fn vacate(&mut self, number: u64) {
        self.oracle.left(number);
        let Some(link) = self.links.get(&number) else { return };
        let (core, id, remote, client) = (link.core, link.id, link.remote, link.is_of_client());
        let Some(process) = &mut self.process else { return };
        process.cores[usize::from(core)].retire(id);
        match client {
            true => {
                if let Some(count) = process.clients.get_mut(&remote.ip()) {
                    *count -= 1;
                }
            }
            false => self.undial(core, remote),
        }
    }

    /// The relay's end is gone at once; the outside hears of it by a reset.
    pub(super) fn cut_off(&mut self, number: u64) {
        let lost = self.dice(2);
        let Some(link) = self.links.get_mut(&number) else { return };
        link.seat = Seat::Left;
        link.queue.clear();
        if lost {
            link.outward.flying.clear();
        }
        self.fly(number, false, Duration::ZERO, Flight::End(Trouble::Reset));
    }
}

/// The queue id in the reply to a whole message.
fn acknowledged(line: &[u8]) -> Option<crate::mail::QueueId> {
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("250 2.0.0 ")?;
    rest.split([' ', '\r']).next()?.parse().ok()
}
