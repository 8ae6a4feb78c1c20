//! One-shot operations of the ring, typed: each owns its descriptor and its memory until the
//! kernel has answered, even when nobody waits for the answer any more.

use std::{
    io,
    marker::PhantomData,
    mem,
    net::SocketAddr,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use io_uring::{cqueue, opcode, squeue, types};
use smallvec::SmallVec;
use socket2::SockAddr;
use tokio::time::{Instant, sleep_until};
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

use super::mesh::Mesh;
use crate::{limits::SEND_PIECES_MAX, relay::Pieces};

/// A socket that operations under way keep open.
pub type Socket = Rc<OwnedFd>;

/// An operation that the kernel has, or will have when the thread next parks.
pub type Operation<D> = InFlightOneshot<D, Answer<D>>;

/// Gives the operation's result together with what it owned.
pub struct Answer<D>(PhantomData<fn() -> D>);

impl<D> OneshotOutputTransform for Answer<D> {
    type Output = (io::Result<usize>, D);
    type StoredData = D;

    fn transform_oneshot_output(self, data: D, entry: cqueue::Entry) -> Self::Output {
        let result = usize::try_from(entry.result())
            .map_err(|_| io::Error::from_raw_os_error(-entry.result()));
        (result, data)
    }
}

/// Hands `entry` to the ring.
///
/// # Safety
///
/// What `entry` points to must be owned by `data` and must not move when `data` does; the
/// descriptor it names must stay open as long as `data` lives. The ring keeps `data` until the
/// operation's completion, whether or not its future is dropped.
unsafe fn submit<D: 'static>(data: D, entry: squeue::Entry) -> Operation<D> {
    UnsubmittedOneshot::new(data, Answer(PhantomData), entry).submit()
}

pub struct Receiving {
    _socket: Socket,
    /// Empty: its spare room is what the kernel writes to.
    buffer: BytesMut,
}

/// Reads once, into the spare room of the empty `buffer`, up to `room` octets.
pub fn receive(socket: &Socket, mut buffer: BytesMut, room: usize) -> Operation<Receiving> {
    debug_assert!(buffer.is_empty());
    let spare = buffer.spare_capacity_mut();
    let octets = spare.len().min(room).min(u32::MAX as usize) as u32;
    let entry =
        opcode::Recv::new(types::Fd(socket.as_raw_fd()), spare.as_mut_ptr().cast(), octets).build();
    // SAFETY: the spare room is on the heap and nobody else's: `BytesMut` is its only owner, and
    // moving that does not move it.
    unsafe { submit(Receiving { _socket: socket.clone(), buffer }, entry) }
}

impl Receiving {
    /// The buffer, with the `octets` that this operation's result counts.
    pub fn into_buffer(mut self, octets: usize) -> BytesMut {
        debug_assert!(octets <= self.buffer.capacity());
        // SAFETY: the kernel has written that many octets to the start of the spare room.
        unsafe { self.buffer.set_len(octets) };
        self.buffer
    }
}

pub struct Sending {
    socket: Socket,
    pieces: Pieces,
    _gather: Option<Box<Gather>>,
}

/// What sendmsg(2) reads besides the octets.
struct Gather {
    header: libc::msghdr,
    parts: SmallVec<[libc::iovec; 8]>,
}

/// Sends all `pieces`, in order. Counts short only when the connection fails in the middle.
pub fn send(socket: &Socket, pieces: Pieces) -> Operation<Sending> {
    debug_assert!(!pieces.is_empty() && pieces.len() <= SEND_PIECES_MAX);
    let descriptor = types::Fd(socket.as_raw_fd());
    // MSG_WAITALL: the kernel goes on by itself when the socket's buffer is full.
    let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
    let (entry, gather) = match pieces.as_slice() {
        [piece] if u32::try_from(piece.len()).is_ok() => {
            let octets = piece.len() as u32;
            (opcode::Send::new(descriptor, piece.as_ptr(), octets).flags(flags).build(), None)
        }
        pieces => {
            let gather = Gather::of(pieces);
            let header = &raw const gather.header;
            let entry = opcode::SendMsg::new(descriptor, header).flags(flags as u32).build();
            (entry, Some(gather))
        }
    };
    // SAFETY: octets of a `Bytes` do not move with it; header and parts are in one box.
    unsafe { submit(Sending { socket: socket.clone(), pieces, _gather: gather }, entry) }
}

impl Sending {
    /// Sends what is left when `octets` have gone; `None` when that is all.
    pub fn go_on(mut self, mut octets: usize) -> Option<Operation<Sending>> {
        self.pieces.retain(|piece| {
            let gone = piece.len().min(octets);
            octets -= gone;
            *piece = piece.slice(gone..);
            !piece.is_empty()
        });
        (!self.pieces.is_empty()).then(|| send(&self.socket, self.pieces))
    }
}

