//! Which addresses load may be sent to.
//!
//! A load test aimed at somebody else is an attack. Unless the user says that the target is
//! theirs, only loopback and networks that nobody routes are let through.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
};

use thiserror::Error;

/// Why an address cannot be a target.
#[derive(Debug, Error)]
pub enum TargetError {
    #[error("`{0}` is no target: write HOST:PORT, such as 127.0.0.1:2525 or [::1]:2525")]
    Form(String),
    #[error("`{host}` cannot be looked up: {error}; write its address instead")]
    Lookup { host: String, error: io::Error },
    #[error("`{0}` has no address; write one")]
    Nowhere(String),
    #[error(
        "{0} is neither loopback nor a private or test network: aim at your own test network, \
         or add --i-own-this-target if this server is yours to load"
    )]
    Foreign(IpAddr),
}

/// The address of `HOST:PORT`, if load may go there; `owned` lets every address through.
///
/// Of a name's addresses the first IPv4 one counts, then the first other one: a server under test
/// listens on 127.0.0.1 more often than on ::1.
pub fn resolve(text: &str, owned: bool) -> Result<SocketAddr, TargetError> {
    let form = || TargetError::Form(text.to_owned());
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0).ok_or_else(form)?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    // An IPv6 address without brackets would be read with its last group as the port.
    if bare.is_none() && host.contains(':') || host.is_empty() {
        return Err(form());
    }
    let host = bare.unwrap_or(host);
    let mut addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| TargetError::Lookup { host: host.to_owned(), error })?
        .collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let address = addresses.first().ok_or_else(|| TargetError::Nowhere(host.to_owned()))?;
    if owned || is_harmless(address.ip()) {
        Ok(*address)
    } else {
        Err(TargetError::Foreign(address.ip()))
    }
}

fn is_harmless(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_harmless_v4(address),
        IpAddr::V6(address) => is_harmless_v6(address),
    }
}

fn is_harmless_v4(address: Ipv4Addr) -> bool {
    // RFC 2544 §C.2.2: 198.18.0.0/15 is for benchmarks. Link-local addresses are not let through:
    // clouds have services of theirs there.
    let [first, second, ..] = address.octets();
    let is_benchmark = first == 198 && second & 0xfe == 18;
    address.is_loopback()
        || address.is_private()
        || address.is_documentation() // RFC 5737
        || is_benchmark
}

fn is_harmless_v6(address: Ipv6Addr) -> bool {
    // RFC 3849: 2001:db8::/32 is for documentation.
    let [first, second, ..] = address.segments();
    let is_documentation = first == 0x2001 && second == 0x0db8;
    address.is_loopback()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || is_documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_stays_at_home() {
        for text in [
            "127.0.0.1:25",
            "127.255.0.3:65535",
            "10.1.2.3:25",
            "172.16.0.1:25",
            "172.31.255.255:25",
            "192.168.7.7:25",
            "192.0.2.1:25",
            "198.51.100.9:25",
            "203.0.113.255:25",
            "198.18.0.1:25",
            "198.19.255.255:25",
            "[::1]:25",
            "[fd00::1]:25",
            "[fe80::1]:25",
            "[2001:db8::25]:25",
            "[::ffff:127.0.0.1]:25",
        ] {
            let address = resolve(text, false).unwrap();
            assert_eq!(address, text.parse().unwrap(), "{text}");
        }
        for text in [
            "8.8.8.8:25",
            "0.0.0.0:25",
            "172.15.255.255:25",
            "172.32.0.1:25",
            "192.167.1.1:25",
            "198.17.1.1:25",
            "198.20.0.1:25",
            "100.64.0.1:25",
            "169.254.1.1:25",
            "224.0.0.1:25",
            "255.255.255.255:25",
            "[::]:25",
            "[2001:db9::1]:25",
            "[2606:4700::1111]:25",
            "[::ffff:8.8.8.8]:25",
        ] {
            let refused = resolve(text, false);
            assert!(matches!(refused, Err(TargetError::Foreign(_))), "{text}: {refused:?}");
            assert_eq!(resolve(text, true).unwrap(), text.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn targets_have_a_host_and_a_port() {
        for text in
            ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", ":25", "::1:25", "[]"]
        {
            let refused = resolve(text, true);
            assert!(matches!(refused, Err(TargetError::Form(_))), "{text}: {refused:?}");
        }
    }

    #[test]
    fn a_name_prefers_its_first_family() {
        assert_eq!(resolve("localhost:2525", false).unwrap(), "127.0.0.1:2525".parse().unwrap());
    }
}
