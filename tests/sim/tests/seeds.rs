//! A couple of thousand short seeds, some long ones, and every seed that once found a bug.
//!
//! `RINGMAIL_SIM_SEEDS=20000` makes it as many as a release wants; `cargo sim` runs for as long as
//! it is told to.

use ringmail_sim::{
    campaign::{Campaign, News, Summary},
    coverage::MEET_ALL,
    plan::Scale,
    world,
};

fn assert_kept(summary: &Summary) {
    println!("{}", summary.line());
    let failures: Vec<String> =
        summary.failures.iter().map(|(seed, text)| format!("seed {seed}:\n{text}")).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn tell(news: News<'_>) {
    if let News::Hangs { seed, again } = news {
        println!("seed {seed} does not come back; again: {again}");
        std::process::exit(1);
    }
}

#[test]
fn short_seeds_keep_every_promise() {
    let seeds = match std::env::var("RINGMAIL_SIM_SEEDS") {
        Ok(text) => match text.parse() {
            Ok(seeds) if seeds > 0 => seeds,
            _ => panic!("RINGMAIL_SIM_SEEDS={text} is no number of seeds"),
        },
        Err(_) => MEET_ALL,
    };
    let campaign = Campaign { scale: Scale::Short, first: 1, seeds, time: None, failures_max: 3 };
    let summary = campaign.run(tell);
    assert_kept(&summary);
    // Fewer need not meet everything.
    if seeds >= MEET_ALL {
        assert_eq!(summary.coverage.missing(), Vec::<&str>::new(), "never met");
    }
}

#[test]
fn long_seeds_keep_every_promise() {
    let campaign = Campaign { scale: Scale::Long, first: 1, seeds: 8, time: None, failures_max: 1 };
    assert_kept(&campaign.run(tell));
}

#[test]
fn seeds_that_found_a_bug_find_it_no_more() {
    let kept = include_str!("../seeds.txt");
    let mut summary = Summary::default();
    for line in kept.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut words = line.split([' ', ':']);
        let seed = words.next().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| panic!("`{line}` begins with no seed"));
        let scale = match words.next() {
            Some("long") => Scale::Long,
            Some("short") => Scale::Short,
            _ => panic!("`{line}`: is it short or long?"),
        };
        summary.add(seed, scale, world::run(seed, scale, false));
    }
    assert_kept(&summary);
}

#[test]
fn one_seed_one_trace() {
    let run = |seed| world::run(seed, Scale::Short, false).trace.hash();
    let hashes: Vec<u64> = (1..40).map(run).collect();
    let again: Vec<u64> = (1..40).map(run).collect();
    assert_eq!(hashes, again);
    let mut different = hashes.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), hashes.len(), "every seed is a run of its own");
}
