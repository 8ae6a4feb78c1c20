//! The operator: starts, stops, kills and changes the relay, and looks whether all is well.

use super::{Event, World};
use crate::{
    network::{Flight, Seat},
    oracle::{Checked, broken},
    peer::Mood,
    process::Process,
    relay::{Input, Trouble},
    time::Duration,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// With so many cores, and the other configuration or the same.
    Start {
        cores: u16,
        changed: bool,
    },
    /// kill -9: the kernel closes what was open.
    Kill,
    /// The power goes: nobody closes anything.
    PowerCut,
    /// SIGTERM, once its grace is over.
    Drain,
    /// The drain has taken its time, or a second SIGTERM came.
    Stop {
        life: u32,
    },
    /// The store has failed for good, and the process ends.
    Collapse {
        life: u32,
    },
    /// The time of day jumps by so many seconds.
    Jump(i64),
    FullDisk(bool),
    SlowDisk(bool),
    BreakDisk,
    Unreadable(bool),
    DnsOut(bool),
    Crowded(bool),
    Mood(usize, Mood),
    /// The domains' records change.
    Move,
    /// From now on all is well.
    Heal,
}

/// A drain ends within so long, whatever the clients do: the default of `drain.deadline`.
const DRAIN_MAX: Duration = Duration::from_secs(30);

impl World {
    pub(super) fn at(&mut self, after: Duration, operation: Operation) {
        self.push(after, Event::Operation(operation));
    }

    pub(super) fn operate(&mut self, operation: Operation) -> Checked {
        self.say(format_args!("operator: {operation:?}"));
        let is_of_now = |life: u32, world: &World| life == world.life && world.process.is_some();
        match operation {
            Operation::Start { cores, changed } => return self.start(cores, changed),
            Operation::Kill if !self.healed => return self.crash("operator: kill -9", false),
            Operation::PowerCut if !self.healed => {
                return self.crash("operator: power cut", true);
            }
            Operation::Kill | Operation::PowerCut => {}
            Operation::Drain => return self.drain(),
            Operation::Stop { life } if is_of_now(life, self) => return self.stop(),
            Operation::Collapse { life } if is_of_now(life, self) => {
                return self.crash("operator: the store failed and the process ended", false);
            }
            Operation::Stop { .. } | Operation::Collapse { .. } => {}
            Operation::Jump(seconds) => self.jump(seconds),
            Operation::FullDisk(full) => {
                self.disk.full = full && !self.healed;
                self.tell_space();
                if !self.disk.full {
                    return self.pay_debts();
                }
            }
            Operation::SlowDisk(slow) => self.disk.slow = slow && !self.healed,
            Operation::BreakDisk if self.process.is_some() && !self.healed => {
                self.disk.broken = true;
            }
            Operation::BreakDisk => {}
            Operation::Unreadable(is) => self.disk.unreadable = is && !self.healed,
            Operation::DnsOut(out) => self.zone.out = out && !self.healed,
            Operation::Crowded(crowded) => {
                if let Some(process) = &mut self.process {
                    process.crowded = crowded && !self.healed;
                }
            }
            Operation::Mood(host, mood) => {
                let is_of_use = !self.healed && !self.hosts[host].retired;
                self.hosts[host].mood = if is_of_use { mood } else { self.hosts[host].mood };
            }
            Operation::Move => self.move_domains(),
            Operation::Heal => self.heal()?,
        }
        Ok(())
    }

    fn start(&mut self, cores: u16, changed: bool) -> Checked {
        if self.process.is_some() {
            return Ok(());
        }
        self.life += 1;
        self.starts += 1;
        self.changed = changed;
        if self.disk.sweep() > 0 {
            self.coverage.count("disk: a start sweeps what a crash left");
        }
        self.oracle.audit(&self.disk)?;
        let bounds = (self.plan.inbound_max, self.plan.outbound_max);
        let process = Process::start(
            self.plan.options(changed),
            cores,
            bounds,
            self.disk.highest(),
            self.now,
            &mut self.random,
        );
        self.process = Some(process);
        let (life, now) = (self.life, self.now());
        self.oracle.started(now);
        for core in 0..cores {
            self.push(Duration::ZERO, Event::Input { life, core, input: Input::Wake });
        }
        self.tell_space();
        Ok(())
    }

