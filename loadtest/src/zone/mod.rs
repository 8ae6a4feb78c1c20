//! `ringload zone`: an authoritative name server for made-up zones, so that no test of a mail
//! server needs the names of the world.

mod answer;
mod count;
mod data;
mod file;
mod name;
mod query;
mod response;
mod rule;
mod serve;

use std::{
    env, fs,
    io::{self, Write},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

use self::{
    answer::Responder,
    count::{Asks, PAIRS_MAX},
    data::{HOSTS_MAX, Plan, World, WorldError},
    file::FileError,
    name::Name,
    rule::{Rule, Rules},
    serve::{Figures, Server},
};
use crate::{
    crew::{Crew, CrewError, Until},
    meter::{self, Latencies, Troubles},
    outcome::{self, Ended, Line},
    progress::{Goal, Interrupt, Live, Output},
    ring::{self, Sockets},
    units,
};

/// How often the main thread looks at the others.
const POLL: Duration = Duration::from_millis(100);
/// Ports that were free for TCP and not for UDP before there is something else wrong.
const PORT_ATTEMPTS: usize = 32;
/// Lines of names in the text for people.
const SHOWN_MAX: usize = 20;
const DOMAINS_MAX: u64 = 10_000_000;
const CORES_MAX: u64 = 256;
/// RFC 2181 §8.
const TTL_SECONDS_MAX: u64 = 0x7FFF_FFFF;

/// Answers DNS queries for made-up zones, over UDP and TCP
///
/// The zone SUFFIX holds the domains d0.SUFFIX, d1.SUFFIX and so on. Each has MX records for
/// mx0.d0.SUFFIX and so on, an address of its own, and an SPF record. Names outside of this zone
/// and of the file's are refused, so nothing ever asks the network.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to answer, over UDP and TCP; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5300")]
    listen: SocketAddr,

    /// How many domains there are: d0.SUFFIX, d1.SUFFIX and so on; they take no memory
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(0..=DOMAINS_MAX))]
    domains: u64,

    /// The zone that holds the domains
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = Name::parse)]
    suffix: Name,

    /// MX hosts of each domain, with preferences 10, 20 and so on; 0 leaves the domain's address
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(0..=i64::from(HOSTS_MAX)))]
    mx: u16,

    /// Let all domains share this many hosts, mx0.SUFFIX and so on, as customers of providers do
    #[arg(long, value_name = "M",
          value_parser = clap::value_parser!(u64).range(1..=DOMAINS_MAX))]
    shared_mx: Option<u64>,

    /// Address of the hosts, in turn if there are several (repeatable)
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    address: Vec<IpAddr>,

    /// How long answers may be kept
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = units::duration)]
    ttl: Duration,

    /// Records to add, one a line: `name [ttl] [IN] TYPE data`; they replace computed ones
    #[arg(long, value_name = "FILE")]
    zone: Option<PathBuf>,

    /// What to do with some queries (repeatable, the first that matches): `[name=NAME|*.NAME]
    /// [type=TYPE] [p=PROBABILITY] [delay=TIME] [ACTION]`, where ACTION is nxdomain, servfail,
    /// refused, truncate, silence, empty, wrong-id or garbage
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<Rule>,

    /// Threads, each with its own ring
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=CORES_MAX))]
    cores: u64,

    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,

    /// End after this time in any case
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = units::duration)]
    deadline: Duration,

    /// Rules with a probability fall alike for equal seeds
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Error)]
enum ZoneError {
    #[error("the zone file {0} cannot be read: {1}; check its name and its permissions")]
    Read(PathBuf, io::Error),
    #[error("the zone file {0}, {1}")]
    File(PathBuf, FileError),
    #[error("the zones contradict themselves: {0}")]
    World(#[from] WorldError),
    #[error("{0} cannot be listened on: {1}; stop what uses it, or give another --listen")]
    Listen(SocketAddr, io::Error),
    #[error("signals cannot be caught: {0}; check the limits of this process")]
    Signals(io::Error),
    #[error("the output cannot be written: {0}; check where it goes")]
    Output(io::Error),
    #[error(transparent)]
    Crew(#[from] CrewError),
}

pub fn run(args: Args) -> ExitCode {
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringload zone: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), ZoneError> {
    let interrupt = Interrupt::install().map_err(ZoneError::Signals)?;
    let address = vacant(args.listen).map_err(|error| ZoneError::Listen(args.listen, error))?;
    let world = Arc::new(world(args)?);
    let figures = Arc::new(Figures::default());
    let sockets: Vec<Sockets> = (0..args.cores)
        .map(|_| sockets(address))
        .collect::<io::Result<_>>()
        .map_err(|error| ZoneError::Listen(address, error))?;
    announce(args, address).map_err(ZoneError::Output)?;
    let mut live = Live::new(&args.output, &format!("zone {address}"), goal(args));
    let servers = (0..).zip(sockets).map(|(core, sockets)| {
        let rules = Rules::new(args.rules.clone(), args.seed.wrapping_add(core));
        let asks = Asks::new(PAIRS_MAX / args.cores as usize);
        (Server::new(Responder::new(world.clone(), rules, asks), figures.clone()), sockets)
    });
    let mut crew = Crew::start("zone", servers, |server| server)?;
    let started = Instant::now();
    let until = Until {
        interrupt,
        count: None,
        time: args.duration.map(|duration| started + duration),
        deadline: started + args.deadline,
    };
    let ended = watch(&until, &figures, &mut crew, &mut live)?;
    figures.ended.store(true, Ordering::Relaxed);
    let mut total = Total::default();
    crew.join()?.into_iter().for_each(|server| total.add(server));
    let outcome = total.outcome(ended, started.elapsed(), &mut live);
    live.finish(&outcome, &text(&outcome)).map_err(ZoneError::Output)
}

/// Shows the run until it is over, and says why it is.
fn watch(
    until: &Until,
    figures: &Figures,
    crew: &mut Crew<Server>,
    live: &mut Live,
) -> Result<Ended, CrewError> {
    let latencies = Latencies::new();
    let (mut queries, mut faults) = (0, 0);
    loop {
        let now_queries = figures.queries.load(Ordering::Relaxed);
        let now_faults = figures.faults.load(Ordering::Relaxed);
        live.add(now_queries - queries, now_faults - faults, &latencies);
        live.tick();
        (queries, faults) = (now_queries, now_faults);
        if let Some(ended) = until.over(queries) {
            return Ok(ended);
        }
        crew.check()?;
        thread::sleep(until.left().min(POLL));
    }
}

fn goal(args: &Args) -> Goal {
    args.duration.map_or(Goal::Open, |duration| Goal::Time(duration.min(args.deadline)))
}

fn world(args: &Args) -> Result<World, ZoneError> {
    let entries = match &args.zone {
        None => Vec::new(),
        Some(path) => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|error| ZoneError::Read(path.clone(), error))?;
            file::read(&text).map_err(|error| ZoneError::File(path.clone(), error))?
        }
    };
    let plan = Plan {
        suffix: args.suffix.clone(),
        domains: args.domains,
        hosts: args.mx,
        shared: args.shared_mx,
        addresses: args.address.clone(),
        ttl: args.ttl.as_secs().min(TTL_SECONDS_MAX) as u32,
        server: args.listen.ip(),
    };
    Ok(World::new(plan, entries)?)
}

