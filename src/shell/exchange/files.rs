//! Which folder lies in which file or directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{ExchangeError, Format};
use crate::{
    limits::EXPORT_NAME_MAX,
    mail::{
        exchange::maildir,
        mailbox::{MailboxId, MailboxName},
    },
};

/// What an mbox file of a folder ends with.
const MBOX: &str = ".mbox";

/// The name of what a folder of an account is exported to, below the path that was named.
pub fn name(format: Format, folder: &MailboxName, id: MailboxId) -> String {
    let mut name = maildir::directory(folder);
    if name.len() > EXPORT_NAME_MAX {
        // It is ASCII: modified UTF-7.
        name.truncate(EXPORT_NAME_MAX);
        name.push_str(&format!("~{}", id.0));
    }
    match format {
        Format::Maildir => name,
        Format::Mbox if name.is_empty() => format!("{folder}{MBOX}"),
        Format::Mbox => format!("{}{MBOX}", &name[1..]),
    }
}

/// The folders that lie at `path`, with their files. Where a folder was named, all is its own.
pub fn find(
    format: Format,
    path: &Path,
    named: Option<&MailboxName>,
    warn: &mut dyn FnMut(String),
) -> Result<Vec<(MailboxName, PathBuf)>, ExchangeError> {
    let failed = |source| ExchangeError::File { path: path.into(), source };
    let is_dir = fs::metadata(path).map_err(failed)?.is_dir();
    let kind = |found, wanted| ExchangeError::Kind { path: path.into(), found, wanted };
    match (format, is_dir, named) {
        (Format::Maildir, false, _) => Err(kind("a file", "name the directory of a Maildir")),
        (Format::Mbox, true, Some(_)) => {
            Err(kind("a directory", "name one mbox file for one mailbox"))
        }
        (Format::Mbox, false, None) => Ok(vec![(MailboxName::inbox(), path.into())]),
        (_, _, Some(name)) => Ok(vec![(name.clone(), path.into())]),
        (_, true, None) => all(format, path, warn).map_err(failed),
    }
}

fn all(
    format: Format,
    path: &Path,
    warn: &mut dyn FnMut(String),
) -> std::io::Result<Vec<(MailboxName, PathBuf)>> {
    let mut found = Vec::new();
    if format == Format::Maildir && fs::exists(path.join("cur"))? {
        found.push((MailboxName::inbox(), path.to_owned()));
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_dir = entry.file_type()?.is_dir();
        let folder = match format {
            Format::Maildir if is_dir && name.starts_with('.') => maildir::folder(&name),
            Format::Mbox if !is_dir => match name.strip_suffix(MBOX) {
                Some(stem) if stem.eq_ignore_ascii_case("INBOX") => Some(MailboxName::inbox()),
                Some(stem) => maildir::folder(&format!(".{stem}")),
                None => None,
            },
            _ => continue,
        };
        match folder {
            Some(folder) => found.push((folder, entry.path())),
            None => warn(format!("{} has no name of a folder and is left", entry.path().display())),
        }
    }
    // A folder comes behind those above it.
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_leads_out_of_the_path() {
        let deep = ["\u{fc}\u{fc}\u{fc}"; 30].join("/");
        for folder in ["..", "../../etc/passwd", "a/..", ".", "INBOX/..", "a\\b", "\u{fc}/.", &deep]
        {
            let folder = MailboxName::parse(folder).unwrap();
            for format in [Format::Maildir, Format::Mbox] {
                let name = name(format, &folder, MailboxId(u64::MAX));
                assert!(!name.contains('/') && !name.is_empty() && name.len() < 255, "{name}");
                assert!(name != "." && name != "..", "{name}");
            }
        }
        let name = name(Format::Mbox, &MailboxName::inbox(), MailboxId(1));
        assert_eq!(name, "INBOX.mbox");
    }
}
