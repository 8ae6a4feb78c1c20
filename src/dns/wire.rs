//! The DNS message format: writes questions, reads and checks answers.

use std::net::{IpAddr, Ipv4Addr};

use bytes::{BufMut, Bytes, BytesMut};
use hickory_proto::{
    op::{Header, Message, MessageType, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};

use super::{Answer, Exchange, Kind, Question, Records};
use crate::{
    limits::{CNAME_MAX, DNS_PAYLOAD, HOSTS_MAX, MX_MAX},
    time::Duration,
};

/// What a message means for the question it should answer.
#[derive(PartialEq, Eq, Debug)]
pub enum Reply {
    Answer(Answer),
    /// The answer does not fit a datagram: ask by stream.
    Truncated,
    /// The server does not know EDNS: ask without (RFC 6891 §7).
    PlainOnly,
    /// Malformed, not an answer to our question, or a server that cannot answer.
    Useless,
}

/// RFC 1035 §2.3.4: the name fits a message, so `write` can ask for it.
pub fn is_askable(name: &str) -> bool {
    name.len() <= NAME_MAX && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// 255 octets on the wire, less the first length and the root.
const NAME_MAX: usize = 253;

/// The message that asks `question`, whose name is askable.
pub fn write(question: &Question, id: u16, edns: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(12 + question.name.len() + 2 + 4 + 11);
    out.put_u16(id);
    // RFC 1035 §4.1.1: a standard query, recursion desired.
    out.put_u16(0x0100);
    // One question, and the OPT record as the one additional record.
    for count in [1, 0, 0, u16::from(edns)] {
        out.put_u16(count);
    }
    for label in question.name.split('.') {
        out.put_u8(label.len() as u8);
        out.put_slice(label.as_bytes());
    }
    out.put_u8(0);
    out.put_u16(record_type(question.kind).into());
    out.put_u16(DNSClass::IN.into());
    if edns {
        // RFC 6891 §6.1.2: the root, the type, our payload size, no flags, version 0, no options.
        out.put_u8(0);
        out.put_u16(RecordType::OPT.into());
        out.put_u16(DNS_PAYLOAD);
        out.put_u32(0);
        out.put_u16(0);
    }
    out.freeze()
}

/// Reads the answer to what `write` wrote.
pub fn read(question: &Question, id: u16, message: &[u8]) -> Reply {
    let mut decoder = BinDecoder::new(message);
    let Ok(header) = Header::read(&mut decoder) else { return Reply::Useless };
    let meta = header.metadata;
    if meta.id != id || meta.message_type != MessageType::Response {
        return Reply::Useless;
    }
    // A server that does not know EDNS may not even repeat the question.
    if header.counts.queries == 0 && knows_no_edns(meta.response_code) {
        return Reply::PlainOnly;
    }
    if header.counts.queries != 1 || !Query::read(&mut decoder).is_ok_and(|q| asks(&q, question)) {
        return Reply::Useless;
    }
    // Before the records are read: some servers cut them anywhere (RFC 2181 §9).
    if meta.truncation {
        return Reply::Truncated;
    }
    let Ok(message) = Message::from_vec(message) else { return Reply::Useless };
    match message.metadata.response_code {
        ResponseCode::NoError => Reply::Answer(answer(&message, question.kind, Records::NoData)),
        ResponseCode::NXDomain => Reply::Answer(answer(&message, question.kind, Records::NoName)),
        code if knows_no_edns(code) => Reply::PlainOnly,
        _ => Reply::Useless,
    }
}

fn knows_no_edns(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS)
}

fn asks(query: &Query, question: &Question) -> bool {
    query.query_type == record_type(question.kind)
        && query.query_class == DNSClass::IN
        && is_name(&query.name, &question.name)
}

/// RFC 1035 §2.3.3: without regard to case.
fn is_name(name: &Name, text: &str) -> bool {
    name.iter().count() == text.split('.').count()
        && name.iter().zip(text.split('.')).all(|(a, b)| a.eq_ignore_ascii_case(b.as_bytes()))
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::Mx => RecordType::MX,
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
    }
}

