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
    /// To mailboxes of this very relay: no name is looked up for it.
    Local,
}

/// The first route that matches `domain`, else its own MX.
pub fn next_hop(routes: &[Route], domain: &Domain) -> NextHop {
    let mut numbered = (0..=u16::MAX).zip(routes);
    match numbered.find(|(_, route)| route.domain.matches(domain)) {
        Some((number, _)) => NextHop::Route(number),
        None => NextHop::Mx(domain.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_wins() {
        let routes: Vec<Route> = ["a.example.org", "*.example.org", "example.net"]
            .map(|pattern| Route { domain: pattern.parse().unwrap(), hosts: Vec::new() })
            .into();
        for (domain, hop) in [
            ("a.example.org", Some(0)),
            ("B.example.org", Some(1)),
            ("example.net", Some(2)),
            ("example.org", None),
            ("[192.0.2.1]", None),
        ] {
            let domain = Domain::parse(domain).unwrap();
            let want = hop.map_or(NextHop::Mx(domain.clone()), NextHop::Route);
            assert_eq!(next_hop(&routes, &domain), want);
        }
    }
}
