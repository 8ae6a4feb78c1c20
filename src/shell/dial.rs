//! Opening a connection to a remote host, from a given source address and within its time.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
};

use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::time::Instant;

use super::{
    connection::trouble,
    core::Core,
    operation::{self, Socket},
};
use crate::{
    relay::{Input, Ticket, Trouble},
    time::Duration,
};

/// Does `Output::Connect`.
pub async fn answer(
    core: Rc<Core>,
    ticket: Ticket,
    remote: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
) {
    let deadline = Instant::now() + timeout;
    // Only a cancellation, come too late to hinder the connection, still holds the socket.
    let result = dial(remote, source, deadline)
        .await
        .and_then(|socket| Rc::into_inner(socket).ok_or(Trouble::TimedOut))
        .map(|socket| core.admit(socket, None));
    core.feed(Input::Connected { ticket, result });
}

/// Opens a TCP connection.
pub async fn dial(
    remote: SocketAddr,
    source: Option<IpAddr>,
    deadline: Instant,
) -> Result<Socket, Trouble> {
    let socket = open(remote).map_err(|error| trouble(&error))?;
    if let Some(source) = source {
        bind(&socket, source).map_err(|error| match error.raw_os_error() {
            Some(libc::EADDRNOTAVAIL) => Trouble::SourceAddress(source),
            _ => trouble(&error),
        })?;
    }
    let socket = Rc::new(OwnedFd::from(socket));
    let connect = operation::connect(&socket, remote);
    let (connected, owned) = operation::within(connect, &socket, deadline).await;
    drop(owned);
    connected.map(|_| socket).map_err(|error| trouble(&error))
}

fn open(remote: SocketAddr) -> io::Result<socket2::Socket> {
    let socket =
        socket2::Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
    // Each send is a whole command, reply or part of a body: nothing to gather for.
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// Binds to `source`; the port is chosen only when the remote is known, so that one port serves
/// connections to many remotes.
fn bind(socket: &socket2::Socket, source: IpAddr) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int, and lives over the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))
}
