//! The made-up world: which names there are and what they hold.
//!
//! Names of the made-up zone are computed from their numbers, so ten million domains take no
//! memory; only the records of a zone file are kept, and they stand before the computed ones.

use std::{collections::HashMap, net::IpAddr};

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use super::{
    file::Entry,
    name::{Kind, Name, ancestry, labels},
    response::{Data, Soa},
};

/// Room below the suffix for `mx<j>.d<k>.` with the largest numbers.
const SUFFIX_OCTETS_MAX: usize = 200;
/// RFC 1912 §2.2 is where these come from; nobody transfers a made-up zone.
const SOA_REFRESH: u32 = 3600;
const SOA_RETRY: u32 = 600;
const SOA_EXPIRE: u32 = 1_209_600;
/// The step between the preferences of a domain's hosts.
const PREFERENCE_STEP: u16 = 10;
/// MX hosts that one domain may have: their answer fits a stream, their preferences 16 bits.
pub const HOSTS_MAX: u16 = 1000;

/// What every domain of the made-up zone says of itself.
const SPF: &[u8] = b"\x0ev=spf1 mx -all";

/// How the made-up zone looks.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The zone that holds `d0`, `d1` and so on.
    pub suffix: Name,
    pub domains: u64,
    /// MX hosts of a domain; without any, mail goes to the domain's own address.
    pub hosts: u16,
    /// As many hosts serve all domains, instead of each domain having its own.
    pub shared: Option<u64>,
    /// Where the hosts are, in turn; never empty.
    pub addresses: Vec<IpAddr>,
    pub ttl: u32,
    /// Where this server is, as the zone's own NS record says.
    pub server: IpAddr,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorldError {
    #[error(
        "the suffix has more than 200 octets, and leaves no room for names: choose a shorter one"
    )]
    Suffix,
    #[error(
        "line {line}: `{name}` has a CNAME record, and may have no other (RFC 1034 §3.6.2): \
         remove one"
    )]
    Alias { line: usize, name: Name },
}

/// All records of one name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub kind: Kind,
    pub ttl: u32,
    pub data: SmallVec<[Data; 1]>,
}

/// What the world knows about a name and a type.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    Set(Set),
    /// A CNAME record, and the question was for another type.
    Alias(Set),
    /// The name is there, a record of this type is not.
    NoData(Zone<'a>),
    NoName(Zone<'a>),
    /// In no zone of this world.
    Outside,
}

/// A zone, as a negative answer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone<'a> {
    pub apex: &'a Name,
    pub soa: &'a Set,
}

pub struct World {
    plan: Plan,
    /// By apex, its SOA record.
    zones: HashMap<Name, Set>,
    /// What is kept: an empty list is a name that only has names below it.
    nodes: HashMap<Name, Vec<Set>>,
}

impl World {
    pub fn new(plan: Plan, entries: Vec<Entry>) -> Result<World, WorldError> {
        if plan.suffix.octets().len() > SUFFIX_OCTETS_MAX {
            return Err(WorldError::Suffix);
        }
        let mut world = World { plan, zones: HashMap::new(), nodes: HashMap::new() };
        let mut apexes = vec![world.plan.suffix.clone()];
        for Entry { line, name, ttl, data } in entries {
            let ttl = ttl.unwrap_or(world.plan.ttl);
            if data.kind() == Kind::SOA {
                apexes.push(name.clone());
            }
            world.add(&name, ttl, data).map_err(|name| WorldError::Alias { line, name })?;
        }
        for apex in apexes {
            world.found(apex);
        }
        let owners: Vec<Name> = world.nodes.keys().cloned().collect();
        for owner in owners {
            if world.zone(owner.octets()).is_none() {
                world.found(outermost(&owner));
            }
        }
        world.name_between();
        Ok(world)
    }

