//! The result for a person.

use std::fmt::Write;

use crate::{
    outcome::{Ended, Latency, Source},
    units::{show_count, show_micros, show_octets},
};

/// Kinds of trouble that are listed.
const TROUBLES_SHOWN: usize = 10;

pub fn text(source: &Source) -> String {
    let mut text = String::new();
    for (name, value) in rows(source) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:>14}  {value}");
    }
    for trouble in source.troubles.iter().take(TROUBLES_SHOWN) {
        let _ = writeln!(text, "{:>14}  {}", show_count(trouble.count), trouble.text);
    }
    if let Some(more) = source.troubles.len().checked_sub(TROUBLES_SHOWN).filter(|&more| more > 0) {
        let _ = writeln!(text, "{:>14}  {more} more kinds of trouble; --json has them", "...");
    }
    text
}

fn rows(source: &Source) -> Vec<(&'static str, String)> {
    let mut rate = format!("{}/s", show_count(source.rate.round() as u64));
    if source.seconds > 0.0 {
        let octets = (source.octets as f64 / source.seconds) as u64;
        let _ = write!(rate, ", {}/s", show_octets(octets));
    }
    if let Some(offered) = source.offered_rate {
        let _ = write!(rate, ", {offered}/s offered");
    }
    let settled = source.acknowledged
        + source.refused_temporarily
        + source.refused_permanently
        + source.unknown;
    let ended = match source.ended {
        Ended::Count | Ended::Duration => "",
        Ended::Deadline => ", ended by the deadline",
        Ended::Interrupted => ", interrupted",
    };
    let mut rows = vec![
        ("run", format!("{} to {} in {:.2} s{ended}", source.run, source.target, source.seconds)),
        ("rate", rate),
        (
            "acknowledged",
            format!(
                "{} messages, {} recipients, {}",
                show_count(source.acknowledged),
                show_count(source.recipients_acknowledged),
                show_octets(source.octets)
            ),
        ),
    ];
    let counts = [
        ("refused, 4xx", source.refused_temporarily),
        ("refused, 5xx", source.refused_permanently),
        ("unknown", source.unknown),
    ];
    for (name, count) in counts.into_iter().filter(|&(_, count)| count > 0) {
        rows.push((name, show_count(count)));
    }
    rows.push(("latency", percentiles(&source.acknowledgement)));
    rows.push(("greeting", percentiles(&source.greeting)));
    rows.push(("connections", show_count(source.connections)));
    if settled > 0 {
        let micros = source.cpu_seconds * 1e6 / settled as f64;
        let seconds = source.cpu_seconds;
        rows.push(("own CPU", format!("{} a message, {seconds:.2} s", show_micros(micros))));
    }
    rows
}

fn percentiles(latency: &Latency) -> String {
    if latency.count == 0 {
        return "none".into();
    }
    let points = [
        ("p50", latency.p50_us),
        ("p90", latency.p90_us),
        ("p99", latency.p99_us),
        ("p99.9", latency.p99_9_us),
        ("p99.99", latency.p99_99_us),
        ("max", latency.max_us),
    ];
    points.map(|(name, micros)| format!("{name} {}", show_micros(micros))).join(", ")
}
