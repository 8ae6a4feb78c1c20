//! The configuration as it is written: every key with its default and its form.

use std::{collections::HashSet, net::Ipv4Addr, sync::Arc};

use super::{
    Config, Delivery, Drain, Format, Imap, Level, Listener, Local, Log, Machine, Protocol, Store,
    document::{Document, Section},
    error::Trouble,
    forms,
};
use crate::{
    dns,
    limits::{
        CONFIG_LIST_MAX, CONFIG_NUMBER_MAX, CORES_MAX, DNS_SERVERS_MAX, HOSTS_MAX,
        INBOUND_PER_CORE_MAX, OUTBOUND_PER_CORE_MAX, RECIPIENTS_MAX,
    },
    mail::{Address, Domain, Network},
    queue::{
        retry,
        shaping::{Shape, Site},
    },
    smtp::server::policy::{self, Role},
    time::Duration,
};

/// Reads all of the document; what is wrong is left in it, and the default in its place.
pub(super) fn read(document: &Document, machine: &Machine) -> Config {
    document.top(|top| {
        let hostname = read_hostname(top, document, machine);
        let data_dir = top.read("data_dir", "./ringmail-data".to_owned(), forms::text);
        let cores = top.read("cores", 0, forms::whole(0..=u64::from(CORES_MAX)));
        top.not_built("tls", "TLS");
        top.not_built("admin", "admin interface");
        let (local, recipients) = top.section("local", read_local);
        Config {
            data_dir: data_dir.into(),
            cores,
            listeners: read_listeners(top),
            smtp: read_smtp(top, &hostname, recipients),
            local,
            imap: top.section("imap", |section| Imap {
                allow_plaintext_login: section.read("allow_plaintext_login", false, forms::flag),
            }),
            dns: top.section("dns", |section| read_dns(section, machine)),
            routes: top.sections("route", read_route).unwrap_or_default(),
            delivery: top.section("delivery", read_delivery),
            retry: top.section("retry", read_retry),
            sites: top.sections("site", read_site).unwrap_or_default(),
            store: top.section("store", |section| Store {
                size_max: section.read("size_max", 0, forms::size),
            }),
            drain: top.section("drain", |section| Drain {
                grace: section.read("grace", seconds(5), forms::time),
                deadline: section.read("deadline", seconds(30), forms::time_above_zero),
            }),
            log: top.section("log", read_log),
            hostname,
        }
    })
}

fn read_hostname(top: &mut Section, document: &Document, machine: &Machine) -> String {
    if let Some(written) = top.read("hostname", None, |value| forms::host_name(value).map(Some)) {
        return written;
    }
    forms::parse_host_name(&machine.hostname).unwrap_or_else(|| {
        // It is the first key to be read: a fault already there is its own.
        if !document.has_faults() {
            let trouble = Trouble::Wrong {
                key: "hostname".to_owned(),
                found: format!("the machine's name \"{}\" by default", machine.hostname),
                expected: "a host name: write hostname = \"mx.example.org\"".into(),
            };
            document.fault(None, trouble);
        }
        String::new()
    })
}

fn read_listeners(top: &mut Section) -> Vec<Listener> {
    let written = top.sections("listener", |section| {
        let words = "\"smtp\", \"submission\", \"imap\" or \"pop3\"";
        let protocol = section.require("protocol", words, forms::protocol);
        let address = section.require("address", "an address like \"0.0.0.0:25\"", forms::socket);
        section.read("tls", (), forms::no_tls);
        section.read("proxy_protocol_from", (), forms::no_proxies);
        Some(Listener { protocol: protocol?, address: address? })
    });
    written.unwrap_or_else(|| {
        [
            (Protocol::Smtp(Role::Relay), 2525),
            (Protocol::Smtp(Role::Submission), 2587),
            (Protocol::Imap, 2143),
        ]
        .map(|(protocol, port)| Listener { protocol, address: (Ipv4Addr::LOCALHOST, port).into() })
        .into()
    })
}

/// Whom local mail is for: the domains and the postmaster.
type Recipients = (HashSet<Domain>, Option<Address>);

fn read_local(section: &mut Section) -> (Local, Recipients) {
    let domains = section.list("domains", vec![localhost()], 0..=CONFIG_LIST_MAX, forms::domain);
    let local = Local {
        mailbox_quota: section.read("mailbox_quota", 2 << 30, forms::size),
        first_domain: domains.first().cloned(),
    };
    let postmaster = section.read("postmaster", None, forms::mailbox);
    (local, (domains.into_iter().collect(), postmaster))
}

