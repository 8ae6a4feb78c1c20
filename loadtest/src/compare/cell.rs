//! The cell a server runs in: all its processes, however they fork, with their CPU time, their
//! memory and their end. A control group where the kernel lets us make one, else the process tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long the processes of a cell may take to be gone after they were killed.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// How often it is looked whether they are.
const END_INTERVAL: Duration = Duration::from_millis(10);

/// Numbers the cells of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The processes of one server. Dropped, it ends them all.
#[derive(Debug)]
pub enum Cell {
    Group(PathBuf),
    /// Of the first process and its descendants. One that left the tree is not seen: the CPU time
    /// of a child counts once it was waited for.
    Tree(Option<Pid>),
}

/// What the processes of a cell hold in memory, in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Anonymous and shared memory.
    pub own: u64,
    /// Resident: mapped files too, shared pages once a process.
    pub resident: u64,
}

impl Cell {
    /// A control group below the root of the unified hierarchy, or a process tree if it cannot be.
    pub fn new() -> Cell {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let made = fs::read_to_string("/proc/self/mounts").ok().and_then(|mounts| {
            let group = unified(&mounts)?.join(format!("ringload-{}-{number}", process::id()));
            fs::create_dir(&group).ok()?;
            Some(Cell::Group(group))
        });
        // A container may show the files and yet not let a process in; what was made goes then.
        made.filter(Cell::takes_processes).unwrap_or(Cell::Tree(None))
    }

    fn takes_processes(&self) -> bool {
        let argv = self.enter(&["true".to_owned()]);
        let (Cell::Group(path), [program, arguments @ ..]) = (self, argv.as_slice()) else {
            return false;
        };
        let quiet = || Stdio::null();
        let entered = Command::new(program).args(arguments).stderr(quiet()).stdin(quiet()).status();
        entered.is_ok_and(|status| status.success()) && path.join("cpu.stat").exists()
    }

    /// The command that runs another one inside.
    pub fn enter(&self, argv: &[String]) -> Vec<String> {
        match self {
            Cell::Group(path) => ["sh", "-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]
                .map(String::from)
                .into_iter()
                .chain([path.display().to_string()])
                .chain(argv.iter().cloned())
                .collect(),
            Cell::Tree(_) => argv.to_vec(),
        }
    }

    /// Tells the first process, once it runs.
    pub fn started(&mut self, first: u32) {
        if let Cell::Tree(root) = self {
            *root = i32::try_from(first).ok().and_then(Pid::from_raw);
        }
    }

    /// User and system time of all processes, those that have ended too.
    pub fn cpu(&self) -> Duration {
        match self {
            Cell::Group(path) => fs::read_to_string(path.join("cpu.stat"))
                .ok()
                .and_then(|text| usage(&text))
                .unwrap_or_default(),
            Cell::Tree(_) => {
                let hertz = rustix::param::clock_ticks_per_second();
                let ticks = |pid| stat(pid).map_or(0, |stat| stat.ticks);
                let ticks = self.pids().into_iter().map(ticks).sum::<u64>();
                Duration::from_secs_f64(ticks as f64 / hertz as f64)
            }
        }
    }

    pub fn memory(&self) -> Memory {
        let mut all = Memory::default();
        for pid in self.pids() {
            let Ok(rollup) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
                continue;
            };
            let one = memory(&rollup);
            all.own += one.own;
            all.resident += one.resident;
        }
        all
    }

    /// The processes that live now.
    pub fn pids(&self) -> Vec<i32> {
        match self {
            Cell::Group(path) => fs::read_to_string(path.join("cgroup.procs"))
                .unwrap_or_default()
                .lines()
                .filter_map(|line| line.parse().ok())
                .collect(),
            Cell::Tree(None) => Vec::new(),
            Cell::Tree(Some(root)) => tree(root.as_raw_nonzero().get()),
        }
    }

    /// Ends every process in it, and waits until they are gone.
    pub fn kill(&self) {
        let began = Instant::now();
        let mut pids = BTreeSet::from_iter(self.pids());
        while !pids.is_empty() && began.elapsed() < END_DEADLINE {
            if let Cell::Group(path) = self {
                let _ = fs::write(path.join("cgroup.kill"), "1");
            }
            // Older kernels have no cgroup.kill; a tree never has.
            for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                let _ = kill_process(pid, Signal::KILL);
            }
            thread::sleep(END_INTERVAL);
            pids = self.pids().into_iter().filter(|pid| !is_dead(*pid)).collect();
        }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.kill();
        if let Cell::Group(path) = self {
            // A process that was killed leaves its group a moment after its end.
            let began = Instant::now();
            while fs::remove_dir(&*path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
                && began.elapsed() < END_DEADLINE
            {
                thread::sleep(END_INTERVAL);
            }
        }
    }
}

