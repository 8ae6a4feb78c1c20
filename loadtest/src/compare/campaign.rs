//! The order of a comparison: who takes part, which rounds run when, and what comes of them.

use std::{
    env,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    Args, RoundError, Watch, imap, machine,
    recipe::{BUILT_IN, Protocol, Recipe, RecipeError},
    round::{self, Done},
    setting::{Load, Setting},
    trace,
};
use crate::{
    outcome::{Comparison, ImapCommand, Machine, Point, Round, Server},
    progress::Goal,
};

/// The name of the line from source to sink without a server.
const DIRECT: &str = "direct";

/// Messages of the first, short round, which finds out how fast a peer is.
const CALIBRATION_MESSAGES: u64 = 500;
/// A round that is longer than a look by more than this has another one, longer by this.
const CALIBRATION_GROWTH: u64 = 8;

/// Messages of a round at least, however slow the peer is.
const MESSAGES_MIN: u64 = 200;

/// Messages of a round under a tracer.
const TRACED_MESSAGES: u64 = 1_000;

/// One peer with all that is known of it.
struct Contender {
    recipe: Option<Recipe>,
    server: Server,
    /// Of one of its rounds.
    messages: u64,
    /// Of an IMAP server, its rounds.
    answers: Vec<Vec<ImapCommand>>,
}

/// Runs everything that was asked for, or as much as the user had the patience for.
pub fn run(args: &Args) -> Result<(Comparison, Watch), RoundError> {
    let mut watch = Watch::new(&args.output).map_err(|e| RoundError::io("catch signals", e))?;
    let mut campaign = Campaign::new(args)?;
    match campaign.all(args, &mut watch) {
        Ok(()) => {}
        Err(RoundError::Interrupted) => campaign.notes.push(
            "The run was interrupted: some rounds are missing, and the medians are over fewer."
                .to_owned(),
        ),
        Err(error) => return Err(error),
    }
    Ok((campaign.report(args), watch))
}

struct Campaign {
    setting: Setting,
    machine: Machine,
    contenders: Vec<Contender>,
    notes: Vec<String>,
    began: Instant,
    began_at: jiff::Timestamp,
}

impl Campaign {
    fn new(args: &Args) -> Result<Campaign, RoundError> {
        let ringload = env::current_exe().map_err(|e| RoundError::io("find this program", e))?;
        let beside = || ringload.with_file_name("ringmail");
        let setting = Setting {
            folder: args.folder.clone(),
            peers: absolute(&args.peers_dir)?,
            ringmail_binary: absolute(&args.ringmail_binary.clone().unwrap_or_else(beside))?,
            ringload,
            sessions: args.sessions,
            size: args.size.clone(),
            pipelining: args.pipelining.clone(),
            tls: args.tls.clone(),
            deadline: args.round_deadline,
        };
        let (began, began_at) = (Instant::now(), jiff::Timestamp::now());
        // First of all: a folder that cannot be written to is told before an hour of rounds.
        let machine = machine::look(&args.folder)
            .map_err(|error| RoundError::io("measure the disk of --folder", error))?;
        let (contenders, notes) = (Vec::new(), Vec::new());
        Ok(Campaign { setting, machine, contenders, notes, began, began_at })
    }

    fn all(&mut self, args: &Args, watch: &mut Watch) -> Result<(), RoundError> {
        self.enlist(args)?;
        self.each_line(watch, |contender, setting, watch| {
            contender.calibrate(args, setting, watch)
        })?;
        for number in 1..=args.rounds {
            self.each(watch, |contender, setting, watch| {
                let title = format!("round {number}/{}", args.rounds);
                if contender.protocol() == Some(Protocol::Imap) {
                    return contender.imap_round(&title, args, setting, watch);
                }
                let load = Load { messages: contender.messages, ..Load::default() };
                let done = contender.round(&title, &load, setting, watch)?;
                contender.server.commands = done.commands;
                contender.server.files = done.files;
                contender.server.closed.push(done.round);
                Ok(())
            })?;
        }
        for number in 1..=if args.no_half_load { 0 } else { args.rounds } {
            self.each_line(watch, |contender, setting, watch| {
                let rate = median(&contender.server.closed).map_or(0.0, |round| round.relayed_rate);
                let title = format!("half load {number}/{}", args.rounds);
                let rate = rate / 2.0;
                let messages = ((rate * args.round_time.as_secs_f64()) as u64).max(MESSAGES_MIN);
                let load = Load { messages, rate: Some(rate), ..Load::default() };
                let done = contender.round(&title, &load, setting, watch)?;
                contender.server.open.push(done.round);
                Ok(())
            })?;
        }
        self.sweeps(args, watch)?;
        if args.syscalls {
            if Path::new("/usr/bin/strace").exists() {
                self.each_line(watch, Contender::trace)?;
            } else {
                self.notes.push("System calls were not counted: strace is not installed.".into());
            }
        }
        Ok(())
    }

