//! The main thread of a run: starts the others, decides when measuring begins and ends, and adds
//! up what they tell.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};
use thiserror::Error;

use super::{
    job::{News, Run},
    server_cpu::{CpuError, tree_seconds},
    tally::Tally,
    worker::Worker,
};
use crate::{
    outcome::{self, Ended},
    progress::{Goal, Interrupt, Live, Output},
    ring::{self, RingError, Sockets},
};

/// How long to wait for news before the live line is drawn again.
const NEWS_WAIT: Duration = Duration::from_millis(100);
/// News of one thread that may wait to be taken.
const NEWS_MAX: usize = 4;

/// Why there is no result.
#[derive(Debug, Error)]
pub enum CrewError {
    #[error("a thread cannot be started: {0}; ask for fewer by --cores")]
    Thread(io::Error),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("a thread panicked: this is a defect of ringload")]
    Panicked,
    #[error("no session got ready: {0}; look at the server's log")]
    Unready(String),
    #[error(transparent)]
    Cpu(#[from] CpuError),
}

/// How to watch a run and how long.
pub struct Watch {
    pub output: Output,
    pub interrupt: Interrupt,
    pub deadline: Duration,
    pub server: Option<u32>,
}

/// What a run came to.
pub struct Report {
    pub ended: Ended,
    pub seconds: f64,
    pub tally: Tally,
    pub series: Vec<outcome::Progress>,
    /// Processor time of the server, where it was asked for.
    pub cpu_seconds: Option<f64>,
    pub live: Live,
}

struct Crew {
    run: Arc<Run>,
    watch: Watch,
    until: Instant,
    receiver: Receiver<News>,
    threads: Vec<thread::JoinHandle<Result<News, RingError>>>,
    tally: Tally,
    settled: usize,
    ready: usize,
    last: Option<Instant>,
}

/// Runs it all: fills the mailboxes, then measures.
pub fn run(run: Arc<Run>, watch: Watch, title: &str) -> Result<Report, CrewError> {
    let until = Instant::now() + watch.deadline;
    let (sender, receiver) = bounded(NEWS_MAX * run.cores);
    let mut crew = Crew {
        run,
        watch,
        until,
        receiver,
        threads: Vec::new(),
        tally: Tally::default(),
        settled: 0,
        ready: 0,
        last: None,
    };
    for number in 0..crew.run.cores {
        let (run, sender) = (Arc::clone(&crew.run), sender.clone());
        let body = move || {
            ring::run(Worker::new(run, number, sender), Sockets::default()).map(Worker::rest)
        };
        let named = thread::Builder::new().name(format!("imap-{number}"));
        crew.threads.push(named.spawn(body).map_err(CrewError::Thread)?);
    }
    drop(sender);
    let report = crew.prepare(title).and_then(|ended| crew.measure(title, ended));
    crew.run.stop.store(true, Ordering::Relaxed);
    report
}

impl Crew {
    /// Until all sessions are ready, or have failed once; tells why the run is over already, if
    /// it is.
    fn prepare(&mut self, title: &str) -> Result<Option<Ended>, CrewError> {
        let output = Output { json: false, ..self.watch.output.clone() };
        let all = u64::from(self.run.fill) * self.run.accounts.len() as u64;
        let goal = if all > 0 { Goal::Count(all) } else { Goal::Open };
        let mut live = Live::new(&output, &format!("{title}: getting ready"), goal);
        while self.settled < self.run.seats() {
            let filled = self.news()?.map_or(0, |news| news.filled);
            live.add(filled, 0, &Default::default());
            live.tick();
            if let Some(ended) = self.over() {
                return Ok(Some(ended));
            }
        }
        if self.ready == 0 {
            let why = self.tally.troubles.outcome();
            return Err(CrewError::Unready(
                why.into_iter().next().map_or_else(String::new, |trouble| trouble.text),
            ));
        }
        Ok(None)
    }

    fn measure(&mut self, title: &str, ended: Option<Ended>) -> Result<Report, CrewError> {
        let goal = match (self.run.commands, self.run.duration) {
            (Some(commands), _) => Goal::Count(commands),
            (None, Some(duration)) => Goal::Time(duration),
            (None, None) => Goal::Open,
        };
        let spent = self.watch.server.map(tree_seconds).transpose()?;
        let mut live = Live::new(&self.watch.output, title, goal);
        let began = *self.run.began.get_or_init(Instant::now);
        let ended = loop {
            if let Some(ended) = ended.or_else(|| self.over()).or_else(|| self.done(began)) {
                break ended;
            }
            if let Some(news) = self.news()? {
                live.add(
                    news.tally.answered(),
                    news.tally.troubles.total(),
                    &news.tally.latencies(),
                );
            }
            live.tick();
        };
        let spent_after = self.watch.server.map(tree_seconds).transpose()?;
        let end = Instant::now();
        self.run.stop.store(true, Ordering::Relaxed);
        while let Some(rest) = self.join()? {
            live.add(rest.tally.answered(), rest.tally.troubles.total(), &rest.tally.latencies());
        }
        let end = match (ended, self.run.duration, self.last) {
            (Ended::Count, _, Some(last)) => last,
            (Ended::Duration, Some(duration), _) => began + duration,
            _ => end,
        };
        Ok(Report {
            ended,
            seconds: end.saturating_duration_since(began).as_secs_f64(),
            tally: std::mem::take(&mut self.tally),
            series: live.series(),
            cpu_seconds: spent.zip(spent_after).map(|(before, after)| after - before),
            live,
        })
    }

    /// Whether the user or the deadline ends the run.
    fn over(&self) -> Option<Ended> {
        match () {
            () if self.watch.interrupt.asked() => Some(Ended::Interrupted),
            () if Instant::now() >= self.until => Some(Ended::Deadline),
            () => None,
        }
    }

    /// Whether all that was asked for is done.
    fn done(&self, began: Instant) -> Option<Ended> {
        let ended = self.tally.answered() + self.tally.errors();
        match (self.run.commands, self.run.duration) {
            (Some(commands), _) if ended >= commands => Some(Ended::Count),
            (_, Some(duration)) if began.elapsed() >= duration => Some(Ended::Duration),
            _ => None,
        }
    }

    /// What one thread tells, waited for a moment.
    fn news(&mut self) -> Result<Option<News>, CrewError> {
        if let Some(place) = self.threads.iter().position(|thread| thread.is_finished()) {
            // It was not told to end: it has a reason.
            self.threads.swap_remove(place).join().map_err(|_| CrewError::Panicked)??;
        }
        match self.receiver.recv_timeout(NEWS_WAIT) {
            Ok(news) => {
                self.take(&news);
                Ok(Some(news))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(CrewError::Panicked),
        }
    }

    /// The last news of the next thread that has been told to stop, and what waits in the channel
    /// before it.
    fn join(&mut self) -> Result<Option<News>, CrewError> {
        if let Ok(news) = self.receiver.try_recv() {
            self.take(&news);
            return Ok(Some(news));
        }
        let Some(thread) = self.threads.pop() else { return Ok(None) };
        let news = thread.join().map_err(|_| CrewError::Panicked)??;
        self.take(&news);
        Ok(Some(news))
    }

    fn take(&mut self, news: &News) {
        self.settled += news.settled;
        self.ready += news.ready;
        self.tally.merge(&news.tally);
        self.last = self.last.max(news.last);
    }
}
