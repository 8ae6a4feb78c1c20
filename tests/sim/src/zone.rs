//! The simulated DNS: name servers that answer, lie, cut short, refuse, keep silent, and change.

use std::net::IpAddr;

use bytes::Bytes;
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, CNAME, MX, SOA},
    },
};

use crate::{
    coverage::Coverage,
    oracle::Oracle,
    plan::{Domain, HOSTNAME, Kind, Plan},
    random::Random,
};

/// The state of the name servers.
#[derive(Default)]
pub struct Zone {
    /// None of them says anything.
    pub out: bool,
    /// Some answers go wrong.
    pub faulty: bool,
    /// The domains have the records they move to.
    pub moved: bool,
    /// All is well: servers that were dead answer too.
    pub healed: bool,
}

/// What comes back for a query.
pub enum Reply {
    Silence,
    Says(Bytes),
}

impl Zone {
    pub fn answer(
        &self,
        plan: &Plan,
        query: &[u8],
        stream: bool,
        random: &mut Random,
        oracle: &mut Oracle,
        coverage: &mut Coverage,
    ) -> Reply {
        let Ok(mut message) = Message::from_vec(query) else { return Reply::Silence };
        message.metadata.message_type = MessageType::Response;
        if self.out {
            coverage.count("dns: all servers silent");
            return Reply::Silence;
        }
        if self.faulty && random.below(3) == 0 {
            return fault(message, stream, random, coverage);
        }
        let Some(asked) = message.queries.first().cloned() else { return Reply::Silence };
        let name = asked.name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let ttl = [0, 30, 600, 86_400][random.below(4) as usize];
        let mut answer = |owner: &str, data: RData| {
            message.answers.push(Record::from_rdata(named(owner), ttl, data));
        };
        if let Some(host) = plan.hosts.iter().find(|host| host.name == name) {
            if let (RecordType::A, IpAddr::V4(ip)) = (asked.query_type, host.ip) {
                answer(&name, RData::A(A(ip)));
            }
        } else if name == HOSTNAME {
            if asked.query_type == RecordType::A {
                answer(&name, RData::A(A([192, 0, 2, 1].into())));
            }
        } else if let Some(domain) = plan.domains.iter().find(|domain| domain.name == name) {
            if domain.kind == Kind::Dead && !self.healed {
                return Reply::Silence;
            }
            if leads_nowhere(domain.kind) {
                oracle.hopeless(&name);
            }
            if matches!(domain.kind, Kind::Missing | Kind::Dead) {
                message.metadata.response_code = ResponseCode::NXDomain;
                coverage.count("dns: no such domain");
            } else {
                self.records(plan, domain, asked.query_type, &mut answer, coverage);
            }
        } else {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        if message.answers.is_empty() {
            let soa = SOA::new(named("ns.example"), named("h.example"), 1, 2, 3, 4, ttl);
            message.authorities.push(Record::from_rdata(named("example"), ttl, RData::SOA(soa)));
        }
        Reply::Says(message.to_vec().unwrap_or_default().into())
    }

    fn records(
        &self,
        plan: &Plan,
        domain: &Domain,
        kind: RecordType,
        answer: &mut impl FnMut(&str, RData),
        coverage: &mut Coverage,
    ) {
        match (domain.kind, kind) {
            (Kind::NullMx, RecordType::MX) => {
                answer(&domain.name, RData::MX(MX::new(0, Name::root())));
                coverage.count("dns: null MX");
            }
            (Kind::Alias, _) => {
                answer(&domain.name, RData::CNAME(CNAME(named(&plan.domains[0].name))));
                coverage.count("dns: alias");
            }
            (Kind::Implicit, RecordType::A) => {
                let (_, host) = domain.hosts[0];
                if let IpAddr::V4(ip) = plan.hosts[host].ip {
                    answer(&domain.name, RData::A(A(ip)));
                }
                coverage.count("dns: implicit MX");
            }
            (Kind::Mx | Kind::Ourselves | Kind::Routed, RecordType::MX) => {
                self.exchanges(domain, plan, answer, coverage);
            }
            _ => {}
        }
    }

    fn exchanges(
        &self,
        domain: &Domain,
        plan: &Plan,
        answer: &mut impl FnMut(&str, RData),
        coverage: &mut Coverage,
    ) {
        if domain.kind == Kind::Ourselves {
            answer(&domain.name, RData::MX(MX::new(0, named(HOSTNAME))));
            coverage.count("dns: a loop to ourselves");
        }
        let hosts = if self.moved { &domain.moved } else { &domain.hosts };
        for (preference, host) in hosts {
            let preference = if domain.kind == Kind::Ourselves { 10 } else { *preference };
            answer(&domain.name, RData::MX(MX::new(preference, named(&plan.hosts[*host].name))));
        }
    }
}

/// Mail for it can only go back.
fn leads_nowhere(kind: Kind) -> bool {
    matches!(kind, Kind::NullMx | Kind::Missing | Kind::Ourselves | Kind::Dead)
}

fn named(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap_or_default()
}

/// What goes wrong with an answer. None of it says anything about the name.
fn fault(
    mut message: Message,
    stream: bool,
    random: &mut Random,
    coverage: &mut Coverage,
) -> Reply {
    let code = |message: &mut Message, code| message.metadata.response_code = code;
    match random.below(7) {
        0 => {
            coverage.count("dns: a server is silent");
            return Reply::Silence;
        }
        1 => {
            message.metadata.id = message.metadata.id.wrapping_add(1);
            coverage.count("dns: wrong id");
        }
        2 => {
            code(&mut message, ResponseCode::ServFail);
            coverage.count("dns: SERVFAIL");
        }
        3 if !stream => {
            message.metadata.truncation = true;
            coverage.count("dns: truncated");
        }
        4 => {
            code(&mut message, ResponseCode::FormErr);
            coverage.count("dns: EDNS refused");
        }
        5 => {
            message.queries.clear();
            coverage.count("dns: answers no question");
        }
        _ => {
            let mut octets = message.to_vec().unwrap_or_default();
            octets.truncate(random.below(octets.len() as u32) as usize);
            coverage.count("dns: cut off");
            return Reply::Says(octets.into());
        }
    }
    Reply::Says(message.to_vec().unwrap_or_default().into())
}
