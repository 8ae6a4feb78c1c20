//! Contents as they lie on disk: cut into chunks, each compressed where that saves a row. The
//! header is cut off by itself, so that a listing reads no more than it shows.

use std::mem;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use crate::{
    limits::{BODY_ROW, CONTENT_CHUNK, HALF_ROW},
    mail::{
        mailbox::{ContentId, NewContent},
        mime::Scan,
    },
};

/// The fastest one: it takes less time than the pages it saves take to be written.
const LEVEL: i32 = 1;

/// The first octet of a chunk: how the rest lies.
const RAW: u8 = 0;
const ZSTD: u8 = 1;

/// Compresses chunk after chunk in the same memory; each core has one.
#[derive(Default)]
pub struct Press {
    /// Made with the first chunk; without it chunks stay as they are.
    compressor: Option<Compressor<'static>>,
    room: Vec<u8>,
}

/// Undoes it, chunk after chunk in the same memory; who reads has one.
#[derive(Default)]
pub struct Unpress {
    /// Made with the first chunk that needs it: that costs more than a chunk does.
    decompressor: Option<Decompressor<'static>>,
}

/// A content on its way in: takes its octets as they come, and looks at its structure meanwhile.
pub struct Builder {
    id: ContentId,
    scan: Scan,
    size: u64,
    /// Of the chunk that is not full yet.
    pending: Vec<u8>,
    /// Chunks that were taken already.
    taken: u32,
    ready: Vec<Bytes>,
}

impl Press {
    /// A chunk as it lies on disk.
    fn pack(&mut self, raw: &[u8]) -> Bytes {
        if let Some(packed) = self.compressed(raw) {
            return packed;
        }
        let mut packed = Vec::with_capacity(1 + raw.len());
        packed.push(RAW);
        packed.extend_from_slice(raw);
        packed.into()
    }

    /// `None` where it would save no row.
    fn compressed(&mut self, raw: &[u8]) -> Option<Bytes> {
        let worth = worth(1 + raw.len())?;
        if self.compressor.is_none() {
            self.compressor = Compressor::new(LEVEL).ok();
        }
        self.room.clear();
        self.room.resize(worth, ZSTD);
        let compressor = self.compressor.as_mut()?;
        // What does not fit is not worth it.
        let length = compressor.compress_to_buffer(raw, self.room.get_mut(1..)?).ok()?;
        self.room.get(..1 + length).map(Bytes::copy_from_slice)
    }
}

impl Builder {
    pub fn new(id: ContentId) -> Self {
        Self { id, scan: Scan::new(), size: 0, pending: Vec::new(), taken: 0, ready: Vec::new() }
    }

    pub fn id(&self) -> ContentId {
        self.id
    }

    /// The next octets, in pieces of any length.
    pub fn feed(&mut self, piece: &[u8], press: &mut Press) {
        self.scan.feed(piece);
        let mut rest = piece;
        while self.room() <= rest.len() {
            let (full, left) = rest.split_at(self.room());
            rest = left;
            self.size += full.len() as u64;
            if self.pending.is_empty() {
                self.ready.push(press.pack(full));
            } else {
                self.pending.extend_from_slice(full);
                self.ready.push(press.pack(&self.pending));
                self.pending.clear();
            }
        }
        self.size += rest.len() as u64;
        self.pending.extend_from_slice(rest);
    }

    /// Octets until the chunk is full, or the header ends, which ends a chunk too.
    fn room(&self) -> usize {
        let room = CONTENT_CHUNK - self.pending.len();
        match self.scan.header().and_then(|header| header.checked_sub(self.size)) {
            Some(0) if self.pending.is_empty() => room,
            Some(left) => usize::try_from(left).map_or(room, |left| left.min(room)),
            None => room,
        }
    }

    /// Octets of the chunks that `take_ready` would give.
    pub fn ready_octets(&self) -> usize {
        self.ready.iter().map(Bytes::len).sum()
    }

    /// The chunks that are done, and the number of the first, to be spooled ahead.
    pub fn take_ready(&mut self) -> (u32, Vec<Bytes>) {
        let first = self.taken;
        let ready = mem::take(&mut self.ready);
        self.taken += ready.len() as u32;
        (first, ready)
    }

    /// The content with the chunks that were not taken.
    pub fn finish(mut self, press: &mut Press) -> NewContent {
        if !self.pending.is_empty() {
            self.ready.push(press.pack(&self.pending));
        }
        let (summary, header) = self.scan.finish();
        NewContent {
            id: self.id,
            size: self.size,
            header,
            chunks: self.ready,
            spooled_chunks: self.taken,
            summary,
        }
    }
}

impl Unpress {
    /// A chunk that had `full` octets; false where it is none of ours.
    pub fn unpack(&mut self, packed: &[u8], full: usize, raw: &mut Vec<u8>) -> bool {
        raw.clear();
        match packed.split_first() {
            Some((&RAW, octets)) => {
                raw.extend_from_slice(octets);
                raw.len() == full
            }
            Some((&ZSTD, octets)) => {
                raw.resize(full, 0);
                self.decompress(octets, raw) == Some(full)
            }
            _ => false,
        }
    }

