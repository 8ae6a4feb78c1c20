//! mbsync: two sides, changed apart and brought together.

use std::{collections::BTreeSet, path::PathBuf, thread};

use super::{
    chance::{Chance, FOLDERS, rounds},
    imap::{Holdings, Imap},
    letter::{letter, long_letter},
    maildir::{self, File},
    program::Program,
    site::Site,
    support::{PATIENCE, eventually_within},
};

const ARGUMENTS: [&str; 4] = ["-V", "-c", "mbsyncrc", "all"];

struct Mbsync<'a> {
    program: Program,
    site: &'a Site,
}

impl<'a> Mbsync<'a> {
    fn new(site: &'a Site) -> Self {
        let (host, port) = (site.imap.ip(), site.imap.port());
        let folder = site.folder().display();
        let text = format!(
            "IMAPAccount ringmail\nHost {host}\nPort {port}\nUser {}\nPass {}\n\
             SSLType None\nAuthMechs LOGIN\n\n\
             IMAPStore remote\nAccount ringmail\n\n\
             MaildirStore local\nPath {folder}/mail/\nInbox {folder}/mail/INBOX\n\
             SubFolders Verbatim\n\n\
             Channel all\nFar :remote:\nNear :local:\nPatterns *\nSync All\n\
             Create Both\nRemove Both\nExpunge Both\nCopyArrivalDate yes\nSyncState *\n",
            site.user, site.password
        );
        site.write("mbsyncrc", text);
        std::fs::create_dir_all(site.folder().join("mail")).unwrap();
        Self { program: Program::find("mbsync", "isync", site.folder()), site }
    }

    fn mail(&self, folder: &str) -> PathBuf {
        self.site.folder().join("mail").join(folder)
    }

    fn run(&self) {
        self.program.must(&ARGUMENTS);
    }

    fn near(&self) -> Holdings {
        maildir::holdings(&self.mail(""))
    }

    fn far(&self) -> Holdings {
        Imap::login(self.site).holdings()
    }

    /// One run that must bring both sides together: what they both hold.
    fn agree(&self, after: &str) -> Holdings {
        self.run();
        let (near, far) = (self.near(), self.far());
        assert_eq!(near, far, "the near and the far side after {after}");
        near
    }

    fn file(&self, folder: &str, id: &str) -> File {
        let mut files = maildir::files(&self.mail(folder)).into_iter();
        files.find(|file| file.essence().id == id).unwrap_or_else(|| panic!("no {id} in {folder}"))
    }
}

fn flags(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The ids and flags of one folder.
fn summary(holdings: &Holdings, folder: &str) -> Vec<(String, String)> {
    let holding = holdings.get(folder).unwrap_or_else(|| panic!("no {folder}: {holdings:?}"));
    let line = |flags: &BTreeSet<String>| flags.iter().cloned().collect::<Vec<_>>().join(" ");
    holding.iter().map(|(essence, flags)| (essence.id.clone(), line(flags))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, flags)| ((*id).to_owned(), (*flags).to_owned())).collect()
}

#[test]
fn changes_go_both_ways() {
    let site = Site::start();
    let mbsync = Mbsync::new(&site);
    let mut imap = Imap::login(&site);
    site.deliver(&letter("delivered", &["Grüße", ".a dot", "", "the end"]));
    imap.append("INBOX", "\\Seen \\Flagged", &long_letter("long", 300_000));
    imap.ask("CREATE \"far away/deep\"");
    imap.append("far away/deep", "\\Draft", &letter("draft", &[]));

    // Everything there comes here.
    let holdings = mbsync.agree("the first run");
    let inbox = [("delivered", ""), ("long", "\\Flagged \\Seen")];
    assert_eq!(summary(&holdings, "INBOX"), pairs(&inbox));
    assert_eq!(summary(&holdings, "far away/deep"), pairs(&[("draft", "\\Draft")]));

    // A second run finds nothing to do.
    let told = |imap: &mut Imap| {
        let status = imap.ask("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)");
        status.into_iter().map(|response| response.text).collect::<Vec<_>>()
    };
    let before = told(&mut imap);
    let names = |folder: &str| -> Vec<PathBuf> {
        maildir::files(&mbsync.mail(folder)).into_iter().map(|file| file.path).collect()
    };
    let paths = names("INBOX");
    assert_eq!(mbsync.agree("a run with nothing to do"), holdings);
    assert_eq!((told(&mut imap), names("INBOX")), (before, paths));

    // What is changed here goes there: a message, flags, a deletion, a folder.
    maildir::add(&mbsync.mail("INBOX"), "1.here.example", &letter("here", &["grün", "."]));
    // A server may make the folder above with it.
    maildir::add(&mbsync.mail("near"), "3.here.example", &letter("near", &[]));
    maildir::add(&mbsync.mail("near/by"), "2.here.example", &long_letter("by", 100_000));
    mbsync.file("INBOX", "delivered").set_flags(&flags(&["\\Answered", "\\Seen"]));
    mbsync.file("INBOX", "long").set_flags(&flags(&["\\Deleted"]));
    let holdings = mbsync.agree("changes here");
    let inbox = [("delivered", "\\Answered \\Seen"), ("here", "")];
    assert_eq!(summary(&holdings, "INBOX"), pairs(&inbox));
    assert_eq!(summary(&holdings, "near/by"), pairs(&[("by", "")]));

    // And what is changed there comes here.
    imap.ask("SELECT INBOX");
    imap.ask("STORE 1 FLAGS.SILENT (\\Flagged)");
    imap.ask("STORE 2 +FLAGS.SILENT (\\Deleted)");
    imap.ask("EXPUNGE");
    imap.ask("CREATE later");
    imap.ask("COPY 1 later");
    let holdings = mbsync.agree("changes there");
    assert_eq!(summary(&holdings, "INBOX"), pairs(&[("delivered", "\\Flagged")]));
    assert_eq!(summary(&holdings, "later"), pairs(&[("delivered", "\\Flagged")]));
}

