//! The processor time of a server: its process, all that descend from it, and those that ended.

use std::{fs, io};

use rustix::param::clock_ticks_per_second;
use thiserror::Error;

/// Why the time cannot be told.
#[derive(Debug, Error)]
pub enum CpuError {
    #[error("/proc cannot be read: {0}; leave out --server-pid")]
    Proc(io::Error),
    #[error("there is no process {0}: give the number of the server's first process")]
    Absent(u32),
}

/// One line of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    number: u32,
    parent: u32,
    /// User and system time, that of children that ended and were waited for included.
    ticks: u64,
}

/// Seconds of processor time so far of the tree whose root is this process.
pub fn tree_seconds(root: u32) -> Result<f64, CpuError> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").map_err(CpuError::Proc)? {
        let path = entry.map_err(CpuError::Proc)?.path().join("stat");
        // Others end while we look; theirs is with their parent then.
        processes.extend(fs::read_to_string(path).ok().as_deref().and_then(parse));
    }
    let ticks = tree_ticks(root, &processes).ok_or(CpuError::Absent(root))?;
    Ok(ticks as f64 / clock_ticks_per_second() as f64)
}

fn tree_ticks(root: u32, processes: &[Process]) -> Option<u64> {
    let mut tree = vec![processes.iter().find(|process| process.number == root)?];
    let mut next = 0;
    while let Some(parent) = tree.get(next).map(|process| process.number) {
        let children = processes.iter().filter(|process| process.parent == parent);
        tree.extend(children.filter(|process| process.number != root));
        next += 1;
    }
    Some(tree.iter().map(|process| process.ticks).sum())
}

/// Fields 1, 4 and 14 to 17; the name, field 2, may hold spaces and parentheses itself.
fn parse(line: &str) -> Option<Process> {
    let (before, after) = line.rsplit_once(')')?;
    let number = before.split(' ').next()?.parse().ok()?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks: Option<u64> =
        fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum();
    Some(Process { number, parent, ticks: ticks? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_summed_with_those_that_ended() {
        let line = |number: u32, parent: u32, name: &str, ticks: u64| {
            format!("{number} ({name}) S {parent} 1 1 0 -1 4 0 0 0 0 {ticks} 1 2 3 20 0 1 0 9\n")
        };
        let processes: Vec<Process> = [
            line(1, 0, "init", 100),
            line(10, 1, "dovecot", 10),
            line(11, 10, "imap) S 1 (x", 20),
            line(12, 11, "a b", 30),
            line(13, 1, "other", 1000),
            "14 (cut) S 10".to_owned(),
        ]
        .iter()
        .filter_map(|line| parse(line))
        .collect();
        assert_eq!(processes.len(), 5);
        assert_eq!(tree_ticks(10, &processes), Some(60 + 3 * 6));
        assert_eq!(tree_ticks(99, &processes), None);
    }

    #[test]
    fn this_process_has_spent_time() {
        assert!(tree_seconds(std::process::id()).is_ok());
        assert!(matches!(tree_seconds(u32::MAX), Err(CpuError::Absent(u32::MAX))));
    }
}
