//! Many seeds, on all cores, until they are done or the time is over.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    coverage::Coverage,
    plan::Scale,
    world::{self, Outcome},
};

pub struct Campaign {
    pub scale: Scale,
    pub first: u64,
    pub seeds: u64,
    /// No seed is begun after it.
    pub time: Option<Duration>,
    /// Seeds that failed, after which no other is begun.
    pub failures_max: usize,
}

/// What a campaign came to.
#[derive(Default)]
pub struct Summary {
    pub seeds: u64,
    pub messages: u64,
    pub lives: u64,
    pub lasted: Duration,
    pub coverage: Coverage,
    /// By seed: the last lines of its trace, what was broken, how to run it again.
    pub failures: BTreeMap<u64, String>,
}

/// What a campaign tells while it runs.
pub enum News<'a> {
    /// Now and then.
    Progress(&'a Summary),
    Failed {
        seed: u64,
        text: &'a str,
    },
    /// The relay does not come back from one input: this thread is lost.
    Hangs {
        seed: u64,
        again: String,
    },
}

/// A seed that takes longer does not end: one takes a second, a long one some.
const SEED_MAX: Duration = Duration::from_secs(300);

impl Campaign {
    /// Runs; `tell` hears how it goes. Gives what it came to, even when a seed hangs.
    pub fn run(&self, tell: impl Fn(News<'_>) + Sync) -> Summary {
        let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let summary = Mutex::new(Summary::default());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let under_way: Vec<Mutex<Option<(u64, Instant)>>> =
            (0..cores).map(|_| None.into()).collect();
        let began = Instant::now();
        let work = |mine: &Mutex<Option<(u64, Instant)>>| {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let late = self.time.is_some_and(|time| began.elapsed() >= time);
                let failed = locked(&summary).failures.len() >= self.failures_max;
                let seed = self.first.checked_add(number).filter(|_| number < self.seeds);
                let Some(seed) = seed.filter(|_| !late && !failed) else { return };
                *locked(mine) = Some((seed, Instant::now()));
                let outcome = world::run(seed, self.scale, false);
                *locked(mine) = None;
                let mut summary = locked(&summary);
                summary.add(seed, self.scale, outcome);
                if let Some(text) = summary.failures.get(&seed) {
                    tell(News::Failed { seed, text });
                }
            }
        };
        let watch = || {
            while !over.load(Ordering::Acquire) {
                thread::park_timeout(Duration::from_secs(1));
                tell(News::Progress(&locked(&summary)));
                let seeds = under_way.iter().filter_map(|seed| *locked(seed));
                for (seed, _) in seeds.filter(|(_, since)| since.elapsed() > SEED_MAX) {
                    tell(News::Hangs { seed, again: replay(seed, self.scale) });
                }
            }
        };
        thread::scope(|scope| {
            let watcher = scope.spawn(watch);
            let work = &work;
            let workers: Vec<_> =
                under_way.iter().map(|mine| scope.spawn(move || work(mine))).collect();
            for worker in workers {
                // It panics only when `tell` does.
                let _ = worker.join();
            }
            over.store(true, Ordering::Release);
            watcher.thread().unpark();
        });
        summary.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How one seed is run again with all its lines.
fn replay(seed: u64, scale: Scale) -> String {
    let scale = if scale == Scale::Long { " --long" } else { "" };
    format!("cargo sim -- --seed {seed}{scale} --trace")
}

impl Summary {
    pub fn add(&mut self, seed: u64, scale: Scale, outcome: Outcome) {
        self.seeds += 1;
        self.messages += outcome.messages as u64;
        self.lives += u64::from(outcome.lives);
        self.lasted += outcome.lasted;
        self.coverage.add(&outcome.coverage);
        if let Some(broken) = outcome.broken {
            let last: Vec<&str> = outcome.trace.last().collect();
            let again = replay(seed, scale);
            let text = format!("{}\nbroken: {broken}\nagain: {again}\n", last.join("\n"));
            self.failures.insert(seed, text);
        }
    }

    pub fn line(&self) -> String {
        format!(
            "{} seeds, {} failed; {:.0} virtual hours, {} lives of the relay, {} messages",
            self.seeds,
            self.failures.len(),
            self.lasted.as_secs_f64() / 3600.0,
            self.lives,
            self.messages
        )
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
