//! Writes a DNS response into as many octets as the asker takes, with names compressed.

use std::net::IpAddr;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    name::{Kind, Name, ancestry, labels},
    query::{CLASS_IN, Edns, HEADER_OCTETS, Head, Query},
};

/// What a datagram may hold when the asker names no size: RFC 1035 §2.3.4.
pub const DATAGRAM_OCTETS: usize = 512;
/// The largest datagram this server sends, whatever the asker would take.
pub const DATAGRAM_OCTETS_MAX: usize = 4096;
/// What a stream's length prefix can tell.
pub const STREAM_OCTETS_MAX: usize = 65_535;

/// What this server says it takes: no query comes near it.
const PAYLOAD: u16 = 1232;
/// RFC 1035 §4.1.4: a pointer has 14 bits.
const POINTER_MAX: usize = 0x3FFF;
/// Names that later ones may point to; the ones that come after them are pointed to by nobody.
const TARGETS_MAX: usize = 24;
/// An OPT record without options.
const OPT_OCTETS: usize = 11;

const FLAG_RESPONSE: u16 = 0x8000;
const FLAG_AUTHORITATIVE: u16 = 0x0400;
const FLAG_TRUNCATED: u16 = 0x0200;
const OPCODE_MASK: u16 = 0x7800;
/// What a response repeats: RD (RFC 1035 §4.1.1) and CD (RFC 4035 §3.1.6).
const FLAGS_REPEATED: u16 = OPCODE_MASK | 0x0110;

/// A response code; those above 15 need EDNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code(pub u16);

impl Code {
    pub const NO_ERROR: Code = Code(0);
    pub const FORMAT_ERROR: Code = Code(1);
    pub const SERVER_FAILURE: Code = Code(2);
    pub const NAME_ERROR: Code = Code(3);
    pub const NOT_IMPLEMENTED: Code = Code(4);
    pub const REFUSED: Code = Code(5);
    /// RFC 6891 §6.1.3.
    pub const BAD_VERSION: Code = Code(16);
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Mx {
        preference: u16,
        exchange: Name,
    },
    /// Character strings, each behind its length.
    Txt(Bytes),
    Cname(Name),
    Ns(Name),
    Ptr(Name),
    Soa(Box<Soa>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    pub primary: Name,
    pub mailbox: Name,
    pub serial: u32,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    /// RFC 2308 §4: how long that a name is not there may be believed.
    pub minimum: u32,
}

impl Data {
    pub fn kind(&self) -> Kind {
        match self {
            Data::Address(address) => Kind::of(*address),
            Data::Mx { .. } => Kind::MX,
            Data::Txt(_) => Kind::TXT,
            Data::Cname(_) => Kind::CNAME,
            Data::Ns(_) => Kind::NS,
            Data::Ptr(_) => Kind::PTR,
            Data::Soa(_) => Kind::SOA,
        }
    }
}

/// The sections of a response, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub enum Section {
    Answer,
    Authority,
    Additional,
}

/// Set on the answer to a query that a zone of this server covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authority {
    Ours,
    None,
}

/// A response that grows record by record, and never past what the asker takes.
pub struct Response {
    octets: Vec<u8>,
    head: Head,
    flags: u16,
    code: Code,
    edns: Option<Edns>,
    /// Where names begin that later names may end in.
    targets: SmallVec<[u16; TARGETS_MAX]>,
    counts: [u16; 3],
    /// Where the question ends.
    question_end: usize,
    octets_max: usize,
}

impl Response {
    /// The answer, so far empty, to a query whose asker takes `octets_max` octets.
    pub fn new(query: &Query, octets_max: usize) -> Response {
        let mut octets = Vec::with_capacity(DATAGRAM_OCTETS);
        octets.resize(HEADER_OCTETS, 0);
        octets.extend_from_slice(query.question);
        let mut targets = SmallVec::new();
        let mut at = HEADER_OCTETS;
        for (label, _) in labels(query.name.octets()) {
            remember(&mut targets, at);
            at += 1 + label.len();
        }
        let opt = if query.edns.is_some() { OPT_OCTETS } else { 0 };
        Response {
            question_end: octets.len(),
            octets,
            head: query.head,
            flags: FLAG_RESPONSE,
            code: Code::NO_ERROR,
            edns: query.edns,
            targets,
            counts: [0; 3],
            octets_max: octets_max - opt,
        }
    }

    /// The header alone: the answer to what could not be read.
    pub fn bare(head: Head, code: Code) -> Vec<u8> {
        let flags = FLAG_RESPONSE | head.flags & FLAGS_REPEATED | code.0;
        let mut octets = vec![0; HEADER_OCTETS];
        octets[..2].copy_from_slice(&head.id.to_be_bytes());
        octets[2..4].copy_from_slice(&flags.to_be_bytes());
        octets
    }

