//! The store as a process sees it that only reads: beside a server that writes, or without one.

use std::{fs, path::Path, sync::atomic::AtomicU32};

use heed::{CommitOrAbort, EnvFlags, EnvOpenOptions, MdbError};

use super::{
    open::{DATA_FILE, OpenError, map_size},
    resident::Resident,
    tables::{LmdbReads, Tables},
};
use crate::{
    config,
    limits::STORE_READERS_MAX,
    store::{Reads, Table, key},
};

/// The store, open for reading.
pub struct Source {
    tables: Tables,
}

impl Source {
    /// Opens the store in `data_dir`, which no lock keeps from being read.
    pub fn open(data_dir: &Path, options: &config::Store) -> Result<Source, OpenError> {
        let dir = data_dir.join("queue");
        if !fs::exists(dir.join(DATA_FILE)).unwrap_or(false) {
            return Err(OpenError::Absent { path: data_dir.into() });
        }
        let failed = |source| OpenError::Lmdb { path: dir.clone(), source };
        let older = || OpenError::Older { path: dir.clone() };
        let tables = open_to_read(&dir, options).map_err(failed)?.ok_or_else(older)?;
        let source = Source { tables };
        let stored = source.look(|reads| {
            let row = reads.row(Table::Meta, key::META_FORMAT)?;
            Ok(row.and_then(|octets| octets.try_into().ok()).map(u32::from_le_bytes))
        });
        match stored.map_err(failed)? {
            Some(key::FORMAT) => Ok(source),
            Some(found) if found > key::FORMAT => {
                Err(OpenError::Newer { path: dir, found, known: key::FORMAT })
            }
            Some(_) => Err(older()),
            None => Err(OpenError::Foreign { path: dir }),
        }
    }

    /// Looks at one snapshot. As long as it is open the server cannot use its pages again.
    pub fn look<T, E: From<heed::Error>>(
        &self,
        look: impl FnOnce(&LmdbReads<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let txn = self.tables.env.read_txn()?;
        look(&self.tables.reads(&txn))
    }
}

impl From<Tables> for Source {
    fn from(tables: Tables) -> Self {
        Self { tables }
    }
}

/// `None` where a table is not there.
fn open_to_read(dir: &Path, options: &config::Store) -> Result<Option<Tables>, heed::Error> {
    let mut environment = EnvOpenOptions::new().read_txn_without_tls();
    environment
        .map_size(map_size(dir, options)?)
        .max_readers(STORE_READERS_MAX)
        .max_dbs(Table::ALL.len() as u32);
    let flags = EnvFlags::READ_ONLY | EnvFlags::NO_READ_AHEAD;
    // SAFETY: this process only reads the file, and it is changed by none but LMDB itself, whose
    // locks are on: its folder is ours alone. This process opens it once.
    let env = unsafe { environment.flags(flags).open(dir)? };
    let txn = env.read_txn()?;
    let databases = env
        .open_databases_and_commit(txn, |opener, txn| {
            let mut databases = Vec::with_capacity(Table::ALL.len());
            for table in Table::ALL {
                match opener.open_database(txn, Some(table.name()))? {
                    Some(database) => databases.push(database),
                    None => return Ok(CommitOrAbort::Abort(())),
                }
            }
            let databases = databases.try_into().map_err(|_| MdbError::DbsFull)?;
            Ok::<_, heed::Error>(CommitOrAbort::<[_; Table::ALL.len()], ()>::Commit(databases))
        })?
        .commit();
    let resident = Resident::of(&dir.join(DATA_FILE));
    Ok(databases.map(|databases| Tables {
        env,
        databases,
        dir: dir.into(),
        touched: AtomicU32::new(0),
        resident,
        _lock: None,
    }))
}
