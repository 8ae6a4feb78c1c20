//! The resolver against zones: tables of records in, hosts and verdicts out.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use bytes::Bytes;

use super::*;
use crate::{
    limits::{CNAME_MAX, DNS_IN_FLIGHT_MAX, DNS_ROUNDS, DNS_UNANSWERED_TTL, HOSTS_MAX},
    mail::Domain,
    random::Random,
    time::{Instant, Now},
};

const NEGATIVE_TTL: u32 = 60;

/// Name servers that all serve one zone, and a resolver that asks them.
struct World {
    resolver: Resolver,
    now: Now,
    /// `name ttl TYPE data`, a line a record; the types SERVFAIL, SILENT, CUT (truncated in
    /// datagrams), PLAIN (no EDNS) tell how servers behave for the name.
    zone: &'static str,
    out: Vec<Query>,
    /// `TYPE name` of every exchange.
    log: Vec<String>,
    dead: Vec<SocketAddr>,
}

fn options() -> Options {
    Options {
        servers: vec!["127.0.0.1:5301".parse().unwrap(), "127.0.0.1:5302".parse().unwrap()],
        timeout: Duration::from_secs(2),
        cache_entries_max: 10_000,
        ttl_min: Duration::from_secs(5),
        ttl_max: Duration::from_secs(3600),
        negative_ttl_max: Duration::from_secs(900),
        serve_stale: Duration::ZERO,
    }
}

impl World {
    fn new(zone: &'static str) -> World {
        World::with(zone, 1, options())
    }

    fn with(zone: &'static str, seed: u8, options: Options) -> World {
        let route = |hosts: &[RouteHost]| Route {
            domain: crate::mail::DomainPattern::Any,
            hosts: hosts.into(),
        };
        let name = |name| RouteHost::Name(Domain::parse(name).unwrap(), 2525);
        let address = RouteHost::Address("203.0.113.9:26".parse().unwrap());
        let resolver = Resolver::new(Setup {
            options,
            hostname: "Relay.Example.".into(),
            own_addresses: vec![
                "192.0.2.99:25".parse().unwrap(),
                "[::]:25".parse().unwrap(),
                "192.0.2.98:587".parse().unwrap(),
            ],
            routes: Arc::new([
                route(&[name("b.example"), address, name("a.example")]),
                route(&[name("gone.example")]),
            ]),
            port: 25,
            random: Random::from_seed([seed; 32]),
        });
        let now = Now { instant: Instant::from_micros(1_000_000), ..Now::default() };
        World { resolver, now, zone, out: Vec::new(), log: Vec::new(), dead: Vec::new() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now.instant = self.now.instant + Duration::from_secs(seconds);
    }

    /// Looks up, answering every query, the newest first.
    fn look_up(&mut self, hop: &NextHop) -> Lookup {
        let first = self.resolver.look_up(hop, self.now, &mut self.out);
        if first != Lookup::Pending {
            assert!(self.out.is_empty());
            return first;
        }
        while let Some(query) = self.out.pop() {
            let reply = self.serve(&query);
            let ready = self.resolver.answer(query.key, reply, self.now, &mut self.out);
            if ready.contains(hop) {
                assert!(self.out.is_empty(), "settled with questions open");
                return self.resolver.look_up(hop, self.now, &mut self.out);
            }
            assert_eq!(self.resolver.look_up(hop, self.now, &mut self.out), Lookup::Pending);
        }
        panic!("{hop:?} is pending and nothing is asked");
    }

    fn domain(&mut self, domain: &str) -> String {
        let hop = NextHop::Mx(Domain::parse(domain).unwrap());
        told(&self.look_up(&hop))
    }

    fn serve(&mut self, query: &Query) -> Result<Bytes, ()> {
        let (name, kind) = asked(&query.message);
        let edns = query.message[11] == 1;
        self.log.push(format!("{kind} {name}{}", if query.stream { " by stream" } else { "" }));
        let behaviour =
            |what| self.zone.lines().any(|line| line.trim() == format!("{name} {what}"));
        if self.dead.contains(&query.server) || behaviour("SILENT") {
            return Err(());
        }
        if behaviour("SERVFAIL") {
            return Ok(reply(&query.message, 2, &[], &[]));
        }
        if behaviour("PLAIN") && edns {
            return Ok(reply(&query.message, 1, &[], &[]));
        }
        if behaviour("CUT") && !query.stream {
            let mut cut = reply(&query.message, 0, &[], &[]).to_vec();
            cut[2] |= 2;
            cut[7] = 9; // Nine answers are promised and none is there.
            return Ok(cut.into());
        }
        Ok(authority(self.zone, &query.message, &name, kind))
    }
}

/// What a server that knows the zone says.
fn authority(zone: &str, query: &[u8], name: &str, kind: &str) -> Bytes {
    let records: Vec<Vec<&str>> = zone.lines().map(|l| l.split_whitespace().collect()).collect();
    let records = || records.iter().filter(|r| r.len() > 3);
    let soa = record(&["example", "3600", "SOA"]);
    let (mut owner, mut answers) = (name.to_owned(), Vec::new());
    // Links beyond this are left for another query, as some servers do.
    for _ in 0..3 {
        match records().find(|r| r[0] == owner && r[2] == "CNAME") {
            Some(link) => {
                answers.push(record(link));
                owner = link[3].to_owned();
            }
            None => break,
        }
    }
    let chain = answers.len();
    answers.extend(records().filter(|r| r[0] == owner && r[2] == kind).map(|r| record(r)));
    let exists = records().any(|r| r[0] == owner);
    let ends = !records().any(|r| r[0] == owner && r[2] == "CNAME");
    match (answers.len() > chain, exists) {
        (true, _) => reply(query, 0, &answers, &[]),
        (false, false) => reply(query, 3, &answers, &[soa]),
        (false, true) if ends => reply(query, 0, &answers, &[soa]),
        (false, true) => reply(query, 0, &answers, &[]),
    }
}

/// The name and type that a query asks for.
fn asked(query: &[u8]) -> (String, &'static str) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(std::str::from_utf8(&query[at + 1..end]).unwrap());
        at = end;
    }
    let kind = match query[at + 2] {
        15 => "MX",
        1 => "A",
        28 => "AAAA",
        other => panic!("type {other}"),
    };
    (labels.join("."), kind)
}

