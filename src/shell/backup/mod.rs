//! Backups: a folder with what the store held at one moment, made while a server serves.
//!
//! The store is read by LMDB's own means beside the server, which has nothing to do for it.
//! Contents and bodies, which never change, go into segments, in many short snapshots; then one
//! snapshot gives all the other rows, and the few contents that came meanwhile. `docs/BACKUP.md`
//! draws the files.

mod folder;
mod make;
mod reader;
mod restore;
mod verify;
mod writer;

use std::{io, path::PathBuf};

pub use self::{
    make::{Made, make},
    restore::{Restored, Wanted, account, restore},
    verify::{Verified, verify},
};
use super::lmdb::OpenError;

/// Why something with a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path}: {source}; see its permissions, its disk and the free space there")]
    File { path: PathBuf, source: io::Error },
    #[error("the kernel gives no entropy: {0}; try again when the machine has started")]
    Entropy(io::Error),
    #[error("{path} is damaged at octet {offset}; make a new backup in another folder")]
    Damaged { path: PathBuf, offset: u64 },
    #[error(
        "{path} has a wrong length, {found} octets in place of {wanted}; it is no good any more"
    )]
    Length { path: PathBuf, found: u64, wanted: u64 },
    #[error("{path} holds no backup; name the folder that `ringmail backup` was given")]
    Absent { path: PathBuf },
    #[error("{path} holds other files; name a folder of its own for the backup")]
    Foreign { path: PathBuf },
    #[error("{path} is in use by another command; wait for its end")]
    Busy { path: PathBuf },
    #[error("{path} is of a newer version of ringmail; run that one")]
    Newer { path: PathBuf },
    #[error("{path} has a row that it cannot have, or lacks one; make a new backup")]
    Malformed { path: PathBuf },
    #[error("the store cannot be read: {0}; check the disk")]
    Store(#[from] heed::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("there is no account {0} in the backup; see who was there when it was made")]
    NoAccount(String),
}
