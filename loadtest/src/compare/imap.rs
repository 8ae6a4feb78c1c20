//! One round of an IMAP server: full mailboxes, then one kind of command after the other.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    RoundError, Watch,
    recipe::Recipe,
    round::{Folder, IDLE_SINK_PORT, written_files},
    server::{Manner, Server},
    setting::Setting,
    tool::Tool,
};
use crate::{
    outcome::{Ended, Imap, ImapCommand, Trouble},
    progress::Goal,
};

/// What is measured. Those that append come last: the others find the same mailboxes however fast
/// the server is.
const KINDS: [&str; 9] = [
    "login",
    "list",
    "select",
    "fetch-headers",
    "fetch-bodies",
    "store",
    "search",
    "idle",
    "append",
];

/// Messages of a mailbox at most: as many as one `fetch-headers` asks for.
const MAILBOX_MESSAGES_MAX: u64 = 50;

/// A kind gets one part in this many of what a round of a relay takes.
const KIND_SHARE: u32 = 3;

/// How often the server's CPU time is read.
const CPU_INTERVAL: Duration = Duration::from_millis(100);

/// What the load waits beyond its own deadline before it is taken for dead.
const LOAD_GRACE: Duration = Duration::from_secs(15);

/// What one round does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Messages that each mailbox has before anything is measured.
    pub filled: u64,
    /// How long each kind is measured.
    pub time: Duration,
}

/// A round that came to its end.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub kinds: Vec<ImapCommand>,
    pub commands: Vec<Vec<String>>,
    pub files: Vec<(String, String)>,
}

impl Load {
    /// The load that fits what a relay is given: messages of a round, sessions, time of a round.
    pub fn beside(messages: u64, sessions: u64, time: Duration) -> Load {
        let filled = (messages / sessions.max(1)).clamp(1, MAILBOX_MESSAGES_MAX);
        Load { filled, time: time / KIND_SHARE }
    }
}

/// Runs a round of a recipe.
pub fn run(
    recipe: &Recipe,
    load: Load,
    setting: &Setting,
    title: &str,
    watch: &mut Watch,
) -> Result<Done, RoundError> {
    let folder = Folder::new(&setting.folder).map_err(|e| RoundError::io("make a folder", e))?;
    // What earlier rounds left in memory is not to be written in this one.
    rustix::fs::sync();
    let site = setting.site(&folder.path, IDLE_SINK_PORT, None)?;
    let plan = recipe.plan(&site, Path::exists)?;
    let files = written_files(&plan);
    let server = Server::start(plan, &site, recipe.protocol, &Manner::default(), watch)?;
    let mut done = Done { kinds: Vec::new(), commands: server.commands.clone(), files };
    let mut bench = Bench { setting, load, folder: &folder.path, server, watch };
    let measured = bench.measure(title, &mut done);
    measured.map_err(|error| error.with_last_words(&bench.server.last_words()))?;
    let trouble = bench.server.stop();
    if let Some(last) = done.kinds.last_mut() {
        last.troubles.extend(trouble);
    }
    Ok(done)
}

/// Of each kind the round in the middle by its rate. What was done and what went wrong is of all
/// rounds.
pub fn median(rounds: &[Vec<ImapCommand>]) -> Vec<ImapCommand> {
    let of_name = |name: &str| {
        let named = |round: &'_ Vec<ImapCommand>| {
            round.iter().find(|command| command.name == name).cloned()
        };
        let mut all = rounds.iter().filter_map(named).collect::<Vec<_>>();
        all.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let middle = all.get(all.len().saturating_sub(1) / 2)?.clone();
        Some(ImapCommand {
            count: all.iter().map(|command| command.count).sum(),
            errors: all.iter().map(|command| command.errors).sum(),
            troubles: together(all.into_iter().flat_map(|command| command.troubles)),
            ..middle
        })
    };
    KINDS.into_iter().filter_map(of_name).collect()
}

/// The same text once, with how often it was met in all.
fn together(troubles: impl Iterator<Item = Trouble>) -> Vec<Trouble> {
    let mut all = Vec::<Trouble>::new();
    for trouble in troubles {
        match all.iter_mut().find(|known| known.text == trouble.text) {
            Some(known) => known.count += trouble.count,
            None => all.push(trouble),
        }
    }
    all
}

/// All that takes part in one round.
struct Bench<'a> {
    setting: &'a Setting,
    load: Load,
    folder: &'a Path,
    server: Server,
    watch: &'a mut Watch,
}

/// The server's CPU time at two moments while it was measured.
#[derive(Clone, Copy, Debug)]
struct Spent {
    first: (Instant, Duration),
    last: (Instant, Duration),
}

impl Spent {
    /// How many cores were busy between the two.
    fn cores(&self) -> f64 {
        let seconds = (self.last.0 - self.first.0).as_secs_f64();
        let spent = self.last.1.saturating_sub(self.first.1).as_secs_f64();
        if seconds > 0.0 { spent / seconds } else { 0.0 }
    }
}