/// The reply to `query`, with records as they stand on the wire.
fn reply(query: &[u8], rcode: u8, answers: &[Vec<u8>], authorities: &[Vec<u8>]) -> Bytes {
    let question_end = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
    let mut out = query[..question_end].to_vec();
    (out[2], out[3]) = (0x81, 0x80 | rcode);
    (out[7], out[9], out[11]) = (answers.len() as u8, authorities.len() as u8, 0);
    for record in answers.iter().chain(authorities) {
        out.extend_from_slice(record);
    }
    out.into()
}

/// `name ttl TYPE data…` for the wire.
fn record(words: &[&str]) -> Vec<u8> {
    let name = |text: &str| {
        let mut out = Vec::new();
        for label in text.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
            out.push(label.len() as u8);
            out.extend_from_slice(label.as_bytes());
        }
        out.push(0);
        out
    };
    let (kind, data): (u16, Vec<u8>) = match words[2] {
        "MX" => {
            let preference = words[3].parse::<u16>().unwrap().to_be_bytes();
            (15, [&preference[..], &name(words[4])].concat())
        }
        "A" => (1, words[3].parse::<std::net::Ipv4Addr>().unwrap().octets().into()),
        "AAAA" => (28, words[3].parse::<std::net::Ipv6Addr>().unwrap().octets().into()),
        "CNAME" => (5, name(words[3])),
        "TXT" => (16, [&[words[3].len() as u8], words[3].as_bytes()].concat()),
        "SOA" => {
            let numbers = [1, 2, 3, 4, NEGATIVE_TTL].map(u32::to_be_bytes).concat();
            (6, [name("ns.example"), name("hostmaster.example"), numbers].concat())
        }
        other => panic!("type {other}"),
    };
    let mut out = name(words[0]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&words[1].parse::<u32>().unwrap().to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(&data);
    out
}

