//! The desk: where a service asks for things, and what stands between it and the kernel.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
    time::{Duration, Instant},
};

use bytes::Bytes;
use io_uring::{opcode, types};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::{
    Id, Sockets, Tls, buffers,
    connection::{Connection, Phase},
    datagram::{LETTERS, Letter},
    kernel::{About, Kernel},
    times::{Times, Wake},
};

pub struct Desk {
    pub(super) kernel: Kernel,
    pub(super) now: Instant,
    pub(super) stopped: bool,
    pub(super) listeners: Vec<TcpListener>,
    /// Listeners whose accept must be asked for again.
    pub(super) deaf: Vec<usize>,
    pub(super) sockets: Vec<UdpSocket>,
    pub(super) letters_in: Vec<Option<Box<Letter>>>,
    pub(super) letters_out: Vec<Option<Box<Letter>>>,
    pub(super) letters_free: Vec<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    pub(super) resumed: Vec<Id>,
    /// Connections that did not open at once.
    pub(super) stillborn: Vec<(Id, io::Error)>,
    pub(super) times: Times,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
    /// The address of a connect under way: the kernel reads it.
    remote: Option<Box<SockAddr>>,
}

impl Desk {
    /// The time at which this batch of news was taken from the kernel.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Begins a connection: `connected` or `closed` follows.
    pub fn connect(&mut self, remote: SocketAddr, local: Option<IpAddr>) -> io::Result<Id> {
        let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(local) = local {
            // The port is chosen at connect, when the four-tuple is known: else 28,000
            // connections of all targets together would use the ports up.
            bind_address_only(&socket)?;
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        let id = self.insert(socket.into(), Phase::Connecting);
        let slot = &mut self.slots[id.slot as usize];
        let (Some(connection), address) =
            (slot.connection.as_mut(), slot.remote.insert(Box::new(SockAddr::from(remote))))
        else {
            return Ok(id);
        };
        connection.connecting = true;
        let entry = opcode::Connect::new(
            types::Fd(connection.descriptor()),
            address.as_ptr().cast(),
            address.len(),
        );
        // SAFETY: the slot keeps the address and the descriptor until the connect completes.
        unsafe { self.kernel.push(entry.build(), About::Connect(id.slot)) };
        Ok(id)
    }

    /// Queues octets. What one batch queues for a connection goes out as one send.
    pub fn send(&mut self, id: Id, octets: impl Into<Bytes>) {
        if let Some(connection) = self.open(id) {
            connection.queue(octets.into());
            self.mark(id.slot);
        }
    }

    /// Begins a TLS handshake: `secured` follows, or `closed`. What was queued before goes out
    /// in clear.
    pub fn secure(&mut self, id: Id, side: Tls) {
        if let Some(connection) = self.open(id)
            && let Err(error) = connection.secure(side)
        {
            self.stillborn.push((id, io::Error::other(error)));
        }
        self.mark(id.slot);
    }

    /// Reads no more, so that the peer's octets pile up in the kernel.
    pub fn pause(&mut self, id: Id) {
        let Some(connection) = self.open(id) else { return };
        connection.paused = true;
        if connection.receiving {
            self.cancel(About::Receive(id.slot));
        }
    }

    pub fn resume(&mut self, id: Id) {
        if let Some(connection) = self.open(id)
            && connection.paused
        {
            self.resumed.push(id);
        }
    }

    /// Whether the peer has ended its words or is gone, of which a paused connection is not told.
    pub fn has_peer_left(&mut self, id: Id) -> bool {
        let Some(connection) = self.open(id) else { return false };
        let mut asked = [PollFd::new(&connection.socket, PollFlags::RDHUP)];
        poll(&mut asked, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Closes, once what is queued has gone.
    pub fn close(&mut self, id: Id) {
        if let Some(connection) = self.open(id) {
            connection.say_goodbye();
            self.mark(id.slot);
        }
    }

    /// Ends the connection with a reset, at once.
    pub fn reset(&mut self, id: Id) {
        let Some(connection) = self.alive(id) else { return };
        // Lingering for no time is what makes the close a reset.
        let _ = SockRef::from(&connection.socket).set_linger(Some(Duration::ZERO));
        connection.phase = Phase::Dead;
        let descriptor = types::Fd(connection.descriptor());
        let all = types::CancelBuilder::fd(descriptor).all();
        // SAFETY: the entry points to no memory; the descriptor is open until all is idle.
        unsafe { self.kernel.push(opcode::AsyncCancel2::new(all).build(), About::Nothing) };
        self.free_if_idle(id.slot);
    }

    /// `woken` follows, unless the connection is closed by then.
    pub fn wake_at(&mut self, at: Instant, id: Id, tag: u32) {
        self.times.ask(at, Wake::Connection(id, tag));
    }

    pub fn alarm_at(&mut self, at: Instant, tag: u32) {
        self.times.ask(at, Wake::Alarm(tag));
    }

    /// Open connections, and those that are being opened or closed.
    pub fn connections(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Ends the run after this batch; what is open is cut.
    pub fn stop(&mut self) {
        self.stopped = true;
    }
}

/// What the engine does.
impl Desk {
    pub(super) fn new(kernel: Kernel, sockets: Sockets) -> Desk {
        let letters = sockets.datagrams.len() * LETTERS;
        Desk {
            kernel,
            now: Instant::now(),
            stopped: false,
            deaf: (0..sockets.listeners.len()).collect(),
            listeners: sockets.listeners,
            sockets: sockets.datagrams,
            letters_in: (0..letters).map(|number| Some(Letter::new(number / LETTERS))).collect(),
            letters_out: Vec::new(),
            letters_free: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            resumed: Vec::new(),
            stillborn: Vec::new(),
            times: Times::default(),
        }
    }

    pub(super) fn accepted(&mut self, descriptor: u32) -> Option<(Id, SocketAddr)> {
        // SAFETY: the kernel has just opened it for an accept, and nobody else knows of it.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor as i32) };
        let peer = SockRef::from(&socket).peer_addr().ok()?.as_socket()?;
        SockRef::from(&socket).set_tcp_nodelay(true).ok()?;
        Some((self.insert(socket, Phase::Open), peer))
    }

    /// The connection in a slot, in whatever phase.
    pub(super) fn at(&mut self, slot: u32) -> Option<(Id, &mut Connection)> {
        let place = self.slots.get_mut(slot as usize)?;
        let id = Id { slot, generation: place.generation };
        Some((id, place.connection.as_mut()?))
    }

    /// The connection, unless it is dead.
    pub(super) fn alive(&mut self, id: Id) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        let connection = slot.connection.as_mut()?;
        (slot.generation == id.generation && connection.phase != Phase::Dead).then_some(connection)
    }

    /// The connection, if the service may still use it.
    pub(super) fn open(&mut self, id: Id) -> Option<&mut Connection> {
        self.alive(id).filter(|connection| connection.phase != Phase::Closing)
    }

    pub(super) fn mark(&mut self, slot: u32) {
        if let Some((_, connection)) = self.at(slot)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(slot);
        }
    }

    pub(super) fn listen(&mut self) {
        for listener in std::mem::take(&mut self.deaf) {
            let descriptor = types::Fd(self.listeners[listener].as_raw_fd());
            let entry = opcode::AcceptMulti::new(descriptor).flags(libc::SOCK_CLOEXEC).build();
            // SAFETY: the entry points to no memory; listeners stay open until the ring is done.
            unsafe { self.kernel.push(entry, About::Accept(listener as u32)) };
        }
    }

    pub(super) fn receive(&mut self, slot: u32) {
        let Some((_, connection)) = self.at(slot) else { return };
        if connection.receiving || connection.paused || connection.phase != Phase::Open {
            return;
        }
        connection.receiving = true;
        let descriptor = types::Fd(connection.descriptor());
        let entry = opcode::RecvMulti::new(descriptor, buffers::GROUP).build();
        // SAFETY: the kernel writes to the ring's own buffers; the descriptor stays open until
        // the connection is idle.
        unsafe { self.kernel.push(entry, About::Receive(slot)) };
    }

    pub(super) fn connect_done(&mut self, slot: u32) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.remote = None;
        }
    }

