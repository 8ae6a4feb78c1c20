//! The server under test: laid out from its recipe, started in a cell, watched, stopped.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, kill_process, kill_process_group};

use super::{
    RoundError, Watch,
    cell::Cell,
    recipe::{Plan, Protocol, Signal, Site, Stop},
    tool,
};
use crate::outcome::Trouble;

/// How long a command of a recipe may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// How long a server may take until it greets.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// How long a server may take to end; then it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// How long one connection may take to be greeted while it is tried again and again.
const GREETING_DEADLINE: Duration = Duration::from_secs(2);

/// What is read of a server's farewell.
const LEAVE_OCTETS: u64 = 4096;

/// How often it is looked whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

type Environment = BTreeMap<String, String>;

/// How the server is run, beyond its recipe.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Its processes may use this many cores, from the first on.
    pub pinned: Option<usize>,
    /// Its system calls are counted into this file.
    pub trace: Option<PathBuf>,
}

/// A server that runs. Dropped, it is ended with all its processes.
pub struct Server {
    pub address: SocketAddr,
    pub cell: Cell,
    /// What ran, for the report.
    pub commands: Vec<Vec<String>>,
    plan: Plan,
    traced: bool,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Writes the files, runs the preparations, starts the server and waits for its greeting.
    pub fn start(
        plan: Plan,
        site: &Site,
        protocol: Protocol,
        manner: &Manner,
        watch: &mut Watch,
    ) -> Result<Server, RoundError> {
        let output = site.folder.join("output");
        lay_out(&plan, site).map_err(|error| RoundError::io("lay out the folder", error))?;
        for argv in &plan.prepare {
            let status = run(argv, &plan.env, &output, COMMAND_DEADLINE)
                .map_err(|error| RoundError::io(&format!("run {}", argv.join(" ")), error))?;
            if !status.is_some_and(|status| status.success()) {
                return Err(RoundError::Prepare {
                    command: argv.join(" "),
                    log: tool::tail(&output),
                });
            }
        }
        let argv = wrap(&plan.start, manner);
        let mut cell = Cell::new();
        let child = spawn(&cell.enter(&argv), &plan.env, &output)
            .map_err(|error| RoundError::io(&format!("start {}", argv.join(" ")), error))?;
        cell.started(child.id());
        let mut server = Server {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, site.port)),
            cell,
            commands: plan.prepare.iter().cloned().chain([argv]).collect(),
            traced: manner.trace.is_some(),
            log: plan.log.clone().unwrap_or_else(|| output.clone()),
            plan,
            child,
        };
        server.greet(protocol, watch)?;
        Ok(server)
    }

    /// An error if its first process has ended.
    pub fn check(&mut self) -> Result<(), RoundError> {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                Err(RoundError::Ended { status: status.to_string(), log: self.last_words() })
            }
            _ => Ok(()),
        }
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let log = tool::tail(&self.log);
        if log.is_empty() { "its log is empty".to_owned() } else { log }
    }

    /// Ends it as its recipe says, and whatever is left after the deadline by force; returns what
    /// is worth telling of that.
    pub fn stop(mut self) -> Option<Trouble> {
        match &self.plan.stop {
            Stop::Command(argv) => {
                let output = self.log.with_extension("stop");
                let _ = run(argv, &self.plan.env, &output, STOP_DEADLINE);
            }
            Stop::Signal(signal) => {
                let signal = match signal {
                    Signal::Term => rustix::process::Signal::TERM,
                    Signal::Int => rustix::process::Signal::INT,
                    Signal::Quit => rustix::process::Signal::QUIT,
                };
                if let Some(pid) = self.first() {
                    let _ = kill_process(pid, signal);
                }
            }
        }
        let ended = wait(&mut self.child, STOP_DEADLINE).is_some();
        (!ended).then(|| Trouble {
            text: format!("the server did not end within {} s", STOP_DEADLINE.as_secs()),
            count: 1,
        })
    }

    /// The server's own first process: a tracer stands before it.
    fn first(&self) -> Option<Pid> {
        if !self.traced {
            return tool::pid(&self.child);
        }
        let tracer = self.child.id().to_string();
        let children = fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok().and_then(Pid::from_raw)
    }

    fn greet(&mut self, protocol: Protocol, watch: &mut Watch) -> Result<(), RoundError> {
        let began = Instant::now();
        loop {
            self.check()?;
            if greets(self.address, protocol) {
                return Ok(());
            }
            if began.elapsed() > READY_DEADLINE {
                let seconds = READY_DEADLINE.as_secs();
                return Err(RoundError::NotReady { seconds, log: self.last_words() });
            }
            watch.nap()?;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cell.kill();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that nobody listens on now.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The last line a server's version command prints.
pub fn version(plan: &Plan, folder: &Path) -> String {
    let output = folder.join("version");
    let _ = run(&plan.version, &plan.env, &output, COMMAND_DEADLINE);
    tool::tail(&output).lines().last().unwrap_or("unknown").trim().to_owned()
}

fn lay_out(plan: &Plan, site: &Site) -> io::Result<()> {
    // Servers that give up root must reach what is theirs.
    fs::create_dir_all(site.data())?;
    if site.tls != "none" {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .map_err(io::Error::other)?;
        fs::write(site.certificate(), pair.cert.pem())?;
        fs::write(site.key(), pair.signing_key.serialize_pem())?;
        fs::set_permissions(site.key(), fs::Permissions::from_mode(0o600))?;
    }
    for (name, text) in &plan.files {
        let path = site.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

/// The command with what stands before it: outermost the tracer, which must be the parent.
fn wrap(argv: &[String], manner: &Manner) -> Vec<String> {
    let mut wrapped = Vec::new();
    if let Some(path) = &manner.trace {
        wrapped.extend(["strace", "-c", "-f", "-o"].map(String::from));
        wrapped.push(path.display().to_string());
    }
    if let Some(cores) = manner.pinned {
        wrapped.extend(["taskset".into(), "-c".into(), format!("0-{}", cores.max(1) - 1)]);
    }
    wrapped.extend(argv.iter().cloned());
    wrapped
}

fn spawn(argv: &[String], env: &Environment, output: &Path) -> io::Result<Child> {
    let output = File::options().create(true).append(true).open(output)?;
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program)
        .args(arguments)
        .envs(env)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
}

/// Runs a command to its end, which is `None` when it had to be killed.
fn run(
    argv: &[String],
    env: &Environment,
    output: &Path,
    deadline: Duration,
) -> io::Result<Option<ExitStatus>> {
    let mut child = spawn(argv, env, output)?;
    let status = wait(&mut child, deadline);
    if status.is_none() {
        // What it started is of its group.
        if let Some(group) = tool::pid(&child) {
            let _ = kill_process_group(group, rustix::process::Signal::KILL);
        }
        child.kill()?;
        child.wait()?;
    }
    Ok(status)
}

fn wait(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(LOOK_INTERVAL);
    }
    None
}

/// Whether a connection is greeted now; it takes its leave at once.
fn greets(address: SocketAddr, protocol: Protocol) -> bool {
    let (greeting, leave): (&[u8], &[u8]) = match protocol {
        Protocol::Smtp => (b"220", b"QUIT\r\n"),
        Protocol::Imap => (b"* OK", b"a LOGOUT\r\n"),
    };
    let greets = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, GREETING_DEADLINE)?;
        stream.set_read_timeout(Some(GREETING_DEADLINE))?;
        let mut octets = [0; 4];
        stream.read_exact(&mut octets[..greeting.len()])?;
        let greeted = octets.starts_with(greeting);
        stream.write_all(leave)?;
        // An end in order, so that no server logs or counts a connection that broke.
        let _ = io::copy(&mut stream.take(LEAVE_OCTETS), &mut io::sink());
        Ok(greeted)
    };
    greets().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_takes_too_long_ends_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        let argv = ["sh", "-c", "sleep 100 & echo $!; wait"].map(String::from);
        let ended = run(&argv, &BTreeMap::new(), &output, Duration::from_millis(500)).unwrap();
        assert!(ended.is_none());
        let sleep = fs::read_to_string(&output).unwrap();
        let stat = || fs::read_to_string(format!("/proc/{}/stat", sleep.trim()));
        let began = Instant::now();
        // Without a parent it is a zombie until init looks, where init does.
        while stat().is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(began.elapsed() < STOP_DEADLINE, "{sleep} still runs");
            thread::sleep(LOOK_INTERVAL);
        }
    }
}
