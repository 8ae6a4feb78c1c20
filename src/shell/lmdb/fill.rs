//! Fills a new store with rows in their order, and gives it its name when all of them are there.

use std::{
    borrow::Cow,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use heed::{EnvFlags, PutFlags};

use super::{
    open::{DATA_FILE, OpenError, RESTORING, create_folder, install, lock, open, open_tables},
    source::Source,
    tables::{LmdbReads, Tables, Trouble},
};
use crate::{config, store::Table};

/// A store without a name.
pub struct Filling {
    tables: Tables,
    unfinished: PathBuf,
}

impl Filling {
    /// Begins a store in a `data_dir` that has none.
    pub fn begin(data_dir: &Path, options: &config::Store) -> Result<Filling, OpenError> {
        create_folder(data_dir)?;
        let folder = |source| OpenError::Folder { path: data_dir.into(), source };
        // What a start or a restore leaves behind that did not come to its end.
        for entry in fs::read_dir(data_dir).map_err(folder)? {
            let name = entry.map_err(folder)?.file_name();
            if name != "lock" && name != "queue" && name != RESTORING {
                return Err(OpenError::Used { path: data_dir.into() });
            }
        }
        let lock = lock(data_dir)?;
        let dir = data_dir.join("queue");
        create_folder(&dir)?;
        let data = dir.join(DATA_FILE);
        match (fs::exists(&data).map_err(folder)?, data_dir.join(RESTORING).exists()) {
            (false, _) => {}
            (true, false) => return Err(OpenError::Used { path: data_dir.into() }),
            (true, true) => fs::remove_file(&data).map_err(folder)?,
        }
        let unfinished = dir.join("new");
        if fs::exists(&unfinished).map_err(folder)? {
            fs::remove_dir_all(&unfinished).map_err(folder)?;
        }
        // Until the end of the restore nobody may take this for a place where mail can be kept.
        let mark = data_dir.join(RESTORING);
        File::create(&mark).and_then(|mark| mark.sync_all()).map_err(folder)?;
        File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(folder)?;
        Filling::in_folder(unfinished, options, lock)
    }

    /// Begins a store that is to be read by this process alone and is nowhere to be found: its
    /// files have no names any more when it is open.
    pub fn nameless(folder: &Path) -> Result<Filling, OpenError> {
        let failed = |source| OpenError::Folder { path: folder.into(), source };
        create_folder(folder)?;
        let lock = File::open(folder).map_err(failed)?;
        let options = config::Store { size_max: 0 };
        let filling = Filling::in_folder(folder.into(), &options, lock)?;
        fs::remove_dir_all(folder).map_err(failed)?;
        Ok(filling)
    }

    fn in_folder(
        unfinished: PathBuf,
        options: &config::Store,
        lock: File,
    ) -> Result<Filling, OpenError> {
        create_folder(&unfinished)?;
        // One sync at its end is enough for what has no name.
        let tables = open_tables(&unfinished, options, lock, EnvFlags::NO_SYNC)
            .map_err(|source| OpenError::Lmdb { path: unfinished.clone(), source })?;
        Ok(Filling { tables, unfinished })
    }

    /// Puts rows behind those of their tables that are there.
    pub fn put<'a>(
        &self,
        rows: impl Iterator<Item = (Table, &'a [u8], Cow<'a, [u8]>)>,
    ) -> Result<(), OpenError> {
        self.try_put(rows).map_err(|source| {
            let source = match self.tables.trouble(source) {
                Trouble::Full => io::Error::from(io::ErrorKind::StorageFull),
                Trouble::Fatal(sentence) => io::Error::other(sentence),
            };
            OpenError::Lmdb { path: self.unfinished.clone(), source: source.into() }
        })
    }

    fn try_put<'a>(
        &self,
        rows: impl Iterator<Item = (Table, &'a [u8], Cow<'a, [u8]>)>,
    ) -> Result<(), heed::Error> {
        let mut txn = self.tables.env.write_txn()?;
        for (table, key, value) in rows {
            let database = &self.tables.databases[table as usize];
            database.put_with_flags(&mut txn, PutFlags::APPEND, key, &value)?;
        }
        txn.commit()
    }

    /// Gives it its name, and opens it once as a start does.
    pub fn finish(self, data_dir: &Path, options: &config::Store) -> Result<(), OpenError> {
        let unfinished = self.unfinished;
        self.tables
            .env
            .force_sync()
            .map_err(|source| OpenError::Lmdb { path: unfinished.clone(), source })?;
        install(self.tables, &unfinished, &data_dir.join("queue"))?;
        let folder = |source| OpenError::Folder { path: data_dir.into(), source };
        fs::remove_file(data_dir.join(RESTORING)).map_err(folder)?;
        open(data_dir, options).map(drop)
    }

    /// What was put, to be read.
    pub fn into_source(self) -> Source {
        self.tables.into()
    }

    /// Looks at what was put so far.
    pub fn look<T, E: From<heed::Error>>(
        &self,
        look: impl FnOnce(&LmdbReads<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let txn = self.tables.env.read_txn()?;
        look(&self.tables.reads(&txn))
    }
}
