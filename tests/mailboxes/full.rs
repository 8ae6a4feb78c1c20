//! A disk that is full for a while: what comes is declined with a word, what was there stays, and
//! nothing of what was declined is left.

use std::time::{Duration, Instant};

use heed::{CommitOrAbort, EnvOpenOptions, types::Bytes as Octets};
use ringmail::store::Table;

use super::{
    disk::{Chance, Deed, Disk, Kind},
    home_of, id_of,
    support::{
        PATIENCE,
        binary::{Home, Settings},
        eventually, eventually_within,
        imap::Imap,
        source::{Client, SENDER, numbered},
    },
};

const ANN: &str = "ann@x.example";

#[test]
fn a_full_disk_declines_what_comes_and_keeps_what_was_there() {
    // LMDB makes EIO of a write that the full disk cuts short.
    for deed in [Deed::Fail(libc::ENOSPC), Deed::Short] {
        let home = home_of(&[ANN]);
        let disk = Disk::below(&home);
        let mut ringmail = disk.start(&home, "a new store");
        let mut client = Imap::login(ringmail.port_of("imap"), ANN);
        let mut want: Vec<String> = (0..5).map(|number| format!("before-{number}")).collect();
        for id in &want {
            assert_eq!(append(&mut client, id, 3000), "OK");
        }
        assert!(send(&ringmail, "sent").starts_with("250 "));
        want.push("sent".to_owned());
        wait_for_count(&mut client, want.len());

        // Of a long one the first parts are on the disk when it becomes full.
        let long = noise(6_000_000);
        let written = disk.done(Kind::Write);
        let tag = client.begin(&format!("APPEND INBOX {{{}+}}", long.len())).unwrap();
        client.write(&long[..3_000_000]).unwrap();
        eventually("parts are on the disk", || (disk.done(Kind::Write) > written).then_some(()));
        disk.arm(Kind::Write, 1, u64::MAX, deed);
        client.write(&long[3_000_000..]).unwrap();
        client.write(b"\r\n").unwrap();
        let reply = client.finish(&tag).unwrap();
        println!("{deed:?}: {} {}", reply.status, reply.text);
        assert_eq!(reply.status, "NO", "{deed:?}: {}", reply.text);
        for command in ["CREATE Other", "STORE 1 +FLAGS (\\Seen)", "COPY 1 Trash", "EXPUNGE"] {
            client.must("SELECT INBOX");
            let reply = client.ask(command);
            println!("{deed:?}: {command}: {} {}", reply.status, reply.text);
            let changes_nothing = command == "EXPUNGE";
            assert!(reply.status == "NO" || changes_nothing, "{command}: {}", reply.text);
        }
        assert_eq!(append(&mut client, "small", 3000), "NO", "{deed:?}");
        let reply = send(&ringmail, "refused");
        assert!(reply.starts_with("452 4.3.1 "), "{deed:?}: {reply}");
        ringmail.wait_for_log("has no room", 1);
        // Not amid an attempt: half a write on a disk that has room is a broken disk.
        let mut last = (disk.fired(), Instant::now());
        eventually("the store rests", || {
            if disk.fired() != last.0 {
                last = (disk.fired(), Instant::now());
            }
            (last.1.elapsed() > Duration::from_millis(100)).then_some(())
        });
        disk.disarm();
        eventually_within(2 * PATIENCE, "a message is appended again", || {
            (append(&mut client, "after", 3000) == "OK").then_some(())
        });
        assert!(send(&ringmail, "sent after").starts_with("250 "));
        want.extend(["after".to_owned(), "sent after".to_owned()]);
        wait_for_count(&mut client, want.len());
        assert!(ringmail.is_running() && disk.fired() > 0);
        ringmail.wait_for_log("has room again", 1);
        check(&mut client, &want);
        drop(client);
        ringmail.stop();
        assert_eq!(rows(&home, Table::Arriving), 0, "{deed:?}: parts are left behind");
        assert_eq!(rows(&home, Table::Held), want.len(), "{deed:?}: contents");
        let ringmail = home.start();
        check(&mut Imap::login(ringmail.port_of("imap"), ANN), &want);
        ringmail.stop();
    }
}

