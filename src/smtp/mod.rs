//! SMTP, RFC 5321 and the extensions in `docs/RFC.md`: the lines both sides share, and the
//! sessions of both sides as state machines without I/O.

pub mod client;
pub mod server;
