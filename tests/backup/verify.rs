//! What is no good is found, and named; what is there is not overwritten.

use std::fs;

use ringmail::shell::backup;

use super::{
    backup as make, failed, files, home_with_account, settings,
    support::{
        binary::Home,
        eventually,
        sink::{Script, Sink},
        source::Load,
    },
    text,
};

/// A home with mail in its mailbox and its queue, and a backup of it.
fn home_with_backup() -> (Home, std::path::PathBuf) {
    let home = home_with_account(&settings(&Sink::down(Script::default())));
    let dir = home.beside("backup");
    let server = home.start();
    Load::new("mail", 6).run(server.smtp, 1, 900);
    eventually("delivery", || (make(&home, &dir)[0] == 6).then_some(()));
    let mut client = super::support::source::Client::connect(server.smtp);
    let reply =
        client.send("<a@b.example>", &["<c@far.example>"], b"Subject: far\r\n\r\nhello\r\n");
    assert!(reply.unwrap().starts_with("250"));
    server.stop();
    assert_eq!(make(&home, &dir)[..2], [6, 1]);
    (home, dir)
}

#[test]
fn every_flipped_octet_is_found_and_its_file_named() {
    let (home, dir) = home_with_backup();
    assert_eq!(backup::verify(&dir, &mut |told| panic!("{told}")).unwrap().faults, 0);
    assert!(files(&dir).len() > 1);
    for path in files(&dir) {
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut flipped = sound.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            let mut told = Vec::new();
            match backup::verify(&dir, &mut |sentence| told.push(sentence)) {
                Ok(verified) => assert!(verified.faults > 0, "octet {at} of {path:?}"),
                Err(error) => told.push(error.to_string()),
            }
            assert!(told.iter().any(|told| told.contains(text(&path))), "{at} {path:?} {told:?}");
        }
        for wrong in [&sound[..sound.len() - 1], &[&sound[..], b"\0"].concat(), b""] {
            fs::write(&path, wrong).unwrap();
            let verified = backup::verify(&dir, &mut drop);
            assert!(verified.is_err() || verified.unwrap().faults > 0, "{path:?}");
        }
        fs::remove_file(&path).unwrap();
        let said = failed(home.command(&["verify", text(&dir)], ""));
        assert!(said.contains("ringmail: "), "{said}");
        fs::write(&path, &sound).unwrap();
    }
    assert_eq!(backup::verify(&dir, &mut |told| panic!("{told}")).unwrap().faults, 0);
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let (home, dir) = home_with_backup();
    let again = Home::new(&settings(&Sink::down(Script::default())));
    for path in files(&dir) {
        let sound = fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 4;
        fs::write(&path, &flipped).unwrap();
        let said = failed(again.command(&["restore", text(&dir)], ""));
        assert!(said.contains(text(&path)), "{said}");
        fs::write(&path, &sound).unwrap();
    }
    // What is left of those is in nobody's way.
    super::done(again.command(&["restore", text(&dir)], ""));
    let said = failed(again.command(&["restore", text(&dir)], ""));
    assert!(said.contains("is in use already"), "{said}");
    let said = failed(home.command(&["restore", text(&dir)], ""));
    assert!(said.contains("is in use already"), "{said}");
}

#[test]
fn what_cannot_be_is_told() {
    let (home, dir) = home_with_backup();
    let empty = home.beside("empty");
    fs::create_dir(&empty).unwrap();
    let other = home.beside("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter.txt"), "hello").unwrap();
    let (deep, out) = (home.beside("no/such"), home.beside("out"));
    let unused = Home::new(&settings(&Sink::down(Script::default())));
    let bob = ["--account", "bob@rcpt.example", "--format", "mbox"];
    let eve = ["--account", "eve@rcpt.example", "--format", "mbox"];
    let exporting = |who: [&'static str; 4], more: &[&str]| -> Vec<String> {
        let words = [&["export"], &who[..], more, &[text(&out)]].concat();
        words.iter().map(|word| (*word).to_owned()).collect()
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let cases: Vec<(&Home, Vec<String>, &str)> = vec![
        (&home, words(&["backup", text(&other)]), "holds other files"),
        (&home, words(&["backup", text(&deep)]), "No such file"),
        (&unused, words(&["backup", text(&empty)]), "there is no store in"),
        (&home, words(&["verify", text(&empty)]), "holds no backup"),
        (&home, words(&["verify", text(&deep)]), "No such file"),
        (&unused, words(&["restore", text(&empty)]), "holds no backup"),
        (&home, exporting(eve, &[]), "there is no account eve@rcpt.example"),
        (&home, exporting(eve, &["--backup", text(&dir)]), "no account eve@rcpt.example"),
        (&home, exporting(bob, &["--mailbox", "Work"]), "has no mailbox Work"),
        (&home, exporting(bob, &["--backup", text(&empty)]), "holds no backup"),
    ];
    for (home, words, said) in cases {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let told = failed(home.command(&words, ""));
        assert!(told.starts_with("ringmail: ") && told.contains(said), "{words:?}: {told}");
    }
    assert!(!unused.data().join("queue").exists());
}
