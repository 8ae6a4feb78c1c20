//! What a sink reports when it ends, for programs and for people.

use std::{
    env,
    time::{Duration, Instant},
};

use super::{
    count::{DUPLICATES_NAMED_MAX, LIMITS, Ledger, TROUBLES, Tally},
    rule::Rule,
};
use crate::{
    meter,
    outcome::{Ended, Progress, Seen, Sink, Trouble},
    units,
};

/// Lines of one list that a person is shown.
const LINES_MAX: usize = 20;

/// What all cores have counted, and how the run ended.
pub struct Totals {
    pub tally: Tally,
    pub rules: Vec<Rule>,
    /// How often each rule was obeyed.
    pub obeyed: Vec<u64>,
    pub started: Instant,
    pub ended: Ended,
    pub series: Vec<Progress>,
}

pub fn outcome(totals: Totals, ledger: &Ledger) -> Sink {
    let tally = &totals.tally;
    let span = tally.span.map_or(Duration::ZERO, |(first, last)| last - first);
    let seconds = span.as_secs_f64();
    let rules = totals.rules.iter().map(|rule| rule.text.as_str()).zip(totals.obeyed);
    let limits = LIMITS.iter().map(|(_, text)| *text).zip(tally.limits);
    let troubles = TROUBLES.iter().map(|(_, text)| *text).zip(tally.troubles);
    Sink {
        command: env::args().collect(),
        version: env!("CARGO_PKG_VERSION").into(),
        ended: totals.ended,
        seconds,
        last_seconds: tally
            .span
            .map_or(0.0, |(_, last)| last.saturating_duration_since(totals.started).as_secs_f64()),
        messages: tally.messages,
        unique: tally.unique,
        duplicates: tally.duplicates,
        deliveries: tally.deliveries,
        without_id: tally.without_id,
        octets: tally.octets,
        connections: tally.connections,
        rate: if seconds > 0.0 { tally.messages as f64 / seconds } else { 0.0 },
        injected: met(rules.chain(limits)),
        troubles: met(troubles),
        seen: ledger.seen(),
        duplicate_ids: ledger.duplicates(),
        series: totals.series,
        cpu_seconds: meter::cpu_seconds(),
    }
}

/// What was met at least once, the most frequent first.
fn met<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> Vec<Trouble> {
    let met = counts.filter(|(_, count)| *count > 0);
    let mut met: Vec<_> = met.map(|(text, count)| Trouble { text: text.into(), count }).collect();
    met.sort_by_key(|trouble| std::cmp::Reverse(trouble.count));
    met
}

/// The same for a person.
pub fn text(sink: &Sink) -> String {
    let count = units::show_count;
    let mut text = format!(
        "{} messages in {:.2} s, {}/s, {} over {} connections\n\
         {} distinct, {} deliveries, {} duplicates\n",
        count(sink.messages),
        sink.seconds,
        count(sink.rate.round() as u64),
        units::show_octets(sink.octets),
        count(sink.connections),
        count(sink.unique),
        count(sink.deliveries),
        count(sink.duplicates),
    );
    if sink.without_id > 0 {
        text += &format!("{} without Message-ID: duplicates unknown\n", count(sink.without_id));
    }
    if sink.messages > 0 {
        let micros = sink.cpu_seconds * 1e6 / sink.messages as f64;
        text += &format!("{} of CPU time a message\n", units::show_micros(micros));
    }
    let told = |trouble: &Trouble| format!("{:>12}  {}", count(trouble.count), trouble.text);
    text += &section("Injected", sink.injected.iter().map(told));
    text += &section("Wrong of clients", sink.troubles.iter().map(told));
    text += &section("Seen", sink.seen.iter().map(seen_line));
    let title = format!("Came more than once (up to {DUPLICATES_NAMED_MAX})");
    text += &section(&title, sink.duplicate_ids.iter().map(|name| format!("  {name}")));
    text
}

fn seen_line(seen: &Seen) -> String {
    let total: u64 = seen.ids.iter().map(|(first, last)| last - first + 1).sum();
    let gaps: u64 = seen.ids.windows(2).map(|pair| pair[1].0 - pair[0].1 - 1).sum();
    let last = seen.ids.last().map_or(0, |(_, last)| *last);
    let (total, gaps, last) =
        (units::show_count(total), units::show_count(gaps), units::show_count(last));
    format!(
        "  run {}: {total} messages, the last number is {last}, {gaps} missing before",
        seen.run
    )
}

fn section(title: &str, lines: impl ExactSizeIterator<Item = String>) -> String {
    if lines.len() == 0 {
        return String::new();
    }
    let more = lines.len().saturating_sub(LINES_MAX);
    let mut text = format!("{title}:\n");
    lines.take(LINES_MAX).for_each(|line| text += &format!("{line}\n"));
    if more > 0 {
        text += &format!("  and {more} more: see --json\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_what_was_lost_and_what_came_twice() {
        let ledger = Ledger::default();
        let mut tally = Tally { connections: 2, ..Tally::default() };
        let start = Instant::now();
        for (sequence, millis) in [(1, 0), (2, 100), (2, 200), (5, 1000)] {
            let id = format!("<{sequence}.r@ringload.invalid>");
            let at = start + Duration::from_millis(millis);
            tally.message(&ledger, at, id.as_bytes(), 1024, [&b"a@b"[..]].into_iter());
        }
        let rules = vec!["delay=5ms".parse().unwrap(), "p=0.5 twice".parse().unwrap()];
        let series = Vec::new();
        let (obeyed, ended) = (vec![0, 1], Ended::Count);
        let started = start - Duration::from_millis(500);
        let totals = Totals { tally, rules, obeyed, ended, started, series };
        let sink = outcome(totals, &ledger);
        assert_eq!((sink.seconds, sink.last_seconds), (1.0, 1.5));
        assert_eq!(sink.seen, [Seen { run: "r".into(), ids: vec![(1, 2), (5, 5)] }]);
        let got = text(&sink);
        let lines: Vec<_> = got.lines().filter(|line| !line.contains("of CPU")).collect();
        assert_eq!(
            lines,
            [
                "4 messages in 1.00 s, 4/s, 4 KiB over 2 connections",
                "3 distinct, 3 deliveries, 1 duplicates",
                "Injected:",
                "           1  p=0.5 twice",
                "Seen:",
                "  run r: 3 messages, the last number is 5, 2 missing before",
                "Came more than once (up to 100):",
                "  <2.r@ringload.invalid> a@b",
            ]
        );
    }
}
