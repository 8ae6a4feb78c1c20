//! Where mail for a domain goes next: a configured route, or the domain's MX records.

use std::net::SocketAddr;

use crate::mail::{Domain, DomainPattern};

/// One `[[route]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    pub domain: DomainPattern,
    /// Tried in this order; never empty.
    pub hosts: Vec<RouteHost>,
}

/// `192.0.2.1:25`, `[2001:db8::1]:25` or `smart.example.org:25`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RouteHost {
    Address(SocketAddr),
    Name(Domain, u16),
}

/// Where a parcel goes next. Parcels of one next hop share connections and limits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NextHop {
    /// By the MX records of the domain, or to the address literal.
    Mx(Domain),
    /// To the hosts of the route with this number.
    Route(u16),
}
