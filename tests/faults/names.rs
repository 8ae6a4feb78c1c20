//! The name servers are gone: what is known still serves, the rest waits, and nobody storms.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use hickory_proto::rr::RecordType;

use super::support::{
    binary::{Home, Settings},
    dns::{Data, Dns, Transport, Zone},
    eventually, eventually_within, proof_size,
    sink::{Script, Sink},
    source::{Client, SENDER, numbered},
};

/// Names that nobody had asked for when the servers went.
const STRANGERS: [&str; 5] =
    ["a.new.example", "b.new.example", "c.new.example", "d.new.example", "e.new.example"];

/// Counts what has come since the last time.
fn take(sink: &Sink, here: &mut HashMap<String, usize>) {
    for (id, times) in Sink::ids(&sink.take()) {
        *here.entry(id).or_default() += times;
    }
}

#[test]
fn name_servers_that_are_gone_stop_no_mail_for_known_domains() {
    let sink = Sink::start(Script::default());
    let mut records = vec![
        ("known.example", Data::Mx(10, "mx.known.example")),
        ("mx.known.example", Data::Address(sink.address.ip())),
    ];
    records.extend(STRANGERS.map(|name| (name, Data::Mx(10, "mx.known.example"))));
    let zone = Zone::new(&records);
    let dns = Dns::start(zone.clone());
    let mut settings = Settings::dns(dns.address, sink.address.port());
    settings.more.push_str("ttl_min = \"0s\"\nttl_max = \"1s\"\nserve_stale = \"1d\"\n");
    let home = Home::new(&settings);
    let ringmail = home.start();
    let send = |domain: &str, id: &str| {
        let (mail, rcpt) = (format!("<{SENDER}>"), format!("<bob@{domain}>"));
        let reply = Client::connect(ringmail.smtp).send(&mail, &[&rcpt], &numbered(id, 300));
        assert!(reply.unwrap().starts_with("250 2.0.0 "));
    };
    send("known.example", "before");
    sink.wait_for(1);
    dns.set(Zone { silent: true, ..zone.clone() });
    let (before, silent_since) = (dns.total(), Instant::now());
    for stranger in STRANGERS {
        for number in 0..10 {
            send(stranger, &format!("{stranger}-{number}"));
        }
    }
    // Many times as long as the answers were to live.
    let outage = Duration::from_secs(proof_size("RINGMAIL_PROOF_DNS_SECONDS", 8) as u64);
    let (began, mut known) = (Instant::now(), 0);
    let mut here = Sink::ids(&sink.take());
    while began.elapsed() < outage {
        let id = format!("known-{known}");
        send("known.example", &id);
        known += 1;
        eventually("mail for the known domain", || {
            take(&sink, &mut here);
            here.contains_key(&id).then_some(())
        });
        // An outage is long, and needs no more than a message now and then.
        thread::sleep(Duration::from_millis(50));
    }
    let asked = dns.total() - before;
    assert_eq!(here.len(), 1 + known, "only the known domain has hosts");
    // A question is asked twice, and rests for five seconds. The known domain has three of them,
    // each stranger one until it is answered.
    let turns = silent_since.elapsed().as_secs() as usize / 5 + 1;
    let most = (3 + STRANGERS.len()) * 2 * turns;
    assert!(asked <= most, "{asked} questions, more than {most}, in {:?}", began.elapsed());
    let told = "Name service error for name=a.new.example type=MX: Host not found, try again";
    ringmail.wait_for_log(told, 1);
    dns.set(zone);
    let all = 1 + known + 10 * STRANGERS.len();
    eventually_within(Duration::from_secs(20), "all mail", || {
        take(&sink, &mut here);
        (here.len() == all).then_some(())
    });
    ringmail.wait_for_log(": removed", all);
    assert!(here.values().all(|times| *times == 1), "each once");
    let stranger = dns.asked(STRANGERS[0], RecordType::MX, Transport::Datagram);
    println!(
        "no name server for {:?}: {known} of {known} messages for a known domain delivered, \
         {asked} questions in all; {stranger} for one unknown domain, outage and after",
        began.elapsed()
    );
}
