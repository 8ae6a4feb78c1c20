//! IMAP as a protocol: octets in, replies and requests out; RFC 3501 and RFC 9051 with what
//! clients in use ask for besides.

pub mod command;
mod fetch;
pub mod frame;
mod list;
pub mod names;
mod parse;
pub mod reply;
mod search;
pub mod session;
pub mod set;
mod status;
mod uids;
