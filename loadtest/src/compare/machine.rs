//! The machine a comparison runs on: what it is, how fast its disk syncs, what was written to it.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use rustix::fs::{fdatasync, major, minor};

use crate::{
    meter::Latencies,
    outcome::{Latency, Machine},
};

/// Syncs that are measured.
const SYNCS: u32 = 500;

/// Where measuring them ends on a slow disk.
const SYNCS_DEADLINE: Duration = Duration::from_secs(20);

/// Octets that are written before each.
const SYNC_OCTETS: usize = 4096;

/// Octets of a sector, whatever the disk's own are.
const SECTOR: u64 = 512;

/// What the report says of this machine and of the disk below a folder.
pub fn look(folder: &Path) -> io::Result<Machine> {
    let (filesystem, device) = mount(folder);
    Ok(Machine {
        cpu: cpu_model(&read("/proc/cpuinfo")),
        cores: cores() as u64,
        memory: memory(&read("/proc/meminfo")),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        distribution: distribution(&read("/etc/os-release")),
        filesystem,
        disk: disk(folder, &device),
        sync: sync_latency(folder)?,
    })
}

/// The cores this process may run on.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Octets written so far to the device of a folder, by everybody; `None` where the folder's
/// device is not one the kernel counts for.
pub fn octets_written(folder: &Path) -> Option<u64> {
    sectors_written(&fs::read_to_string(block(folder)?.join("stat")).ok()?)
        .map(|sectors| sectors * SECTOR)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn sync_latency(folder: &Path) -> io::Result<Latency> {
    // Another comparison may be measuring here.
    let path = folder.join(format!("sync-latency-{}", process::id()));
    let mut file = File::create(&path)?;
    let mut latencies = Latencies::new();
    let began = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[b'x'; SYNC_OCTETS])?;
        let before = Instant::now();
        fdatasync(&file)?;
        latencies.record(before.elapsed());
        if began.elapsed() > SYNCS_DEADLINE {
            break;
        }
    }
    fs::remove_file(&path)?;
    Ok(latencies.outcome())
}

/// The kernel's folder for the block device of a folder's filesystem.
fn block(folder: &Path) -> Option<PathBuf> {
    let device = fs::metadata(folder).ok()?.dev();
    let path = PathBuf::from(format!("/sys/dev/block/{}:{}", major(device), minor(device)));
    path.exists().then_some(path)
}

fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

fn cpu_model(cpuinfo: &str) -> String {
    ["model name", "Model", "CPU part"]
        .iter()
        .find_map(|key| cpuinfo.lines().find_map(|line| line.strip_prefix(key)?.split_once(':')))
        .map_or_else(|| "unknown".to_owned(), |(_, model)| model.trim().to_owned())
}

fn memory(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())
        .map_or(0, |kibibytes: u64| kibibytes * 1024)
}

fn distribution(os_release: &str) -> String {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or_else(|| "unknown".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// The filesystem of a folder with its options, and the device it is on.
fn mount(folder: &Path) -> (String, String) {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    find_mount(&read("/proc/self/mounts"), &folder)
        .unwrap_or_else(|| ("unknown".to_owned(), "unknown".to_owned()))
}

fn find_mount(mounts: &str, folder: &Path) -> Option<(String, String)> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (device, at) = (fields.next()?, fields.next()?);
            let (kind, options) = (fields.next()?, fields.next()?);
            folder.starts_with(at).then(|| (at, format!("{kind} ({options})"), device.to_owned()))
        })
        // A later mount hides an earlier one at the same place.
        .max_by_key(|(at, ..)| at.len())
        .map(|(_, kind, device)| (kind, device))
}

fn disk(folder: &Path, device: &str) -> String {
    let about = |name: &str| {
        let base = block(folder)?;
        // A partition has these files in the folder of its disk.
        [base.join(name), base.join("..").join(name)]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .map(|text| text.trim().to_owned())
    };
    let kind = match about("queue/rotational").as_deref() {
        Some("1") => ", said to rotate",
        Some(_) => ", solid state",
        None => "",
    };
    let cache = about("queue/write_cache").map_or(String::new(), |cache| format!(", {cache}"));
    let model = about("device/model").map_or(String::new(), |model| format!(" {model}"));
    format!("{device}{model}{kind}{cache}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A  CPU\n"), "A  CPU");
        assert_eq!(cpu_model(""), "unknown");
        assert_eq!(memory("MemTotal:       2 kB\nMemFree: 1 kB\n"), 2048);
        assert_eq!(distribution("NAME=\"D\"\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
        assert_eq!(sectors_written(" 1 2 3 4 5 6 7 8 9"), Some(7));
        assert_eq!(sectors_written("1 2"), None);
    }

    #[test]
    fn the_innermost_mount_holds_a_folder() {
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /var xfs rw,sync 0 0\ntmpfs /va tmpfs rw 0 0\n";
        for (folder, kind, device) in [
            ("/home", "ext4 (rw)", "/dev/a"),
            ("/var/tmp", "xfs (rw,sync)", "/dev/b"),
            ("/var", "xfs (rw,sync)", "/dev/b"),
        ] {
            let found = find_mount(mounts, Path::new(folder));
            assert_eq!(found, Some((kind.to_owned(), device.to_owned())), "{folder}");
        }
    }

    #[test]
    fn a_machine_has_a_disk_that_syncs() {
        let folder = tempfile::tempdir().unwrap();
        let machine = look(folder.path()).unwrap();
        assert!(machine.sync.count > 0 && machine.cores > 0 && machine.memory > 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
