//! `ringload sink`: takes mail and discards it, with the faults asked for, and knows what came.

mod answer;
mod body;
mod command;
mod count;
mod policy;
mod reply;
mod rule;
mod service;
mod session;
mod summary;
mod taking;
mod transaction;

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, bounded};
use thiserror::Error;

use self::{
    count::{Ledger, Tally},
    policy::{Bucket, Greylist, Offer, Policy},
    rule::{RULES_MAX, Rule},
    service::{Core, Security, Shared},
    summary::Totals,
};
use crate::{
    crew::{Crew, CrewError, Until},
    meter::Latencies,
    outcome::{Ended, Line},
    progress::{Goal, Interrupt, Live, Output},
    ring::{self, Sockets},
    tls::{self, TlsError},
    units,
};

/// More threads than any machine has that runs both a sink and what is measured.
const CORES_MAX: i64 = 256;
/// How often the run is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// Counts under way from the cores to the watch.
const PUBLISHED_MAX: usize = 1024;

/// Takes mail and discards it, with the behaviours asked for.
///
/// A rule is `[domain=PATTERN] [p=PROBABILITY] [step=STEP] [delay=TIME] [ACTION]`. At each step of
/// a session the first rule that matches holds. Steps: connect, ehlo, starttls, auth, mail, rcpt,
/// data, dot (the default), quit. Actions: reply="451 4.3.0 try later", drop, reset, stall (never
/// answers), stop-reading (answers, then reads no more), forget (answers 250 and does not count:
/// a loss), twice (counts twice: a duplicate). A domain is that of any recipient; *.example.org
/// means all below example.org.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen; may be given more than once, port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2526")]
    listen: Vec<SocketAddr>,

    /// Threads, each with its own ring
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=CORES_MAX))]
    cores: u16,

    /// End when this many distinct messages have come; a run that ends before is a failure
    #[arg(long, value_name = "N", help_heading = "End")]
    expect: Option<u64>,

    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = units::duration, help_heading = "End")]
    duration: Option<Duration>,

    /// End after this time, whatever is missing
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = units::duration,
        help_heading = "End")]
    deadline: Duration,

    /// A behaviour, as described above; may be given more than once
    #[arg(long = "rule", value_name = "RULE", help_heading = "Behaviour")]
    rules: Vec<Rule>,

    /// Rules with a probability fall alike for equal seeds
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Behaviour")]
    seed: u64,

    /// Answer 421 to connections beyond this many
    #[arg(long, value_name = "N", help_heading = "Behaviour")]
    connections_max: Option<usize>,

    /// Answer 421 to the message behind this many on one connection
    #[arg(long, value_name = "N", help_heading = "Behaviour")]
    messages_per_connection_max: Option<u32>,

    /// Answer 451 to messages beyond this rate, such as 500/s
    #[arg(long, value_name = "RATE", value_parser = units::rate, help_heading = "Behaviour")]
    rate_max: Option<f64>,

    /// Answer 451 to a new client, sender and recipient until this time has passed
    #[arg(long, value_name = "TIME", value_parser = units::duration, help_heading = "Behaviour")]
    greylist: Option<Duration>,

    /// Refuse larger messages, such as 10MiB
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = units::octets,
        help_heading = "Extensions")]
    size_max: u64,

    /// Whether and when TLS begins
    #[arg(long, value_enum, default_value_t = TlsMode::None, help_heading = "Extensions")]
    tls: TlsMode,

    /// The certificate chain, in PEM; without one, a self-signed one is made
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Extensions")]
    certificate: Option<PathBuf>,

    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = "Extensions")]
    key: Option<PathBuf>,

    /// Offer AUTH PLAIN and LOGIN, and accept any password
    #[arg(long, help_heading = "Extensions")]
    auth: bool,

    /// Offer SMTPUTF8
    #[arg(long, help_heading = "Extensions")]
    smtputf8: bool,

    /// Do not offer PIPELINING
    #[arg(long, help_heading = "Extensions")]
    no_pipelining: bool,

    /// Do not offer CHUNKING
    #[arg(long, help_heading = "Extensions")]
    no_chunking: bool,

    /// Do not offer 8BITMIME
    #[arg(long, help_heading = "Extensions")]
    no_8bitmime: bool,

    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TlsMode {
    None,
    Starttls,
    Implicit,
}

