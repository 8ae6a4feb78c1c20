//! `ringload imap` against a small server: what it measures, counts, and does about faults.

mod server;

use std::{
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
    sync::atomic::Ordering,
    time::Duration,
};

use ringload::{
    outcome::{Ended, Imap, ImapCommand, Line},
    tls,
};

use self::server::{Answer, Server};

fn start(address: SocketAddr, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["imap", &address.to_string(), "--password", "secret", "--json"])
        .args(["--deadline", "60s"])
        .args(words.split_whitespace())
        .output()
        .unwrap()
}

fn measured(address: SocketAddr, words: &str) -> Imap {
    let output = start(address, words);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().last().unwrap_or_else(|| {
        panic!("no result: {}", String::from_utf8_lossy(&output.stderr));
    });
    match serde_json::from_str(line).unwrap() {
        Line::Result(result) => result,
        Line::Listening { .. } | Line::Progress(_) => panic!("no result: {line}"),
    }
}

fn of<'a>(imap: &'a Imap, name: &str) -> &'a ImapCommand {
    imap.commands.iter().find(|command| command.name == name).unwrap()
}

fn trouble(imap: &Imap, text: &str) -> u64 {
    imap.troubles.iter().find(|trouble| trouble.text == text).map_or(0, |trouble| trouble.count)
}

#[test]
fn every_kind_is_measured_after_the_mailboxes_are_filled() {
    fn rules(word: &str, _: usize) -> Answer {
        match word {
            "SELECT" | "LOGIN" => Answer::After(Duration::from_millis(20)),
            _ => Answer::Ok,
        }
    }
    for (capabilities, cores) in [("LITERAL+", 1), ("NAMESPACE", 2)] {
        let server = Server::start(rules, capabilities);
        let work = "login,list,select,fetch-headers,fetch-bodies,append,store,search";
        let imap = measured(
            server.address,
            &format!(
                "--accounts 5 --sessions 2 --cores {cores} --prefill 3 --size 1KiB,2KiB \
                 --commands 80 --work {work}"
            ),
        );
        assert_eq!((imap.ended, &imap.troubles[..]), (Ended::Count, &[][..]));
        assert_eq!((imap.accounts, imap.sessions), (5, 2));
        let names: Vec<&str> = imap.commands.iter().map(|command| command.name.as_str()).collect();
        assert_eq!(names.join(","), work);
        assert_eq!(imap.commands.iter().map(|command| command.count).sum::<u64>(), 80);
        for name in ["select", "login"] {
            assert!(of(&imap, name).latency.min_us >= 20_000.0, "{name}: {imap:?}");
        }
        let mailboxes = server.state.mailboxes.lock().unwrap();
        assert_eq!(mailboxes.len(), 5, "each account is filled");
        assert!(mailboxes.values().flatten().all(|size| matches!(size, 1024 | 2048)));
        assert!(mailboxes.values().all(|messages| messages.len() >= 3));
        let appended: usize = mailboxes.values().map(Vec::len).sum();
        assert_eq!(appended as u64, 5 * 3 + of(&imap, "append").count);
    }
}

#[test]
fn refusals_and_lost_connections_are_counted_and_the_run_goes_on() {
    fn rules(word: &str, count: usize) -> Answer {
        match (word, count) {
            ("LIST", 3 | 5) => Answer::No("[LIMIT] not now"),
            ("LIST", 7) => Answer::Drop,
            ("LIST", 9) => Answer::Silence,
            _ => Answer::Ok,
        }
    }
    let server = Server::start(rules, "LITERAL+");
    let words = "--sessions 1 --work list --commands 20 --answer-timeout 2s";
    let imap = measured(server.address, words);
    let list = of(&imap, "list");
    assert_eq!((imap.ended, list.count, list.errors), (Ended::Count, 16, 4), "{imap:?}");
    assert_eq!(trouble(&imap, "list: NO [LIMIT] not now"), 2, "{imap:?}");
    assert_eq!(trouble(&imap, "the server closed the connection"), 1, "{imap:?}");
    assert_eq!(trouble(&imap, "no answer to list in time"), 1, "{imap:?}");
    assert_eq!(server.state.connections.load(Ordering::Relaxed), 3);
}

