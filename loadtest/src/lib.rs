//! Ringload measures mail servers: it offers SMTP and IMAP load, plays the next hop and the name
//! server, runs servers side by side and says how they compare.
//!
//! It shares nothing with the relay it was made for: not a line of protocol, so that a fault of
//! one cannot hide behind the same fault of the other, and no server is measured by its own code.
//! Everything outside `ring` leaves sockets, clocks and the kernel's memory alone where it can:
//! sessions are values that take octets and give octets.

pub mod compare;
pub mod crew;
pub mod imap;
pub mod mail;
pub mod meter;
pub mod outcome;
pub mod progress;
pub mod random;
pub mod report;
pub mod ring;
pub mod rule;
pub mod sampler;
pub mod sink;
pub mod source;
pub mod target;
pub mod tls;
pub mod units;
pub mod zone;