#[test]
fn rounds_of_changes_on_both_sides() {
    let site = Site::start();
    let mbsync = Mbsync::new(&site);
    let mut imap = Imap::login(&site);
    for folder in &FOLDERS[1..] {
        imap.ask(&format!("CREATE {folder}"));
    }
    mbsync.agree("the first run");
    let mut chance = Chance::new();
    for round in 1..=rounds() {
        chance.change_maildirs(&mbsync.mail(""));
        chance.change_folders(&mut imap);
        mbsync.agree(&format!("round {round} of seed {}", chance.seed));
    }
    let left: usize = mbsync.near().values().map(BTreeSet::len).sum();
    assert!(left > 10, "{left} messages are no proof");
}

#[test]
fn a_folder_of_many_messages() {
    let site = Site::start();
    let mbsync = Mbsync::new(&site);
    let mut imap = Imap::login(&site);
    let letters: Vec<Vec<u8>> =
        (0..MANY).map(|number| long_letter(&format!("letter-{number}"), number % 1_000)).collect();
    imap.append_all("INBOX", &letters);
    assert_eq!(mbsync.agree("the first run")["INBOX"].len(), MANY);
    imap.ask("SELECT INBOX");
    let every = |step: usize| -> String {
        let numbers: Vec<String> = (1..=MANY).step_by(step).map(|n| n.to_string()).collect();
        numbers.join(",")
    };
    imap.ask(&format!("STORE {} +FLAGS.SILENT (\\Flagged)", every(3)));
    imap.ask("STORE 1:* +FLAGS.SILENT (\\Seen)");
    imap.ask(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", every(7)));
    imap.ask("EXPUNGE");
    for file in maildir::files(&mbsync.mail("INBOX")).into_iter().step_by(2) {
        std::fs::remove_file(file.path).unwrap();
    }
    let left = mbsync.agree("many changes")["INBOX"].len();
    assert!((MANY / 3..MANY / 2).contains(&left), "{left} messages are left");
}

/// More than a server that looks at messages by pages takes in one.
const MANY: usize = 1_200;

#[test]
fn changes_while_it_runs() {
    let site = Site::start();
    let mbsync = Mbsync::new(&site);
    let mut imap = Imap::login(&site);
    for folder in &FOLDERS[1..] {
        imap.ask(&format!("CREATE {folder}"));
    }
    mbsync.run();
    let mut chance = Chance::new();
    thread::scope(|scope| {
        let user = scope.spawn(|| {
            for _ in 0..2 * rounds() {
                chance.change_folders(&mut imap);
            }
        });
        while !user.is_finished() {
            // It may say that a message went away under its hands.
            mbsync.program.run(&ARGUMENTS);
        }
    });
    mbsync.agree(&format!("changes while it ran, of seed {}", chance.seed));
}

#[test]
fn the_server_is_killed_while_it_runs() {
    let site = Site::start();
    let mbsync = Mbsync::new(&site);
    let mut imap = Imap::login(&site);
    for folder in &FOLDERS[1..] {
        imap.ask(&format!("CREATE {folder}"));
    }
    mbsync.run();
    let mut chance = Chance::new();
    for round in 1..=rounds() {
        chance.change_maildirs(&mbsync.mail(""));
        chance.change_folders(&mut Imap::login(&site));
        let last = site.lines() + chance.below(200);
        let mut running = mbsync.program.start(&ARGUMENTS);
        eventually_within(PATIENCE * 4, "the moment of the crash", || {
            (site.lines() >= last || running.has_ended()).then_some(())
        });
        site.crash();
        running.wait();
        mbsync.agree(&format!("crash {round} of seed {}", chance.seed));
    }
}

/// RFC 9051 §2.3.1.1: by its UIDVALIDITY a client knows that the messages it knew are gone.
#[test]
fn a_new_disk_is_not_taken_for_the_old_one() {
    let site = Site::start();
    let mbsync = Mbsync::new(&site);
    for id in ["1", "2", "3"] {
        site.deliver(&letter(id, &[]));
    }
    let before = mbsync.agree("the first run")["INBOX"].clone();
    if site.lose_the_disk() {
        site.deliver(&letter("new", &[]));
        let run = mbsync.program.run(&ARGUMENTS);
        run.assert(!run.status.success(), "it took the new folder for the old one");
        assert_eq!(mbsync.near()["INBOX"], before, "the only copies that are left");
    }
}
