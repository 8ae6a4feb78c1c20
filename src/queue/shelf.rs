//! A shelf: the parcels of one destination key on disk, as far as the schedule knows of them.

use super::schedule::Place;
use crate::{mail::ParcelId, time::Wall};

#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Parcels of this shelf in memory.
    pub held: usize,
    /// A page of it is being read.
    pub reading: bool,
    /// Settled while a page was being read: it may bring them once more.
    pub settled_meanwhile: Vec<ParcelId>,
    /// The destination that its parcels went to last.
    pub place: Option<Place>,
    pub sides: [Side; 2],
}

#[derive(Debug, Default)]
pub(super) struct Side {
    /// Due on disk at this time, and in the agenda with it, unless blocked.
    pub noted: Option<Wall>,
    pub blocked: bool,
    /// Rows up to here have been read.
    pub cursor: Option<(Wall, ParcelId)>,
}