    fn decompress(&mut self, octets: &[u8], raw: &mut [u8]) -> Option<usize> {
        if self.decompressor.is_none() {
            self.decompressor = Decompressor::new().ok();
        }
        self.decompressor.as_mut()?.decompress_to_buffer(octets, raw).ok()
    }
}

/// The chunk that holds the octet at `at` of a content of `size` octets with such a header: its
/// number, its first octet, and how many it has.
pub fn chunk_at(at: u64, header: u32, size: u64) -> (u32, u64, usize) {
    const CHUNK: u64 = CONTENT_CHUNK as u64;
    let header = u64::from(header).min(size);
    let (before, start, end) = match at < header {
        true => (0, 0, header),
        false => (header.div_ceil(CHUNK), header, size),
    };
    let place = (at - start) / CHUNK;
    let first = start + place * CHUNK;
    let number = u32::try_from(before + place).unwrap_or(u32::MAX);
    (number, first, end.saturating_sub(first).min(CHUNK) as usize)
}

/// The most octets that are worth having instead of so many: a row fewer, or half a page instead
/// of a whole one.
fn worth(octets: usize) -> Option<usize> {
    match octets.div_ceil(BODY_ROW) {
        0 | 1 => (octets > HALF_ROW).then_some(HALF_ROW),
        rows => Some((rows - 1) * BODY_ROW),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mail::QueueId, random::Random};

    /// Octets that compress well in part.
    fn octets(random: &mut Random, length: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(length);
        while octets.len() < length {
            let run = 1 + random.below(3000) as usize;
            match random.below(2) {
                0 => octets.extend((0..run).map(|_| random.below(256) as u8)),
                _ => octets.extend(b"Kind regards, ".iter().cycle().take(run)),
            }
        }
        octets.truncate(length);
        octets
    }

    #[test]
    fn contents_come_back_however_they_came_in() {
        let (mut random, mut press) = (Random::from_seed([5; 32]), Press::default());
        let mut unpress = Unpress::default();
        const CHUNK: usize = CONTENT_CHUNK;
        let bodies = [0, 1, 1999, 2500, 4076, 9000, CHUNK - 1, CHUNK, 300_000];
        let fields = [0, 1, 100, CHUNK / 6, CHUNK / 6 + 1, 50_000];
        for (body, fields) in bodies.iter().flat_map(|body| fields.map(|fields| (*body, fields))) {
            let mut text = b"A: b\r\n".repeat(fields);
            text.extend(b"\r\n".iter().filter(|_| body % 2 == 0));
            text.extend(octets(&mut random, body));
            let length = text.len();
            let mut builder = Builder::new(QueueId::from_u64(7));
            let mut chunks = Vec::new();
            let mut rest = &text[..];
            while !rest.is_empty() {
                let (piece, left) =
                    rest.split_at((1 + random.below(90_000) as usize).min(rest.len()));
                builder.feed(piece, &mut press);
                rest = left;
                if random.below(3) == 0 {
                    let (first, ready) = builder.take_ready();
                    assert_eq!(first as usize, chunks.len());
                    chunks.extend(ready);
                }
            }
            let content = builder.finish(&mut press);
            assert_eq!(
                (content.size, content.spooled_chunks),
                (length as u64, chunks.len() as u32)
            );
            chunks.extend(content.chunks);
            let (mut all, mut raw) = (Vec::new(), Vec::new());
            for (number, chunk) in (0..).zip(&chunks) {
                let at = all.len() as u64;
                let (found, first, full) = chunk_at(at, content.header, content.size);
                assert_eq!((found, first), (number, at), "{length}");
                assert!(chunk.len() <= full + 1, "{length}");
                assert!(unpress.unpack(chunk, full, &mut raw), "{length}");
                all.extend_from_slice(&raw);
                assert!(!unpress.unpack(chunk, full + 1, &mut raw), "{length}");
                let cut = &chunk[..chunk.len() - 1];
                assert!(!unpress.unpack(cut, full, &mut raw), "{length}");
            }
            assert_eq!(all, text, "{length}");
        }
    }

    #[test]
    fn what_saves_no_row_stays_as_it_is() {
        let mut press = Press::default();
        for (length, kind, rows) in [
            (HALF_ROW - 1, RAW, 1),
            (HALF_ROW, ZSTD, 1),
            (BODY_ROW, ZSTD, 1),
            (CONTENT_CHUNK, ZSTD, 1),
        ] {
            let packed = press.pack(&vec![b'a'; length]);
            assert_eq!((packed[0], packed.len().div_ceil(BODY_ROW)), (kind, rows), "{length}");
        }
        let mut random = Random::from_seed([6; 32]);
        let noise: Vec<u8> = (0..CONTENT_CHUNK).map(|_| random.below(256) as u8).collect();
        let packed = press.pack(&noise);
        assert_eq!((packed[0], packed.len()), (RAW, 16 * BODY_ROW));
    }
}
