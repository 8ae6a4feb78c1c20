//! Mail for our own accounts: who gets it, who is refused, and that one content is kept once.

use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt};

use super::{
    direct::Direct,
    disk::{Chance, Deed, Disk, Kind, Taken},
    id_of,
    support::{
        PATIENCE,
        binary::{Home, Settings},
        eventually_within,
        imap::{Imap, Untagged},
        proof_size,
        sink::{Script, Sink},
        source::{Client, SENDER, numbered},
    },
};

const MIB: usize = 1024 * 1024;

/// A home with mailboxes; what is not local goes to the sink.
fn home(sink: &Sink, accounts: &[&str]) -> Home {
    let mut settings = Settings::mailboxes("");
    settings.more += &Settings::route(&[sink.address]).more;
    let home = Home::new(&settings);
    let store = Direct::open(&home);
    store.add_accounts(accounts.iter().map(|name| (*name).to_owned()));
    store.close();
    home
}

fn send(server: SocketAddr, id: &str, rcpts: &[&str], octets: usize) -> String {
    let rcpts: Vec<String> = rcpts.iter().map(|rcpt| format!("<{rcpt}>")).collect();
    let rcpts: Vec<&str> = rcpts.iter().map(String::as_str).collect();
    let mail = format!("<{SENDER}>");
    Client::connect(server).send(&mail, &rcpts, &numbered(id, octets)).unwrap()
}

/// The ids in an INBOX and the addresses they were delivered to, once there are `count`.
fn inbox(server: SocketAddr, user: &str, count: usize) -> Vec<(String, String)> {
    let mut client = Imap::login(server, user);
    client.must("SELECT INBOX");
    eventually_within(4 * PATIENCE, &format!("{count} messages of {user}"), || {
        let reply = client.must("STATUS INBOX (MESSAGES)");
        let told = Untagged::Other(format!("STATUS INBOX (MESSAGES {count})"));
        reply.untagged.contains(&told).then_some(())
    });
    client.must("NOOP");
    let reply = client.must("UID FETCH 1:* (BODY.PEEK[])");
    let seen = reply.fetched().map(|fetched| {
        let text = String::from_utf8_lossy(fetched.text());
        let to = text.lines().next().and_then(|line| line.strip_prefix("Delivered-To: "));
        (id_of(fetched.text()), to.unwrap_or_default().to_owned())
    });
    seen.collect()
}

#[test]
fn aliases_subaddresses_and_catch_alls_lead_to_their_accounts() {
    let sink = Sink::start(Script::default());
    let home = home(&sink, &["ann@x.example", "bob@x.example"]);
    home.must(&["alias", "add", "team@x.example", "ann@x.example", "bob@x.example", "f@z.example"]);
    home.must(&["alias", "add", "@y.example", "bob@x.example"]);
    let ringmail = home.start();
    let (smtp, imap) = (ringmail.smtp, ringmail.port_of("imap"));
    for (id, rcpts, code) in [
        ("plain", &["ann@x.example"][..], "250 2.0.0 "),
        ("case", &["ANN@X.Example"], "250 2.0.0 "),
        ("sub", &["ann+lists@x.example"], "250 2.0.0 "),
        ("team", &["team@x.example", "ann@x.example"], "250 2.0.0 "),
        ("catch", &["anybody@y.example"], "250 2.0.0 "),
        ("nobody", &["nobody@x.example"], "550 5.1.1 "),
        ("some", &["nobody@x.example", "bob@x.example"], "550 5.1.1 "),
    ] {
        let reply = send(smtp, id, rcpts, 3000);
        assert!(reply.starts_with(code), "{id}: {reply}");
    }
    let owned = |seen: &[(&str, &str)]| -> Vec<(String, String)> {
        let mut seen: Vec<_> =
            seen.iter().map(|(id, to)| (id.to_string(), to.to_string())).collect();
        seen.sort();
        seen
    };
    let sorted = |mut seen: Vec<(String, String)>| {
        seen.sort();
        seen
    };
    let ann = sorted(inbox(imap, "ann@x.example", 4));
    let bob = sorted(inbox(imap, "bob@x.example", 3));
    let ids = |seen: &[(String, String)]| seen.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&ann), ["case", "plain", "sub", "team"]);
    assert!(ann.contains(&("sub".into(), "ann+lists@x.example".into())), "{ann:?}");
    assert_eq!(ids(&bob), ids(&owned(&[("team", ""), ("catch", ""), ("some", "")])));
    let mails = sink.wait_for(1);
    assert_eq!(Sink::ids(&mails)["team"], 1);
    ringmail.stop();
}

