//! Reads a DNS query: its header, its one question and what EDNS says; nothing else is needed.

use thiserror::Error;

use super::{
    name::{Kind, LABEL_OCTETS_MAX, NAME_OCTETS_MAX, Name},
    response::Code,
};

/// RFC 1035 §4.1.1.
pub const HEADER_OCTETS: usize = 12;
/// RFC 1035 §4.1.1: the class of the Internet.
pub const CLASS_IN: u16 = 1;

const FLAG_RESPONSE: u16 = 0x8000;
const OPCODE_MASK: u16 = 0x7800;
/// RFC 6891 §6.1.4, in an OPT record's TTL field.
const FLAG_DNSSEC_OK: u32 = 0x8000;

/// One question, and what its answer must repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    pub head: Head,
    /// As it came: the answer repeats it in the letter case of the asker.
    pub question: &'a [u8],
    pub name: Name,
    pub kind: Kind,
    pub class: u16,
    pub edns: Option<Edns>,
}

/// What even the answer to an unreadable query repeats of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub id: u16,
    pub flags: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The largest datagram the asker takes.
    pub payload: u16,
    pub version: u8,
    pub dnssec_ok: bool,
}

/// Why octets are no query that can be answered from a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("fewer than 12 octets: ignored, as there is no header to answer to")]
    Short,
    #[error("a response, not a query: ignored, so that two servers never talk to each other")]
    Response,
    #[error("an opcode other than QUERY: answered NOTIMP")]
    Opcode(Head),
    #[error("not one well-formed question: answered FORMERR")]
    Malformed(Head),
}

impl Fault {
    /// The answer, where there is one to give.
    pub fn code(&self) -> Option<(Head, Code)> {
        match *self {
            Fault::Short | Fault::Response => None,
            Fault::Opcode(head) => Some((head, Code::NOT_IMPLEMENTED)),
            Fault::Malformed(head) => Some((head, Code::FORMAT_ERROR)),
        }
    }
}

/// Reads a whole message.
pub fn read(octets: &[u8]) -> Result<Query<'_>, Fault> {
    let mut reader = Reader { octets, at: 0 };
    let [id, flags, questions, answers, authorities, additionals] =
        reader.header().ok_or(Fault::Short)?;
    let head = Head { id, flags };
    if flags & FLAG_RESPONSE != 0 {
        return Err(Fault::Response);
    }
    if flags & OPCODE_MASK != 0 {
        return Err(Fault::Opcode(head));
    }
    if questions != 1 {
        return Err(Fault::Malformed(head));
    }
    let records = usize::from(answers) + usize::from(authorities);
    reader.body(head, records, usize::from(additionals)).ok_or(Fault::Malformed(head))
}