#[derive(Debug, Error)]
enum SinkError {
    #[error("{address} cannot be listened on: {error}; choose another with --listen")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("{0} rules are too many; give at most {RULES_MAX}")]
    Rules(usize),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Crew(#[from] CrewError),
    #[error("signals cannot be caught: {0}; run without a filter of system calls")]
    Signals(io::Error),
    #[error("the result cannot be written: {0}; see to where standard output goes")]
    Write(#[from] io::Error),
}

pub fn run(args: Args) -> ExitCode {
    match sink(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // The exit code says it too, should nobody read this.
            let _ = writeln!(io::stderr(), "ringload sink: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all came that was expected.
fn sink(args: &Args) -> Result<bool, SinkError> {
    if args.rules.len() > RULES_MAX {
        return Err(SinkError::Rules(args.rules.len()));
    }
    let interrupt = Interrupt::install().map_err(SinkError::Signals)?;
    let (addresses, sockets) = listen(args)?;
    let security = security(args)?;
    let (ledger, shared) = (Arc::new(Ledger::default()), Arc::new(Shared::default()));
    let (published, counts) = bounded(PUBLISHED_MAX);
    let greylist = args.greylist.map(|wait| Arc::new(Greylist::new(wait)));
    let cores = sockets.into_iter().enumerate().map(|(number, listeners)| {
        let mut policy = policy(args, number, ledger.clone());
        policy.greylist = greylist.clone();
        let core = Core {
            number,
            policy,
            security: security.clone(),
            shared: shared.clone(),
            connections_max: args.connections_max.unwrap_or(usize::MAX),
            published: published.clone(),
            connections: Vec::new(),
            outputs: Vec::new(),
        };
        (core, Sockets { listeners, ..Sockets::default() })
    });
    let mut crew = Crew::start("sink", cores, |core| core)?;
    announce(args, &addresses)?;
    let (mut live, ended) = watch(args, interrupt, &counts, &mut crew, &addresses)?;
    shared.stop.store(true, Ordering::Relaxed);
    let (tally, obeyed) = sum(crew.join()?, args.rules.len());
    let is_complete = args.expect.is_none_or(|count| tally.distinct() >= count);
    let (rules, series, started) = (args.rules.clone(), live.series(), live.started());
    let totals = Totals { tally, rules, obeyed, ended, started, series };
    let sink = summary::outcome(totals, &ledger);
    live.finish(&sink, &summary::text(&sink))?;
    Ok(is_complete)
}

/// The addresses, and for each core its listeners on all of them.
fn listen(args: &Args) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), SinkError> {
    let mut cores: Vec<Vec<TcpListener>> = (0..args.cores).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for &asked in &args.listen {
        let fault = |error| SinkError::Listen { address: asked, error };
        // Without this look, the listeners would share the port in silence with those of another
        // run, as they share it with one another: each would miss what came to the other.
        let vacant = TcpListener::bind(asked).and_then(|listener| listener.local_addr());
        let address = vacant.map_err(fault)?;
        for core in &mut cores {
            core.push(ring::listen(address).map_err(fault)?);
        }
        addresses.push(address);
    }
    Ok((addresses, cores))
}

fn security(args: &Args) -> Result<Security, TlsError> {
    if args.tls == TlsMode::None {
        return Ok(Security::Never);
    }
    let config = match (&args.certificate, &args.key) {
        (Some(certificate), Some(key)) => tls::server_config_from(certificate, key)?,
        _ => tls::server_config()?,
    };
    Ok(match args.tls {
        TlsMode::Implicit => Security::Implicit(config),
        _ => Security::StartTls(config),
    })
}

fn policy(args: &Args, core: usize, ledger: Arc<Ledger>) -> Policy {
    let offer = Offer {
        pipelining: !args.no_pipelining,
        chunking: !args.no_chunking,
        eight_bit: !args.no_8bitmime,
        smtputf8: args.smtputf8,
        starttls: args.tls == TlsMode::Starttls,
        auth: args.auth,
        size_max: args.size_max,
        messages_per_connection_max: args.messages_per_connection_max,
    };
    let seed = args.seed.wrapping_add(core as u64);
    let mut policy = Policy::new(offer, args.rules.clone(), seed, ledger);
    let share = args.rate_max.map(|rate| rate / f64::from(args.cores));
    policy.bucket = share.map(|rate| Bucket::new(rate, Instant::now()));
    policy
}

/// Says where the sink listens: whoever gave port 0 waits for it.
fn announce(args: &Args, addresses: &[SocketAddr]) -> io::Result<()> {
    for address in addresses {
        writeln!(io::stderr(), "listening on {address}")?;
    }
    if args.output.json {
        let addresses = addresses.iter().map(SocketAddr::to_string).collect();
        let line = serde_json::to_string(&Line::<()>::Listening { addresses })?;
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}

/// Shows the run until it ends, and says why it did.
fn watch(
    args: &Args,
    interrupt: Interrupt,
    counts: &Receiver<(usize, Tally)>,
    crew: &mut Crew<Core>,
    addresses: &[SocketAddr],
) -> Result<(Live, Ended), CrewError> {
    let goal = match (args.expect, args.duration) {
        (Some(count), _) => Goal::Count(count),
        (None, Some(time)) => Goal::Time(time),
        (None, None) => Goal::Open,
    };
    let title = addresses.first().map_or("sink".into(), |address| format!("sink {address}"));
    let (mut live, started) = (Live::new(&args.output, &title, goal), Instant::now());
    let until = Until {
        interrupt,
        count: args.expect,
        time: args.duration.map(|time| started + time),
        deadline: started + args.deadline,
    };
    let (mut tallies, mut told) = (vec![Tally::default(); args.cores.into()], (0, 0));
    let no_latencies = Latencies::new();
    loop {
        let first = counts.recv_timeout(WATCH_INTERVAL);
        for (core, tally) in first.into_iter().chain(counts.try_iter()) {
            tallies[core] = tally;
        }
        let done = tallies.iter().map(Tally::distinct).sum();
        let errors = tallies.iter().map(Tally::errors).sum();
        live.add(done - told.0, errors - told.1, &no_latencies);
        live.tick();
        told = (done, errors);
        if let Some(ended) = until.over(done) {
            return Ok((live, ended));
        }
        crew.check()?;
    }
}

/// The counts of all cores, and how often each rule was obeyed.
fn sum(cores: Vec<Core>, rules: usize) -> (Tally, Vec<u64>) {
    let (mut tally, mut obeyed) = (Tally::default(), vec![0; rules]);
    for core in cores {
        tally.merge(&core.policy.tally);
        obeyed.iter_mut().zip(core.policy.rules.obeyed()).for_each(|(sum, count)| *sum += count);
    }
    (tally, obeyed)
}
