//! A mailbox of 100,000 messages, or of as many as `RINGMAIL_PROOF_MESSAGES` says, and a thousand
//! sessions that look at it.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, TryRecvError},
    thread,
    time::{Duration, Instant},
};

use super::{
    direct::Direct,
    support::{
        binary::{Home, Settings},
        eventually,
        imap::{Imap, Untagged},
        proof_size,
    },
};
use ringmail::mail::mailbox::Flags;

const ANN: &str = "ann@x.example";
const BEN: &str = "ben@x.example";
const TOGETHER: usize = 1000;
const SESSIONS: usize = 1000;

/// Octets that a session which only waits may take.
const SESSION_MAX: u64 = 32 * 1024;

#[test]
fn a_large_mailbox_is_as_quick_as_a_small_one_and_sessions_on_it_are_small() {
    let messages = proof_size("RINGMAIL_PROOF_MESSAGES", 100_000);
    let mut settings = Settings::mailboxes("");
    settings.smtp = "connections_per_client_max = 5000\n".to_owned();
    let home = Home::new(&settings);
    let began = Instant::now();
    fill(&home, messages);
    println!("{messages} messages made in {:?}", began.elapsed());
    let ringmail = home.start();
    let server = ringmail.port_of("imap");
    let mut client = Imap::login(server, ANN);
    client.patience(Duration::from_secs(120));
    timed(&mut client, "STATUS INBOX (MESSAGES UNSEEN UIDNEXT SIZE)");
    let selected = timed(&mut client, "SELECT INBOX");
    assert!(selected.contains(&Untagged::Exists(messages as u32)));
    let last = timed(
        &mut client,
        &format!("FETCH {}:* (UID FLAGS ENVELOPE BODYSTRUCTURE)", messages - 49),
    );
    assert_eq!(last.len(), 50);
    let unseen: Vec<u32> = (1..=messages as u32).filter(|number| number % 10 == 0).collect();
    assert_eq!(timed(&mut client, "SEARCH UNSEEN"), [Untagged::Search(unseen)]);
    timed(&mut client, "SEARCH RETURN (COUNT) UNSEEN");
    let wanted = messages as u32 / 2;
    let found = timed(&mut client, &format!("SEARCH SUBJECT \"number {wanted}.\""));
    assert_eq!(found, [Untagged::Search(vec![wanted])]);
    timed(&mut client, "FETCH 1:* (UID FLAGS)");
    watch(&ringmail, server);
    change_many(&mut client, [server, ringmail.port_of("pop3")], messages as u32);
    drop(client);
    ringmail.stop();
}

/// Acts on most of the mailbox, while another user does something small again and again.
fn change_many(client: &mut Imap, [server, pop3]: [SocketAddr; 2], messages: u32) {
    // Closed when this is over, in whatever way.
    let (open, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let _open = open;
        scope.spawn(move || {
            let mut other = Imap::login(server, BEN);
            let mut longest = Duration::ZERO;
            while over.try_recv() == Err(TryRecvError::Empty) {
                let began = Instant::now();
                other.must("CREATE x");
                other.must("DELETE x");
                longest = longest.max(began.elapsed());
            }
            println!("{longest:>12?}  the longest of another user's CREATE with DELETE");
        });
        timed(client, "STORE 1:* +FLAGS.SILENT (\\Flagged)");
        let flagged = timed(client, "SEARCH RETURN (COUNT) FLAGGED");
        told(&flagged, &format!("COUNT {messages}"));
        client.must("CREATE Old");
        let half = messages / 2;
        let moved = timed(client, &format!("MOVE 1:{half} Old"));
        let gone = |untagged: &[Untagged]| {
            untagged.iter().filter(|one| matches!(one, Untagged::Expunge(1))).count()
        };
        assert_eq!(gone(&moved), half as usize);
        // One COPYUID for all.
        told(&moved, &format!(" 1:{half} 1:{half}]"));
        let quarter = half / 2;
        remove_first(pop3, quarter);
        assert_eq!(gone(&timed(client, "NOOP")), quarter as usize);
        timed(client, "STORE 1:* +FLAGS.SILENT (\\Deleted)");
        assert_eq!(gone(&timed(client, "EXPUNGE")), (messages - half - quarter) as usize);
        let left = client.must("STATUS Old (MESSAGES)").untagged;
        told(&left, &format!("MESSAGES {half}"));
    });
}

/// The first messages of Ann's INBOX go over POP3.
fn remove_first(server: SocketAddr, count: u32) {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut ok = |count: u32| {
        for _ in 0..count {
            let reply = replies.next().unwrap().unwrap();
            assert!(reply.starts_with("+OK"), "{reply}");
        }
    };
    ok(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            let marks: String = (1..=count).map(|number| format!("DELE {number}\r\n")).collect();
            let login = format!("USER {ANN}\r\nPASS secret\r\n");
            (&stream).write_all((login + &marks).as_bytes()).unwrap();
        });
        ok(2 + count);
    });
    let began = Instant::now();
    (&stream).write_all(b"QUIT\r\n").unwrap();
    ok(1);
    println!("{:>12?}  QUIT of POP3, which removes {count}", began.elapsed());
}

/// One line has these words.
fn told(untagged: &[Untagged], words: &str) {
    let has = |one: &&Untagged| matches!(one, Untagged::Other(text) if text.contains(words));
    assert_eq!(untagged.iter().filter(has).count(), 1, "{words}");
}

fn fill(home: &Home, messages: usize) {
    let mut store = Direct::open(home);
    store.add_accounts([ANN, BEN].into_iter().map(str::to_owned));
    let account = store.account(ANN);
    for first in (1..=messages).step_by(TOGETHER) {
        let numbers = first..=messages.min(first + TOGETHER - 1);
        let made = numbers.map(|number| {
            let seen = if number % 10 == 0 { Flags::default() } else { Flags::SEEN };
            let text = format!(
                "From: Bob <bob@y.example>\r\nTo: Ann <{ANN}>\r\nSubject: number {number}.\r\n\
                 Date: Mon, 23 Nov 2026 09:05:00 +0000\r\nMessage-ID: <{number}@y.example>\r\n\
                 \r\nHello {number}.\r\n"
            );
            (text.into_bytes(), seen)
        });
        store.append(account, made);
    }
    store.close();
}

fn timed(client: &mut Imap, command: &str) -> Vec<Untagged> {
    let began = Instant::now();
    let reply = client.must(command);
    println!("{:>12?}  {command}", began.elapsed());
    reply.untagged
}

/// Sessions that have the mailbox selected, half of them in IDLE.
fn watch(ringmail: &super::support::binary::Ringmail, server: SocketAddr) {
    let mut sessions = Vec::new();
    let open = |sessions: &mut Vec<Imap>, count: usize| {
        for number in 0..count {
            let mut client = Imap::login(server, ANN);
            client.must("SELECT INBOX");
            if number % 2 == 0 {
                client.idle().unwrap();
            }
            sessions.push(client);
        }
    };
    // What every process takes once is not a session's.
    open(&mut sessions, 50);
    let before = ringmail.memory();
    open(&mut sessions, SESSIONS);
    let each = ringmail.memory().saturating_sub(before) / SESSIONS as u64;
    println!("{SESSIONS} sessions take {each} octets each");
    assert!(each < SESSION_MAX, "{each} octets");
    let ports: BTreeSet<u16> =
        sessions.iter().map(|client| client.stream().local_addr().unwrap().port()).collect();
    assert_eq!(ports.len(), SESSIONS + 50);
    drop(sessions);
    eventually("the sessions are closed", || (ringmail.open_descriptors() < 200).then_some(()));
}