/// A look-up as a line of text.
fn told(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Found(hosts) => {
            let host = |h: &Host| format!("{}={}", h.name, h.address);
            hosts.iter().map(host).collect::<Vec<_>>().join(" ")
        }
        Lookup::Failed(verdict) => format!(
            "{:?} {} {}",
            verdict.outcome,
            verdict.status,
            std::str::from_utf8(&verdict.reason).unwrap()
        ),
        Lookup::Pending => "pending".into(),
    }
}

const ZONE: &str = "
one.example 300 MX 10 mx.one.example
mx.one.example 300 A 192.0.2.1
mx.one.example 300 AAAA 2001:db8::1
two.example 300 MX 20 b.example
two.example 300 MX 10 A.Example
a.example 300 A 192.0.2.10
b.example 300 A 192.0.2.11
implicit.example 300 A 192.0.2.20
implicit.example 300 AAAA 2001:db8::20
null.example 300 MX 0 .
nullish.example 300 MX 0 .
nullish.example 300 MX 10 a.example
empty.example 300 TXT nothing
alias.example 300 CNAME one.example
aliased.example 300 MX 10 www.example
www.example 300 CNAME a.example
dangling.example 300 CNAME gone.example
long.example 300 CNAME l1.example
l1.example 300 CNAME l2.example
l2.example 300 CNAME l3.example
l3.example 300 CNAME l4.example
l4.example 300 CNAME one.example
round.example 300 CNAME around.example
around.example 300 CNAME round.example
literal.example 300 MX 10 192.0.2.1
halfliteral.example 300 MX 10 192.0.2.1
halfliteral.example 300 MX 20 a.example
nohost.example 300 MX 10 gone.example
nohost.example 300 MX 10 empty.example
partly.example 300 MX 10 gone.example
partly.example 300 MX 20 silent.example
partly.example 300 MX 30 a.example
waits.example 300 MX 10 gone.example
waits.example 300 MX 20 silent.example
silent.example SILENT
broken.example SERVFAIL
cut.example 300 MX 10 a.example
cut.example CUT
plain.example 300 MX 10 a.example
plain.example PLAIN
backup.example 300 MX 10 a.example
backup.example 300 MX 20 relay.example
backup.example 300 MX 20 b.example
backup.example 300 MX 30 mx.one.example
final.example 300 MX 10 relay.example
final.example 300 MX 20 a.example
own.example 300 MX 10 a.example
own.example 300 MX 20 me.example
own.example 300 MX 20 b.example
own.example 300 MX 30 b.example
me.example 300 A 192.0.2.99
otherport.example 300 MX 10 op.example
op.example 300 A 192.0.2.98
loopback.example 300 A 127.0.0.1
mapped.example 300 AAAA ::ffff:192.0.2.99
zero.example 300 A 0.0.0.0
relay.example 300 A 192.0.2.50
selfless.example 300 MX 10 silent.example
selfless.example 300 MX 20 relay.example
";

