//! The main thread of a run: starts the others, decides when measuring begins and ends, and adds
//! up what they tell.

use std::{
    sync::{Arc, atomic::Ordering},
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
    crew::{Crew, CrewError, Until},
    outcome::{self, Ended},
    progress::{Goal, Interrupt, Live, Output},
    ring::Sockets,
};

/// How long to wait for news before the live line is drawn again.
const NEWS_WAIT: Duration = Duration::from_millis(100);
/// News of one thread that may wait to be taken.
const NEWS_MAX: usize = 4;

/// Why there is no result.
#[derive(Debug, Error)]
pub enum DriveError {
    #[error(transparent)]
    Crew(#[from] CrewError),
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

struct Drive {
    run: Arc<Run>,
    output: Output,
    server: Option<u32>,
    until: Until,
    receiver: Receiver<News>,
    crew: Crew<News>,
    tally: Tally,
    settled: usize,
    ready: usize,
    last: Option<Instant>,
}

/// Runs it all: fills the mailboxes, then measures.
pub fn run(run: Arc<Run>, watch: Watch, title: &str) -> Result<Report, DriveError> {
    let deadline = Instant::now() + watch.deadline;
    let until = Until { interrupt: watch.interrupt, count: run.commands, time: None, deadline };
    let (sender, receiver) = bounded(NEWS_MAX * run.cores);
    let workers = (0..run.cores)
        .map(|number| (Worker::new(Arc::clone(&run), number, sender.clone()), Sockets::default()));
    let crew = Crew::start("imap", workers, Worker::rest)?;
    drop(sender);
    let mut drive = Drive {
        run,
        output: watch.output,
        server: watch.server,
        until,
        receiver,
        crew,
        tally: Tally::default(),
        settled: 0,
        ready: 0,
        last: None,
    };
    let report = drive.prepare(title).and_then(|ended| drive.measure(title, ended));
    drive.run.stop.store(true, Ordering::Relaxed);
    report
}

impl Drive {
    /// Until all sessions are ready, or have failed once; tells why the run is over already, if
    /// it is.
    fn prepare(&mut self, title: &str) -> Result<Option<Ended>, DriveError> {
        let output = Output { json: false, ..self.output.clone() };
        let all = u64::from(self.run.fill) * self.run.accounts.len() as u64;
        let goal = if all > 0 { Goal::Count(all) } else { Goal::Open };
        let mut live = Live::new(&output, &format!("{title}: getting ready"), goal);
        while self.settled < self.run.seats() {
            let filled = self.news()?.map_or(0, |news| news.filled);
            live.add(filled, 0, &Default::default());
            live.tick();
            if let Some(ended) = self.until.over(0) {
                return Ok(Some(ended));
            }
        }
        if self.ready == 0 {
            let why = self.tally.troubles.outcome();
            return Err(DriveError::Unready(
                why.into_iter().next().map_or_else(String::new, |trouble| trouble.text),
            ));
        }
        Ok(None)
    }

    fn measure(&mut self, title: &str, ended: Option<Ended>) -> Result<Report, DriveError> {
        let goal = match (self.run.commands, self.run.duration) {
            (Some(commands), _) => Goal::Count(commands),
            (None, Some(duration)) => Goal::Time(duration),
            (None, None) => Goal::Open,
        };
        let spent = self.server.map(tree_seconds).transpose()?;
        let mut live = Live::new(&self.output, title, goal);
        let began = *self.run.began.get_or_init(Instant::now);
        self.until.time = self.run.duration.map(|duration| began + duration);
        let ended = loop {
            if let Some(ended) =
                ended.or_else(|| self.until.over(self.tally.answered() + self.tally.errors()))
            {
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
        let spent_after = self.server.map(tree_seconds).transpose()?;
        let end = Instant::now();
        self.run.stop.store(true, Ordering::Relaxed);
        let rests = self.crew.join()?;
        // What waits in the channel was told before.
        let untaken: Vec<News> = self.receiver.try_iter().collect();
        for rest in untaken.iter().chain(&rests) {
            self.take(rest);
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

    /// What one thread tells, waited for a moment.
    fn news(&mut self) -> Result<Option<News>, CrewError> {
        self.crew.check()?;
        match self.receiver.recv_timeout(NEWS_WAIT) {
            Ok(news) => {
                self.take(&news);
                Ok(Some(news))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(CrewError::Panicked),
        }
    }

    fn take(&mut self, news: &News) {
        self.settled += news.settled;
        self.ready += news.ready;
        self.tally.merge(&news.tally);
        self.last = self.last.max(news.last);
    }
}
