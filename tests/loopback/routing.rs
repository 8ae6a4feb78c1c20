//! Where mail goes: MX records, their fall-backs and troubles, and who may send it.

use std::net::SocketAddr;

use hickory_proto::rr::RecordType;

use super::{relay_to, start, support};
use support::{
    SINK_PORT,
    binary::Settings,
    dns::{Data, Dns, Transport, Zone},
    fresh_address,
    sink::{Script, Sink, Turn},
    source::{Client, SENDER, deliver, numbered},
};

fn send(server: SocketAddr, rcpt: &str) {
    let body = numbered(rcpt, 200);
    let reply = Client::connect(server).send(&format!("<{SENDER}>"), &[rcpt], &body).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn mx_records_are_tried_in_order() {
    let (mut first, second) = (Sink::start(Script::default()), Sink::start(Script::default()));
    let dns = Dns::start(Zone::new(&[
        ("rcpt.example", Data::Mx(20, "second.example")),
        ("rcpt.example", Data::Mx(10, "first.example")),
        ("first.example", Data::Address(first.address.ip())),
        ("second.example", Data::Address(second.address.ip())),
    ]));
    let (_home, ringmail) = start(&Settings::dns(dns.address, SINK_PORT));
    send(ringmail.smtp, "<bob@rcpt.example>");
    first.wait_for(1);
    assert!(second.mails().is_empty());
    first.go_down();
    send(ringmail.smtp, "<ben@rcpt.example>");
    second.wait_for(1);
    assert_eq!(dns.asked("rcpt.example", RecordType::MX, Transport::Datagram), 1, "cached");
}

#[test]
fn a_domain_without_mx_is_its_own_host() {
    let sink = Sink::start(Script::default());
    let dns = Dns::start(Zone::new(&[
        ("plain.example", Data::Address(sink.address.ip())),
        ("alias.example", Data::Alias("plain.example")),
    ]));
    let (_home, ringmail) = start(&Settings::dns(dns.address, SINK_PORT));
    send(ringmail.smtp, "<bob@plain.example>");
    sink.wait_for(1);
    send(ringmail.smtp, "<bob@alias.example>");
    sink.wait_for(2);
    send(ringmail.smtp, &format!("<bob@[{}]>", sink.address.ip()));
    sink.wait_for(3);
}

#[test]
fn no_such_host_is_told_to_the_sender() {
    let sink = Sink::start(Script::default());
    for (rcpt, status) in [
        // RFC 7505 §4.1.
        ("<bob@nomail.example>", "Status: 5.1.10\r\n"),
        ("<bob@absent.example>", "Status: 5."),
        ("<bob@empty.example>", "Status: 5."),
    ] {
        let dns = Dns::start(Zone::new(&[
            ("nomail.example", Data::Mx(0, ".")),
            ("empty.example", Data::Nothing),
            ("sender.example", Data::Address(sink.address.ip())),
        ]));
        let (_home, ringmail) = start(&Settings::dns(dns.address, SINK_PORT));
        let before = sink.mails().len();
        send(ringmail.smtp, rcpt);
        let report = sink.wait_for(before + 1)[before].text();
        assert!(report.contains(status) && report.contains("Action: failed\r\n"), "{report}");
    }
}

#[test]
fn a_broken_zone_is_waited_for() {
    let sink = Sink::start(Script::default());
    let records = [("rcpt.example", Data::Address(sink.address.ip()))];
    let broken = vec!["rcpt.example"];
    let dns = Dns::start(Zone { broken, ..Zone::new(&records) });
    let (_home, ringmail) = start(&Settings::dns(dns.address, SINK_PORT));
    send(ringmail.smtp, "<bob@rcpt.example>");
    ringmail.wait_for_log("status=deferred", 1);
    dns.set(Zone::new(&records));
    sink.wait_for(1);
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let sink = Sink::start(Script::default());
    let records = [
        ("rcpt.example", Data::Mx(10, "mx.example")),
        ("mx.example", Data::Address(sink.address.ip())),
    ];
    let truncated = vec!["rcpt.example", "mx.example"];
    let dns = Dns::start(Zone { truncated, ..Zone::new(&records) });
    let (_home, ringmail) = start(&Settings::dns(dns.address, SINK_PORT));
    send(ringmail.smtp, "<bob@rcpt.example>");
    sink.wait_for(1);
    assert_eq!(dns.asked("rcpt.example", RecordType::MX, Transport::Stream), 1);
}

#[test]
fn a_host_that_refuses_or_is_silent_is_passed_over() {
    let closed = SocketAddr::new(fresh_address(), SINK_PORT);
    let silent = Sink::start(Script { greeting: [Turn::Stall].into(), ..Script::default() });
    let sink = Sink::start(Script::default());
    let mut settings = Settings::route(&[closed, silent.address, sink.address]);
    settings.delivery = "greeting_timeout = \"500ms\"\n".into();
    let (_home, ringmail) = start(&settings);
    deliver(ringmail.smtp, &numbered("1", 200));
    sink.wait_for(1);
    ringmail.wait_for_log("status=sent", 1);
    assert!(!ringmail.log().contains("status=deferred"), "{}", ringmail.log());
    assert_eq!(silent.connections(), 1);
}

#[test]
fn relaying_is_for_the_networks_named() {
    let sink = Sink::start(Script::default());
    let mut settings = Settings::route(&[sink.address]);
    settings.relay_networks = "[]";
    let (_home, ringmail) = start(&settings);
    let mut client = Client::connect(ringmail.smtp);
    client.expect("MAIL FROM:<alice@sender.example>", "250");
    for rcpt in [
        "bob@rcpt.example",
        "\"bob@rcpt.example\"@other.example",
        "bob%rcpt.example@other.example",
        "@relay.test.example:bob@rcpt.example",
        "bob@[127.0.0.1]",
    ] {
        client.expect(&format!("RCPT TO:<{rcpt}>"), "550 5.7.1");
    }
    client.expect("DATA", "5");
    client.expect("QUIT", "221");
    ringmail.wait_for_log("NOQUEUE: reject: RCPT from", 5);
    assert!(sink.mails().is_empty());
}

#[test]
fn postmaster_of_a_local_domain_is_forwarded() {
    let sink = Sink::start(Script::default());
    let mut settings = Settings::route(&[sink.address]);
    settings.relay_networks = "[]";
    settings
        .more
        .push_str("[local]\ndomains = [\"local.example\"]\npostmaster = \"admin@rcpt.example\"\n");
    let (_home, ringmail) = start(&settings);
    let mut client = Client::connect(ringmail.smtp);
    client.expect("MAIL FROM:<alice@sender.example>", "250");
    client.expect("RCPT TO:<somebody@local.example>", "550 5.1.1");
    client.expect("RSET", "250");
    for (index, rcpt) in ["<PostMaster@LOCAL.example>", "<postmaster>"].iter().enumerate() {
        let mut client = Client::connect(ringmail.smtp);
        let body = numbered("x", 100);
        let reply = client.send(&format!("<{SENDER}>"), &[rcpt], &body).unwrap();
        assert!(reply.starts_with("250"), "{rcpt}: {reply}");
        let mails = sink.wait_for(index + 1);
        assert!(mails[index].recipients[0].starts_with("<admin@rcpt.example>"));
    }
}

#[test]
fn one_connection_carries_many_messages() {
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let mut client = Client::connect(ringmail.smtp);
    for number in 0..20 {
        let body = numbered(&number.to_string(), 200);
        client.send(&format!("<{SENDER}>"), &["<bob@rcpt.example>"], &body).unwrap();
        sink.wait_for(number + 1);
    }
    // Lanes of one destination may hold a connection each.
    assert!(sink.connections() <= 4, "{} connections for 20 messages", sink.connections());
}
