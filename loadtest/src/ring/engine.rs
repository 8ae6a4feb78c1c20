//! The loop of a thread: news from the kernel to the service, wishes of the service to the kernel.

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::{
    Closed, Id, RingError, Service, Sockets, TICK,
    buffers::Buffers,
    connection::Phase,
    desk::Desk,
    kernel::{About, Completion, Kernel},
    times::Wake,
};

/// How long the kernel may take to let go of everything at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

struct Engine<S> {
    service: S,
    desk: Desk,
    buffers: Buffers,
    /// What TLS made of the octets of one read.
    plain: Vec<u8>,
}

/// Runs `service` on this thread until it stops the desk, and gives it back.
pub fn run<S: Service>(service: S, sockets: Sockets) -> Result<S, RingError> {
    raise_descriptors();
    let kernel = Kernel::new()?;
    let buffers = Buffers::new(&kernel).map_err(RingError::Setup)?;
    let desk = Desk::new(kernel, sockets);
    let mut engine = Engine { service, desk, buffers, plain: Vec::new() };
    // A service that panics leaves sends and receives behind: their memory is let go as after any
    // other end, and not while the kernel still reads or writes it.
    let outcome = catch_unwind(AssertUnwindSafe(|| engine.serve()));
    let Engine { service, mut desk, buffers, .. } = engine;
    if release(&mut desk) {
        buffers.free();
    } else {
        // What the kernel may still write to must outlive this thread.
        mem::forget((buffers, desk));
    }
    match outcome {
        Ok(outcome) => outcome.map(|()| service).map_err(RingError::Broken),
        Err(panic) => resume_unwind(panic),
    }
}

/// Waits until the kernel has let go of all memory of this ring.
fn release(desk: &mut Desk) -> bool {
    let deadline = Instant::now() + LAST_WORDS;
    desk.bury_all();
    let mut news = Vec::new();
    while desk.kernel.under_way() > 0 && Instant::now() < deadline {
        desk.cancel_all();
        news.clear();
        if desk.kernel.wait(Instant::now() + TICK, &mut news).is_err() {
            return false;
        }
    }
    desk.kernel.under_way() == 0
}

/// As many descriptors as this process may have: a connection takes one.
fn raise_descriptors() {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    // Refused, the limit stays as it is, and is met by a connect that fails with its reason.
    let _ = setrlimit(Resource::Nofile, limits);
}

impl<S: Service> Engine<S> {
    fn serve(&mut self) -> io::Result<()> {
        let mut news: Vec<Completion> = Vec::new();
        for letter in 0..self.desk.letters_in.len() as u32 {
            self.desk.receive_letter(letter);
        }
        self.desk.listen();
        self.service.started(&mut self.desk);
        let mut next_tick = self.desk.now + TICK;
        while !self.desk.stopped {
            self.settle();
            self.desk.flush();
            let wake = self.desk.times.next().map_or(next_tick, |time| time.min(next_tick));
            self.desk.kernel.wait(wake, &mut news)?;
            self.desk.now = Instant::now();
            for completion in news.drain(..) {
                self.complete(completion);
            }
            while let Some(wake) = self.desk.times.due(self.desk.now) {
                match wake {
                    Wake::Alarm(tag) => self.service.alarm(&mut self.desk, tag),
                    Wake::Connection(id, tag) if self.desk.open(id).is_some() => {
                        self.service.woken(&mut self.desk, id, tag);
                    }
                    Wake::Connection(..) => {}
                }
            }
            if self.desk.now >= next_tick {
                // An accept that failed, for want of descriptors say, is not tried at once again.
                self.desk.listen();
                self.service.tick(&mut self.desk);
                next_tick = self.desk.now + TICK;
            }
        }
        Ok(())
    }

    fn complete(&mut self, completion: Completion) {
        match completion.about {
            About::Accept(listener) => self.accepted(listener as usize, completion),
            About::Connect(slot) => self.connected(slot, completion),
            About::Receive(slot) => self.received(slot, completion),
            About::Send(slot) => self.sent(slot, completion),
            About::DatagramIn(number) => self.letter(number, completion),
            About::DatagramOut(number) => self.desk.letter_sent(number),
            About::Nothing => {}
        }
    }

    fn accepted(&mut self, listener: usize, completion: Completion) {
        match completion.outcome() {
            Ok(descriptor) => {
                if let Some((id, peer)) = self.desk.accepted(descriptor) {
                    self.desk.receive(id.slot);
                    self.service.accepted(&mut self.desk, id, listener, peer);
                }
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                self.service.out_of_descriptors(&mut self.desk, error);
            }
            // A client that left before it was taken.
            Err(_) => {}
        }
        if !completion.more {
            self.desk.deaf.push(listener);
        }
    }

    fn connected(&mut self, slot: u32, completion: Completion) {
        self.desk.connect_done(slot);
        let Some((id, connection)) = self.desk.at(slot) else { return };
        connection.connecting = false;
        if connection.phase == Phase::Dead {
            return self.desk.free_if_idle(slot);
        }
        match completion.outcome() {
            Ok(_) if connection.phase == Phase::Connecting => {
                connection.phase = Phase::Open;
                self.desk.receive(slot);
                self.desk.mark(slot);
                self.service.connected(&mut self.desk, id);
            }
            Ok(_) => self.desk.mark(slot),
            Err(error) => self.over(id, Closed::Failed(error)),
        }
    }

