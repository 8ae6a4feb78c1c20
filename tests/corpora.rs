//! The fuzz targets as plain tests: every file of their corpora, and mutations of each.
//!
//! libFuzzer goes further (`fuzz/README.md`); this runs wherever `cargo test` does. A failure
//! prints the octets and how to repeat it.

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use targets::TARGETS;

/// Mutations of one file.
const MUTATIONS: u64 = 2000;

/// All targets together take about as long as this: a slow machine tries fewer mutations.
const PATIENCE: Duration = Duration::from_secs(10);

/// No input grows beyond this.
const OCTETS_MAX: usize = 16 * 1024;

/// What protocols turn on.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b"\r\n.\r\n",
    b"\xff",
    b"\xffo",
    b"\xfff",
    b"\xff*",
    b"\0",
    b" ",
    b"<",
    b">",
    b"@",
    b"\"",
    b"\\",
    b"250 ",
    b"250-",
    b"354 ",
    b"550 ",
    b"421 ",
    b"RSET\r\n",
    b"DATA\r\n",
    b"BDAT 3 LAST\r\n",
    b"QUIT\r\n",
    b"MAIL FROM:<>\r\n",
    b"z NOOP\r\n",
    b"z FETCH 1:* (FLAGS BODY[])\r\n",
    b"{3+}\r\n",
    b"(",
    b")",
    b"*",
    b"\xffm",
    b"\xffx",
    b"\xffh",
    b"\xffa",
    b"--b\r\n",
];

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_file_of_every_corpus() {
    for (name, run) in TARGETS {
        let files = corpus(name);
        assert!(files.len() >= 3, "{name} has hardly a corpus");
        for (path, octets) in files {
            attempt(name, *run, &path.display().to_string(), &octets);
        }
    }
}

#[test]
fn mutations_of_every_file() {
    let begun = Instant::now();
    for (done, (name, run)) in TARGETS.iter().enumerate() {
        let files = corpus(name);
        let share = PATIENCE * (done as u32 + 1) / TARGETS.len() as u32;
        let mut tried = 0u64;
        // File by file in turns, so that none is left out when time is short.
        'target: for number in 0..MUTATIONS {
            for (index, (path, octets)) in files.iter().enumerate() {
                let other = &files[(index + 1 + number as usize) % files.len()].1;
                let mutated = Random(number << 16 | index as u64).mutated(octets, other);
                attempt(name, *run, &format!("{} mutation {number}", path.display()), &mutated);
                tried += 1;
                if tried >= 10 * files.len() as u64 && begun.elapsed() > share {
                    break 'target;
                }
            }
        }
        println!("{name}: {tried} mutations of {} files", files.len());
    }
}

fn attempt(name: &str, run: fn(&[u8]), from: &str, octets: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(octets))).is_err() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.failure"));
        let _ = fs::write(&file, octets);
        panic!(
            "{name} fails on {from}:\n{}\nto repeat it alone: cargo test --test corpora one_file\n\
             with RINGMAIL_FUZZ={name}:{}",
            octets.escape_ascii(),
            file.display()
        );
    }
}

/// `RINGMAIL_FUZZ=target:file` runs that alone; without it there is nothing to do.
#[test]
fn one_file() {
    let Ok(wanted) = std::env::var("RINGMAIL_FUZZ") else { return };
    let (name, file) = wanted.split_once(':').expect("RINGMAIL_FUZZ=target:file");
    let (_, run) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target's name");
    run(&fs::read(file).expect("a file"));
}

/// Splitmix64: the same mutations everywhere and always.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) as usize % bound.max(1)
    }

    fn mutated(&mut self, octets: &[u8], other: &[u8]) -> Vec<u8> {
        let mut octets = octets.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(octets.len() + 1);
            let end = (at + 1 + self.below(16)).min(octets.len());
            match self.below(7) {
                0 if at < octets.len() => octets[at] ^= 1 << self.below(8),
                1 if at < octets.len() => octets[at] = self.below(256) as u8,
                2 => drop(octets.drain(at..end)),
                3 => drop(octets.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
                4 => {
                    let again = octets[at..end].to_vec();
                    octets.splice(at..at, again);
                }
                // A piece of another file, in place of one of this.
                5 => {
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(64)).min(other.len());
                    octets.splice(at..end, other[from..to].iter().copied());
                }
                _ => octets.truncate(at.max(octets.len() / 2)),
            }
        }
        octets.truncate(OCTETS_MAX);
        octets
    }
}