#[test]
fn zones() {
    const NOT_FOUND: &str = "Host or domain name not found. Name service error for name=";
    const NO_DATA: &str = "Host found but no data record of requested type";
    let found = |what: &str| what.to_owned();
    let fault = |what: &str, which: &str| format!("{what} {NOT_FOUND}{which}");
    let a = "a.example=192.0.2.10:25";
    let one = "mx.one.example=[2001:db8::1]:25 mx.one.example=192.0.2.1:25";
    for (domain, want) in [
        ("one.example", found(one)),
        ("ONE.example", found(one)),
        ("two.example", found("a.example=192.0.2.10:25 b.example=192.0.2.11:25")),
        (
            "implicit.example",
            found("implicit.example=[2001:db8::20]:25 implicit.example=192.0.2.20:25"),
        ),
        ("null.example", found("Failed 5.1.10 Domain null.example does not accept mail (nullMX)")),
        ("nullish.example", found(a)),
        ("gone.example", fault("Failed 5.1.2", "gone.example type=MX: Host not found")),
        ("empty.example", fault("Failed 5.4.4", &format!("empty.example type=AAAA: {NO_DATA}"))),
        ("alias.example", found(one)),
        ("aliased.example", found("www.example=192.0.2.10:25")),
        ("dangling.example", fault("Failed 5.1.2", "dangling.example type=MX: Host not found")),
        ("long.example", found(one)),
        ("round.example", fault("Failed 5.4.4", &format!("round.example type=AAAA: {NO_DATA}"))),
        ("literal.example", fault("Failed 5.4.4", &format!("literal.example type=MX: {NO_DATA}"))),
        ("halfliteral.example", found(a)),
        ("nohost.example", fault("Failed 5.4.4", "gone.example type=AAAA: Host not found")),
        ("partly.example", found(a)),
        (
            "waits.example",
            fault("Deferred 4.4.3", "silent.example type=AAAA: Host not found, try again"),
        ),
        (
            "broken.example",
            fault("Deferred 4.4.3", "broken.example type=MX: Host not found, try again"),
        ),
        ("cut.example", found(a)),
        ("plain.example", found(a)),
        ("backup.example", found(a)),
        ("final.example", found("Failed 5.4.6 mail for final.example loops back to myself")),
        ("own.example", found(a)),
        ("me.example", found("Failed 5.4.6 mail for me.example loops back to myself")),
        ("relay.example", found("Failed 5.4.6 mail for relay.example loops back to myself")),
        ("otherport.example", found("op.example=192.0.2.98:25")),
        ("loopback.example", found("Failed 5.4.6 mail for loopback.example loops back to myself")),
        ("mapped.example", found("Failed 5.4.6 mail for mapped.example loops back to myself")),
        ("zero.example", fault("Failed 5.4.4", &format!("zero.example type=AAAA: {NO_DATA}"))),
        (
            "selfless.example",
            fault("Deferred 4.4.3", "silent.example type=AAAA: Host not found, try again"),
        ),
        ("[192.0.2.1]", found("192.0.2.1=192.0.2.1:25")),
        ("[IPv6:2001:db8::5]", found("2001:db8::5=[2001:db8::5]:25")),
        ("[192.0.2.99]", found("Failed 5.4.6 mail for [192.0.2.99] loops back to myself")),
        ("[0.0.0.0]", found("Failed 5.4.4 0.0.0.0 is the address of no host")),
    ] {
        let mut world = World::new(ZONE);
        assert_eq!(world.domain(domain), want, "{domain}; {:?}", world.log);
        let exchanges = world.log.len();
        assert_eq!(world.domain(domain), want, "{domain} from the cache");
        assert_eq!(world.log.len(), exchanges, "{domain}: the cache asked again");
    }
}

#[test]
fn routes_keep_their_order() {
    let mut world = World::new(ZONE);
    assert_eq!(
        told(&world.look_up(&NextHop::Route(0))),
        "b.example=192.0.2.11:2525 203.0.113.9=203.0.113.9:26 a.example=192.0.2.10:2525"
    );
    for (route, want) in [(1, "Deferred 4.4.4 Host or domain"), (9, "Deferred 4.3.5 route 9")] {
        let got = told(&world.look_up(&NextHop::Route(route)));
        assert!(got.starts_with(want), "{got}");
    }
}

#[test]
fn a_name_too_long_for_the_dns_is_no_name() {
    let mut world = World::new("");
    let long = [&"a".repeat(63)[..]; 4].join(".").split_at(254).0.to_owned();
    assert!(world.domain(&long).starts_with("Failed 5.1.2"), "{:?}", world.log);
    assert!(world.log.is_empty());
}

