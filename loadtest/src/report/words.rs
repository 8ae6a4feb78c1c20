//! Numbers and sentences as people read them.

use super::figures::{Figures, Findings, SHARE_OF_CEILING, plausible, ratio};
use crate::units;

/// Rates nearer than this are told as equal: rounds on one machine differ by as much.
const EQUAL_WITHIN: f64 = 0.03;
/// A headline names this many others; the table has all.
const NAMED_MAX: usize = 5;
/// A ratio below this is told as a fraction: people see more in 1/14 than in 0.071.
const FRACTION_BELOW: f64 = 0.5;
/// What the rate of an IMAP server is one of.
const IMAP_RATE: &str = "IMAP commands a second in the geometric mean over their kinds";
/// Stands for a number that is none.
pub const UNKNOWN: &str = "–";

/// `7,120`, `31.5`, `0.031`.
pub fn count(value: f64) -> String {
    if !plausible(value.abs()) {
        return UNKNOWN.into();
    }
    let decimals = match value.abs() {
        value if value >= 99.95 || value.fract() == 0.0 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.0995 => 2,
        _ => 3,
    };
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{}{rest}", whole.parse().map_or_else(|_| whole.into(), units::show_count))
}

pub fn micros(value: f64) -> String {
    if plausible(value) { units::show_micros(value) } else { UNKNOWN.into() }
}

/// `1 ms` for `1.00 ms`: what stands beside an axis is round.
pub fn round_micros(value: f64) -> String {
    micros(value).replace(".00 ", " ").replace(".0 ", " ")
}

pub fn octets(value: f64) -> String {
    if plausible(value) { units::show_octets(value.round() as u64) } else { UNKNOWN.into() }
}

/// `14.2×`, `0.71×`, `1/14.2`.
pub fn times(ratio: f64) -> String {
    if ratio > 0.0 && ratio < FRACTION_BELOW {
        format!("1/{}", three_digits(1.0 / ratio))
    } else {
        format!("{}×", three_digits(ratio))
    }
}

pub fn percent(share: f64) -> String {
    format!("{} %", count((share * 100.0).round()))
}

/// What this comparison found, in one sentence that the figures bear out.
pub fn headline(found: &Findings) -> String {
    let ranked = ranked(&found.relays);
    if ranked.is_empty() {
        let boxes = self::ranked(&found.mailboxes);
        return told(&found.mailboxes, &boxes, "answered", IMAP_RATE)
            .unwrap_or_else(|| "No server gave figures.".into());
    }
    told(&found.relays, &ranked, "relayed", "messages a second").unwrap_or_default()
}

/// What a reader of the headline must know as well: losses, failures, the ceiling.
pub fn cautions(found: &Findings) -> Vec<String> {
    let mut cautions = Vec::new();
    for figures in found.all() {
        let name = figures.name();
        if let Some(reason) = &figures.server.failed {
            let what = match figures.failure() {
                Some(_) => "gave no figures",
                None => "failed before its last round",
            };
            cautions.push(format!("{name} {what}: {}", sentence(first_line(reason))));
        }
        if let Some(lost) = figures.lost.as_ref().filter(|lost| lost.median > 0.0) {
            let lost = messages(lost.median);
            cautions
                .push(format!("{name} lost {lost} that it had acknowledged, or held on to them."));
        }
        if let Some(twice) = figures.duplicates.as_ref().filter(|twice| twice.median > 0.0) {
            let twice = messages(twice.median);
            cautions.push(format!("{name} delivered {twice} more than it was given."));
        }
    }
    cautions
}

/// How near the first relay comes to what the machine allows.
pub fn ceiling(found: &Findings) -> Option<String> {
    let first = found.relays.first()?;
    let ceiling = found.ceiling()?;
    let share = ratio(first.relayed.as_ref()?.median, ceiling * SHARE_OF_CEILING)?;
    Some(format!(
        "Source and sink alone reach {} messages a second. A relay between them can have half of \
         that at most: {} reaches {} of this half.",
        count(ceiling.round()),
        first.name(),
        percent(share)
    ))
}

/// A command line that a shell reads as these words.
pub fn shell(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let quoted = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Without what would move a terminal's cursor or change its colours: names come from files.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

pub fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason is given")
}

