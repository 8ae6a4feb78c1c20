//! Records and keys of the store, behind a checksum that fits: what is read is written the same.

use std::sync::Arc;

use bytes::Bytes;
use ringmail::{
    mail::QueueId,
    store::{
        checksum::{Of, checksum},
        key,
        record::{RecordError, decode_message, decode_parcel, encode_message, encode_parcel},
    },
};

const ID: QueueId = QueueId::from_u64(77);
const PART: u16 = 3;

/// The first octet chooses the kind.
pub fn run(input: &[u8]) {
    let Some((kind, content)) = input.split_first() else { return };
    match kind % 4 {
        0 => message(content),
        1 => parcel(content),
        2 => keys(content),
        _ => damaged(content),
    }
}

fn sealed(of: Of, content: &[u8]) -> Bytes {
    [content, &checksum(of, &[content])].concat().into()
}

fn message(content: &[u8]) {
    let record = sealed(Of::Message(ID), content);
    let Ok(message) = decode_message(ID, record.clone()) else { return };
    let written = Bytes::copy_from_slice(&encode_message(&message));
    assert_eq!(written, record, "two records of one message");
    assert_eq!(decode_message(ID, written), Ok(message));
}

fn parcel(content: &[u8]) {
    let message = Arc::new(ringmail::mail::Message {
        id: ID,
        arrived: Default::default(),
        envelope: Default::default(),
        wire: ringmail::mail::Wire::Stuffed,
        size: 0,
        parcels: 9,
    });
    let record = sealed(Of::Parcel(ID, PART), content);
    let Ok(parcel) = decode_parcel(&message, PART, record.clone()) else { return };
    assert!(!parcel.recipients.is_empty(), "an empty parcel is settled");
    let written = Bytes::copy_from_slice(&encode_parcel(&parcel));
    assert_eq!(written, record, "two records of one parcel");
    assert_eq!(decode_parcel(&message, PART, written), Ok(parcel));
}

fn keys(octets: &[u8]) {
    if let Some((due, id)) = key::read_due(octets) {
        let written = key::due(&due, id);
        assert_eq!(&written[..], octets);
        assert!(key::due_class(due.destination, due.class)[..] < written[..]);
        assert!(written[..] < key::due_after(&written)[..]);
    }
    if let Some(id) = key::read_message(octets) {
        assert_eq!(&key::message(id)[..], octets);
        assert!(key::parcel(ringmail::mail::ParcelId { message: id, part: 1 }).starts_with(octets));
        assert!(key::body(id, 1).starts_with(octets));
    }
}

/// Without a checksum that fits, nothing is read.
fn damaged(octets: &[u8]) {
    let record = Bytes::copy_from_slice(octets);
    let fits = octets.split_last_chunk().is_some_and(|(content, sum): (&[u8], &[u8; 4])| {
        checksum(Of::Message(ID), &[content]) == *sum
    });
    assert_eq!(decode_message(ID, record) == Err(RecordError::Checksum), !fits);
}
