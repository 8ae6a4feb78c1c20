//! From a next hop to its hosts, by what the cache holds; notes what is missing.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::{Host, Kind, Lookup, NextHop, Question, Records, Route, RouteHost, cache::Cache, wire};
use crate::{
    limits::{CNAME_MAX, HOSTS_MAX},
    mail::{Domain, Outcome, Status, Verdict},
    random::Random,
    time::Instant,
};

/// What the configuration says about next hops and about ourselves.
pub struct Site {
    /// Lower-case, without a final dot.
    pub hostname: Box<str>,
    /// Our listeners.
    pub own_addresses: Vec<SocketAddr>,
    pub routes: std::sync::Arc<[Route]>,
    /// Of MX hosts.
    pub port: u16,
}

/// One reading of the cache.
pub struct Reading<'a> {
    pub cache: &'a Cache,
    pub site: &'a Site,
    /// When the look-up began: what was good then is good for it, however long the rest takes.
    pub as_of: Instant,
    /// What has to be asked before there is a result.
    pub missing: &'a mut Vec<Question>,
}

/// A host with its addresses, on the way to the result.
struct Candidate<'a> {
    preference: u16,
    name: &'a str,
    v6: &'a [IpAddr],
    v4: &'a [IpAddr],
}

/// Why a name has no address: the first reason met, a passing one before a lasting one.
#[derive(Default)]
struct Fault<'a>(Option<(&'a str, Kind, &'a Records)>);

// What a name is that no message can ask for, and what an alias is that leads round in a circle.
static NO_NAME: Records = Records::NoName;
static NO_DATA: Records = Records::NoData;

impl<'a> Reading<'a> {
    /// `Pending` exactly when something is missing.
    pub fn hosts(&mut self, hop: &'a NextHop, random: &mut Random) -> Lookup {
        match hop {
            NextHop::Mx(Domain::Literal(ip)) if !wire::is_of_a_host(*ip) => {
                failed(Outcome::Failed, (5, 4, 4), format!("{ip} is the address of no host"))
            }
            NextHop::Mx(Domain::Literal(ip)) if self.site.is_ourselves(*ip) => loops_back(hop),
            NextHop::Mx(Domain::Literal(ip)) => {
                Lookup::Found(vec![host_at(SocketAddr::new(*ip, self.site.port))])
            }
            NextHop::Mx(Domain::Name(domain)) => self.mx(hop, domain, random),
            NextHop::Route(number) => self.route(*number, random),
            NextHop::Local => loops_back(hop),
        }
    }

    /// RFC 5321 §5.1.
    fn mx(&mut self, hop: &NextHop, domain: &'a str, random: &mut Random) -> Lookup {
        let Some(records) = self.records(domain, Kind::Mx) else { return Lookup::Pending };
        match records {
            Records::NoName | Records::Unanswered => {
                Fault(Some((domain, Kind::Mx, records))).verdict(domain)
            }
            // RFC 7505 §4.1; the status is RFC 7504's and RFC 7505 §5's.
            Records::NullMx => failed(
                Outcome::Failed,
                (5, 1, 10),
                format!("Domain {domain} does not accept mail (nullMX)"),
            ),
            Records::Mx(list) => {
                let targets = list.iter().map(|mx| (mx.preference, &*mx.name));
                self.exchanges(hop, domain, targets, random)
            }
            // The implicit MX: the domain itself, with preference 0.
            Records::NoData | Records::Addresses(_) | Records::Alias(_) => {
                self.exchanges(hop, domain, std::iter::once((0, domain)), random)
            }
        }
    }

