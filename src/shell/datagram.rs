//! DNS exchanges: each from a new socket, that is from a port nobody can guess, with answers
//! taken from the asked server only.

use std::{net::SocketAddr, os::fd::OwnedFd, rc::Rc};

use bytes::{Bytes, BytesMut};
use smallvec::smallvec;
use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::time::Instant;

use super::{
    connection::trouble,
    core::Core,
    dial,
    operation::{self, Socket},
};
use crate::{
    limits::{DATAGRAM_ROOM, SEND_PIECES_MAX},
    relay::{Input, Pieces, Ticket, Transport, Trouble},
    time::Duration,
};

pub struct Query {
    pub server: SocketAddr,
    pub message: Bytes,
    pub transport: Transport,
    pub timeout: Duration,
}

/// Does `Output::Query`.
pub async fn answer(core: Rc<Core>, ticket: Ticket, query: Query) {
    let deadline = Instant::now() + query.timeout;
    let result = match query.transport {
        Transport::Datagram => by_datagram(query.server, query.message, deadline).await,
        Transport::Stream => by_stream(query.server, query.message, deadline).await,
    };
    core.feed(Input::Answer { ticket, result });
}

async fn by_datagram(
    server: SocketAddr,
    message: Bytes,
    deadline: Instant,
) -> Result<Bytes, Trouble> {
    // Connecting makes the kernel choose the port at random (RFC 5452 §9.2) and drop what does
    // not come from the server's address and port (§9.1).
    let socket =
        socket2::Socket::new(Domain::for_address(server), Type::DGRAM, Some(Protocol::UDP))
            .and_then(|socket| socket.connect(&SockAddr::from(server)).map(|()| socket))
            .map_err(|error| trouble(&error))?;
    let socket = Rc::new(OwnedFd::from(socket));
    send(&socket, smallvec![message.clone()], deadline).await?;
    loop {
        let answer = receive(&socket, BytesMut::with_capacity(DATAGRAM_ROOM), deadline).await?;
        // RFC 5452 §9.1: an answer with another id is not the answer; the true one may follow.
        if answer.get(..2) == message.get(..2) {
            operation::close(socket);
            return Ok(answer.freeze());
        }
    }
}

/// RFC 7766: two octets of length, then the message.
async fn by_stream(
    server: SocketAddr,
    message: Bytes,
    deadline: Instant,
) -> Result<Bytes, Trouble> {
    let length = u16::try_from(message.len()).map_err(|_| Trouble::System(libc::EMSGSIZE))?;
    let socket = dial::dial(server, None, deadline).await?;
    let length = Bytes::copy_from_slice(&length.to_be_bytes());
    send(&socket, smallvec![length, message], deadline).await?;
    let mut answer = BytesMut::new();
    loop {
        let wanted = match answer.first_chunk() {
            Some(&length) => 2 + usize::from(u16::from_be_bytes(length)),
            None => DATAGRAM_ROOM,
        };
        if answer.len() >= wanted {
            operation::close(socket);
            return Ok(answer.split_to(wanted).freeze().slice(2..));
        }
        let part = BytesMut::with_capacity(wanted - answer.len());
        let part = receive(&socket, part, deadline).await?;
        if part.is_empty() {
            return Err(Trouble::Ended);
        }
        answer.unsplit(part);
    }
}

async fn send(socket: &Socket, pieces: Pieces, deadline: Instant) -> Result<(), Trouble> {
    debug_assert!(pieces.len() <= SEND_PIECES_MAX);
    let mut sending = Some(operation::send(socket, pieces));
    while let Some(operation) = sending {
        let (sent, owned) = operation::within(operation, socket, deadline).await;
        sending = owned.go_on(sent.map_err(|error| trouble(&error))?);
    }
    Ok(())
}

async fn receive(
    socket: &Socket,
    buffer: BytesMut,
    deadline: Instant,
) -> Result<BytesMut, Trouble> {
    let room = buffer.capacity();
    let receiving = operation::receive(socket, buffer, room);
    let (received, owned) = operation::within(receiving, socket, deadline).await;
    Ok(owned.into_buffer(received.map_err(|error| trouble(&error))?))
}
