//! Segments that are mostly dead, or many and small, are written anew.

use std::fs;

use super::{
    add_account, backup, done, exported, files, home_with_account, octets, settings,
    support::{
        binary::{Home, Ringmail},
        eventually,
        sink::{Script, Sink},
        source::{Client, numbered},
    },
    text,
};

/// Sends a message, and waits until it has left the queue; `before` have.
fn send(server: &Ringmail, to: &str, id: &str, before: usize) {
    let reply = Client::connect(server.smtp).send("<a@b.example>", &[to], &numbered(id, 20_000));
    assert!(reply.unwrap().starts_with("250"));
    server.wait_for_log(": removed", before + 1);
}

fn of_backup(home: &Home, dir: &std::path::Path, account: &str) -> usize {
    exported(home, &["--account", account, "--mailbox", "INBOX", "--backup", text(dir)]).len()
}

#[test]
fn what_is_dead_leaves_and_what_lives_moves() {
    let home = home_with_account(&settings(&Sink::down(Script::default())));
    add_account(&home, "ann@rcpt.example");
    let dir = home.beside("backup");
    let server = home.start();
    for number in 0..30 {
        send(&server, "<bob@rcpt.example>", &format!("bob-{number}"), number);
    }
    for number in 0..3 {
        send(&server, "<ann@rcpt.example>", &format!("ann-{number}"), 30 + number);
    }
    assert_eq!(backup(&home, &dir)[..2], [33, 0]);
    let full = octets(&dir);
    done(home.command(&["account", "remove", "bob@rcpt.example"], ""));
    eventually("bob's mail is gone", || (backup(&home, &dir)[0] == 3).then_some(()));
    // The run that finds a segment dead keeps it; the next one moves what lives.
    let [contents, _, _, new, _] = backup(&home, &dir);
    assert_eq!((contents, new), (3, 0), "nothing is read from the store again");
    assert!(octets(&dir) < full / 5, "{} of {full}", octets(&dir));
    done(home.command(&["verify", text(&dir)], ""));
    assert_eq!(of_backup(&home, &dir, "ann@rcpt.example"), 3);

    // One segment for each run, until there are too many.
    for number in 3..40 {
        send(&server, "<ann@rcpt.example>", &format!("ann-{number}"), 30 + number);
        assert_eq!(backup(&home, &dir)[..2], [number as u64 + 1, 0]);
    }
    assert!(files(&dir).len() < 30, "{:?}", files(&dir));
    done(home.command(&["verify", text(&dir)], ""));
    assert_eq!(of_backup(&home, &dir, "ann@rcpt.example"), 40);
    server.stop();
}

#[test]
fn a_damaged_unit_that_is_to_move_comes_from_the_store_again() {
    let home = home_with_account(&settings(&Sink::down(Script::default())));
    let dir = home.beside("backup");
    let server = home.start();
    for number in 0..33 {
        send(&server, "<bob@rcpt.example>", &format!("bob-{number}"), number);
        assert_eq!(backup(&home, &dir)[..2], [number as u64 + 1, 0]);
    }
    // A file for each of 33 messages, which are too many: the next run moves them all.
    for path in files(&dir).iter().filter(|path| text(path).contains("segment")).take(5) {
        let mut file = fs::read(path).unwrap();
        let middle = file.len() / 2;
        file[middle] ^= 1;
        fs::write(path, file).unwrap();
    }
    let [contents, _, _, new, _] = backup(&home, &dir);
    assert_eq!((new, contents), (5, 33));
    done(home.command(&["verify", text(&dir)], ""));
    server.stop();
}
