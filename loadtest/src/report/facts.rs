//! What a comparison was made under, as pairs of name and value.

use super::{
    figures::Findings,
    words::{count, micros, octets},
};
use crate::outcome::Machine;

/// What was asked for.
pub fn conditions(found: &Findings) -> Vec<(String, String)> {
    let comparison = found.comparison;
    let size = match comparison.size.parse() {
        Ok(size) => octets(size),
        Err(_) => comparison.size.clone(),
    };
    [
        ("Message", size),
        ("Messages a round, at most", count(comparison.messages as f64)),
        ("Sessions", count(comparison.sessions as f64)),
        ("Rounds", count(comparison.rounds as f64)),
        ("TLS", comparison.tls.clone()),
        ("Began", comparison.began.clone()),
        ("Took", micros(comparison.seconds * 1e6)),
        ("ringload", comparison.version.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

pub fn machine(machine: &Machine) -> Vec<(String, String)> {
    let sync = &machine.sync;
    let syncs = if sync.count > 0 {
        format!("p50 {}, p99 {}", micros(sync.p50_us), micros(sync.p99_us))
    } else {
        "not measured".into()
    };
    [
        ("Processor", format!("{}, {} cores", machine.cpu, machine.cores)),
        ("Memory", octets(machine.memory as f64)),
        ("System", format!("{}, kernel {}", machine.distribution, machine.kernel)),
        ("Disk", format!("{}, {}", machine.disk, machine.filesystem)),
        ("Sync of a page", syncs),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
