//! Datagrams: letters with room for an address, kept still while the kernel has them.

use std::{mem, net::SocketAddr, ptr};

use bytes::Bytes;
use socket2::SockAddr;

/// Octets that a socket of datagrams may have waiting.
pub const RECEIVE_BUFFER: usize = 4 << 20;
/// Receives under way on each socket.
pub const LETTERS: usize = 64;
/// The longest datagram that is read whole: more than any query, or any answer over UDP.
const LETTER: usize = 4096;

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
