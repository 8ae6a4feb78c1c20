//! The records of the store: a message's facts and a parcel's recipients as octets on disk.
//!
//! Numbers are little-endian, texts carry their length in two octets, and a checksum ends each
//! record. `docs/STORAGE.md` draws the layout.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::checksum::{Of, checksum, verified};
use crate::{
    limits::CHECKSUM,
    mail::{
        Address, BodyType, Class, DestinationKey, Due, Envelope, Message, Notify, Parcel, QueueId,
        Recipient, Ret, Wire,
    },
    time::Wall,
};

/// An encoded record; most fit without an allocation.
pub type Record = SmallVec<[u8; 384]>;

/// The layout of both records; a record of another version is not guessed at.
const VERSION: u8 = 1;

const EIGHT_BIT: u8 = 1;
const SMTPUTF8: u8 = 2;
const PLAIN: u8 = 4;
const RET_FULL: u8 = 8;
const RET_HEADERS: u8 = 16;
const ENVID: u8 = 32;
const REVERSE_PATH: u8 = 64;

const WARNED: u8 = 1;

/// Beside the four bits of NOTIFY.
const ORCPT: u8 = 128;

/// Why a record cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    #[error("its checksum is wrong; the disk has changed it, restore it from a backup")]
    Checksum,
    #[error("its layout {0} is unknown; run the version of ringmail that wrote it")]
    Version(u8),
    #[error("it ends early; restore it from a backup")]
    Short,
    #[error("its field `{0}` is out of bounds; restore it from a backup")]
    Field(&'static str),
}

pub fn encode_message(message: &Message) -> Record {
    let envelope = &message.envelope;
    let mut flags = 0;
    for (flag, set) in [
        (EIGHT_BIT, envelope.body_type == BodyType::EightBitMime),
        (SMTPUTF8, envelope.smtputf8),
        (PLAIN, message.wire == Wire::Plain),
        (RET_FULL, envelope.ret == Some(Ret::Full)),
        (RET_HEADERS, envelope.ret == Some(Ret::Headers)),
        (ENVID, envelope.envid.is_some()),
        (REVERSE_PATH, envelope.reverse_path.is_some()),
    ] {
        if set {
            flags |= flag;
        }
    }
    let mut record = Record::from_slice(&[VERSION, flags]);
    record.extend_from_slice(&message.parcels.to_le_bytes());
    record.extend_from_slice(&message.arrived.as_millis().to_le_bytes());
    record.extend_from_slice(&message.size.to_le_bytes());
    if let Some(path) = &envelope.reverse_path {
        put_text(&mut record, path.as_bytes());
    }
    if let Some(envid) = &envelope.envid {
        put_text(&mut record, envid);
    }
    seal(record, Of::Message(message.id))
}

/// Reads a message's record; its texts stay slices of `record`.
pub fn decode_message(id: QueueId, record: Bytes) -> Result<Message, RecordError> {
    let mut record = open(record, Of::Message(id))?;
    let flags = u8_of(&mut record)?;
    if flags & !(REVERSE_PATH | (REVERSE_PATH - 1)) != 0 {
        return Err(RecordError::Field("flags"));
    }
    let parcels = record.try_get_u16_le().map_err(|_| RecordError::Short)?;
    let arrived = Wall::from_millis(u64_of(&mut record)?);
    let size = u64_of(&mut record)?;
    let reverse_path = match flags & REVERSE_PATH {
        0 => None,
        _ => Some(address_of(&mut record, "reverse path")?),
    };
    let envid = match flags & ENVID {
        0 => None,
        _ => Some(text_of(&mut record)?),
    };
    let ret = match flags & (RET_FULL | RET_HEADERS) {
        0 => None,
        RET_FULL => Some(Ret::Full),
        RET_HEADERS => Some(Ret::Headers),
        _ => return Err(RecordError::Field("RET")),
    };
    let body_type =
        if flags & EIGHT_BIT == 0 { BodyType::SevenBit } else { BodyType::EightBitMime };
    ended(&record)?;
    Ok(Message {
        id,
        arrived,
        envelope: Envelope { reverse_path, body_type, smtputf8: flags & SMTPUTF8 != 0, ret, envid },
        wire: if flags & PLAIN == 0 { Wire::Stuffed } else { Wire::Plain },
        size,
        parcels,
    })
}

