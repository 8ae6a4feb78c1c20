//! Backups with the real binary: made under load, cut off, damaged, restored, taken apart.

mod exchange;
mod kills;
mod load;
mod moving;
mod rate;
mod verify;

// Other tests stand on the same and use other parts of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::Output,
};

use support::{
    binary::{Home, Settings},
    sink::Sink,
    source::is_whole,
};

/// A home whose accounts are of `rcpt.example`; all other mail goes to a sink.
fn settings(sink: &Sink) -> Settings {
    let mut settings = Settings::route(&[sink.address]);
    settings.more.push_str(
        "[[listener]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:0\"\n\
         [local]\ndomains = [\"rcpt.example\"]\n",
    );
    settings
}

/// A home with an account, on the settings of others.
fn home_with_account(settings: &Settings) -> Home {
    let home = Home::new(settings);
    add_account(&home, "bob@rcpt.example");
    home
}

fn add_account(home: &Home, address: &str) {
    done(home.command(&["account", "add", address, "--password-stdin"], "secret\n"));
}

/// What a command has said that must have done its work.
fn done(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What a command has said that must have failed.
fn failed(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Contents, bodies and new octets, as `ringmail backup` tells them.
fn backup(home: &Home, dir: &Path) -> [u64; 5] {
    let said = done(home.command(&["backup", text(dir)], ""));
    let (_, counts) = said.split_once(": ").unwrap();
    let numbers = counts.split_whitespace().filter_map(|word| word.parse().ok());
    numbers.collect::<Vec<u64>>().try_into().unwrap_or_else(|_| panic!("{said}"))
}

/// Exports an account's INBOX as a Maildir that is read and deleted again.
fn exported(home: &Home, words: &[&str]) -> Vec<Exported> {
    let path = home.beside("exported");
    let command = [&["export", "--format", "maildir"], words, &[text(&path)]].concat();
    done(home.command(&command, ""));
    let found = read_maildir(&path);
    fs::remove_dir_all(&path).unwrap();
    found
}

/// A message of a Maildir.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Exported {
    seconds: u64,
    flags: String,
    octets: Vec<u8>,
}

/// Short, whatever its length.
impl fmt::Debug for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exported { seconds, flags, octets } = self;
        let last = &octets[octets.len().saturating_sub(60)..];
        write!(f, "{seconds} {flags:?} {} octets, last {}", octets.len(), last.escape_ascii())
    }
}

fn read_maildir(path: &Path) -> Vec<Exported> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path.join("cur")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let (seconds, _) = name.split_once('.').unwrap();
        let (_, flags) = name.rsplit_once(',').unwrap();
        let octets = fs::read(entry.path()).unwrap();
        found.push(Exported { seconds: seconds.parse().unwrap(), flags: flags.into(), octets });
    }
    found.sort();
    found
}

/// How often each test message is there; every octet of them is looked at.
fn ids(messages: &[Exported]) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for message in messages {
        let text = String::from_utf8(message.octets.clone()).unwrap();
        let at = text.find("X-Test-Id: ").unwrap();
        assert!(is_whole(text[at..].replace('\n', "\r\n").as_bytes()), "{text}");
        let id = text[at..].lines().next().unwrap().trim_start_matches("X-Test-Id: ");
        *ids.entry(id.to_owned()).or_default() += 1;
    }
    ids
}

/// The files of a backup in the order of their names.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn octets(dir: &Path) -> u64 {
    files(dir).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}
