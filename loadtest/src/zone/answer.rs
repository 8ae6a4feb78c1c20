//! Answers one message: reads it, counts it, asks the rules and the world, writes the answer.

use std::{sync::Arc, time::Duration};

use super::{
    count::Asks,
    data::{Found, Set, World, Zone},
    name::{Kind, Name},
    query::{self, CLASS_IN, HEADER_OCTETS, Query},
    response::{
        Authority, Code, DATAGRAM_OCTETS, DATAGRAM_OCTETS_MAX, Data, Response, STREAM_OCTETS_MAX,
        Section,
    },
    rule::{Action, Rules},
};
use crate::meter::Troubles;

/// CNAME records that one answer follows: a longer chain, or a loop, is left to the asker.
const ALIASES_MAX: usize = 16;
/// Words of noise in a `garbage` answer, at most.
const NOISE_WORDS_MAX: u64 = 8;

/// How a query came, and its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Datagram,
    Stream,
}

/// What to send, and how much later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub octets: Vec<u8>,
    pub delay: Duration,
}

/// One core's name server, without its sockets.
pub struct Responder {
    world: Arc<World>,
    pub rules: Rules,
    pub asks: Asks,
    /// What was no query, and why.
    pub faults: Troubles,
    /// As many as `faults` tells of.
    pub faulty: u64,
}

impl Responder {
    pub fn new(world: Arc<World>, rules: Rules, asks: Asks) -> Responder {
        Responder { world, rules, asks, faults: Troubles::default(), faulty: 0 }
    }

    /// The answer to whatever came, if it gets one.
    pub fn answer(&mut self, octets: &[u8], way: Way) -> Option<Answer> {
        let query = match query::read(octets) {
            Ok(query) => query,
            Err(fault) => {
                self.faulty += 1;
                self.faults.add(&fault.to_string());
                let (head, code) = fault.code()?;
                return Some(Answer { octets: Response::bare(head, code), delay: Duration::ZERO });
            }
        };
        self.asks.add(&query.name, query.kind);
        let (action, delay) = self.rules.choose(&query.name, query.kind);
        let octets = self.obey(action, &query, way)?;
        Some(Answer { octets, delay })
    }

    fn obey(&mut self, action: Action, query: &Query, way: Way) -> Option<Vec<u8>> {
        let mut response = Response::new(query, room(query, way));
        match action {
            Action::Silence => return None,
            Action::ServFail => response.code(Code::SERVER_FAILURE, Authority::None),
            Action::Refused => response.code(Code::REFUSED, Authority::None),
            Action::Truncate if way == Way::Datagram => {
                response.code(Code::NO_ERROR, Authority::Ours);
                response.truncate();
            }
            Action::NxDomain => self.deny(&mut response, query, Code::NAME_ERROR),
            Action::Empty => self.deny(&mut response, query, Code::NO_ERROR),
            Action::Usual | Action::Truncate | Action::WrongId | Action::Garbage => {
                self.usual(&mut response, query);
            }
        }
        let mut octets = response.finish();
        match action {
            Action::WrongId => {
                let wrong = query.head.id ^ (self.rules.random().draw() as u16 | 1);
                octets[..2].copy_from_slice(&wrong.to_be_bytes());
            }
            Action::Garbage => {
                octets.truncate(HEADER_OCTETS);
                for _ in 0..=self.rules.random().draw() % NOISE_WORDS_MAX {
                    octets.extend(self.rules.random().draw().to_be_bytes());
                }
            }
            _ => {}
        }
        Some(octets)
    }

    /// Says no because a rule does, with the SOA record that lets the asker remember it.
    fn deny(&self, response: &mut Response, query: &Query, code: Code) {
        response.code(code, Authority::Ours);
        if let Some(zone) = self.world.zone(query.name.octets()) {
            negative(response, zone);
        }
    }

    fn usual(&self, response: &mut Response, query: &Query) {
        if query.edns.is_some_and(|edns| edns.version > 0) {
            return response.code(Code::BAD_VERSION, Authority::None);
        }
        let transfer = query.kind == Kind::AXFR || query.kind == Kind::IXFR;
        if query.class != CLASS_IN || transfer {
            return response.code(Code::REFUSED, Authority::None);
        }
        response.code(Code::NO_ERROR, Authority::Ours);
        let mut owner = query.name.clone();
        for aliases in 0..=ALIASES_MAX {
            match self.world.look_up(&owner, query.kind) {
                Found::Set(set) => return self.positive(response, &owner, &set),
                Found::Alias(set) => {
                    let Some(Data::Cname(target)) = set.data.first() else { return };
                    if !records(response, Section::Answer, &owner, &set) {
                        return response.truncate();
                    }
                    owner = target.clone();
                }
                Found::NoData(zone) => return negative(response, zone),
                Found::NoName(zone) => {
                    // RFC 6604 §3: the code is about the last name of a chain.
                    response.code(Code::NAME_ERROR, Authority::Ours);
                    return negative(response, zone);
                }
                Found::Outside if aliases == 0 => {
                    return response.code(Code::REFUSED, Authority::None);
                }
                Found::Outside => return,
            }
        }
    }

    fn positive(&self, response: &mut Response, owner: &Name, set: &Set) {
        if !records(response, Section::Answer, owner, set) {
            return response.truncate();
        }
        for data in &set.data {
            let (Data::Mx { exchange: host, .. } | Data::Ns(host)) = data else { continue };
            for kind in [Kind::A, Kind::AAAA] {
                // RFC 2181 §9: what is only additional and has no room is left out in silence.
                if let Found::Set(set) = self.world.look_up(host, kind)
                    && !records(response, Section::Additional, host, &set)
                {
                    return;
                }
            }
        }
    }
}

/// The octets that the asker takes.
fn room(query: &Query, way: Way) -> usize {
    match (way, query.edns) {
        (Way::Stream, _) => STREAM_OCTETS_MAX,
        (Way::Datagram, None) => DATAGRAM_OCTETS,
        (Way::Datagram, Some(edns)) => {
            usize::from(edns.payload).clamp(DATAGRAM_OCTETS, DATAGRAM_OCTETS_MAX)
        }
    }
}

/// Adds a whole set; false as soon as a record of it does not fit.
fn records(response: &mut Response, section: Section, owner: &Name, set: &Set) -> bool {
    set.data.iter().all(|data| response.record(section, owner.octets(), set.ttl, data))
}

/// RFC 2308 §3: the SOA record, living as long as the denial may be believed.
fn negative(response: &mut Response, Zone { apex, soa }: Zone) {
    let Some(data @ Data::Soa(fields)) = soa.data.first() else { return };
    let ttl = soa.ttl.min(fields.minimum);
    if !response.record(Section::Authority, apex.octets(), ttl, data) {
        response.truncate();
    }
}

#[cfg(test)]
mod tests;