/// The records at the end of the question's alias chain; `empty` where there are none.
fn answer(message: &Message, kind: Kind, empty: Records) -> Answer {
    let Some(query) = message.queries.first() else {
        return Answer { records: Records::Unanswered, ttl: None };
    };
    let mut owner = &query.name;
    let mut ttl = u32::MAX;
    let mut links = 0;
    // Only records of the chain count: what else a server adds may be poison.
    while let Some((target, link_ttl)) = alias(message, owner) {
        owner = target;
        ttl = ttl.min(link_ttl);
        links += 1;
        if links == CNAME_MAX {
            return to_ask(owner, ttl);
        }
    }
    let found = message.answers.iter().filter(|record| is_of(record, owner));
    let (records, own_ttl) = match kind {
        Kind::Mx => exchanges(found),
        Kind::A | Kind::Aaaa => addresses(found, kind),
    };
    match records {
        Some(records) => Answer { records, ttl: Some(seconds(ttl.min(own_ttl))) },
        // RFC 2308 §2.1: NXDOMAIN is about the end of the chain. Without it, and without the SOA
        // that tells NODATA (§2.2), the server has only not followed the chain to its end.
        None if links > 0 && empty == Records::NoData && negative_ttl(message).is_none() => {
            to_ask(owner, ttl)
        }
        None => {
            let ttl = negative_ttl(message).map(|negative| seconds(ttl.min(negative)));
            Answer { records: empty, ttl }
        }
    }
}

fn alias<'m>(message: &'m Message, owner: &Name) -> Option<(&'m Name, u32)> {
    message.answers.iter().filter(|record| is_of(record, owner)).find_map(|r| match &r.data {
        RData::CNAME(target) => Some((&target.0, r.ttl)),
        _ => None,
    })
}

fn is_of(record: &Record, owner: &Name) -> bool {
    record.dns_class == DNSClass::IN && record.name.eq_ignore_root(owner)
}

fn to_ask(target: &Name, ttl: u32) -> Answer {
    // A name that no host can have leads nowhere.
    let records = host_name(target).map_or(Records::NoData, Records::Alias);
    Answer { records, ttl: Some(seconds(ttl)) }
}

fn exchanges<'m>(found: impl Iterator<Item = &'m Record>) -> (Option<Records>, u32) {
    let (mut list, mut ttl, mut count, mut roots) = (Vec::new(), u32::MAX, 0, 0);
    for record in found {
        let RData::MX(mx) = &record.data else { continue };
        ttl = ttl.min(record.ttl);
        count += 1;
        roots += usize::from(mx.exchange.is_root());
        if let Some(name) = host_name(&mx.exchange) {
            list.push(Exchange { preference: mx.preference, name });
        }
    }
    list.sort_by_key(|exchange: &Exchange| exchange.preference);
    list.truncate(MX_MAX);
    let records = match count {
        0 => None,
        // RFC 7505 §3: the null MX stands alone; beside others it is no host and is skipped.
        _ if roots == count => Some(Records::NullMx),
        _ => Some(Records::Mx(list.into())),
    };
    (records, ttl)
}

fn addresses<'m>(found: impl Iterator<Item = &'m Record>, kind: Kind) -> (Option<Records>, u32) {
    let (mut list, mut ttl) = (Vec::new(), u32::MAX);
    for record in found {
        let ip: IpAddr = match (&record.data, kind) {
            (RData::A(a), Kind::A) => a.0.into(),
            (RData::AAAA(aaaa), Kind::Aaaa) => aaaa.0.into(),
            _ => continue,
        };
        ttl = ttl.min(record.ttl);
        if list.len() < HOSTS_MAX && is_of_a_host(ip) && !list.contains(&ip) {
            list.push(ip);
        }
    }
    ((!list.is_empty()).then(|| Records::Addresses(list.into())), ttl)
}

/// No host has the unspecified address (Linux would connect to ourselves), nor many one address.
pub(super) fn is_of_a_host(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// RFC 2308 §5: the lesser of the SOA's own TTL and its MINIMUM field.
fn negative_ttl(message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(valid_ttl(record.ttl).min(soa.minimum)),
        _ => None,
    })
}

/// RFC 2181 §8: a TTL with the most significant bit set is zero.
fn valid_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(valid_ttl(ttl).into())
}

