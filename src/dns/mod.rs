//! Finding the hosts of a next hop: routes, the MX cache, the resolver, pure.
//!
//! `wire` is the only file that names `hickory-proto`; `cache` keeps answers by name and type;
//! `hosts` reads the hosts of a next hop out of the cache and says what is missing; `resolver`
//! asks for what is missing.

mod cache;
mod hosts;
mod resolver;
pub mod route;
#[cfg(test)]
mod tests;
mod wire;

pub use resolver::{Query, Resolver, Setup};
pub use route::{NextHop, Route, RouteHost};

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{mail::Verdict, time::Duration};

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

/// What is known of a next hop now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Never empty, at most `HOSTS_MAX`, in the order to be tried.
    Found(Vec<Host>),
    /// There is no host to try; the verdict says whether there may be one later.
    Failed(Verdict),
    /// Servers are being asked; `Resolver::answer` will name the next hop when they are done.
    Pending,
}

/// One address of one host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// For logs: `mx.example.org`, or the address where there is no name.
    pub name: Box<str>,
    pub address: SocketAddr,
}

/// The record types that lead mail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Mx = 0,
    A = 1,
    Aaaa = 2,
}

/// What is asked of the DNS, in class IN.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Question {
    /// Lower-case, without a final dot.
    name: Arc<str>,
    kind: Kind,
}

/// What the DNS says to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Records {
    /// In order of preference; empty when no exchange is a host name.
    Mx(Box<[Exchange]>),
    /// RFC 7505: the domain takes no mail.
    NullMx,
    /// Of the question's one family, never empty.
    Addresses(Box<[IpAddr]>),
    /// The name is an alias of this one, which has to be asked for.
    Alias(Box<str>),
    /// The name exists and has no such record.
    NoData,
    /// The name does not exist (NXDOMAIN).
    NoName,
    /// No server had an answer.
    Unanswered,
}

/// One MX record.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Exchange {
    preference: u16,
    /// Lower-case, without a final dot.
    name: Box<str>,
}

/// Records and how long they hold.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Answer {
    records: Records,
    /// `None` when the answer does not say, so it must not be kept (RFC 2308 §5).
    ttl: Option<Duration>,
}

impl Kind {
    const COUNT: usize = 3;

    fn as_str(self) -> &'static str {
        match self {
            Kind::Mx => "MX",
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
        }
    }
}
