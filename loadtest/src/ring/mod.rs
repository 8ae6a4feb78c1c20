//! The one room with a ring in it: a thread runs one io_uring and one service, which is told what
//! happened on its sockets and answers by asking a desk for more.
//!
//! Everything is a callback on one thread, so a service is a plain value with plain fields. A batch
//! of completions is told to the service, then what it asked for goes to the kernel in one system
//! call: the more there is to do, the fewer calls a message takes.

mod buffers;
mod connection;
mod datagram;
mod desk;
mod engine;
mod kernel;
#[cfg(test)]
mod tests;
mod times;

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use socket2::{Domain, Protocol, Socket, Type};

pub use self::{desk::Desk, engine::run};

/// Between two calls of [`Service::tick`].
pub const TICK: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted, at most.
const BACKLOG: i32 = 4096;

/// Names a connection, and never another one later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Id {
    /// A small number that no other open connection of this thread has: an index for tables.
    pub slot: u32,
    generation: u32,
}

/// Why a connection is over, where it was not this side that closed it.
#[derive(Debug)]
pub enum Closed {
    /// The peer sent all it had to send.
    Ended,
    /// It could not be opened, or broke.
    Failed(io::Error),
    /// What the peer sent was no TLS that this side accepts.
    Tls(String),
}

/// One side of a TLS handshake.
pub enum Tls {
    Client(Arc<ClientConfig>, ServerName<'static>),
    Server(Arc<ServerConfig>),
}

/// What runs on a thread. Each call may ask the desk for anything; nothing waits.
pub trait Service {
    /// The ring is up, nothing has happened yet.
    fn started(&mut self, _desk: &mut Desk) {}
    /// A client has come to the listener with this index.
    fn accepted(&mut self, _desk: &mut Desk, _id: Id, _listener: usize, _peer: SocketAddr) {}
    /// No descriptor is left for a client that waits; it is tried again at the next tick.
    fn out_of_descriptors(&mut self, _desk: &mut Desk, _error: io::Error) {}
    fn connected(&mut self, _desk: &mut Desk, _id: Id) {}
    /// The handshake that [`Desk::secure`] began is done.
    fn secured(&mut self, _desk: &mut Desk, _id: Id) {}
    /// Octets as they came, cut anywhere, decrypted. What is needed later is to be copied.
    fn received(&mut self, _desk: &mut Desk, _id: Id, _octets: &[u8]) {}
    /// All that was handed to [`Desk::send`] is with the kernel.
    fn sent(&mut self, _desk: &mut Desk, _id: Id) {}
    /// The connection is over and `id` is worth nothing now. Not told after a close or a reset of
    /// this side.
    fn closed(&mut self, _desk: &mut Desk, _id: Id, _why: Closed) {}
    /// The time given to [`Desk::wake_at`] has come, and the connection still lives.
    fn woken(&mut self, _desk: &mut Desk, _id: Id, _tag: u32) {}
    /// The time given to [`Desk::alarm_at`] has come.
    fn alarm(&mut self, _desk: &mut Desk, _tag: u32) {}
    fn datagram(&mut self, _desk: &mut Desk, _socket: usize, _from: SocketAddr, _octets: &[u8]) {}
    /// Every [`TICK`], about: the time to publish figures and to look whether the run is over.
    fn tick(&mut self, _desk: &mut Desk) {}
}

/// Sockets that a thread serves from its start.
#[derive(Default)]
pub struct Sockets {
    pub listeners: Vec<TcpListener>,
    pub datagrams: Vec<UdpSocket>,
}

/// Why there is no ring.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    #[error(
        "io_uring cannot be set up ({0}); it needs Linux 6.1 or newer, \
         `sysctl kernel.io_uring_disabled=0`, and a container profile that allows io_uring_setup"
    )]
    Setup(io::Error),
    #[error("the ring failed under way: {0}; this is a defect of ringload or of the kernel")]
    Broken(io::Error),
}

/// A listener that shares its port with those of other threads: the kernel spreads the clients.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A datagram socket that shares its port with those of other threads.
pub fn listen_datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_recv_buffer_size(datagram::RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
