//! The one impure room: ring, sockets, LMDB, clocks, entropy, threads, signals, log.
//!
//! One pinned thread a core runs [`core`]: a ring, listeners of its own and one relay. Threads
//! beside them write the store, write the log and wait for signals; [`serve`] holds them together.

mod accept;
pub mod backup;
mod clients;
mod clock;
mod connection;
pub mod control;
mod core;
mod datagram;
mod desk;
mod dial;
mod entropy;
pub mod exchange;
pub mod lmdb;
mod log;
pub mod mesh;
mod operation;
mod ring;
pub mod secrets;
mod serve;
mod signal;
pub mod terminal;
mod threads;
mod timer;
mod watches;
mod welcome;

pub use self::serve::{ServeError, serve};

#[cfg(test)]
mod tests;
