//! Postfix's `smtp-sink` as a next hop that is nobody's invention here.

use std::{
    io::Read,
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustix::process::Pid;

use super::{SINK_PORT, eventually, fresh_address, program};

/// smtp-sink with its `mesg=` counter; it ends with this value.
pub struct SmtpSink {
    pub address: SocketAddr,
    child: Child,
    count: Arc<AtomicUsize>,
}

impl SmtpSink {
    /// `None`, with a word about it, where it is not installed.
    pub fn start() -> Option<Self> {
        let program = program("smtp-sink")?;
        let address = SocketAddr::new(fresh_address(), SINK_PORT);
        // It wants to be somebody else than root.
        let root = rustix::process::getuid().is_root();
        let user: &[&str] = if root { &["-u", "nobody"] } else { &[] };
        let mut child = Command::new(program)
            .args(user)
            .arg("-c")
            .args([address.to_string().as_str(), "1000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&count);
        thread::spawn(move || {
            let (mut buffer, mut text) = ([0; 4096], String::new());
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                text.push_str(&String::from_utf8_lossy(&buffer[..length]));
                // Counters are overwritten in place, each ended by a carriage return.
                let Some(end) = text.rfind(['\r', '\n']) else { continue };
                let last = text[..end].rsplit("mesg=").next().unwrap_or_default();
                let digits: String = last.chars().take_while(char::is_ascii_digit).collect();
                if let Ok(count) = digits.parse() {
                    told.store(count, Ordering::SeqCst);
                }
                text.drain(..end);
            }
        });
        let sink = Self { address, child, count };
        eventually("smtp-sink listens", || TcpStream::connect(address).ok());
        Some(sink)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Messages taken so far.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
