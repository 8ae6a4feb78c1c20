//! Who may send what to whom: relaying, local domains, limits.

use std::collections::HashSet;

use crate::{
    mail::{Address, Domain, DomainPattern, Network},
    time::Duration,
};

/// The configuration of the server's sessions.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    pub hostname: String,
    /// Octets of one message.
    pub message_size_max: u64,
    pub recipients_max: usize,
    pub command_timeout: Duration,
    pub data_timeout: Duration,
    pub connections_per_client_max: usize,
    pub errors_max: u32,
    pub received_headers_max: u32,
    pub relay_networks: Vec<Network>,
    pub relay_domains: Vec<DomainPattern>,
    pub local_domains: HashSet<Domain>,
    /// Where mail for `postmaster` goes.
    pub postmaster: Option<Address>,
}

/// What a listener is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Port 25: mail from anyone for our domains, and relaying for our networks.
    Relay,
    /// RFC 6409, port 587: mail from our own users only.
    Submission,
}
