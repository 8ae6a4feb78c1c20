//! Every fuzz target by its name. A target takes any octets and panics where a promise is broken.
//!
//! `fuzz_targets/` gives them to libFuzzer, `tests/corpora.rs` of the relay runs them as plain
//! tests on the corpora.

pub mod address;
pub mod client_session;
pub mod command;
pub mod config;
pub mod differential;
mod disk;
pub mod dns_answer;
pub mod dots;
pub mod header;
pub mod imap_frames;
pub mod imap_session;
mod mailboxes;
pub mod mime;
mod octets;
pub mod pop3_session;
pub mod queue_id;
pub mod record;
pub mod relay;
pub mod report;
pub mod round_trip;
mod script;
pub mod server_session;
mod shell;
pub mod text;
mod world;

/// A name and a function of any octets.
pub type Target = (&'static str, fn(&[u8]));

/// In the order of the alphabet, as the folders of the corpora are.
pub const TARGETS: &[Target] = &[
    ("address", address::run),
    ("client_session", client_session::run),
    ("command", command::run),
    ("config", config::run),
    ("differential", differential::run),
    ("dns_answer", dns_answer::run),
    ("dots", dots::run),
    ("header", header::run),
    ("imap_frames", imap_frames::run),
    ("imap_session", imap_session::run),
    ("mime", mime::run),
    ("pop3_session", pop3_session::run),
    ("queue_id", queue_id::run),
    ("record", record::run),
    ("relay", relay::run),
    ("report", report::run),
    ("round_trip", round_trip::run),
    ("server_session", server_session::run),
    ("text", text::run),
];
