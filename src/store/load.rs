//! What the relay reads back from the store: which destinations are due, their parcels, bodies.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Reads, StoreError, Table,
    checksum::{Of, verified},
    content::Unpress,
    key, mailbox,
    record::{RecordError, decode_message, decode_parcel},
};
use crate::{
    limits::BODY_ROW,
    mail::{
        Body, Class, DestinationKey, Due, Message, Parcel, ParcelId, QueueId,
        mailbox::{Ask, Found},
    },
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
    /// About accounts and mailboxes.
    Mailbox(Box<Ask>),
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
    Mailbox(Box<Found>),
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

/// Why something in the store cannot be read, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadError {
    #[error("its row is missing; restore it from a backup")]
    Missing,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("its parcel {0} is damaged: {1}")]
    Parcel(u16, RecordError),
    #[error("its parcel {0} is missing; restore it from a backup")]
    NoParcel(u16),
    #[error("its parcel {0} says that it is due at another time; restore it from a backup")]
    Strayed(u16),
    #[error("row {0} of its body is missing or damaged; restore it from a backup")]
    Body(u32),
}

impl Load {
    /// Answers from one snapshot. What is damaged is left where it lies, told to `warn`, and does
    /// not keep the rest from being read.
    pub fn run<R: Reads>(
        &self,
        reads: &R,
        unpress: &mut Unpress,
        warn: &mut dyn FnMut(String),
    ) -> Result<Loaded, R::Error> {
        let mut tell = |id: QueueId, error: LoadError| {
            warn(format!("message {id} cannot be read from the store: {error}"));
        };
        match self {
            &Load::Agenda { from, to, limit } => agenda(reads, from, to, limit),
            &Load::Page { destination, class, after, until, limit, body_octets } => {
                let start = match after {
                    Some((at, id)) => {
                        key::due_after(&key::due(&Due { destination, class, at }, id)).to_vec()
                    }
                    None => key::due_class(destination, class).to_vec(),
                };
                let mut page = Page { reads, body_octets, message: None };
                page.run(&key::due_class(destination, class), start, until, limit, &mut tell)
            }
            &Load::Body { message, offset, octets } => {
                let read = message_row(reads, message)?;
                let part = match read {
                    Ok(read) => body_part(reads, &read, offset, octets)?,
                    Err(error) => Err(error),
                };
                Ok(match part {
                    Ok(octets) if octets.is_empty() => Loaded::Body { pieces: Vec::new() },
                    Ok(octets) => Loaded::Body { pieces: vec![octets] },
                    Err(error) => {
                        tell(message, error);
                        Loaded::Failed(StoreError::Failed)
                    }
                })
            }
            Load::Mailbox(ask) => Ok(match mailbox::ask(ask, reads, unpress, warn)? {
                Some(found) => Loaded::Mailbox(Box::new(found)),
                None => Loaded::Failed(StoreError::Failed),
            }),
        }
    }
}

/// Skips from destination to destination: two look-ups each, however many parcels it has.
fn agenda<R: Reads>(
    reads: &R,
    from: DestinationKey,
    to: DestinationKey,
    limit: usize,
) -> Result<Loaded, R::Error> {
    let mut entries: Vec<AgendaEntry> = Vec::new();
    let mut seek = key::due_class(from, Class::Fresh).to_vec();
    let next = loop {
        let Some(found) = reads.key_from(Table::Due, &seek)? else { break None };
        let Some((due, _)) = key::read_due(found) else {
            // No key of ours; go on behind it.
            seek = [found, &[0]].concat();
            continue;
        };
        if due.destination > to {
            break None;
        }
        let known = entries.last().is_some_and(|last| last.destination == due.destination);
        if !known {
            if entries.len() >= limit {
                break Some(due.destination);
            }
            entries.push(AgendaEntry { destination: due.destination, fresh: None, deferred: None });
        }
        if let Some(entry) = entries.last_mut() {
            let earliest = match due.class {
                Class::Fresh => &mut entry.fresh,
                Class::Deferred => &mut entry.deferred,
            };
            *earliest = Some(due.at);
        }
        seek.clear();
        match due.class {
            Class::Fresh => {
                seek.extend_from_slice(&key::due_class(due.destination, Class::Deferred));
            }
            Class::Deferred => match due.destination.as_u64().checked_add(1) {
                Some(after) => seek.extend_from_slice(&after.to_be_bytes()),
                None => break None,
            },
        }
    };
    Ok(Loaded::Agenda { entries, next })
}

