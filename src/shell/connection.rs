//! A connection's task: at most one read and one send under way, none ever left behind.
//!
//! A read that is dropped would eat octets meant for the next (the ring finishes it all the
//! same), so nothing is cancelled here: to end, the socket is shut down, which finishes what is
//! under way, and only then closed.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use rustix::net::{Shutdown, shutdown, sockopt::set_socket_linger};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    core::Core,
    desk::{Desk, Ending},
    operation::{self, Operation, Receiving, Sending, Socket},
};
use crate::{
    limits::{COMMAND_ROOM, LINGER, WRITE_TIMEOUT},
    relay::{ConnectionId, Input, Trouble},
    time::Duration,
};

pub struct Connection {
    core: Rc<Core>,
    id: ConnectionId,
    desk: Rc<RefCell<Desk>>,
    /// `None` once it is closed.
    socket: Option<Socket>,
    life: Life,
    reading: Option<Operation<Receiving>>,
    sending: Option<Operation<Sending>>,
    /// What the last read left of its buffer.
    buffer: BytesMut,
    /// Ends a flush or a lingering that takes too long.
    deadline: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// The relay knows of it.
    Open,
    /// A send has failed: what the peer said before that is still read, then the relay is told.
    Broken(Trouble),
    /// The relay is done with it; what it left is being sent.
    Flushing(Peer),
    /// All is sent and our side is closed: the peer may take its time to read it. Closing now,
    /// with octets of the peer unread, would reset the connection and destroy our last reply.
    Lingering,
    /// Shut down both ways: what is under way comes back at once.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// May still send.
    Open,
    /// Has closed its side.
    Finished,
}

/// Whether a step did anything that the others should look at.
type Turned = bool;

impl Connection {
    pub fn new(
        core: Rc<Core>,
        id: ConnectionId,
        desk: Rc<RefCell<Desk>>,
        socket: Socket,
    ) -> Connection {
        Connection {
            core,
            id,
            desk,
            socket: Some(socket),
            life: Life::Open,
            reading: None,
            sending: None,
            buffer: BytesMut::new(),
            deadline: None,
        }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.desk.borrow_mut().attend(context.waker());
        loop {
            let mut turned = this.obey();
            turned |= this.sent(context);
            turned |= this.received(context);
            turned |= this.timed(context);
            turned |= this.start();
            if this.life == Life::Over && this.reading.is_none() && this.sending.is_none() {
                this.close();
                return Poll::Ready(());
            }
            if !turned {
                this.desk.borrow_mut().rest();
                return Poll::Pending;
            }
        }
    }
}

impl Connection {
    /// Takes up what the relay has said about the end.
    fn obey(&mut self) -> Turned {
        if !matches!(self.life, Life::Open | Life::Broken(_)) {
            return false;
        }
        let ending = self.desk.borrow().ending();
        match (ending, self.life) {
            (Ending::Open, Life::Broken(trouble)) => {
                if self.reading.is_some() || !self.desk.borrow().is_silent() {
                    return false;
                }
                self.tell_closed(trouble);
                self.drop_socket();
            }
            (Ending::Open, _) => return false,
            (Ending::Close, Life::Open) => self.life = Life::Flushing(Peer::Open),
            (Ending::Close | Ending::Abort, _) => self.drop_socket(),
        }
        true
    }

    /// Looks whether the send under way has come back.
    fn sent(&mut self, context: &mut Context<'_>) -> Turned {
        let Some((result, sending)) = poll(&mut self.sending, context) else { return false };
        match result {
            Ok(octets) => {
                self.desk.borrow_mut().count_sent(octets);
                self.deadline = None;
                self.sending = sending.go_on(octets);
                self.tell_sent();
            }
            Err(error) => {
                self.desk.borrow_mut().discard();
                match self.life {
                    Life::Open => self.life = Life::Broken(trouble(&error)),
                    Life::Flushing(_) => self.drop_socket(),
                    Life::Broken(_) | Life::Lingering | Life::Over => {}
                }
            }
        }
        true
    }

    /// Looks whether the read under way has come back.
    fn received(&mut self, context: &mut Context<'_>) -> Turned {
        let Some((result, receiving)) = poll(&mut self.reading, context) else { return false };
        self.buffer = receiving.into_buffer(result.as_ref().copied().unwrap_or(0));
        match (self.life, result) {
            (Life::Open | Life::Broken(_), Ok(1..)) => {
                let bytes = self.buffer.split().freeze();
                self.core.feed(Input::Received { connection: self.id, bytes });
            }
            (Life::Open, Ok(0)) => {
                self.tell_closed(Trouble::Ended);
                self.life = Life::Flushing(Peer::Finished);
            }
            (Life::Broken(trouble), Ok(0)) => {
                self.tell_closed(trouble);
                self.drop_socket();
            }
            (Life::Open | Life::Broken(_), Err(error)) => {
                self.tell_closed(trouble(&error));
                self.drop_socket();
            }
            (Life::Flushing(_) | Life::Lingering, Ok(1..)) => self.buffer.clear(),
            (Life::Flushing(_), Ok(0)) => self.life = Life::Flushing(Peer::Finished),
            (Life::Flushing(_) | Life::Lingering, _) => self.drop_socket(),
            (Life::Over, _) => {}
        }
        true
    }