#[test]
fn truncated_answers_are_asked_for_by_stream() {
    let mut world = World::new(ZONE);
    world.domain("cut.example");
    assert_eq!(world.log[..2], ["MX cut.example", "MX cut.example by stream"]);
}

#[test]
fn hosts_behind_the_cut_are_not_asked_for() {
    let mut world = World::new(ZONE);
    world.domain("backup.example");
    world.log.sort();
    assert_eq!(world.log, ["A a.example", "AAAA a.example", "MX backup.example"]);
}

#[test]
fn every_server_is_asked_in_rounds_and_the_failure_is_kept() {
    let mut world = World::new(ZONE);
    let before = world.domain("silent.example");
    assert_eq!(world.log, vec!["MX silent.example"; 2 * DNS_ROUNDS]);
    assert_eq!(world.domain("silent.example"), before);
    assert_eq!(world.log.len(), 2 * DNS_ROUNDS);
    world.pass(DNS_UNANSWERED_TTL.as_secs() + 1);
    world.domain("silent.example");
    assert_eq!(world.log.len(), 4 * DNS_ROUNDS);
}

#[test]
fn a_dead_server_costs_one_timeout() {
    let mut world = World::new(ZONE);
    world.dead = vec![options().servers[0]];
    world.domain("implicit.example");
    assert_eq!(world.log.len(), 4, "{:?}", world.log);
    world.dead = vec![options().servers[1]];
    assert!(!world.domain("one.example").contains("Deferred"));
}

#[test]
fn answers_expire() {
    let mut world = World::new(
        "pos.example 300 A 192.0.2.1
        short.example 0 A 192.0.2.2
        long.example 99999 A 192.0.2.3
        odd.example 4294967295 A 192.0.2.4",
    );
    // Each asks MX (negative), AAAA (negative) and A.
    for (domain, lives, then) in [
        ("pos.example", u64::from(NEGATIVE_TTL), vec!["AAAA", "MX"]),
        ("gone.example", u64::from(NEGATIVE_TTL), vec!["MX"]),
        ("short.example", 5, vec!["A"]),
        ("odd.example", 5, vec!["A"]),
    ] {
        world.domain(domain);
        world.log.clear();
        world.pass(lives);
        world.domain(domain);
        assert!(world.log.is_empty(), "{domain}: {:?}", world.log);
        world.pass(1);
        world.domain(domain);
        let mut kinds: Vec<_> = world.log.iter().map(|l| l.split(' ').next().unwrap()).collect();
        kinds.sort();
        assert_eq!(kinds, then, "{domain}");
    }
    world.domain("long.example");
    world.pass(3601);
    world.log.clear();
    world.domain("long.example");
    assert_eq!(world.log.len(), 3, "ttl_max holds");
}

#[test]
fn stale_answers_serve_when_no_server_answers() {
    let mut options = options();
    options.serve_stale = Duration::from_secs(86_400);
    let mut world = World::with(ZONE, 1, options.clone());
    let (mx, implicit) = (world.domain("two.example"), world.domain("implicit.example"));
    world.domain("gone.example");
    world.dead = options.servers;
    world.pass(7200);
    assert_eq!(world.domain("two.example"), mx);
    assert_eq!(world.domain("implicit.example"), implicit);
    assert!(world.domain("gone.example").starts_with("Deferred 4.4.3"), "a stale no bounces");
    let exchanges = world.log.len();
    assert_eq!(world.domain("two.example"), mx);
    assert_eq!(world.log.len(), exchanges, "dead servers rest");
    world.pass(86_400);
    assert!(world.domain("two.example").starts_with("Deferred 4.4.3"));
}

