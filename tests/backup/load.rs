//! A backup beside a server under load: what was acknowledged before it began is in it, once.

use std::{collections::BTreeMap, sync::Mutex, thread};

use super::{
    backup, done, exported, home_with_account, ids, octets, settings,
    support::{
        PATIENCE,
        binary::Home,
        eventually, eventually_within,
        imap::Imap,
        sink::{Script, Sink},
        source::{Client, Load, numbered},
    },
    text,
};

const BOB: &[&str] = &["--account", "bob@rcpt.example", "--mailbox", "INBOX"];

/// Mail that stays in the queue, as its next hop is down.
fn queue(server: std::net::SocketAddr, ids: std::ops::Range<usize>) {
    let mut client = Client::connect(server);
    for number in ids {
        let body = numbered(&format!("far-{number}"), 700 + 9000 * (number % 3));
        let reply = client.send("<a@sender.example>", &["<c@far.example>"], &body).unwrap();
        assert!(reply.starts_with("250"), "{reply}");
    }
}

#[test]
fn what_was_acknowledged_before_a_backup_comes_back_once() {
    let mut sink = Sink::down(Script::default());
    let settings = settings(&sink);
    let home = home_with_account(&settings);
    let dir = home.beside("backup");
    let server = home.start();
    queue(server.smtp, 0..20);
    let (load, address) = (Load::new("load", usize::MAX), server.smtp);
    let (imap, appended) = (server.port_of("imap"), Mutex::new(Vec::new()));
    let append = || {
        let mut client = Imap::login(imap, "bob@rcpt.example");
        for number in 0.. {
            let id = format!("append-{number}");
            match client.append("INBOX", "\\Seen", &numbered(&id, 2000)) {
                Ok(reply) if reply.status == "OK" => appended.lock().unwrap().push(id),
                // The server has been killed.
                _ => return,
            }
        }
    };
    let (before, made) = thread::scope(|scope| {
        scope.spawn(append);
        scope.spawn(|| load.run(address, 4, 3000));
        load.wait_for(100);
        backup(&home, &dir);
        eventually("some appended", || (appended.lock().unwrap().len() > 20).then_some(()));
        let before = [load.acknowledged(), appended.lock().unwrap().clone()].concat();
        let made = backup(&home, &dir);
        server.kill();
        (before, made)
    });
    assert!(made[0] + made[1] >= before.len() as u64 + 20, "{made:?}");
    done(home.command(&["verify", text(&dir)], ""));

    let again = Home::new(&settings);
    let said = done(again.command(&["restore", text(&dir)], ""));
    assert!(said.contains("restored"), "{said}");
    let server = again.start();
    // What was in the queue for bob is delivered now.
    let came = eventually_within(4 * PATIENCE, "all of bob's mail", || {
        let came = ids(&exported(&again, BOB));
        before.iter().all(|id| came.contains_key(id)).then_some(came)
    });
    let twice: Vec<_> = came.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    sink.come_up();
    let mails = sink.wait_for(20);
    let mut far = BTreeMap::new();
    for mail in mails {
        *far.entry(mail.field("X-Test-Id").unwrap()).or_insert(0) += 1;
    }
    assert!(far.len() == 20 && far.values().all(|count| *count == 1), "{far:?}");
    // It goes on behind: what comes now is beside what was.
    let after = Load::new("after", 30);
    after.run(server.smtp, 2, 500);
    assert_eq!(after.acknowledged().len(), 30);
    eventually_within(4 * PATIENCE, "mail after the restore", || {
        let came = ids(&exported(&again, BOB));
        after.acknowledged().iter().all(|id| came.contains_key(id)).then_some(())
    });
    server.stop();
    backup(&again, &dir);
    done(again.command(&["verify", text(&dir)], ""));
}

#[test]
fn a_second_run_copies_what_is_new_and_drops_what_is_gone() {
    let sink = Sink::start(Script::default());
    let home = home_with_account(&settings(&sink));
    let dir = home.beside("backup");
    let server = home.start();
    let send = |prefix: &str, count, size| {
        let load = Load::new(prefix, count);
        load.run(server.smtp, 4, size);
        assert_eq!(load.acknowledged().len(), count);
    };
    let delivered = |count| {
        eventually_within(4 * PATIENCE, "delivery", || {
            (exported(&home, BOB).len() == count).then_some(())
        })
    };
    send("first", 60, 20_000);
    delivered(60);
    let [contents, bodies, all, new, new_octets] = backup(&home, &dir);
    assert_eq!((contents, bodies, new, new_octets), (60, 0, 60, all));
    let before = octets(&dir);
    assert_eq!(backup(&home, &dir), [60, 0, all, 0, 0]);
    send("second", 5, 20_000);
    delivered(65);
    let [contents, _, _, new, new_octets] = backup(&home, &dir);
    assert_eq!((contents, new), (65, 5));
    assert!(new_octets < all / 8 && octets(&dir) < before + all / 6);
    done(home.command(&["account", "remove", "bob@rcpt.example"], ""));
    // They go in steps.
    eventually_within(4 * PATIENCE, "nothing left", || {
        (backup(&home, &dir) == [0, 0, 0, 0, 0]).then_some(())
    });
    assert_eq!(super::files(&dir).len(), 1, "no segment is needed any more");
    done(home.command(&["verify", text(&dir)], ""));
    server.stop();
    // The same without a server.
    assert_eq!(backup(&home, &dir), [0, 0, 0, 0, 0]);
}