impl Bench<'_> {
    fn measure(&mut self, title: &str, done: &mut Done) -> Result<(), RoundError> {
        self.fill(title, done)?;
        for kind in KINDS {
            self.watch.begin(&format!("{title}: {kind}"), Goal::Time(self.load.time));
            let bound = ["--duration".to_owned(), format!("{}ms", self.load.time.as_millis())];
            let (imap, spent) = self.drive(kind, bound, "the sessions to log in", done)?;
            let troubles = imap.troubles;
            done.kinds.extend(imap.commands.into_iter().map(|command| ImapCommand {
                cpu_us: match spent {
                    // The load tells nothing of its last moments: shares of time, not sums.
                    Some(spent) if command.rate > 0.0 => spent.cores() * 1e6 / command.rate,
                    _ => 0.0,
                },
                troubles: troubles.clone(),
                ..command
            }));
        }
        Ok(())
    }

    /// Makes the mailboxes and fills them, which is no kind's own cost.
    fn fill(&mut self, title: &str, done: &mut Done) -> Result<(), RoundError> {
        self.watch.begin(&format!("{title}: filling the mailboxes"), Goal::Open);
        let bound = ["--commands".to_owned(), "1".to_owned()];
        self.drive("select", bound, "the mailboxes to be filled", done).map(drop)
    }

    /// Runs the load to its end; what it waited for, if that did not come.
    fn drive(
        &mut self,
        work: &str,
        bound: [String; 2],
        awaited: &'static str,
        done: &mut Done,
    ) -> Result<(Imap, Option<Spent>), RoundError> {
        let target = self.server.address.to_string();
        let mut argv = self.setting.imap_argv(&target, work, self.load.filled);
        argv.extend(bound);
        let log = self.folder.join(format!("{work}.log"));
        let mut tool = Tool::<Imap>::start("imap", &argv, log)?;
        done.commands.push(argv);
        let (began, mut spent) = (Instant::now(), None);
        loop {
            tool.hear()?;
            self.server.check()?;
            if let Some(result) = tool.result.take() {
                return match result.ended {
                    Ended::Deadline => Err(RoundError::Deadline { what: awaited }),
                    _ => Ok((result, spent)),
                };
            }
            if let Some((_, progress)) = tool.progress.last() {
                self.watch.show(progress);
                self.read_cpu(&mut spent);
            }
            if began.elapsed() > self.setting.deadline + LOAD_GRACE {
                return Err(RoundError::Deadline { what: "the load to end" });
            }
            self.watch.nap()?;
        }
    }

    /// Reads the CPU time, now and then. The load's first progress says that its sessions are
    /// ready: what they cost before counts for no command.
    fn read_cpu(&mut self, spent: &mut Option<Spent>) {
        let cell = &self.server.cell;
        if let Some(cpu) = self.watch.glance(CPU_INTERVAL, || cell.cpu()) {
            let last = (Instant::now(), cpu);
            spent.get_or_insert(Spent { first: last, last }).last = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, rate: f64, errors: u64, trouble: Option<&str>) -> ImapCommand {
        let troubles = trouble.map(|text| Trouble { text: text.to_owned(), count: errors });
        let (count, cpu_us) = (rate as u64, 1e6 / rate);
        let troubles = troubles.into_iter().collect();
        ImapCommand {
            name: name.to_owned(),
            count,
            errors,
            rate,
            cpu_us,
            troubles,
            ..ImapCommand::default()
        }
    }

    #[test]
    fn the_round_in_the_middle_with_the_faults_of_all() {
        let rounds = [
            vec![command("login", 100.0, 0, None), command("append", 7.0, 2, Some("NO full"))],
            vec![command("login", 400.0, 1, Some("BYE"))],
            vec![command("login", 200.0, 0, None), command("append", 9.0, 3, Some("NO full"))],
        ];
        let medians = median(&rounds);
        let [login, append] = &medians[..] else { panic!("{medians:?}") };
        assert_eq!((login.rate, login.cpu_us, login.count, login.errors), (200.0, 5e3, 700, 1));
        assert_eq!((append.rate, append.count, append.errors), (7.0, 16, 5));
        assert_eq!(append.troubles, [Trouble { text: "NO full".to_owned(), count: 5 }]);
        assert_eq!(median(&[]).len(), 0);
    }

    #[test]
    fn cores_that_were_busy() {
        let at = Instant::now();
        let spent = |after: u64, cpu: u64| Spent {
            first: (at, Duration::from_secs(7)),
            last: (at + Duration::from_secs(after), Duration::from_secs(7 + cpu)),
        };
        assert_eq!(spent(4, 6).cores(), 1.5);
        assert_eq!(spent(0, 0).cores(), 0.0);
    }

    #[test]
    fn mailboxes_are_no_larger_than_the_messages_allow() {
        let nine = Duration::from_secs(9);
        for (messages, sessions, filled) in [(20_000, 100, 50), (200, 5, 40), (3, 5, 1)] {
            let load = Load { filled, time: Duration::from_secs(3) };
            assert_eq!(Load::beside(messages, sessions, nine), load, "{messages} of {sessions}");
        }
    }
}
