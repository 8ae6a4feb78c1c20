//! Mailboxes to and from the files of other programs: mbox and Maildir.

mod export;
mod files;
mod import;
mod inlet;
mod outlet;

use std::{io, path::PathBuf};

pub use self::{
    export::{Exported, export},
    import::{Imported, import},
    inlet::{Importer, Inlet},
};
use super::backup::BackupError;
use crate::{
    mail::mailbox::{MailboxName, Refusal},
    store::StoreError,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Maildir,
    Mbox,
}

/// Why mail could not be exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("{path}: {source}; see its permissions, its disk and the free space there")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is there already; name a path that is not")]
    Exists { path: PathBuf },
    #[error("{path} is {found}; {wanted}")]
    Kind { path: PathBuf, found: &'static str, wanted: &'static str },
    #[error("there is no account {0}; see `ringmail account list`")]
    NoAccount(String),
    #[error("the account has no mailbox {0}; leave --mailbox out to export all of them")]
    NoMailbox(String),
    #[error("{mailbox}: {refusal}; what was imported before stays")]
    Refused { mailbox: MailboxName, refusal: Refusal },
    #[error("the store cannot be read: {0}; check the disk")]
    Read(#[from] heed::Error),
    #[error("the store cannot be read; it says why above")]
    Damaged,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("the server broke off the import: {0}; see its log, what was imported before stays")]
    Server(io::Error),
    #[error("{0}")]
    Answered(String),
}