/// What was read, or what is wrong with it; the outer error ends the whole reading.
type Checked<T, E> = Result<Result<T, LoadError>, E>;

/// A page being read.
struct Page<'a, R> {
    reads: &'a R,
    /// Room for bodies that is left.
    body_octets: usize,
    /// The message read last, with its body: parcels of one message are neighbours.
    message: Option<(Arc<Message>, Option<Body>)>,
}

impl<R: Reads> Page<'_, R> {
    fn run(
        &mut self,
        prefix: &[u8],
        mut seek: Vec<u8>,
        until: Wall,
        limit: usize,
        warn: &mut dyn FnMut(QueueId, LoadError),
    ) -> Result<Loaded, R::Error> {
        let mut parcels = Vec::new();
        let next_due = loop {
            let Some(found) = self.reads.key_from(Table::Due, &seek)? else { break None };
            if !found.starts_with(prefix) {
                break None;
            }
            seek.clear();
            seek.extend_from_slice(found);
            seek.push(0);
            let Some((due, id)) = key::read_due(found) else { continue };
            if due.at > until || parcels.len() >= limit {
                break Some(due.at);
            }
            match self.parcel(due, id)? {
                Ok(parcel) => parcels.push(parcel),
                Err(error) => warn(id.message, error),
            }
        };
        Ok(Loaded::Page { parcels, next_due })
    }

    fn parcel(&mut self, due: Due, id: ParcelId) -> Checked<Parcel, R::Error> {
        let (message, body) = match self.message(id.message)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let Some(record) = self.reads.row(Table::Parcel, &key::parcel(id))? else {
            return Ok(Err(LoadError::NoParcel(id.part)));
        };
        Ok(match decode_parcel(&message, id.part, Bytes::copy_from_slice(record)) {
            Ok(parcel) if parcel.due == due => Ok(Parcel { body, ..parcel }),
            Ok(_) => Err(LoadError::Strayed(id.part)),
            Err(error) => Err(LoadError::Parcel(id.part, error)),
        })
    }

    /// The message, with its body where there is room for that.
    fn message(&mut self, id: QueueId) -> Checked<(Arc<Message>, Option<Body>), R::Error> {
        if let Some(known) = self.message.as_ref().filter(|(message, _)| message.id == id) {
            return Ok(Ok(known.clone()));
        }
        let message = match message_row(self.reads, id)? {
            Ok(message) => Arc::new(message),
            Err(error) => return Ok(Err(error)),
        };
        let fits = usize::try_from(message.size).ok().filter(|size| *size <= self.body_octets);
        let body = match fits {
            None => None,
            Some(size) => match body_part(self.reads, &message, 0, size)? {
                Ok(octets) => {
                    self.body_octets -= size;
                    Some(Body::new([octets]))
                }
                // The parcel goes on without it: its delivery finds the damage, and its sender
                // hears of it when the message expires.
                Err(_) => None,
            },
        };
        Ok(Ok(self.message.insert((message, body)).clone()))
    }
}

fn message_row<R: Reads>(reads: &R, id: QueueId) -> Checked<Message, R::Error> {
    Ok(match reads.row(Table::Message, &key::message(id))? {
        Some(record) => decode_message(id, Bytes::copy_from_slice(record)).map_err(Into::into),
        None => Err(LoadError::Missing),
    })
}

/// Octets of a body, or what there is of them; every row that is touched is verified whole.
fn body_part<R: Reads>(
    reads: &R,
    message: &Message,
    offset: u64,
    octets: usize,
) -> Checked<Bytes, R::Error> {
    const ROW: u64 = BODY_ROW as u64;
    let end = message.size.min(offset.saturating_add(octets as u64));
    let mut at = offset;
    // The size has passed the record's checksum, so it is one that we wrote.
    let mut part = Vec::with_capacity(end.saturating_sub(offset) as usize);
    while at < end {
        let first = at / ROW * ROW;
        let row = u32::try_from(at / ROW).unwrap_or(u32::MAX);
        let full = (message.size - first).min(ROW) as usize;
        let value = reads.row(Table::Body, &key::body(message.id, row))?.unwrap_or_default();
        let content =
            verified(Of::Body(message.id, row), value).filter(|content| content.len() == full);
        let Some(content) = content else { return Ok(Err(LoadError::Body(row))) };
        let upto = end.min(first + ROW);
        part.extend_from_slice(&content[(at - first) as usize..(upto - first) as usize]);
        at = upto;
    }
    Ok(Ok(Bytes::from(part)))
}
