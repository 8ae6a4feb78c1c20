//! The manifest's own blocks: what each file begins with, the list of segments, the end.

use super::{Located, Malformed, UnitKind, VERSION};
use crate::{mail::QueueId, store::key, time::Wall};

const MAGIC: &[u8; 16] = b"ringmail backup\n";

/// What a file begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileHead {
    pub version: u32,
    /// The number of the file.
    pub file: u32,
    /// The format of the store that it is of.
    pub store: u32,
}

/// A segment that the manifest needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    pub number: u32,
    /// Octets of its file.
    pub length: u64,
    /// Octets of the units in it that the index has.
    pub live: u64,
}

/// The manifest's last block. It always has the same length, so that it is found from the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// When the backup was begun.
    pub begun: Wall,
    /// The highest queue id of the store.
    pub highest: QueueId,
    /// Where the blocks of the index begin.
    pub index_at: u64,
    pub segments_at: u64,
    pub rows: u64,
    pub contents: u64,
    pub bodies: u64,
    /// Of all units that the index has.
    pub octets: u64,
}

impl FileHead {
    pub fn new(file: u32) -> Self {
        Self { version: VERSION, file, store: key::FORMAT }
    }

    pub fn encode(&self) -> Vec<u8> {
        let numbers = [self.version, self.file, self.store].map(u32::to_le_bytes);
        [&MAGIC[..], numbers.as_flattened()].concat()
    }

    pub fn decode(payload: &[u8]) -> Result<FileHead, Malformed> {
        let numbers = payload.strip_prefix(MAGIC).ok_or(Malformed)?;
        match numbers.as_chunks() {
            (&[version, file, store], []) => {
                let [version, file, store] = [version, file, store].map(u32::from_le_bytes);
                Ok(FileHead { version, file, store })
            }
            _ => Err(Malformed),
        }
    }
}

pub fn put_segments(list: &[Segment], out: &mut Vec<u8>) {
    for segment in list {
        let number = u64::from(segment.number);
        let numbers = [number, segment.length, segment.live].map(u64::to_le_bytes);
        out.extend_from_slice(numbers.as_flattened());
    }
}

pub fn segments(payload: &[u8]) -> Result<Vec<Segment>, Malformed> {
    let (lines, rest) = payload.as_chunks::<24>();
    let read = |line: &[u8; 24]| {
        let (numbers, _) = line.as_chunks::<8>();
        let number = |at: usize| numbers.get(at).map(|octets| u64::from_le_bytes(*octets));
        Some(Segment {
            number: u32::try_from(number(0)?).ok().filter(|number| *number > 0)?,
            length: number(1)?,
            live: number(2)?,
        })
    };
    let list = lines.iter().map(read).collect::<Option<Vec<_>>>();
    list.filter(|_| rest.is_empty()).ok_or(Malformed)
}

impl End {
    /// Octets of its payload.
    pub const LENGTH: usize = 64;

    /// Of an empty backup.
    pub fn new(begun: Wall) -> Self {
        Self {
            begun,
            highest: QueueId::MIN,
            index_at: 0,
            segments_at: 0,
            rows: 0,
            contents: 0,
            bodies: 0,
            octets: 0,
        }
    }

    /// Counts a line of the index.
    pub fn count(&mut self, line: &Located) {
        match line.kind {
            UnitKind::Content => self.contents += 1,
            UnitKind::Body => self.bodies += 1,
        }
        self.octets = self.octets.saturating_add(line.octets);
    }

    /// Whether the index has the same count and octets.
    pub fn same_units(&self, other: &End) -> bool {
        let units = |end: &End| (end.contents, end.bodies, end.octets);
        units(self) == units(other)
    }

    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let numbers = [
            self.begun.as_millis(),
            self.highest.as_u64(),
            self.index_at,
            self.segments_at,
            self.rows,
            self.contents,
            self.bodies,
            self.octets,
        ];
        let mut octets = [0; Self::LENGTH];
        octets.copy_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
        octets
    }

    pub fn decode(payload: &[u8]) -> Result<End, Malformed> {
        let (&[begun, highest, index_at, segments_at, rows, contents, bodies, octets], []) =
            payload.as_chunks()
        else {
            return Err(Malformed);
        };
        let number = u64::from_le_bytes;
        Ok(End {
            begun: Wall::from_millis(number(begun)),
            highest: QueueId::from_u64(number(highest)),
            index_at: number(index_at),
            segments_at: number(segments_at),
            rows: number(rows),
            contents: number(contents),
            bodies: number(bodies),
            octets: number(octets),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_lists_and_ends_come_back() {
        let head = FileHead::new(5);
        assert_eq!(FileHead::decode(&head.encode()), Ok(head));
        assert_eq!(FileHead::decode(b"another file\n and what is in it"), Err(Malformed));
        let list = vec![
            Segment { number: 1, length: 1 << 40, live: 3 },
            Segment { number: u32::MAX, length: 0, live: 0 },
        ];
        let mut octets = Vec::new();
        put_segments(&list, &mut octets);
        assert_eq!(segments(&octets), Ok(list));
        assert_eq!(segments(&octets[1..]), Err(Malformed));
        assert_eq!(segments(&[0; 24]), Err(Malformed));
        let end = End {
            begun: Wall::from_millis(1),
            highest: QueueId::from_u64(2),
            index_at: 3,
            segments_at: 4,
            rows: 5,
            contents: 6,
            bodies: 7,
            octets: 8,
        };
        assert_eq!(End::decode(&end.encode()), Ok(end));
        assert_eq!(End::decode(&[0; End::LENGTH + 1]), Err(Malformed));
    }
}