    pub(super) fn send_on(&mut self, slot: u32, header: *const libc::msghdr) {
        let Some((_, connection)) = self.at(slot) else { return };
        let descriptor = types::Fd(connection.descriptor());
        // MSG_WAITALL: the kernel goes on by itself when the socket's buffer is full.
        let flags = (libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32;
        let entry = opcode::SendMsg::new(descriptor, header).flags(flags).build();
        // SAFETY: header and octets are in the connection's `sending` until the send completes.
        unsafe { self.kernel.push(entry, About::Send(slot)) };
    }

    /// Hands what was queued to the kernel, and buries what is closed and flushed.
    pub(super) fn flush(&mut self) {
        while let Some(slot) = self.dirty.pop() {
            let Some((_, connection)) = self.at(slot) else { continue };
            connection.dirty = false;
            if matches!(connection.phase, Phase::Dead | Phase::Connecting) {
                continue;
            }
            if let Some(header) = connection.next_send() {
                self.send_on(slot, header);
            } else if connection.phase == Phase::Closing && connection.is_flushed() {
                self.bury(slot);
            }
        }
    }

    /// Shuts the socket down; what the kernel still has of it completes soon.
    pub(super) fn bury(&mut self, slot: u32) {
        let Some((_, connection)) = self.at(slot) else { return };
        connection.phase = Phase::Dead;
        let _ = SockRef::from(&connection.socket).shutdown(std::net::Shutdown::Both);
        if connection.connecting {
            self.cancel(About::Connect(slot));
        }
        self.free_if_idle(slot);
    }

    pub(super) fn free_if_idle(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        let Some(connection) = place
            .connection
            .take_if(|connection| connection.phase == Phase::Dead && connection.is_idle())
        else {
            return;
        };
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        let entry = opcode::Close::new(types::Fd(connection.socket.into_raw_fd())).build();
        // SAFETY: the entry points to no memory, and the descriptor is its own now.
        unsafe { self.kernel.push(entry, About::Nothing) };
    }

    /// Shuts everything down, for the end of the run.
    pub(super) fn bury_all(&mut self) {
        (0..self.slots.len() as u32).for_each(|slot| self.bury(slot));
    }

    /// Asks the kernel to end everything that is under way.
    pub(super) fn cancel_all(&mut self) {
        let all = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
        // SAFETY: the entry points to no memory.
        unsafe { self.kernel.push(all, About::Nothing) };
    }

    fn insert(&mut self, socket: OwnedFd, phase: Phase) -> Id {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.connection = Some(Box::new(Connection::new(socket, phase)));
        Id { slot, generation: place.generation }
    }

    fn cancel(&mut self, about: About) {
        let which = types::CancelBuilder::user_data(about.pack());
        // SAFETY: the entry points to no memory.
        unsafe { self.kernel.push(opcode::AsyncCancel2::new(which).build(), About::Nothing) };
    }
}

/// Leaves the choice of a port to the connect.
fn bind_address_only(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int, and is given one with its size.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
