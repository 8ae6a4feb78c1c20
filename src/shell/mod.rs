//! The one impure room: ring, sockets, LMDB, clocks, entropy, threads, signals, log.
//!
//! One pinned thread a core runs [`core`]: a ring, listeners of its own and one relay. Threads
//! beside them write the store, write the log and wait for signals; [`serve`] holds them together.

mod accept;
mod clients;
mod clock;
mod connection;
mod core;
mod datagram;
mod desk;
mod dial;
mod entropy;
pub mod lmdb;
mod log;
pub mod mesh;
mod operation;
mod ring;
mod serve;
mod signal;
mod threads;
mod timer;

pub use self::serve::{ServeError, serve};

#[cfg(test)]
mod tests;
