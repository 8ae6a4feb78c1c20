//! What comes in is told to clients in IDLE, and how soon.

use std::time::{Duration, Instant};

use super::{
    home_of,
    support::{
        imap::{Imap, Said, Untagged},
        source::{Client, SENDER, numbered},
    },
};

const ANN: &str = "ann@x.example";
const MESSAGES: usize = 100;

/// The sessions are on all cores, so some are told by a core that did not take the message.
const SESSIONS: usize = 6;

#[test]
fn mail_is_told_to_clients_in_idle_at_once() {
    let home = home_of(&[ANN]);
    let ringmail = home.start();
    let server = ringmail.port_of("imap");
    let mut idle: Vec<(Imap, String)> = (0..SESSIONS)
        .map(|_| {
            let mut client = Imap::login(server, ANN);
            client.must("SELECT INBOX");
            let tag = client.idle().unwrap();
            (client, tag)
        })
        .collect();
    let mut other = Imap::login(server, ANN);
    let appended = measure(&mut idle, 0, |number| {
        let reply = other.append("INBOX", "", &numbered(&format!("idle-{number}"), 3000)).unwrap();
        assert_eq!(reply.status, "OK", "{}", reply.text);
    });
    tell("APPEND", appended);
    let mut sender = Client::connect(ringmail.smtp);
    let delivered = measure(&mut idle, MESSAGES, |number| {
        let body = numbered(&format!("mail-{number}"), 3000);
        let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{ANN}>"));
        let reply = sender.send(&mail, &[&rcpt], &body).unwrap();
        assert!(reply.starts_with("250 "), "{reply}");
    });
    tell("delivery", delivered);
    for (mut client, tag) in idle {
        assert_eq!(client.done(&tag).unwrap().status, "OK");
    }
    ringmail.stop();
}

/// The times from each acknowledgement until all have been told.
fn measure(
    idle: &mut [(Imap, String)],
    before: usize,
    mut put: impl FnMut(usize),
) -> Vec<Duration> {
    let times = (0..MESSAGES).map(|number| {
        put(number);
        let acknowledged = Instant::now();
        for (client, _) in idle.iter_mut() {
            hear(client, (before + number + 1) as u32);
        }
        acknowledged.elapsed()
    });
    times.collect()
}

fn hear(client: &mut Imap, count: u32) {
    loop {
        match client.hear().unwrap() {
            Said::Untagged(Untagged::Exists(exists)) if exists == count => return,
            Said::Untagged(_) => {}
            other => panic!("{other:?} in IDLE"),
        }
    }
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("IDLE, {SESSIONS} sessions, {what}: median {median:?}, longest {longest:?}");
    assert!(longest < Duration::from_secs(5), "{what}: {longest:?}");
}
