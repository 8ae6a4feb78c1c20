//! A connection: what waits to be sent, what the kernel has in hand, and its TLS.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    mem,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::Tls;

/// Pieces of one sendmsg(2), at most.
const PIECES_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Connecting,
    Open,
    /// To be closed once all that is queued has gone.
    Closing,
    /// Nothing is told of it any more; it is freed when the kernel has let go of it.
    Dead,
}

pub struct Connection {
    pub socket: OwnedFd,
    pub phase: Phase,
    /// A receive or a connect is with the kernel.
    pub receiving: bool,
    pub connecting: bool,
    pub paused: bool,
    /// On the list of those that have something to send.
    pub dirty: bool,
    /// What came while paused, and whether that was the end.
    pub held: Vec<u8>,
    pub held_end: bool,
    sending: Option<Box<Sending>>,
    /// The last box of `sending`, to be used again.
    spare: Option<Box<Sending>>,
    /// As it goes over the wire.
    ready: VecDeque<Bytes>,
    /// To be encrypted.
    plain: VecDeque<Bytes>,
    tls: Option<Box<rustls::Connection>>,
}

/// What one read meant to TLS.
#[derive(Default)]
pub struct Decrypted {
    pub secured: bool,
    pub ended: bool,
}

/// What the kernel reads while a send is under way: it must not move.
struct Sending {
    header: libc::msghdr,
    parts: SmallVec<[libc::iovec; 8]>,
    pieces: SmallVec<[Bytes; 8]>,
}

impl Connection {
    pub fn new(socket: OwnedFd, phase: Phase) -> Connection {
        Connection {
            socket,
            phase,
            receiving: false,
            connecting: false,
            paused: false,
            dirty: false,
            held: Vec::new(),
            held_end: false,
            sending: None,
            spare: None,
            ready: VecDeque::new(),
            plain: VecDeque::new(),
            tls: None,
        }
    }

    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub fn queue(&mut self, octets: Bytes) {
        let queue = if self.tls.is_some() { &mut self.plain } else { &mut self.ready };
        if !octets.is_empty() {
            queue.push_back(octets);
        }
    }

    /// What was queued before goes out in clear.
    pub fn secure(&mut self, side: Tls) -> Result<(), rustls::Error> {
        let mut tls: rustls::Connection = match side {
            Tls::Client(config, name) => rustls::ClientConnection::new(config, name)?.into(),
            Tls::Server(config) => rustls::ServerConnection::new(config)?.into(),
        };
        // All that is queued is kept: the queue above bounds nothing either without TLS.
        tls.set_buffer_limit(None);
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes octets as they came; what they said goes to `plain`.
    pub fn decrypt(
        &mut self,
        mut octets: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<Decrypted, rustls::Error> {
        let Some(tls) = &mut self.tls else { return Ok(Decrypted::default()) };
        let before = tls.is_handshaking();
        let mut ended = false;
        while !octets.is_empty() {
            // Fails only where too much waits to be read, and all is read below.
            if tls.read_tls(&mut octets).is_err() {
                break;
            }
            let state = tls.process_new_packets()?;
            ended |= state.peer_has_closed();
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            let read = tls.reader().read(&mut plain[start..]).unwrap_or(0);
            plain.truncate(start + read);
        }
        Ok(Decrypted { secured: before && !tls.is_handshaking(), ended })
    }

    /// Nothing more is queued; the socket is to be closed once what is queued has gone.
    pub fn end(&mut self) {
        self.encrypt();
        // A handshake goes no further now, and what waits for its end would wait for ever.
        self.plain.clear();
        self.phase = Phase::Closing;
    }

    /// Ends, and tells the peer of a TLS connection that no more comes.
    pub fn say_goodbye(&mut self) {
        self.end();
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
    }

    /// Nothing waits to be sent, and nothing is being sent.
    pub fn is_flushed(&self) -> bool {
        self.sending.is_none() && self.ready.is_empty() && self.plain.is_empty()
    }

    /// Nothing of it is with the kernel.
    pub fn is_idle(&self) -> bool {
        !self.receiving && !self.connecting && self.sending.is_none()
    }

    /// What to hand to sendmsg(2) next, if nothing is under way and something waits. The header
    /// stays valid until [`Connection::sent`].
    pub fn next_send(&mut self) -> Option<*const libc::msghdr> {
        self.encrypt();
        if self.sending.is_some() || self.ready.is_empty() {
            return None;
        }
        let mut sending = self.spare.take().unwrap_or_default();
        let count = self.ready.len().min(PIECES_MAX);
        sending.pieces.extend(self.ready.drain(..count));
        Some(self.sending.insert(sending).header())
    }

    /// The kernel took `octets` of the last send. The rest is to be sent again, if there is one.
    pub fn sent(&mut self, mut octets: usize) -> Option<*const libc::msghdr> {
        let sending = self.sending.as_mut()?;
        sending.pieces.retain(|piece| {
            let gone = piece.len().min(octets);
            piece.advance(gone);
            octets -= gone;
            !piece.is_empty()
        });
        if sending.pieces.is_empty() {
            self.spare = self.sending.take();
            return None;
        }
        Some(sending.header())
    }

    /// The send failed; the kernel has let go of it.
    pub fn drop_send(&mut self) {
        self.sending = None;
        self.ready.clear();
        self.plain.clear();
    }

    fn encrypt(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        if !tls.is_handshaking() {
            for piece in self.plain.drain(..) {
                // The buffer has no bound, so that this takes all.
                let _: io::Result<()> = tls.writer().write_all(&piece);
            }
        }
        if tls.wants_write() {
            let mut wire = Vec::new();
            while tls.wants_write() && tls.write_tls(&mut wire).is_ok() {}
            self.ready.push_back(wire.into());
        }
    }
}

impl Default for Sending {
    fn default() -> Self {
        // SAFETY: a msghdr of zeros is valid: no name, no parts, no control data.
        let header = unsafe { mem::zeroed() };
        Sending { header, parts: SmallVec::new(), pieces: SmallVec::new() }
    }
}

impl Sending {
    fn header(&mut self) -> *const libc::msghdr {
        self.parts.clear();
        self.parts.extend(self.pieces.iter().map(|piece| libc::iovec {
            iov_base: piece.as_ptr().cast_mut().cast(),
            iov_len: piece.len(),
        }));
        self.header.msg_iov = self.parts.as_mut_ptr();
        self.header.msg_iovlen = self.parts.len();
        &raw const self.header
    }
}