impl Gather {
    fn of(pieces: &[Bytes]) -> Box<Gather> {
        let part = |piece: &Bytes| libc::iovec {
            iov_base: piece.as_ptr().cast_mut().cast(),
            iov_len: piece.len(),
        };
        // SAFETY: a msghdr of zeros is valid: no name, no parts, no control data.
        let header = unsafe { mem::zeroed() };
        let mut gather = Box::new(Gather { header, parts: pieces.iter().map(part).collect() });
        gather.header.msg_iov = gather.parts.as_mut_ptr();
        gather.header.msg_iovlen = gather.parts.len();
        gather
    }
}

pub struct Accepting {
    _listener: Socket,
    address: Box<(libc::sockaddr_storage, libc::socklen_t)>,
}

pub fn accept(listener: &Socket) -> Operation<Accepting> {
    // SAFETY: a sockaddr_storage of zeros is valid: an address of no family.
    let storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut address = Box::new((storage, size_of::<libc::sockaddr_storage>() as libc::socklen_t));
    let entry = opcode::Accept::new(
        types::Fd(listener.as_raw_fd()),
        (&raw mut address.0).cast(),
        &raw mut address.1,
    )
    .flags(libc::SOCK_CLOEXEC)
    .build();
    // SAFETY: the address is in a box.
    unsafe { submit(Accepting { _listener: listener.clone(), address }, entry) }
}

impl Accepting {
    /// The client's socket and address, where `descriptor` is this operation's result.
    pub fn into_socket(self, descriptor: usize) -> (OwnedFd, Option<SocketAddr>) {
        let (storage, octets) = *self.address;
        // SAFETY: the kernel has opened it for this operation, and nobody else knows of it.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) };
        // SAFETY: SockAddrStorage is a transparent wrapper of sockaddr_storage, and the kernel
        // has written an address of `octets` octets to it.
        let address = unsafe { SockAddr::new(mem::transmute_copy(&storage), octets) };
        (socket, address.as_socket())
    }
}

pub struct Connecting {
    _socket: Socket,
    _address: Box<SockAddr>,
}

pub fn connect(socket: &Socket, remote: SocketAddr) -> Operation<Connecting> {
    let address = Box::new(SockAddr::from(remote));
    let entry =
        opcode::Connect::new(types::Fd(socket.as_raw_fd()), address.as_ptr().cast(), address.len())
            .build();
    // SAFETY: the address is in a box.
    unsafe { submit(Connecting { _socket: socket.clone(), _address: address }, entry) }
}

pub struct Hearing {
    _mesh: Arc<Mesh>,
    _count: Box<[u8; 8]>,
}

/// Waits for the bell of `core`.
pub fn hear(mesh: &Arc<Mesh>, core: u16) -> Operation<Hearing> {
    let mut count = Box::new([0; 8]);
    let descriptor = types::Fd(mesh.bell(core).as_raw_fd());
    let entry = opcode::Read::new(descriptor, count.as_mut_ptr(), 8).build();
    // SAFETY: the octets are in a box, and the mesh owns the bell.
    unsafe { submit(Hearing { _mesh: mesh.clone(), _count: count }, entry) }
}

/// Closes the socket with the next batch of operations, where nothing else holds it.
pub fn close(socket: Socket) {
    if let Some(socket) = Rc::into_inner(socket) {
        let entry = opcode::Close::new(types::Fd(socket.into_raw_fd())).build();
        // SAFETY: the entry points to no memory, and the descriptor is its own now. The future
        // is dropped on purpose: there is nothing to do about a close that fails.
        drop(unsafe { submit((), entry) });
    }
}

/// Waits for `operation` on `socket`. At `deadline` it is cancelled, and then answers
/// ECANCELED; it is never left behind under way.
pub async fn within<D: Unpin>(
    operation: Operation<D>,
    socket: &Socket,
    deadline: Instant,
) -> (io::Result<usize>, D) {
    let mut operation = pin!(operation);
    let mut sleep = pin!(sleep_until(deadline));
    let mut cancelling: Option<Operation<Socket>> = None;
    std::future::poll_fn(move |context| {
        if let Poll::Ready(answer) = operation.as_mut().poll(context) {
            return Poll::Ready(answer);
        }
        if cancelling.is_none() && sleep.as_mut().poll(context).is_ready() {
            cancelling = Some(cancel(socket));
        }
        Poll::Pending
    })
    .await
}

/// Cancels all that is under way on `socket`.
fn cancel(socket: &Socket) -> Operation<Socket> {
    let all = types::CancelBuilder::fd(types::Fd(socket.as_raw_fd())).all();
    // SAFETY: the entry points to no memory, and the data is the descriptor.
    unsafe { submit(socket.clone(), opcode::AsyncCancel2::new(all).build()) }
}