#[test]
fn a_full_mailbox_is_refused_and_takes_mail_again_when_some_is_gone() {
    let sink = Sink::start(Script::default());
    let home = home(&sink, &["ann@x.example"]);
    home.must(&["account", "quota", "ann@x.example", "64KiB"]);
    let ringmail = home.start();
    let mut client = Imap::login(ringmail.port_of("imap"), "ann@x.example");
    let mut appended = 0;
    let refusal = loop {
        let reply = client.append("INBOX", "\\Deleted", &numbered("full", 10_000)).unwrap();
        if reply.status != "OK" {
            break reply.text;
        }
        appended += 1;
    };
    assert!(refusal.starts_with("[OVERQUOTA] ") && appended == 6, "{appended} {refusal}");
    // What SMTP has taken may pass the quota; the next is refused.
    let replies: Vec<String> =
        (0..3).map(|_| send(ringmail.smtp, "more", &["ann@x.example"], 5000)).collect();
    let taken = replies.iter().filter(|reply| reply.starts_with("250 ")).count();
    inbox(ringmail.port_of("imap"), "ann@x.example", appended + taken);
    let reply = send(ringmail.smtp, "more", &["ann@x.example"], 5000);
    assert!(reply.starts_with("552 5.2.2 "), "{replies:?} {reply}");
    client.must("SELECT INBOX");
    client.must("EXPUNGE");
    let reply = send(ringmail.smtp, "again", &["ann@x.example"], 5000);
    assert!(reply.starts_with("250 "), "{reply}");
    ringmail.stop();
}

/// A large message is still on its way when its 250 has been said: the kill comes before its end.
#[test]
fn an_account_that_goes_behind_the_250_is_told_to_the_sender() {
    let mut sink = Sink::down(Script::default());
    let home = home(&sink, &["ann@x.example", "bob@x.example"]);
    let mut told = 0;
    for round in 0..5 {
        let ringmail = home.start();
        let id = format!("late-{round}");
        let reply = send(ringmail.smtp, &id, &["ann@x.example", "bob@x.example"], 8 * MIB);
        assert!(reply.starts_with("250 "), "{reply}");
        ringmail.kill();
        home.must(&["account", "remove", "ann@x.example"]);
        let ringmail = home.start();
        let imap = ringmail.port_of("imap");
        let seen = inbox(imap, "bob@x.example", round + 1);
        assert_eq!(seen.last().map(|(seen, _)| seen), Some(&id));
        told += usize::from(ringmail.log().contains("the account is gone"));
        home.add_account("ann@x.example");
        ringmail.stop();
    }
    assert!(told > 0, "the message was always delivered before the kill");
    sink.come_up();
    let ringmail = home.start();
    let reports = sink.wait_for(told);
    for report in &reports {
        let text = report.text();
        for part in ["To: <alice@sender.example>", "ann@x.example", "Status: 5.1.1"] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!text.contains("bob@x.example>: "), "{text}");
    }
    ringmail.stop();
}

#[test]
fn a_large_message_to_many_accounts_is_kept_once_whatever_is_restarted() {
    const RECIPIENTS: usize = 150;
    const OCTETS: usize = 20 * MIB;
    let sink = Sink::start(Script::default());
    let home = home(&sink, &[]);
    let names: Vec<String> = (0..RECIPIENTS).map(|n| format!("n{n:03}@x.example")).collect();
    let store = Direct::open(&home);
    store.add_accounts(names.iter().cloned());
    store.close();
    let ringmail = home.start();
    let rcpts: Vec<&str> = names.iter().map(String::as_str).collect();
    let reply = send(ringmail.smtp, "large", &rcpts, OCTETS);
    assert!(reply.starts_with("250 "), "{reply}");
    ringmail.kill();
    // The first parcel's recipients have it, those of the second perhaps not yet.
    let ringmail = home.start();
    ringmail.wait_for_log("status=sent", 1);
    ringmail.kill();
    let ringmail = home.start();
    let imap = ringmail.port_of("imap");
    let has_it = |client: &mut Imap| {
        let told = Untagged::Other("STATUS INBOX (MESSAGES 1)".into());
        client.must("STATUS INBOX (MESSAGES)").untagged.contains(&told)
    };
    let early = names.iter().filter(|name| has_it(&mut Imap::login(imap, name))).count();
    println!("{early} of {RECIPIENTS} had it at the last start");
    let mut whole = 0;
    for (number, name) in names.iter().enumerate() {
        let mut client = Imap::login(imap, name);
        eventually_within(8 * PATIENCE, &format!("{name} has it"), || {
            has_it(&mut client).then_some(())
        });
        client.must("SELECT INBOX");
        if number % 50 == 0 {
            let reply = client.must("FETCH 1 BODY.PEEK[]");
            assert_eq!(id_of(reply.fetched().next().unwrap().text()), "large");
            whole += 1;
        } else {
            let reply = client.must(&format!("FETCH 1 BODY.PEEK[]<{OCTETS}.1000>"));
            let end = reply.fetched().next().unwrap().text().to_vec();
            assert!(String::from_utf8_lossy(&end).contains(" of large of text"), "{name}");
        }
    }
    assert_eq!(whole, 3);
    ringmail.stop();
    let data = fs::metadata(home.data().join("queue/data.mdb")).unwrap();
    let on_disk = data.blocks() as usize * 512;
    println!("{OCTETS} octets to {RECIPIENTS} accounts: {on_disk} on disk");
    // The queue's own copy has been there too, and the parts that were given up by the kills.
    assert!(on_disk < 4 * OCTETS, "{on_disk}");
    let ringmail = home.start();
    for name in [&names[0], &names[RECIPIENTS - 1]] {
        assert_eq!(inbox(ringmail.port_of("imap"), name, 1)[0].0, "large");
    }
    ringmail.stop();
}