/// Of `[smtp]` and `[relay]`.
fn read_smtp(
    top: &mut Section,
    hostname: &str,
    (local_domains, postmaster): Recipients,
) -> policy::Options {
    let (relay_networks, relay_domains) = top.section("relay", |section| {
        (
            section.list("networks", loopback(), 0..=CONFIG_LIST_MAX, forms::network),
            section.list("domains", Vec::new(), 0..=CONFIG_LIST_MAX, forms::pattern),
        )
    });
    top.section("smtp", |section| {
        section.read("allow_plaintext_auth", (), forms::no_auth);
        policy::Options {
            hostname: hostname.to_owned(),
            message_size_max: section.read("message_size_max", 50 << 20, forms::size_above_zero),
            recipients_max: section.read("recipients_max", 1000, count(RECIPIENTS_MAX)),
            command_timeout: section.read("command_timeout", minutes(5), forms::time_above_zero),
            data_timeout: section.read("data_timeout", minutes(10), forms::time_above_zero),
            connections_per_client_max: section.read(
                "connections_per_client_max",
                100,
                count(INBOUND_PER_CORE_MAX),
            ),
            errors_max: section.read("errors_max", 20, count(CONFIG_NUMBER_MAX)),
            received_headers_max: section.read(
                "received_headers_max",
                50,
                count(CONFIG_NUMBER_MAX),
            ),
            relay_networks,
            relay_domains,
            local_domains: Arc::new(local_domains),
            postmaster,
        }
    })
}

fn read_dns(section: &mut Section, machine: &Machine) -> dns::Options {
    let mut servers = section.list("servers", Vec::new(), 0..=DNS_SERVERS_MAX, forms::server);
    if servers.is_empty() {
        servers = machine.name_servers();
    }
    dns::Options {
        servers,
        timeout: section.read("timeout", seconds(2), forms::time_above_zero),
        cache_entries_max: section.read("cache_entries_max", 1_000_000, count(CONFIG_NUMBER_MAX)),
        ttl_min: section.read("ttl_min", seconds(5), forms::time),
        ttl_max: section.read("ttl_max", days(1), forms::time_above_zero),
        negative_ttl_max: section.read("negative_ttl_max", minutes(15), forms::time),
        serve_stale: section.read("serve_stale", days(1), forms::time),
    }
}

fn read_route(section: &mut Section) -> Option<dns::Route> {
    let form = "a domain like \"example.org\", \"*.example.org\" or \"*\"";
    let domain = section.require("domain", form, forms::pattern);
    let hosts = section.list("hosts", Vec::new(), 1..=HOSTS_MAX, forms::route_host);
    Some(dns::Route { domain: domain?, hosts })
}

fn read_delivery(section: &mut Section) -> Delivery {
    section.read("tls", (), forms::no_tls);
    Delivery {
        port: section.read("port", 25, forms::whole(1..=u64::from(u16::MAX))),
        source_addresses: section.list("source_addresses", Vec::new(), 0..=2, forms::ip),
        connect_timeout: section.read("connect_timeout", seconds(30), forms::time_above_zero),
        greeting_timeout: section.read("greeting_timeout", minutes(5), forms::time_above_zero),
        command_timeout: section.read("command_timeout", minutes(5), forms::time_above_zero),
        data_timeout: section.read("data_timeout", minutes(10), forms::time_above_zero),
        idle_timeout: section.read("idle_timeout", seconds(5), forms::time),
    }
}

fn read_retry(section: &mut Section) -> retry::Options {
    retry::Options {
        first: section.read("first", minutes(5), forms::time_above_zero),
        factor: section.read("factor", 2.0, forms::number(1.0..=1000.0)),
        max: section.read("max", hours(4), forms::time_above_zero),
        jitter: section.read("jitter", 0.2, forms::number(0.0..=1.0)),
        warn_after: section.read("warn_after", hours(4), forms::time),
        expire: section.read("expire", days(5), forms::time_above_zero),
    }
}

fn read_site(section: &mut Section) -> Option<Site> {
    let default = Shape::default();
    let mx = section.list("mx", Vec::new(), 0..=CONFIG_LIST_MAX, forms::pattern);
    let domain = section.list("domain", Vec::new(), 0..=CONFIG_LIST_MAX, forms::pattern);
    let shape = Shape {
        connections_max: section.read(
            "connections_max",
            default.connections_max,
            count(OUTBOUND_PER_CORE_MAX),
        ),
        messages_per_connection: section.read(
            "messages_per_connection",
            default.messages_per_connection,
            count(CONFIG_NUMBER_MAX),
        ),
    };
    section.not_built("rate", "rate limit");
    section.not_built("backoff_on", "back-off");
    section.not_built("backoff", "back-off");
    Some(Site { mx, domain, shape })
}

fn read_log(section: &mut Section) -> Log {
    let levels = forms::word(&[
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
    ]);
    let formats = forms::word(&[("text", Format::Text), ("json", Format::Json)]);
    Log {
        level: section.read("level", Level::Info, levels),
        format: section.read("format", Format::Text, formats),
    }
}

/// An account of it can be tried out at once, and no mail of anybody else is for it.
fn localhost() -> Domain {
    Domain::Name("localhost".into())
}

fn loopback() -> Vec<Network> {
    ["127.0.0.0/8", "::1/128"].iter().filter_map(|network| network.parse().ok()).collect()
}

fn count<T: TryFrom<u64>>(most: usize) -> impl Fn(&toml::de::DeValue) -> forms::Formed<T> {
    forms::whole(1..=most as u64)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

const fn hours(count: u64) -> Duration {
    minutes(60 * count)
}

const fn days(count: u64) -> Duration {
    hours(24 * count)
}
