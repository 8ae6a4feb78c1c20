//! Programs of others: run to their end, or to a deadline, with all they said kept.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::support;

/// Long, because tests run side by side and a client may start a language's runtime.
const DEADLINE: Duration = Duration::from_secs(90);

/// A program and the folder that is its home: nothing of the real one is read or written.
pub struct Program {
    path: PathBuf,
    name: &'static str,
    home: PathBuf,
}

/// A process; it is killed when a test ends without having waited for it.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    /// What was run, for the message of a failure.
    line: String,
}

/// A run that has ended.
pub struct Run {
    pub status: ExitStatus,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: String,
    /// What was run, for the message of a failure.
    line: String,
}

impl Program {
    pub fn find(name: &'static str, package: &str, home: &Path) -> Self {
        let path = support::program(name).unwrap_or_else(|| {
            panic!("{name} is not installed; install Debian's package {package}, as .ci/run does")
        });
        Self { path, name, home: home.to_owned() }
    }

    pub fn start(&self, arguments: &[impl AsRef<str>]) -> Running {
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let said = |stream: &str| self.home.join(format!("{}.{stream}", self.name));
        let (out, err) = (said("out"), said("err"));
        let child = Command::new(&self.path)
            .args(&words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("TMPDIR", &self.home)
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            // What it starts can be ended with it.
            .process_group(0)
            .spawn()
            .unwrap();
        Running { child, out, err, line: format!("{} {}", self.name, words.join(" ")) }
    }

    /// Runs it to its end, whatever that is; panics when it does not come.
    pub fn run(&self, arguments: &[impl AsRef<str>]) -> Run {
        self.start(arguments).wait()
    }

    /// Runs it to an end that must be a good one.
    pub fn must(&self, arguments: &[impl AsRef<str>]) -> Run {
        let run = self.run(arguments);
        run.assert(run.status.success(), "it failed");
        run
    }
}

impl Running {
    pub fn send_sigterm(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// What it has said on standard output so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn wait(mut self) -> Run {
        let deadline = Instant::now() + DEADLINE;
        while !self.has_ended() {
            if Instant::now() > deadline {
                let (_, run) = (self.kill(), self.ended());
                panic!("{} did not end within {DEADLINE:?}; it said:\n{}", run.line, run.said());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.ended()
    }

    fn ended(&mut self) -> Run {
        Run {
            status: self.child.wait().unwrap(),
            out: fs::read(&self.out).unwrap(),
            err: String::from_utf8_lossy(&fs::read(&self.err).unwrap()).into_owned(),
            line: self.line.clone(),
        }
    }

    fn kill(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once it has been waited for, its number may be another's.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

impl Run {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Fails with all that the program said.
    #[track_caller]
    pub fn assert(&self, holds: bool, what: &str) {
        assert!(holds, "{what}: {}: {}\n{}", self.line, self.status, self.said());
    }

    #[track_caller]
    pub fn assert_says(&self, text: &str) {
        self.assert(self.text().contains(text), &format!("no {text:?}"));
    }

    fn said(&self) -> String {
        format!("{}\n{}", self.text(), self.err)
    }
}
