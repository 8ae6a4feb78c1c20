//! `kill -9` and power cuts while clients append, flag and send: what was acknowledged is there,
//! once, under its UID, and numbers never go back.
//!
//! `RINGMAIL_PROOF_MAILBOX_KILLS=1000` and `RINGMAIL_PROOF_MAILBOX_CUTS=1000` make the proofs as
//! long as a release wants them.

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    disk::{Chance, Deed, Disk, KINDS, Taken},
    home_of, id_of,
    support::{
        PATIENCE,
        binary::{Home, Ringmail},
        eventually_within,
        imap::Imap,
        proof_size,
        source::{Client, SENDER, numbered},
    },
};

const ANN: &str = "ann@x.example";

/// What clients were told.
#[derive(Default)]
struct Told {
    /// UID by the id of a message that was appended.
    appended: HashMap<String, u32>,
    sent: Vec<String>,
    /// The keywords that a message has for certain, and the MODSEQ of the change.
    flagged: Vec<(u32, String, u64)>,
}

/// What has been seen in the mailbox.
#[derive(Default)]
struct Book {
    uid_validity: Option<String>,
    uid_next: u32,
    modseq: u64,
    ids: HashMap<u32, String>,
    uids: HashMap<String, u32>,
    flags: HashMap<u32, Vec<String>>,
}

#[test]
fn kills_lose_nothing_acknowledged_and_reuse_no_uid() {
    let kills = proof_size("RINGMAIL_PROOF_MAILBOX_KILLS", 4);
    let home = home_of(&[ANN]);
    let (mut told, mut book) = (Told::default(), Book::default());
    for round in 0..kills {
        let ringmail = home.start();
        let acknowledged = AtomicUsize::new(0);
        let enough = 20 + round * 7 % 40;
        load(ringmail, round, &mut told, &mut book, &acknowledged, |ringmail| {
            eventually_within(4 * PATIENCE, "enough is acknowledged", || {
                (acknowledged.load(Ordering::SeqCst) >= enough).then_some(())
            });
            ringmail.kill();
        });
    }
    settle(&home, &told, &mut book);
    println!("{kills} kills: {told}, {} messages", book.ids.len());
}

#[test]
fn power_cuts_lose_nothing_acknowledged_and_reuse_no_uid() {
    let cuts = proof_size("RINGMAIL_PROOF_MAILBOX_CUTS", 6);
    let mut chance = Chance(proof_size("RINGMAIL_PROOF_SEED", 1) as u64);
    let home = home_of(&[ANN]);
    let disk = Disk::below(&home);
    let (mut told, mut book) = (Told::default(), Book::default());
    for round in 0..cuts {
        let (kind, number) = (KINDS[round % 3], 1 + chance.below(60));
        let deed = [Deed::CutBefore, Deed::CutAfter][round / 3 % 2];
        let taken = [Taken::All, Taken::Nothing, Taken::Sectors(50), Taken::Writes(50)][round % 4];
        let what = format!("round {round}, {deed:?} {kind:?} {number}, {taken:?}");
        let ringmail = disk.start(&home, &what);
        load(ringmail, round, &mut told, &mut book, &AtomicUsize::new(0), |ringmail| {
            disk.arm(kind, number, 1, deed);
            ringmail.wait_for_ending();
        });
        disk.lose(taken, &mut chance);
    }
    settle(&home, &told, &mut book);
    println!("{cuts} power cuts: {told}, {} messages", book.ids.len());
}

/// Reads and checks, then lets clients loose until `end` has ended the process.
fn load(
    ringmail: Ringmail,
    round: usize,
    told: &mut Told,
    book: &mut Book,
    acknowledged: &AtomicUsize,
    end: impl FnOnce(Ringmail),
) {
    let (smtp, imap) = (ringmail.smtp, ringmail.port_of("imap"));
    book.read(imap);
    book.check(told);
    let known: Vec<u32> = book.ids.keys().copied().collect();
    let shared = &Mutex::new(std::mem::take(told));
    thread::scope(|scope| {
        for client in 0..3 {
            let [appends, sends] =
                ["append", "send"].map(|what| format!("{what}-{round}-{client}"));
            scope.spawn(move || append(imap, &appends, shared, acknowledged));
            scope.spawn(move || send(smtp, &sends, shared, acknowledged));
        }
        scope.spawn(move || flag(imap, round, &known, shared, acknowledged));
        end(ringmail);
    });
    *told = std::mem::take(&mut shared.lock().unwrap());
}

/// All that was acknowledged is there in the end, and after another start.
fn settle(home: &Home, told: &Told, book: &mut Book) {
    let ringmail = home.start();
    eventually_within(8 * PATIENCE, "all that was sent is in the mailbox", || {
        book.read(ringmail.port_of("imap"));
        told.sent.iter().all(|id| book.uids.contains_key(id)).then_some(())
    });
    book.check(told);
    ringmail.stop();
    // What is on the disk now was not only remembered.
    let ringmail = home.start();
    book.read(ringmail.port_of("imap"));
    book.check(told);
    ringmail.stop();
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (appended, sent) = (self.appended.len(), self.sent.len());
        write!(f, "{appended} appended, {sent} sent, {} flagged", self.flagged.len())
    }
}

