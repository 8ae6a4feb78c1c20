//! What the configuration takes from the machine where the operator says nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::limits::DNS_SERVERS_MAX;

/// Read by whoever calls `Config::parse`, as this module reads nothing itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// What `hostname` prints.
    pub hostname: String,
    /// What `/etc/resolv.conf` holds; empty when there is none.
    pub resolv_conf: String,
}

const DNS_PORT: u16 = 53;

impl Machine {
    /// The name servers of `resolv.conf(5)`; without any, it says, ask this machine.
    pub(super) fn name_servers(&self) -> Vec<SocketAddr> {
        let mut servers: Vec<_> = self
            .resolv_conf
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                (words.next() == Some("nameserver")).then_some(())?;
                // A link-local address with its zone (fe80::1%eth0) is left out.
                Some(SocketAddr::new(words.next()?.parse().ok()?, DNS_PORT))
            })
            .take(DNS_SERVERS_MAX)
            .collect();
        if servers.is_empty() {
            servers.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT));
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers() {
        for (resolv_conf, servers) in [
            ("", "127.0.0.1:53"),
            ("search example.org\noptions edns0\n", "127.0.0.1:53"),
            (
                "# x\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 \n",
                "192.0.2.53:53 [2001:db8::53]:53",
            ),
            ("nameserver fe80::1%eth0\nnameserver nonsense\n;nameserver 192.0.2.1", "127.0.0.1:53"),
        ] {
            let machine = Machine { hostname: String::new(), resolv_conf: resolv_conf.into() };
            let found: Vec<_> = machine.name_servers().iter().map(|s| s.to_string()).collect();
            assert_eq!(found.join(" "), servers, "{resolv_conf}");
        }
    }
}
