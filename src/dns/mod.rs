//! Finding the hosts of a next hop: routes, the MX cache, the resolver, pure. `wire` is the only
//! file that names `hickory-proto`.

pub mod route;

pub use route::{NextHop, Route};

use std::net::SocketAddr;

use crate::time::Duration;

/// `[dns]` of the configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Never empty.
    pub servers: Vec<SocketAddr>,
    /// Of one exchange with one server.
    pub timeout: Duration,
    pub cache_entries_max: usize,
    pub ttl_min: Duration,
    pub ttl_max: Duration,
    pub negative_ttl_max: Duration,
    /// How long an expired answer may still serve when no server answers.
    pub serve_stale: Duration,
}