    /// The process ends without a word. Some time later it is started again.
    fn crash(&mut self, what: &'static str, power: bool) -> Checked {
        if self.process.is_none() {
            return Ok(());
        }
        self.coverage.count(what);
        // A commit under way is on the disk, or is not.
        if let Some(jobs) = self.disk.committing.take()
            && !self.disk.broken
            && !self.disk.full
            && self.disk.owed.is_empty()
        {
            match self.dice(2) {
                true => {
                    self.coverage.count("disk: a commit under way survived a crash");
                    self.write(&jobs)?;
                }
                false => self.coverage.count("disk: a commit under way was lost in a crash"),
            }
        }
        self.disk.forget();
        self.oracle.audit(&self.disk)?;
        self.end_process(power);
        let down = Duration::from_millis(500) + self.while_of(Duration::from_secs(1200));
        self.start_again(down);
        Ok(())
    }

    /// Where much is under way, a crash hurts most: it comes within `time`, now and then.
    pub(super) fn tempt(&mut self, time: Duration) {
        let troubles = &self.plan.troubles;
        let operation = match (troubles.crashes, troubles.power_cuts) {
            (true, _) => Operation::Kill,
            (false, true) => Operation::PowerCut,
            (false, false) => return,
        };
        if !self.healed && self.dice(80) {
            let after = time.mul_f64(self.random.fraction());
            self.at(after, operation);
        }
    }

    fn start_again(&mut self, down: Duration) {
        let cores = match self.dice(2) {
            true => 1 + self.random.below(4) as u16,
            false => self.plan.cores,
        };
        let changed = self.plan.troubles.changes && self.dice(2);
        if cores != self.plan.cores {
            self.coverage.count("operator: another number of cores");
        }
        if changed != self.changed {
            self.coverage.count("operator: another configuration");
        }
        if self.plan.troubles.clock_jumps && self.dice(3) {
            let seconds = i64::from(self.random.below(3600)) - 1800;
            self.jump(seconds);
        }
        self.at(down, Operation::Start { cores, changed });
    }

    fn end_process(&mut self, power: bool) {
        self.process = None;
        // What is still under way belongs to a life that is over.
        self.life += 1;
        let open: Vec<u64> = self
            .links
            .iter()
            .filter(|(_, link)| link.seat != Seat::Left)
            .map(|(number, _)| *number)
            .collect();
        for number in open {
            if power {
                // The others find out when the machine is up again, or when they give up.
                let Some(link) = self.links.get_mut(&number) else { continue };
                link.seat = Seat::Left;
                link.queue.clear();
                let later = self.while_of(Duration::from_secs(1200));
                self.fly(number, false, later, Flight::End(Trouble::Reset));
            } else {
                self.cut_off(number);
            }
        }
    }

    fn drain(&mut self) -> Checked {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.draining.is_some() {
            return Ok(());
        }
        process.draining = Some(now);
        let cores = process.cores.len() as u16;
        self.coverage.count("operator: drain");
        let life = self.life;
        for core in 0..cores {
            self.push(Duration::ZERO, Event::Input { life, core, input: Input::Drain });
        }
        let patience = match self.finishing.is_none() && self.dice(4) {
            true => {
                self.coverage.count("operator: a second SIGTERM");
                self.while_of(Duration::from_secs(5))
            }
            false => DRAIN_MAX,
        };
        self.at(patience, Operation::Stop { life });
        Ok(())
    }

    /// A core says that nothing is open and nothing unsaid.
    pub(super) fn drained(&mut self, core: u16) -> Checked {
        let life = self.life;
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.draining.is_none() {
            return broken(format!("core {core} drained unasked"));
        }
        let seat = &mut process.cores[usize::from(core)];
        if std::mem::replace(&mut seat.drained, true) {
            return broken(format!("core {core} drained twice"));
        }
        if seat.stores > 0 || !seat.seats.is_empty() {
            return broken(format!("core {core} drained, and has something under way"));
        }
        if process.cores.iter().all(|core| core.drained) {
            self.coverage.count("operator: all cores drained");
            self.at(Duration::ZERO, Operation::Stop { life });
        }
        Ok(())
    }

