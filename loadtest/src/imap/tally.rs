//! What was measured, by kind of command.

use std::time::Duration;

use super::work::Kind;
use crate::{
    meter::{Latencies, Troubles},
    outcome::ImapCommand,
};

/// Counts and latencies of the kinds that came up.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: Vec<KindTally>,
    pub troubles: Troubles,
}

#[derive(Debug)]
struct KindTally {
    kind: Kind,
    latencies: Latencies,
    errors: u64,
}

impl Tally {
    pub fn done(&mut self, kind: Kind, took: Duration) {
        self.of(kind).latencies.record(took);
    }

    pub fn failed(&mut self, kind: Option<Kind>, text: &str) {
        if let Some(kind) = kind {
            self.of(kind).errors += 1;
        }
        self.troubles.add(text);
    }

    pub fn merge(&mut self, other: &Tally) {
        for theirs in &other.kinds {
            let ours = self.of(theirs.kind);
            ours.latencies.merge(&theirs.latencies);
            ours.errors += theirs.errors;
        }
        self.troubles.merge(&other.troubles);
    }

    /// Commands that were answered as they should be.
    pub fn answered(&self) -> u64 {
        self.kinds.iter().map(|tally| tally.latencies.count()).sum()
    }

    pub fn errors(&self) -> u64 {
        self.kinds.iter().map(|tally| tally.errors).sum()
    }

    /// All latencies, whatever the command.
    pub fn latencies(&self) -> Latencies {
        let mut all = Latencies::new();
        self.kinds.iter().for_each(|tally| all.merge(&tally.latencies));
        all
    }

    /// The outcome of these kinds, those that never came up included; `cpu_seconds` is what the
    /// server spent on all, which can be told of one kind only.
    pub fn outcome(
        &self,
        kinds: &[Kind],
        seconds: f64,
        cpu_seconds: Option<f64>,
    ) -> Vec<ImapCommand> {
        let outcome = |kind: &Kind| {
            let tally = self.kinds.iter().find(|tally| tally.kind == *kind);
            let latency = tally.map(|tally| tally.latencies.outcome()).unwrap_or_default();
            let count = latency.count.max(1) as f64;
            ImapCommand {
                name: kind.name().to_owned(),
                count: latency.count,
                errors: tally.map_or(0, |tally| tally.errors),
                rate: if seconds > 0.0 { latency.count as f64 / seconds } else { 0.0 },
                cpu_us: match (kinds, cpu_seconds) {
                    ([_], Some(spent)) => spent * 1e6 / count,
                    _ => 0.0,
                },
                latency,
            }
        };
        kinds.iter().map(outcome).collect()
    }

    fn of(&mut self, kind: Kind) -> &mut KindTally {
        let place = match self.kinds.iter().position(|tally| tally.kind == kind) {
            Some(place) => place,
            None => {
                self.kinds.push(KindTally { kind, latencies: Latencies::new(), errors: 0 });
                self.kinds.len() - 1
            }
        };
        &mut self.kinds[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_merged() {
        let mut tally = Tally::default();
        tally.done(Kind::Append, Duration::from_millis(2));
        tally.failed(Some(Kind::Append), "NO full");
        let mut other = Tally::default();
        other.done(Kind::Append, Duration::from_millis(4));
        other.done(Kind::Select, Duration::from_millis(1));
        other.failed(None, "LOGIN: NO");
        tally.merge(&other);
        assert_eq!((tally.answered(), tally.errors(), tally.troubles.total()), (3, 1, 2));
        assert_eq!(tally.latencies().count(), 3);

        let kinds = [Kind::Select, Kind::Append, Kind::Idle];
        let outcome = tally.outcome(&kinds, 2.0, Some(1.0));
        let seen: Vec<_> = outcome
            .iter()
            .map(|command| (command.name.as_str(), command.count, command.errors, command.rate))
            .collect();
        assert_eq!(seen, [("select", 1, 0, 0.5), ("append", 2, 1, 1.0), ("idle", 0, 0, 0.0)]);
        assert!(outcome.iter().all(|command| command.cpu_us == 0.0));
        let alone = tally.outcome(&[Kind::Append], 2.0, Some(0.001));
        assert_eq!(alone[0].cpu_us, 500.0);
        assert_eq!(alone[0].latency.mean_us, 3000.0);
    }
}
