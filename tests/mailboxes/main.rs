//! The real binary and its mailboxes: clients of IMAP and SMTP at once, kills, bad input, large
//! mailboxes and full disks. Nothing acknowledged is lost, and every mirror is right.

// Other tests stand on the same and use other parts of it.
#[allow(dead_code)]
#[path = "../faults/disk.rs"]
mod disk;
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod direct;
mod full;
mod idle;
mod kills;
mod large;
mod local;
mod mirrors;
mod model;
mod wire;

use support::{
    binary::{Home, Settings},
    source::is_whole,
};

/// A home with mailboxes for these accounts of `x.example`.
fn home_of(accounts: &[&str]) -> Home {
    let home = Home::new(&Settings::mailboxes(""));
    accounts.iter().for_each(|account| home.add_account(account));
    home
}

/// The id of a message that must be whole, whatever trace fields stand before what was sent.
fn id_of(octets: &[u8]) -> String {
    let name = b"X-Test-Id: ";
    let start = octets.windows(name.len()).position(|window| window == name);
    let sent = &octets[start.unwrap_or_default()..];
    assert!(is_whole(sent), "nobody sent this:\n{}", String::from_utf8_lossy(octets));
    let line = sent[name.len()..].split(|&octet| octet == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}
