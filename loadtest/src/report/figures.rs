//! What the rounds of a comparison come to: medians, spreads, and the list of what is told.

use super::{
    svg::Mark,
    words::{count, micros, octets},
};
use crate::outcome::{Comparison, Latency, Round, Server};

/// Above this a figure is no measurement, and is left out.
const PLAUSIBLE_MAX: f64 = 1e15;
/// The calls that wait for a disk.
const SYNCS: [&str; 5] = ["fsync", "fdatasync", "sync_file_range", "syncfs", "msync"];
/// A relay that shares the machine with source and sink handles every message twice.
pub const SHARE_OF_CEILING: f64 = 0.5;

/// One figure over all rounds that have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    /// In the order of the rounds.
    pub rounds: Vec<f64>,
}

/// How the latencies of a comparison were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// At a fixed rate, half of that at which the server had relayed.
    Half,
    /// As fast as answers came.
    Full,
}

impl Load {
    pub fn words(self) -> &'static str {
        match self {
            Load::Half => "at half load",
            Load::Full => "under full load",
        }
    }
}

/// The figures of one server. What was not measured is `None`.
#[derive(Debug)]
pub struct Figures<'a> {
    pub server: &'a Server,
    pub mark: Mark,
    /// Messages a second. For an IMAP server commands: the geometric mean of the rates of those
    /// kinds that every such server answered, as each kind had a time of its own.
    pub relayed: Option<Spread>,
    pub accepted: Option<Spread>,
    pub p50: Option<Spread>,
    pub p99: Option<Spread>,
    pub p99_9: Option<Spread>,
    pub p99_99: Option<Spread>,
    /// The p99 in units of what one sync of the disk takes.
    pub p99_syncs: Option<Spread>,
    pub cpu: Option<Spread>,
    pub calls: Option<Spread>,
    pub syncs: Option<Spread>,
    pub written: Option<Spread>,
    pub memory: Option<Spread>,
    /// Of all rounds together, so there is one value.
    pub lost: Option<Spread>,
    pub duplicates: Option<Spread>,
}

/// A comparison with its figures.
#[derive(Debug)]
pub struct Findings<'a> {
    pub comparison: &'a Comparison,
    pub load: Load,
    /// The SMTP servers, in their order; the first is what the others are compared to.
    pub relays: Vec<Figures<'a>>,
    pub direct: Option<Figures<'a>>,
    pub mailboxes: Vec<Figures<'a>>,
}

impl<'a> Findings<'a> {
    pub fn of(comparison: &'a Comparison) -> Findings<'a> {
        let half = comparison.servers.iter().any(|server| !server.open.is_empty());
        let load = if half { Load::Half } else { Load::Full };
        let mut found =
            Findings { comparison, load, relays: vec![], direct: None, mailboxes: vec![] };
        for (index, server) in comparison.servers.iter().enumerate() {
            let sync = comparison.machine.sync.p50_us;
            let figures = |mark| Figures::of(server, mark, load, sync);
            match server.protocol.as_str() {
                "direct" => found.direct = Some(figures(Mark::Direct)),
                "imap" => found.mailboxes.push(figures(Mark::Server(index))),
                _ => found.relays.push(figures(Mark::Server(index))),
            }
        }
        let kinds = kinds_of_all(&found.mailboxes);
        for figures in &mut found.mailboxes {
            figures.relayed = mean_rate(figures.server, &kinds);
        }
        found
    }

    /// The relays, then the line without one.
    pub fn lines(&self) -> impl Iterator<Item = &Figures<'a>> {
        self.relays.iter().chain(&self.direct)
    }

    pub fn all(&self) -> impl Iterator<Item = &Figures<'a>> {
        self.lines().chain(&self.mailboxes)
    }

    /// What source and sink reach with no relay between them, in messages a second.
    pub fn ceiling(&self) -> Option<f64> {
        self.direct.as_ref()?.relayed.as_ref().map(|spread| spread.median)
    }
}

