//! What happens to the names of an account, as transcripts.

use super::{Bench, name};
use crate::mail::mailbox::{AccountId, Act, Ask, Done, Found, Refusal, SpecialUse};

/// Does one line: `+` creates, `-` deletes, `>` renames, `*` subscribes, `/` unsubscribes.
fn step(bench: &mut Bench, account: AccountId, line: &str) -> Result<(), Refusal> {
    let (verb, rest) = line.split_at(1);
    let first = name(rest.split(' ').next().unwrap());
    let act = match verb {
        "+" => Act::Create { account, name: first, special_use: None },
        "-" => Act::Delete { account, name: first },
        ">" => Act::Rename { account, from: first, to: name(rest.split(' ').nth(1).unwrap()) },
        "*" | "/" => Act::Subscribe { account, name: first, on: verb == "*" },
        other => panic!("{other}"),
    };
    let done = bench.act(&act);
    bench.map.audit();
    match done {
        Done::Done => Ok(()),
        Done::Refused(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

/// The names besides those that every account has: `(x)` is no mailbox, `x*` is subscribed.
fn names(bench: &Bench, account: AccountId) -> String {
    let ask = Ask::Folders { account, after: None, standing: true };
    let Found::Folders { folders, more: false } = bench.ask(&ask) else { panic!("{ask:?}") };
    let first = ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"];
    let others = folders.iter().filter(|folder| {
        assert_eq!(folder.standing.is_some(), folder.mailbox.is_some());
        !first.contains(&folder.name.as_str())
    });
    let shown = others.map(|folder| {
        let subscribed = if folder.subscribed { "*" } else { "" };
        match folder.mailbox {
            Some(_) => format!("{}{subscribed}", folder.name),
            None => format!("({}){subscribed}", folder.name),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn names_come_and_go() {
    use Refusal::*;
    // Lines with a refusal change nothing.
    for transcript in [
        &[
            ("+a/b/c", Ok(()), "a a/b a/b/c"),
            ("+a/b", Err(Exists), "a a/b a/b/c"),
            ("-a/b", Ok(()), "a (a/b) a/b/c"),
            ("-a/b", Err(HasChildren), "a (a/b) a/b/c"),
            ("+a/b", Ok(()), "a a/b a/b/c"),
            ("-a/b", Ok(()), "a (a/b) a/b/c"),
            ("-a/b/c", Ok(()), "a"),
            ("-a/b/c", Err(NoMailbox), "a"),
        ][..],
        &[
            ("+inbox", Err(Inbox), ""),
            ("-INBOX", Err(Inbox), ""),
            ("+INBOX/x", Ok(()), "INBOX/x"),
            (">Sent INBOX", Err(Inbox), "INBOX/x"),
            (">INBOX old/mail", Ok(()), "INBOX/x old old/mail"),
            (">INBOX old", Err(Exists), "INBOX/x old old/mail"),
        ],
        &[
            ("+a/b", Ok(()), "a a/b"),
            ("+ab", Ok(()), "a a/b ab"),
            (">a x/y", Ok(()), "ab x x/y x/y/b"),
            (">x x/z", Err(Name), "ab x x/y x/y/b"),
            (">x x", Err(Exists), "ab x x/y x/y/b"),
            (">x ab", Err(Exists), "ab x x/y x/y/b"),
            (">q r", Err(NoMailbox), "ab x x/y x/y/b"),
            ("-x/y", Ok(()), "ab x (x/y) x/y/b"),
            (">x/y/b b", Ok(()), "ab b x"),
            ("+x/b", Ok(()), "ab b x x/b"),
            ("-x", Ok(()), "ab b (x) x/b"),
            (">x b/c", Ok(()), "ab b (b/c) b/c/b"),
        ],
        &[
            ("*n", Ok(()), "(n)*"),
            ("-n", Err(NoMailbox), "(n)*"),
            ("+n", Ok(()), "n*"),
            ("-n", Ok(()), "(n)*"),
            ("/n", Ok(()), ""),
            ("/n", Ok(()), ""),
            ("+m", Ok(()), "m"),
            (">m n", Ok(()), "n"),
            ("*m", Ok(()), "(m)* n"),
            (">n m", Ok(()), "m*"),
        ],
        &[
            ("+x/y/y", Ok(()), "x x/y x/y/y"),
            ("-x", Ok(()), "(x) x/y x/y/y"),
            (">x/y x", Ok(()), "x x/y"),
        ],
    ] {
        let (mut bench, account) = Bench::with_account();
        for (line, result, left) in transcript {
            assert_eq!(step(&mut bench, account, line), *result, "{line}");
            assert_eq!(names(&bench, account), *left, "{line}");
        }
    }
}

#[test]
fn an_account_begins_with_the_usual_folders() {
    let (bench, account) = Bench::with_account();
    let ask = Ask::Folders { account, after: None, standing: false };
    let Found::Folders { folders, .. } = bench.ask(&ask) else { panic!("{ask:?}") };
    let found: Vec<_> =
        folders.iter().map(|one| (one.name.as_str(), one.special_use, one.subscribed)).collect();
    let expected = [
        ("Archive", Some(SpecialUse::Archive), true),
        ("Drafts", Some(SpecialUse::Drafts), true),
        ("INBOX", None, true),
        ("Junk", Some(SpecialUse::Junk), true),
        ("Sent", Some(SpecialUse::Sent), true),
        ("Trash", Some(SpecialUse::Trash), true),
    ];
    assert_eq!(found, expected);
}

#[test]
fn inbox_takes_its_messages_to_its_new_name_and_gets_new_ones() {
    let (mut bench, account) = Bench::with_account();
    bench.fill(account, "INBOX", 3);
    let was = bench.open(account, "INBOX").unwrap().standing;
    assert_eq!(step(&mut bench, account, ">INBOX 2025"), Ok(()));
    let moved = bench.open(account, "2025").unwrap().standing;
    let inbox = bench.open(account, "INBOX").unwrap().standing;
    assert_eq!(moved, was);
    assert_eq!(inbox.messages, 0);
    assert_ne!(inbox.uid_validity, was.uid_validity);
    bench.fill(account, "INBOX", 1);
    assert_eq!(bench.open(account, "INBOX").unwrap().standing.messages, 1);
}

#[test]
fn long_lists_come_in_pages() {
    let (mut bench, account) = Bench::with_account();
    for number in 0..600 {
        let on = Act::Subscribe { account, name: name(&format!("n{number:03}")), on: true };
        assert_eq!(bench.act(&on), Done::Done);
    }
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let ask = Ask::Folders { account, after, standing: true };
        let Found::Folders { folders, more } = bench.ask(&ask) else { panic!("{ask:?}") };
        found.extend(folders.into_iter().map(|folder| folder.name));
        if !more {
            break;
        }
        after = found.last().cloned();
    }
    assert_eq!(found.len(), 606);
    assert!(found.is_sorted());
}
