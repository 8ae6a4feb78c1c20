//! The vocabulary of the relay: addresses, envelopes, messages, parcels and verdicts.
//!
//! A *message* is what came in: an envelope and a body. It is cut into *parcels*, one for each
//! next hop (and at most `PARCEL_RECIPIENTS_MAX` recipients each); a parcel is what is scheduled,
//! attempted and settled. A *verdict* is what an attempt said about one recipient.

pub mod address;
pub mod date;
pub mod envelope;
pub mod exchange;
pub mod header;
pub mod mailbox;
pub mod message;
pub mod mime;
pub mod out;
pub mod parcel;
pub mod pattern;
pub mod report;
pub mod sasl;
pub mod status;
pub mod text;
pub mod trace;
pub mod utf7;
pub mod verdict;

pub use address::{Address, AddressError, Domain};
pub use envelope::{BodyType, Envelope, Notify, Recipient, Ret};
pub use message::{Body, Message, QueueId, QueueIds, Wire};
pub use out::Out;
pub use parcel::{Class, DestinationKey, Due, Parcel, ParcelId};
pub use pattern::{DomainPattern, Network};
pub use status::Status;
pub use verdict::{Outcome, Verdict};