impl<'a> Figures<'a> {
    fn of(server: &'a Server, mark: Mark, load: Load, sync: f64) -> Figures<'a> {
        let direct = mark == Mark::Direct;
        let closed = |value: fn(&Round) -> f64| spread(server.closed.iter().map(value));
        // What every server must spend reads zero where nobody could measure it.
        let spent = |value| closed(value).filter(|spread| spread.most > 0.0 && !direct);
        let rounds = latency_rounds(server, load);
        let latency = |value: fn(&Latency) -> f64| {
            let counted = rounds.iter().map(|round| &round.acknowledgement);
            spread(counted.filter(|latency| latency.count > 0).map(value))
        };
        let p99 = latency(|latency| latency.p99_us);
        Figures {
            server,
            mark,
            relayed: closed(|round| round.relayed_rate),
            accepted: closed(|round| round.accepted_rate),
            p50: latency(|latency| latency.p50_us),
            p99_9: latency(|latency| latency.p99_9_us),
            p99_99: latency(|latency| latency.p99_99_us),
            p99_syncs: spread(p99.iter().flat_map(|p99| &p99.rounds).map(|p99| p99 / sync)),
            p99,
            cpu: spent(|round| round.cpu_us_per_message),
            calls: calls(server, |_| true),
            // None at all: it writes through, or promises nothing; it is not the thriftiest.
            syncs: calls(server, |name| SYNCS.contains(&name)).filter(|syncs| syncs.median > 0.0),
            written: spent(|round| round.octets_written_per_message),
            memory: spent(|round| round.memory_own_peak as f64),
            lost: total(server, |round| round.lost),
            duplicates: total(server, |round| round.duplicates),
        }
    }

    pub fn name(&self) -> &'a str {
        &self.server.name
    }

    /// Why there are no figures at all. A server that failed later has those of the rounds before.
    pub fn failure(&self) -> Option<&'a str> {
        self.server.failed.as_deref().filter(|_| self.relayed.is_none())
    }

    /// Several times this server's median rate is the other's: 2 if this one is twice as fast.
    pub fn times(&self, other: &Figures) -> Option<f64> {
        ratio(self.relayed.as_ref()?.median, other.relayed.as_ref()?.median)
    }
}

/// One line of the summary: what it is called, where it is found, and how it is written.
pub struct Metric {
    pub name: &'static str,
    /// The name that fits above a column.
    pub short: &'static str,
    pub group: Group,
    pub figure: for<'b> fn(&'b Figures<'_>) -> Option<&'b Spread>,
    pub show: fn(f64) -> String,
    pub rank: Rank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Throughput,
    Acknowledgement,
    Cost,
    Safety,
}

/// Which end of a figure is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    More,
    Less,
    /// Anything but zero is a fault, and a ratio says nothing.
    Fault,
}

pub const GROUPS: [Group; 4] =
    [Group::Throughput, Group::Acknowledgement, Group::Cost, Group::Safety];

impl Group {
    pub fn title(self, load: Load) -> String {
        match self {
            Group::Throughput => "Throughput".into(),
            Group::Acknowledgement => format!("Time to the 250, {}", load.words()),
            Group::Cost => "What a message costs".into(),
            Group::Safety => "Memory and losses".into(),
        }
    }

    pub fn metrics(self) -> impl Iterator<Item = &'static Metric> {
        METRICS.iter().filter(move |metric| metric.group == self)
    }
}

macro_rules! metric {
    ($group:ident, $name:literal, $short:literal, $figure:ident, $show:ident, $rank:ident) => {
        Metric {
            name: $name,
            short: $short,
            group: Group::$group,
            figure: |figures| figures.$figure.as_ref(),
            show: $show,
            rank: Rank::$rank,
        }
    };
}

const METRICS: &[Metric] = &[
    metric!(Throughput, "Relayed a second", "relayed/s", relayed, count, More),
    metric!(Throughput, "Accepted a second", "accepted/s", accepted, count, More),
    metric!(Acknowledgement, "p50", "p50", p50, micros, Less),
    metric!(Acknowledgement, "p99", "p99", p99, micros, Less),
    metric!(Acknowledgement, "p99.9", "p99.9", p99_9, micros, Less),
    metric!(Acknowledgement, "p99.99", "p99.99", p99_99, micros, Less),
    metric!(Acknowledgement, "p99, in syncs of the disk", "p99/sync", p99_syncs, count, Less),
    metric!(Cost, "CPU time", "CPU", cpu, micros, Less),
    metric!(Cost, "System calls", "calls", calls, count, Less),
    metric!(Cost, "Syncs", "syncs", syncs, count, Less),
    metric!(Cost, "Written to disk", "written", written, octets, Less),
    metric!(Safety, "Own memory, peak", "memory", memory, octets, Less),
    metric!(Safety, "Messages lost", "lost", lost, count, Fault),
    metric!(Safety, "Duplicates", "duplicates", duplicates, count, Fault),
];

/// The metric of this short name.
pub fn metric(short: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.short == short)
}

