//! The configuration, as far as the relay of a core needs it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    config::{Config, Protocol},
    dns::{self, NextHop, Route, RouteHost},
    imap::session as imap,
    limits::{IMAP_IDLE_TIMEOUT, LOGIN_TIMEOUT},
    mail::{Address, DestinationKey, Domain, DomainPattern},
    pop3,
    queue::{
        retry,
        shaping::{Shape, Site},
    },
    smtp::{client, server::policy},
    time::Duration,
};

#[derive(Clone, Debug)]
pub struct Options {
    pub server: policy::Options,
    /// Of the listeners, by their number.
    pub protocols: Vec<Protocol>,
    /// Addresses that are this relay: an MX that names one of them is a loop.
    pub own_addresses: Vec<SocketAddr>,
    pub client: client::Options,
    pub dns: dns::Options,
    pub routes: Arc<[Route]>,
    /// By the number of the route: the name its parcels are filed under.
    route_names: Vec<String>,
    /// Of MX hosts.
    pub port: u16,
    pub source_addresses: Vec<IpAddr>,
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub retry: retry::Options,
    pub sites: Vec<Site>,
    pub imap: imap::Options,
    pub pop3: pop3::Options,
    /// Octets of an account that has no quota of its own; 0: no limit.
    pub mailbox_quota: u64,
}

impl Options {
    pub fn of(config: &Config) -> Self {
        Self {
            server: policy::Options {
                postmaster: config.smtp.postmaster.clone().or_else(|| own_postmaster(config)),
                ..config.smtp.clone()
            },
            protocols: config.listeners.iter().map(|listener| listener.protocol).collect(),
            own_addresses: config.listeners.iter().map(|listener| listener.address).collect(),
            client: client::Options {
                hostname: config.hostname.clone(),
                greeting_timeout: config.delivery.greeting_timeout,
                command_timeout: config.delivery.command_timeout,
                data_timeout: config.delivery.data_timeout,
            },
            dns: config.dns.clone(),
            routes: config.routes.clone().into(),
            route_names: config.routes.iter().map(route_name).collect(),
            port: config.delivery.port,
            source_addresses: config.delivery.source_addresses.clone(),
            connect_timeout: config.delivery.connect_timeout,
            idle_timeout: config.delivery.idle_timeout,
            retry: config.retry.clone(),
            sites: config.sites.clone(),
            imap: imap::Options {
                hostname: config.hostname.clone(),
                message_size_max: config.smtp.message_size_max,
                quota: config.local.mailbox_quota,
                plaintext_login: config.imap.allow_plaintext_login,
                domain: login_domain(config),
                login_timeout: LOGIN_TIMEOUT,
                idle_timeout: IMAP_IDLE_TIMEOUT,
            },
            pop3: pop3::Options {
                hostname: config.hostname.clone(),
                plaintext_login: config.imap.allow_plaintext_login,
                domain: login_domain(config),
            },
            mailbox_quota: config.local.mailbox_quota,
        }
    }

    /// Where parcels for `hop` are filed by `core` of `cores`.
    ///
    /// A domain belongs to one core. A route is cut into lanes, one a core, as far as its
    /// connections go round, and our mailboxes are: their parcels stay on the core that accepted
    /// them.
    pub fn home(&self, hop: &NextHop, core: u16, cores: u16) -> DestinationKey {
        match hop {
            NextHop::Mx(Domain::Name(name)) => DestinationKey::of(name, 0, 1),
            NextHop::Mx(literal) => DestinationKey::of(&literal.to_string(), 0, 1),
            NextHop::Route(_) | NextHop::Local => {
                let lanes = self.lanes(hop, cores);
                DestinationKey::of(self.lanes_name(hop), self.lane(hop, core, cores), lanes)
            }
        }
    }

    /// What one core may have of `hop`.
    pub fn shape(&self, hop: &NextHop, core: u16, cores: u16) -> Shape {
        self.whole_shape(hop).lane(self.lane(hop, core, cores), self.lanes(hop, cores))
    }

