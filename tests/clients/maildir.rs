//! The Maildirs that a client keeps: what they hold, and changes by a program of the user's.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    imap::{Holding, Holdings},
    letter::Essence,
};

/// Letters of a file's name and the flags they stand for.
const LETTERS: [(char, &str); 5] = [
    ('D', "\\Draft"),
    ('F', "\\Flagged"),
    ('R', "\\Answered"),
    ('S', "\\Seen"),
    ('T', "\\Deleted"),
];

/// A message's file.
pub struct File {
    pub path: PathBuf,
    pub flags: BTreeSet<String>,
}

impl File {
    pub fn essence(&self) -> Essence {
        Essence::of(&fs::read(&self.path).unwrap())
    }

    /// Gives it these flags, as a mail reader does: by its name, in `cur`.
    pub fn set_flags(&self, flags: &BTreeSet<String>) {
        let name = self.path.file_name().unwrap().to_str().unwrap();
        let name = name.split_once(":2,").map_or(name, |(name, _)| name);
        let letters = LETTERS.iter().filter(|(_, flag)| flags.contains(*flag));
        let letters: String = letters.map(|(letter, _)| letter).collect();
        let cur = self.path.parent().unwrap().with_file_name("cur");
        fs::rename(&self.path, cur.join(format!("{name}:2,{letters}"))).unwrap();
    }
}

/// All messages of a Maildir.
pub fn files(maildir: &Path) -> Vec<File> {
    let mut files: Vec<File> = ["new", "cur"]
        .iter()
        .flat_map(|part| fs::read_dir(maildir.join(part)).unwrap())
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let letters = name.split_once(":2,").map_or("", |(_, letters)| letters);
            let flag = |letter| LETTERS.iter().find(|(known, _)| *known == letter);
            let flags = letters.chars().filter_map(flag).map(|(_, flag)| (*flag).to_owned());
            File { flags: flags.collect(), path }
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// A new message, as a delivery makes it.
pub fn add(maildir: &Path, name: &str, message: &[u8]) {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(part)).unwrap();
    }
    let written = maildir.join("tmp").join(name);
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    fs::write(&written, text).unwrap();
    fs::rename(written, maildir.join("new").join(name)).unwrap();
}

pub fn holding(maildir: &Path) -> Holding {
    files(maildir).into_iter().map(|file| (file.essence(), file.flags)).collect()
}

/// Every Maildir below a folder, by its path.
pub fn holdings(root: &Path) -> Holdings {
    let mut holdings = Holdings::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.join("cur").is_dir() {
            let name = folder.strip_prefix(root).unwrap().to_str().unwrap();
            holdings.insert(name.to_owned(), holding(&folder));
        }
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["cur", "new", "tmp"].contains(&name) {
                folders.push(path);
            }
        }
    }
    holdings
}