#[test]
fn an_hour_without_servers_serves_what_is_known_and_asks_seldom() {
    let mut options = options();
    options.serve_stale = Duration::from_secs(86_400);
    let mut world = World::with(ZONE, 1, options.clone());
    let known = world.domain("two.example");
    world.pass(3600);
    world.dead = options.servers.clone();
    world.log.clear();
    for _ in 0..3600 {
        for _ in 0..10 {
            assert_eq!(world.domain("two.example"), known);
            assert!(world.domain("stranger.example").starts_with("Deferred 4.4.3"));
        }
        world.pass(1);
    }
    // Each question is asked in all rounds of all servers, and then rests.
    let turns = 3600 / DNS_UNANSWERED_TTL.as_secs() as usize;
    for question in ["MX two.example", "MX stranger.example"] {
        let asked = world.log.iter().filter(|asked| *asked == question).count();
        assert!(asked <= turns * DNS_ROUNDS * options.servers.len(), "{question}: {asked}");
        assert!(asked > turns / 2, "{question}: {asked}, it would not see the servers again");
    }
    world.dead.clear();
    world.pass(DNS_UNANSWERED_TTL.as_secs() + 1);
    assert_eq!(world.domain("two.example"), known);
    assert!(world.domain("stranger.example").starts_with("Failed 5.1.2"), "and is known now");
}

#[test]
fn equal_preferences_are_shuffled_by_the_seed() {
    const EQUALS: &str = "e.example 300 MX 10 a.example\ne.example 300 MX 10 b.example
        e.example 300 MX 10 c.example\ne.example 300 MX 20 d.example
        a.example 300 A 192.0.2.1\nb.example 300 A 192.0.2.2\nc.example 300 A 192.0.2.3
        d.example 300 A 192.0.2.4\nd.example 300 A 192.0.2.5";
    let orders = |seed| {
        let mut world = World::with(EQUALS, seed, options());
        (0..600).map(|_| world.domain("e.example")).collect::<Vec<_>>()
    };
    assert_eq!(orders(1), orders(1));
    assert_ne!(orders(1), orders(2));
    let mut counts = BTreeMap::new();
    for order in orders(1) {
        let hosts: Vec<_> = order.split(' ').collect();
        assert!(hosts[3..].iter().all(|h| h.starts_with("d.")), "{order}");
        *counts.entry(hosts[..3].join(" ")).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|n| (60..140).contains(n)), "{counts:?}");
}

#[test]
fn hops_share_questions_and_wait_for_room() {
    let mut world = World::new(ZONE);
    // Three hops, one host: its A and AAAA are asked for once.
    let hops = ["one.example", "alias.example", "long.example"]
        .map(|domain| NextHop::Mx(Domain::parse(domain).unwrap()));
    for hop in &hops {
        assert_eq!(world.resolver.look_up(hop, world.now, &mut world.out), Lookup::Pending);
        assert_eq!(world.resolver.look_up(hop, world.now, &mut world.out), Lookup::Pending);
    }
    assert_eq!(world.out.len(), 3);
    let mut settled = Vec::new();
    while !world.out.is_empty() {
        let query = world.out.remove(0);
        let reply = world.serve(&query);
        settled.extend(world.resolver.answer(query.key, reply, world.now, &mut world.out));
    }
    settled.sort();
    assert_eq!(settled.len(), 3);
    let addresses = world.log.iter().filter(|l| l.contains("mx.one.example")).count();
    assert_eq!(addresses, 2, "{:?}", world.log);
    // More names than may be asked at a time: the rest follows as answers come.
    let count = DNS_IN_FLIGHT_MAX + 100;
    for n in 0..count {
        let hop = NextHop::Mx(Domain::parse(&format!("n{n}.example")).unwrap());
        assert_eq!(world.resolver.look_up(&hop, world.now, &mut world.out), Lookup::Pending);
    }
    assert_eq!(world.out.len(), DNS_IN_FLIGHT_MAX);
    let (mut settled, mut most) = (0, 0);
    while let Some(query) = world.out.pop() {
        let reply = world.serve(&query);
        let ready = world.resolver.answer(query.key, reply, world.now, &mut world.out);
        most = most.max(world.out.len());
        settled += ready.len();
    }
    assert_eq!((settled, most), (count, DNS_IN_FLIGHT_MAX));
}