/// The fastest first; those without a rate are left out.
fn ranked<'a, 'b>(servers: &'b [Figures<'a>]) -> Vec<&'b Figures<'a>> {
    let mut ranked: Vec<_> = servers.iter().filter(|server| rate(server) > 0.0).collect();
    ranked.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
    ranked
}

fn rate(server: &Figures) -> f64 {
    server.relayed.as_ref().map_or(0.0, |spread| spread.median)
}

fn told(servers: &[Figures], ranked: &[&Figures], did: &str, what: &str) -> Option<String> {
    let fastest = ranked.first()?;
    // The first server is the one that the others are compared to; a server that failed is not.
    let own = servers.first().filter(|first| rate(first) > 0.0).unwrap_or(fastest);
    let others: Vec<_> =
        ranked.iter().copied().filter(|other| !std::ptr::eq(*other, own)).collect();
    let speed = |server: &Figures| format!("{} {what}", count(rate(server).round()));
    if others.is_empty() {
        return Some(format!("{} {did} {}.", own.name(), speed(own)));
    }
    let compared = beside(own, others.iter().take(NAMED_MAX).copied());
    let list = listed(&compared);
    if own.times(fastest)? < 1.0 - EQUAL_WITHIN {
        return Some(format!(
            "{} was the fastest, with {}. {} {did} {}: {list}.",
            fastest.name(),
            speed(fastest),
            own.name(),
            speed(own)
        ));
    }
    Some(format!("{} {did} {}: {list}.", own.name(), speed(own)))
}

fn beside<'a>(own: &Figures, others: impl Iterator<Item = &'a Figures<'a>>) -> Vec<String> {
    // The first has the whole phrase, which the others need not repeat.
    let mut phrase = "as many as ";
    let compared = |other: &Figures| {
        let ratio = own.times(other)?;
        if (ratio - 1.0).abs() < EQUAL_WITHIN {
            return Some(format!("as many as {}", other.name()));
        }
        let phrase = std::mem::take(&mut phrase);
        Some(format!("{} times {phrase}{}", three_digits(ratio), other.name()))
    };
    others.filter_map(compared).collect()
}

fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

fn messages(number: f64) -> String {
    format!("{} message{}", count(number), if number == 1.0 { "" } else { "s" })
}

fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.into() } else { format!("{text}.") }
}

fn three_digits(value: f64) -> String {
    match value {
        value if value.fract() == 0.0 || value >= 99.95 => count(value.round()),
        value if value >= 9.995 => format!("{value:.1}"),
        value if value >= 0.0995 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        type Case = (fn(f64) -> String, f64, &'static str);
        let cases: &[Case] = &[
            (count, 0.0, "0"),
            (count, 7_120.4, "7,120"),
            (count, 1_234_567.0, "1,234,567"),
            (count, 31.46, "31.5"),
            (count, 2.5, "2.50"),
            (count, 0.031, "0.031"),
            (count, -4_000.0, "−4,000"),
            (micros, 312.4, "312 µs"),
            (micros, 3_100.0, "3.10 ms"),
            (micros, 999_900.0, "1.00 s"),
            (round_micros, 1_000.0, "1 ms"),
            (round_micros, 20_000.0, "20 ms"),
            (micros, -1.0, "–"),
            (octets, 0.0, "0 B"),
            (octets, 4_200.0, "4.1 KiB"),
            (octets, 1_048_576.0, "1 MiB"),
            (octets, 1e308, "–"),
            (count, f64::NAN, "–"),
            (micros, f64::INFINITY, "–"),
            (times, 14.22, "14.2×"),
            (times, 0.07, "1/14.3"),
            (times, 0.71, "0.71×"),
            (times, 0.0, "0×"),
            (percent, 0.846, "85 %"),
        ];
        for (show, value, text) in cases {
            assert_eq!(&show(*value), text, "{value}");
        }
    }

    #[test]
    fn commands_can_be_repeated() {
        let words = ["sh", "-c", "echo 'it' > $1", "", "a=b"].map(String::from);
        assert_eq!(shell(&words), r"sh -c 'echo '\''it'\'' > $1' '' a=b");
    }

    #[test]
    fn lists_read_as_sentences() {
        let parts = ["a", "b", "c"].map(String::from);
        assert_eq!(listed(&parts), "a, b and c");
        assert_eq!(listed(&parts[..1]), "a");
        assert_eq!(first_line("\n  \n no greeting \nmore"), "no greeting");
        assert_eq!(sentence("no greeting"), "no greeting.");
    }
}
