//! Who gets the mail for an address, as a table.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::{Bench, name};
use crate::{
    mail::{
        Address, Domain,
        mailbox::{Act, Ask, Directory, Done, Flags, Found, Refusal, Resolved},
    },
    store::{content::Unpress, mailbox},
};

fn resolved(bench: &Bench, address: &str, quota: u64) -> String {
    resolved_for(bench, address, quota, 0)
}

fn resolved_for(bench: &Bench, address: &str, quota: u64, size: u64) -> String {
    let address = Address::parse(Bytes::copy_from_slice(address.as_bytes())).unwrap();
    let domains = ["x.example", "y.example"].map(|text| Domain::parse(text).unwrap());
    let domains = Arc::new(HashSet::from(domains));
    let ask = Ask::Recipient { address: address.clone(), size, domains, quota };
    let mut told = Vec::new();
    let Ok(found) =
        mailbox::ask(&ask, &bench.map, &mut Unpress::default(), &mut |line| told.push(line));
    let named = |line: &String| line.contains(&format!("the alias {} ", address.as_str()));
    assert!(told.len() <= 1 && told.iter().all(named), "{told:?}");
    let mut text = match found {
        None => return format!("put off, {} told", told.len()),
        Some(Found::Recipient(Resolved::Unknown)) => "unknown".into(),
        Some(Found::Recipient(Resolved::Full)) => "full".into(),
        Some(Found::Recipient(Resolved::To(to))) => {
            to.iter().map(Address::as_str).collect::<Vec<_>>().join(" ")
        }
        Some(other) => panic!("{other:?}"),
    };
    if !told.is_empty() {
        text.push_str(", and one told");
    }
    text
}

#[test]
fn addresses_lead_to_accounts() {
    let mut bench = Bench::default();
    bench.add_account("a@x.example", None);
    bench.add_account("b@x.example", None);
    let long: Vec<String> = (0..150).map(|number| format!("u{number}@far.example")).collect();
    let mut aliases: Vec<(String, Vec<String>)> = [
        ("sales@x.example", "a@x.example b@x.example out@far.example"),
        ("self@x.example", "self@x.example b@x.example"),
        ("loop1@x.example", "loop2@x.example"),
        ("loop2@x.example", "loop1@x.example"),
        ("loop3@x.example", "loop4@x.example a@x.example"),
        ("loop4@x.example", "loop3@x.example sales@x.example"),
        ("nobody@x.example", "gone@x.example"),
        ("part@x.example", "gone@x.example a+lists@x.example"),
        ("twice@x.example", "out@far.example a@x.example OUT@FAR.example A@x.example"),
        ("@y.example", "b@x.example"),
        ("c@y.example", "a@x.example"),
        ("+odd@x.example", "a@x.example"),
    ]
    .iter()
    .map(|(key, targets)| (key.to_string(), targets.split(' ').map(str::to_owned).collect()))
    .collect();
    aliases.push(("many@x.example".into(), long[..100].to_vec()));
    aliases.push(("more@x.example".into(), long[100..].to_vec()));
    let [many, more] = ["many@x.example", "more@x.example"].map(str::to_owned);
    aliases.push(("all@x.example".into(), vec![many.clone(), more]));
    aliases.push(("again@x.example".into(), vec![many, long[0].clone(), long[99].clone()]));
    // Each leads to the first of the next hundred, and all of them to nobody: more than are
    // looked at.
    for step in 0..9 {
        let mut next: Vec<_> = (0..99).map(|n| format!("n{step}-{n}@x.example")).collect();
        next.push(format!("w{}@x.example", step + 1));
        aliases.push((format!("w{step}@x.example"), next));
    }
    // Each leads to the next; nine steps are too many, eight are not.
    for step in 0..9 {
        let next =
            if step == 8 { "a@x.example".into() } else { format!("s{}@x.example", step + 1) };
        aliases.push((format!("s{step}@x.example"), vec![next]));
    }
    for (key, targets) in aliases {
        let targets = targets.into_iter().map(Bytes::from).collect();
        let add = Act::Directory(Directory::AddAlias { key: key.clone().into(), targets });
        assert_eq!(bench.act(&add), Done::Done, "{key}");
    }
    for (address, expected) in [
        ("a@x.example", "a@x.example"),
        ("A@X.Example", "A@X.Example"),
        ("a+b@x.example", "a+b@x.example"),
        ("c@x.example", "unknown"),
        ("c+d@x.example", "unknown"),
        ("sales@x.example", "a@x.example b@x.example out@far.example"),
        ("sales+eu@x.example", "a@x.example b@x.example out@far.example"),
        ("self@x.example", "b@x.example"),
        ("loop1@x.example", "unknown"),
        ("loop3@x.example", "a@x.example b@x.example out@far.example"),
        ("nobody@x.example", "unknown"),
        ("part@x.example", "a+lists@x.example, and one told"),
        ("twice@x.example", "out@far.example a@x.example"),
        ("anyone@y.example", "b@x.example"),
        ("c@y.example", "a@x.example"),
        ("c+1@y.example", "a@x.example"),
        ("s0@x.example", "put off, 1 told"),
        ("s1@x.example", "a@x.example"),
        ("+odd@x.example", "a@x.example"),
        ("+even@x.example", "unknown"),
        ("all@x.example", "put off, 1 told"),
        ("w0@x.example", "put off, 1 told"),
    ] {
        assert_eq!(resolved(&bench, address, 0), expected, "{address}");
    }
    assert_eq!(resolved(&bench, "many@x.example", 0), long[..100].join(" "));
    assert_eq!(resolved(&bench, "again@x.example", 0), long[..100].join(" "));
}

