//! What the operator is told at the start: what listens where, and what cannot work as configured.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::log::Log;
use crate::{
    config::{self, Config, Protocol},
    relay::options::own_postmaster,
    smtp::server::policy::Role,
};

/// Tells the terminal what listens where, and lines to try it. Nobody has to read it.
pub fn announce(listeners: &[(Protocol, SocketAddr)], config: &Config) {
    let mut lines = String::new();
    for (protocol, address) in listeners {
        let name = match protocol {
            Protocol::Smtp(Role::Relay) => "smtp",
            Protocol::Smtp(Role::Submission) => "submission",
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
        };
        lines += &format!("{name} on {address}\n");
    }
    let first = |wanted| {
        let found = listeners.iter().find(|(protocol, _)| *protocol == wanted);
        found.map(|(_, address)| reachable(*address))
    };
    if let Some(server) = first(Protocol::Smtp(Role::Relay)) {
        let to = own_postmaster(config).map_or("you@example.net".to_owned(), |to| to.to_string());
        lines += &format!("try: swaks --server {server} --to {to}\n");
    }
    if let (Some(server), Some(domain)) = (first(Protocol::Imap), &config.local.first_domain) {
        lines += &format!(
            "try: ringmail account add you@{domain}, then \
             curl --user you@{domain} imap://{server}/INBOX\n"
        );
    }
    let mut stdout = io::stdout();
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
}

/// Where a program on this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        known => known,
    }
}

/// Nobody could log in there, and the operator would hear it from its users.
pub fn warn_of_passwords(config: &Config, log: &Log) {
    let away = |listener: &&config::Listener| !listener.address.ip().is_loopback();
    let reads =
        |listener: &&config::Listener| matches!(listener.protocol, Protocol::Imap | Protocol::Pop3);
    let listeners = config.listeners.iter().filter(reads).filter(away);
    for listener in listeners.filter(|_| !config.imap.allow_plaintext_login) {
        log.warn(format!(
            "clients cannot log in at {} from other machines: this version has no TLS, and \
             imap.allow_plaintext_login is false",
            listener.address
        ));
    }
}
