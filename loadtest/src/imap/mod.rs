//! `ringload imap`: logins, selects, fetches, appends, searches and idles over many accounts.

use std::{
    fs, io,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use thiserror::Error;

use self::{
    account::{Account, AccountError},
    drive::{DriveError, Report, Watch},
    job::Run,
    session::Options,
    work::{Kind, Work},
};
use crate::{
    mail::{self, Brief, Composer, MailError, recipients::Recipients, size::Sizes, wire::Carriage},
    outcome,
    progress::{Interrupt, Live, Output},
    target::{self, TargetError},
    tls::{self, TlsError},
    units,
};

mod account;
mod command;
mod drive;
mod job;
mod mailbox;
mod reply;
mod seat;
mod server_cpu;
mod session;
mod table;
mod tally;
mod work;
mod worker;

/// Sessions of one run: a thread names its alarms by 32 bits, and each may have a watcher.
const SESSIONS_MAX: usize = 1_000_000;
/// Message N of one run is as large as that of any other run.
const MESSAGES_SEED: u64 = 1;
/// How long a run measures where nothing else is said.
const DURATION: Duration = Duration::from_secs(10);
/// Holds the password where --password does not.
const PASSWORD_VARIABLE: &str = "RINGLOAD_PASSWORD";

/// Offers IMAP load to a server
///
/// Sessions log in, and each mailbox gets the messages it must have, before anything is measured.
/// The latency of a command is from its first octet handed to the kernel (with --rate: from the
/// moment it was due) to its tagged answer. Two are different: `login` is from connect to the
/// answer of LOGIN, greeting and TLS included, after a LOGOUT that does not count; `idle` is from
/// the last octet of an APPEND to the EXISTS that a second session, in IDLE on the same mailbox,
/// is sent. `search` asks in turn for a Subject, for what is new since yesterday, and for what is
/// unseen.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The server, HOST:PORT
    target: String,

    /// Log in as this many accounts, named by --user-pattern
    #[arg(long, value_name = "N", default_value = "1")]
    accounts: NonZeroUsize,

    /// Log in as these accounts: lines of `user password`
    #[arg(long, value_name = "FILE", conflicts_with = "accounts")]
    accounts_file: Option<PathBuf>,

    /// The user of an account, %d its number from 1 on
    #[arg(long, value_name = "TEXT", default_value = "user%d")]
    user_pattern: String,

    /// The password of all numbered accounts [default: what RINGLOAD_PASSWORD holds]
    #[arg(long, value_name = "TEXT")]
    password: Option<String>,

    /// Sessions at once; `idle` has one more beside each
    #[arg(long, value_name = "N", default_value = "10")]
    sessions: NonZeroUsize,

    /// What each session does in turn, of login, list, select, fetch-headers, fetch-bodies, append,
    /// store, search and idle; with weights, as in `select,fetch-headers*5`, a random mix
    #[arg(long, value_name = "LIST", default_value = "select,fetch-headers,fetch-bodies,store")]
    #[arg(value_parser = Work::parse)]
    work: Work,

    /// The messages a mailbox has before measuring, at least: missing ones are appended
    #[arg(long, value_name = "N", default_value = "0")]
    prefill: u32,

    /// Octets of an appended message, header included: 4KiB; a weighted list as
    /// 1KiB,4KiB*3,64KiB; mix (text, HTML and attachments, as mail is); or path:FILE-or-FOLDER of
    /// .eml files
    #[arg(long, value_name = "SPEC", default_value = "4KiB")]
    size: Sizes,

    /// The mailbox to work in
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    mailbox: String,

    /// Measure this long [default: 10s, if no --commands are given]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,

    /// End after this many commands
    #[arg(long, value_name = "N")]
    commands: Option<NonZeroU64>,

    /// End after this time, whatever is still to do
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = units::duration)]
    deadline: Duration,

    /// Give a command up after this time, and its connection with it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::duration)]
    answer_timeout: Duration,

    /// Commands a second, at whatever pace they are answered [default: as fast as answers come]
    #[arg(long, value_name = "RATE", value_parser = units::rate)]
    rate: Option<f64>,

    /// Whether to use TLS, and from when on
    #[arg(long, value_enum, default_value = "none")]
    tls: Tls,

    /// Check the server's certificate against this file of authorities
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Threads, each with a ring of its own
    #[arg(long, value_name = "N", default_value = "1")]
    cores: NonZeroUsize,

    /// Spread the first logins over this time
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::duration)]
    ramp: Duration,

    /// Tell the processor time a command takes of this server's processes, where the work is of
    /// one kind
    #[arg(long, value_name = "PID")]
    server_pid: Option<NonZeroU32>,

    /// Aim at an address outside loopback and private networks
    #[arg(long)]
    i_own_this_target: bool,

    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Tls {
    None,
    /// After the STARTTLS command
    Starttls,
    /// From the first octet
    Implicit,
}

