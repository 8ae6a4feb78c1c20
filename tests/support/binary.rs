//! The real binary: started on a folder of its own, stopped, killed, started again.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, eventually, eventually_within};

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
        let home = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(home.config(), config(&format!("{:?}", home.data()))).unwrap();
        home
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("ringmail.toml")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the binary and waits until it tells its port.
    pub fn start(&self) -> Ringmail {
        let mut child = self.spawn();
        let (tell, told) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        follow(child.stdout.take().unwrap(), Arc::clone(&log), Some(tell));
        follow(child.stderr.take().unwrap(), Arc::clone(&log), None);
        match told.recv_timeout(PATIENCE) {
            Ok(smtp) => Ringmail { child, smtp, log },
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("ringmail did not start:\n{}", log.lock().unwrap());
            }
        }
    }

    /// Starts a process that is expected to end by itself; its status and what it said.
    pub fn start_in_vain(&self) -> (ExitStatus, String) {
        let mut child = self.spawn();
        let status = eventually("the process ends", || child.try_wait().unwrap());
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }

    fn spawn(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_ringmail"))
            .args(["serve", "--config"])
            .arg(self.config())
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
) {
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
    });
}

/// A running process; it is killed when a test ends without having stopped it.
pub struct Ringmail {
    child: Child,
    pub smtp: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Ringmail {
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
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
