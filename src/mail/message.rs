//! A message: its queue id, its facts, and its body as the octets that came over the wire.

use std::{fmt, str::FromStr, sync::Arc};

use bytes::Bytes;

use super::Envelope;
use crate::time::Wall;

/// The name of a message: unique for this installation over restarts, sortable by arrival.
///
/// 42 bits of milliseconds since 1970, 8 bits of core, 14 bits of counter; written in 13
/// characters of Crockford's base 32, whose order is the order of the ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u64);

/// Hands out the queue ids of one core.
#[derive(Debug)]
pub struct QueueIds {
    core: u64,
    last: u64,
}

/// What is known of a message besides its recipients and its body; shared by its parcels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub id: QueueId,
    pub arrived: Wall,
    pub envelope: Envelope,
    pub wire: Wire,
    /// Octets of the body as stored, our `Received:` field included.
    pub size: u64,
    /// Parcels the message was cut into when it was accepted.
    pub parcels: u16,
}

/// How the body's octets lie: as DATA carried them, or as BDAT did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// Dot-stuffed (RFC 5321 §4.5.2), every line ended by CRLF, without the final dot line.
    Stuffed,
    /// As is (RFC 3030); the last line may lack its CRLF.
    Plain,
}

/// A whole body in memory, in the buffers it was read into. Cloning shares them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body {
    pub pieces: Arc<[Bytes]>,
}

impl Body {
    pub fn new(pieces: impl Into<Arc<[Bytes]>>) -> Self {
        Self { pieces: pieces.into() }
    }

    /// Octets.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const MILLIS_SHIFT: u32 = 22;
const CORE_SHIFT: u32 = 14;

impl QueueId {
    pub const MIN: QueueId = QueueId(0);
    pub const MAX: QueueId = QueueId(u64::MAX);

    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 13];
        for (place, slot) in text.iter_mut().rev().enumerate() {
            *slot = ALPHABET[(self.0 >> (5 * place) & 31) as usize];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a queue id: 13 characters of 0-9 and A-Z without I, L, O, U are expected")]
pub struct QueueIdError;

impl FromStr for QueueId {
    type Err = QueueIdError;

    fn from_str(text: &str) -> Result<Self, QueueIdError> {
        if text.len() != 13 {
            return Err(QueueIdError);
        }
        let mut value: u128 = 0;
        for byte in text.bytes() {
            let digit = ALPHABET
                .iter()
                .position(|&c| c == byte.to_ascii_uppercase())
                .ok_or(QueueIdError)?;
            value = value << 5 | digit as u128;
        }
        u64::try_from(value).map(QueueId).map_err(|_| QueueIdError)
    }
}

impl QueueIds {
    /// `floor` is the highest id this installation ever committed: should the wall clock have
    /// stepped back over a restart, ids go on behind it.
    pub fn new(core: u8, floor: QueueId) -> Self {
        let behind = ((floor.0 >> MILLIS_SHIFT) + 1) << MILLIS_SHIFT;
        Self { core: u64::from(core), last: if floor.0 == 0 { 0 } else { behind } }
    }

    pub fn next_id(&mut self, wall: Wall) -> QueueId {
        let own = self.core << CORE_SHIFT;
        let floor = (wall.as_millis() << MILLIS_SHIFT) | own;
        let next = if floor > self.last { floor } else { self.last + 1 };
        // A counter that runs over its 14 bits borrows from the next millisecond.
        let strayed = next >> CORE_SHIFT & 0xff != self.core;
        self.last = if strayed { ((next >> MILLIS_SHIFT) + 1) << MILLIS_SHIFT | own } else { next };
        QueueId(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_and_never_repeat() {
        let mut ids = QueueIds::new(3, QueueId(0));
        let mut last = QueueId(0);
        for step in 0..100_000u64 {
            // The clock stands, then steps back, then goes on.
            let wall = Wall::from_millis(
                1_700_000_000_000 + if step > 50_000 { step } else { 0 } - 7 * (step % 3),
            );
            let id = ids.next_id(wall);
            assert!(id > last, "{id} after {last} at step {step}");
            assert_eq!(id.as_u64() >> CORE_SHIFT & 0xff, 3, "step {step}");
            last = id;
        }
    }

    #[test]
    fn ids_go_on_behind_a_floor_from_the_future() {
        let mut ids = QueueIds::new(0, QueueId(5_000 << MILLIS_SHIFT | 9));
        assert!(ids.next_id(Wall::from_millis(10)).as_u64() >> MILLIS_SHIFT > 5_000);
    }

    #[test]
    fn text_round_trips_and_sorts() {
        let ids = [0, 1, 31, 32, 1 << 40, u64::MAX - 1, u64::MAX].map(QueueId);
        for pair in ids.windows(2) {
            assert!(pair[0].to_string() < pair[1].to_string());
        }
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
        }
        for bad in ["", "123", "ZZZZZZZZZZZZZ", "IIIIIIIIIIIII", "00000000000000"] {
            assert_eq!(bad.parse::<QueueId>(), Err(QueueIdError), "{bad}");
        }
    }
}
