//! One round: a fresh folder, a sink, a server, a source; then what each of them saw.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use super::{
    RoundError, Watch,
    cell::Memory,
    machine, ranges,
    recipe::Recipe,
    server::{self, Manner, Server},
    setting::{DOMAIN, Load, Setting, WAITING_DOMAIN},
    tool::Tool,
    trace::{self, Calls},
};
use crate::outcome::{Progress, Round, Sink, Source, Trouble};

/// How often the server's memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(200);

/// How long the server must be quiet before what waits in its queue is taken as settled.
const QUIET: Duration = Duration::from_secs(1);

/// The part of a core below which a server is quiet.
const QUIET_LOAD: f64 = 0.1;

/// Messages that came within this time of the deadline say that more were on their way.
const STILL_COMING: Duration = Duration::from_secs(3);

/// What the source waits beyond its own deadline before it is taken for dead.
const SOURCE_GRACE: Duration = Duration::from_secs(15);

/// Points kept of a round's course.
const POINTS_MAX: usize = 200;

/// Numbers the folders of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A round that came to its end.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub round: Round,
    pub commands: Vec<Vec<String>>,
    pub files: Vec<(String, String)>,
    pub calls: Calls,
}

/// Runs a round of a recipe, or of the source straight to the sink.
pub fn run(
    recipe: Option<&Recipe>,
    load: &Load,
    setting: &Setting,
    watch: &mut Watch,
) -> Result<Done, RoundError> {
    let folder = Folder::new(&setting.folder).map_err(|e| RoundError::io("make a folder", e))?;
    // What earlier rounds left in memory is not to be written in this one.
    rustix::fs::sync();
    let sink_argv = setting.sink_argv(load);
    let mut sink = Tool::<Sink>::start("sink", &sink_argv, folder.path.join("sink.log"))?;
    let sink_address = sink.listening(watch)?;
    let mut done = Done { commands: vec![sink_argv], ..Done::default() };
    let mut server = None;
    if let Some(recipe) = recipe {
        let site = setting.site(&folder.path, sink_address.port(), load.cores)?;
        let plan = recipe.plan(&site, Path::exists)?;
        done.files = plan.files.clone().into_iter().filter(|(_, text)| !text.is_empty()).collect();
        let trace = load.trace.then(|| folder.path.join("trace"));
        let manner = Manner { pinned: load.cores, trace };
        let started = Server::start(plan, &site, recipe.protocol, &manner, watch)?;
        done.commands.extend(started.commands.clone());
        server = Some(started);
    }
    let mut bench = Bench { setting, load, folder: &folder.path, sink, server, watch };
    let target = bench.server.as_ref().map_or(sink_address, |server| server.address).to_string();
    bench.fill_queue(&target)?;
    let argv = setting.source_argv(&target, load, DOMAIN);
    done.commands.push(argv.clone());
    done.round = bench.measure(&argv).map_err(|error| bench.with_last_words(error))?;
    if let Some(trouble) = bench.server.take().and_then(Server::stop) {
        done.round.errors.push(trouble);
    }
    if load.trace {
        let table = fs::read_to_string(folder.path.join("trace")).unwrap_or_default();
        done.calls = trace::calls(&table);
    }
    Ok(done)
}

/// The system calls a server makes to start and to end.
pub fn idle_calls(
    recipe: &Recipe,
    setting: &Setting,
    watch: &mut Watch,
) -> Result<Calls, RoundError> {
    let folder = Folder::new(&setting.folder).map_err(|e| RoundError::io("make a folder", e))?;
    let site = setting.site(&folder.path, IDLE_SINK_PORT, None)?;
    let plan = recipe.plan(&site, Path::exists)?;
    let trace = folder.path.join("trace");
    let manner = Manner { pinned: None, trace: Some(trace.clone()) };
    Server::start(plan, &site, recipe.protocol, &manner, watch)?.stop();
    Ok(trace::calls(&fs::read_to_string(trace).unwrap_or_default()))
}

/// The next hop of a server that is sent nothing.
const IDLE_SINK_PORT: u16 = 9;

/// What the version command of a recipe says.
pub fn version(recipe: &Recipe, setting: &Setting) -> Result<String, RoundError> {
    let folder = Folder::new(&setting.folder).map_err(|e| RoundError::io("make a folder", e))?;
    let plan = recipe.plan(&setting.site(&folder.path, IDLE_SINK_PORT, None)?, Path::exists)?;
    Ok(server::version(&plan, &folder.path))
}

