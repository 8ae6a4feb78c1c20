//! Opens the store: locks its folder, checks the format, clears what a crash left.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU32},
};

use heed::{CommitOrAbort, EnvFlags, EnvOpenOptions, MdbError, RwTxn};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    super::entropy,
    Opened,
    resident::Resident,
    tables::{LmdbReads, LmdbRows, Tables, Trouble},
};
use crate::{
    config,
    limits::{MAP_SIZE_MAX, MAP_SIZE_MIN, STORE_READERS_MAX},
    mail::{QueueId, mailbox::Act},
    store::{Change, Reads, Rows, Table, key, mailbox, write_batch},
};

/// Lies in `data_dir` while a restore fills it.
pub(super) const RESTORING: &str = "restoring";

/// The name is LMDB's.
pub(super) const DATA_FILE: &str = "data.mdb";

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} cannot be used as data_dir: {source}; create it for ringmail's user")]
    Folder { path: PathBuf, source: io::Error },
    #[error("{path} is in use by {holder}; stop that first or set another data_dir")]
    Locked { path: PathBuf, holder: String },
    #[error(
        "the store in {path} has format {found} and this version knows formats up to {known}; \
         run the version of ringmail that wrote it"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("a restore into {path} did not come to its end; run `ringmail restore` again")]
    Restoring { path: PathBuf },
    #[error("{path} holds an LMDB file that is no store of ringmail; set another data_dir")]
    Foreign { path: PathBuf },
    #[error("there is no store in {path}; see data_dir in the configuration")]
    Absent { path: PathBuf },
    #[error("the store in {path} is of an older version; start ringmail once to convert it")]
    Older { path: PathBuf },
    #[error("{path} is in use already; set a data_dir that is empty or does not exist")]
    Used { path: PathBuf },
    #[error("the store in {path} cannot be opened: {source}; check the disk and its free space")]
    Lmdb { path: PathBuf, source: heed::Error },
}

/// Opens the store in `data_dir`, which is created where it is missing.
pub fn open(data_dir: &Path, options: &config::Store) -> Result<Opened, OpenError> {
    create_folder(data_dir)?;
    let lock = lock(data_dir)?;
    if data_dir.join(RESTORING).exists() {
        return Err(OpenError::Restoring { path: data_dir.into() });
    }
    let dir = data_dir.join("queue");
    create_folder(&dir)?;
    let failed = |source| OpenError::Lmdb { path: dir.clone(), source };
    // In the same folder, so that it is on the same file system.
    let unfinished = dir.join("new");
    if unfinished.exists() {
        let folder = |source| OpenError::Folder { path: unfinished.clone(), source };
        fs::remove_dir_all(&unfinished).map_err(folder)?;
    }
    let new = !dir.join(DATA_FILE).exists();
    if new {
        create(&unfinished, &dir, options, &lock)?;
    }
    let tables = open_tables(&dir, options, lock, EnvFlags::empty()).map_err(failed)?;
    sync_folders(data_dir, &dir)?;
    bring_up_to_date(&tables)?;
    sweep(&tables).map_err(failed)?;
    let txn = tables.env.read_txn().map_err(failed)?;
    let highest = highest_id(&tables.reads(&txn)).map_err(failed)?;
    let used = tables.used(&txn).map_err(failed)?;
    drop(txn);
    Ok(Opened { tables: Arc::new(tables), highest, used, new })
}

/// The files are new, perhaps: their names must be on the disk before the first 250.
fn sync_folders(data_dir: &Path, dir: &Path) -> Result<(), OpenError> {
    let parent = data_dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    for folder in [dir, data_dir, parent.unwrap_or(Path::new("."))] {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| OpenError::Folder { path: folder.into(), source })?;
    }
    Ok(())
}

