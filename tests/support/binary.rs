//! The real binary: started on a folder of its own, stopped, killed, started again.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, eventually_within, source::Load};

/// What a test wants of the configuration; the rest is the same for all.
#[derive(Clone)]
pub struct Settings {
    /// TOML array.
    pub relay_networks: &'static str,
    /// Of `[smtp]`, beside the size: whole lines.
    pub smtp: String,
    /// Of `[delivery]`: whole lines.
    pub delivery: String,
    /// `first`, `max`, `warn_after`, `expire`.
    pub retry: [&'static str; 4],
    pub drain: [&'static str; 2],
    /// Further sections.
    pub more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            relay_networks: r#"["127.0.0.0/8"]"#,
            smtp: String::new(),
            delivery: String::new(),
            retry: ["200ms", "400ms", "0s", "1h"],
            drain: ["0s", "8s"],
            more: String::new(),
        }
    }
}

impl Settings {
    /// Everything goes to these hosts, in this order.
    pub fn route(hosts: &[SocketAddr]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
        let more = format!("[[route]]\ndomain = \"*\"\nhosts = [{}]\n", hosts.join(", "));
        Self { more, ..Self::default() }
    }

    /// Everything goes where this DNS server says.
    pub fn dns(server: SocketAddr, port: u16) -> Self {
        Self {
            delivery: format!("port = {port}\n"),
            more: format!("[dns]\nservers = [\"{server}\"]\ntimeout = \"500ms\"\n"),
            ..Self::default()
        }
    }

    /// Mailboxes in `x.example` and `y.example`, over IMAP and POP3; `more`: lines behind it.
    pub fn mailboxes(more: &str) -> Self {
        let more = format!(
            "[[listener]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\nprotocol = \"pop3\"\naddress = \"127.0.0.1:0\"\n\
             [local]\ndomains = [\"x.example\", \"y.example\"]\n{more}\n"
        );
        Self { more, ..Self::default() }
    }

    fn render(&self, data: &str) -> String {
        let [first, max, warn_after, expire] = self.retry;
        let [grace, deadline] = self.drain;
        format!(
            "hostname = \"relay.test.example\"\ndata_dir = {data}\ncores = 2\n\
             [[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\n\
             [smtp]\n{}\n[relay]\nnetworks = {}\n\
             [delivery]\ntls = \"none\"\n{}\n\
             [retry]\nfirst = \"{first}\"\nfactor = 2.0\nmax = \"{max}\"\njitter = 0.0\n\
             warn_after = \"{warn_after}\"\nexpire = \"{expire}\"\n\
             [drain]\ngrace = \"{grace}\"\ndeadline = \"{deadline}\"\n{}",
            self.smtp, self.relay_networks, self.delivery, self.more
        )
    }
}