    pub fn code(&mut self, code: Code, authority: Authority) {
        self.code = code;
        self.flags &= !FLAG_AUTHORITATIVE;
        if authority == Authority::Ours {
            self.flags |= FLAG_AUTHORITATIVE;
        }
    }

    /// Adds a record if there is room for the whole of it, and says whether there was.
    #[must_use]
    pub fn record(&mut self, section: Section, owner: &[u8], ttl: u32, data: &Data) -> bool {
        debug_assert!(self.counts[section as usize + 1..].iter().all(|count| *count == 0));
        let (before, targets) = (self.octets.len(), self.targets.len());
        self.name(owner);
        self.pair(data.kind().0);
        self.pair(CLASS_IN);
        self.quad(ttl);
        let length_at = self.octets.len();
        self.pair(0);
        self.data(data);
        let length = self.octets.len() - length_at - 2;
        if self.octets.len() > self.octets_max {
            self.octets.truncate(before);
            self.targets.truncate(targets);
            return false;
        }
        // A record that fits a message has fewer than 2^16 octets.
        self.octets[length_at..length_at + 2].copy_from_slice(&(length as u16).to_be_bytes());
        self.counts[section as usize] += 1;
        true
    }

    /// Says that the answer does not fit, and takes back what of it did: RFC 2181 §9 lets the
    /// asker use none of it anyway.
    pub fn truncate(&mut self) {
        self.flags |= FLAG_TRUNCATED;
        self.octets.truncate(self.question_end);
        let end = self.question_end;
        self.targets.retain(|target| usize::from(*target) < end);
        self.counts = [0; 3];
    }

    /// The whole message.
    pub fn finish(mut self) -> Vec<u8> {
        let [answers, authorities, mut additionals] = self.counts;
        if let Some(edns) = self.edns {
            // RFC 6891 §6.1.3: the upper eight bits of the code; RFC 3225 §3: DO comes back.
            let [_, low] = (self.code.0 >> 4).to_be_bytes();
            let dnssec_ok = if edns.dnssec_ok { 0x80 } else { 0 };
            self.octets.push(0);
            self.pair(Kind::OPT.0);
            self.pair(PAYLOAD);
            self.octets.extend_from_slice(&[low, 0, dnssec_ok, 0, 0, 0]);
            additionals += 1;
        }
        let flags = self.flags | self.head.flags & FLAGS_REPEATED | self.code.0 & 0xF;
        let fields = [self.head.id, flags, 1, answers, authorities, additionals];
        for (place, field) in self.octets.chunks_exact_mut(2).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        self.octets
    }

    fn data(&mut self, data: &Data) {
        match data {
            Data::Address(IpAddr::V4(address)) => self.octets.extend_from_slice(&address.octets()),
            Data::Address(IpAddr::V6(address)) => self.octets.extend_from_slice(&address.octets()),
            Data::Mx { preference, exchange } => {
                self.pair(*preference);
                self.name(exchange.octets());
            }
            Data::Txt(strings) => self.octets.extend_from_slice(strings),
            Data::Cname(name) | Data::Ns(name) | Data::Ptr(name) => self.name(name.octets()),
            Data::Soa(soa) => {
                self.name(soa.primary.octets());
                self.name(soa.mailbox.octets());
                for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                    self.quad(number);
                }
            }
        }
    }

    /// Writes a name, the end of it as a pointer if the message already has it.
    fn name(&mut self, wire: &[u8]) {
        for rest in ancestry(wire) {
            let Some((label, _)) = labels(rest).next() else { break };
            let before = self.targets.iter().find(|&&at| self.spells(usize::from(at), rest));
            if let Some(at) = before {
                self.pair(0xC000 | at);
                return;
            }
            remember(&mut self.targets, self.octets.len());
            self.octets.push(label.len() as u8);
            self.octets.extend_from_slice(label);
        }
        self.octets.push(0);
    }

    /// Whether the name at an offset is this one. A name still being written has no end yet, and
    /// is nothing.
    fn spells(&self, mut at: usize, wire: &[u8]) -> bool {
        for (label, _) in labels(wire) {
            at = self.beyond_pointer(at);
            let Some(rest) = self.octets.get(at..) else { return false };
            let Some((&length, rest)) = rest.split_first() else { return false };
            let Some(found) = rest.get(..usize::from(length)) else { return false };
            if !found.eq_ignore_ascii_case(label) {
                return false;
            }
            at += 1 + label.len();
        }
        self.octets.get(self.beyond_pointer(at)) == Some(&0)
    }

    /// Pointers of this message point to labels only, so one step is enough.
    fn beyond_pointer(&self, at: usize) -> usize {
        match self.octets.get(at..at + 2) {
            Some(&[high @ 0xC0..=0xFF, low]) => usize::from(high & 0x3F) << 8 | usize::from(low),
            _ => at,
        }
    }

    fn pair(&mut self, number: u16) {
        self.octets.extend_from_slice(&number.to_be_bytes());
    }

    fn quad(&mut self, number: u32) {
        self.octets.extend_from_slice(&number.to_be_bytes());
    }
}

