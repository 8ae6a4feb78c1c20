//! Ringmail: a durable, thread-per-core mail relay on io_uring.
//!
//! Everything outside [`shell`] is pure: bytes, time, randomness and "it is on disk now" come in
//! as values, actions go out as values. Imports only point down, and the modules of one floor do
//! not import each other:
//!
//! | floor | modules |
//! |---:|---|
//! | 5 | `main`, [`cli`] |
//! | 4 | [`shell`]: ring, sockets, LMDB, threads, clocks, entropy, signals, log |
//! | 3 | [`relay`] composes floor 2; [`config`] turns TOML into checked options |
//! | 2 | [`smtp`], [`imap`], [`pop3`], [`dns`], [`queue`], [`store`]: protocols and policies |
//! | 1 | [`mail`]: the vocabulary |
//! | 0 | [`time`], [`random`], [`limits`] |
//!
//! A message takes one straight line: accepted and parsed ([`smtp::server`]), committed
//! ([`store`]), acknowledged, scheduled ([`queue`]), resolved ([`dns`]), delivered
//! ([`smtp::client`]) and settled ([`relay`]). `docs/ARCHITECTURE.md` draws it.

pub mod cli;
pub mod config;
pub mod dns;
pub mod imap;
pub mod limits;
pub mod mail;
pub mod pop3;
pub mod queue;
pub mod random;
pub mod relay;
pub mod shell;
pub mod smtp;
pub mod store;
pub mod time;
