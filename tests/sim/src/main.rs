//! `cargo sim`: runs many seeds, or one again.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use ringmail_sim::{campaign::Campaign, coverage::MEET_ALL, plan::Scale, world};

/// Runs whole relays under simulated time, disk, network and DNS, from seeds.
#[derive(Parser)]
#[command(name = "cargo sim --")]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    seeds: u64,
    /// How long to go on beginning new ones; without --seeds and without it, one minute.
    #[arg(long)]
    minutes: Option<f64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Days of trouble and hundreds of messages a seed, instead of hours and dozens.
    #[arg(long)]
    long: bool,
    /// Run this one seed.
    #[arg(long, conflicts_with_all = ["seeds", "minutes", "first"])]
    seed: Option<u64>,
    /// With --seed: print every line of its trace.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// Tell how often each thing was met.
    #[arg(long)]
    coverage: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let scale = if arguments.long { Scale::Long } else { Scale::Short };
    match arguments.seed {
        Some(seed) => one(seed, scale, arguments.trace),
        None => many(&arguments, scale),
    }
}

fn one(seed: u64, scale: Scale, aloud: bool) -> ExitCode {
    let outcome = world::run(seed, scale, aloud);
    println!(
        "seed {seed}: {} lines, hash {:016x}; {:.1} virtual hours, {} lives, {} messages",
        outcome.trace.lines(),
        outcome.trace.hash(),
        outcome.lasted.as_secs_f64() / 3600.0,
        outcome.lives,
        outcome.messages
    );
    match outcome.broken {
        Some(broken) => {
            println!("broken: {broken}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn many(arguments: &Arguments, scale: Scale) -> ExitCode {
    let minutes = match (arguments.minutes, arguments.seeds) {
        (None, u64::MAX) => Some(1.0),
        (minutes, _) => minutes,
    };
    let campaign = Campaign {
        scale,
        first: arguments.first,
        seeds: arguments.seeds,
        time: minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes)),
        failures_max: arguments.failures,
    };
    let summary = campaign.run(|summary| eprintln!("{}", summary.line()));
    for (seed, failure) in &summary.failures {
        println!("---- seed {seed} ----\n{failure}");
    }
    if arguments.coverage {
        for (what, times) in summary.coverage.all() {
            println!("{times:>10}  {what}");
        }
    }
    println!("{}", summary.line());
    let missing = summary.coverage.missing();
    // A few seeds cannot meet everything.
    if !missing.is_empty() && (arguments.coverage || summary.seeds >= MEET_ALL) {
        println!("never met: {}", missing.join("; "));
    }
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
