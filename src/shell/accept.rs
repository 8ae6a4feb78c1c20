//! Listeners and the clients they take in: each core has its own socket for each listener of the
//! configuration, and the kernel spreads the clients over them.

use std::{io, net::SocketAddr, os::fd::OwnedFd, rc::Rc, time::Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{core::Core, operation};
use crate::{
    limits::{ACCEPT_REST, ACCEPTS_IN_FLIGHT, LISTEN_BACKLOG, LISTEN_PATIENCE, LISTEN_RETRY},
    relay::Input,
};

/// One core's socket for one listener of the configuration.
pub struct Listener {
    /// The listener's place in the configuration.
    pub number: u16,
    pub address: SocketAddr,
    pub socket: OwnedFd,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "{0} is in use by another program; stop that, or change `address` of this [[listener]]"
    )]
    InUse(SocketAddr),
    #[error(
        "no permission to listen on {0}; give the process CAP_NET_BIND_SERVICE, or choose a port \
         from 1024 on"
    )]
    Permission(SocketAddr),
    #[error("{0} is no address of this machine; change `address` of this [[listener]]")]
    NotOurs(SocketAddr),
    #[error("cannot listen on {0}: {1}; check `address` of this [[listener]]")]
    System(SocketAddr, io::Error),
}

/// Binds `address` once for each of `cores`. Port 0 is chosen by the kernel, the same for all.
pub fn bind(number: u16, address: SocketAddr, cores: u16) -> Result<Vec<Listener>, ListenError> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        io::ErrorKind::PermissionDenied => ListenError::Permission(address),
        io::ErrorKind::AddrNotAvailable => ListenError::NotOurs(address),
        _ => ListenError::System(address, error),
    };
    if address.port() != 0 {
        // With SO_REUSEPORT a second server of the same user would share the port in silence.
        while_being_freed(|| open(address, Sharing::Alone)).map_err(fault)?;
    }
    let mut bound = address;
    let mut listeners = Vec::with_capacity(cores.into());
    for _ in 0..cores {
        let socket = listen(bound).map_err(fault)?;
        bound = socket.local_addr().map_err(fault)?.as_socket().unwrap_or(bound);
        listeners.push(Listener { number, address: bound, socket: socket.into() });
    }
    Ok(listeners)
}

/// The ring of a killed process lets go of its listeners a moment after its end: a new start
/// right after it waits for that.
fn while_being_freed(bind: impl Fn() -> io::Result<Socket>) -> io::Result<Socket> {
    let began = Instant::now();
    loop {
        match bind() {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && began.elapsed() < LISTEN_PATIENCE =>
            {
                std::thread::sleep(LISTEN_RETRY);
            }
            bound => return bound,
        }
    }
}

/// Starts to take clients in.
pub fn start(core: &Rc<Core>, listener: Listener) {
    let socket = Rc::new(listener.socket);
    for _ in 0..ACCEPTS_IN_FLIGHT {
        let entrance =
            Entrance { number: listener.number, address: listener.address, socket: socket.clone() };
        tokio_uring::spawn(entrance.serve(core.clone()));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    WithOtherCores,
}

fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = open(address, Sharing::WithOtherCores)?;
    // Accepted sockets inherit it: one system call less for each client.
    socket.set_tcp_nodelay(true)?;
    socket.listen(LISTEN_BACKLOG as i32)?;
    Ok(socket)
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::WithOtherCores)?;
    if address.is_ipv6() {
        // IPv4 has its own listeners; mapped addresses would slip by lists of networks.
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// One accept after the other, for ever.
struct Entrance {
    number: u16,
    address: SocketAddr,
    socket: operation::Socket,
}

impl Entrance {
    async fn serve(self, core: Rc<Core>) {
        loop {
            match operation::accept(&self.socket).await {
                (Ok(descriptor), accepted) => {
                    core.set_crowded(false);
                    let (socket, remote) = accepted.into_socket(descriptor);
                    self.let_in(&core, socket, remote);
                }
                (Err(error), _) if is_the_clients(&error) => {}
                (Err(error), _) => self.rest(&core, &error).await,
            }
        }
    }

    fn let_in(&self, core: &Rc<Core>, socket: OwnedFd, remote: Option<SocketAddr>) {
        // Without its address the client is gone already.
        let Some(remote) = remote else { return };
        let connection = core.admit(socket, Some(remote.ip()));
        let of_client = core.clients().enter(remote.ip());
        let listener = self.number;
        core.feed(Input::Accepted { connection, listener, remote, of_client });
    }

    /// Accepting makes no sense for a moment: the clients wait in the kernel's queue.
    async fn rest(&self, core: &Rc<Core>, error: &io::Error) {
        if is_scarcity(error) {
            // Said once, not at every turn.
            if !core.set_crowded(true) {
                core.log().warn(format!("accepting rests: {error}; raise the limit of open files"));
            }
        } else {
            core.log().warn(format!("cannot accept on {}: {error}; trying again", self.address));
        }
        tokio::time::sleep(ACCEPT_REST).await;
    }
}

/// accept(2): errors of the new connection come out here, and concern nobody else.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EINTR
                | libc::EAGAIN
        )
    )
}

fn is_scarcity(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_for_all_cores() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listeners = bind(3, address.parse().unwrap(), 3).unwrap();
            assert_eq!(listeners.len(), 3);
            assert_ne!(listeners[0].address.port(), 0);
            assert!(listeners.iter().all(|l| l.address == listeners[0].address && l.number == 3));
        }
    }

    #[test]
    fn a_port_in_use_is_named_even_when_its_owner_would_share() {
        let first = bind(0, "127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let second = bind(0, first[0].address, 2).err().unwrap();
        assert!(matches!(second, ListenError::InUse(address) if address == first[0].address));
        assert!(second.to_string().contains(&first[0].address.to_string()));
    }

    #[test]
    fn a_strangers_address_is_named() {
        let error = bind(0, "192.0.2.1:2525".parse().unwrap(), 1).err().unwrap();
        assert!(matches!(error, ListenError::NotOurs(_)), "{error}");
    }
}
