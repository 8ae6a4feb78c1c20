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
    let messages = found.lines().next().map(|_| count(comparison.messages as f64));
    [("Message", Some(size)), ("Messages a round, at most", messages)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .chain([
            ("Sessions", count(comparison.sessions as f64)),
            ("Rounds", count(comparison.rounds as f64)),
            ("TLS", comparison.tls.clone()),
            ("Began", comparison.began.clone()),
            ("Took", micros(comparison.seconds * 1e6)),
            ("ringload", comparison.version.clone()),
        ])
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What the figures mean, for those who did not write this program.
pub fn method(found: &Findings) -> Vec<(String, String)> {
    let lines = if found.lines().next().is_some() { LINES_METHOD } else { &[] };
    let mailboxes = if found.mailboxes.is_empty() { &[] } else { MAILBOXES_METHOD };
    let parts = lines.iter().chain(mailboxes);
    parts.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
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

const LINES_METHOD: &[(&str, &str)] = &[
    (
        "Rounds",
        "Every server runs alone, in turn: the first round of each, then the second, and so on, \
         each from an empty queue unless a backlog is told. A figure is the median over rounds.",
    ),
    (
        "Rate",
        "The source sends as fast as answers come. Accepted counts the messages answered 250, \
         relayed those that reached the sink, until the last had come.",
    ),
    (
        "Latency",
        "In rounds of their own a message is due at fixed moments, at half the rate that the \
         server had taken, and its time is counted from the moment it was due: a server that \
         stalls is charged for every message that had to wait.",
    ),
    (
        "Cost",
        "CPU time is that of all processes of the server. Octets written are what the whole \
         machine wrote to the disk meanwhile, and by a sync at the end of the round. Own \
         memory is anonymous and shared memory at its highest, without cached files.",
    ),
    ("System calls", "Counted in a round of their own, under a tracer that slows the server down."),
    (
        "Losses",
        "A message counts as lost when it was answered 250 and had not come to the sink at the \
         round's deadline, nor any other in the 3 s before: a server that puts a delivery off for \
         longer is charged with it. A duplicate is a delivery that the sink saw before.",
    ),
    (
        "Direct",
        "Source to sink with no server between: what the machine and the tools allow. A relay on \
         the same machine handles every message twice, so it can have half of that at most.",
    ),
];

const MAILBOXES_METHOD: &[(&str, &str)] = &[
    (
        "IMAP rounds",
        "Every server runs alone, in turn, its rounds among those of the others, each with new \
         mailboxes. They are filled first; then one kind of command after the other has the same \
         time. Of each kind the table has the round in the middle by its rate; errors are of all \
         rounds.",
    ),
    (
        "IMAP commands",
        "Each session has an account of its own and asks for the next thing as soon as it is \
         answered. The time of a command is from its first octet to its tagged answer; of a login \
         it is from connecting to the answer, of an idle from the end of an APPEND to the moment \
         another session is told of it.",
    ),
    (
        "IMAP cost",
        "CPU time is that of all processes of the server while a kind was measured, by the \
         commands answered meanwhile.",
    ),
];