/// In our form; `None` for what no host is called: the root, an address, odd characters.
fn host_name(name: &Name) -> Option<Box<str>> {
    let mut text = String::with_capacity(NAME_MAX);
    for label in name.iter() {
        let is_good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if !label.iter().all(is_good) {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
    }
    // An MX that names an address is against RFC 5321 §5.1 and RFC 1035 §3.3.9.
    (!text.is_empty() && text.parse::<Ipv4Addr>().is_err()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, SOA, TXT};

    use super::*;

    const ID: u16 = 0x1234;

    fn question(kind: Kind) -> Question {
        Question { name: "example.org".into(), kind }
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(owner: &str, ttl: u32, data: RData) -> Record {
        Record::from_rdata(name(owner), ttl, data)
    }

    fn a(owner: &str, ip: &str) -> Record {
        record(owner, 300, RData::A(A(ip.parse().unwrap())))
    }

    fn cname(owner: &str, ttl: u32, target: &str) -> Record {
        record(owner, ttl, RData::CNAME(CNAME(name(target))))
    }

    fn mx(preference: u16, exchange: &str) -> Record {
        record("example.org.", 300, RData::MX(MX::new(preference, name(exchange))))
    }

    fn soa(ttl: u32, minimum: u32) -> Record {
        let soa = SOA::new(name("ns.example.org."), name("h.example.org."), 1, 2, 3, 4, minimum);
        record("example.org.", ttl, RData::SOA(soa))
    }

    /// A good reply, changed by `change`.
    fn reply(kind: Kind, change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let query = write(&question(kind), ID, true);
        let mut message = Message::from_vec(&query).unwrap();
        message.metadata.message_type = MessageType::Response;
        change(&mut message);
        message.to_vec().unwrap()
    }

    fn read_changed(kind: Kind, change: impl FnOnce(&mut Message)) -> Reply {
        read(&question(kind), ID, &reply(kind, change))
    }

    fn said(records: Records, ttl: Option<u64>) -> Reply {
        Reply::Answer(Answer { records, ttl: ttl.map(Duration::from_secs) })
    }

    fn ips(list: &[&str]) -> Records {
        Records::Addresses(list.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    #[test]
    fn questions_are_what_a_codec_reads() {
        for (kind, edns) in [(Kind::Mx, true), (Kind::A, false), (Kind::Aaaa, true)] {
            let message = Message::from_vec(&write(&question(kind), ID, edns)).unwrap();
            assert_eq!(message.metadata.id, ID);
            assert!(message.metadata.recursion_desired);
            assert_eq!(message.metadata.message_type, MessageType::Query);
            assert!(message.queries.len() == 1 && asks(&message.queries[0], &question(kind)));
            assert_eq!(message.queries[0].query_type.to_string(), kind.as_str());
            assert_eq!(message.edns.map(|edns| edns.max_payload()), edns.then_some(DNS_PAYLOAD));
        }
        for (name, askable) in [
            ("a", true),
            ("a.b", true),
            ("", false),
            ("a..b", false),
            ("a.", false),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
            (&["a"; 127].join("."), true),
            (&["a"; 128].join("."), false),
        ] {
            assert_eq!(is_askable(name), askable, "{name}");
        }
    }

    /// One change to a good message, with its name.
    type Change = (&'static str, fn(&mut Message));

    #[test]
    fn only_answers_to_our_question_count() {
        let good = |m: &mut Message| {
            m.add_answer(a("example.org.", "192.0.2.1"));
        };
        assert_eq!(read_changed(Kind::A, good), said(ips(&["192.0.2.1"]), Some(300)));
        let upper = read_changed(Kind::A, |m| {
            good(m);
            m.queries[0].name = name("EXAMPLE.oRg.");
            m.answers[0].name = name("eXample.org.");
        });
        assert_eq!(upper, said(ips(&["192.0.2.1"]), Some(300)));
        let changes: [Change; 9] = [
            ("another id", |m| m.metadata.id ^= 1),
            ("a query", |m| m.metadata.message_type = MessageType::Query),
            ("another name", |m| m.queries[0].name = name("example.com.")),
            ("a longer name", |m| m.queries[0].name = name("a.example.org.")),
            ("another type", |m| m.queries[0].query_type = RecordType::AAAA),
            ("another class", |m| m.queries[0].query_class = DNSClass::CH),
            ("no question", |m| m.queries.clear()),
            ("two questions", |m| m.queries.push(m.queries[0].clone())),
            ("refused", |m| m.metadata.response_code = ResponseCode::Refused),
        ];
        for (what, change) in changes {
            let got = read_changed(Kind::A, |m| {
                good(m);
                change(m);
            });
            assert_eq!(got, Reply::Useless, "{what}");
        }
        let whole = reply(Kind::A, good);
        for cut in 0..whole.len() {
            assert_eq!(read(&question(Kind::A), ID, &whole[..cut]), Reply::Useless, "{cut}");
        }
    }

    #[test]
    fn servers_without_edns_and_short_datagrams() {
        let changes: [(Change, Reply); 5] = [
            (("", |m| m.metadata.response_code = ResponseCode::FormErr), Reply::PlainOnly),
            (("", |m| m.metadata.response_code = ResponseCode::NotImp), Reply::PlainOnly),
            (
                ("no question", |m| {
                    m.metadata.response_code = ResponseCode::FormErr;
                    m.queries.clear();
                }),
                Reply::PlainOnly,
            ),
            (("", |m| m.metadata.response_code = ResponseCode::ServFail), Reply::Useless),
            (("", |m| m.metadata.truncation = true), Reply::Truncated),
        ];
        for ((what, change), want) in changes {
            assert_eq!(read_changed(Kind::Mx, change), want, "{what}");
        }
        let mut cut = reply(Kind::A, |m| {
            m.metadata.truncation = true;
            m.add_answer(a("example.org.", "192.0.2.1"));
        });
        cut.truncate(12 + 13 + 4 + 5);
        assert_eq!(read(&question(Kind::A), ID, &cut), Reply::Truncated);
    }

    #[test]
    fn records_outside_the_chain_are_poison() {
        let got = read_changed(Kind::A, |m| {
            m.add_answer(a("www.example.org.", "192.0.2.66"));
            m.add_answer(a("b.example.org.", "192.0.2.2"));
            m.add_answer(cname("a.example.org.", 20, "b.example.org."));
            m.add_answer(cname("example.org.", 50, "a.example.org."));
            m.add_answer(record("b.example.org.", 300, RData::TXT(TXT::new(vec!["x".into()]))));
            m.add_additional(a("example.org.", "192.0.2.67"));
        });
        assert_eq!(got, said(ips(&["192.0.2.2"]), Some(20)));
        let got = read_changed(Kind::A, |m| {
            m.add_answer(a("www.example.org.", "192.0.2.66"));
            m.add_authority(soa(40, 90));
        });
        assert_eq!(got, said(Records::NoData, Some(40)));
        // An address of the other family is not what was asked for.
        let got = read_changed(Kind::A, |m| {
            m.add_answer(record(
                "example.org.",
                1,
                RData::AAAA(AAAA("2001:db8::1".parse().unwrap())),
            ));
        });
        assert_eq!(got, said(Records::NoData, None));
    }

    #[test]
    fn negative_answers_and_aliases() {
        let no_name = |m: &mut Message| {
            m.metadata.response_code = ResponseCode::NXDomain;
            m.add_authority(soa(90, 40));
        };
        assert_eq!(read_changed(Kind::Mx, no_name), said(Records::NoName, Some(40)));
        let got = read_changed(Kind::Mx, |m| {
            no_name(m);
            m.add_answer(cname("example.org.", 7, "gone.example.org."));
        });
        assert_eq!(got, said(Records::NoName, Some(7)));
        let got = read_changed(Kind::Mx, |m| {
            m.add_answer(cname("example.org.", 7, "Other.Example.Org."));
        });
        assert_eq!(got, said(Records::Alias("other.example.org".into()), Some(7)));
        let got = read_changed(Kind::Mx, |m| {
            m.add_answer(cname("example.org.", 7, "other.example.org."));
            m.add_authority(soa(u32::MAX, 40));
        });
        assert_eq!(got, said(Records::NoData, Some(0)));
        let got = read_changed(Kind::A, |m| {
            m.add_answer(cname("example.org.", 9, "example.org."));
        });
        assert_eq!(got, said(Records::Alias("example.org".into()), Some(9)));
    }

    #[test]
    fn exchanges_are_sorted_and_checked() {
        let exchange =
            |preference, name: &str| Exchange { preference, name: name.to_owned().into() };
        let got = read_changed(Kind::Mx, |m| {
            for (preference, name) in [(20, "b.x."), (5, "."), (10, "A.x."), (1, "192.0.2.1.")] {
                m.add_answer(mx(preference, name));
            }
            let mut odd = mx(1, ".");
            let labels: [&[u8]; 2] = [b"we ird", b"x"];
            odd.data = RData::MX(MX::new(1, Name::from_labels(labels).unwrap()));
            m.add_answer(odd);
        });
        let list = [exchange(10, "a.x"), exchange(20, "b.x")];
        assert_eq!(got, said(Records::Mx(list.into()), Some(300)));
        let got = read_changed(Kind::Mx, |m| {
            m.add_answer(mx(0, "."));
        });
        assert_eq!(got, said(Records::NullMx, Some(300)));
        let got = read_changed(Kind::Mx, |m| {
            m.add_answer(mx(0, "192.0.2.1."));
        });
        assert_eq!(got, said(Records::Mx([].into()), Some(300)));
    }
}
