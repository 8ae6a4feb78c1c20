//! Patterns an operator writes: networks of clients and families of domains.

use std::{fmt, net::IpAddr, str::FromStr};

use super::Domain;

/// An address with a prefix length: `192.0.2.0/24`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// `example.org`, `*.example.org` (every name below it, not the name itself) or `*`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DomainPattern {
    Exact(Domain),
    /// Without the `*.`, in lower-case A-labels.
    Below(Box<str>),
    Any,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    #[error("expected a network like 192.0.2.0/24 or 2001:db8::/32")]
    Network,
    #[error("the address has bits set behind the prefix; write the network's first address")]
    HostBits,
    #[error("expected a domain like example.org, *.example.org or *")]
    Domain,
}

impl Network {
    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(ip) => IpAddr::from(masked(ip.octets(), self.prefix)),
            IpAddr::V6(ip) => IpAddr::from(masked(ip.octets(), self.prefix)),
        }
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        // A client that came over IPv4 to a socket of both families is an IPv4 client.
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                same_prefix(net.octets(), ip.octets(), self.prefix)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                same_prefix(net.octets(), ip.octets(), self.prefix)
            }
            _ => false,
        }
    }
}

/// `octets` with every bit behind the prefix cleared.
fn masked<const N: usize>(mut octets: [u8; N], prefix: u8) -> [u8; N] {
    for (index, octet) in octets.iter_mut().enumerate() {
        let kept = usize::from(prefix).saturating_sub(8 * index).min(8);
        *octet &= !(0xffu16 >> kept) as u8;
    }
    octets
}

fn same_prefix<const N: usize>(a: [u8; N], b: [u8; N], prefix: u8) -> bool {
    let (whole, rest) = (usize::from(prefix) / 8, prefix % 8);
    a[..whole] == b[..whole] && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0)
}

impl FromStr for Network {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PatternError::Network)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => {
                digits.parse().ok().filter(|p| *p <= longest).ok_or(PatternError::Network)?
            }
            None => longest,
        };
        let network = Self { address, prefix };
        // Bits behind the prefix are a slip, and this one would open a relay.
        if network.first() == address { Ok(network) } else { Err(PatternError::HostBits) }
    }
}

impl DomainPattern {
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            DomainPattern::Any => true,
            DomainPattern::Exact(exact) => exact == domain,
            DomainPattern::Below(suffix) => domain.name().is_some_and(|name| {
                name.strip_suffix(&**suffix)
                    .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }),
        }
    }
}

impl FromStr for DomainPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(DomainPattern::Any);
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        match Domain::parse(name).map_err(|_| PatternError::Domain)? {
            Domain::Name(name) if below => Ok(DomainPattern::Below(name)),
            Domain::Literal(_) if below => Err(PatternError::Domain),
            domain => Ok(DomainPattern::Exact(domain)),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DomainPattern::Exact(domain) => write!(f, "{domain}"),
            DomainPattern::Below(suffix) => write!(f, "*.{suffix}"),
            DomainPattern::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, ip, within) in [
            ("127.0.0.0/8", "127.9.9.9", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.128/25", "192.0.2.200", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::1/128", "::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            assert_eq!(
                network.parse::<Network>().unwrap().contains(ip.parse().unwrap()),
                within,
                "{ip} in {network}"
            );
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "localhost"] {
            assert_eq!(bad.parse::<Network>(), Err(PatternError::Network), "{bad}");
        }
        for slip in ["10.1.2.3/8", "192.0.2.129/25", "2001:db8:8000::/32"] {
            assert_eq!(slip.parse::<Network>(), Err(PatternError::HostBits), "{slip}");
        }
    }

    #[test]
    fn domains() {
        for (pattern, domain, matches) in [
            ("example.org", "EXAMPLE.org", true),
            ("example.org", "a.example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "badexample.org", false),
            ("*", "[192.0.2.1]", true),
            ("*.bücher.example", "a.xn--bcher-kva.example", true),
        ] {
            let pattern: DomainPattern = pattern.parse().unwrap();
            assert_eq!(
                pattern.matches(&Domain::parse(domain).unwrap()),
                matches,
                "{domain}, {pattern}"
            );
        }
        for bad in ["", "*.", "**", "*.[192.0.2.1]", "a b", "*x.org"] {
            assert_eq!(bad.parse::<DomainPattern>(), Err(PatternError::Domain), "{bad}");
        }
    }
}
