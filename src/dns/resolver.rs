//! The resolver: asks servers for what the cache misses, one query in flight a question.

use std::{
    collections::{HashMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Lookup, NextHop, Options, Question, Route,
    cache::Cache,
    hosts::{self, Reading, Site},
    route,
    wire::{self, Reply},
};
use crate::{
    limits::{DNS_IN_FLIGHT_MAX, DNS_ROUNDS, DNS_WAITING_MAX},
    mail::{Domain, Outcome},
    random::Random,
    time::{Instant, Now},
};

/// What the resolver is told once.
pub struct Setup {
    pub options: Options,
    pub hostname: String,
    /// Our listeners; an MX that leads to one of them leads back to ourselves.
    pub own_addresses: Vec<SocketAddr>,
    pub routes: Arc<[Route]>,
    /// Of MX hosts.
    pub port: u16,
    pub random: Random,
}

/// One exchange to make with a server, from a new port, within `Options::timeout`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Names the exchange in `Resolver::answer`; never used twice.
    pub key: u64,
    pub server: SocketAddr,
    pub message: Bytes,
    /// RFC 7766: by TCP.
    pub stream: bool,
}

/// The resolver of one core.
pub struct Resolver {
    site: Site,
    servers: Vec<SocketAddr>,
    random: Random,
    cache: Cache,
    /// The server asked first: the one behind the last that was silent.
    preferred: usize,
    last_key: u64,
    /// By the key of the exchange under way.
    asking: HashMap<u64, Asking>,
    asked: HashMap<Question, u64>,
    /// Every next hop that is pending, and since when. Each stands in the `waiting` of one
    /// question, or in `queued` while no question of it could be asked.
    pending: HashMap<NextHop, Instant>,
    queued: VecDeque<NextHop>,
    /// What the last `answer` found, to be looked up in the same input.
    settled: HashMap<NextHop, Lookup>,
    settled_at: Instant,
    /// Kept for its room.
    missing: Vec<Question>,
}

/// A question and the exchange under way for it.
struct Asking {
    question: Question,
    waiting: Vec<NextHop>,
    /// Exchanges that brought nothing, over all servers.
    failures: usize,
    server: usize,
    id: u16,
    edns: bool,
    stream: bool,
}

