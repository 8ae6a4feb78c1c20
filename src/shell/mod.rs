//! The one impure room: ring, sockets, LMDB, clocks, entropy, threads, signals, log.

pub mod commit;
pub mod intake;
pub mod lmdb;
pub mod load;
pub mod mesh;
pub mod open;
pub mod resident;
pub mod tables;