    fn received(&mut self, slot: u32, completion: Completion) {
        let Some((id, connection)) = self.desk.at(slot) else { return };
        connection.receiving &= completion.more;
        let (phase, paused) = (connection.phase, connection.paused);
        match completion.outcome() {
            Ok(octets) if octets > 0 => {
                let octets = completion.buffer.map(|number| self.buffers.filled(number, octets));
                let octets = octets.unwrap_or_default();
                if phase == Phase::Open && paused {
                    connection.held.extend_from_slice(octets);
                } else if phase == Phase::Open {
                    tell(&mut self.service, &mut self.desk, &mut self.plain, id, octets);
                }
            }
            Ok(_) if paused => connection.held_end = true,
            Ok(_) => self.over(id, Closed::Ended),
            Err(error) => match error.raw_os_error() {
                // No buffer was free, or a pause cancelled it.
                Some(libc::ENOBUFS | libc::ECANCELED | libc::EINTR) => {}
                _ => self.over(id, Closed::Failed(error)),
            },
        }
        if let Some(number) = completion.buffer {
            self.buffers.give_back(number);
        }
        if !completion.more {
            self.desk.free_if_idle(slot);
            if completion.result != 0 && self.desk.open(id).is_some() {
                self.desk.receive(slot);
            }
        }
    }

    fn sent(&mut self, slot: u32, completion: Completion) {
        let Some((id, connection)) = self.desk.at(slot) else { return };
        match completion.outcome() {
            Ok(octets) => {
                if let Some(rest) = connection.sent(octets as usize)
                    && connection.phase != Phase::Dead
                {
                    return self.desk.send_on(slot, rest);
                }
                match connection.phase {
                    Phase::Open if connection.is_flushed() => {
                        self.service.sent(&mut self.desk, id);
                    }
                    Phase::Dead => {
                        connection.drop_send();
                        self.desk.free_if_idle(slot);
                    }
                    _ => self.desk.mark(slot),
                }
            }
            Err(error) => {
                connection.drop_send();
                match connection.phase {
                    Phase::Dead => self.desk.free_if_idle(slot),
                    _ => self.over(id, Closed::Failed(error)),
                }
            }
        }
    }

    fn letter(&mut self, number: u32, completion: Completion) {
        let Some(letter) = self.desk.letters_in.get_mut(number as usize).and_then(Option::take)
        else {
            return;
        };
        if let Ok(octets) = completion.outcome()
            && let Some((from, octets)) = letter.received(octets)
        {
            self.service.datagram(&mut self.desk, letter.socket, from, octets);
        }
        self.desk.letters_in[number as usize] = Some(letter);
        self.desk.receive_letter(number);
    }

    /// What the service's own calls brought about: connections resumed, and such that failed. All
    /// of it, before the kernel is waited for.
    fn settle(&mut self) {
        while !self.desk.stillborn.is_empty() || !self.desk.resumed.is_empty() {
            for (id, error) in mem::take(&mut self.desk.stillborn) {
                self.over(id, Closed::Failed(error));
            }
            for id in mem::take(&mut self.desk.resumed) {
                self.resume(id);
            }
        }
    }

    fn resume(&mut self, id: Id) {
        let Some(connection) = self.desk.open(id) else { return };
        connection.paused = false;
        let held = mem::take(&mut connection.held);
        let ended = connection.held_end;
        if !held.is_empty() {
            tell(&mut self.service, &mut self.desk, &mut self.plain, id, &held);
        }
        match ended {
            true => self.over(id, Closed::Ended),
            false => self.desk.receive(id.slot),
        }
    }

    fn over(&mut self, id: Id, why: Closed) {
        over(&mut self.service, &mut self.desk, id, why);
    }
}

/// Octets of a connection to the service, through TLS where there is one.
fn tell<S: Service>(service: &mut S, desk: &mut Desk, plain: &mut Vec<u8>, id: Id, octets: &[u8]) {
    let Some(connection) = desk.open(id) else { return };
    if !connection.is_secure() {
        return service.received(desk, id, octets);
    }
    plain.clear();
    let outcome = connection.decrypt(octets, plain);
    desk.mark(id.slot);
    match outcome {
        Ok(decrypted) => {
            if decrypted.secured {
                service.secured(desk, id);
            }
            if !plain.is_empty() && desk.open(id).is_some() {
                service.received(desk, id, plain);
            }
            if decrypted.ended {
                over(service, desk, id, Closed::Ended);
            }
        }
        Err(error) => over(service, desk, id, Closed::Tls(error.to_string())),
    }
}

/// Ends a connection that the peer or the network ended; the service hears of it if it cares.
fn over<S: Service>(service: &mut S, desk: &mut Desk, id: Id, why: Closed) {
    let Some(connection) = desk.alive(id) else { return };
    let told = connection.phase != Phase::Closing;
    match why {
        // The alert goes out first.
        Closed::Tls(_) => {
            connection.end();
            desk.mark(id.slot);
        }
        // What is still to be said may be heard: the peer has only ended its own words.
        Closed::Ended if !told => desk.mark(id.slot),
        Closed::Ended | Closed::Failed(_) => desk.bury(id.slot),
    }
    if told {
        service.closed(desk, id, why);
    }
}
