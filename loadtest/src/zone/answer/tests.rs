//! Questions to answers, and that nothing a stranger sends ends the server.

use std::net::IpAddr;

use super::*;
use crate::{
    random::Random,
    zone::{data::Plan, file, response::STREAM_OCTETS_MAX},
};

const FILE: &str = r#"
alias.test         CNAME d1.test
away.test          CNAME www.elsewhere.example
lost.test          CNAME nobody.test
round.test         CNAME trip.test
trip.test          CNAME round.test
d2.test     60     MX    0 .
*.wild.test        A     192.0.2.7
a.wild.test        TXT   "here"
x.y.deep.test      A     192.0.2.8
*.d3.test          A     192.0.2.9
dst.example        MX    10 mx.dst.example
mx.dst.example     A     192.0.2.10
own.example        SOA   ns.own.example root.own.example 5 6 7 8 9
7.2.0.192.in-addr.arpa PTR mx.dst.example
"#;

fn plan() -> Plan {
    Plan {
        suffix: Name::parse("test").expect("a suffix"),
        domains: 10,
        hosts: 2,
        shared: None,
        addresses: ["127.0.0.2", "127.0.0.3", "::1"].map(ip).to_vec(),
        ttl: 300,
        server: ip("127.0.0.1"),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn responder(plan: Plan, text: &str, rules: &[&str]) -> Responder {
    let entries = file::read(text).expect("a zone file");
    let rules = rules.iter().map(|rule| rule.parse().expect(rule)).collect();
    let world = World::new(plan, entries).unwrap_or_else(|error| panic!("{error}"));
    Responder::new(Arc::new(world), Rules::new(rules, 7), Asks::new(1000))
}

/// A query with id 7 and RD, with an OPT record if there is a payload.
fn question(name: &str, kind: &str, payload: Option<u16>) -> Vec<u8> {
    let mut octets = b"\x00\x07\x01\x00\0\x01\0\0\0\0\0\0".to_vec();
    octets.extend_from_slice(Name::parse(name).expect(name).octets());
    octets.extend_from_slice(&Kind::parse(kind).expect(kind).0.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    if let Some(payload) = payload {
        octets[11] = 1;
        octets.extend_from_slice(b"\0\0\x29");
        octets.extend_from_slice(&payload.to_be_bytes());
        octets.extend_from_slice(&[0; 6]);
    }
    octets
}

fn ask(responder: &mut Responder, name: &str, kind: &str) -> String {
    let answer = responder.answer(&question(name, kind, None), Way::Datagram);
    answer.map_or("silence".into(), |answer| shown(&answer.octets))
}

/// A response in words, every octet of it accounted for.
fn shown(octets: &[u8]) -> String {
    let pair = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    assert_eq!((pair(0), pair(2) & 0xF970), (7, 0x8100), "id, and flags that are always so");
    let codes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    let mut text = codes[usize::from(pair(2) & 0xF)].to_owned();
    text += if pair(2) & 0x0400 != 0 { " aa" } else { "" };
    text += if pair(2) & 0x0200 != 0 { " tc" } else { "" };
    let mut at = 12;
    for _ in 0..pair(4) {
        spelled(octets, &mut at);
        at += 4;
    }
    for (section, count) in [("", pair(6)), ("authority ", pair(8)), ("additional ", pair(10))] {
        for _ in 0..count {
            text += &format!("; {section}{}", record(octets, &mut at));
        }
    }
    assert_eq!(at, octets.len());
    text
}

fn record(octets: &[u8], at: &mut usize) -> String {
    let pair = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let quad = |at: usize| u32::from(pair(at)) << 16 | u32::from(pair(at + 2));
    let owner = spelled(octets, at);
    let kind = Kind(pair(*at));
    if kind == Kind::OPT {
        *at += 10;
        return format!("OPT {} {:#x}", pair(*at - 8), quad(*at - 6));
    }
    assert_eq!(pair(*at + 2), CLASS_IN);
    let ttl = quad(*at + 4);
    let (mut data, end) = (*at + 10, *at + 10 + usize::from(pair(*at + 8)));
    *at = end;
    let words = match kind {
        Kind::A => format!("{:?}", &octets[data..end]),
        Kind::AAAA => {
            let address: [u8; 16] = octets[data..end].try_into().expect("16 octets");
            IpAddr::from(address).to_string()
        }
        Kind::TXT if usize::from(octets[data]) != end - data - 1 => "torn strings".into(),
        Kind::TXT => String::from_utf8_lossy(&octets[data + 1..end]).into_owned(),
        Kind::MX => {
            data += 2;
            format!("{} {}", pair(data - 2), spelled(octets, &mut data))
        }
        Kind::SOA => {
            let primary = spelled(octets, &mut data);
            let mailbox = spelled(octets, &mut data);
            format!("{primary} {mailbox} {} {}", quad(data), quad(data + 16))
        }
        _ => spelled(octets, &mut data),
    };
    format!("{owner} {ttl} {kind} {words}")
}

/// The name at a place, pointers followed.
fn spelled(octets: &[u8], at: &mut usize) -> String {
    let (mut text, mut place, mut jumped) = (String::new(), *at, false);
    loop {
        let length = usize::from(octets[place]);
        if length >= 0xC0 {
            let target = (length & 0x3F) << 8 | usize::from(octets[place + 1]);
            assert!(target < place, "pointers point back");
            *at = if jumped { *at } else { place + 2 };
            (place, jumped) = (target, true);
            continue;
        }
        let label = &octets[place + 1..place + 1 + length];
        place += 1 + length;
        if length == 0 {
            *at = if jumped { *at } else { place };
            return if text.is_empty() { ".".into() } else { text };
        }
        text += if text.is_empty() { "" } else { "." };
        text += &String::from_utf8_lossy(label);
    }
}

const SOA: &str = "; authority test 300 SOA ns.test hostmaster.test 1 300";

#[test]
fn the_made_up_zone() {
    let mut responder = responder(plan(), "", &[]);
    for (name, kind, answer) in [
        (
            "d4.test",
            "MX",
            "NOERROR aa; d4.test 300 MX 10 mx0.d4.test; d4.test 300 MX 20 mx1.d4.test; \
             additional mx0.d4.test 300 AAAA ::1; additional mx1.d4.test 300 A [127, 0, 0, 2]",
        ),
        ("mx1.d4.test", "A", "NOERROR aa; mx1.d4.test 300 A [127, 0, 0, 2]"),
        ("D0.TEST", "a", "NOERROR aa; d0.test 300 A [127, 0, 0, 2]"),
        ("d9.test", "TXT", "NOERROR aa; d9.test 300 TXT v=spf1 mx -all"),
        ("test", "SOA", "NOERROR aa; test 300 SOA ns.test hostmaster.test 1 300"),
        ("test", "NS", "NOERROR aa; test 300 NS ns.test; additional ns.test 300 A [127, 0, 0, 1]"),
        ("ns.test", "A", "NOERROR aa; ns.test 300 A [127, 0, 0, 1]"),
    ] {
        assert_eq!(ask(&mut responder, name, kind), answer, "{name} {kind}");
    }
    for (name, kind) in [
        ("d0.test", "AAAA"),
        ("d0.test", "TLSA"),
        ("d0.test", "TYPE9999"),
        ("mx0.d0.test", "MX"),
        ("test", "A"),
    ] {
        assert_eq!(ask(&mut responder, name, kind), format!("NOERROR aa{SOA}"), "{name} {kind}");
    }
    for name in [
        "d10.test",
        "d04.test",
        "d.test",
        "d-1.test",
        "d99999999999999999999.test",
        "dx.test",
        "mx2.d0.test",
        "mx.d0.test",
        "mx0.test",
        "mx0.d10.test",
        "a.mx0.d0.test",
        "nobody.test",
    ] {
        assert_eq!(ask(&mut responder, name, "A"), format!("NXDOMAIN aa{SOA}"), "{name}");
    }
    for (name, kind) in
        [("example", "MX"), (".", "NS"), ("d0.test.example", "A"), ("d0.test", "AXFR")]
    {
        assert_eq!(ask(&mut responder, name, kind), "REFUSED", "{name} {kind}");
    }
}

#[test]
fn the_zone_file() {
    let mut responder = responder(plan(), FILE, &[]);
    for (name, kind, answer) in [
        (
            "alias.test",
            "A",
            "NOERROR aa; alias.test 300 CNAME d1.test; d1.test 300 A [127, 0, 0, 3]",
        ),
        ("alias.test", "CNAME", "NOERROR aa; alias.test 300 CNAME d1.test"),
        ("away.test", "A", "NOERROR aa; away.test 300 CNAME www.elsewhere.example"),
        ("d2.test", "MX", "NOERROR aa; d2.test 60 MX 0 ."),
        ("d2.test", "AAAA", "NOERROR aa; d2.test 300 AAAA ::1"),
        ("any.wild.test", "A", "NOERROR aa; any.wild.test 300 A [192, 0, 2, 7]"),
        ("b.any.wild.test", "A", "NOERROR aa; b.any.wild.test 300 A [192, 0, 2, 7]"),
        ("b.d3.test", "A", "NOERROR aa; b.d3.test 300 A [192, 0, 2, 9]"),
        ("alias.test", "ANY", "NOERROR aa; alias.test 300 CNAME d1.test"),
        (
            "dst.example",
            "MX",
            "NOERROR aa; dst.example 300 MX 10 mx.dst.example; \
             additional mx.dst.example 300 A [192, 0, 2, 10]",
        ),
        (
            "no.dst.example",
            "A",
            "NXDOMAIN aa; authority dst.example 300 SOA ns.test hostmaster.test 1 300",
        ),
        (
            "own.example",
            "MX",
            "NOERROR aa; authority own.example 9 SOA ns.own.example root.own.example 5 9",
        ),
        (
            "7.2.0.192.in-addr.arpa",
            "PTR",
            "NOERROR aa; 7.2.0.192.in-addr.arpa 300 PTR mx.dst.example",
        ),
        ("other.example", "A", "REFUSED"),
    ] {
        let given = ask(&mut responder, name, kind);
        assert_eq!(given, answer, "{name} {kind}");
    }
    // RFC 4592 §2.2.2: names between; a wildcard never stands for a name that is there.
    for (name, code) in [
        ("a.wild.test", "NOERROR"),
        ("wild.test", "NOERROR"),
        ("deep.test", "NOERROR"),
        ("y.deep.test", "NOERROR"),
        ("z.deep.test", "NXDOMAIN"),
        ("b.a.wild.test", "NXDOMAIN"),
    ] {
        assert_eq!(ask(&mut responder, name, "A"), format!("{code} aa{SOA}"), "{name}");
    }
    let lost = format!("NXDOMAIN aa; lost.test 300 CNAME nobody.test{SOA}");
    assert_eq!(ask(&mut responder, "lost.test", "A"), lost);
    let round = ask(&mut responder, "round.test", "A");
    assert_eq!(round.matches("CNAME").count(), ALIASES_MAX + 1);
    assert!(round.starts_with("NOERROR aa; "), "{round}");
}

#[test]
fn shared_hosts() {
    let plan = Plan { shared: Some(3), domains: 10_000_000, ..plan() };
    let mut responder = responder(plan, "", &[]);
    assert_eq!(
        ask(&mut responder, "d9999998.test", "MX"),
        "NOERROR aa; d9999998.test 300 MX 10 mx2.test; d9999998.test 300 MX 20 mx0.test; \
         additional mx2.test 300 AAAA ::1; additional mx0.test 300 A [127, 0, 0, 2]"
    );
    assert_eq!(ask(&mut responder, "mx3.test", "A"), format!("NXDOMAIN aa{SOA}"));
    assert_eq!(ask(&mut responder, "mx0.d0.test", "A"), format!("NXDOMAIN aa{SOA}"));
}

#[test]
fn what_cannot_stand_beside_a_cname_is_told() {
    for text in [
        "\na.test CNAME b.test\na.test A 192.0.2.1",
        "\na.test A 192.0.2.1\na.test CNAME b.test",
        "\na.test CNAME b.test\na.test CNAME c.test",
        "a.test MX 1 b.test\n\na.test CNAME c.test",
    ] {
        let error = World::new(plan(), file::read(text).expect(text)).err().expect(text);
        let start = "line 3: `";
        assert!(error.to_string().starts_with(start), "{text}: {error}");
    }
}

#[test]
fn answers_fit_what_the_asker_takes() {
    let mut responder = responder(Plan { hosts: 100, ..plan() }, "", &[]);
    for (payload, way, octets_max, shape) in [
        (None, Way::Datagram, 512, "NOERROR aa tc"),
        (Some(100), Way::Datagram, 512, "NOERROR aa tc; additional OPT 1232 0x0"),
        (Some(1232), Way::Datagram, 1232, "NOERROR aa tc; additional OPT 1232 0x0"),
        (Some(3000), Way::Datagram, 3000, "NOERROR aa; d4.test 300 MX 10 mx0.d4.test"),
        (Some(65535), Way::Datagram, 4096, "NOERROR aa; d4.test 300 MX 10 mx0.d4.test"),
        (None, Way::Stream, STREAM_OCTETS_MAX, "NOERROR aa; d4.test 300 MX 10 mx0.d4.test"),
    ] {
        let query = question("d4.test", "MX", payload);
        let octets = responder.answer(&query, way).expect("an answer").octets;
        let text = shown(&octets);
        assert!(octets.len() <= octets_max, "{payload:?}: {} octets", octets.len());
        if text.contains(" tc") {
            assert_eq!(text, shape);
        } else {
            assert!(text.starts_with(shape), "{text}");
            assert_eq!(text.matches(" MX ").count(), 100, "{payload:?}");
        }
    }
    // Additional addresses fill what room there is, and the rest is left out without a word.
    let query = question("d4.test", "MX", Some(3000));
    let cut = responder.answer(&query, Way::Datagram).expect("an answer").octets;
    let whole = responder.answer(&query, Way::Stream).expect("an answer").octets;
    assert!(shown(&cut).contains("; additional mx0.d4.test"));
    assert!(cut.len() < whole.len());
    assert_eq!(shown(&whole).matches("; additional mx").count(), 100);
}

#[test]
fn rules_bend_answers() {
    let mx = "NOERROR aa; d1.test 300 A [127, 0, 0, 3]";
    for (rule, way, answer) in [
        ("nxdomain", Way::Datagram, format!("NXDOMAIN aa{SOA}")),
        ("empty", Way::Datagram, format!("NOERROR aa{SOA}")),
        ("servfail", Way::Datagram, "SERVFAIL".into()),
        ("refused", Way::Stream, "REFUSED".into()),
        ("truncate", Way::Datagram, "NOERROR aa tc".into()),
        ("truncate", Way::Stream, mx.into()),
        ("delay=7ms", Way::Datagram, mx.into()),
        ("name=d2.test servfail", Way::Datagram, mx.into()),
        ("type=MX servfail", Way::Datagram, mx.into()),
    ] {
        let mut responder = responder(plan(), "", &[rule]);
        let given = responder.answer(&question("d1.test", "A", None), way).expect(rule);
        assert_eq!(shown(&given.octets), answer, "{rule}");
        let delay = if rule.contains("delay") { 7 } else { 0 };
        assert_eq!(given.delay, Duration::from_millis(delay), "{rule}");
    }
    let mut silent = responder(plan(), "", &["silence"]);
    assert_eq!(ask(&mut silent, "d1.test", "A"), "silence");
    let mut wrong = responder(plan(), "", &["wrong-id"]);
    let usual = responder(plan(), "", &[]).answer(&question("d1.test", "A", None), Way::Stream);
    let given = wrong.answer(&question("d1.test", "A", None), Way::Stream).expect("an answer");
    let usual = usual.expect("an answer");
    assert_ne!(given.octets[..2], usual.octets[..2]);
    assert_eq!(given.octets[2..], usual.octets[2..]);
    let mut noise = responder(plan(), "", &["garbage"]);
    let given = noise.answer(&question("d1.test", "A", None), Way::Stream).expect("an answer");
    assert_eq!(given.octets[..12], usual.octets[..12]);
    assert_ne!(given.octets[12..], usual.octets[12..]);
}

#[test]
fn what_is_no_query_is_answered_or_ignored_and_counted() {
    let mut responder = responder(plan(), "", &[]);
    let good = question("d1.test", "A", None);
    let with = |place: usize, octet: u8| {
        let mut octets = good.clone();
        octets[place] = octet;
        octets
    };
    for (octets, answer) in [
        (good.clone(), Some("NOERROR")),
        (good[..11].to_vec(), None),
        (good[..12].to_vec(), Some("FORMERR")),
        (with(2, 0x81), None),
        (with(5, 2), Some("FORMERR")),
        (with(12, 0xC0), Some("FORMERR")),
        (with(good.len() - 1, 3), Some("REFUSED")),
    ] {
        let given = responder.answer(&octets, Way::Datagram).map(|answer| shown(&answer.octets));
        let code = given.as_deref().and_then(|text| text.split([' ', ';']).next());
        assert_eq!(code, answer, "{octets:02x?}");
    }
    let given = responder.answer(&with(2, 0x29), Way::Datagram).expect("an answer");
    assert_eq!(given.octets, b"\0\x07\xa9\x04\0\0\0\0\0\0\0\0", "NOTIMP, the opcode repeated");
    let mut newer = question("d1.test", "A", Some(1232));
    let version = newer.len() - 5;
    newer[version] = 1;
    let given = responder.answer(&newer, Way::Datagram).expect("an answer").octets;
    assert_eq!(shown(&given), "NOERROR; additional OPT 1232 0x1000000", "BADVERS");
    assert_eq!((responder.asks.total(), responder.faulty), (3, 6));
}

/// Random octets, and good queries with some octets changed, cut or doubled.
#[test]
fn nothing_a_stranger_sends_ends_the_server() {
    const SEED: u64 = 20_261_123;
    const ROUNDS: usize = 100_000;
    let rules = ["p=0.1 wrong-id", "p=0.1 garbage", "p=0.1 truncate", "p=0.1 nxdomain"];
    let mut responder = responder(plan(), FILE, &rules);
    let mut random = Random::new(SEED);
    let names = ["d1.test", "round.test", "x.wild.test", "deep.test", "dst.example", "."];
    for round in 0..ROUNDS {
        let mut below = |bound: usize| random.below(bound);
        let mut octets = if round % 4 == 0 {
            (0..below(80)).map(|_| below(256) as u8).collect()
        } else {
            question(names[below(names.len())], "MX", Some(below(65536) as u16))
        };
        for _ in 0..below(4) {
            if octets.is_empty() {
                break;
            }
            let place = below(octets.len());
            match below(3) {
                0 => octets[place] = below(256) as u8,
                1 => octets.truncate(place),
                _ => octets.extend_from_within(place..),
            }
        }
        let way = if round % 2 == 0 { Way::Datagram } else { Way::Stream };
        if let Some(answer) = responder.answer(&octets, way) {
            assert!(answer.octets.len() <= STREAM_OCTETS_MAX, "round {round} of seed {SEED}");
        }
    }
    assert_eq!(responder.asks.total() + responder.faulty, ROUNDS as u64);
    assert!(responder.asks.total() > ROUNDS as u64 / 8, "mutants that are still queries");
}