/// Makes an empty store, which appears under its name only when it is on the disk: LMDB takes a
/// file that a power cut left half written for none of its own.
fn create(
    unfinished: &Path,
    dir: &Path,
    options: &config::Store,
    lock: &File,
) -> Result<(), OpenError> {
    let folder = |source| OpenError::Folder { path: unfinished.into(), source };
    create_folder(unfinished)?;
    let lock = lock.try_clone().map_err(folder)?;
    let tables = open_tables(unfinished, options, lock, EnvFlags::empty())
        .map_err(|source| OpenError::Lmdb { path: unfinished.into(), source })?;
    bring_up_to_date(&tables)?;
    install(tables, unfinished, dir)
}

/// Gives a store its name, now that it is on the disk.
pub(super) fn install(tables: Tables, unfinished: &Path, dir: &Path) -> Result<(), OpenError> {
    let folder = |source| OpenError::Folder { path: unfinished.into(), source };
    let closing = tables.env.clone().prepare_for_closing();
    drop(tables);
    closing.wait();
    fs::rename(unfinished.join(DATA_FILE), dir.join(DATA_FILE)).map_err(folder)?;
    fs::remove_dir_all(unfinished).map_err(folder)
}

pub(super) fn create_folder(path: &Path) -> Result<(), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| OpenError::Folder { path: path.into(), source })
}