/// The queue's commits behind the 250 are cut anywhere: all get the message, whole, and once.
#[test]
fn a_delivery_that_is_cut_off_anywhere_is_made_once() {
    const RECIPIENTS: usize = 120;
    let cuts = proof_size("RINGMAIL_PROOF_DELIVERY_CUTS", 4);
    let mut chance = Chance(proof_size("RINGMAIL_PROOF_SEED", 1) as u64);
    let sink = Sink::start(Script::default());
    let home = home(&sink, &[]);
    let names: Vec<String> = (0..RECIPIENTS).map(|n| format!("n{n:03}@x.example")).collect();
    let store = Direct::open(&home);
    store.add_accounts(names.iter().cloned());
    store.close();
    let rcpts: Vec<&str> = names.iter().map(String::as_str).collect();
    let disk = Disk::below(&home);
    let (mut amid, mut most) = (0, 4);
    for round in 0..cuts {
        let number = 1 + chance.below(most);
        let what = format!("round {round}, commit {number} of {most}");
        let mut ringmail = disk.start(&home, &what);
        let id = format!("cut-{round:05}");
        let reply = send(ringmail.smtp, &id, &rcpts, 10 * MIB);
        assert!(reply.starts_with("250 "), "{what}: {reply}");
        let (before, deed) = (disk.done(Kind::Meta), [Deed::CutBefore, Deed::CutAfter][round % 2]);
        disk.arm(Kind::Meta, number, 1, deed);
        eventually_within(8 * PATIENCE, "it ends, or all is delivered", || {
            let done = ringmail.log().matches("status=sent").count() == RECIPIENTS;
            (done || !ringmail.is_running()).then_some(())
        });
        match ringmail.is_running() {
            false => amid += 1,
            // The next cut falls among as many as there have been.
            true => most = (disk.done(Kind::Meta) - before).max(2),
        }
        ringmail.kill();
        disk.lose(Taken::All, &mut chance);
        let ringmail = home.start();
        for name in names.iter().step_by(17).chain([&names[RECIPIENTS - 1]]) {
            let seen = inbox_sizes(ringmail.port_of("imap"), name, round + 1);
            let last = seen.last().copied().unwrap_or_default();
            assert!(last > 10 * MIB && seen.iter().all(|size| *size == last), "{what}: {seen:?}");
        }
        ringmail.stop();
    }
    println!("{cuts} deliveries, {amid} of them cut off");
    assert!(amid > 0, "no cut fell amid a delivery");
}

/// The sizes of the messages in an INBOX, once there are `count`.
fn inbox_sizes(server: SocketAddr, user: &str, count: usize) -> Vec<usize> {
    let mut client = Imap::login(server, user);
    eventually_within(8 * PATIENCE, &format!("{count} messages of {user}"), || {
        client.must("EXAMINE INBOX");
        let reply = client.must("UID FETCH 1:* (RFC822.SIZE)");
        let sizes: Vec<usize> = reply
            .fetched()
            .map(|fetched| String::from_utf8_lossy(fetched.text()).parse().unwrap())
            .collect();
        assert!(sizes.len() <= count, "{user} has {sizes:?}");
        (sizes.len() == count).then_some(sizes)
    })
}
