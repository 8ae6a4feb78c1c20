//! Values that are each right and do not go together.

use std::collections::HashSet;

use super::{
    Config,
    document::Document,
    units::{size_text, time_text},
};
use crate::{
    limits::{LISTENERS_MAX, ROUTES_MAX},
    mail::{Domain, DomainPattern},
    time::Duration,
};

pub(super) fn check(document: &Document, config: &Config) {
    check_times(document, config);
    check_sizes(document, config);
    check_listeners(document, config);
    check_domains(document, config);
    check_routes(document, config);
    check_sites(document, config);
    check_sources(document, config);
}

fn check_times(document: &Document, config: &Config) {
    let at_most = |section, (low, below): (&str, Duration), (high, above): (&str, Duration)| {
        if below > above {
            let expected = format!("at most {section}.{high}, which is {}", time_text(above));
            document.clash((section, 0), low, time_text(below), expected);
        }
    };
    let (retry, dns, drain) = (&config.retry, &config.dns, &config.drain);
    at_most("retry", ("first", retry.first), ("max", retry.max));
    at_most("retry", ("first", retry.first), ("expire", retry.expire));
    at_most("dns", ("ttl_min", dns.ttl_min), ("ttl_max", dns.ttl_max));
    at_most("drain", ("grace", drain.grace), ("deadline", drain.deadline));
}

fn check_sizes(document: &Document, config: &Config) {
    let (message, store) = (config.smtp.message_size_max, config.store.size_max);
    if store > 0 && message > store {
        let expected = format!("at most store.size_max, which is {}", size_text(store));
        document.clash(("smtp", 0), "message_size_max", size_text(message), expected);
    }
}

fn check_listeners(document: &Document, config: &Config) {
    if !(1..=LISTENERS_MAX).contains(&config.listeners.len()) {
        let found = format!("{} listeners", config.listeners.len());
        document.clash(("", 0), "listener", found, format!("1 to {LISTENERS_MAX} of [[listener]]"));
    }
    let mut seen = HashSet::new();
    for (number, listener) in config.listeners.iter().enumerate() {
        let address = listener.address;
        // The kernel gives each listener on port 0 a port of its own.
        if address.port() != 0 && !seen.insert(address) {
            let expected = "an address that no other listener has".to_owned();
            document.clash(("listener", number), "address", address.to_string(), expected);
        }
    }
}

fn check_domains(document: &Document, config: &Config) {
    let policy = &config.smtp;
    let is_local = |pattern: &DomainPattern| match pattern {
        DomainPattern::Exact(domain) => policy.local_domains.contains(domain),
        _ => false,
    };
    if let Some(both) = policy.relay_domains.iter().find(|pattern| is_local(pattern)) {
        let expected = format!("domains that are not in local.domains, as {both} is");
        document.clash(("relay", 0), "domains", both.to_string(), expected);
    }
}

fn check_routes(document: &Document, config: &Config) {
    if config.routes.len() > ROUTES_MAX {
        let found = format!("{} routes", config.routes.len());
        document.clash(("", 0), "route", found, format!("at most {ROUTES_MAX} of [[route]]"));
    }
    let mut taken = Taken::default();
    for (number, route) in config.routes.iter().enumerate() {
        if let Some(by) = taken.find(&route.domain) {
            let expected = format!("a domain that the earlier route for \"{by}\" does not match");
            document.clash(("route", number), "domain", route.domain.to_string(), expected);
        }
        taken.add(&route.domain);
    }
}

fn check_sites(document: &Document, config: &Config) {
    for (number, site) in config.sites.iter().enumerate() {
        if site.mx.is_empty() && site.domain.is_empty() {
            let expected = "patterns here or in site.domain, or it matches nothing".to_owned();
            document.clash(("site", number), "mx", "[]".to_owned(), expected);
        }
    }
}

fn check_sources(document: &Document, config: &Config) {
    let sources = &config.delivery.source_addresses;
    let of_ipv4 = sources.iter().filter(|address| address.is_ipv4()).count();
    if of_ipv4 > 1 || sources.len() - of_ipv4 > 1 {
        let expected = "at most one IPv4 and one IPv6 address".to_owned();
        document.clash(("delivery", 0), "source_addresses", "[]".to_owned(), expected);
    }
}

/// What earlier routes match.
#[derive(Default)]
struct Taken {
    any: bool,
    exact: HashSet<Domain>,
    below: HashSet<Box<str>>,
}

impl Taken {
    fn add(&mut self, pattern: &DomainPattern) {
        match pattern {
            DomainPattern::Any => self.any = true,
            DomainPattern::Exact(domain) => drop(self.exact.insert(domain.clone())),
            DomainPattern::Below(suffix) => drop(self.below.insert(suffix.clone())),
        }
    }

    /// The earlier pattern that matches all that `pattern` does.
    fn find(&self, pattern: &DomainPattern) -> Option<DomainPattern> {
        if self.any {
            return Some(DomainPattern::Any);
        }
        let name = match pattern {
            DomainPattern::Any => return None,
            DomainPattern::Exact(domain) if self.exact.contains(domain) => {
                return Some(pattern.clone());
            }
            DomainPattern::Exact(domain) => domain.name()?,
            DomainPattern::Below(suffix) if self.below.contains(suffix) => {
                return Some(pattern.clone());
            }
            DomainPattern::Below(suffix) => suffix,
        };
        let mut parents = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
        parents.find_map(|parent| self.below.get(parent).cloned().map(DomainPattern::Below))
    }
}
