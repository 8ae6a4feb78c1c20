//! The threads of the cores: how many, pinned where, and how many connections each may hold.

use std::{io, num::NonZeroU16, panic, process, thread};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::limits::{CORES_MAX, DESCRIPTORS_RESERVED, INBOUND_PER_CORE_MAX, OUTBOUND_PER_CORE_MAX};

/// The lowest priority there is; the disk's follows from it (`ioprio_set(2)`).
const NICE: i32 = 19;

/// The processors this process may run on.
pub fn processors() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Leaves processor and disk to a server beside this process.
pub fn be_modest() {
    // What is not allowed to it costs the server a little more, and nothing else.
    let _ = rustix::process::nice(NICE);
}

/// Ring threads to start, where `configured` is 0 for one on each processor.
pub fn cores(configured: u16, processors: usize) -> u16 {
    let wanted = NonZeroU16::new(configured).map_or(processors, |cores| usize::from(cores.get()));
    wanted.clamp(1, usize::from(CORES_MAX)) as u16
}

/// Starts the thread of `core`, pinned to a processor of its own where there are enough.
pub fn spawn(
    core: u16,
    cores: u16,
    processors: &[usize],
    run: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let own = (usize::from(cores) <= processors.len()).then(|| processors[usize::from(core)]);
    thread::Builder::new().name(format!("{NAME}{core}")).spawn(move || {
        if let Some(processor) = own {
            let mut set = CpuSet::new();
            set.set(processor);
            // Unpinned is slower, not wrong.
            let _ = sched_setaffinity(None, &set);
        }
        run();
    })
}

const NAME: &str = "ring-";

/// The threads without which nothing goes on.
const VITAL: [&str; 4] = [NAME, "store", "load", "secrets"];

/// Makes a panic on a vital thread end the process: half a house must not go on. What is on
/// disk is the truth, and the next start goes on from there.
pub fn die_of_panics() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        told(panic);
        let vital = |name: &str| VITAL.iter().any(|vital| name.starts_with(vital));
        if thread::current().name().is_some_and(vital) {
            eprintln!(
                "ringmail: a thread failed, which is a bug: please report the lines above; all \
                 acknowledged mail is on disk, start again"
            );
            process::exit(1);
        }
    }));
}

/// Raises the soft limit of open descriptors to the hard one, and tells it.
pub fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX)
}

/// What one core may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connections {
    pub inbound: usize,
    pub outbound: usize,
}

/// The connections of one core, where the process may have `descriptors`: outbound ones get what
/// they may need at most, but not more than half.
pub fn connections(descriptors: usize, cores: u16) -> Connections {
    let cores = usize::from(cores);
    let usable = descriptors.saturating_sub(DESCRIPTORS_RESERVED);
    let outbound = (usable / 2).min(cores * OUTBOUND_PER_CORE_MAX);
    Connections {
        inbound: ((usable - outbound) / cores).clamp(1, INBOUND_PER_CORE_MAX),
        outbound: (outbound / cores).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_shared_out() {
        for (descriptors, cores, want) in [
            (1024, 2, (224, 224)),
            (20_000, 2, (5840, 4096)),
            (64, 8, (1, 1)),
            (1 << 20, 4, (INBOUND_PER_CORE_MAX, 4096)),
        ] {
            let share = connections(descriptors, cores);
            assert_eq!((share.inbound, share.outbound), want, "{descriptors}, {cores}");
        }
    }

    #[test]
    fn as_many_cores_as_asked_for() {
        for (configured, processors, want) in
            [(0, 2, 2), (3, 2, 3), (0, 1000, CORES_MAX), (0, 0, 1)]
        {
            assert_eq!(cores(configured, processors), want, "{configured}, {processors}");
        }
    }
}