    /// Who takes part. Asked for by name, a peer that cannot run has failed; else it is left out.
    fn enlist(&mut self, args: &Args) -> Result<(), RoundError> {
        let everybody =
            || BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).chain([DIRECT.into()]);
        let named = !args.peers.is_empty();
        let peers = if named { args.peers.clone() } else { everybody().collect() };
        for peer in peers {
            if peer == DIRECT {
                self.contenders.push(Contender::direct());
                continue;
            }
            let recipe = Recipe::find(&peer)?;
            let (version, failed) = match round::version(&recipe, &self.setting) {
                Ok(version) => (version, None),
                Err(RoundError::Recipe(
                    error @ (RecipeError::Missing { .. } | RecipeError::Tls(_)),
                )) if !named => {
                    self.notes.push(format!("{}: {error}.", recipe.name));
                    continue;
                }
                Err(error) => (String::new(), Some(error.to_string())),
            };
            let note = recipe.advice.iter().map(|advice| format!("{}: {advice}", recipe.name));
            self.notes.extend(note);
            self.contenders.push(Contender::new(recipe, version, failed));
        }
        Ok(())
    }

    /// Does something with each contender that has not failed; what fails now is out.
    fn each(
        &mut self,
        watch: &mut Watch,
        mut act: impl FnMut(&mut Contender, &Setting, &mut Watch) -> Result<(), RoundError>,
    ) -> Result<(), RoundError> {
        for contender in &mut self.contenders {
            if contender.server.failed.is_some() {
                continue;
            }
            match act(contender, &self.setting, watch) {
                Ok(()) => {}
                Err(RoundError::Interrupted) => return Err(RoundError::Interrupted),
                Err(error) => {
                    watch.tell(&format!("{}: {error}", contender.server.name));
                    contender.server.failed = Some(error.to_string());
                }
            }
        }
        Ok(())
    }

    /// The same for what messages go through: an IMAP server has no such rounds.
    fn each_line(
        &mut self,
        watch: &mut Watch,
        mut act: impl FnMut(&mut Contender, &Setting, &mut Watch) -> Result<(), RoundError>,
    ) -> Result<(), RoundError> {
        self.each(watch, |contender, setting, watch| match contender.protocol() {
            Some(Protocol::Imap) => Ok(()),
            Some(Protocol::Smtp) | None => act(contender, setting, watch),
        })
    }

    /// The curves over cores and over the backlog, their rounds interleaved too.
    fn sweeps(&mut self, args: &Args, watch: &mut Watch) -> Result<(), RoundError> {
        for &cores in &args.cores {
            if !(1..=machine::cores()).contains(&cores) {
                let there = machine::cores();
                self.notes.push(format!("Left out: {cores} cores, where there are {there}."));
                continue;
            }
            let load = Load { cores: Some(cores), ..Load::default() };
            self.sweep(&format!("{cores} cores"), &load, args, watch, |server, round| {
                server.by_cores.push(Point { at: cores as f64, round });
            })?;
        }
        for &backlog in &args.backlog {
            let load = Load { backlog, ..Load::default() };
            self.sweep(&format!("{backlog} waiting"), &load, args, watch, |server, round| {
                server.by_backlog.push(Point { at: backlog as f64, round });
            })?;
        }
        Ok(())
    }

    /// As many rounds as at full load, of all that have a server.
    fn sweep(
        &mut self,
        title: &str,
        load: &Load,
        args: &Args,
        watch: &mut Watch,
        keep: impl Fn(&mut Server, Round),
    ) -> Result<(), RoundError> {
        for number in 1..=args.rounds {
            self.each_line(watch, |contender, setting, watch| {
                // Without a server there is nothing to be held to cores or to have a queue.
                if contender.recipe.is_some() {
                    let load = Load { messages: contender.messages, ..load.clone() };
                    let title = format!("{title} {number}/{}", args.rounds);
                    let done = contender.round(&title, &load, setting, watch)?;
                    keep(&mut contender.server, done.round);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn report(self, args: &Args) -> Comparison {
        Comparison {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: env::args().collect(),
            began: self.began_at.to_string(),
            seconds: self.began.elapsed().as_secs_f64(),
            machine: self.machine,
            size: args.size.clone(),
            messages: args.messages,
            sessions: args.sessions,
            rounds: args.rounds,
            tls: args.tls.clone(),
            servers: self.contenders.into_iter().map(|contender| contender.server).collect(),
            notes: self.notes,
        }
    }
}

impl Contender {
    fn new(recipe: Recipe, version: String, failed: Option<String>) -> Contender {
        let server = Server {
            name: recipe.name.clone(),
            protocol: recipe.protocol.name().to_owned(),
            version,
            promise: recipe.promise.clone(),
            failed,
            ..blank()
        };
        Contender { recipe: Some(recipe), server, messages: 0, answers: Vec::new() }
    }

    fn direct() -> Contender {
        let server = Server {
            name: DIRECT.to_owned(),
            protocol: DIRECT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            promise: "No server: the source straight to the sink, whose 250 promises nothing."
                .to_owned(),
            ..blank()
        };
        Contender { recipe: None, server, messages: 0, answers: Vec::new() }
    }

    /// None for the line without a server.
    fn protocol(&self) -> Option<Protocol> {
        self.recipe.as_ref().map(|recipe| recipe.protocol)
    }

    /// Finds how many messages make a round of the wanted length.
    fn calibrate(
        &mut self,
        args: &Args,
        setting: &Setting,
        watch: &mut Watch,
    ) -> Result<(), RoundError> {
        self.messages = args.messages;
        let mut look = CALIBRATION_MESSAGES;
        // A look much shorter than the round tells more of the start than of the rate.
        while look < self.messages {
            let load = Load { messages: look, ..Load::default() };
            let done = self.round("first look", &load, setting, watch)?;
            let wanted = done.round.relayed_rate * args.round_time.as_secs_f64();
            self.messages = (wanted as u64).max(MESSAGES_MIN).min(args.messages);
            look *= CALIBRATION_GROWTH;
        }
        Ok(())
    }

    fn trace(&mut self, setting: &Setting, watch: &mut Watch) -> Result<(), RoundError> {
        let Some(recipe) = self.recipe.clone() else { return Ok(()) };
        let messages = TRACED_MESSAGES.min(self.messages);
        let load = Load { messages, trace: true, ..Load::default() };
        let done = self.round("under strace", &load, setting, watch)?;
        let idle = round::idle_calls(&recipe, setting, watch)?;
        self.server.syscalls = trace::a_message(&done.calls, &idle, done.round.messages);
        Ok(())
    }

    /// One round of an IMAP server; its figures are those of the rounds so far.
    fn imap_round(
        &mut self,
        title: &str,
        args: &Args,
        setting: &Setting,
        watch: &mut Watch,
    ) -> Result<(), RoundError> {
        let Some(recipe) = &self.recipe else { return Ok(()) };
        let title = format!("{} {title}", self.server.name);
        let load = imap::Load::beside(args.messages, args.sessions, args.round_time);
        let done = imap::run(recipe, load, setting, &title, watch)?;
        let rates = done.kinds.iter().map(|kind| format!("{} {:.0}/s", kind.name, kind.rate));
        watch.tell(&format!("{title}: {}", rates.collect::<Vec<_>>().join(", ")));
        self.answers.push(done.kinds);
        self.server.imap = imap::median(&self.answers);
        self.server.commands = done.commands;
        self.server.files = done.files;
        Ok(())
    }

    /// One round, shown while it runs and told when it is over.
    fn round(
        &mut self,
        title: &str,
        load: &Load,
        setting: &Setting,
        watch: &mut Watch,
    ) -> Result<Done, RoundError> {
        let title = format!("{} {title}", self.server.name);
        watch.begin(&title, Goal::Count(load.messages));
        let one_by_one = self.recipe.as_ref().is_some_and(|recipe| !recipe.pipelining);
        let load = Load { one_by_one, ..load.clone() };
        let done = round::run(self.recipe.as_ref(), &load, setting, watch)?;
        let round = &done.round;
        watch.tell(&format!(
            "{title}: {:.0} relayed/s, {:.0} accepted/s, {:.0} µs CPU, p99 {:.2} ms, {} lost",
            round.relayed_rate,
            round.accepted_rate,
            round.cpu_us_per_message,
            round.acknowledgement.p99_us / 1e3,
            round.lost,
        ));
        Ok(done)
    }
}

/// The round in the middle by the rate at which it relayed.
fn median(rounds: &[Round]) -> Option<&Round> {
    let mut sorted = rounds.iter().collect::<Vec<_>>();
    sorted.sort_by(|a, b| a.relayed_rate.total_cmp(&b.relayed_rate));
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

fn absolute(path: &Path) -> Result<PathBuf, RoundError> {
    std::path::absolute(path)
        .map_err(|error| RoundError::io(&format!("find {}", path.display()), error))
}

fn blank() -> Server {
    Server {
        name: String::new(),
        protocol: String::new(),
        version: String::new(),
        promise: String::new(),
        commands: Vec::new(),
        files: Vec::new(),
        closed: Vec::new(),
        open: Vec::new(),
        by_cores: Vec::new(),
        by_backlog: Vec::new(),
        syscalls: Vec::new(),
        imap: Vec::new(),
        failed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round() {
        let rounds = |rates: &[f64]| {
            rates
                .iter()
                .map(|rate| Round { relayed_rate: *rate, ..Round::default() })
                .collect::<Vec<_>>()
        };
        for (rates, middle) in [
            (&[][..], None),
            (&[5.0], Some(5.0)),
            (&[9.0, 1.0], Some(1.0)),
            (&[9.0, 1.0, 4.0], Some(4.0)),
        ] {
            assert_eq!(median(&rounds(rates)).map(|round| round.relayed_rate), middle, "{rates:?}");
        }
    }
}