#[test]
fn a_full_account_is_full_only_alone() {
    let mut bench = Bench::default();
    let a = bench.add_account("a@x.example", Some(10)).id;
    bench.add_account("b@x.example", None);
    let targets = vec![Bytes::from("a@x.example"), Bytes::from("b@x.example")];
    let key = Bytes::from("both@x.example");
    bench.act(&Act::Directory(Directory::AddAlias { key, targets }));
    let mut append = |octets: &[u8], quota| {
        let messages = vec![bench.message(octets, Flags::default())];
        bench.act(&Act::Append { account: a, name: name("INBOX"), messages, quota })
    };
    assert_eq!(append(&[b'x'; 11], 0), Done::Refused(Refusal::OverQuota));
    assert!(matches!(append(&[b'x'; 10], 1), Done::Appended { .. }));
    assert_eq!(append(b"x", 0), Done::Refused(Refusal::OverQuota));
    assert_eq!(resolved(&bench, "a@x.example", 0), "full");
    assert_eq!(resolved(&bench, "both@x.example", 0), "a@x.example b@x.example");
    let (key, quota) = (Bytes::from("a@x.example"), None);
    assert_eq!(bench.act(&Act::Directory(Directory::SetQuota { key, quota })), Done::Done);
    assert_eq!(resolved(&bench, "a@x.example", 10), "full");
    assert_eq!(resolved(&bench, "a@x.example", 11), "a@x.example");
    assert_eq!(resolved(&bench, "a@x.example", 0), "a@x.example");
}

/// RFC 1870: what the client says of the message's size counts before it comes.
#[test]
fn a_message_that_would_not_fit_finds_its_account_full() {
    let mut bench = Bench::default();
    bench.add_account("a@x.example", Some(100));
    for (size, found) in [(0, "a@x.example"), (100, "a@x.example"), (101, "full")] {
        assert_eq!(resolved_for(&bench, "a@x.example", 0, size), found, "{size}");
    }
}

#[test]
fn the_directory_refuses_what_cannot_be() {
    let mut bench = Bench::default();
    bench.add_account("a@x.example", None);
    let key = Bytes::from("a@x.example");
    let other = Bytes::from("b@x.example");
    let long = Bytes::from(vec![b'x'; 600]);
    let password = Bytes::from("new");
    for (change, done) in [
        (
            Directory::AddAccount { key: key.clone(), password: password.clone(), quota: None },
            Done::Refused(Refusal::Exists),
        ),
        (
            Directory::AddAlias { key: key.clone(), targets: Vec::new() },
            Done::Refused(Refusal::Exists),
        ),
        (Directory::RemoveAlias { key: key.clone() }, Done::Refused(Refusal::NoAddress)),
        (Directory::RemoveAccount { key: other.clone() }, Done::Refused(Refusal::NoAddress)),
        (Directory::SetQuota { key: long, quota: None }, Done::Refused(Refusal::NoAddress)),
        (Directory::SetPassword { key: key.clone(), password: password.clone() }, Done::Done),
        (Directory::AddAlias { key: other.clone(), targets: vec![key.clone()] }, Done::Done),
        (
            Directory::SetPassword { key: other.clone(), password: password.clone() },
            Done::Refused(Refusal::NoAddress),
        ),
    ] {
        assert_eq!(bench.act(&Act::Directory(change.clone())), done, "{change:?}");
    }
    assert_eq!(bench.account(key.clone()).unwrap().password, password);
    let ask = Ask::Accounts { after: None };
    let Found::Accounts { lines, more: false } = bench.ask(&ask) else { panic!("{ask:?}") };
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0].key, lines[0].account), (&key, Some((None, 0, 0))));
    assert_eq!((&lines[1].targets[..], lines[1].account), (&[key.clone()][..], None));
    let ask = Ask::Accounts { after: Some(key) };
    let Found::Accounts { lines, .. } = bench.ask(&ask) else { panic!("{ask:?}") };
    assert_eq!(lines.len(), 1);
}
