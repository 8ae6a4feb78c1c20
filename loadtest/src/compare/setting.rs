//! What the rounds of a comparison share and where they differ, as the words of a command line.

use std::{
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::{RoundError, machine, recipe::Site, server, tool::PROGRESS_EVERY};

/// The domain that the sink puts off, for messages that are to stay in the queue.
pub const WAITING_DOMAIN: &str = "waiting.example";

/// The domain of what is measured.
pub const DOMAIN: &str = "dst.example";

/// What the users `user1`, `user2` and so on of an IMAP server log in with.
const IMAP_PASSWORD: &str = "secret";

/// Numbers the runs of sources.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// What the rounds of a comparison have in common.
#[derive(Clone, Debug)]
pub struct Setting {
    /// On the disk that is measured.
    pub folder: PathBuf,
    pub peers: PathBuf,
    pub ringmail_binary: PathBuf,
    /// This program.
    pub ringload: PathBuf,
    pub sessions: u64,
    pub size: String,
    pub pipelining: String,
    pub tls: String,
    /// Bounds the source, and then the wait for the rest; and each run of the IMAP load.
    pub deadline: Duration,
}

/// What one round does.
#[derive(Clone, Debug, Default)]
pub struct Load {
    pub messages: u64,
    /// Messages a second; as fast as answers come without it.
    pub rate: Option<f64>,
    /// Cores the server may use; all without it.
    pub cores: Option<usize>,
    /// Messages that wait in the queue before it begins.
    pub backlog: u64,
    pub trace: bool,
    /// Commands go out one by one, whatever the setting says.
    pub one_by_one: bool,
}

impl Setting {
    /// Where a server is to run, on a port that is free now.
    pub fn site(
        &self,
        folder: &Path,
        sink_port: u16,
        cores: Option<usize>,
    ) -> Result<Site, RoundError> {
        Ok(Site {
            folder: folder.to_owned(),
            peers: self.peers.clone(),
            ringmail_binary: self.ringmail_binary.clone(),
            port: server::free_port().map_err(|e| RoundError::io("find a free port", e))?,
            sink_host: "127.0.0.1".to_owned(),
            sink_port,
            cores: cores.unwrap_or_else(machine::cores),
            tls: self.tls.clone(),
        })
    }

    pub fn sink_argv(&self, load: &Load) -> Vec<String> {
        let mut argv = self.ringload(&["sink", "--listen", "127.0.0.1:0", "--deadline", "1h"]);
        if load.backlog > 0 {
            let rule = format!("domain={WAITING_DOMAIN} step=rcpt reply=\"451 4.3.0 not now\"");
            argv.extend(["--rule".to_owned(), rule]);
        }
        argv
    }

    pub fn source_argv(&self, target: &str, load: &Load, domain: &str) -> Vec<String> {
        let mut argv = self.ringload(&["source", target, "--to", domain]);
        let pipelining = if load.one_by_one { "off" } else { &self.pipelining };
        let run = format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        for (name, value) in [
            ("--messages", load.messages.to_string()),
            ("--sessions", self.sessions.to_string()),
            ("--size", self.size.clone()),
            ("--pipelining", pipelining.to_owned()),
            ("--tls", self.tls.clone()),
            ("--deadline", format!("{}ms", self.deadline.as_millis())),
            ("--run", run),
        ] {
            argv.extend([name.to_owned(), value]);
        }
        if let Some(rate) = load.rate {
            argv.extend(["--rate".to_owned(), format!("{rate:.2}/s")]);
        }
        argv
    }

    pub fn imap_argv(&self, target: &str, work: &str, filled: u64) -> Vec<String> {
        let mut argv = self.ringload(&["imap", target, "--work", work]);
        for (name, value) in [
            ("--sessions", self.sessions.to_string()),
            // With one for each session nobody waits for the mailbox of another.
            ("--accounts", self.sessions.to_string()),
            ("--password", IMAP_PASSWORD.to_owned()),
            ("--prefill", filled.to_string()),
            ("--size", self.size.clone()),
            ("--tls", self.tls.clone()),
            ("--deadline", format!("{}ms", self.deadline.as_millis())),
        ] {
            argv.extend([name.to_owned(), value]);
        }
        argv
    }

    fn ringload(&self, words: &[&str]) -> Vec<String> {
        let mut argv = vec![self.ringload.display().to_string()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        argv.extend(["--json", "--quiet", "--every", PROGRESS_EVERY].map(String::from));
        argv
    }
}