/// The finite, not negative values among these; none if there is none.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let rounds: Vec<f64> = values.into_iter().filter(|value| plausible(*value)).collect();
    let mut sorted = rounds.clone();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = match sorted.len() % 2 {
        0 => sorted.get(middle - 1..=middle)?.iter().sum::<f64>() / 2.0,
        _ => *sorted.get(middle)?,
    };
    Some(Spread { median, least, most, rounds })
}

pub fn ratio(value: f64, base: f64) -> Option<f64> {
    (base > 0.0).then(|| value / base).filter(|ratio| plausible(*ratio))
}

pub fn plausible(value: f64) -> bool {
    (0.0..=PLAUSIBLE_MAX).contains(&value)
}

/// The round whose figure lies nearest to the median of all.
pub fn median_round(rounds: &[Round], value: fn(&Round) -> f64) -> Option<&Round> {
    let median = spread(rounds.iter().map(value))?.median;
    let distance = |round: &Round| (value(round) - median).abs();
    rounds
        .iter()
        .filter(|round| plausible(value(round)))
        .min_by(|one, other| distance(one).total_cmp(&distance(other)))
}

pub fn latency_rounds(server: &Server, load: Load) -> &[Round] {
    match load {
        Load::Half => &server.open,
        Load::Full => &server.closed,
    }
}

/// The kinds of IMAP command that each server with figures answered.
fn kinds_of_all<'a>(mailboxes: &[Figures<'a>]) -> Vec<&'a str> {
    let answered = |server: &Server, name: &str| rate_of(server, name).is_some();
    let servers: Vec<&Server> =
        mailboxes.iter().map(|figures| figures.server).filter(|s| !s.imap.is_empty()).collect();
    let names = servers.first().into_iter().flat_map(|first| &first.imap);
    names
        .map(|command| command.name.as_str())
        .filter(|name| servers.iter().all(|server| answered(server, name)))
        .collect()
}

fn mean_rate(server: &Server, kinds: &[&str]) -> Option<Spread> {
    let logarithms: Vec<f64> =
        kinds.iter().filter_map(|kind| rate_of(server, kind)).map(f64::ln).collect();
    let mean = logarithms.iter().sum::<f64>() / logarithms.len().max(1) as f64;
    spread((!logarithms.is_empty()).then(|| mean.exp()))
}

fn rate_of(server: &Server, kind: &str) -> Option<f64> {
    let command = server.imap.iter().find(|command| command.name == kind)?;
    (command.rate > 0.0 && plausible(command.rate)).then_some(command.rate)
}

fn calls(server: &Server, counts: fn(&str) -> bool) -> Option<Spread> {
    if server.syscalls.is_empty() {
        return None;
    }
    spread([server.syscalls.iter().filter(|(name, _)| counts(name)).map(|(_, calls)| calls).sum()])
}

fn total(server: &Server, value: fn(&Round) -> u64) -> Option<Spread> {
    let rounds = server.closed.iter().chain(&server.open);
    let counts: Vec<f64> = rounds.map(|round| value(round) as f64).collect();
    if counts.is_empty() { None } else { spread([counts.iter().sum()]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_leave_out_what_is_no_measurement() {
        let cases: [(&[f64], Option<f64>); 6] = [
            (&[], None),
            (&[f64::NAN, -1.0, f64::INFINITY, 1e300], None),
            (&[3.0], Some(3.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[1.0, 2.0, 4.0, 9.0], Some(3.0)),
            (&[f64::NAN, 5.0, 7.0], Some(6.0)),
        ];
        for (values, median) in cases {
            let found = spread(values.iter().copied()).map(|spread| spread.median);
            assert_eq!(found, median, "{values:?}");
        }
        let spread = spread([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.least, spread.most), (1.0, 3.0));
        assert_eq!(spread.rounds, [3.0, 1.0, 2.0]);
    }

    #[test]
    fn the_median_round_is_one_that_ran() {
        let rounds: Vec<Round> = [10.0, f64::NAN, 30.0, 18.0]
            .map(|relayed_rate| Round { relayed_rate, ..Round::default() })
            .into();
        let round = median_round(&rounds, |round| round.relayed_rate).unwrap();
        assert_eq!(round.relayed_rate, 18.0);
        assert!(median_round(&rounds[..0], |round| round.relayed_rate).is_none());
    }

    #[test]
    fn nothing_is_so_many_times_zero() {
        assert_eq!(ratio(5.0, 2.0), Some(2.5));
        assert_eq!(ratio(5.0, 0.0), None);
        assert_eq!(ratio(5.0, f64::NAN), None);
    }
}