/// A source that ran to its end.
struct Driven {
    began: Instant,
    source: Source,
    progress: Vec<(Instant, Progress)>,
}

/// All that takes part in one round.
struct Bench<'a> {
    setting: &'a Setting,
    load: &'a Load,
    folder: &'a Path,
    sink: Tool<Sink>,
    server: Option<Server>,
    watch: &'a mut Watch,
}

impl Bench<'_> {
    /// Hands the server messages that the sink puts off, and waits until it has tried them.
    fn fill_queue(&mut self, target: &str) -> Result<(), RoundError> {
        if self.load.backlog == 0 {
            return Ok(());
        }
        let one_by_one = self.load.one_by_one;
        let load = Load { messages: self.load.backlog, one_by_one, ..Load::default() };
        let argv = self.setting.source_argv(target, &load, WAITING_DOMAIN);
        self.drive(&argv, &mut Memory::default())?;
        let began = Instant::now();
        let (mut since, mut cpu) = (began, self.cpu());
        while began.elapsed() < self.setting.deadline {
            self.step(&mut Memory::default())?;
            if since.elapsed() < QUIET {
                continue;
            }
            let spent = (self.cpu() - cpu).as_secs_f64();
            if spent < since.elapsed().as_secs_f64() * QUIET_LOAD {
                return Ok(());
            }
            (since, cpu) = (Instant::now(), self.cpu());
        }
        Ok(())
    }

    /// The round itself.
    fn measure(&mut self, argv: &[String]) -> Result<Round, RoundError> {
        let mut peak = Memory::default();
        let (cpu, written) = (self.cpu(), machine::octets_written(self.folder));
        let Driven { began, source, progress: accepted } = self.drive(argv, &mut peak)?;
        self.drain(source.acknowledged, &mut peak)?;
        let ended = Instant::now();
        let cpu = self.cpu() - cpu;
        let written = machine::octets_written(self.folder).zip(written).map_or(0, |(b, a)| b - a);
        let (arrived, last) = self.sink.done();
        let sink = self.sink.finish(self.watch)?;
        let relayed = std::mem::take(&mut self.sink.progress);
        let last = last_message(&relayed, &sink).filter(|_| sink.unique == arrived).or(last);
        let messages = source.acknowledged.max(1) as f64;
        let seconds = last.map_or(0.0, |at| at.saturating_duration_since(began).as_secs_f64());
        let mut round = Round {
            accepted_rate: source.rate,
            relayed_rate: if seconds > 0.0 { arrived as f64 / seconds } else { 0.0 },
            offered_rate: source.offered_rate,
            messages: source.acknowledged,
            acknowledgement: source.acknowledgement.clone(),
            cpu_us_per_message: cpu.as_secs_f64() * 1e6 / messages,
            octets_written_per_message: written as f64 / messages,
            memory_own_peak: peak.own,
            memory_resident_peak: peak.resident,
            errors: source.troubles.clone(),
            accepted: course(&accepted, began),
            relayed: course(&relayed, began),
            ..Round::default()
        };
        let still_coming = last.is_some_and(|last| ended - last < STILL_COMING);
        settle(&mut round, &source, &sink, still_coming);
        if sink.unique == 0 {
            let met = source.troubles.iter().map(|trouble| trouble.text.as_str());
            let met = met.collect::<Vec<_>>().join("; ");
            let log = format!("{met}\nThe server's last words:\n{}", self.words());
            return Err(RoundError::Nothing { accepted: source.acknowledged, log });
        }
        Ok(round)
    }

    /// Runs a source to its end.
    fn drive(&mut self, argv: &[String], peak: &mut Memory) -> Result<Driven, RoundError> {
        let mut source = Tool::<Source>::start("source", argv, self.folder.join("source.log"))?;
        let started = Instant::now();
        loop {
            source.hear()?;
            self.step(peak)?;
            if let Some(result) = source.result.take() {
                let progress = std::mem::take(&mut source.progress);
                let began = beginning(&progress).unwrap_or(started);
                return Ok(Driven { began, source: result, progress });
            }
            if started.elapsed() > self.setting.deadline + SOURCE_GRACE {
                return Err(RoundError::Deadline { what: "the source to end" });
            }
        }
    }

    /// Waits until the sink has seen what was acknowledged, or the deadline has come.
    fn drain(&mut self, acknowledged: u64, peak: &mut Memory) -> Result<(), RoundError> {
        let began = Instant::now();
        while self.sink.done().0 < acknowledged && began.elapsed() < self.setting.deadline {
            self.step(peak)?;
        }
        Ok(())
    }

    /// Looks at everything once, and sleeps a moment.
    fn step(&mut self, peak: &mut Memory) -> Result<(), RoundError> {
        self.sink.hear()?;
        if let Some(server) = &mut self.server {
            server.check()?;
            if let Some(now) = self.watch.glance(MEMORY_INTERVAL, || server.cell.memory()) {
                peak.own = peak.own.max(now.own);
                peak.resident = peak.resident.max(now.resident);
            }
        }
        if let Some((_, progress)) = self.sink.progress.last() {
            self.watch.show(progress);
        }
        self.watch.nap()
    }

    fn cpu(&self) -> Duration {
        self.server.as_ref().map_or(Duration::ZERO, |server| server.cell.cpu())
    }

    fn words(&self) -> String {
        self.server.as_ref().map_or_else(String::new, Server::last_words)
    }

    /// A fault of a tool has its reason in what the server says, often.
    fn with_last_words(&self, error: RoundError) -> RoundError {
        match error {
            RoundError::Tool { name, log } => {
                let log = format!("{log}\nThe server's last words:\n{}", self.words());
                RoundError::Tool { name, log }
            }
            other => other,
        }
    }
}

