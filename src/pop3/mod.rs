//! POP3 as a protocol: octets in, replies and requests out; RFC 1939 with CAPA, UIDL, TOP, SASL
//! and pipelining.
//!
//! The maildrop is the account's INBOX as it stood at login. RFC 1939 §8 asks for an exclusive
//! lock; a client that has dropped off the network would shut its successor out with it for as
//! long as the inactivity timer runs. So each session has a snapshot of its own instead: what
//! another one expunges stays readable for as long as [`Session::watching`] says, and to remove
//! twice what two sessions have marked does no harm.
//!
//! A session lists the oldest [`POP3_MESSAGES_MAX`](crate::limits::POP3_MESSAGES_MAX) messages;
//! the ones behind them are there once those are removed.
//!
//! Eight bits are sent as they are, whether or not the client has said UTF8 (RFC 6856): each
//! client in use shows them, and a conversion would break signatures.

mod command;
mod line;
mod reply;
mod session;
mod stuffing;

pub use session::{Context, Effect, Options, Session, Steps};