/// Octets, and how many of them are read; what runs past their end is `None`.
struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn header(&mut self) -> Option<[u16; 6]> {
        let header = self.take(HEADER_OCTETS)?;
        let mut fields = [0; 6];
        for (field, pair) in fields.iter_mut().zip(header.chunks_exact(2)) {
            *field = u16::from_be_bytes(pair.try_into().ok()?);
        }
        Some(fields)
    }

    fn body(&mut self, head: Head, records: usize, additionals: usize) -> Option<Query<'a>> {
        let begin = self.at;
        let name = Name::of_wire(self.plain_name()?);
        let kind = Kind(self.pair()?);
        let class = self.pair()?;
        let question = self.octets.get(begin..self.at)?;
        for _ in 0..records {
            self.record()?;
        }
        let mut edns = None;
        for _ in 0..additionals {
            // RFC 6891 §6.1.1: more than one OPT record is a format error.
            if let Some(found) = self.record()?
                && edns.replace(found).is_some()
            {
                return None;
            }
        }
        let whole = self.at == self.octets.len();
        whole.then_some(Query { head, question, name, kind, class, edns })
    }

    /// A name without pointers: in a question, the first name of a message, there is nothing
    /// before it to point to.
    fn plain_name(&mut self) -> Option<&'a [u8]> {
        let begin = self.at;
        loop {
            let length = usize::from(self.octet()?);
            if length > LABEL_OCTETS_MAX {
                return None;
            }
            self.take(length)?;
            if self.at - begin > NAME_OCTETS_MAX {
                return None;
            }
            if length == 0 {
                return self.octets.get(begin..self.at);
            }
        }
    }

    /// Passes over one record; says what it holds if it is an OPT record.
    fn record(&mut self) -> Option<Option<Edns>> {
        let root = self.pass_name()?;
        let kind = Kind(self.pair()?);
        let class = self.pair()?;
        let ttl = u32::from(self.pair()?) << 16 | u32::from(self.pair()?);
        let length = self.pair()?;
        self.take(usize::from(length))?;
        if kind != Kind::OPT {
            return Some(None);
        }
        // RFC 6891 §6.1.2: the owner of an OPT record is the root.
        let [_, version, ..] = ttl.to_be_bytes();
        let edns = Edns { payload: class, version, dnssec_ok: ttl & FLAG_DNSSEC_OK != 0 };
        root.then_some(Some(edns))
    }

    /// Passes over a name, which may end in a pointer; nothing follows it, so no loop can be met.
    /// True if it is the root.
    fn pass_name(&mut self) -> Option<bool> {
        let begin = self.at;
        loop {
            let length = self.octet()?;
            match length {
                0 => return Some(self.at - begin == 1),
                0xC0.. => {
                    self.octet()?;
                    return Some(false);
                }
                0x40.. => return None,
                _ => self.take(usize::from(length))?,
            };
        }
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn pair(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.octets.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header fields, then the rest.
    fn message(fields: [u16; 6], rest: &[u8]) -> Vec<u8> {
        let header = fields.iter().flat_map(|field| field.to_be_bytes());
        header.chain(rest.iter().copied()).collect()
    }

    const QUESTION: &[u8] = b"\x02D5\x04test\0\0\x0f\0\x01";
    const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";

    #[test]
    fn a_question_is_read() {
        let octets = message([7, 0x0100, 1, 0, 0, 0], QUESTION);
        let query = read(&octets).expect("a query");
        assert_eq!(query.head, Head { id: 7, flags: 0x0100 });
        assert_eq!(
            (query.name.to_string().as_str(), query.kind, query.class),
            ("d5.test", Kind::MX, 1)
        );
        assert_eq!((query.question, query.edns), (QUESTION, None));
    }

    #[test]
    fn edns_is_read_behind_other_records() {
        let soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x02ab";
        let octets = message([7, 0, 1, 0, 1, 1], &[QUESTION, soa, OPT].concat());
        let edns = Edns { payload: 1232, version: 0, dnssec_ok: true };
        assert_eq!(read(&octets).expect("a query").edns, Some(edns));
    }

    #[test]
    fn what_is_no_query_is_told() {
        let head = |flags| Head { id: 7, flags };
        let one = [7, 0, 1, 0, 0, 0];
        let malformed = Fault::Malformed(head(0));
        let with =
            |rest: &[&[u8]]| message([7, 0, 1, 0, 0, 1], &[&[QUESTION], rest].concat().concat());
        let long_name = [&[0x3f; 64][..]; 5].concat();
        for (octets, fault) in [
            (vec![], Fault::Short),
            (vec![0; 11], Fault::Short),
            (message([7, 0x8000, 1, 0, 0, 0], QUESTION), Fault::Response),
            (message([7, 0x2800, 1, 0, 0, 0], QUESTION), Fault::Opcode(head(0x2800))),
            (message([7, 0, 0, 0, 0, 0], b""), malformed),
            (message([7, 0, 2, 0, 0, 0], QUESTION), malformed),
            (message(one, b"\x02D5\x04test"), malformed),
            (message(one, b"\xc0\x0c\0\x0f\0\x01"), malformed),
            (message(one, b"\x40a\0\0\x0f\0\x01"), malformed),
            (message(one, &[&long_name, QUESTION].concat()), malformed),
            (message(one, &[QUESTION, b"junk"].concat()), malformed),
            (with(&[b""]), malformed),
            (message([7, 0, 1, 0xffff, 0xffff, 0xffff], QUESTION), malformed),
            (message([7, 0, 1, 0, 0, 2], &[QUESTION, OPT, OPT].concat()), malformed),
            (with(&[b"\x01a\0\0\x29\x04\xd0\0\0\0\0\0\0"]), malformed),
            (with(&[b"\0\0\x29\x04\xd0\0\0\0\0\0\x04ab"]), malformed),
        ] {
            assert_eq!(read(&octets), Err(fault), "{octets:02x?}");
        }
    }

    #[test]
    fn every_cut_is_a_fault() {
        let octets = message([7, 0, 1, 0, 0, 1], &[QUESTION, OPT].concat());
        assert!(read(&octets).is_ok());
        for cut in 0..octets.len() {
            assert!(read(&octets[..cut]).is_err(), "cut at {cut}");
        }
    }
}
