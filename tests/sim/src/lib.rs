//! Ringmail from a seed: whole relays under simulated time, disk, network and DNS.
//!
//! The pure floors of the house are part of this crate, from the very sources that the appliance is
//! built of. So they are known to need nothing of the shell, and the bounds of memory can be small
//! enough ([`limits`]) for a short simulation to meet them. Around them stands a [`world`]: what
//! happens in it comes from the seed alone, and the [`oracle`] checks each step.

// The house's unit tests run at home, with its own bounds, and not here with small ones.
#![cfg(not(test))]

#[path = "../../../src/config/mod.rs"]
pub mod config;
#[path = "../../../src/dns/mod.rs"]
pub mod dns;
#[path = "../../../src/imap/mod.rs"]
pub mod imap;
pub mod limits;
#[path = "../../../src/mail/mod.rs"]
pub mod mail;
#[path = "../../../src/pop3/mod.rs"]
pub mod pop3;
#[path = "../../../src/queue/mod.rs"]
pub mod queue;
#[path = "../../../src/random.rs"]
pub mod random;
#[path = "../../../src/relay/mod.rs"]
pub mod relay;
#[path = "../../../src/smtp/mod.rs"]
pub mod smtp;
#[path = "../../../src/store/mod.rs"]
pub mod store;
#[path = "../../../src/time.rs"]
pub mod time;

pub mod campaign;
pub mod client;
pub mod collector;
pub mod coverage;
pub mod device;
pub mod disk;
pub mod homes;
pub mod letters;
pub mod mouth;
pub mod mutations;
pub mod network;
pub mod oracle;
pub mod peer;
pub mod plan;
pub mod process;
pub mod trace;
pub mod world;
pub mod zone;