#[test]
fn idle_is_from_the_message_to_the_notice() {
    let delay = Duration::from_millis(30);
    let server = Server::begin(|_, _| Answer::Ok, "IDLE", None, delay);
    let words = "--accounts 2 --sessions 2 --work idle,append --commands 12";
    let imap = measured(server.address, words);
    let (idle, append) = (of(&imap, "idle"), of(&imap, "append"));
    assert_eq!((idle.count + append.count, &imap.troubles[..]), (12, &[][..]));
    assert!(idle.count >= 5 && idle.latency.min_us >= 30_000.0, "{imap:?}");
    assert_eq!(server.count("IDLE"), 2);
}

#[test]
fn a_server_without_idle_is_told() {
    let server = Server::start(|_, _| Answer::Ok, "LITERAL+");
    let imap = measured(server.address, "--sessions 1 --work idle --duration 100ms");
    assert_eq!(of(&imap, "idle").count, 0);
    let text = "the server does not offer IDLE: leave idle out of --work";
    assert!(trouble(&imap, text) > 0, "{imap:?}");
}

#[test]
fn an_open_loop_keeps_its_pace_and_counts_the_wait() {
    fn rules(word: &str, _: usize) -> Answer {
        if word == "LIST" { Answer::After(Duration::from_millis(20)) } else { Answer::Ok }
    }
    let server = Server::start(rules, "");
    // The n-th is due after n / 50 s: the last of 40 not before 0.78 s, plus the answer's 20 ms.
    let even = measured(server.address, "--sessions 4 --work list --rate 50/s --commands 40");
    assert!(even.seconds >= 0.8, "{even:?}");
    // One session answers 50 a second at most: of 40 due within 0.1 s the last waits 0.7 s.
    let late = measured(server.address, "--sessions 1 --work list --rate 400/s --commands 40");
    assert!(of(&late, "list").latency.max_us >= 700_000.0, "{late:?}");
    assert!(of(&late, "list").latency.min_us >= 20_000.0, "{late:?}");
}

#[test]
fn tls_is_begun_by_starttls() {
    let config = tls::server_config().unwrap();
    let server = Server::begin(|_, _| Answer::Ok, "", Some(config), Duration::ZERO);
    let words = "--sessions 2 --work login,list --tls starttls --commands 8";
    let imap = measured(server.address, words);
    assert_eq!(of(&imap, "login").count + of(&imap, "list").count, 8, "{imap:?}");
    assert_eq!(server.count("STARTTLS"), server.count("LOGIN"));
    assert_eq!(start(server.address, "--sessions 1 --tls implicit").status.code(), Some(1));
}

#[test]
fn a_run_that_cannot_be_is_told_in_a_sentence() {
    fn rules(word: &str, _: usize) -> Answer {
        if word == "LOGIN" { Answer::No("[AUTHENTICATIONFAILED] who?") } else { Answer::Ok }
    }
    let server = Server::start(rules, "");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let foreign = "192.88.99.1:143".parse().unwrap();
    let table = [
        (server.address, "", 1, "LOGIN: NO [AUTHENTICATIONFAILED] who?"),
        (server.address, "--sessions 2 --work idle", 1, "1 accounts are too few for 2 sessions"),
        (server.address, "--size 10B", 1, "octets"),
        (server.address, "--work noop", 2, "is no work"),
        (server.address, "--accounts-file /nowhere", 1, "/nowhere cannot be read"),
        (closed, "", 1, "Connection refused"),
        (foreign, "", 1, "--i-own-this-target"),
    ];
    for (address, words, code, text) in table {
        let output = start(address, words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(text), "{words}: {said}");
        assert_eq!(output.status.code(), Some(code), "{words}: {said}");
    }
}
