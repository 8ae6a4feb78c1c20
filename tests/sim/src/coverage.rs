//! What a simulation has met: nobody should believe in one that never reached the hard part.

use std::collections::BTreeMap;

/// How often each thing was met.
#[derive(Clone, Default, Debug)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Coverage) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(what, times)| (*what, *times))
    }

    /// What a good number of seeds must meet and these did not.
    pub fn missing(&self) -> Vec<&'static str> {
        EXPECTED.iter().copied().filter(|what| self.of(what) == 0).collect()
    }
}

/// So many short seeds meet all that is expected.
pub const MEET_ALL: u64 = 2000;

/// What they meet.
pub const EXPECTED: &[&str] = &[
    "client: writes to a full mailbox",
    "client: writes to a local address",
    "client: writes to nobody",
    "device: STORE finds what has changed since",
    "device: appends a message",
    "device: closes in the midst",
    "device: copies or moves",
    "device: finds another folder under the name",
    "device: finds nobody",
    "device: is over its quota",
    "device: its message is not taken",
    "device: its password cannot be checked now",
    "device: knows its folder",
    "device: logs in",
    "device: looks again",
    "device: pauses",
    "device: reads a message",
    "device: resets in the midst",
    "device: says a wrong password",
    "device: selects with what it knew",
    "device: stops reading",
    "device: told BYE",
    "device: told EXPUNGE",
    "device: told NO",
    "device: told VANISHED",
    "device: told VANISHED (EARLIER)",
    "device: vanishes",
    "device: waits for news",
    "mailbox: a core hears of a change",
    "mailbox: what is gone is cleared away",
    "relay: a delivery that cannot be",
    "relay: a report of delivery to a mailbox",
    "relay: delivered to a mailbox",
    "client: closes in the midst",
    "client: finds nobody",
    "client: pauses",
    "client: pipelines behind the final dot",
    "client: resets in the midst",
    "client: sends by BDAT",
    "client: stops reading",
    "client: talks nonsense",
    "client: told 250",
    "client: told 421",
    "client: told 452",
    "disk: a commit that failed is there",
    "disk: no room for mail",
    "peer: too many recipients",
    "relay: a parcel whose recipients part ways",
    "client: told 451",
    "client: told 5xx",
    "client: vanishes",
    "disk: a commit failed for good",
    "disk: a commit under way survived a crash",
    "disk: a commit under way was lost in a crash",
    "disk: a look of several steps",
    "disk: a page",
    "disk: a page with more behind it",
    "disk: a read failed",
    "disk: a start sweeps what a crash left",
    "disk: no room for a settlement",
    "disk: part of a body",
    "dns: EDNS refused",
    "dns: SERVFAIL",
    "dns: a loop to ourselves",
    "dns: a server is silent",
    "dns: alias",
    "dns: all servers silent",
    "dns: answers no question",
    "dns: by stream",
    "dns: cut off",
    "dns: implicit MX",
    "dns: no such domain",
    "dns: null MX",
    "dns: truncated",
    "dns: wrong id",
    "mesh: a parcel handed over",
    "mesh: an inbox is full",
    "operator: a second SIGTERM",
    "operator: a stop before all was drained",
    "operator: all cores drained",
    "operator: another configuration",
    "operator: another number of cores",
    "operator: drain",
    "operator: kill -9",
    "operator: power cut",
    "operator: the clock leaps ahead",
    "operator: the clock steps back",
    "operator: the store failed and the process ended",
    "oracle: a second delivery, the first reply was lost",
    "peer: 354 without a recipient",
    "peer: 421 for a greeting",
    "peer: 421 in the midst",
    "peer: 421 while idle",
    "peer: stops reading amid a body",
    "peer: 4xx greeting",
    "peer: 4xx to DATA",
    "peer: 4xx to EHLO",
    "peer: 4xx to MAIL",
    "peer: 4xx to RCPT",
    "peer: 4xx to the body",
    "peer: 4xx to the connection",
    "peer: 554 for a greeting",
    "peer: 5xx greeting",
    "peer: 5xx to DATA",
    "peer: 5xx to EHLO",
    "peer: 5xx to MAIL",
    "peer: 5xx to RCPT",
    "peer: 5xx to the body",
    "peer: 5xx to the connection",
    "peer: QUIT",
    "peer: closes at DATA",
    "peer: closes at EHLO",
    "peer: closes at MAIL",
    "peer: closes at RCPT",
    "peer: closes at the body",
    "peer: closes at the connection",
    "peer: is never connected to",
    "peer: knows no EHLO",
    "peer: mute",
    "peer: no route to it",
    "peer: part of a reply",
    "peer: refuses connections",
    "peer: resets at DATA",
    "peer: resets at EHLO",
    "peer: resets at MAIL",
    "peer: resets at RCPT",
    "peer: resets at the body",
    "peer: resets at the connection",
    "peer: says nonsense",
    "peer: silent at DATA",
    "peer: silent at EHLO",
    "peer: silent at MAIL",
    "peer: silent at RCPT",
    "peer: silent at the body",
    "peer: silent at the connection",
    "peer: slow",
    "peer: takes the message, and its reply is lost",
    "relay: a parcel is tried again later",
    "relay: a report of delay",
    "relay: a report of failure",
    "relay: a report of success",
    "relay: as many changes under way as may be",
    "relay: as many clients as may be",
    "relay: as many connections to next hops as may be",
    "relay: bounced",
    "relay: deferred",
    "relay: expired",
    "relay: memory for bodies is short",
    "relay: no descriptors for a connection",
    "relay: no descriptors for a query",
    "relay: sent",
    "relay: the window is full",
    "relay: too many connections of one client",
];
