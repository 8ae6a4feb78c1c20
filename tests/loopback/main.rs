//! The real binary between real sockets on loopback: what goes in must come out, whatever the
//! next hop, the disk or the operator does.

// `tests/faults` stands on the same and uses other parts of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod bodies;
mod clients;
mod crashes;
mod harness;
mod reports;
mod routing;
mod transcripts;
mod verdicts;

use support::{
    binary::{Home, Ringmail, Settings},
    sink::{Script, Sink},
};

/// Ringmail with everything routed to one sink. The home is dropped last.
fn relay_to(sink: &Sink) -> (Home, Ringmail) {
    start(&Settings::route(&[sink.address]))
}

fn start(settings: &Settings) -> (Home, Ringmail) {
    let home = Home::new(settings);
    let ringmail = home.start();
    (home, ringmail)
}

/// Replies of a next hop that is not well, each for one attempt.
fn refusing(address: &'static str, reply: &'static str) -> Script {
    Script::default().always(address, support::sink::Turn::Reply(reply))
}
