//! Messages from files: a Message-ID of their own gives way to the run's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use memchr::memchr;

use super::{MailError, wire};

/// No more mail is held in memory.
pub(super) const OCTETS_MAX: u64 = 1024 * 1024 * 1024;

/// The messages of a file, or of the `.eml` files of a folder in the order of their names.
pub(super) fn read(path: &Path) -> Result<Vec<Vec<u8>>, MailError> {
    let unreadable = |error| MailError::Unreadable { path: path.into(), error };
    let mut files = Vec::new();
    if fs::metadata(path).map_err(unreadable)?.is_dir() {
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "eml") {
                files.push(file);
            }
        }
        files.sort();
    } else {
        files.push(PathBuf::from(path));
    }
    let mut messages = Vec::with_capacity(files.len());
    let mut octets = 0;
    for file in files {
        let read = |error| MailError::Unreadable { path: file.clone(), error };
        octets += fs::metadata(&file).map_err(read)?.len();
        if octets > OCTETS_MAX {
            return Err(MailError::TooMuch(path.into()));
        }
        messages.push(without_id(wire::normalised(&fs::read(&file).map_err(read)?)));
    }
    if messages.is_empty() {
        return Err(MailError::Empty(path.into()));
    }
    Ok(messages)
}

/// Leaves out the Message-ID fields, and the line that mailbox files put before a message.
fn without_id(message: Vec<u8>) -> Vec<u8> {
    let mut kept = Vec::with_capacity(message.len());
    let mut rest = &message[..];
    let mut leaves_out = false;
    while !rest.is_empty() && !rest.starts_with(b"\r\n") {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            leaves_out =
                is_named(line, b"message-id") || (kept.is_empty() && line.starts_with(b"From "));
        }
        if !leaves_out {
            kept.extend_from_slice(line);
        }
        rest = after;
    }
    kept.extend_from_slice(rest);
    kept
}

fn is_named(line: &[u8], name: &[u8]) -> bool {
    let Some(colon) = memchr(b':', line) else { return false };
    line[..colon].trim_ascii_end().eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_message_id_of_the_header_goes() {
        let cases = [
            ("Message-ID: <a@b>\r\nA: b\r\n\r\nMessage-ID: c\r\n", "A: b\r\n\r\nMessage-ID: c\r\n"),
            ("A: b\r\nmessage-id :\r\n <a@b>\r\nC: d\r\n\r\nx\r\n", "A: b\r\nC: d\r\n\r\nx\r\n"),
            ("From a Mon\r\nA: b\r\n c\r\n\r\n", "A: b\r\n c\r\n\r\n"),
            ("A: b\r\n", "A: b\r\n"),
            ("\r\nbody\r\n", "\r\nbody\r\n"),
        ];
        for (message, expected) in cases {
            let kept = without_id(message.into());
            assert_eq!(String::from_utf8(kept).unwrap(), expected);
        }
    }

    #[test]
    fn a_folder_gives_its_eml_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.eml", "B: 1\n\nb"), ("a.eml", "A: 1\n\na"), ("c.txt", "no")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let messages = read(folder.path()).unwrap();
        assert_eq!(messages, [b"A: 1\r\n\r\na\r\n".to_vec(), b"B: 1\r\n\r\nb\r\n".to_vec()]);
        assert_eq!(read(&folder.path().join("a.eml")).unwrap().len(), 1);
        fs::remove_file(folder.path().join("a.eml")).unwrap();
        fs::remove_file(folder.path().join("b.eml")).unwrap();
        assert!(matches!(read(folder.path()), Err(MailError::Empty(_))));
        assert!(matches!(read(Path::new("/none")), Err(MailError::Unreadable { .. })));
    }
}
