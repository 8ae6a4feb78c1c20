//! What the tests with the real binary stand on: the binary itself, next hops, clients, a zone.
//!
//! Every peer has an address of its own in 127.0.0.0/8, so that all may use the same ports, as
//! the hosts of an MX set must, and tests that run side by side never meet.

pub mod binary;
pub mod dns;
pub mod imap;
pub mod ledger;
pub mod sink;
pub mod smtp_sink;
pub mod source;
pub mod transcript;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// The port of every sink.
pub const SINK_PORT: u16 = 20_025;

/// The port of every toy DNS server.
pub const DNS_PORT: u16 = 20_053;

/// An address of 127.0.0.0/8 that no other test uses, of this process or one beside it.
pub fn fresh_address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = 1 + (std::process::id() % 250) as u8;
    Ipv4Addr::new(127, process, high, low).into()
}

/// Looks again and again until `look` finds something; panics with `what` when patience ends.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

pub fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A number from the environment: how the slow proofs are asked for.
pub fn proof_size(variable: &str, usual: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => usual,
    }
}

/// Whether a program is on the path or in /usr/sbin. The CI installs all that tests ask for.
pub fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        println!("{name} is not installed: this test proves nothing here");
    }
    found
}
