//! What the relay reads back from the store: which destinations are due, their parcels, bodies.

use bytes::Bytes;

use super::StoreError;
use crate::{
    mail::{Class, DestinationKey, Parcel, ParcelId, QueueId},
    time::Wall,
};

/// A question to the store, answered by one short read transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Load {
    /// The destinations with mail, in order of their keys, from `from` up to and including `to`.
    Agenda { from: DestinationKey, to: DestinationKey, limit: usize },
    /// The parcels of one destination and class that are due at `until`, in order of their due
    /// times, behind `after`. Bodies come along while they sum up to at most `body_octets`.
    Page {
        destination: DestinationKey,
        class: Class,
        after: Option<(Wall, ParcelId)>,
        until: Wall,
        limit: usize,
        body_octets: usize,
    },
    /// Octets of a body: `octets` from `offset`, or what there is.
    Body { message: QueueId, offset: u64, octets: usize },
}

/// The answer to a `Load`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loaded {
    Agenda {
        entries: Vec<AgendaEntry>,
        next: Option<DestinationKey>,
    },
    /// `next_due`: when the first parcel that is not in this page is due.
    Page {
        parcels: Vec<Parcel>,
        next_due: Option<Wall>,
    },
    Body {
        pieces: Vec<Bytes>,
    },
    Failed(StoreError),
}

/// A destination with mail on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AgendaEntry {
    pub destination: DestinationKey,
    /// The earliest due time of its fresh parcels, if it has any.
    pub fresh: Option<Wall>,
    /// The same of its deferred ones.
    pub deferred: Option<Wall>,
}