/// Two processes on one store would each answer for mail that the other deletes.
pub(super) fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join("lock");
    let failed = |source| OpenError::Folder { path: data_dir.into(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let holder = match known {
                true => format!("process {}", pid.trim()),
                false => "another process".into(),
            };
            return Err(OpenError::Locked { path: data_dir.into(), holder });
        }
        Err(errno) => return Err(failed(errno.into())),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

/// `flags` beside those that every opening has.
pub(super) fn open_tables(
    dir: &Path,
    options: &config::Store,
    lock: File,
    flags: EnvFlags,
) -> Result<Tables, heed::Error> {
    let mut environment = EnvOpenOptions::new().read_txn_without_tls();
    environment
        .map_size(map_size(dir, options)?)
        .max_readers(STORE_READERS_MAX)
        .max_dbs(Table::ALL.len() as u32);
    // SAFETY: NO_READ_AHEAD only advises the kernel. The file may be changed by nobody else while
    // it is mapped: its folder is ours alone, and the lock on `data_dir` keeps out a second
    // process as well as a second opening in this one. No flag weakens locking; durability only
    // that of a store which has not got its name yet.
    let env = unsafe { environment.flags(EnvFlags::NO_READ_AHEAD | flags).open(dir)? };
    env.clear_stale_readers()?;
    let txn = env.write_txn()?;
    let databases = env
        .create_databases_and_commit(txn, |opener, txn| {
            let mut databases = Vec::with_capacity(Table::ALL.len());
            for table in Table::ALL {
                databases.push(opener.create_database(txn, Some(table.name()))?);
            }
            let databases = databases.try_into().map_err(|_| MdbError::DbsFull)?;
            Ok::<_, heed::Error>(CommitOrAbort::<[_; Table::ALL.len()], ()>::Commit(databases))
        })?
        .commit()
        .ok_or(MdbError::BadDbi)?;
    let resident = Resident::of(&dir.join(DATA_FILE));
    let touched = AtomicU32::new(0);
    Ok(Tables { env, databases, dir: dir.into(), touched, resident, _lock: Some(lock) })
}

/// The map is address space only; it is as large as the store may ever grow.
pub(super) fn map_size(dir: &Path, options: &config::Store) -> Result<usize, io::Error> {
    let page = rustix::param::page_size() as u64;
    let wanted = match options.size_max {
        0 => {
            let disk = rustix::fs::statvfs(dir)?;
            (disk.f_blocks * disk.f_frsize).clamp(MAP_SIZE_MIN, MAP_SIZE_MAX)
        }
        octets => octets,
    };
    let rounded = wanted.min(MAP_SIZE_MAX).next_multiple_of(page);
    usize::try_from(rounded).map_err(io::Error::other)
}

/// Refuses a newer format and converts an older one: each version that changes the format adds
/// its arm, which rewrites the rows in the same transaction as the new number.
fn bring_up_to_date(tables: &Tables) -> Result<(), OpenError> {
    let path = &tables.dir;
    let failed = |source| OpenError::Lmdb { path: path.clone(), source };
    let txn = tables.env.write_txn().map_err(failed)?;
    let meta = &tables.databases[Table::Meta as usize];
    let found = meta.get(&txn, key::META_FORMAT).map_err(failed)?.map(<[u8; 4]>::try_from);
    match found {
        Some(Ok(number)) => match u32::from_le_bytes(number) {
            key::FORMAT => return Ok(()),
            // Format 2 has the tables of mailboxes besides; they begin empty.
            1 => return begin(tables, txn).map_err(failed),
            // Format 3 may say more of a mailbox than 2; what 2 says it reads.
            2 => return write_format(tables, txn).map_err(failed),
            0 => return Err(OpenError::Foreign { path: path.clone() }),
            found => {
                let known = key::FORMAT;
                return Err(OpenError::Newer { path: path.clone(), found, known });
            }
        },
        Some(Err(_)) => return Err(OpenError::Foreign { path: path.clone() }),
        None => {}
    }
    // A new store: nothing of ours or of anyone else's lies in it.
    for database in &tables.databases {
        if !database.is_empty(&txn).map_err(failed)? {
            return Err(OpenError::Foreign { path: path.clone() });
        }
    }
    begin(tables, txn).map_err(failed)
}

fn begin(tables: &Tables, mut txn: RwTxn<'_>) -> Result<(), heed::Error> {
    let chance = u32::from_le_bytes(entropy::octets().map_err(heed::Error::Io)?);
    mailbox::begin(&mut tables.rows(&mut txn), chance)?;
    write_format(tables, txn)
}

fn write_format(tables: &Tables, mut txn: RwTxn<'_>) -> Result<(), heed::Error> {
    let format = key::FORMAT.to_le_bytes();
    tables.rows(&mut txn).put(Table::Meta, key::META_FORMAT, &[&format])?;
    txn.commit()
}

/// Deletes what was being spooled when the process ended: nobody was promised it.
fn sweep(tables: &Tables) -> Result<(), heed::Error> {
    for table in [Table::Spool, Table::Arriving] {
        loop {
            let mut txn = tables.env.write_txn()?;
            let first = tables.databases[table as usize].first(&txn)?.map(|(id, _)| id.to_vec());
            let Some(id) = first else { break };
            let mut rows = tables.rows(&mut txn);
            let swept = match key::read_message(&id) {
                Some(id) => abandon(table, id, &mut rows),
                None => rows.delete(table, &id),
            };
            match swept.and_then(|()| txn.commit()) {
                Ok(()) => {}
                // Without a free page not even a delete goes; the next start finds them again.
                Err(error) => match tables.trouble(error) {
                    Trouble::Full => return Ok(()),
                    Trouble::Fatal(sentence) => {
                        return Err(io::Error::other(sentence).into());
                    }
                },
            }
        }
    }
    Ok(())
}

fn abandon(table: Table, id: QueueId, rows: &mut LmdbRows<'_, '_>) -> Result<(), heed::Error> {
    let change = match table {
        Table::Arriving => Change::Mailbox(Box::new(Act::Abandon { content: id })),
        _ => Change::Abandon { message: id },
    };
    write_batch([&change], QueueId::MAX, rows).map(drop)
}

/// The highest queue id ever committed.
fn highest_id(reads: &LmdbReads<'_, '_>) -> Result<QueueId, heed::Error> {
    let stored = reads.row(Table::Meta, key::META_HIGHEST)?;
    let highest = stored.and_then(|octets| octets.try_into().ok()).map(u64::from_le_bytes);
    Ok(QueueId::from_u64(highest.unwrap_or(0)))
}
