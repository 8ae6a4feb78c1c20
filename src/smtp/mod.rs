//! SMTP, RFC 5321 and the extensions in `docs/RFC.md`: the lines both sides share, and the
//! sessions of both sides as state machines without I/O.

pub mod client;
pub mod command;
pub mod data;
pub mod extension;
pub mod line;
pub mod reply;
pub mod server;