    /// The shape by MX host, which is known once the next hop is resolved.
    pub fn shape_of_hosts(&self, hosts: &[dns::Host]) -> Option<Shape> {
        let name_of = |host: &dns::Host| Domain::parse(&host.name).ok();
        let site = self.sites.iter().find(|site| {
            hosts.iter().filter_map(name_of).any(|name| any_matches(&site.mx, &name))
        })?;
        Some(site.shape)
    }

    /// The source address for a connection to `remote`; `None`: the kernel's choice.
    pub fn source(&self, remote: SocketAddr) -> Option<IpAddr> {
        self.source_addresses.iter().copied().find(|own| own.is_ipv4() == remote.is_ipv4())
    }

    /// The lane of `hop` that `core` uses: its own, where there is one for each core.
    fn lane(&self, hop: &NextHop, core: u16, cores: u16) -> u16 {
        if let NextHop::Mx(_) = hop {
            return 0;
        }
        let (lanes, name) = (self.lanes(hop, cores), self.lanes_name(hop));
        let own = |lane: &u16| DestinationKey::of(name, *lane, lanes).core(cores) == core;
        (0..lanes).find(own).unwrap_or(core % lanes)
    }

    /// Under this name the lanes of `hop` are filed.
    fn lanes_name(&self, hop: &NextHop) -> &str {
        match hop {
            NextHop::Mx(_) => "",
            NextHop::Route(number) => {
                self.route_names.get(usize::from(*number)).map_or("", String::as_str)
            }
            // No route begins so.
            NextHop::Local => "mailboxes",
        }
    }

    fn lanes(&self, hop: &NextHop, cores: u16) -> u16 {
        match hop {
            NextHop::Mx(_) => 1,
            NextHop::Local => cores,
            NextHop::Route(_) => {
                let connections = self.whole_shape(hop).connections_max;
                cores.min(u16::try_from(connections).unwrap_or(u16::MAX)).max(1)
            }
        }
    }

    fn whole_shape(&self, hop: &NextHop) -> Shape {
        let site = match hop {
            NextHop::Mx(domain) => self.sites.iter().find(|site| any_matches(&site.domain, domain)),
            NextHop::Route(number) => {
                let route = self.routes.get(usize::from(*number));
                route.and_then(|route| self.sites.iter().find(|site| covers(site, route)))
            }
            NextHop::Local => None,
        };
        site.map_or_else(Shape::default, |site| site.shape)
    }
}

/// RFC 5321 §4.5.1: there is a postmaster. Where the configuration names none, mail for it is kept
/// in an account of the first of our domains, which every start makes sure of.
pub fn own_postmaster(config: &Config) -> Option<Address> {
    let domain = config.local.first_domain.as_ref()?;
    Address::parse(format!("postmaster@{domain}").into()).ok()
}

/// The domain of whoever logs in without one: ours, where there is only one.
fn login_domain(config: &Config) -> Option<Domain> {
    let domains = &config.smtp.local_domains;
    domains.iter().next().filter(|_| domains.len() == 1).cloned()
}

fn any_matches(patterns: &[DomainPattern], domain: &Domain) -> bool {
    patterns.iter().any(|pattern| pattern.matches(domain))
}

/// A site shapes a route that it names by the same pattern, or one of whose hosts it names.
fn covers(site: &Site, route: &Route) -> bool {
    let by_domain = site
        .domain
        .iter()
        .any(|pattern| *pattern == route.domain || *pattern == DomainPattern::Any);
    by_domain
        || route.hosts.iter().any(|host| match host {
            RouteHost::Name(name, _) => any_matches(&site.mx, name),
            RouteHost::Address(_) => site.mx.contains(&DomainPattern::Any),
        })
}

/// Stands on disk behind a hash: it must not depend on the route's place in the file.
fn route_name(route: &Route) -> String {
    let mut name = String::from("route");
    for host in &route.hosts {
        name.push(' ');
        match host {
            RouteHost::Address(address) => name.push_str(&address.to_string()),
            RouteHost::Name(domain, port) => name.push_str(&format!("{domain}:{port}")),
        }
    }
    name
}
