//! The index: where the rows of each content and of each queued body lie.

use crate::{
    mail::QueueId,
    store::{Table, key},
};

/// What a unit of a segment holds. Both are never changed under their id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UnitKind {
    /// The content of messages in mailboxes, and its summary.
    Content,
    /// The body of a queued message.
    Body,
}

/// One line of the index. The lines rise by kind and id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located {
    pub kind: UnitKind,
    pub id: QueueId,
    pub segment: u32,
    pub offset: u64,
    pub octets: u64,
}

/// What a block of a unit begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitHead {
    pub kind: UnitKind,
    pub id: QueueId,
    /// Number of the block within its unit.
    pub part: u32,
    pub is_last: bool,
}

/// Octets of a line.
const LINE: usize = 29;

impl UnitKind {
    pub const ALL: [UnitKind; 2] = [UnitKind::Content, UnitKind::Body];

    /// The table with a row for each unit that there is.
    pub fn owner(self) -> Table {
        match self {
            UnitKind::Content => Table::Held,
            UnitKind::Body => Table::Message,
        }
    }

    /// The tables that a unit has the rows of, as far as they begin with its id.
    pub fn tables(self) -> &'static [Table] {
        match self {
            UnitKind::Content => &[Table::Summary, Table::Content],
            UnitKind::Body => &[Table::Body],
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

pub fn put_located(line: &Located, out: &mut Vec<u8>) {
    out.push(line.kind as u8);
    out.extend_from_slice(&key::message(line.id));
    out.extend_from_slice(&line.segment.to_le_bytes());
    out.extend_from_slice(&line.offset.to_le_bytes());
    out.extend_from_slice(&line.octets.to_le_bytes());
}

/// The lines of one block; `None` where it holds something else.
pub fn located(octets: &[u8]) -> Option<Vec<Located>> {
    let (lines, rest) = octets.as_chunks::<LINE>();
    if !rest.is_empty() {
        return None;
    }
    lines.iter().map(read_line).collect()
}

fn read_line(line: &[u8; LINE]) -> Option<Located> {
    let (kind, line) = line.split_first()?;
    let (id, line) = line.split_at_checked(8)?;
    let (segment, line) = line.split_first_chunk()?;
    let (offset, line) = line.split_first_chunk()?;
    Some(Located {
        kind: UnitKind::from_number(*kind)?,
        id: key::read_message(id)?,
        segment: u32::from_le_bytes(*segment),
        offset: u64::from_le_bytes(*offset),
        octets: u64::from_le_bytes(line.try_into().ok()?),
    })
}

impl UnitHead {
    /// Octets of it.
    pub const LENGTH: usize = 14;

    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut octets = [0; Self::LENGTH];
        octets[0] = self.kind as u8;
        octets[1..9].copy_from_slice(&key::message(self.id));
        octets[9..13].copy_from_slice(&self.part.to_le_bytes());
        octets[13] = u8::from(self.is_last);
        octets
    }

    /// The head, and the rows behind it.
    pub fn split(payload: &[u8]) -> Option<(UnitHead, &[u8])> {
        let (head, rows) = payload.split_first_chunk::<{ Self::LENGTH }>()?;
        let head = UnitHead {
            kind: UnitKind::from_number(head[0])?,
            id: key::read_message(&head[1..9])?,
            part: u32::from_le_bytes(*head[9..13].first_chunk()?),
            is_last: head[13] == 1,
        };
        Some((head, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_heads_come_back() {
        let lines = [
            Located {
                kind: UnitKind::Content,
                id: QueueId::from_u64(1 << 50),
                segment: 7,
                offset: 1 << 40,
                octets: 99,
            },
            Located {
                kind: UnitKind::Body,
                id: QueueId::MAX,
                segment: u32::MAX,
                offset: 0,
                octets: u64::MAX,
            },
        ];
        let mut octets = Vec::new();
        lines.iter().for_each(|line| put_located(line, &mut octets));
        assert_eq!(located(&octets), Some(lines.to_vec()));
        assert_eq!(located(&octets[1..]), None);
        octets[0] = 2;
        assert_eq!(located(&octets), None);
        for line in lines {
            let head = UnitHead { kind: line.kind, id: line.id, part: 5, is_last: true };
            let octets = [&head.encode()[..], b"rows"].concat();
            assert_eq!(UnitHead::split(&octets), Some((head, &b"rows"[..])));
        }
        assert_eq!(UnitHead::split(b"short"), None);
    }
}