/// Where the unified hierarchy is mounted, by the text of /proc/self/mounts.
fn unified(mounts: &str) -> Option<PathBuf> {
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&"cgroup2"))
        .and_then(|fields| fields.get(1).map(|path| Path::new(path).to_owned()))
}

/// The CPU time in the text of a cpu.stat.
fn usage(text: &str) -> Option<Duration> {
    let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(Duration::from_micros(micros.trim().parse().ok()?))
}

/// What a /proc/PID/smaps_rollup says. Pages that processes share since a fork are divided among
/// them there: servers that fork a process a message would else seem to hold many times as much.
fn memory(rollup: &str) -> Memory {
    let octets = |key: &str| {
        rollup
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .map_or(0, |kibibytes| kibibytes * 1024)
    };
    Memory { own: octets("Pss_Anon") + octets("Pss_Shmem"), resident: octets("Rss") }
}

/// What is used of a /proc/PID/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    /// Its own time, and that of the children it waited for.
    ticks: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name, in parentheses, may hold anything; the fields are counted behind it.
    let fields = text.rsplit_once(')')?.1.split_whitespace().collect::<Vec<_>>();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Stat { state: fields[0].chars().next()?, parent: fields[1].parse().ok()?, ticks })
}

/// A process that is gone, or only waits for its parent to see that.
fn is_dead(pid: i32) -> bool {
    stat(pid).is_none_or(|stat| stat.state == 'Z' || stat.state == 'X')
}

/// A process and all below it.
fn tree(root: i32) -> Vec<i32> {
    let mut children = BTreeMap::<i32, Vec<i32>>::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = if stat(root).is_some() { vec![root] } else { Vec::new() };
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::Child;

    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_where_it_is() {
        for (mounts, found) in [
            ("", None),
            ("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n", None),
            (
                "tmpfs /sys/fs tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
                Some("/sys/fs/cgroup/unified"),
            ),
            ("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", Some("/sys/fs/cgroup")),
        ] {
            assert_eq!(unified(mounts).as_deref(), found.map(Path::new), "{mounts}");
        }
    }

    #[test]
    fn figures_of_the_kernel() {
        let text = "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n";
        assert_eq!(usage(text), Some(Duration::from_millis(1500)));
        assert_eq!(usage("user_usec 1\n"), None);
        let rollup = "5-7 ---p 0 0:0 0 [rollup]\nRss: 100 kB\nPss: 70 kB\nPss_Anon:   60 kB\n\
                      Pss_File:      8 kB\nPss_Shmem:     2 kB\n";
        assert_eq!(memory(rollup), Memory { own: 62 * 1024, resident: 100 * 1024 });
        let text = "7 (a) b) S 3 7 7 0 -1 4194560 1 0 0 0 10 20 30 40 20 0 1 0 5 6 7\n";
        assert_eq!(parse_stat(text), Some(Stat { state: 'S', parent: 3, ticks: 100 }));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn a_folder_that_is_no_group_takes_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let cell = Cell::Group(folder.path().join("group"));
        assert!(!cell.takes_processes());
        fs::create_dir(folder.path().join("group")).unwrap();
        assert!(!cell.takes_processes(), "it has no cpu.stat");
        // What a plain folder keeps of the try would keep the folder.
        fs::remove_file(folder.path().join("group/cgroup.procs")).unwrap();
    }

    fn start(cell: &mut Cell) -> Child {
        let argv = ["sh", "-c", "while :; do :; done & wait"].map(String::from);
        let argv = cell.enter(&argv);
        let child = Command::new(&argv[0]).args(&argv[1..]).spawn().unwrap();
        cell.started(child.id());
        child
    }

    #[test]
    fn all_processes_are_seen_and_ended() {
        for mut cell in [Cell::new(), Cell::Tree(None)] {
            let mut child = start(&mut cell);
            let began = Instant::now();
            while (cell.pids().len() < 2 || cell.cpu().is_zero())
                && began.elapsed() < Duration::from_secs(10)
            {
                thread::sleep(END_INTERVAL);
            }
            assert!(cell.pids().len() >= 2, "{cell:?}");
            assert!(!cell.cpu().is_zero(), "{cell:?}");
            assert!(cell.memory().resident > 0, "{cell:?}");
            cell.kill();
            assert!(!child.wait().unwrap().success());
            if let Cell::Group(path) = &cell {
                let path = path.clone();
                drop(cell);
                assert!(!path.exists());
            }
        }
    }
}