    /// The process stops in good order: what was handed over is committed.
    fn stop(&mut self) -> Checked {
        let drained =
            self.process.as_ref().is_some_and(|process| process.cores.iter().all(|c| c.drained));
        if self.finishing.is_some() && !drained {
            return broken("the last drain did not end, though nothing was open".into());
        }
        if !drained {
            self.coverage.count("operator: a stop before all was drained");
        }
        let mut jobs = self.disk.committing.take().unwrap_or_default();
        jobs.extend(self.disk.waiting.drain(..));
        if !self.disk.broken && !self.disk.full {
            jobs.splice(0..0, std::mem::take(&mut self.disk.owed));
            self.write(&jobs)?;
        }
        let sound = !self.disk.broken && !self.disk.full;
        self.disk.forget();
        self.oracle.audit(&self.disk)?;
        if drained && sound {
            self.oracle.check_settled()?;
        }
        if self.finishing.is_some() {
            self.over = true;
            return Ok(());
        }
        self.end_process(false);
        let down = Duration::from_millis(500) + self.while_of(Duration::from_secs(300));
        self.start_again(down);
        Ok(())
    }

    /// The records change, and hosts that no record names any more are switched off.
    fn move_domains(&mut self) {
        self.zone.moved = true;
        let domains = &self.plan.domains;
        for (number, host) in self.hosts.iter_mut().enumerate() {
            let named = |list: &[(u16, usize)]| list.iter().any(|(_, at)| *at == number);
            host.retired = !domains.iter().any(|domain| named(&domain.moved));
            if host.retired {
                host.mood = Mood::Down;
            }
        }
    }

    fn jump(&mut self, seconds: i64) {
        self.coverage.count(match seconds < 0 {
            true => "operator: the clock steps back",
            false => "operator: the clock leaps ahead",
        });
        self.wall_base = self.wall_base.saturating_add_signed(seconds * 1000);
    }

    /// The trouble is over: whatever is queued must now come to its end.
    fn heal(&mut self) -> Checked {
        self.healed = true;
        self.zone.healed = true;
        (self.zone.out, self.zone.faulty) = (false, false);
        (self.disk.slow, self.disk.unreadable) = (false, false);
        let in_use = self.hosts.iter_mut().filter(|host| !host.retired);
        in_use.for_each(|host| host.mood = Mood::Good);
        self.oracle.healed(self.now());
        if let Some(process) = &mut self.process {
            process.crowded = false;
        }
        self.disk.full = false;
        // What has failed for good is mended by a new start only.
        self.disk.broken &= self.process.as_ref().is_some_and(|process| process.failed);
        self.tell_space();
        self.pay_debts()
    }

    pub(super) fn check(&mut self) -> Checked {
        self.push(super::CHECK, Event::Check);
        self.check_stillness()?;
        self.check_news()?;
        if self.process.is_some() && !self.disk.broken {
            self.clear();
        }
        let retry = &self.plan.config.retry;
        let patience = retry.max * 2 + Duration::from_secs(4 * 3600);
        let now = self.now();
        if self.process.as_ref().is_some_and(|p| self.now.since(p.started) > patience) {
            self.oracle.check_lateness(now, patience)?;
        }
        if !self.healed || self.finishing.is_some() {
            return Ok(());
        }
        let running = self.process.as_ref().is_some_and(|process| {
            let answered = process.cores.iter().all(|core| core.stores + core.loads == 0);
            process.draining.is_none() && answered
        });
        if running && self.disk.is_empty() && self.to_come == 0 && self.is_quiet() {
            self.oracle.check_ended()?;
            self.oracle.boxes.audit_contents(&self.disk)?;
            self.check_nothing_held()?;
            self.finishing = Some(self.now);
            return self.drain();
        }
        let latest = self.plan.span + retry.expire + retry.max * 2 + Duration::from_secs(12 * 3600);
        match self.now.as_micros() > latest.as_micros() as u64 {
            true => broken(format!(
                "long after the trouble there is still something: on disk {:?}, clients to come \
                 {}, quiet {}; queued {:?}",
                self.disk.left(),
                self.to_come,
                self.is_quiet(),
                self.oracle.queued
            )),
            false => Ok(()),
        }
    }
}