    /// `targets` come in order of preference.
    fn exchanges(
        &mut self,
        hop: &NextHop,
        domain: &str,
        targets: impl Iterator<Item = (u16, &'a str)> + Clone,
        random: &mut Random,
    ) -> Lookup {
        // RFC 5321 §5.1: hosts that are no better than ourselves would send the mail back.
        let site = self.site;
        let mut cut = targets.clone().find(|target| *target.1 == *site.hostname).map(|t| t.0);
        let better = |preference: u16, cut: Option<u16>| cut.is_none_or(|cut| preference < cut);
        let mut fault = Fault::default();
        let mut candidates: SmallVec<[Candidate<'a>; 8]> = SmallVec::new();
        for (preference, name) in targets.take_while(|target| better(target.0, cut)) {
            let (v6, v4) = self.addresses(name, &mut fault);
            if !v6.is_empty() || !v4.is_empty() {
                candidates.push(Candidate { preference, name, v6, v4 });
            }
        }
        if !self.missing.is_empty() {
            return Lookup::Pending;
        }
        let ours = candidates.iter().find(|candidate| {
            candidate.v6.iter().chain(candidate.v4).any(|ip| site.is_ourselves(*ip))
        });
        cut = ours.map(|candidate| candidate.preference).or(cut);
        candidates.retain(|candidate| better(candidate.preference, cut));
        if candidates.is_empty() {
            return match cut {
                Some(_) if !fault.may_pass() => loops_back(hop),
                _ => fault.verdict(domain),
            };
        }
        for equals in candidates.chunk_by_mut(|a, b| a.preference == b.preference) {
            random.shuffle(equals);
        }
        let mut hosts = Vec::with_capacity(HOSTS_MAX.min(2 * candidates.len()));
        for candidate in &candidates {
            candidate.push_to(&mut hosts, site.port, random);
        }
        Lookup::Found(hosts)
    }

    fn route(&mut self, number: u16, random: &mut Random) -> Lookup {
        let Some(route) = self.site.routes.get(usize::from(number)) else {
            let reason = format!("route {number} is not configured; add it or requeue the mail");
            return failed(Outcome::Deferred, (4, 3, 5), reason);
        };
        let mut fault = Fault::default();
        let mut hosts = Vec::with_capacity(HOSTS_MAX.min(2 * route.hosts.len()));
        let mut smart_host = "";
        for host in &route.hosts {
            match host {
                RouteHost::Address(address) => push(&mut hosts, || host_at(*address)),
                RouteHost::Name(Domain::Literal(ip), port) => {
                    push(&mut hosts, || host_at(SocketAddr::new(*ip, *port)));
                }
                RouteHost::Name(Domain::Name(name), port) => {
                    smart_host = name;
                    let (v6, v4) = self.addresses(name, &mut fault);
                    let candidate = Candidate { preference: 0, name, v6, v4 };
                    candidate.push_to(&mut hosts, *port, random);
                }
            }
        }
        if !self.missing.is_empty() {
            return Lookup::Pending;
        }
        if !hosts.is_empty() {
            return Lookup::Found(hosts);
        }
        // A smart host without address is our operator's mistake: it bounces nobody's mail.
        match fault.verdict(smart_host) {
            Lookup::Failed(mut verdict) if !fault.may_pass() => {
                verdict.outcome = Outcome::Deferred;
                verdict.status = Status::new(4, 4, 4);
                Lookup::Failed(verdict)
            }
            lookup => lookup,
        }
    }

    /// The addresses of both families, as far as they are known.
    fn addresses(&mut self, name: &'a str, fault: &mut Fault<'a>) -> (&'a [IpAddr], &'a [IpAddr]) {
        let mut of = |kind| match self.records(name, kind) {
            Some(Records::Addresses(list)) => &**list,
            Some(records) => {
                fault.note(name, kind, records);
                &[]
            }
            None => &[],
        };
        (of(Kind::Aaaa), of(Kind::A))
    }

    /// The records at the end of the aliases; `None`, and noted, when they have to be asked for.
    fn records(&mut self, name: &'a str, kind: Kind) -> Option<&'a Records> {
        let mut name = name;
        for _ in 0..=CNAME_MAX {
            match self.cache.get(name, kind, self.as_of) {
                Some(Records::Alias(target)) => name = target,
                Some(records) => return Some(records),
                None if !wire::is_askable(name) => return Some(&NO_NAME),
                None => {
                    self.missing.push(Question { name: name.into(), kind });
                    return None;
                }
            }
        }
        Some(&NO_DATA)
    }
}

impl Site {
    /// A connection to `ip` on the MX port would reach a listener of ours.
    fn is_ourselves(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.own_addresses.iter().filter(|own| own.port() == self.port).any(|own| {
            let listener = own.ip().to_canonical();
            listener == ip
                || listener.is_unspecified()
                    && (ip.is_loopback() || ip.is_unspecified())
                    && (listener.is_ipv6() || ip.is_ipv4())
        })
    }
}

impl Candidate<'_> {
    /// Families take turns, IPv6 first, so that a broken family costs every second try only.
    fn push_to(&self, hosts: &mut Vec<Host>, port: u16, random: &mut Random) {
        let mut v6: SmallVec<[IpAddr; 4]> = self.v6.into();
        let mut v4: SmallVec<[IpAddr; 4]> = self.v4.into();
        // The cache froze the order in which servers rotate them.
        random.shuffle(&mut v6);
        random.shuffle(&mut v4);
        for turn in 0..v6.len().max(v4.len()) {
            for ip in [v6.get(turn), v4.get(turn)].into_iter().flatten() {
                push(hosts, || Host {
                    name: self.name.into(),
                    address: SocketAddr::new(*ip, port),
                });
            }
        }
    }
}

fn push(hosts: &mut Vec<Host>, host: impl FnOnce() -> Host) {
    if hosts.len() < HOSTS_MAX {
        hosts.push(host());
    }
}

fn host_at(address: SocketAddr) -> Host {
    Host { name: address.ip().to_string().into(), address }
}

impl<'a> Fault<'a> {
    fn note(&mut self, name: &'a str, kind: Kind, records: &'a Records) {
        if self.0.is_none() || !self.may_pass() && *records == Records::Unanswered {
            self.0 = Some((name, kind, records));
        }
    }

    /// It may be another answer next time.
    fn may_pass(&self) -> bool {
        matches!(self.0, Some((_, _, Records::Unanswered)))
    }

    /// In Postfix's words, which operators know; `domain` is named when no host can be.
    fn verdict(&self, domain: &str) -> Lookup {
        let (name, kind, records) = self.0.unwrap_or((domain, Kind::Mx, &NO_DATA));
        let (outcome, status, what) = match records {
            Records::Unanswered => (Outcome::Deferred, (4, 4, 3), "Host not found, try again"),
            // RFC 3463 §3.2: X.1.2 is about the address's own domain, X.4.4 about the way to it.
            Records::NoName if name == domain => (Outcome::Failed, (5, 1, 2), "Host not found"),
            Records::NoName => (Outcome::Failed, (5, 4, 4), "Host not found"),
            _ => (Outcome::Failed, (5, 4, 4), "Host found but no data record of requested type"),
        };
        let reason = format!(
            "Host or domain name not found. Name service error for name={name} type={}: {what}",
            kind.as_str()
        );
        failed(outcome, status, reason)
    }
}

fn loops_back(hop: &NextHop) -> Lookup {
    let domain = match hop {
        NextHop::Mx(domain) => domain.to_string(),
        NextHop::Route(number) => format!("route {number}"),
        NextHop::Local => "our own mailboxes".to_owned(),
    };
    failed(Outcome::Failed, (5, 4, 6), format!("mail for {domain} loops back to myself"))
}

/// A verdict of ours; the DNS limits names so that the reason fits `REPLY_TEXT_KEPT`.
pub fn failed(
    outcome: Outcome,
    (class, subject, detail): (u8, u16, u16),
    reason: String,
) -> Lookup {
    Lookup::Failed(Verdict::own(outcome, Status::new(class, subject, detail), reason))
}