pub fn encode_parcel(parcel: &Parcel) -> Record {
    let mut record = Record::from_slice(&[VERSION, if parcel.warned { WARNED } else { 0 }]);
    record.extend_from_slice(&parcel.attempts.to_le_bytes());
    record.extend_from_slice(&parcel.due.destination.as_u64().to_le_bytes());
    record.push(parcel.due.class as u8);
    record.extend_from_slice(&parcel.due.at.as_millis().to_le_bytes());
    put_text(&mut record, &parcel.last_reply);
    // A parcel has at most `PARCEL_RECIPIENTS_MAX`, so the two octets hold.
    record.extend_from_slice(&(parcel.recipients.len() as u16).to_le_bytes());
    for recipient in &parcel.recipients {
        let orcpt = if recipient.orcpt.is_some() { ORCPT } else { 0 };
        record.push(recipient.notify.bits() | orcpt);
        put_text(&mut record, recipient.address.as_bytes());
        if let Some(orcpt) = &recipient.orcpt {
            put_text(&mut record, orcpt);
        }
    }
    seal(record, Of::Parcel(parcel.message.id, parcel.part))
}

/// Reads a parcel's record; its texts stay slices of `record`.
pub fn decode_parcel(
    message: &Arc<Message>,
    part: u16,
    record: Bytes,
) -> Result<Parcel, RecordError> {
    let mut record = open(record, Of::Parcel(message.id, part))?;
    let flags = u8_of(&mut record)?;
    if flags & !WARNED != 0 {
        return Err(RecordError::Field("flags"));
    }
    let attempts = record.try_get_u32_le().map_err(|_| RecordError::Short)?;
    let destination = DestinationKey::from_u64(u64_of(&mut record)?);
    let class = match u8_of(&mut record)? {
        0 => Class::Fresh,
        1 => Class::Deferred,
        _ => return Err(RecordError::Field("class")),
    };
    let at = Wall::from_millis(u64_of(&mut record)?);
    let last_reply = text_of(&mut record)?;
    let count = usize::from(record.try_get_u16_le().map_err(|_| RecordError::Short)?);
    // A recipient takes three octets at least: a wrong count cannot ask for much memory.
    if count == 0 || count > record.len() / 3 {
        return Err(RecordError::Field("count of recipients"));
    }
    let mut recipients = Vec::with_capacity(count);
    for _ in 0..count {
        let bits = u8_of(&mut record)?;
        let notify = Notify::from_bits(bits);
        if bits & !ORCPT != notify.bits() {
            return Err(RecordError::Field("NOTIFY"));
        }
        let address = address_of(&mut record, "recipient")?;
        let orcpt = if bits & ORCPT == 0 { None } else { Some(text_of(&mut record)?) };
        recipients.push(Recipient { address, notify, orcpt });
    }
    ended(&record)?;
    Ok(Parcel {
        message: message.clone(),
        part,
        due: Due { destination, class, at },
        attempts,
        warned: flags & WARNED != 0,
        recipients,
        last_reply,
        body: None,
    })
}

fn put_text(record: &mut Record, text: &[u8]) {
    // Every text of an envelope is bounded by a command line, far below two octets of length.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&text[..usize::from(length)]);
}

pub(super) fn seal(mut record: Record, of: Of<'_>) -> Record {
    let sum = checksum(of, &[&record]);
    record.extend_from_slice(&sum);
    record
}

/// The fields of a record behind its version.
fn open(mut record: Bytes, of: Of<'_>) -> Result<Bytes, RecordError> {
    verified(of, &record).ok_or(RecordError::Checksum)?;
    record.truncate(record.len() - CHECKSUM);
    match u8_of(&mut record)? {
        VERSION => Ok(record),
        other => Err(RecordError::Version(other)),
    }
}

fn u8_of(record: &mut Bytes) -> Result<u8, RecordError> {
    record.try_get_u8().map_err(|_| RecordError::Short)
}

fn u64_of(record: &mut Bytes) -> Result<u64, RecordError> {
    record.try_get_u64_le().map_err(|_| RecordError::Short)
}

fn text_of(record: &mut Bytes) -> Result<Bytes, RecordError> {
    let length = usize::from(record.try_get_u16_le().map_err(|_| RecordError::Short)?);
    if length > record.len() {
        return Err(RecordError::Short);
    }
    Ok(record.split_to(length))
}

fn address_of(record: &mut Bytes, field: &'static str) -> Result<Address, RecordError> {
    let text = text_of(record)?;
    Address::parse(text.clone())
        .ok()
        .or_else(|| Address::postmaster(text))
        .ok_or(RecordError::Field(field))
}

