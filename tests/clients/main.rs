//! The mail programs people use, against the real server: whatever they ask for must come to pass,
//! and both sides must agree afterwards.
//!
//! `RINGMAIL_CLIENTS_DOVECOT=1` puts Dovecot in the server's place: how these programs behave with
//! a server they have known for long is what a scenario is written after.

// `tests/loopback` stands on the same and uses other parts of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod chance;
mod curl;
mod dovecot;
mod fetchmail;
mod imap;
mod imapfilter;
mod interimap;
mod letter;
mod maildir;
mod mbsync;
mod mpop;
mod mutt;
mod offlineimap;
mod program;
mod python;
mod site;
mod tap;