    pub fn look_up(&self, name: &Name, kind: Kind) -> Found<'_> {
        let Some(zone) = self.zone(name.octets()) else { return Found::Outside };
        let node = self.node(name.octets());
        let Some(node) = node.or_else(|| self.wildcard(name.octets())) else {
            return Found::NoName(zone);
        };
        match node.set(self, kind) {
            Some(set) if set.kind == kind || kind == Kind::ANY => Found::Set(set),
            Some(alias) => Found::Alias(alias),
            None => Found::NoData(zone),
        }
    }

    /// Keeps a record; the name comes back if it already has a record it cannot stand beside.
    fn add(&mut self, name: &Name, ttl: u32, data: Data) -> Result<(), Name> {
        let sets = self.nodes.entry(name.clone()).or_default();
        let kind = data.kind();
        if sets.iter().any(|set| (set.kind == Kind::CNAME) != (kind == Kind::CNAME)) {
            return Err(name.clone());
        }
        match sets.iter_mut().find(|set| set.kind == kind) {
            Some(set) if set.data.contains(&data) => {}
            Some(_) if kind == Kind::CNAME => return Err(name.clone()),
            Some(set) => set.data.push(data),
            None => sets.push(Set { kind, ttl, data: smallvec![data] }),
        }
        Ok(())
    }

    /// Makes a zone of an apex: what the file does not say about it is made up.
    fn found(&mut self, apex: Name) {
        let Plan { suffix, ttl, server, .. } = &self.plan;
        let (ttl, server) = (*ttl, *server);
        let primary = Name::below(b"ns", suffix.octets());
        let made = [
            Data::Ns(primary.clone()),
            Data::Soa(Box::new(Soa {
                mailbox: Name::below(b"hostmaster", suffix.octets()),
                primary: primary.clone(),
                serial: 1,
                refresh: SOA_REFRESH,
                retry: SOA_RETRY,
                expire: SOA_EXPIRE,
                minimum: ttl,
            })),
        ];
        let set = |data: Data| Set { kind: data.kind(), ttl, data: smallvec![data] };
        if apex == *suffix {
            self.nodes.entry(primary).or_insert_with(|| vec![set(Data::Address(server))]);
        }
        let sets = self.nodes.entry(apex.clone()).or_default();
        for data in made {
            if !sets.iter().any(|set| set.kind == data.kind()) {
                sets.push(set(data));
            }
        }
        if let Some(soa) = sets.iter().find(|set| set.kind == Kind::SOA) {
            self.zones.insert(apex, soa.clone());
        }
    }

    /// RFC 4592 §2.2.2: a name with names below it is there, though it has no records.
    fn name_between(&mut self) {
        let owners: Vec<Name> = self.nodes.keys().cloned().collect();
        for owner in owners {
            for above in ancestry(owner.octets()).skip(1) {
                if self.zone(above).is_some() {
                    self.nodes.entry(Name::of_wire(above)).or_default();
                }
            }
        }
    }

    /// The zone that holds a name: that of the nearest apex above it.
    pub fn zone(&self, name: &[u8]) -> Option<Zone<'_>> {
        let (apex, soa) = ancestry(name).find_map(|above| self.zones.get_key_value(above))?;
        Some(Zone { apex, soa })
    }

    fn node(&self, name: &[u8]) -> Option<Node<'_>> {
        let kept = self.nodes.get(name);
        let made = self.plan.made(name);
        (kept.is_some() || made.is_some())
            .then(|| Node { kept: kept.map_or(&[], |sets| sets), made })
    }

    /// RFC 4592 §3.3.1: the wildcard below the nearest ancestor that is there, if it has one.
    fn wildcard(&self, name: &[u8]) -> Option<Node<'_>> {
        let nearest = ancestry(name).skip(1).find(|above| self.node(above).is_some())?;
        self.node(Name::below(b"*", nearest).octets())
    }
}

/// The zone of a name that the file gives no SOA record for: its last two labels, as registries
/// hand them out.
fn outermost(name: &Name) -> Name {
    let wire = name.octets();
    let owner = if name.is_wildcard() { &wire[2..] } else { wire };
    let depth = labels(owner).count();
    let apex = ancestry(owner).nth(depth.saturating_sub(2)).unwrap_or(owner);
    Name::of_wire(apex)
}

/// What a name holds: what is kept for it, and what its number makes of it.
struct Node<'a> {
    kept: &'a [Set],
    made: Option<Made>,
}

