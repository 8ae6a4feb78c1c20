//! The one impure room: ring, sockets, LMDB, clocks, entropy, threads, signals, log.

pub mod lmdb;
pub mod mesh;