fn remember(targets: &mut SmallVec<[u16; TARGETS_MAX]>, at: usize) {
    if targets.len() < TARGETS_MAX && at <= POINTER_MAX {
        targets.push(at as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::query;

    fn name(text: &str) -> Name {
        Name::parse(text).expect(text)
    }

    const ASKED: &[u8] = b"\x00\x07\x01\x00\0\x01\0\0\0\0\0\0\x02D5\x04test\0\0\x0f\0\x01";
    const ASKED_EDNS: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\x01\x02D5\x04test\0\0\x0f\0\x01\
        \0\0\x29\x04\xd0\0\0\x80\0\0\0";

    #[test]
    fn names_end_in_pointers() {
        let asked = query::read(ASKED).expect("a query");
        let mut response = Response::new(&asked, DATAGRAM_OCTETS);
        response.code(Code::NO_ERROR, Authority::Ours);
        let mx = Data::Mx { preference: 10, exchange: name("mx0.d5.test") };
        let host = Data::Address("127.0.0.1".parse().expect("an address"));
        assert!(response.record(Section::Answer, asked.name.octets(), 300, &mx));
        assert!(response.record(Section::Additional, name("mx0.d5.test").octets(), 300, &host));
        let other = Data::Ns(name("x.d5.example"));
        assert!(response.record(Section::Additional, name("a.d5.example").octets(), 1, &other));
        let expected: &[&[u8]] = &[
            b"\x00\x07\x85\x00\0\x01\0\x01\0\0\0\x02",
            b"\x02D5\x04test\0\0\x0f\0\x01",
            b"\xc0\x0c\0\x0f\0\x01\0\0\x01\x2c\0\x08\0\x0a\x03mx0\xc0\x0c",
            b"\xc0\x27\0\x01\0\x01\0\0\x01\x2c\0\x04\x7f\0\0\x01",
            b"\x01a\x02d5\x07example\0\0\x02\0\x01\0\0\0\x01\0\x04\x01x\xc0\x3f",
        ];
        assert_eq!(response.finish(), expected.concat());
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_no_trace() {
        let asked = query::read(ASKED_EDNS).expect("a query");
        let mut response = Response::new(&asked, 64);
        let host = Data::Address("127.0.0.1".parse().expect("an address"));
        assert!(response.record(Section::Answer, asked.name.octets(), 1, &host));
        assert!(!response.record(Section::Answer, name("new.example").octets(), 1, &host));
        let octets = response.finish();
        assert!(octets.len() <= 64);
        assert_eq!(octets[6..12], [0, 1, 0, 0, 0, 1]);
        assert_eq!(&octets[octets.len() - 11..], b"\0\0\x29\x04\xd0\0\0\x80\0\0\0");
    }

    #[test]
    fn truncation_keeps_question_and_opt() {
        let asked = query::read(ASKED_EDNS).expect("a query");
        let mut response = Response::new(&asked, DATAGRAM_OCTETS);
        response.code(Code::BAD_VERSION, Authority::None);
        let ns = Data::Ns(name("a.b.example"));
        assert!(response.record(Section::Answer, asked.name.octets(), 1, &ns));
        response.truncate();
        let expected: &[&[u8]] = &[
            b"\x00\x07\x83\x00\0\x01\0\0\0\0\0\x01\x02D5\x04test\0\0\x0f\0\x01",
            b"\0\0\x29\x04\xd0\x01\0\x80\0\0\0",
        ];
        assert_eq!(response.finish(), expected.concat());
    }

    #[test]
    fn many_names_stay_within_the_targets() {
        let asked = query::read(ASKED).expect("a query");
        let mut response = Response::new(&asked, STREAM_OCTETS_MAX);
        for number in 0..2000 {
            let data = Data::Ns(name(&format!("n{number}.far{number}.example")));
            assert!(response.record(Section::Answer, asked.name.octets(), 1, &data));
        }
        assert_eq!(response.finish()[6..8], 2000u16.to_be_bytes());
    }
}
