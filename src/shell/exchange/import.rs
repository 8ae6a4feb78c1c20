//! `ringmail import`: reads files of other programs message by message.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::Path,
    time::UNIX_EPOCH,
};

use super::{ExchangeError, Format, Inlet, files};
use crate::{
    limits::EXPORT_PIECE,
    mail::{
        exchange::{lines::ToCrlf, maildir, mbox},
        mailbox::MailboxName,
    },
    time::Wall,
};

/// What was imported.
#[derive(Clone, Copy, Default, Debug)]
pub struct Imported {
    pub mailboxes: u64,
    pub messages: u64,
}

/// Puts what lies at `path` into an account. All of it goes into the mailbox that was `named`.
pub fn import(
    (format, path): (Format, &Path),
    named: Option<&MailboxName>,
    inlet: &mut dyn Inlet,
    warn: &mut dyn FnMut(String),
) -> Result<Imported, ExchangeError> {
    let mut imported = Imported::default();
    for (name, path) in files::find(format, path, named, warn)? {
        inlet.folder(&name)?;
        imported.mailboxes += 1;
        imported.messages += match format {
            Format::Mbox => read_mbox(&path, inlet)?,
            Format::Maildir => read_maildir(&path, inlet, warn)?,
        };
    }
    inlet.finish()?;
    if imported.mailboxes == 0 {
        return Err(no_mail(path, format));
    }
    Ok(imported)
}

fn read_mbox(path: &Path, inlet: &mut dyn Inlet) -> Result<u64, ExchangeError> {
    let mut start = Vec::new();
    let mut reader = mbox::Reader::default();
    let mut count = 0;
    let mut take = |event: mbox::Event<'_>, result: &mut Result<(), ExchangeError>| {
        if result.is_ok() {
            *result = match event {
                mbox::Event::Begin => Ok(()),
                mbox::Event::Octets(octets) => inlet.octets(octets),
                mbox::Event::End(marks) => {
                    count += 1;
                    inlet.end(marks)
                }
            };
        }
    };
    read(path, true, |piece| {
        let mut result = Ok(());
        if start.len() < FROM.len() {
            start.extend(piece.iter().take(FROM.len() - start.len()));
            if !FROM.starts_with(&start) {
                return Err(no_mail(path, Format::Mbox));
            }
        }
        reader.feed(piece, |event| take(event, &mut result));
        result
    })?
    .then_some(())
    .ok_or_else(|| no_mail(path, Format::Mbox))?;
    let mut result = Ok(());
    reader.finish(|event| take(event, &mut result));
    result.map(|()| count)
}

fn read_maildir(
    path: &Path,
    inlet: &mut dyn Inlet,
    warn: &mut dyn FnMut(String),
) -> Result<u64, ExchangeError> {
    let mut names = Vec::new();
    let mut parts = 0;
    for part in ["cur", "new"] {
        let path = path.join(part);
        let failed = |source| ExchangeError::File { path: path.clone(), source };
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        parts += 1;
        for entry in entries {
            let name: OsString = entry.map_err(failed)?.file_name();
            if !name.as_bytes().starts_with(b".") {
                names.push((maildir::marks(name.as_bytes()).received, name, part));
            }
        }
    }
    if parts == 0 {
        return Err(no_mail(path, Format::Maildir));
    }
    // In the order in which they came.
    names.sort();
    let mut count = 0;
    for (_, name, part) in &names {
        let path = path.join(part).join(name);
        let mut marks = maildir::marks(name.as_bytes());
        if marks.received.is_none() {
            marks.received = modified(&path);
        }
        let (mut to_crlf, mut out) = (ToCrlf::default(), Vec::new());
        let taken = read(&path, false, |piece| {
            out.clear();
            to_crlf.feed(piece, &mut out);
            inlet.octets(&out)
        })?;
        if !taken {
            warn(format!("{}: left out, as it is no file", path.display()));
            continue;
        }
        inlet.end(marks)?;
        count += 1;
    }
    Ok(count)
}

fn modified(path: &Path) -> Option<Wall> {
    let time = fs::metadata(path).and_then(|data| data.modified()).ok()?;
    let millis = time.duration_since(UNIX_EPOCH).ok()?.as_millis();
    u64::try_from(millis).ok().map(Wall::from_millis)
}

fn no_mail(path: &Path, format: Format) -> ExchangeError {
    let (found, wanted) = match format {
        Format::Mbox => ("no mbox", "the first line of an mbox begins with `From `"),
        Format::Maildir => ("no Maildir", "name the directory that has `cur` and `new` in it"),
    };
    ExchangeError::Kind { path: path.into(), found, wanted }
}

/// What the first line of an mbox begins with.
const FROM: &[u8] = b"From ";

/// Reads a file; false: it is something else. A link that lies in a Maildir is not `followed`: its
/// owner may have made it, and who imports may read more than its owner.
fn read(
    path: &Path,
    followed: bool,
    mut each: impl FnMut(&[u8]) -> Result<(), ExchangeError>,
) -> Result<bool, ExchangeError> {
    let failed = |source| ExchangeError::File { path: path.into(), source };
    // Without waiting for a writer, should it be a pipe.
    let flags = libc::O_NONBLOCK | if followed { 0 } else { libc::O_NOFOLLOW };
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(false);
    }
    let mut piece = vec![0; EXPORT_PIECE];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(true),
            length => each(&piece[..length])?,
        }
    }
}
