//! Our own source and sink as child processes: started, listened to line by line, ended.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, de::DeserializeOwned};

use super::{RoundError, Watch};
use crate::outcome::Progress;

/// How long a tool may take to listen, or to print its result when it is asked to end.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Lines of a log that are shown with a failure.
const TAIL_LINES: usize = 8;

/// How often progress is printed by a child, at most: it counts what its rings tell in ticks.
pub const PROGRESS_EVERY: &str = "20ms";

/// One line of a tool.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Said<R> {
    Listening { addresses: Vec<SocketAddr> },
    Progress(Progress),
    Result(R),
}

/// A ringload process. Dropped, it is ended.
pub struct Tool<R> {
    name: &'static str,
    child: Child,
    heard: Receiver<(Instant, Said<R>)>,
    log: PathBuf,
    addresses: Vec<SocketAddr>,
    /// Its progress, by our clock.
    pub progress: Vec<(Instant, Progress)>,
    pub result: Option<R>,
}

impl<R: DeserializeOwned + Send + 'static> Tool<R> {
    /// Runs `ringload NAME ARGUMENTS --json`; what it complains of goes to the log.
    pub fn start(name: &'static str, argv: &[String], log: PathBuf) -> Result<Tool<R>, RoundError> {
        let mut child = File::create(&log)
            .and_then(|log| {
                Command::new(&argv[0])
                    .args(&argv[1..])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(log)
                    // Ctrl-C is for us: we end the children in order.
                    .process_group(0)
                    .spawn()
            })
            .map_err(|error| RoundError::Io { what: format!("start {}", argv.join(" ")), error })?;
        let (tell, heard) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || listen(stdout, &tell));
        }
        let (addresses, progress) = (Vec::new(), Vec::new());
        Ok(Tool { name, child, heard, log, addresses, progress, result: None })
    }

    /// Waits for the address it listens on.
    pub fn listening(&mut self, watch: &mut Watch) -> Result<SocketAddr, RoundError> {
        let began = Instant::now();
        loop {
            self.hear()?;
            match self.addresses.first() {
                Some(address) => return Ok(*address),
                None if began.elapsed() > ANSWER_DEADLINE => return Err(self.silent()),
                None => watch.nap()?,
            }
        }
    }

    /// Takes in what it has said since the last time.
    pub fn hear(&mut self) -> Result<(), RoundError> {
        // Asked before the lines are read: what it said before its end is read first.
        let ended = self.child.try_wait().ok().flatten();
        for (at, said) in self.heard.try_iter() {
            match said {
                Said::Listening { addresses } => self.addresses = addresses,
                Said::Progress(progress) => self.progress.push((at, progress)),
                Said::Result(result) => self.result = Some(result),
            }
        }
        match ended {
            Some(status) if !status.success() && self.result.is_none() => Err(self.silent()),
            _ => Ok(()),
        }
    }

    /// What it said last of work done, and when that count was reached.
    pub fn done(&self) -> (u64, Option<Instant>) {
        let done = self.progress.last().map_or(0, |(_, progress)| progress.done);
        let first = self.progress.partition_point(|(_, progress)| progress.done < done);
        (done, self.progress.get(first).map(|(at, _)| *at))
    }

    /// Asks it to end, and waits for its result.
    pub fn finish(&mut self, watch: &mut Watch) -> Result<R, RoundError> {
        if let Some(pid) = pid(&self.child) {
            let _ = kill_process(pid, Signal::INT);
        }
        let began = Instant::now();
        loop {
            self.hear()?;
            match self.result.take() {
                Some(result) => return Ok(result),
                None if began.elapsed() > ANSWER_DEADLINE => return Err(self.silent()),
                None => watch.nap()?,
            }
        }
    }

    fn silent(&self) -> RoundError {
        RoundError::Tool { name: self.name, log: tail(&self.log) }
    }
}

impl<R> Drop for Tool<R> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process id of a child, for signals.
pub fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let octets = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&octets);
    let lines = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Reads lines until the end; one that is not understood is not for us.
fn listen<R: DeserializeOwned>(stdout: ChildStdout, tell: &Sender<(Instant, Said<R>)>) {
    let lines = BufReader::new(stdout).lines().map_while(io::Result::ok);
    for line in lines {
        let at = Instant::now();
        let Ok(said) = serde_json::from_str::<Said<R>>(&line) else { continue };
        if tell.send((at, said)).is_err() {
            return;
        }
    }
}
