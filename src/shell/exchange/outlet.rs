//! Where exported messages go: an mbox file, or the directories of a Maildir.

use std::{
    fs::{self, DirBuilder, File, FileTimes, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{ExchangeError, Format};
use crate::mail::{
    exchange::{Marks, lines::ToLf, maildir, mbox},
    mailbox::Entry,
};

/// One folder that is being written.
pub enum Outlet {
    Mbox(MboxFile),
    Maildir(PathBuf),
}

pub struct MboxFile {
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
}

/// One message that is being written.
pub struct Letter<'a> {
    outlet: &'a mut Outlet,
    form: Form,
    out: Vec<u8>,
}

enum Form {
    Mbox { writer: mbox::Writer, begin: u64 },
    Maildir { file: File, name: String, to_lf: ToLf, received: SystemTime },
}

/// Makes the directory at `path`, in which nothing may be.
pub fn create_empty(path: &Path) -> Result<(), ExchangeError> {
    let failed = |source| ExchangeError::File { path: path.into(), source };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    match fs::read_dir(path).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => Err(ExchangeError::Exists { path: path.into() }),
    }
}

impl Outlet {
    pub fn create(format: Format, path: &Path) -> Result<Outlet, ExchangeError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => ExchangeError::Exists { path: path.into() },
            _ => ExchangeError::File { path: path.into(), source },
        };
        match format {
            Format::Mbox => {
                let mut options = OpenOptions::new();
                let file = options.write(true).create_new(true).mode(0o600).open(path);
                let file = BufWriter::new(file.map_err(failed)?);
                Ok(Outlet::Mbox(MboxFile { path: path.into(), file, length: 0 }))
            }
            Format::Maildir => {
                create_empty(path)?;
                for part in ["tmp", "new", "cur"] {
                    DirBuilder::new().mode(0o700).create(path.join(part)).map_err(failed)?;
                }
                Ok(Outlet::Maildir(path.into()))
            }
        }
    }

    pub fn begin(&mut self, entry: &Entry, marks: Marks) -> Result<Letter<'_>, ExchangeError> {
        let mut out = Vec::new();
        let form = match self {
            Outlet::Mbox(file) => {
                let writer = mbox::Writer::begin(marks, &mut out);
                Form::Mbox { writer, begin: file.length }
            }
            Outlet::Maildir(path) => {
                let name = maildir::file_name(entry.received, entry.content, entry.uid, &marks);
                let path = path.join("tmp").join(&name);
                let mut options = OpenOptions::new();
                let file = options.write(true).create_new(true).mode(0o600).open(&path);
                let file = file.map_err(|source| ExchangeError::File { path, source })?;
                let age = Duration::from_millis(entry.received.as_millis());
                // Later than the clock can say is now.
                let received =
                    SystemTime::UNIX_EPOCH.checked_add(age).unwrap_or_else(SystemTime::now);
                Form::Maildir { file, name, to_lf: ToLf::default(), received }
            }
        };
        Ok(Letter { outlet: self, form, out })
    }

    /// All of it is on the disk.
    pub fn finish(self) -> Result<(), ExchangeError> {
        match self {
            Outlet::Mbox(mut file) => {
                let written = file.file.flush().and_then(|()| file.file.get_ref().sync_all());
                written.map_err(|source| ExchangeError::File { path: file.path, source })
            }
            // One sync for many small files.
            Outlet::Maildir(path) => File::open(&path)
                .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
                .map_err(|source| ExchangeError::File { path, source }),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Outlet::Mbox(file) => file.path.clone(),
            Outlet::Maildir(path) => path.clone(),
        }
    }
}

impl Letter<'_> {
    pub fn feed(&mut self, octets: &[u8]) -> Result<(), ExchangeError> {
        match &mut self.form {
            Form::Mbox { writer, .. } => writer.feed(octets, &mut self.out),
            Form::Maildir { to_lf, .. } => to_lf.feed(octets, &mut self.out),
        }
        self.write().map_err(|source| self.failed(source))
    }

    pub fn finish(self) -> Result<(), ExchangeError> {
        let path = self.outlet.path();
        self.end().map_err(|source| ExchangeError::File { path, source })
    }

    fn end(self) -> io::Result<()> {
        let Letter { outlet, form, mut out } = self;
        match (form, outlet) {
            (Form::Mbox { writer, .. }, Outlet::Mbox(mbox)) => {
                writer.finish(&mut out);
                mbox.length += out.len() as u64;
                mbox.file.write_all(&out)
            }
            (Form::Maildir { mut file, name, to_lf, received }, Outlet::Maildir(path)) => {
                to_lf.finish(&mut out);
                file.write_all(&out)?;
                file.set_times(FileTimes::new().set_modified(received))?;
                fs::rename(path.join("tmp").join(&name), path.join("cur").join(&name))
            }
            _ => Ok(()),
        }
    }

    /// Takes back what was written of it.
    pub fn abandon(self) -> Result<(), ExchangeError> {
        let taken = match (&self.form, &mut *self.outlet) {
            (Form::Mbox { begin, .. }, Outlet::Mbox(file)) => {
                file.length = *begin;
                file.file.flush().and_then(|()| {
                    file.file.get_ref().set_len(*begin)?;
                    file.file.seek(SeekFrom::Start(*begin)).map(drop)
                })
            }
            (Form::Maildir { name, .. }, Outlet::Maildir(path)) => {
                fs::remove_file(path.join("tmp").join(name))
            }
            _ => Ok(()),
        };
        taken.map_err(|source| self.failed(source))
    }

    fn write(&mut self) -> io::Result<()> {
        match (&mut self.form, &mut *self.outlet) {
            (Form::Maildir { file, .. }, _) => file.write_all(&self.out)?,
            (Form::Mbox { .. }, Outlet::Mbox(file)) => {
                file.length += self.out.len() as u64;
                file.file.write_all(&self.out)?;
            }
            _ => {}
        }
        self.out.clear();
        Ok(())
    }

    fn failed(&self, source: io::Error) -> ExchangeError {
        ExchangeError::File { path: self.outlet.path(), source }
    }
}
