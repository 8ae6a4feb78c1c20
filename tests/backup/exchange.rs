//! Mail as files: out of a store, a running one or a backup, and in again, the same.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    Exported, add_account, backup, done, failed, home_with_account, read_maildir, settings,
    support::{
        binary::Home,
        sink::{Script, Sink},
    },
    text,
};

/// Messages with the flags and the time that their files tell.
fn messages() -> Vec<Exported> {
    let long: String = (0..40_000).map(|line| format!("Line {line} of a long one.\n")).collect();
    let texts: Vec<Vec<u8>> = vec![
        b"Subject: plain\n\nhello\n".to_vec(),
        b"Subject: quoted\n\nFrom here on\n>From there\n.\n..\n\n\nFrom \n".to_vec(),
        b"Subject: eight bits\n\n\xff\xfe\x00\x80\n".to_vec(),
        b"Subject: no body\n\n".to_vec(),
        format!("Subject: long\n\n{long}").into_bytes(),
    ];
    let flags = ["", "S", "FS", "DRT", "PRS"];
    let message = |(at, octets): (usize, Vec<u8>)| Exported {
        seconds: 1_700_000_000 + 86_400 * at as u64,
        flags: flags[at % flags.len()].into(),
        octets,
    };
    texts.into_iter().enumerate().map(message).collect()
}

fn write_maildir(path: &Path, messages: &[Exported]) {
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(path.join(part)).unwrap();
    }
    for (at, message) in messages.iter().enumerate() {
        let name = format!("{}.{at}.test:2,{}", message.seconds, message.flags);
        fs::write(path.join("cur").join(name), &message.octets).unwrap();
    }
}

/// The folders of a Maildir that hold something: an account has some from its beginning.
fn tree(path: &Path) -> BTreeMap<String, Vec<Exported>> {
    let mut tree = BTreeMap::from([(String::new(), read_maildir(path))]);
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with('.') {
            tree.insert(name, read_maildir(&entry.path()));
        }
    }
    tree.retain(|_, messages| !messages.is_empty());
    tree
}

fn run(home: &Home, words: &[&str]) -> String {
    done(home.command(words, ""))
}

fn round_trip(home: &Home) {
    let first = home.beside("first");
    write_maildir(&first, &messages());
    write_maildir(&first.join(".Entw&APw-rfe.v1\\2e2"), &messages()[..2]);
    write_maildir(&first.join(".Empty"), &[]);
    let want = tree(&first);
    let ann = ["--account", "ann@rcpt.example"];
    let bob = ["--account", "Bob@rcpt.example"];
    let maildir = ["--format", "maildir"];
    let mbox = ["--format", "mbox"];

    let said = run(home, &[&["import"], &ann[..], &maildir, &[text(&first)]].concat());
    assert_eq!(said, "ann@rcpt.example: 7 messages in 3 mailboxes\n");
    let second = home.beside("second");
    run(home, &[&["export"], &ann[..], &maildir, &[text(&second)]].concat());
    assert_eq!(tree(&second), want);
    assert!(second.join(".Empty/cur").exists());

    // The same by way of mbox, to another account.
    let third = home.beside("third");
    run(home, &[&["export"], &ann[..], &mbox, &[text(&third)]].concat());
    assert!(third.join("Entw&APw-rfe.v1\\2e2.mbox").exists());
    run(home, &[&["import"], &bob[..], &mbox, &[text(&third)]].concat());
    let fourth = home.beside("fourth");
    run(home, &[&["export"], &bob[..], &maildir, &[text(&fourth)]].concat());
    assert_eq!(tree(&fourth), want);

    // Out of a backup, whole or one mailbox.
    let dir = home.beside("backup");
    backup(home, &dir);
    let fifth = home.beside("fifth");
    let from = ["--backup", text(&dir)];
    run(home, &[&["export"], &ann[..], &maildir, &from, &[text(&fifth)]].concat());
    assert_eq!(tree(&fifth), want);
    let one = ["--mailbox", "Entw\u{fc}rfe/v1.2"];
    let sixth = home.beside("sixth.mbox");
    run(home, &[&["export"], &bob[..], &mbox, &one, &from, &[text(&sixth)]].concat());
    let more = ["--mailbox", "inbox"];
    run(home, &[&["import"], &ann[..], &mbox, &more, &[text(&sixth)]].concat());
    let seventh = home.beside("seventh");
    run(home, &[&["export"], &ann[..], &maildir, &more, &[text(&seventh)]].concat());
    let mut both = [messages(), messages()[..2].to_vec()].concat();
    both.sort();
    assert_eq!(read_maildir(&seventh), both);

    // Nothing is overwritten, and nothing stays beside it.
    for path in [&second, &third, &sixth] {
        let words = [&["export"], &ann[..], &mbox, &one, &[text(path)]].concat();
        let said = failed(home.command(&words, ""));
        assert!(said.contains("is there already"), "{said}");
    }
    let said = failed(home.command(
        &[&["import"][..], &["--account", "eve@rcpt.example"], &mbox, &[text(&sixth)]].concat(),
        "",
    ));
    assert!(said.contains("there is no account eve@rcpt.example"), "{said}");
    let beside = super::files(fifth.parent().unwrap());
    assert!(!beside.iter().any(|path| text(path).ends_with(".part")), "{beside:?}");
}

fn home() -> Home {
    let home = home_with_account(&settings(&Sink::down(Script::default())));
    add_account(&home, "ann@rcpt.example");
    home
}

#[test]
fn a_round_trip_without_a_server() {
    round_trip(&home());
}

#[test]
fn a_round_trip_beside_a_server() {
    let home = home();
    let server = home.start();
    round_trip(&home);
    server.stop();
}

#[test]
fn an_import_over_the_quota_says_so() {
    let home = home();
    run(&home, &["account", "quota", "ann@rcpt.example", "100KiB"]);
    let path = home.beside("mail");
    write_maildir(&path, &messages());
    let words = ["import", "--account", "ann@rcpt.example", "--format", "maildir", text(&path)];
    for with_server in [false, true] {
        let server = with_server.then(|| home.start());
        let said = failed(home.command(&words, ""));
        assert!(said.contains("INBOX: the account has no room for it"), "{said}");
        server.into_iter().for_each(|server| server.stop());
    }
}

/// What is no mail is told, and what a Maildir's owner laid there to read other files is left out.
#[test]
fn what_is_no_mail_is_not_imported() {
    let home = home();
    let import = |format: &str, path: &Path| {
        let words = ["import", "--account", "ann@rcpt.example", "--format", format, text(path)];
        home.command(&words, "")
    };
    let garbage = home.beside("garbage");
    fs::write(&garbage, "Subject: no mbox\n\nFrom b@x.example Thu Jan  1 00:00:00 1970\n").unwrap();
    let said = failed(import("mbox", &garbage));
    assert!(said.contains("no mbox; the first line of an mbox begins with"), "{said}");
    let empty = home.beside("empty");
    fs::create_dir(&empty).unwrap();
    let said = failed(import("maildir", &empty));
    assert!(said.contains("no Maildir; name the directory that has"), "{said}");
    let mail = home.beside("mail");
    write_maildir(&mail, &messages()[..1]);
    std::os::unix::fs::symlink(&garbage, mail.join("new/link")).unwrap();
    fs::create_dir(mail.join("new/folder")).unwrap();
    let output = import("maildir", &mail);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(done(output).contains(": 1 messages in 1 mailboxes"));
    assert_eq!(told.matches("left out, as it is no file").count(), 2, "{told}");
}
