//! A parcel: the recipients of one message that go to one next hop, and when they are due.

use std::sync::Arc;

use bytes::Bytes;

use super::{Body, Message, QueueId, Recipient};
use crate::time::Wall;

/// Names a parcel on disk and in memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ParcelId {
    pub message: QueueId,
    /// 0 up to the message's count of parcels.
    pub part: u16,
}

/// Orders the due index: parcels of one destination lie together, and destinations of one core
/// lie in one range. Two names may share a key (it is a hash); that only makes them neighbours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DestinationKey(u64);

/// New mail is not held up by a backlog of deferred mail: they are read apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    Fresh = 0,
    Deferred = 1,
}

/// A parcel's place in the due index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Due {
    pub destination: DestinationKey,
    pub class: Class,
    pub at: Wall,
}

/// What is scheduled, attempted and settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parcel {
    pub message: Arc<Message>,
    pub part: u16,
    /// Where its row lies on disk now.
    pub due: Due,
    /// Attempts made so far.
    pub attempts: u32,
    /// The delay notice has been sent.
    pub warned: bool,
    /// Never empty: an empty parcel is settled.
    pub recipients: Vec<Recipient>,
    /// What the last attempt said, for the queue listing and for the report at expiry; empty
    /// before the first. At most `REPLY_TEXT_KEPT` octets.
    pub last_reply: Bytes,
    /// The body, while memory has room for it; else it is read from disk.
    pub body: Option<Body>,
}

impl Parcel {
    pub fn id(&self) -> ParcelId {
        ParcelId { message: self.message.id, part: self.part }
    }
}

impl DestinationKey {
    pub const MIN: DestinationKey = DestinationKey(0);
    pub const MAX: DestinationKey = DestinationKey(u64::MAX);

    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The key of `name`'s lane `lane` of `lanes`; lanes lie evenly over the key space, so that
    /// as many lanes as cores put one on each core.
    pub fn of(name: &str, lane: u16, lanes: u16) -> Self {
        let step = u64::MAX / u64::from(lanes.max(1));
        Self(spread(name).wrapping_add(step.wrapping_mul(u64::from(lane))))
    }

    /// The core that owns this key, of `cores`.
    pub fn core(self, cores: u16) -> u16 {
        ((u128::from(self.0) * u128::from(cores)) >> 64) as u16
    }

    /// The first key that `core` of `cores` owns.
    pub fn first_of(core: u16, cores: u16) -> Self {
        Self(((u128::from(core) << 64).div_ceil(u128::from(cores.max(1)))) as u64)
    }
}

/// FNV-1a with a final mix; stands on disk, so it never changes.
fn spread(name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_lanes_as_cores_put_one_on_each() {
        for cores in [1u16, 2, 3, 8, 64] {
            let mut seen = vec![0; usize::from(cores)];
            for lane in 0..cores {
                seen[usize::from(DestinationKey::of("smart.example", lane, cores).core(cores))] +=
                    1;
            }
            assert!(seen.iter().all(|&n| n == 1), "{cores}: {seen:?}");
        }
    }

    #[test]
    fn ranges_of_cores_meet() {
        for cores in [1u16, 2, 3, 7] {
            for core in 0..cores {
                let first = DestinationKey::first_of(core, cores);
                assert_eq!(first.core(cores), core);
                if core > 0 {
                    assert_eq!(DestinationKey(first.0 - 1).core(cores), core - 1);
                }
            }
        }
    }

    #[test]
    fn the_hash_on_disk_never_changes() {
        assert_eq!(DestinationKey::of("example.org", 0, 1).as_u64(), spread("example.org"));
        assert_ne!(spread("example.org"), spread("example.net"));
    }
}