fn ended(record: &Bytes) -> Result<(), RecordError> {
    if record.is_empty() { Ok(()) } else { Err(RecordError::Field("length")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &'static str) -> Address {
        Address::parse(Bytes::from_static(text.as_bytes())).unwrap()
    }

    fn messages() -> Vec<Message> {
        let plain = Message {
            id: QueueId::from_u64(77),
            arrived: Wall::from_millis(1_700_000_000_000),
            envelope: Envelope::default(),
            wire: Wire::Stuffed,
            size: 0,
            parcels: 1,
        };
        let full = Message {
            envelope: Envelope {
                reverse_path: Some(address("jörg@bücher.example")),
                body_type: BodyType::EightBitMime,
                smtputf8: true,
                ret: Some(Ret::Headers),
                envid: Some(Bytes::from_static(b"QQ314159")),
            },
            wire: Wire::Plain,
            size: u64::MAX,
            parcels: u16::MAX,
            ..plain.clone()
        };
        let mut other = full.clone();
        other.envelope.ret = Some(Ret::Full);
        other.envelope.reverse_path = Address::postmaster(Bytes::from_static(b"Postmaster"));
        vec![plain, full, other]
    }

    fn parcel(recipients: usize) -> Parcel {
        let mut all = vec![
            Recipient::plain(address("a@example.org")),
            Recipient {
                address: address("\"b c\"@[192.0.2.1]"),
                notify: Notify::SUCCESS.union(Notify::DELAY),
                orcpt: Some(Bytes::from_static(b"rfc822;b+20c@example.net")),
            },
            Recipient {
                address: Address::postmaster(Bytes::from_static(b"postmaster")).unwrap(),
                notify: Notify::NEVER,
                orcpt: None,
            },
        ];
        all.truncate(recipients);
        Parcel {
            message: Arc::new(messages().swap_remove(1)),
            part: 3,
            due: Due {
                destination: DestinationKey::of("example.org", 0, 1),
                class: Class::Deferred,
                at: Wall::from_millis(1_700_000_001_234),
            },
            attempts: 9,
            warned: true,
            recipients: all,
            last_reply: Bytes::from_static(b"451 4.7.1 greylisted"),
            body: None,
        }
    }

    /// The record's content with a checksum that fits it.
    fn resealed(content: &[u8], of: Of<'_>) -> Bytes {
        Bytes::copy_from_slice(&seal(Record::from_slice(content), of))
    }

    #[test]
    fn messages_round_trip() {
        for message in messages() {
            let record = Bytes::copy_from_slice(&encode_message(&message));
            assert_eq!(decode_message(message.id, record), Ok(message));
        }
    }

    #[test]
    fn parcels_round_trip() {
        for recipients in 1..=3 {
            let parcel = parcel(recipients);
            let record = Bytes::copy_from_slice(&encode_parcel(&parcel));
            assert_eq!(decode_parcel(&parcel.message, parcel.part, record), Ok(parcel));
        }
    }

    #[test]
    fn changed_cut_and_misplaced_records_are_found() {
        let message = messages().swap_remove(1);
        let record = encode_message(&message);
        let decode = |octets: &[u8]| decode_message(message.id, Bytes::copy_from_slice(octets));
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 0x10;
            assert_eq!(decode(&changed), Err(RecordError::Checksum), "octet {at}");
            assert_eq!(decode(&record[..at]), Err(RecordError::Checksum), "length {at}");
        }
        let elsewhere = QueueId::from_u64(78);
        let record = Bytes::copy_from_slice(&record);
        assert_eq!(decode_message(elsewhere, record), Err(RecordError::Checksum));
    }

    #[test]
    fn records_that_lie_are_refused() {
        let of = Of::Message(QueueId::from_u64(77));
        let whole = encode_message(&messages()[1]);
        let content = &whole[..whole.len() - CHECKSUM];
        let decode = |content: &[u8]| decode_message(QueueId::from_u64(77), resealed(content, of));
        for length in 0..content.len() {
            assert_eq!(decode(&content[..length]), Err(RecordError::Short), "length {length}");
        }
        let with = |at: usize, octet: u8| {
            let mut changed = content.to_vec();
            changed[at] = octet;
            decode(&changed)
        };
        assert_eq!(with(0, 2), Err(RecordError::Version(2)));
        assert_eq!(with(1, 0xff), Err(RecordError::Field("flags")));
        assert_eq!(with(1, content[1] | RET_FULL), Err(RecordError::Field("RET")));
        assert_eq!(with(22, b' '), Err(RecordError::Field("reverse path")));
        assert_eq!(decode(&[content, b"x"].concat()), Err(RecordError::Field("length")));
    }

    proptest::proptest! {
        /// Whatever lies there with a good checksum: an error or a record, never a panic.
        #[test]
        fn garbage_does_no_harm(mut content: Vec<u8>) {
            if let Some(first) = content.first_mut() {
                *first = VERSION;
            }
            let message = Arc::new(messages().swap_remove(0));
            let _ = decode_message(message.id, resealed(&content, Of::Message(message.id)));
            let of = Of::Parcel(message.id, 1);
            let _ = decode_parcel(&message, 1, resealed(&content, of));
            let _ = decode_parcel(&message, 1, Bytes::from(content));
        }
    }
}