impl Node<'_> {
    fn set(&self, world: &World, kind: Kind) -> Option<Set> {
        if kind == Kind::ANY {
            return self.any(world);
        }
        let kept = |kind| self.kept.iter().find(|set| set.kind == kind);
        if let Some(set) = kept(Kind::CNAME).or_else(|| kept(kind)) {
            return Some(set.clone());
        }
        let data = world.plan.records(self.made.as_ref()?, kind);
        (!data.is_empty()).then_some(Set { kind, ttl: world.plan.ttl, data })
    }

    /// RFC 8482 §4.1: one set of records is answer enough.
    fn any(&self, world: &World) -> Option<Set> {
        let made = [Kind::MX, Kind::A, Kind::AAAA];
        self.kept.first().cloned().or_else(|| made.iter().find_map(|kind| self.set(world, *kind)))
    }
}

/// A name that its number makes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Made {
    /// `d<number>`, and its whole name.
    Domain { number: u64, name: Name },
    /// `mx<rank>.d<domain>`, or `mx<rank>` if domains share their hosts: the how many-th host of
    /// the world it is.
    Host { number: u64 },
}

impl Plan {
    fn made(&self, name: &[u8]) -> Option<Made> {
        let mut below = labels(name);
        let (first, parent) = below.next()?;
        if parent == self.suffix.octets() {
            if let Some(shared) = self.shared
                && let Some(number) = numbered(b"mx", first)
            {
                return (number < shared).then_some(Made::Host { number });
            }
            let number = numbered(b"d", first).filter(|number| *number < self.domains)?;
            return Some(Made::Domain { number, name: Name::of_wire(name) });
        }
        let (second, parent) = below.next()?;
        if self.shared.is_some() || parent != self.suffix.octets() {
            return None;
        }
        let domain = numbered(b"d", second).filter(|domain| *domain < self.domains)?;
        let hosts = u64::from(self.hosts);
        let rank = numbered(b"mx", first).filter(|rank| *rank < hosts)?;
        Some(Made::Host { number: domain * hosts + rank })
    }

    fn records(&self, made: &Made, kind: Kind) -> SmallVec<[Data; 1]> {
        match made {
            Made::Domain { number, name } if kind == Kind::MX => self.exchanges(*number, name),
            Made::Domain { .. } if kind == Kind::TXT => {
                smallvec![Data::Txt(Bytes::from_static(SPF))]
            }
            Made::Domain { number, .. } | Made::Host { number } => {
                let turn = (number % self.addresses.len() as u64) as usize;
                let address = self.addresses[turn];
                if Kind::of(address) == kind {
                    smallvec![Data::Address(address)]
                } else {
                    smallvec![]
                }
            }
        }
    }

    /// The MX records of a domain, the most wanted first.
    fn exchanges(&self, number: u64, domain: &Name) -> SmallVec<[Data; 1]> {
        let hosts = self
            .shared
            .map_or(self.hosts, |shared| u16::try_from(shared).unwrap_or(u16::MAX).min(self.hosts));
        let exchange = |rank: u16| match self.shared {
            Some(shared) => {
                let host = (number + u64::from(rank)) % shared;
                Name::below(format!("mx{host}").as_bytes(), self.suffix.octets())
            }
            None => Name::below(format!("mx{rank}").as_bytes(), domain.octets()),
        };
        let mx =
            |rank| Data::Mx { preference: PREFERENCE_STEP * (rank + 1), exchange: exchange(rank) };
        (0..hosts).map(mx).collect()
    }
}

/// The number behind a prefix, written as numbers are: digits, no zero before others.
fn numbered(prefix: &[u8], label: &[u8]) -> Option<u64> {
    let digits = label.strip_prefix(prefix)?;
    let leading_zero = digits.len() > 1 && digits.starts_with(b"0");
    let plain = digits.iter().all(u8::is_ascii_digit) && !leading_zero;
    // No address and no preference of the plan needs a number past 2^32, nor must it overflow.
    let number: u32 = std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()?;
    Some(u64::from(number))
}
