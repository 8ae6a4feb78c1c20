//! `ringload compare`: servers side by side, their rounds interleaved, against one source and sink.

mod campaign;
mod cell;
mod machine;
mod ranges;
pub mod recipe;
mod round;
mod server;
mod setting;
mod tool;
mod trace;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

use crate::{
    outcome::{Comparison, Progress},
    progress::{Goal, Interrupt, Live, Output},
    report, units,
};
use recipe::RecipeError;

/// How long the main thread sleeps between two looks at everything.
const NAP: Duration = Duration::from_millis(5);

/// A look at the server's processes may take one part in this many of the time.
const GLANCE_SHARE: u32 = 50;

/// But there is one at least this often.
const GLANCE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Runs servers in turn against the same source and sink, and says how they compare.
///
/// A PEER is the name of a recipe that comes with ringload, the path of a recipe file, or
/// `direct`: the source straight to the sink, which is the most this machine could show. Without
/// any it is every peer that is installed, and `direct`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_name = "PEER")]
    peers: Vec<String>,

    /// Rounds of each peer: the first of every peer, then the second of every peer, and so on
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: u64,

    /// Messages of a round at most; a short first round finds how many a slow peer gets
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    messages: u64,

    /// How long a round is to take, where that needs fewer messages
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = units::duration)]
    round_time: Duration,

    /// How long a round may take to be accepted, and then to be relayed
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = units::duration)]
    round_deadline: Duration,

    /// Sessions of the source
    #[arg(long, default_value_t = 100, value_name = "N")]
    sessions: u64,

    /// Size of the messages, as `ringload source` takes it
    #[arg(long, default_value = "4KiB", value_name = "SPEC")]
    size: String,

    /// Pipelining of the source: off, on or chain
    #[arg(long, default_value = "chain", value_name = "MODE")]
    pipelining: String,

    /// TLS between the source and the server
    #[arg(long, default_value = "none", value_parser = ["none", "starttls"])]
    tls: String,

    /// Also with the server held to these numbers of cores, such as 1,2,4
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    cores: Vec<usize>,

    /// Also with this many messages waiting in the queue, such as 0,10000
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    backlog: Vec<u64>,

    /// Without the rounds at half of each peer's rate, which give the latencies
    #[arg(long)]
    no_half_load: bool,

    /// Also a round under strace, which counts system calls and slows the server down
    #[arg(long)]
    syscalls: bool,

    /// Write all figures to this file, for `ringload report`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    files: report::Files,

    /// Where the queues of the servers lie: on the disk that is to be measured
    #[arg(long, default_value = "/var/tmp", value_name = "DIR")]
    folder: PathBuf,

    /// Where peers were unpacked by loadtest/peers/fetch.sh
    #[arg(long, default_value = "/opt/ringload-peers", value_name = "DIR")]
    peers_dir: PathBuf,

    /// The Ringmail that is measured [default: the one beside this program]
    #[arg(long = "ringmail", value_name = "PATH")]
    ringmail_binary: Option<PathBuf>,

    #[command(flatten)]
    output: Output,
}

/// Why a round has no figures.
#[derive(Debug, Error)]
pub enum RoundError {
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error("cannot {what}: {error}; see to it that it can, and run again")]
    Io { what: String, error: io::Error },
    #[error("`ringload {name}` gave no result; it said: {log}")]
    Tool { name: &'static str, log: String },
    #[error("`{command}` failed; correct the recipe. It said: {log}")]
    Prepare { command: String, log: String },
    #[error("the server ended by itself ({status}); its last words: {log}")]
    Ended { status: String, log: String },
    #[error("no greeting within {seconds} s; the server's last words: {log}")]
    NotReady { seconds: u64, log: String },
    #[error("waited in vain for {what}; raise --round-deadline or lower --messages")]
    Deadline { what: &'static str },
    #[error(transparent)]
    Report(#[from] report::ReportError),
    #[error("{accepted} messages were accepted and none came to the sink; the source met: {log}")]
    Nothing { accepted: u64, log: String },
}

impl RoundError {
    fn io(what: &str, error: io::Error) -> RoundError {
        RoundError::Io { what: what.to_owned(), error }
    }
}

/// The person at the terminal: what they see, and whether they asked to end.
pub struct Watch {
    interrupt: Interrupt,
    output: Output,
    live: Option<Live>,
    next_glance: Option<Instant>,
}

impl Watch {
    fn new(output: &Output) -> io::Result<Watch> {
        let interrupt = Interrupt::install()?;
        Ok(Watch { interrupt, output: output.clone(), live: None, next_glance: None })
    }

    /// A new live line; the one before it is gone.
    fn begin(&mut self, title: &str, goal: Goal) {
        self.live = None;
        self.next_glance = None;
        self.live = Some(Live::new(&self.output, title, goal));
    }

    fn show(&mut self, progress: &Progress) {
        if let Some(live) = &mut self.live {
            live.sample(progress);
        }
    }

    /// Tells the outcome of a round, on stderr: stdout is for the result.
    fn tell(&mut self, text: &str) {
        self.live = None;
        if !self.output.quiet {
            say(text);
        }
    }

    /// Sleeps a moment; an error if the user asked to end.
    fn nap(&mut self) -> Result<(), RoundError> {
        thread::sleep(NAP);
        if self.interrupt.asked() { Err(RoundError::Interrupted) } else { Ok(()) }
    }

    /// Takes a look that costs the machine something, and not too often for that.
    fn glance<T>(&mut self, interval: Duration, look: impl FnOnce() -> T) -> Option<T> {
        let began = Instant::now();
        if self.next_glance.is_some_and(|at| began < at) {
            return None;
        }
        let seen = look();
        let pause =
            (began.elapsed() * GLANCE_SHARE).clamp(interval, GLANCE_PAUSE_MAX.max(interval));
        self.next_glance = Some(Instant::now() + pause);
        Some(seen)
    }
}

/// 0 if there are figures, 1 if there are none.
pub fn run(args: Args) -> ExitCode {
    let outcome = campaign::run(&args).and_then(|(comparison, mut watch)| {
        watch.begin("compare", Goal::Open);
        // A file that cannot be written costs nothing but itself.
        let published = publish(&args, &comparison);
        if let Some(live) = watch.live.take() {
            let text = report::table(&comparison);
            live.finish(&comparison, &text).map_err(|e| RoundError::io("print the result", e))?;
        }
        published?;
        Ok(comparison.servers.iter().any(|server| !server.closed.is_empty()))
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say("ringload: no peer has figures; the reasons are above");
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("ringload: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A line on stderr. A reader that went away is no reason to give up what runs.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes the files that were asked for.
fn publish(args: &Args, comparison: &Comparison) -> Result<(), RoundError> {
    if let Some(path) = &args.out {
        let text = serde_json::to_string(comparison)
            .map_err(|error| RoundError::io("write the figures", error.into()))?;
        fs::write(path, text)
            .map_err(|error| RoundError::io(&format!("write {}", path.display()), error))?;
    }
    // Which files were written is no part of the result.
    let written = report::publish(comparison, &args.files)?;
    if !written.is_empty() {
        say(written.trim_end());
    }
    Ok(())
}
