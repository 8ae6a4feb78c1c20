//! COMPRESS=DEFLATE (RFC 4978): both directions of a connection as raw deflate streams.

use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::limits::INFLATED_ROOM;

/// Some hundred KiB each: a client that asks for it trades our memory for its link.
pub(super) struct Deflate {
    outbound: Compress,
    inbound: Decompress,
    /// Received and not inflated yet.
    packed: Bytes,
}

/// The client's octets are no deflate stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Corrupt;

impl Default for Deflate {
    fn default() -> Self {
        Self {
            // Fast: the text of mail and its replies gains little by more.
            outbound: Compress::new(Compression::fast(), false),
            inbound: Decompress::new(false),
            packed: Bytes::new(),
        }
    }
}

impl Deflate {
    /// All pieces, so that the client can read them without waiting for more.
    pub fn pack(&mut self, pieces: &[Bytes]) -> Bytes {
        let octets: usize = pieces.iter().map(Bytes::len).sum();
        let mut packed = Vec::with_capacity(octets / 3 + 64);
        for piece in pieces {
            self.pack_piece(piece, FlushCompress::None, &mut packed);
        }
        self.pack_piece(b"", FlushCompress::Sync, &mut packed);
        packed.into()
    }

    /// Takes what was read.
    pub fn receive(&mut self, bytes: Bytes) {
        if self.packed.is_empty() {
            self.packed = bytes;
            return;
        }
        let mut both = BytesMut::from(&self.packed[..]);
        both.extend_from_slice(&bytes);
        self.packed = both.freeze();
    }

    /// The next octets of the client, at most `INFLATED_ROOM`: a few can stand for very many.
    /// None come when all that was read is used up.
    pub fn unpack(&mut self) -> Result<Bytes, Corrupt> {
        let mut plain = Vec::with_capacity(INFLATED_ROOM);
        loop {
            let before = (self.inbound.total_in(), plain.len());
            let status = self
                .inbound
                .decompress_vec(&self.packed, &mut plain, FlushDecompress::Sync)
                .map_err(|_| Corrupt)?;
            let used = (self.inbound.total_in() - before.0) as usize;
            let _ = self.packed.split_to(used.min(self.packed.len()));
            let stuck = used == 0 && plain.len() == before.1;
            if status == Status::StreamEnd {
                // A deflate stream that ends is none that a client of IMAP sends.
                return Err(Corrupt);
            }
            if stuck || plain.len() == plain.capacity() {
                return Ok(plain.into());
            }
        }
    }

    fn pack_piece(&mut self, piece: &[u8], flush: FlushCompress, packed: &mut Vec<u8>) {
        let mut rest = piece;
        loop {
            packed.reserve(64 + rest.len() / 2);
            let before = self.outbound.total_in();
            // It fails only on a finished stream, and this one is never finished.
            let _ = self.outbound.compress_vec(rest, packed, flush);
            rest = &rest[(self.outbound.total_in() - before) as usize..];
            // Room that is left shows that everything has come out.
            if rest.is_empty() && packed.len() < packed.capacity() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn what_is_packed_unpacks_whatever_the_cuts() {
        let mut random = Random::from_seed([5; 32]);
        let (mut ours, mut theirs) = (Deflate::default(), Deflate::default());
        for round in 0..200 {
            let pieces: Vec<Bytes> = (0..random.below(4))
                .map(|_| {
                    let kinds = 1 + random.below(200);
                    (0..random.below(40_000)).map(|_| random.below(kinds) as u8).collect()
                })
                .collect();
            let packed = ours.pack(&pieces);
            let mut got = Vec::new();
            let cut = random.below(packed.len() as u32 + 1) as usize;
            for part in [packed.slice(..cut), packed.slice(cut..)] {
                theirs.receive(part);
                loop {
                    let plain = theirs.unpack().unwrap();
                    assert!(plain.len() <= INFLATED_ROOM);
                    if plain.is_empty() {
                        break;
                    }
                    got.extend_from_slice(&plain);
                }
            }
            assert!(got == pieces.concat(), "round {round}");
        }
    }

    #[test]
    fn a_bomb_comes_out_in_steps() {
        let zeros = Bytes::from(vec![0; 10_000_000]);
        let packed = Deflate::default().pack(&[zeros]);
        assert!(packed.len() < 100_000);
        let mut theirs = Deflate::default();
        theirs.receive(packed);
        let mut total = 0;
        loop {
            let plain = theirs.unpack().unwrap();
            total += plain.len();
            if plain.is_empty() {
                break;
            }
        }
        assert_eq!(total, 10_000_000);
    }

    #[test]
    fn garbage_is_corrupt() {
        let mut theirs = Deflate::default();
        theirs.receive(Bytes::from_static(&[0xff; 100]));
        assert_eq!(theirs.unpack(), Err(Corrupt));
    }
}
