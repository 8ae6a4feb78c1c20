//! A disk to be failed: the shim that is preloaded into the binary, and what a power cut takes.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use super::support::binary::{Ended, Home, Ringmail, Under};

/// Room for the journal; the file has holes where nothing was written.
const JOURNAL: u64 = 1 << 30;
/// Of the shared file, before the journal; `shim.c` knows it too.
const HEAD: u64 = 4096;
/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// An operation on the store's data file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Of pages.
    Write = 0,
    Sync = 1,
    /// Of the page that makes a transaction valid, synced by itself.
    Meta = 2,
}

pub const KINDS: [Kind; 3] = [Kind::Write, Kind::Sync, Kind::Meta];

/// What is done to an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// The power goes before it.
    CutBefore,
    /// The power goes when it is done, and nobody has been told.
    CutAfter,
    /// It fails with this errno.
    Fail(i32),
    /// Half of it is done.
    Short,
}

/// How much of what no sync has made durable is gone after a power cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    All,
    Nothing,
    /// Each write whole, with this probability in percent.
    Writes(u64),
    /// Each sector.
    Sectors(u64),
}

/// Fields of `struct control` in `shim.c`, by their place.
#[derive(Clone, Copy)]
enum Field {
    Done = 0,
    Kind = 3,
    First = 4,
    Last = 5,
    Deed = 6,
    Error = 7,
    Fired = 8,
    Lies = 9,
    Used = 10,
    Lost = 11,
}

/// The disk below one store.
pub struct Disk {
    shared: File,
    path: PathBuf,
    data: PathBuf,
}

/// A write that no sync had made durable.
struct Unsynced {
    offset: u64,
    /// The file's size before it.
    size: u64,
    before: Vec<u8>,
}

impl Disk {
    pub fn below(home: &Home) -> Self {
        let path = home.beside("disk");
        let shared =
            OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        shared.set_len(HEAD + JOURNAL).unwrap();
        Self { shared, path, data: home.data().join("queue/data.mdb") }
    }

    /// Starts the binary on this disk.
    pub fn under(&self) -> Under {
        let environment =
            vec![("LD_PRELOAD", shim().into()), ("RINGMAIL_TEST_DISK", self.path.clone().into())];
        Under { environment, ..Under::default() }
    }

    /// Starts the binary on this disk, which must succeed.
    pub fn start(&self, home: &Home, what: &str) -> Ringmail {
        home.try_start(&self.under()).unwrap_or_else(|Ended { status, said }| {
            panic!("{what}: no start afterwards, {status}:\n{said}");
        })
    }

    pub fn done(&self, kind: Kind) -> u64 {
        self.read(Field::Done as u64 + kind as u64)
    }

    /// How often the deed was done.
    pub fn fired(&self) -> u64 {
        self.read(Field::Fired as u64)
    }

    /// The `first` operation of this kind from now, and `times` - 1 behind it, meet this deed.
    pub fn arm(&self, kind: Kind, first: u64, times: u64, deed: Deed) {
        self.disarm();
        let (number, error) = match deed {
            Deed::CutBefore => (1, 0),
            Deed::CutAfter => (2, 0),
            Deed::Fail(errno) => (3, errno as u64),
            // The file beside the data file finds the disk full.
            Deed::Short => (4, libc::ENOSPC as u64),
        };
        self.write(Field::Kind, kind as u64);
        self.write(Field::Deed, number);
        self.write(Field::Error, error);
        self.write(Field::Fired, 0);
        let first = self.done(kind) + first;
        self.write(Field::First, first);
        // This arms it, so it is written last.
        self.write(Field::Last, first.saturating_add(times - 1));
    }

    pub fn disarm(&self) {
        self.write(Field::Last, 0);
    }

    /// Syncs of pages (`pages`) and synced writes of the meta page (`meta`) succeed from now on
    /// without making anything durable.
    pub fn lie(&self, pages: bool, meta: bool) {
        self.write(Field::Lies, u64::from(pages) + 2 * u64::from(meta));
    }

    /// The process is dead, the power is off: takes back what was not durable. The disk is a
    /// sound one again.
    pub fn lose(&self, taken: Taken, chance: &mut Chance) {
        let unsynced = self.unsynced();
        for field in [Field::Used, Field::Lost, Field::Lies, Field::Last] {
            self.write(field, 0);
        }
        let Some(durable) = unsynced.iter().map(|write| write.size).min() else { return };
        // A store that was still being created has another name, and no start looks at it again.
        let Ok(data) = OpenOptions::new().write(true).open(&self.data) else { return };
        let mut gone = |percent| chance.below(100) < percent;
        // The newest first, so that what is left is what the oldest of those undone had found.
        for write in unsynced.iter().rev() {
            let whole = matches!(taken, Taken::Writes(percent) if gone(percent));
            let end = write.offset + write.before.len() as u64;
            let mut at = write.offset;
            while at < end {
                let next = (at / SECTOR * SECTOR + SECTOR).min(end);
                let undone = match taken {
                    Taken::All => true,
                    Taken::Nothing => false,
                    Taken::Writes(_) => whole,
                    Taken::Sectors(percent) => gone(percent),
                };
                if undone {
                    let range = (at - write.offset) as usize..(next - write.offset) as usize;
                    data.write_all_at(&write.before[range], at).unwrap();
                }
                at = next;
            }
        }
        // The length of the file is no more durable than what lies in it.
        let shrinks = match taken {
            Taken::All => true,
            Taken::Nothing => false,
            Taken::Writes(_) | Taken::Sectors(_) => gone(50),
        };
        if shrinks && durable < data.metadata().unwrap().len() {
            data.set_len(durable).unwrap();
        }
    }

    fn unsynced(&self) -> Vec<Unsynced> {
        let mut journal = vec![0; self.read(Field::Used as u64) as usize];
        self.shared.read_exact_at(&mut journal, HEAD).unwrap();
        let number = |at: usize| u64::from_ne_bytes(journal[at..at + 8].try_into().unwrap());
        let (mut writes, mut at) = (Vec::new(), 0);
        while at < journal.len() {
            let (offset, length, size) = (number(at), number(at + 8) as usize, number(at + 16));
            let before = journal[at + 24..at + 24 + length].to_vec();
            writes.push(Unsynced { offset, size, before });
            at += 24 + length.next_multiple_of(8);
        }
        writes
    }

    fn read(&self, place: u64) -> u64 {
        let mut octets = [0; 8];
        self.shared.read_exact_at(&mut octets, 8 * place).unwrap();
        u64::from_ne_bytes(octets)
    }

    fn write(&self, field: Field, value: u64) {
        self.shared.write_all_at(&value.to_ne_bytes(), 8 * field as u64).unwrap();
    }
}

/// The shim, compiled once a run.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, shim) = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (source, shim) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
        fs::write(&source, include_str!("shim.c")).unwrap();
        let compiled = Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o"])
            .args([&shim, &source])
            .output()
            .expect("cc is there: Rust links with it");
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{said}");
        (folder, shim)
    });
    shim
}

/// Numbers that look random, from a seed (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