impl Book {
    /// Reads what is new in the mailbox, and the flags of all.
    fn read(&mut self, server: SocketAddr) {
        let mut client = Imap::login(server, ANN);
        client.must("ENABLE CONDSTORE");
        let opened = client.must("SELECT INBOX");
        let number = |name: &str| opened.code(name).unwrap().parse::<u64>().unwrap();
        let validity = opened.code("UIDVALIDITY");
        assert_eq!(*self.uid_validity.get_or_insert(validity.clone().unwrap()), validity.unwrap());
        let (uid_next, modseq) = (number("UIDNEXT") as u32, number("HIGHESTMODSEQ"));
        assert!(uid_next >= self.uid_next, "UIDNEXT {uid_next} after {}", self.uid_next);
        assert!(modseq >= self.modseq, "HIGHESTMODSEQ {modseq} after {}", self.modseq);
        let reply = client.must(&format!("UID FETCH {}:* (BODY.PEEK[])", self.uid_next.max(1)));
        for fetched in reply.fetched() {
            let (uid, id) = (fetched.uid.unwrap(), id_of(fetched.text()));
            if let Some(before) = self.ids.insert(uid, id.clone()) {
                assert_eq!(before, id, "UID {uid} is used again");
            }
            let before = self.uids.insert(id.clone(), uid);
            assert!(before.is_none_or(|before| before == uid), "{id} is there twice");
        }
        (self.uid_next, self.modseq) = (uid_next, modseq);
        // Whatever has come since has no place in the book yet.
        let reply = client.must("UID FETCH 1:* (FLAGS)");
        self.flags.clear();
        for fetched in reply.fetched() {
            let flags = fetched.flags.iter().flatten().cloned().collect();
            self.flags.insert(fetched.uid.unwrap(), flags);
        }
        for (uid, id) in &self.ids {
            assert!(self.flags.contains_key(uid), "{id} with UID {uid} has gone");
        }
    }

    fn check(&self, told: &Told) {
        for (id, uid) in &told.appended {
            assert_eq!(self.ids.get(uid), Some(id), "{id} was appended with UID {uid}");
        }
        for (uid, keyword, modseq) in &told.flagged {
            let flags = &self.flags[uid];
            assert!(flags.contains(keyword), "UID {uid} has {flags:?} without {keyword}");
            assert!(*modseq <= self.modseq, "MODSEQ fell: {modseq} to {}", self.modseq);
        }
    }
}

/// Small ones, some that are spooled, and all between.
fn size(number: usize) -> usize {
    [300, 5_000, 70_000, 900, 600_000, 2_000, 20_000][number % 7]
}

/// Ends with the connection.
fn append(
    server: SocketAddr,
    name: &str,
    told: &Mutex<Told>,
    acknowledged: &AtomicUsize,
) -> io::Result<()> {
    let mut client = Imap::try_login(server, ANN)?;
    for number in 0.. {
        let id = format!("{name}-{number}");
        let reply = client.append("INBOX", "", &numbered(&id, size(number)))?;
        assert_eq!(reply.status, "OK", "{id}: {}", reply.text);
        told.lock().unwrap().appended.insert(id, reply.uids("APPENDUID", 1)[0]);
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

fn send(
    server: SocketAddr,
    name: &str,
    told: &Mutex<Told>,
    acknowledged: &AtomicUsize,
) -> io::Result<()> {
    let mut client = Client::try_connect(server)?;
    for number in 0.. {
        let id = format!("{name}-{number}");
        let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{ANN}>"));
        let reply = client.send(&mail, &[&rcpt], &numbered(&id, size(number)))?;
        assert!(reply.starts_with("250 "), "{id}: {reply}");
        told.lock().unwrap().sent.push(id);
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// Gives each known message a keyword of this round.
fn flag(
    server: SocketAddr,
    round: usize,
    known: &[u32],
    told: &Mutex<Told>,
    acknowledged: &AtomicUsize,
) -> io::Result<()> {
    let mut client = Imap::try_login(server, ANN)?;
    client.try_ask("ENABLE CONDSTORE")?;
    client.try_ask("SELECT INBOX")?;
    let keyword = format!("round{}", round % 40);
    for uid in known {
        let reply = client.try_ask(&format!("UID STORE {uid} +FLAGS ({keyword})"))?;
        assert_eq!(reply.status, "OK", "{uid}: {}", reply.text);
        let modseq = reply.fetched().find(|told| told.uid == Some(*uid)).and_then(|t| t.modseq);
        let modseq = modseq.unwrap_or_default();
        told.lock().unwrap().flagged.push((*uid, keyword.clone(), modseq));
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}