/// When no more mail is taken, there is room to delete some, and then to take some again.
#[test]
fn a_full_store_can_be_emptied_by_its_users() {
    let mut settings = Settings::mailboxes("[store]\nsize_max = \"16MiB\"\n");
    settings.smtp = "message_size_max = \"1MiB\"\n".to_owned();
    let home = Home::new(&settings);
    home.add_account(ANN);
    let ringmail = home.start();
    let mut client = Imap::login(ringmail.port_of("imap"), ANN);
    let body = noise(300_000);
    // Then small ones: they use all that mail may use.
    let (mut taken, mut refusal) = (0, String::new());
    for size in [body.len(), 1000] {
        loop {
            let reply = client.append("INBOX", "", &body[..size]).unwrap();
            refusal = reply.text;
            if reply.status != "OK" {
                break;
            }
            taken += 1;
            assert!(taken < 10_000, "the store is never full");
        }
    }
    println!("after {taken} messages: {refusal}");
    client.must("SELECT INBOX");
    for command in ["MOVE 1 Trash", "STORE 1:10 +FLAGS (\\Deleted)", "EXPUNGE"] {
        let reply = client.ask(command);
        assert_eq!(reply.status, "OK", "{command}: {}", reply.text);
    }
    eventually_within(2 * PATIENCE, "mail is taken again", || {
        (client.append("INBOX", "", &body).unwrap().status == "OK").then_some(())
    });
    ringmail.stop();
}

/// Octets that cannot be compressed by much.
fn noise(octets: usize) -> Vec<u8> {
    let mut chance = Chance(7);
    (0..octets).map(|_| b' ' + chance.below(90) as u8).collect()
}

fn append(client: &mut Imap, id: &str, octets: usize) -> String {
    client.append("INBOX", "", &numbered(id, octets)).unwrap().status
}

fn send(ringmail: &super::support::binary::Ringmail, id: &str) -> String {
    let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{ANN}>"));
    Client::connect(ringmail.smtp).send(&mail, &[&rcpt], &numbered(id, 3000)).unwrap()
}

fn wait_for_count(client: &mut Imap, count: usize) {
    eventually_within(2 * PATIENCE, &format!("{count} messages"), || {
        client.must("EXAMINE INBOX");
        let reply = client.must("UID SEARCH RETURN (COUNT) ALL");
        format!("{:?}", reply.untagged).contains(&format!("COUNT {count}\"")).then_some(())
    });
}

fn check(client: &mut Imap, want: &[String]) {
    client.must("SELECT INBOX");
    let reply = client.must("FETCH 1:* BODY.PEEK[]");
    let mut ids: Vec<String> = reply.fetched().map(|fetched| id_of(fetched.text())).collect();
    let mut want = want.to_vec();
    ids.sort();
    want.sort();
    assert_eq!(ids, want);
}

/// Rows of a table, read by LMDB alone: a start would sweep them.
fn rows(home: &Home, table: Table) -> usize {
    // SAFETY: the server has stopped, and nobody else has this folder.
    let env = unsafe {
        let mut options = EnvOpenOptions::new();
        options.map_size(1 << 30).max_dbs(Table::ALL.len() as u32);
        options.open(home.data().join("queue")).unwrap()
    };
    let (mut count, txn) = (0, env.write_txn().unwrap());
    env.create_databases_and_commit(txn, |opener, txn| {
        let rows = opener.create_database::<Octets, Octets>(txn, Some(table.name()))?;
        count = rows.len(txn)?;
        Ok::<_, heed::Error>(CommitOrAbort::<(), ()>::Abort(()))
    })
    .unwrap();
    env.prepare_for_closing().wait();
    count as usize
}
