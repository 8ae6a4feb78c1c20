//! DNS answers, as the resolver gets them: raw, or with the id and the question that it wants.
//!
//! Whatever servers say, a look-up ends, and leads to nothing but hosts.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use ringmail::{
    dns::{Lookup, NextHop, Options, Query, Resolver, Route, RouteHost, Setup},
    limits::HOSTS_MAX,
    mail::{Domain, DomainPattern},
    random::Random,
    time::{Duration, Instant, Now, Wall},
};

use super::octets::Octets;

/// Exchanges after which nothing may be pending: each name costs two rounds over the servers,
/// and no answer is left to lead to another name.
const EXCHANGES_MAX: usize = 2000;

/// Each answer is a kind, a length in two octets, and its octets.
pub fn run(input: &[u8]) {
    let mut octets = Octets(input);
    let mut world = World::new(octets.u8());
    world.look_up();
    while !octets.is_empty() && !world.asked.is_empty() {
        let kind = octets.u8();
        let length = octets.u16();
        world.answer(kind, octets.take(length.into()));
    }
    for _ in 0..EXCHANGES_MAX {
        if world.asked.is_empty() {
            break;
        }
        world.give(Err(()));
    }
    assert!(world.asked.is_empty(), "it asks without end");
    assert!(world.waiting.is_empty(), "no server answers, and somebody waits");
}

struct World {
    resolver: Resolver,
    now: Now,
    asked: Vec<Query>,
    /// Hops that were told to wait.
    waiting: Vec<NextHop>,
    hops: Vec<NextHop>,
}

impl World {
    fn new(hops: u8) -> Self {
        let name = |text: &str| Domain::parse(text).unwrap();
        let smart = RouteHost::Name(name("smart.example"), 26);
        let route = Route { domain: DomainPattern::Exact(name("r.example")), hosts: vec![smart] };
        let resolver = Resolver::new(Setup {
            options: Options {
                servers: ["192.0.2.53:53", "192.0.2.54:53"].map(|at| at.parse().unwrap()).into(),
                timeout: Duration::from_secs(5),
                cache_entries_max: 1,
                ttl_min: Duration::ZERO,
                ttl_max: Duration::from_secs(86_400),
                negative_ttl_max: Duration::from_secs(300),
                serve_stale: Duration::from_secs(600),
            },
            hostname: "mx.example.org".into(),
            own_addresses: vec!["192.0.2.1:25".parse().unwrap()],
            routes: Arc::new([route]),
            port: 25,
            random: Random::from_seed([3; 32]),
        });
        let names = ["example.org", "r.example", "example.net", "[192.0.2.9]"];
        let wanted = |(at, _): &(usize, &str)| *at == 0 || hops >> at & 1 == 1;
        let hops = names.into_iter().enumerate().filter(wanted);
        let hops = hops.map(|(_, text)| resolver.next_hop(&name(text))).collect();
        let wall = Wall::from_millis(1_800_000_000_000);
        let now = Now { instant: Instant::from_micros(1), wall };
        Self { resolver, now, asked: Vec::new(), waiting: Vec::new(), hops }
    }

    fn look_up(&mut self) {
        for hop in self.hops.clone() {
            let lookup = self.resolver.look_up(&hop, self.now, &mut self.asked);
            match lookup {
                Lookup::Pending if self.waiting.contains(&hop) => {}
                Lookup::Pending => self.waiting.push(hop),
                lookup => check(&lookup),
            }
        }
    }

    fn answer(&mut self, kind: u8, octets: &[u8]) {
        match kind % 5 {
            0 => self.give(Ok(self.patched(octets))),
            1 => self.give(Ok(Bytes::copy_from_slice(octets))),
            2 => self.give(Err(())),
            // Time goes by, and somebody asks again.
            3 => {
                self.now.instant = self.now.instant + Duration::from_secs(octets.len() as u64 * 60);
                self.look_up();
            }
            _ => {
                let query = self.asked.remove(0);
                let ready = self.resolver.withdraw(query.key);
                self.ready(ready, true);
            }
        }
    }

    /// Flags and counts, then records, behind the id and the question of the oldest query.
    fn patched(&self, octets: &[u8]) -> Bytes {
        let query = &self.asked[0].message;
        let question = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
        let mut octets = Octets(octets);
        let mut message = query[..2].to_vec();
        message.extend_from_slice(&(octets.u16() | 0x8000).to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        for _ in 0..3 {
            message.extend_from_slice(&octets.u16().to_be_bytes());
        }
        message.extend_from_slice(&query[12..question]);
        message.extend_from_slice(octets.0);
        message.into()
    }

    /// Answers the oldest query.
    fn give(&mut self, result: Result<Bytes, ()>) {
        let query = self.asked.remove(0);
        let ready = self.resolver.answer(query.key, result.clone(), self.now, &mut self.asked);
        self.ready(ready, false);
        // An answer that comes twice finds nobody.
        let again = self.resolver.answer(query.key, result, self.now, &mut self.asked);
        assert!(again.is_empty());
        let mut keys: Vec<u64> = self.asked.iter().map(|query| query.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), self.asked.len(), "a key is used twice");
    }

    fn ready(&mut self, ready: Vec<NextHop>, may_ask_again: bool) {
        for hop in ready {
            let before = self.waiting.len();
            self.waiting.retain(|waiting| *waiting != hop);
            assert_eq!(self.waiting.len() + 1, before, "it waited, and is named once");
            match self.resolver.look_up(&hop, self.now, &mut self.asked) {
                Lookup::Pending => {
                    assert!(may_ask_again, "it was told to be done");
                    self.waiting.push(hop);
                }
                lookup => check(&lookup),
            }
        }
    }
}

fn check(lookup: &Lookup) {
    match lookup {
        Lookup::Found(hosts) => {
            assert!((1..=HOSTS_MAX).contains(&hosts.len()));
            for host in hosts {
                let ip: IpAddr = host.address.ip().to_canonical();
                assert!(!ip.is_unspecified() && !ip.is_multicast(), "{ip} is no host");
                assert!(host.name.len() <= 255 && !host.name.contains(char::is_control));
            }
        }
        Lookup::Failed(verdict) => {
            assert!(std::str::from_utf8(&verdict.reason).is_ok_and(|r| !r.contains(['\r', '\n'])));
        }
        Lookup::Pending => {}
    }
}