/// What a process is started with, beside its configuration.
#[derive(Clone, Default)]
pub struct Under {
    /// A program and its arguments that starts the binary in the end, in its own place.
    pub program: Vec<OsString>,
    pub environment: Vec<(&'static str, OsString)>,
}

/// A process that has ended by itself.
pub struct Ended {
    pub status: ExitStatus,
    pub said: String,
}

/// A configuration and a data folder, which outlive the process.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new(settings: &Settings) -> Self {
        Self::with_config(|data| settings.render(data))
    }

    /// With a configuration of its own; it is told the data folder, quoted.
    pub fn with_config(config: impl FnOnce(&str) -> String) -> Self {
        let mut home = Self { folder: tempfile::tempdir().unwrap() };
        if std::env::var_os("RINGMAIL_TEST_KEEP").is_some() {
            home.folder.disable_cleanup(true);
            println!("{} is kept", home.folder.path().display());
        }
        fs::write(home.config(), config(&format!("{:?}", home.data()))).unwrap();
        home
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("ringmail.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A place for what belongs to this process and is none of its data.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the binary and waits until it tells its port.
    pub fn start(&self) -> Ringmail {
        self.start_under(&Under::default())
    }

    pub fn start_under(&self, under: &Under) -> Ringmail {
        self.try_start(under).unwrap_or_else(|Ended { status, said }| {
            panic!("ringmail did not start, {status}:\n{said}");
        })
    }

    /// Starts the binary; `Err` where it ends before it has told its port.
    pub fn try_start(&self, under: &Under) -> Result<Ringmail, Ended> {
        let mut child = self.spawn(under);
        let (tell, told) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        let followers = vec![
            follow(child.stdout.take().unwrap(), Arc::clone(&log), Some(tell)),
            follow(child.stderr.take().unwrap(), Arc::clone(&log), None),
        ];
        let smtp = told.recv_timeout(PATIENCE);
        let fallback = SocketAddr::from(([0, 0, 0, 0], 0));
        let ringmail = Ringmail { child, smtp: smtp.unwrap_or(fallback), log, followers };
        match smtp {
            Ok(_) => Ok(ringmail),
            Err(RecvTimeoutError::Disconnected) => Err(ringmail.wait_for_ending()),
            Err(RecvTimeoutError::Timeout) => panic!("ringmail did not start"),
        }
    }

    /// Starts a process that is expected to end by itself; its status and what it said.
    pub fn start_in_vain(&self) -> (ExitStatus, String) {
        let Err(Ended { status, said }) = self.try_start(&Under::default()) else {
            panic!("ringmail started");
        };
        (status, said)
    }

    /// Runs another command of the binary with this configuration and `input` to its end.
    pub fn command(&self, words: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringmail"))
            .args(words)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Makes an account with the password `secret`.
    pub fn add_account(&self, address: &str) {
        let made = self.command(&["account", "add", address, "--password-stdin"], "secret\n");
        assert!(made.status.success(), "{address}: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// A command that must succeed; what it said.
    pub fn must(&self, words: &[&str]) -> String {
        let output = self.command(words, "");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn spawn(&self, under: &Under) -> Child {
        let binary = OsString::from(env!("CARGO_BIN_EXE_ringmail"));
        let mut words = under.program.iter().chain([&binary]);
        Command::new(words.next().unwrap())
            .args(words)
            .args(["serve", "--config"])
            .arg(self.config())
            .envs(under.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// Collects what the process says; its `smtp on 127.0.0.1:PORT` tells the port.
fn follow(
    stream: impl Read + Send + 'static,
    log: Arc<Mutex<String>>,
    tell: Option<mpsc::Sender<SocketAddr>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let port = line
                .strip_prefix("smtp on ")
                .or_else(|| line.strip_prefix("submission on "))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            if let (Some(tell), Some(port)) = (&tell, port) {
                let _ = tell.send(port);
            }
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    })
}

/// A running process; it is killed when a test ends without having stopped it.
pub struct Ringmail {
    child: Child,
    pub smtp: SocketAddr,
    log: Arc<Mutex<String>>,
    followers: Vec<JoinHandle<()>>,
}

impl Ringmail {
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Where it speaks `imap` or `pop3`: the port that it told.
    pub fn port_of(&self, protocol: &str) -> SocketAddr {
        let line = format!("{protocol} on ");
        eventually_within(PATIENCE, &format!("a port for {protocol}"), || {
            let log = self.log();
            let told = log.lines().find_map(|told| told.strip_prefix(&line))?;
            told.split_whitespace().next()?.parse().ok()
        })
    }

    /// Waits until the log holds `text` `times` times.
    pub fn wait_for_log(&self, text: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(text).count() < times {
            let log = self.log();
            assert!(Instant::now() < deadline, "no {text:?} {times} times in the log:\n{log}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn send_sigterm(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Waits for the end that SIGTERM asked for: exit code 0 within the drain's deadline.
    pub fn wait_for_end(mut self) {
        let child = &mut self.child;
        let ended =
            eventually_within(2 * PATIENCE, "the process ends", || child.try_wait().unwrap());
        assert!(ended.success(), "{ended}:\n{}", self.log());
    }

    /// Sends until the process has ended. Clients that were refused come again.
    pub fn keep_busy(&mut self, load: &Load, size: impl Fn(usize) -> usize + Sync) {
        eventually_within(4 * PATIENCE, "the process ends under load", || {
            load.run_sized(self.smtp, 6, &size);
            (!self.is_running()).then_some(())
        });
    }

    /// Waits for an end that nobody asked for.
    pub fn wait_for_ending(mut self) -> Ended {
        let child = &mut self.child;
        let status =
            eventually_within(2 * PATIENCE, "the process ends", || child.try_wait().unwrap());
        for follower in self.followers.drain(..) {
            follower.join().unwrap();
        }
        Ended { status, said: self.log() }
    }

    pub fn stop(self) {
        self.send_sigterm();
        self.wait_for_end();
    }

    /// SIGKILL: nothing is told, nothing is written.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Clock ticks of CPU the process has used (`proc_pid_stat(5)`: utime and stime).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Octets of memory that are the process's own (`proc_pid_statm(5)`: resident less shared).
    pub fn memory(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        let pages: Vec<u64> =
            statm.split(' ').map_while(|field| field.trim().parse().ok()).collect();
        (pages[1] - pages[2]) * rustix::param::page_size() as u64
    }

    pub fn open_descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Ringmail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("ringmail said:\n{}", self.log());
        }
    }
}
