//! Datagrams: letters with room for an address, kept still while the kernel has them.

use std::{mem, net::SocketAddr, os::fd::AsRawFd, ptr};

use bytes::Bytes;
use io_uring::{opcode, types};
use socket2::SockAddr;

use super::{desk::Desk, kernel::About};

/// Octets that a socket of datagrams may have waiting.
pub const RECEIVE_BUFFER: usize = 4 << 20;
/// Receives under way on each socket.
pub const LETTERS: usize = 64;
/// The longest datagram that is read whole: more than any query, or any answer over UDP.
const LETTER: usize = 4096;

/// Letters on their way out at once, at most; more are dropped, as a network does.
const LETTERS_OUT_MAX: usize = 4096;

/// One datagram, coming or going. It must not move while the kernel has it.
pub struct Letter {
    /// The index of the socket.
    pub socket: usize,
    header: libc::msghdr,
    part: libc::iovec,
    name: libc::sockaddr_storage,
    octets: Bytes,
    room: Box<[u8]>,
}

impl Letter {
    pub fn new(socket: usize) -> Box<Letter> {
        Box::new(Letter {
            socket,
            // SAFETY: a msghdr of zeros is valid: no name, no parts, no control data.
            header: unsafe { mem::zeroed() },
            part: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
            // SAFETY: a sockaddr_storage of zeros is valid: an address of no family.
            name: unsafe { mem::zeroed() },
            octets: Bytes::new(),
            room: Box::new([]),
        })
    }

    /// What recvmsg(2) takes. Valid until its completion, as long as the letter stays boxed.
    pub fn receive_header(&mut self) -> *mut libc::msghdr {
        if self.room.is_empty() {
            self.room = vec![0; LETTER].into();
        }
        self.part =
            libc::iovec { iov_base: self.room.as_mut_ptr().cast(), iov_len: self.room.len() };
        self.fill_header(size_of::<libc::sockaddr_storage>() as libc::socklen_t)
    }

    /// What sendmsg(2) takes. Valid until its completion, as long as the letter stays boxed.
    pub fn send_header(&mut self, to: SocketAddr, octets: Bytes) -> *const libc::msghdr {
        let address = SockAddr::from(to);
        // SAFETY: an address is never longer than the storage that can hold any.
        unsafe {
            ptr::copy_nonoverlapping(
                address.as_ptr().cast::<u8>(),
                (&raw mut self.name).cast(),
                address.len() as usize,
            );
        }
        self.part =
            libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
        self.octets = octets;
        self.fill_header(address.len()).cast_const()
    }

    /// What came, after a receive of `octets`.
    pub fn received(&self, octets: u32) -> Option<(SocketAddr, &[u8])> {
        // SAFETY: SockAddrStorage is a transparent wrapper of sockaddr_storage, and the kernel
        // wrote an address of that length to it.
        let address =
            unsafe { SockAddr::new(mem::transmute_copy(&self.name), self.header.msg_namelen) };
        Some((address.as_socket()?, self.room.get(..octets as usize)?))
    }

    fn fill_header(&mut self, name_octets: libc::socklen_t) -> *mut libc::msghdr {
        self.header.msg_name = (&raw mut self.name).cast();
        self.header.msg_namelen = name_octets;
        self.header.msg_iov = &raw mut self.part;
        self.header.msg_iovlen = 1;
        &raw mut self.header
    }
}

impl Desk {
    /// Sends a datagram from the socket with this index.
    pub fn reply(&mut self, socket: usize, to: SocketAddr, octets: impl Into<Bytes>) {
        let Some(descriptor) = self.sockets.get(socket).map(AsRawFd::as_raw_fd) else { return };
        let number = match self.letters_free.pop() {
            Some(number) => number,
            None if self.letters_out.len() < LETTERS_OUT_MAX => {
                self.letters_out.push(None);
                self.letters_out.len() as u32 - 1
            }
            None => return,
        };
        let letter = self.letters_out[number as usize].get_or_insert_with(|| Letter::new(socket));
        let header = letter.send_header(to, octets.into());
        let entry = opcode::SendMsg::new(types::Fd(descriptor), header).build();
        // SAFETY: the letter is boxed and kept until the send completes.
        unsafe { self.kernel.push(entry, About::DatagramOut(number)) };
    }

    pub(super) fn receive_letter(&mut self, number: u32) {
        let Some(Some(letter)) = self.letters_in.get_mut(number as usize) else { return };
        let descriptor = types::Fd(self.sockets[letter.socket].as_raw_fd());
        let entry = opcode::RecvMsg::new(descriptor, letter.receive_header()).build();
        // SAFETY: the letter is boxed and kept until the receive completes.
        unsafe { self.kernel.push(entry, About::DatagramIn(number)) };
    }

    pub(super) fn letter_sent(&mut self, number: u32) {
        self.letters_free.push(number);
    }
}