impl Resolver {
    pub fn new(setup: Setup) -> Resolver {
        let mut servers = setup.options.servers.clone();
        if servers.is_empty() {
            // resolv.conf(5): without any, the one on this machine.
            servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        let hostname = setup.hostname.trim_end_matches('.').to_ascii_lowercase().into();
        Resolver {
            site: Site {
                hostname,
                own_addresses: setup.own_addresses,
                routes: setup.routes,
                port: setup.port,
            },
            servers,
            random: setup.random,
            cache: Cache::new(&setup.options),
            preferred: 0,
            last_key: 0,
            asking: HashMap::new(),
            asked: HashMap::new(),
            pending: HashMap::new(),
            queued: VecDeque::new(),
            settled: HashMap::new(),
            settled_at: Instant::default(),
            missing: Vec::new(),
        }
    }

    /// The first route that matches, else the domain's own MX.
    pub fn next_hop(&self, domain: &Domain) -> NextHop {
        route::next_hop(&self.site.routes, domain)
    }

    /// The hosts of `hop`, in the order to be tried. After `Pending`, `answer` will name the hop.
    pub fn look_up(&mut self, hop: &NextHop, now: Now, out: &mut Vec<Query>) -> Lookup {
        // What settled with the last answer is taken as it was found: its first records may have
        // expired while the last were asked for, and asking again might never end.
        if self.settled_at == now.instant
            && !self.settled.is_empty()
            && let Some(lookup) = self.settled.remove(hop)
        {
            return lookup;
        }
        if !self.pending.is_empty() && self.pending.contains_key(hop) {
            return Lookup::Pending;
        }
        let lookup = self.read(hop, now.instant);
        if lookup == Lookup::Pending {
            if self.pending.len() >= DNS_WAITING_MAX {
                let reason = "too many look-ups are waiting for name servers, try again".into();
                return hosts::failed(Outcome::Deferred, (4, 4, 3), reason);
            }
            self.pending.insert(hop.clone(), now.instant);
            self.wait(hop, out);
        }
        lookup
    }

    /// Takes the result of an exchange; `Err`: it failed or took longer than `Options::timeout`.
    /// Names the hops whose `look_up`, in this same input, is no longer `Pending`.
    pub fn answer(
        &mut self,
        key: u64,
        result: Result<Bytes, ()>,
        now: Now,
        out: &mut Vec<Query>,
    ) -> Vec<NextHop> {
        self.settled.clear();
        self.settled_at = now.instant;
        let Some(mut asking) = self.asking.remove(&key) else { return Vec::new() };
        let reply = match &result {
            Ok(message) => wire::read(&asking.question, asking.id, message),
            Err(()) => Reply::Useless,
        };
        match reply {
            Reply::Answer(answer) => {
                self.cache.put(asking.question.clone(), answer, now.instant);
                return self.settle(asking, out);
            }
            // Both at most once an attempt, so this ends.
            Reply::Truncated if !asking.stream => asking.stream = true,
            Reply::PlainOnly if asking.edns => asking.edns = false,
            Reply::Truncated | Reply::PlainOnly | Reply::Useless => {
                if result.is_err() && asking.server == self.preferred && !asking.stream {
                    self.preferred = (self.preferred + 1) % self.servers.len();
                }
                asking.failures += 1;
                if asking.failures >= DNS_ROUNDS * self.servers.len() {
                    self.cache.put_unanswered(asking.question.clone(), now.instant);
                    return self.settle(asking, out);
                }
                asking.server = (asking.server + 1) % self.servers.len();
                (asking.edns, asking.stream) = (true, false);
            }
        }
        self.send(asking, out);
        Vec::new()
    }

    /// The exchange could not be made for a reason of our own: nothing is learned from it. Names
    /// the next hops that must look up again, when there is a chance.
    pub fn withdraw(&mut self, key: u64) -> Vec<NextHop> {
        let Some(asking) = self.asking.remove(&key) else { return Vec::new() };
        self.asked.remove(&asking.question);
        let mut waiting = asking.waiting;
        waiting.retain(|hop| self.pending.remove(hop).is_some());
        waiting
    }

    /// `Pending` leaves in `missing` what has to be asked.
    fn read(&mut self, hop: &NextHop, as_of: Instant) -> Lookup {
        self.missing.clear();
        let (cache, site, missing) = (&self.cache, &self.site, &mut self.missing);
        Reading { cache, site, as_of, missing }.hosts(hop, &mut self.random)
    }

    /// Asks for what is missing, and lets `hop` wait for the first of it.
    fn wait(&mut self, hop: &NextHop, out: &mut Vec<Query>) {
        let mut first = None;
        let mut missing = std::mem::take(&mut self.missing);
        for question in missing.drain(..) {
            let key = match self.asked.get(&question) {
                Some(key) => *key,
                None if self.asking.len() < DNS_IN_FLIGHT_MAX => self.ask(question, out),
                None => continue,
            };
            first.get_or_insert(key);
        }
        self.missing = missing;
        // Queueing, not failing: a start with a large backlog asks for many names at once, and
        // deferring its mail for that would hold it up by minutes.
        match first.and_then(|key| self.asking.get_mut(&key)) {
            Some(asking) => asking.waiting.push(hop.clone()),
            None => self.queued.push_back(hop.clone()),
        }
    }

    fn ask(&mut self, question: Question, out: &mut Vec<Query>) -> u64 {
        self.send(
            Asking {
                question,
                waiting: Vec::new(),
                failures: 0,
                server: self.preferred,
                id: 0,
                edns: true,
                stream: false,
            },
            out,
        )
    }

    fn send(&mut self, mut asking: Asking, out: &mut Vec<Query>) -> u64 {
        self.last_key += 1;
        let key = self.last_key;
        // RFC 5452 §9.1: a new id, that cannot be guessed, for each message.
        asking.id = self.random.next_u16();
        out.push(Query {
            key,
            server: self.servers[asking.server],
            message: wire::write(&asking.question, asking.id, asking.edns),
            stream: asking.stream,
        });
        self.asked.insert(asking.question.clone(), key);
        self.asking.insert(key, asking);
        key
    }

    /// The question is answered: looks again at the hops that waited for it, then at those for
    /// which there was no room.
    fn settle(&mut self, asking: Asking, out: &mut Vec<Query>) -> Vec<NextHop> {
        self.asked.remove(&asking.question);
        let mut ready = Vec::new();
        for hop in asking.waiting {
            self.look_again(hop, &mut ready, out);
        }
        while self.asking.len() < DNS_IN_FLIGHT_MAX
            && let Some(hop) = self.queued.pop_front()
        {
            self.look_again(hop, &mut ready, out);
        }
        ready
    }

    fn look_again(&mut self, hop: NextHop, ready: &mut Vec<NextHop>, out: &mut Vec<Query>) {
        let Some(&since) = self.pending.get(&hop) else { return };
        let lookup = self.read(&hop, since);
        if lookup == Lookup::Pending {
            return self.wait(&hop, out);
        }
        self.pending.remove(&hop);
        self.settled.insert(hop.clone(), lookup);
        ready.push(hop);
    }
}