/// A port that nothing uses, neither over TCP nor over UDP. Without this look, the sockets would
/// share it in silence with another run's, as they share it with one another.
fn vacant(wanted: SocketAddr) -> io::Result<SocketAddr> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let address = TcpListener::bind(wanted)?.local_addr()?;
        match UdpSocket::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) if wanted.port() != 0 || attempts == PORT_ATTEMPTS => return Err(error),
            Err(_) => {}
        }
    }
}

/// One thread's share of the port.
fn sockets(address: SocketAddr) -> io::Result<Sockets> {
    Ok(Sockets {
        listeners: vec![ring::listen(address)?],
        datagrams: vec![ring::listen_datagrams(address)?],
    })
}

fn announce(args: &Args, address: SocketAddr) -> io::Result<()> {
    eprintln!("listening on {address}");
    if args.output.json {
        let line = Line::<()>::Listening { addresses: vec![address.to_string()] };
        let mut out = io::stdout();
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
        out.flush()?;
    }
    Ok(())
}

/// What all threads have seen.
struct Total {
    asks: Asks,
    injected: Troubles,
    faults: Troubles,
}

impl Default for Total {
    fn default() -> Total {
        let (injected, faults) = (Troubles::default(), Troubles::default());
        Total { asks: Asks::new(PAIRS_MAX), injected, faults }
    }
}

impl Total {
    fn add(&mut self, server: Server) {
        let Server { responder, crowded_out, .. } = server;
        self.asks.merge(&responder.asks);
        self.faults.merge(&responder.faults);
        for (rule, count) in responder.rules.obeyed().filter(|(_, count)| *count > 0) {
            self.injected.add_many(rule, count);
        }
        if crowded_out > 0 {
            self.injected.add_many("too many answers waited for their delay", crowded_out);
        }
    }

    fn outcome(&self, ended: Ended, elapsed: Duration, live: &mut Live) -> outcome::Zone {
        let (names, others) = self.asks.listed();
        let queries = self.asks.total();
        let seconds = elapsed.as_secs_f64();
        outcome::Zone {
            command: env::args().collect(),
            version: env!("CARGO_PKG_VERSION").into(),
            ended,
            seconds,
            queries,
            rate: queries as f64 / seconds,
            names,
            others,
            injected: self.injected.outcome(),
            troubles: self.faults.outcome(),
            series: live.series(),
            cpu_seconds: meter::cpu_seconds(),
        }
    }
}

/// The outcome as a person reads it.
fn text(zone: &outcome::Zone) -> String {
    let count = units::show_count;
    let rate = count(zone.rate.round() as u64);
    let mut text = format!("{} queries in {:.1} s: {rate}/s\n", count(zone.queries), zone.seconds);
    if zone.queries > 0 {
        let micros = units::show_micros(zone.cpu_seconds * 1e6 / zone.queries as f64);
        text += &format!("{micros} CPU a query\n");
    }
    let mut list = |title: &str, lines: &mut dyn Iterator<Item = (u64, String)>| {
        for (index, (times, line)) in lines.enumerate() {
            if index == 0 {
                text += &format!("\n{title}\n");
            }
            text += &format!("{:>13}  {line}\n", count(times));
        }
    };
    let shown = zone.names.iter().take(SHOWN_MAX);
    let unshown = zone.names.iter().skip(SHOWN_MAX).map(|asked| asked.count).sum::<u64>();
    let others = zone.others + unshown;
    let others = (others > 0).then(|| (others, "others".to_owned()));
    let names = shown.map(|asked| (asked.count, format!("{:<5} {}", asked.kind, asked.name)));
    list("Asked for", &mut names.chain(others));
    let troubles = |troubles: &[outcome::Trouble]| -> Vec<(u64, String)> {
        troubles.iter().map(|trouble| (trouble.count, trouble.text.clone())).collect()
    };
    list("Rules obeyed", &mut troubles(&zone.injected).into_iter());
    list("No queries", &mut troubles(&zone.troubles).into_iter());
    text
}
