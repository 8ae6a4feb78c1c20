//! The folder of a backup: its lock, and the names of its files.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    BackupError,
    reader::{Blocks, Manifest},
};
use crate::store::backup::MANIFEST;

/// A folder, locked as long as this value lives.
pub struct Folder {
    path: PathBuf,
    dir: File,
}

/// A manifest that is being written.
const NEW_MANIFEST: &str = "manifest.new";

/// The index of a run that is under way.
const NEW_INDEX: &str = "index.new";

impl Folder {
    /// For a run: it is made where it is missing.
    pub fn to_write(path: &Path) -> Result<Folder, BackupError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(BackupError::File { path: path.into(), source });
            }
            _ => {}
        }
        let folder = Folder::locked(path, FlockOperation::NonBlockingLockExclusive)?;
        match folder.others()? {
            true => Err(BackupError::Foreign { path: path.into() }),
            false => Ok(folder),
        }
    }

    pub fn to_read(path: &Path) -> Result<(Folder, Manifest), BackupError> {
        let folder = Folder::locked(path, FlockOperation::NonBlockingLockShared)?;
        let manifest = folder.manifest()?;
        let manifest = manifest.ok_or_else(|| BackupError::Absent { path: path.into() })?;
        Ok((folder, manifest))
    }

    fn locked(path: &Path, lock: FlockOperation) -> Result<Folder, BackupError> {
        let file = |source| BackupError::File { path: path.into(), source };
        let dir = File::open(path).map_err(file)?;
        match flock(&dir, lock) {
            Ok(()) => Ok(Folder { path: path.into(), dir }),
            Err(Errno::WOULDBLOCK) => Err(BackupError::Busy { path: path.into() }),
            Err(errno) => Err(file(errno.into())),
        }
    }

    /// What the last run that came to its end has left.
    pub fn manifest(&self) -> Result<Option<Manifest>, BackupError> {
        let path = self.file(MANIFEST);
        match fs::exists(&path) {
            Ok(true) => Manifest::read(self).map(Some),
            Ok(false) => Ok(None),
            Err(source) => Err(BackupError::File { path, source }),
        }
    }

    /// The blocks of a file.
    pub fn blocks(&self, number: u32) -> Result<Blocks, BackupError> {
        Blocks::open(self.file(number), number)
    }

    pub fn file(&self, number: u32) -> PathBuf {
        match number {
            MANIFEST => self.path.join("manifest"),
            number => self.path.join(format!("segment-{number:08}")),
        }
    }

    pub fn new_manifest(&self) -> PathBuf {
        self.path.join(NEW_MANIFEST)
    }

    pub fn new_index(&self) -> PathBuf {
        self.path.join(NEW_INDEX)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the new manifest its name: from now on it is the backup.
    pub fn install(&self) -> Result<(), BackupError> {
        let path = self.new_manifest();
        // The segments' names must be on the disk before the manifest's.
        self.dir
            .sync_all()
            .and_then(|()| fs::rename(&path, self.file(MANIFEST)))
            .and_then(|()| self.dir.sync_all())
            .map_err(|source| BackupError::File { path, source })
    }

    /// Deletes files of ours that `is_needed` does not need.
    pub fn clear(&self, is_needed: impl Fn(u32) -> bool) -> Result<(), BackupError> {
        let file = |source| BackupError::File { path: self.path.clone(), source };
        for entry in fs::read_dir(&self.path).map_err(file)? {
            let entry = entry.map_err(file)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_over = match segment(&name) {
                Some(number) => !is_needed(number),
                None => name == NEW_INDEX || name == NEW_MANIFEST,
            };
            if is_over {
                fs::remove_file(entry.path()).map_err(file)?;
            }
        }
        Ok(())
    }

    /// Whether files are here that no backup has.
    fn others(&self) -> Result<bool, BackupError> {
        let file = |source| BackupError::File { path: self.path.clone(), source };
        for entry in fs::read_dir(&self.path).map_err(file)? {
            let name = entry.map_err(file)?.file_name();
            let name = name.to_string_lossy();
            let is_ours = [NEW_INDEX, NEW_MANIFEST, "manifest"].contains(&&*name);
            if !is_ours && segment(&name).is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The number in a segment's name.
fn segment(name: &str) -> Option<u32> {
    name.strip_prefix("segment-")?.parse().ok()
}
