//! A run from start to end: a thread for each core, the figures gathered, the result made.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam::channel::{self, Receiver, RecvTimeoutError};

use super::{
    SourceError,
    clients::Clients,
    plan::Plan,
    schedule::{Arrivals, End, Schedule, Share},
    table,
    tally::{Figures, Tally},
    work::Work,
};
use crate::{
    crew::{Crew, Until},
    meter::{self, Latencies},
    outcome::{Ended, Source},
    progress::{Goal, Interrupt, Live, Output},
    ring::Sockets,
};

/// How often the main thread looks at the clock and the user.
const LOOK: Duration = Duration::from_millis(100);
/// Reports of the cores that wait for the main thread.
const REPORTS_MAX: usize = 64;
/// Open loop: the sessions have so long to be there before the first message is due, so that
/// latencies are those of messages and not of connections.
const LEAD: Duration = Duration::from_millis(200);

/// Runs the plan and prints the result.
pub fn drive(plan: Plan, output: &Output) -> Result<(), SourceError> {
    let interrupt = Interrupt::install().map_err(SourceError::Signals)?;
    let goal = match plan.end {
        End::Count(count) => Goal::Count(count),
        End::After(duration) => Goal::Time(duration),
    };
    // Its clock is that of the sessions: whoever reads progress takes their beginning from it.
    let live = Live::new(output, &format!("source {}", plan.target), goal);
    let connecting = live.started();
    let begun = match plan.arrivals {
        Arrivals::Closed => connecting,
        Arrivals::Even(_) | Arrivals::Poisson(_) => connecting + LEAD,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (told, reports) = channel::bounded(REPORTS_MAX);
    let cores = (0..plan.cores).map(|core| {
        let share = Share { core, cores: plan.cores };
        let schedule = Schedule::new(plan.arrivals, plan.end, share, plan.seed, begun);
        let work = Work::new(plan.manner.clone(), plan.composer.clone(), schedule);
        let (route, told, stop) = (plan.route.clone(), told.clone(), stop.clone());
        (Clients::new(route, share, connecting, work, told, stop), Sockets::default())
    });
    let mut crew = Crew::start("source", cores, Clients::finish)?;
    // The channel ends when the last core does.
    drop(told);

    let deadline = Instant::now() + plan.deadline;
    let until = Until { interrupt, count: None, time: None, deadline };
    let mut watch = Watch { live, latencies: Latencies::new() };
    let (ended, stopped) = watch.until_the_end(&plan, &reports, &until, &stop);
    let mut tallies = Vec::new();
    for core in crew.join()? {
        let (tally, rest) = core?;
        watch.add(&rest);
        tallies.push(tally);
    }
    let result = watch.result(&plan, (ended, stopped), begun, tallies);
    watch.live.finish(&result, &table::text(&result)).map_err(SourceError::Output)
}

/// What the main thread does meanwhile.
struct Watch {
    live: Live,
    latencies: Latencies,
}

impl Watch {
    /// Gathers figures until every core has ended, and has them end when it is time. Why they did,
    /// and when they were told to.
    fn until_the_end(
        &mut self,
        plan: &Plan,
        reports: &Receiver<Figures>,
        until: &Until,
        stop: &AtomicBool,
    ) -> (Ended, Option<Instant>) {
        let mut ended = match plan.end {
            End::Count(_) => (Ended::Count, None),
            End::After(_) => (Ended::Duration, None),
        };
        loop {
            match reports.recv_timeout(LOOK) {
                Ok(figures) => self.add(&figures),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return ended,
            }
            self.live.tick();
            if stop.load(Ordering::Relaxed) {
                continue;
            }
            if let Some(why) = until.over(0) {
                ended = (why, Some(Instant::now()));
                stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn add(&mut self, figures: &Figures) {
        self.live.add(figures.acknowledged, figures.errors, &figures.latencies);
        self.latencies.merge(&figures.latencies);
    }

    fn result(
        &mut self,
        plan: &Plan,
        (ended, stopped): (Ended, Option<Instant>),
        begun: Instant,
        cores: Vec<Tally>,
    ) -> Source {
        let (sum, acknowledged_ids) = Tally::sum(cores);
        // A server that no longer answered was measured all the same, until the end was called.
        let last = stopped.max(sum.last_answer).unwrap_or(begun);
        let seconds = last.saturating_duration_since(begun).as_secs_f64();
        Source {
            command: env::args().collect(),
            version: env!("CARGO_PKG_VERSION").into(),
            target: plan.target.clone(),
            run: plan.run.clone(),
            ended,
            seconds,
            acknowledged: sum.acknowledged,
            recipients_acknowledged: sum.recipients,
            refused_temporarily: sum.refused_temporarily,
            refused_permanently: sum.refused_permanently,
            unknown: sum.unknown,
            octets: sum.octets,
            rate: if seconds > 0.0 { sum.acknowledged as f64 / seconds } else { 0.0 },
            acknowledgement: self.latencies.outcome(),
            greeting: sum.greeting.outcome(),
            connections: sum.connections,
            offered_rate: match plan.arrivals {
                Arrivals::Closed => None,
                Arrivals::Even(rate) | Arrivals::Poisson(rate) => Some(rate),
            },
            troubles: sum.troubles.outcome(),
            acknowledged_ids,
            series: self.live.series(),
            cpu_seconds: meter::cpu_seconds(),
        }
    }
}