/// Why a run fails.
#[derive(Debug, Error)]
enum ImapError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("{path} cannot be read: {error}; give a file of lines `user password`")]
    File { path: PathBuf, error: io::Error },
    #[error("there is no password: give --password, or set {PASSWORD_VARIABLE}")]
    Password,
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("more than {SESSIONS_MAX} sessions are too many: split the run")]
    Sessions,
    #[error(
        "idle needs an account for each session, so that no other one appends to its mailbox: \
         {accounts} accounts are too few for {sessions} sessions"
    )]
    Idle { accounts: usize, sessions: usize },
    #[error("the mailbox name {0:?} has letters outside printable ASCII: choose another one")]
    Mailbox(String),
    #[error("signals cannot be caught: {0}; look at the limits of this process")]
    Signal(io::Error),
    #[error("no command was answered as it should be; the troubles above say why")]
    Nothing,
    #[error("the result cannot be printed: {0}; look where the output goes")]
    Print(io::Error),
    #[error(transparent)]
    Drive(#[from] DriveError),
}

pub fn run(args: Args) -> ExitCode {
    match conduct(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringload imap: {error}");
            ExitCode::FAILURE
        }
    }
}

fn conduct(args: &Args) -> Result<(), ImapError> {
    let run = Arc::new(checked(args)?);
    let watch = Watch {
        output: args.output.clone(),
        interrupt: Interrupt::install().map_err(ImapError::Signal)?,
        deadline: args.deadline,
        server: args.server_pid.map(NonZeroU32::get),
    };
    let report = drive::run(Arc::clone(&run), watch, &format!("imap {}", args.target))?;
    let (live, imap) = outcome(args, &run, report);
    live.finish(&imap, &table::text(&imap)).map_err(ImapError::Print)?;
    match imap.commands.iter().any(|command| command.count > 0) {
        true => Ok(()),
        false => Err(ImapError::Nothing),
    }
}

/// The run that the arguments ask for, if it can be.
fn checked(args: &Args) -> Result<Run, ImapError> {
    let work = args.work.clone();
    let accounts = accounts(args)?;
    let sessions = args.sessions.get();
    if sessions > SESSIONS_MAX {
        return Err(ImapError::Sessions);
    }
    if work.has(Kind::Idle) && accounts.len() < sessions {
        return Err(ImapError::Idle { accounts: accounts.len(), sessions });
    }
    if !args.mailbox.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return Err(ImapError::Mailbox(args.mailbox.clone()));
    }
    let kinds = work.kinds();
    let addresses = kinds.iter().any(|kind| kind.needs_messages());
    // Commands about messages need one at least.
    let fill = args.prefill.max(u32::from(addresses));
    let now = Timestamp::now();
    let options = Options {
        starttls: args.tls == Tls::Starttls,
        mailbox: args.mailbox.clone(),
        selects: fill > 0 || kinds.iter().any(|kind| kind.needs_mailbox()),
        addresses,
        composer: Composer::new(brief(args.size.clone(), now))?,
        since: search_date(&now.to_zoned(TimeZone::UTC).saturating_sub(1.day())),
        paced: args.rate.is_some(),
        answer_timeout: args.answer_timeout,
    };
    let tls = match args.tls {
        Tls::None => None,
        Tls::Starttls | Tls::Implicit => {
            Some((tls::client_config(args.ca.as_deref())?, tls::server_name(&args.target)?))
        }
    };
    let commands = args.commands.map(NonZeroU64::get);
    Ok(Run {
        target: target::resolve(&args.target, args.i_own_this_target)?,
        tls,
        implicit: args.tls == Tls::Implicit,
        options: Arc::new(options),
        work,
        accounts,
        sessions,
        // A thread without a session would have nothing to do.
        cores: args.cores.get().min(sessions),
        fill,
        ramp: args.ramp,
        rate: args.rate,
        commands,
        duration: args.duration.or(commands.is_none().then_some(DURATION)),
        tickets: AtomicU64::new(0),
        began: OnceLock::new(),
        stop: AtomicBool::new(false),
    })
}

fn brief(sizes: Sizes, now: Timestamp) -> Brief {
    Brief {
        sizes,
        carriage: Carriage::Chunk,
        run: mail::run_name(now),
        seed: MESSAGES_SEED,
        sender: "anna@src.example".into(),
        recipients: Recipients::address("bob@dst.example".into()),
        date: now,
    }
}

fn accounts(args: &Args) -> Result<Vec<Account>, ImapError> {
    if let Some(path) = &args.accounts_file {
        let text = fs::read_to_string(path)
            .map_err(|error| ImapError::File { path: path.clone(), error })?;
        return Ok(account::listed(&text)?);
    }
    let given = args.password.clone().or_else(|| std::env::var(PASSWORD_VARIABLE).ok());
    let password = given.ok_or(ImapError::Password)?;
    Ok(account::numbered(args.accounts.get(), &args.user_pattern, &password)?)
}

fn outcome(args: &Args, run: &Run, report: Report) -> (Live, outcome::Imap) {
    let commands = report.tally.outcome(&run.work.kinds(), report.seconds, report.cpu_seconds);
    let imap = outcome::Imap {
        command: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        target: args.target.clone(),
        ended: report.ended,
        seconds: report.seconds,
        accounts: run.accounts.len() as u64,
        sessions: run.sessions as u64,
        commands,
        troubles: report.tally.troubles.outcome(),
        series: report.series,
    };
    (report.live, imap)
}

/// As SEARCH has it (RFC 3501 §9, `date`).
fn search_date(day: &Zoned) -> String {
    day.strftime("%-d-%b-%Y").to_string()
}