/// When a tool began, by its own clock: starting the process is not its work. A line is heard late
/// and never early, so the earliest that any of them says is nearest.
fn beginning(progress: &[(Instant, Progress)]) -> Option<Instant> {
    let begun = |(at, progress): &(Instant, Progress)| {
        at.checked_sub(Duration::try_from_secs_f64(progress.seconds).ok()?)
    };
    progress.iter().filter_map(begun).min()
}

/// When the last message came to the sink, by its own clock: its progress is too seldom for rounds
/// of a fraction of a second.
fn last_message(progress: &[(Instant, Progress)], sink: &Sink) -> Option<Instant> {
    beginning(progress)?.checked_add(Duration::try_from_secs_f64(sink.last_seconds?).ok()?)
}

/// Compares what was acknowledged with what was seen.
fn settle(round: &mut Round, source: &Source, sink: &Sink, still_coming: bool) {
    let none = Vec::new();
    let seen = sink.seen.iter().find(|seen| seen.run == source.run).map_or(&none, |seen| &seen.ids);
    let missing = ranges::missing(&source.acknowledged_ids, seen);
    let trouble = |text: &str| Trouble { text: text.to_owned(), count: missing };
    if missing > 0 && still_coming {
        round.errors.push(trouble("still in the queue at the round's deadline"));
    } else if missing > 0 {
        round.lost = missing;
        round.errors.push(trouble("acknowledged, and not seen by the sink until the deadline"));
    }
    round.duplicates = sink.duplicates;
    round.errors.extend(sink.troubles.iter().cloned());
}

/// Progress by the time since the round began, not too dense to be drawn.
fn course(progress: &[(Instant, Progress)], began: Instant) -> Vec<Progress> {
    let step = progress.len().div_ceil(POINTS_MAX).max(1);
    let mut before = (0.0, 0);
    progress
        .iter()
        .filter(|(at, _)| *at >= began)
        .step_by(step)
        .map(|(at, point)| {
            let seconds = at.duration_since(began).as_secs_f64();
            let rate = point.done.saturating_sub(before.1) as f64 / (seconds - before.0).max(1e-3);
            before = (seconds, point.done);
            Progress { seconds, rate, ..point.clone() }
        })
        .collect()
}

/// A folder of one round. Dropped, it goes with all that is in it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(base: &Path) -> io::Result<Folder> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("ringload-{}-{number}", process::id()));
        fs::create_dir(&path)?;
        // Servers that give up root must reach what is theirs below it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Folder { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A server that was killed may have been writing: what came meanwhile goes the second time.
        if fs::remove_dir_all(&self.path).is_err() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