#[test]
fn a_look_up_ends_though_its_first_answers_expire_meanwhile() {
    let mut options = options();
    (options.ttl_min, options.ttl_max) = (Duration::ZERO, Duration::ZERO);
    let mut world = World::with(ZONE, 1, options);
    let hop = NextHop::Mx(Domain::parse("two.example").unwrap());
    assert_eq!(world.resolver.look_up(&hop, world.now, &mut world.out), Lookup::Pending);
    for exchange in 0.. {
        assert!(exchange < 10, "it never ends");
        let query = world.out.pop().unwrap();
        world.pass(2);
        let reply = world.serve(&query);
        if !world.resolver.answer(query.key, reply, world.now, &mut world.out).is_empty() {
            break;
        }
    }
    let lookup = world.resolver.look_up(&hop, world.now, &mut world.out);
    assert!(matches!(lookup, Lookup::Found(hosts) if hosts.len() == 2));
}

#[test]
fn late_and_foreign_answers_change_nothing() {
    let mut world = World::new(ZONE);
    let hop = NextHop::Mx(Domain::parse("one.example").unwrap());
    world.resolver.look_up(&hop, world.now, &mut world.out);
    let query = world.out.pop().unwrap();
    let good = world.serve(&query).unwrap();
    for (key, reply) in [(query.key + 7, Ok(good.clone())), (0, Err(()))] {
        assert!(world.resolver.answer(key, reply, world.now, &mut world.out).is_empty());
        assert!(world.out.is_empty());
    }
    // A spoofed id fails the exchange, the next server is asked, with another id.
    let mut spoofed = good.to_vec();
    spoofed[0] ^= 1;
    world.resolver.answer(query.key, Ok(spoofed.into()), world.now, &mut world.out);
    let again = world.out.pop().unwrap();
    assert_ne!((again.server, &again.message[..2]), (query.server, &query.message[..2]));
    // The first server's answer, late.
    assert!(world.resolver.answer(query.key, Ok(good), world.now, &mut world.out).is_empty());
    assert!(world.out.is_empty());
}

#[test]
fn hosts_are_bounded() {
    let zone: String = (0..40)
        .map(|n| format!("many.example 300 MX {n} m{n}.example\nm{n}.example 300 A 192.0.2.{n}\n"))
        .collect();
    let mut world = World::new(zone.leak());
    let hosts = world.domain("many.example");
    assert_eq!(hosts.split(' ').count(), HOSTS_MAX);
    assert!(hosts.starts_with("m0.example"), "{hosts}");
    // An alias chain ends.
    let zone: String = (0..200).map(|n| format!("c{n}.x 300 CNAME c{}.x\n", n + 1)).collect();
    let mut world = World::new(zone.leak());
    assert!(world.domain("c0.x").starts_with("Failed 5.4.4"));
    assert_eq!(world.log.len(), 3 * (CNAME_MAX + 1));
}

proptest::proptest! {
    #[test]
    fn no_octets_panic(
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
        flips in proptest::collection::vec((0usize..400, proptest::num::u8::ANY), 0..8),
        keep in 0usize..400,
        prefixed: bool,
    ) {
        let mut world = World::new(ZONE);
        let hop = NextHop::Mx(Domain::parse("alias.example").unwrap());
        world.resolver.look_up(&hop, world.now, &mut world.out);
        for _ in 0..20 {
            let Some(query) = world.out.pop() else { break };
            let mut octets = world.serve(&query).unwrap().to_vec();
            octets.truncate(keep.max(12));
            if prefixed {
                octets.truncate(query.message.len() - 11);
                octets.extend_from_slice(&noise);
            }
            for (at, value) in &flips {
                if let Some(octet) = octets.get_mut(*at) {
                    *octet = *value;
                }
            }
            world.resolver.answer(query.key, Ok(octets.into()), world.now, &mut world.out);
        }
        for query in std::mem::take(&mut world.out) {
            let noise = Bytes::from(noise.clone());
            world.resolver.answer(query.key, Ok(noise), world.now, &mut world.out);
        }
    }
}
