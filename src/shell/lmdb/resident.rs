//! Keeps the pages of LMDB's map that count as our memory few: they stay in the kernel's cache.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{Advice, madvise};

use crate::limits::MAP_RESIDENT_MAX;

/// The mapping of one file, and the count of mapped pages that the kernel keeps for the process.
#[derive(Debug)]
pub struct Resident {
    start: usize,
    length: usize,
    counts: File,
    page: u64,
    /// What other files have mapped: it stayed when ours were let go.
    others: AtomicU64,
}

impl Resident {
    /// Finds the mapping of `file`; `None` where `/proc` does not tell.
    pub fn of(file: &Path) -> Option<Resident> {
        let path = fs::canonicalize(file).ok()?;
        let maps = fs::read_to_string("/proc/self/maps").ok()?;
        let (start, length) = maps.lines().find_map(|line| mapping(line, path.to_str()?))?;
        let counts = File::open("/proc/self/statm").ok()?;
        let page = rustix::param::page_size() as u64;
        Some(Resident { start, length, counts, page, others: AtomicU64::new(0) })
    }

    /// Lets the map's pages go when too many count as ours.
    pub fn trim(&self) {
        let limit = self.others.load(Ordering::Relaxed) + MAP_RESIDENT_MAX;
        if self.mapped().is_none_or(|mapped| mapped <= limit) {
            return;
        }
        // SAFETY: the range is LMDB's read-only shared mapping of its file, which lives as long
        // as the environment that the owner of this value holds. For such a mapping DontNeed only
        // drops page table entries: the next access finds the same octets in the page cache or
        // the file, so whoever reads it at this moment sees no change.
        let _ = unsafe { madvise(self.start as *mut _, self.length, Advice::LinuxDontNeed) };
        let others = self.mapped().unwrap_or(0);
        self.others.store(others, Ordering::Relaxed);
    }

    /// Octets of files that are mapped, of all files (`proc(5)`: the third field of statm).
    fn mapped(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.counts.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        let pages: u64 = text.split(' ').nth(2)?.parse().ok()?;
        Some(pages * self.page)
    }
}

/// Start and length of the mapping that a line of `/proc/self/maps` shows, if it is of `path`.
fn mapping(line: &str, path: &str) -> Option<(usize, usize)> {
    let range = line.split(' ').next()?;
    if !line.ends_with(path) || line.split_ascii_whitespace().nth(5)? != first_word(path)? {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

fn first_word(path: &str) -> Option<&str> {
    path.split_ascii_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let line = "7f00a000-7f00c000 r--s 00000000 fe:00 123   /var/lib/ring mail/queue/data.mdb";
        let path = "/var/lib/ring mail/queue/data.mdb";
        assert_eq!(mapping(line, path), Some((0x7f00a000, 0x2000)));
        assert_eq!(mapping(line, "/data.mdb"), None);
        assert_eq!(mapping("7f00a000-7f00c000 rw-p 00000000 00:00 0", path), None);
    }
}
