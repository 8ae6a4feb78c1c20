//! `cargo sim`: runs many seeds, or one again.

use std::{
    io::{self, Write},
    process::{ExitCode, exit},
    time::Duration,
};

use clap::Parser;
use ringmail_sim::{
    campaign::{Campaign, News},
    coverage::{Coverage, MEET_ALL},
    plan::Scale,
    world,
};

/// Runs whole relays under simulated time, disk, network and DNS, from seeds. Exits with 1 where a
/// promise was broken.
#[derive(Parser)]
#[command(bin_name = "cargo sim --", allow_negative_numbers = true)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// How long to go on beginning new ones; without this and --seeds, one minute.
    #[arg(long, value_parser = minutes)]
    minutes: Option<Duration>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Days of trouble and hundreds of messages a seed, instead of hours and dozens.
    #[arg(long)]
    long: bool,
    /// Run this one seed.
    #[arg(long, conflicts_with_all = ["seeds", "minutes", "first", "failures"])]
    seed: Option<u64>,
    /// With --seed: print every line of its trace.
    #[arg(long, requires = "seed", conflicts_with_all = ["seeds", "minutes"])]
    trace: bool,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    failures: u64,
    /// Tell how often each thing was met.
    #[arg(long)]
    coverage: bool,
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0);
    let time = minutes.and_then(|minutes| Duration::try_from_secs_f64(60.0 * minutes).ok());
    time.ok_or_else(|| "a number of minutes above 0 is expected, as 10 or 0.5".into())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let scale = if arguments.long { Scale::Long } else { Scale::Short };
    match arguments.seed {
        Some(seed) => one(seed, scale, &arguments),
        None => many(&arguments, scale),
    }
}

fn one(seed: u64, scale: Scale, arguments: &Arguments) -> ExitCode {
    let outcome = world::run(seed, scale, arguments.trace);
    if arguments.coverage {
        tell_coverage(&outcome.coverage);
    }
    say(&format!(
        "seed {seed}: {} lines, hash {:016x}; {:.1} virtual hours, {} lives, {} messages",
        outcome.trace.lines(),
        outcome.trace.hash(),
        outcome.lasted.as_secs_f64() / 3600.0,
        outcome.lives,
        outcome.messages
    ));
    match outcome.broken {
        Some(broken) => {
            say(&format!("broken: {broken}"));
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn many(arguments: &Arguments, scale: Scale) -> ExitCode {
    let time = match (arguments.minutes, arguments.seeds) {
        (None, None) => Some(Duration::from_secs(60)),
        (time, _) => time,
    };
    let campaign = Campaign {
        scale,
        first: arguments.first,
        seeds: arguments.seeds.unwrap_or(u64::MAX),
        time,
        failures_max: arguments.failures as usize,
    };
    let summary = campaign.run(|news| match news {
        News::Progress(summary) => {
            // Whoever has closed it does not want it.
            let _ = writeln!(io::stderr(), "{}", summary.line());
        }
        News::Failed { seed, text } => say(&format!("---- seed {seed} ----\n{text}")),
        News::Hangs { seed, again } => {
            say(&format!("---- seed {seed} ----\nbroken: it does not come back\nagain: {again}"));
            exit(1);
        }
    });
    if arguments.coverage {
        tell_coverage(&summary.coverage);
    }
    let missing = summary.coverage.missing();
    let all = scale == Scale::Short && summary.seeds >= MEET_ALL;
    // A few seeds cannot meet everything.
    if !missing.is_empty() && (arguments.coverage || all) {
        say(&format!("never met: {}", missing.join("; ")));
    }
    say(&summary.line());
    for seed in summary.failures.keys() {
        say(&format!("failed: seed {seed}"));
    }
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell_coverage(coverage: &Coverage) {
    for (what, times) in coverage.all() {
        say(&format!("{times:>10}  {what}"));
    }
}

/// A line of results. A reader that has gone ends the program.
fn say(line: &str) {
    if writeln!(io::stdout(), "{line}").is_err() {
        exit(1);
    }
}
