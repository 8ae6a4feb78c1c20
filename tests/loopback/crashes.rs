//! Nothing acknowledged is lost: not by a stop, a kill, a full store or too few descriptors.
//!
//! `RINGMAIL_PROOF_KILLS=30` makes the proof by kill -9 as long as a release wants it.

use std::{collections::HashMap, thread, time::Duration};

use rustix::process::{Resource, Rlimit, prlimit};

use super::{relay_to, start, support};
use support::{
    PATIENCE,
    binary::{Home, Settings},
    eventually,
    ledger::Ledger,
    proof_size,
    sink::{Mail, Script, Sink},
    source::{Client, Load, deliver, fill_up, numbered},
};

/// Waits until every id is here; how often each came.
fn wait_for_all(sink: &Sink, ids: &[String]) -> HashMap<String, usize> {
    // Ids are read once each: a look at all mail at every arrival would be slow.
    let (mut counts, mut seen) = (HashMap::new(), 0);
    let what = format!("all of {} acknowledged messages", ids.len());
    let mut missing: std::collections::HashSet<&String> = ids.iter().collect();
    sink.wait_until(4 * PATIENCE, &what, |mails: &[Mail]| {
        for mail in &mails[seen..] {
            let id = mail.field("X-Test-Id").unwrap_or_default();
            missing.remove(&id);
            *counts.entry(id).or_default() += 1;
        }
        seen = mails.len();
        missing.is_empty()
    });
    counts
}

#[test]
fn sigterm_loses_nothing_and_repeats_nothing() {
    let sink = Sink::start(Script { delay: Duration::from_millis(5), ..Script::default() });
    let (home, ringmail) = relay_to(&sink);
    let load = Load::new("term", usize::MAX);
    thread::scope(|scope| {
        scope.spawn(|| load.run(ringmail.smtp, 8, 2000));
        load.wait_for(100);
        ringmail.send_sigterm();
    });
    ringmail.wait_for_end();
    let acknowledged = load.acknowledged();
    assert!(acknowledged.len() >= 100);
    let _again = home.start();
    let counts = wait_for_all(&sink, &acknowledged);
    for id in &acknowledged {
        assert_eq!(counts[id], 1, "{id}");
    }
}

#[test]
fn sigterm_tells_an_idle_client() {
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let mut client = Client::connect(ringmail.smtp);
    ringmail.send_sigterm();
    let reply = client.reply().unwrap();
    assert!(reply.starts_with("421 4.3.2"), "{reply}");
    assert!(client.is_closed());
    ringmail.wait_for_end();
}

#[test]
fn a_kill_loses_nothing_acknowledged() {
    let sink = Sink::start(Script::default());
    let home = Home::new(&Settings::route(&[sink.address]));
    let mut ledger = Ledger::default();
    let kills = proof_size("RINGMAIL_PROOF_KILLS", 3);
    for round in 0..kills {
        let ringmail = home.start();
        let load = Load::new(&format!("kill{round}"), usize::MAX);
        let server = ringmail.smtp;
        thread::scope(|scope| {
            scope.spawn(|| load.run(server, 8, 1000 + 3000 * (round % 3)));
            // The blow falls at another moment in each round.
            load.wait_for(20 + 37 * (round % 7));
            thread::sleep(Duration::from_micros(1700 * (round as u64 % 11)));
            ringmail.kill();
        });
        ledger.enter(&load);
        ledger.receive(&sink);
    }
    let _last = home.start();
    ledger.settle(&sink, 4 * PATIENCE);
    println!("{kills} kills, {ledger}");
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let sink = Sink::start(Script::default());
    let (home, ringmail) = relay_to(&sink);
    let (status, said) = home.start_in_vain();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("data"), "names the folder: {said}");
    deliver(ringmail.smtp, &numbered("1", 100));
    sink.wait_for(1);
}

#[test]
fn a_full_store_refuses_and_recovers() {
    let mut sink = Sink::down(Script::default());
    let mut settings = Settings::route(&[sink.address]);
    settings.smtp = "message_size_max = \"1MiB\"\n".into();
    settings.more.push_str("[store]\nsize_max = \"24MiB\"\n");
    let (_home, ringmail) = start(&settings);
    let (reply, taken) = fill_up(ringmail.smtp, 300_000, 100);
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    assert!(taken.len() > 5, "{} messages of 300,000 octets in 24 MiB", taken.len());
    sink.come_up();
    let counts = wait_for_all(&sink, &taken);
    assert_eq!(counts.len(), taken.len());
    eventually("mail is taken again", || {
        let mut client = Client::connect(ringmail.smtp);
        let body = numbered("after", 300_000);
        let reply = client.send("<a@sender.example>", &["<b@rcpt.example>"], &body).unwrap();
        reply.starts_with("250").then_some(())
    });
    wait_for_all(&sink, &["after".to_owned()]);
}

#[test]
fn too_few_descriptors_slow_it_down_and_no_more() {
    let sink = Sink::start(Script::default());
    let mut settings = Settings::route(&[sink.address]);
    settings.smtp = "connections_per_client_max = 1000\n".into();
    let (_home, mut ringmail) = start(&settings);
    let limit = Some(ringmail.open_descriptors() as u64 + 20);
    let limit = Rlimit { current: limit, maximum: limit };
    prlimit(Some(ringmail.pid()), Resource::Nofile, limit).unwrap();
    let crowd: Vec<_> =
        (0..60).map(|_| std::net::TcpStream::connect(ringmail.smtp).unwrap()).collect();
    // Two looks at the CPU, a second apart: it rests, it does not spin.
    let before = ringmail.cpu_ticks();
    thread::sleep(Duration::from_secs(1));
    let spent = ringmail.cpu_ticks() - before;
    assert!(spent < 30, "{spent} of 100 clock ticks spent on being out of descriptors");
    assert!(ringmail.is_running());
    drop(crowd);
    eventually("mail is taken again", || {
        let mut client = Client::try_connect(ringmail.smtp).ok()?;
        let body = numbered("after", 300);
        let reply = client.send("<a@sender.example>", &["<b@rcpt.example>"], &body).ok()?;
        reply.starts_with("250").then_some(())
    });
    sink.wait_for(1);
}
