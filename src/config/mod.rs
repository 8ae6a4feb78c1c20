//! The configuration, checked: TOML as an operator writes it becomes options that cannot be
//! wrong. `config/ringmail.toml` shows every key.

mod document;
pub mod error;
mod forms;
mod machine;
mod relations;
mod units;
mod written;

pub use error::Error;
pub use machine::Machine;
pub use units::{parse_size, size_text};

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use crate::{
    dns,
    mail::Domain,
    queue::{retry, shaping::Site},
    smtp::server::policy::{self, Role},
    time::Duration,
};

#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    pub hostname: String,
    pub data_dir: PathBuf,
    /// Ring threads; 0: one for each core of the machine.
    pub cores: u16,
    pub listeners: Vec<Listener>,
    /// Of `[smtp]` and `[relay]`, and of `[local]` whom mail is for.
    pub smtp: policy::Options,
    pub local: Local,
    pub imap: Imap,
    pub dns: dns::Options,
    /// In the order they are written: the first that matches wins.
    pub routes: Vec<dns::Route>,
    pub delivery: Delivery,
    pub retry: retry::Options,
    /// In the order they are written: the first that matches wins.
    pub sites: Vec<Site>,
    pub store: Store,
    pub drain: Drain,
    pub log: Log,
}

impl Config {
    /// Checks `text`, which came from `file`; keys that are not written have their defaults, so
    /// that an empty text is the built-in configuration.
    pub fn parse(text: &str, file: &str, machine: &Machine) -> Result<Config, Error> {
        let failed = |faults| Error { file: file.to_owned(), faults };
        let document = document::Document::parse(text).map_err(failed)?;
        let config = written::read(&document, machine);
        // A default in the place of a wrong value would clash with what is right.
        if !document.has_faults() {
            relations::check(&document, &config);
        }
        match document.into_faults() {
            faults if faults.is_empty() => Ok(config),
            faults => Err(failed(faults)),
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Listener {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

/// What a listener speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Smtp(Role),
    Imap,
    Pop3,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Local {
    /// Octets of an account that has no quota of its own; 0: no limit.
    pub mailbox_quota: u64,
    /// The one that is written first: whose postmaster is everybody's, where none is named.
    pub first_domain: Option<Domain>,
}

/// What holds for IMAP and POP3 alike.
#[derive(Clone, PartialEq, Debug)]
pub struct Imap {
    /// Passwords may cross a network as they are. Over loopback they always may.
    pub allow_plaintext_login: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Delivery {
    /// Of MX hosts.
    pub port: u16,
    /// At most one of each family is used; empty: the kernel chooses.
    pub source_addresses: Vec<IpAddr>,
    pub connect_timeout: Duration,
    pub greeting_timeout: Duration,
    pub command_timeout: Duration,
    pub data_timeout: Duration,
    pub idle_timeout: Duration,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Store {
    /// Octets the store may grow to; 0: the disk decides.
    pub size_max: u64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Drain {
    pub grace: Duration,
    pub deadline: Duration,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Log {
    pub level: Level,
    pub format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Json,
}
