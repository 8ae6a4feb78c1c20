//! `ringload source`: offers SMTP load to a server and measures its answers.
//!
//! The messages of a run are dealt to the cores in turn; each core has its share of the sessions
//! on a ring of its own. The loop is closed (a session sends its next message when the last is
//! answered) or open (messages are due at a rate, whatever the server does; the latency of each
//! counts from when it was due).

mod clients;
mod drive;
mod plan;
mod reply;
mod schedule;
mod session;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod transaction;
mod work;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use self::work::{Pipelining, Security};
use crate::{
    crew::CrewError,
    mail::{MailError, size::Sizes},
    progress::Output,
    target::TargetError,
    tls::TlsError,
    units,
};

/// Offers SMTP load to a server.
///
/// Without --rate the loop is closed: each session sends its next message as soon as the last one
/// is answered. With --rate it is open: messages are due at that rate whatever the server does,
/// and their latency counts from when they were due, so that a stall shows in full. In a closed
/// loop it counts from when the end of the message was handed to the kernel: behind the 354 with
/// DATA, together with the envelope with --bdat and pipelining.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to send: HOST:PORT
    target: String,

    /// Sessions side by side
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=SESSIONS_MAX), help_heading = "Load")]
    sessions: u64,

    /// Messages of a session before it ends and a new one begins [default: no end]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "Load")]
    messages_per_session: Option<u64>,

    /// Messages in all [default: 10000, unless --duration is given]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
          conflicts_with = "duration", help_heading = "Load")]
    messages: Option<u64>,

    /// Offer messages for this long; what was due by then is still sent
    #[arg(long, value_name = "TIME", value_parser = units::duration, help_heading = "Load")]
    duration: Option<Duration>,

    /// End the run after this long, whatever is left
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = units::duration,
          help_heading = "Load")]
    deadline: Duration,

    /// Open loop: messages due in a second, as 500 or 500/s or 30000/min
    #[arg(long, value_name = "RATE", value_parser = units::rate, help_heading = "Load")]
    rate: Option<f64>,

    /// Open loop: how the messages are spaced
    #[arg(long, value_enum, default_value = "even", requires = "rate", help_heading = "Load")]
    arrivals: Spacing,

    /// Spread the start of the sessions over this long
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::duration,
          help_heading = "Load")]
    ramp: Duration,

    /// Threads, each with a ring and its share of the sessions
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=CORES_MAX), help_heading = "Load")]
    cores: u64,

    /// Local address to connect from; repeat it to spread the sessions over several
    #[arg(long, value_name = "IP", help_heading = "Load")]
    source_address: Vec<IpAddr>,

    /// What goes out without waiting for answers
    #[arg(long, value_enum, default_value = "on", help_heading = "Protocol")]
    pipelining: Pipelining,

    /// Send messages by BDAT (RFC 3030) instead of DATA; with pipelining all of a transaction
    /// goes out at once
    #[arg(long, help_heading = "Protocol")]
    bdat: bool,

    /// Whether and how to use TLS
    #[arg(long, value_enum, default_value = "none", help_heading = "Protocol")]
    tls: Security,

    /// Check the server's certificate against these authorities (PEM) [default: take any]
    #[arg(long, value_name = "FILE", help_heading = "Protocol")]
    ca: Option<PathBuf>,

    /// Log in with AUTH PLAIN; the password stands in --password-file or in RINGLOAD_PASSWORD
    #[arg(long, value_name = "USER", help_heading = "Protocol")]
    auth: Option<String>,

    /// Its first line is the password
    #[arg(long, value_name = "FILE", requires = "auth", help_heading = "Protocol")]
    password_file: Option<PathBuf>,

    /// How long to wait for an answer before the connection is given up
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::duration,
          help_heading = "Protocol")]
    answer_timeout: Duration,

    /// Octets of a message, header included: 4KiB; a weighted list as 1KiB,4KiB*3,64KiB; mix
    /// (text, HTML and attachments, as mail is); or path:FILE-or-FOLDER of .eml files
    #[arg(long, value_name = "SPEC", default_value = "4KiB", help_heading = "Messages")]
    size: Sizes,

    /// Recipients of a message
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(RECIPIENTS_MAX)),
          help_heading = "Messages")]
    recipients: u32,

    /// Recipient domains d0.test to d(N-1).test, drawn by Zipf's law
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=DOMAINS_MAX),
          help_heading = "Messages")]
    domains: Option<u32>,

    /// Exponent of Zipf's law for --domains; 0 makes all domains alike
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = plan::exponent,
          help_heading = "Messages")]
    zipf: f64,

    /// The one recipient domain
    #[arg(long, value_name = "DOMAIN", default_value = "dst.example", value_parser = plan::domain,
          conflicts_with = "domains", help_heading = "Messages")]
    to: String,

    /// The one recipient
    #[arg(long, value_name = "ADDRESS", value_parser = plan::address,
          conflicts_with_all = ["to", "domains", "recipients"], help_heading = "Messages")]
    recipient: Option<String>,

    /// The sender
    #[arg(long, value_name = "ADDRESS", default_value = "sender@src.example",
          value_parser = plan::address, help_heading = "Messages")]
    from: String,

    /// Name of the run in every Message-ID [default: made from the clock]
    #[arg(long, value_name = "NAME", value_parser = plan::run_name, help_heading = "Messages")]
    run: Option<String>,

    /// The same seed and the same options send the same messages
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Messages")]
    seed: u64,

    /// Allow a target that is neither loopback nor a private or test network
    #[arg(long)]
    i_own_this_target: bool,

    #[command(flatten)]
    output: Output,
}

/// More sessions have no room in the descriptors of a process.
const SESSIONS_MAX: u64 = 500_000;
const CORES_MAX: u64 = 256;
/// RFC 5321 §4.5.3.1.8 has servers take 100; some take more.
const RECIPIENTS_MAX: u32 = 10_000;
const DOMAINS_MAX: i64 = 10_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Spacing {
    /// One like the other
    Even,
    /// As independent senders make them
    Poisson,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Crew(#[from] CrewError),
    #[error("--auth needs a password; put it into --password-file or into RINGLOAD_PASSWORD")]
    NoPassword,
    #[error("cannot read the password from {path}: {error}; see whether the file is yours")]
    PasswordFile { path: PathBuf, error: io::Error },
    #[error("{0} sessions are less than the cores; give --sessions {0} or fewer --cores")]
    FewSessions(u64),
    #[error("cannot connect to {target}: {error}; see whether the server listens there")]
    Unreachable { target: SocketAddr, error: io::Error },
    #[error("each session needs an open file, and no more may be opened; raise `ulimit -n`")]
    Files,
    #[error("the server does not offer {keyword}; try {instead}")]
    NotOffered { keyword: &'static str, instead: &'static str },
    #[error("the server refuses the login: {0}; check --auth and the password")]
    Credentials(String),
    #[error(
        "the server takes {offered} octets, and a message has {needed}; ask for a smaller --size"
    )]
    Size { offered: u64, needed: u64 },
    #[error("cannot watch for Ctrl-C: {0}; see whether signals are blocked here")]
    Signals(io::Error),
    #[error("cannot write the result: {0}; see whether the output has room")]
    Output(io::Error),
}

pub fn run(args: Args) -> ExitCode {
    let output = args.output.clone();
    match plan::Plan::new(args).and_then(|plan| drive::drive(plan, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringload source: {error}");
            ExitCode::FAILURE
        }
    }
}
