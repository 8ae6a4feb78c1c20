//! The weather: what of a plan happens when.

use super::{Event, Operation, Visit, World};
use crate::{letters::Shape, peer::Mood, time::Duration};

impl World {
    pub(super) fn schedule_visits(&mut self) {
        let span = self.plan.span;
        let rush = span.mul_f64(self.random.fraction());
        let mut left = self.plan.messages;
        while left > 0 {
            let count = (1 + self.random.below(6)).min(left);
            left -= count;
            let stranger = self.dice(5);
            let letters = (0..count)
                .map(|_| (Shape::of(&self.plan, stranger, &mut self.random), 0))
                .collect();
            let fraction = self.random.fraction();
            let at = match self.dice(3) {
                true => rush + Duration::from_millis(u64::from(self.random.below(3000))),
                false => span.mul_f64(fraction),
            };
            self.to_come += 1;
            self.push(at, Event::Visit { visit: Box::new(Visit { stranger, letters }) });
        }
    }

    pub(super) fn schedule_operations(&mut self) {
        let cores = self.plan.cores;
        self.at(Duration::ZERO, Operation::Start { cores, changed: false });
        self.at(self.plan.span, Operation::Heal);
        let troubles = self.plan.troubles.clone();
        use Operation::{Crowded, DnsOut, FullDisk, SlowDisk, Unreadable};
        for (there, operation) in [
            (troubles.crashes, Operation::Kill),
            (troubles.power_cuts, Operation::PowerCut),
            (troubles.drains, Operation::Drain),
            (troubles.broken_disk, Operation::BreakDisk),
            (troubles.dns_faults, Operation::Move),
        ] {
            if there {
                for _ in 0..1 + self.random.below(4) {
                    let at = self.some_time();
                    self.at(at, operation);
                }
            }
        }
        for (there, switch) in [
            (troubles.full_disk, FullDisk as fn(bool) -> Operation),
            (troubles.slow_disk, SlowDisk),
            (troubles.failed_loads, Unreadable),
            (troubles.dns_outages, DnsOut),
            (troubles.descriptors, Crowded),
        ] {
            if there {
                for _ in 0..1 + self.random.below(3) {
                    let at = self.some_time();
                    let lasts = self.while_of(Duration::from_secs(5400));
                    self.at(at, switch(true));
                    self.at(at + lasts, switch(false));
                }
            }
        }
        if troubles.clock_jumps {
            for _ in 0..1 + self.random.below(3) {
                let at = self.some_time();
                let seconds = i64::from(self.random.below(7200)) - 3600;
                self.at(at, Operation::Jump(seconds));
            }
        }
        if troubles.hosts {
            self.schedule_moods();
        }
    }

    fn schedule_moods(&mut self) {
        const MOODS: [Mood; 8] = [
            Mood::Good,
            Mood::Down,
            Mood::Unreachable,
            Mood::Hole,
            Mood::Busy,
            Mood::Closed,
            Mood::Mute,
            Mood::Slow,
        ];
        for host in 0..self.hosts.len() {
            for _ in 0..self.random.below(5) {
                let at = self.some_time();
                let mood = MOODS[self.random.below(8) as usize];
                self.at(at, Operation::Mood(host, mood));
            }
        }
    }

    fn some_time(&mut self) -> Duration {
        let fraction = self.random.fraction();
        self.plan.span.mul_f64(fraction)
    }
}
