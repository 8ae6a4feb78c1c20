//! The keys of the store, big-endian so that LMDB's order of octets is the order of the numbers.

use crate::{
    mail::{Class, DestinationKey, Due, ParcelId, QueueId},
    time::Wall,
};

/// The version of the format that this program writes: the value of `META_FORMAT`.
pub const FORMAT: u32 = 3;

/// In `Meta`: the format's version, 4 octets little-endian.
pub const META_FORMAT: &[u8] = b"format";

/// In `Meta`: the highest queue id ever committed, 8 octets little-endian.
pub const META_HIGHEST: &[u8] = b"highest";

/// Octets of a key of `Due`.
pub const DUE: usize = 27;

/// Of `Message` and `Spool`; of `Parcel` and `Body` the prefix of all rows of one message.
pub fn message(id: QueueId) -> [u8; 8] {
    id.as_u64().to_be_bytes()
}

pub fn parcel(id: ParcelId) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&message(id.message));
    key[8..].copy_from_slice(&id.part.to_be_bytes());
    key
}

pub fn body(id: QueueId, row: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&message(id));
    key[8..].copy_from_slice(&row.to_be_bytes());
    key
}

pub fn due(due: &Due, id: ParcelId) -> [u8; DUE] {
    let mut key = [0; DUE];
    key[..9].copy_from_slice(&due_class(due.destination, due.class));
    key[9..17].copy_from_slice(&due.at.as_millis().to_be_bytes());
    key[17..].copy_from_slice(&parcel(id));
    key
}

/// The prefix of the keys of `Due` of one destination and class.
pub fn due_class(destination: DestinationKey, class: Class) -> [u8; 9] {
    let mut key = [0; 9];
    key[..8].copy_from_slice(&destination.as_u64().to_be_bytes());
    key[8] = class as u8;
    key
}

/// The key of `Due` that follows `key` in the order of octets.
pub fn due_after(key: &[u8; DUE]) -> [u8; DUE + 1] {
    let mut after = [0; DUE + 1];
    after[..DUE].copy_from_slice(key);
    after
}

/// Reads a key of `Due`.
pub fn read_due(key: &[u8]) -> Option<(Due, ParcelId)> {
    let key: &[u8; DUE] = key.try_into().ok()?;
    let word = |at: usize| Some(u64::from_be_bytes(*key[at..].first_chunk()?));
    let class = match key[8] {
        0 => Class::Fresh,
        1 => Class::Deferred,
        _ => return None,
    };
    let due = Due {
        destination: DestinationKey::from_u64(word(0)?),
        class,
        at: Wall::from_millis(word(9)?),
    };
    let part = u16::from_be_bytes([key[25], key[26]]);
    Some((due, ParcelId { message: QueueId::from_u64(word(17)?), part }))
}

/// Reads a key of `Message` or `Spool`.
pub fn read_message(key: &[u8]) -> Option<QueueId> {
    Some(QueueId::from_u64(u64::from_be_bytes(key.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(destination: u64, class: Class, at: u64, id: u64, part: u16) -> (Due, ParcelId) {
        let destination = DestinationKey::from_u64(destination);
        (
            Due { destination, class, at: Wall::from_millis(at) },
            ParcelId { message: QueueId::from_u64(id), part },
        )
    }

    #[test]
    fn due_keys_sort_as_their_fields_and_read_back() {
        let rising = [
            sample(0, Class::Fresh, 0, 0, 0),
            sample(0, Class::Fresh, 0, 0, 1),
            sample(0, Class::Fresh, 0, 256, 0),
            sample(0, Class::Fresh, 255, 1, 0),
            sample(0, Class::Fresh, 256, 0, 0),
            sample(0, Class::Deferred, 0, 0, 0),
            sample(1, Class::Fresh, 0, 0, 0),
            sample(u64::MAX, Class::Deferred, u64::MAX, u64::MAX, u16::MAX),
        ];
        for pair in rising.windows(2) {
            let [low, high] = [due(&pair[0].0, pair[0].1), due(&pair[1].0, pair[1].1)];
            assert!(low < high, "{pair:?}");
            assert!(low[..] < due_after(&low)[..] && due_after(&low)[..] < high[..], "{pair:?}");
        }
        for (at, id) in rising {
            assert_eq!(read_due(&due(&at, id)), Some((at, id)));
        }
    }

    #[test]
    fn garbage_is_no_key() {
        let mut key = due(
            &sample(1, Class::Deferred, 2, 3, 4).0,
            ParcelId { message: QueueId::from_u64(3), part: 4 },
        );
        assert_eq!(read_due(&key[..26]), None);
        assert_eq!(read_due(&[]), None);
        key[8] = 2;
        assert_eq!(read_due(&key), None);
        assert_eq!(read_message(&[1; 7]), None);
        assert_eq!(read_message(&[0; 8]), Some(QueueId::MIN));
    }
}
