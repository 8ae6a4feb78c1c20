//! Many seeds, on all cores, until they are done or the time is over.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
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
    /// By seed: what was broken, and the last lines of the trace.
    pub failures: BTreeMap<u64, String>,
}

impl Campaign {
    /// Runs; `progress` is told now and then.
    pub fn run(&self, progress: impl Fn(&Summary) + Sync) -> Summary {
        let next = AtomicU64::new(self.first);
        let summary = Mutex::new(Summary::default());
        let began = Instant::now();
        let told = Mutex::new(began);
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                let late = self.time.is_some_and(|time| began.elapsed() >= time);
                let failed = locked(&summary).failures.len() >= self.failures_max;
                if seed >= self.first.saturating_add(self.seeds) || late || failed {
                    return;
                }
                let outcome = world::run(seed, self.scale, false);
                let mut summary = locked(&summary);
                summary.add(seed, self.scale, outcome);
                let mut told = locked(&told);
                if told.elapsed() >= Duration::from_secs(1) {
                    *told = Instant::now();
                    progress(&summary);
                }
            }
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(work);
            }
        });
        summary.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How one seed is run again with all its lines.
pub fn replay(seed: u64, scale: Scale) -> String {
    let scale = if scale == Scale::Long { " --long" } else { "" };
    format!("cargo sim -- --seed {seed}{scale} --trace")
}

impl Summary {
    fn add(&mut self, seed: u64, scale: Scale, outcome: Outcome) {
        self.seeds += 1;
        self.messages += outcome.messages as u64;
        self.lives += u64::from(outcome.lives);
        self.lasted += outcome.lasted;
        self.coverage.add(&outcome.coverage);
        if let Some(broken) = outcome.broken {
            let last: Vec<&str> = outcome.trace.last().collect();
            let again = replay(seed, scale);
            let text = format!("{}\n{broken}\nagain: {again}\n", last.join("\n"));
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

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