    /// Looks whether the peer had its time.
    fn timed(&mut self, context: &mut Context<'_>) -> Turned {
        let Some(deadline) = &mut self.deadline else { return false };
        if deadline.as_mut().poll(context).is_pending() {
            return false;
        }
        self.drop_socket();
        true
    }

    /// Starts what may be under way and is not.
    fn start(&mut self) -> Turned {
        match self.life {
            Life::Open => {
                let told = self.tell_sent();
                let sends = self.start_send();
                self.start_receive() || sends || told
            }
            Life::Broken(_) => {
                self.desk.borrow_mut().discard();
                self.start_receive()
            }
            Life::Flushing(peer) => self.flush(peer),
            Life::Lingering if self.reading.is_none() => {
                self.read(COMMAND_ROOM);
                true
            }
            Life::Lingering | Life::Over => false,
        }
    }

    fn start_send(&mut self) -> Turned {
        if self.sending.is_some() {
            return false;
        }
        let Some(socket) = &self.socket else { return false };
        let pieces = self.desk.borrow_mut().take_pieces();
        self.sending = pieces.map(|pieces| operation::send(socket, pieces));
        self.sending.is_some()
    }

    fn start_receive(&mut self) -> Turned {
        if self.reading.is_some() {
            return false;
        }
        let room = self.desk.borrow_mut().take_room();
        if let Some(room) = room {
            self.read(room);
        }
        room.is_some()
    }

    fn read(&mut self, room: usize) {
        let Some(socket) = &self.socket else { return };
        let buffer = room_for(std::mem::take(&mut self.buffer), room);
        self.reading = Some(operation::receive(socket, buffer, room));
    }

    /// Sends what is left, then lingers, or is done when the peer is.
    fn flush(&mut self, peer: Peer) -> Turned {
        let started = self.start_send();
        if self.sending.is_some() {
            if self.deadline.is_none() {
                self.arm(WRITE_TIMEOUT);
                return true;
            }
            return started;
        }
        match peer {
            Peer::Finished => self.drop_socket(),
            Peer::Open => {
                if let Some(socket) = &self.socket {
                    // Fails when the connection is gone already; the read will tell.
                    let _ = shutdown(socket, Shutdown::Write);
                }
                self.life = Life::Lingering;
                self.arm(LINGER);
            }
        }
        true
    }

    fn arm(&mut self, after: Duration) {
        self.deadline = Some(Box::pin(sleep_until(Instant::now() + after)));
    }

    fn tell_sent(&mut self) -> Turned {
        let mut told = false;
        while self.life == Life::Open
            && self.desk.borrow().ending() == Ending::Open
            && self.desk.borrow_mut().take_report()
        {
            self.core.feed(Input::Sent { connection: self.id });
            told = true;
        }
        told
    }

    fn tell_closed(&mut self, trouble: Trouble) {
        self.core.feed(Input::Closed { connection: self.id, trouble });
    }

    /// Makes what is under way come back.
    fn drop_socket(&mut self) {
        self.life = Life::Over;
        self.deadline = None;
        self.desk.borrow_mut().discard();
        if let Some(socket) = &self.socket
            && (self.reading.is_some() || self.sending.is_some())
        {
            let _ = shutdown(socket, Shutdown::Both);
        }
    }

    fn close(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        if self.desk.borrow().ending() == Ending::Abort {
            // What the kernel still holds to be sent goes with it.
            let _ = set_socket_linger(&socket, Some(Duration::ZERO));
        }
        operation::close(socket);
        self.core.retire(self.id);
    }
}

/// The answer of the operation in `slot`, which is then empty.
fn poll<D: Unpin>(
    slot: &mut Option<Operation<D>>,
    context: &mut Context<'_>,
) -> Option<(io::Result<usize>, D)> {
    let operation = slot.as_mut()?;
    let Poll::Ready(answer) = Pin::new(operation).poll(context) else { return None };
    *slot = None;
    Some(answer)
}

/// A buffer with room for a read of `room` octets: what the last read left, where that is at
/// least half of it and not so much that an idle connection would hold on to a large buffer.
fn room_for(mut left: BytesMut, room: usize) -> BytesMut {
    let spare = left.capacity();
    if spare >= room.div_ceil(2) && spare <= room.saturating_mul(4) {
        return left;
    }
    if spare < room && left.try_reclaim(room) && left.capacity() <= room.saturating_mul(4) {
        return left;
    }
    BytesMut::with_capacity(room)
}

/// What a failed system call on a connection means.
pub fn trouble(error: &io::Error) -> Trouble {
    match error.raw_os_error().unwrap_or(0) {
        libc::ECONNREFUSED => Trouble::Refused,
        libc::ECONNRESET | libc::ECONNABORTED | libc::EPIPE => Trouble::Reset,
        libc::ETIMEDOUT | libc::ECANCELED => Trouble::TimedOut,
        libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENETDOWN => {
            Trouble::Unreachable
        }
        libc::EMFILE | libc::ENFILE => Trouble::Descriptors,
        errno => Trouble::System(errno),
    }
}
