//! Reads zone files: one record a line, `name [ttl] [IN] TYPE data`, as in a master file
//! (RFC 1035 §5.1), with whole names and without directives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use thiserror::Error;

use super::{
    name::{Kind, Name, NameError},
    response::{Data, Soa},
};

/// RFC 1035 §3.3: a character string has its length in one octet.
const STRING_OCTETS_MAX: usize = 255;
/// All strings of one record: enough for any key, and no answer comes near what a stream holds.
const TEXT_OCTETS_MAX: usize = 16_384;
/// RFC 2181 §8.
const TTL_MAX: u32 = 0x7FFF_FFFF;

/// One record of a zone file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub line: usize,
    pub name: Name,
    /// Without one, records live as long as `--ttl` says.
    pub ttl: Option<u32>,
    pub data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct FileError {
    pub line: usize,
    #[source]
    pub fault: LineFault,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineFault {
    #[error("directives such as `{0}` are not understood: write each record with its whole name")]
    Directive(String),
    #[error("parentheses are not understood: write each record on one line")]
    Parenthesis,
    #[error("a quoted string does not end: close it with `\"`")]
    Quote,
    #[error("the record ends before its type: write `name [ttl] [IN] TYPE data`")]
    Short,
    #[error(
        "`{0}` is no type this server knows: use A, AAAA, MX, TXT, CNAME, NS, SOA or PTR, \
         after the name and perhaps the seconds to live and `IN`"
    )]
    Type(String),
    #[error("`{0}` is no time to live: write seconds, at most 2147483647")]
    Ttl(String),
    #[error("{kind} takes {expected}, not {found} words: write them all, and no more")]
    Words { kind: Kind, expected: &'static str, found: usize },
    #[error("`{0}` is no IPv4 address: write one as 192.0.2.1")]
    Ipv4(String),
    #[error("`{0}` is no IPv6 address: write one as 2001:db8::1")]
    Ipv6(String),
    #[error("`{0}` is no number from 0 to {1}: write one")]
    Number(String, u32),
    #[error("a string has more than 255 octets: write it as several, each in quotes")]
    String,
    #[error("the strings have more than 16384 octets together: shorten them")]
    Text,
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Reads all records of a file; the first line that is none ends it.
pub fn read(text: &str) -> Result<Vec<Entry>, FileError> {
    let mut entries = Vec::new();
    for (index, words) in text.lines().map(split).enumerate() {
        let line = index + 1;
        let entry = words.and_then(|words| record(line, &words));
        entries.extend(entry.map_err(|fault| FileError { line, fault })?);
    }
    Ok(entries)
}

/// The words of a line: what quotes hold is one word, and a semicolon outside them ends the line.
fn split(line: &str) -> Result<Vec<String>, LineFault> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ';' => break,
            '(' | ')' => return Err(LineFault::Parenthesis),
            '"' => words.push(quoted(&mut characters)?),
            _ if character.is_whitespace() => {}
            _ => {
                let mut word = String::from(character);
                while let Some(next) = characters.next_if(|c| !c.is_whitespace() && *c != ';') {
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    Ok(words)
}

/// The rest of a quoted string; a backslash takes the meaning from the character behind it.
fn quoted(characters: &mut impl Iterator<Item = char>) -> Result<String, LineFault> {
    let mut word = String::new();
    loop {
        match characters.next().ok_or(LineFault::Quote)? {
            '"' => return Ok(word),
            '\\' => word.push(characters.next().ok_or(LineFault::Quote)?),
            character => word.push(character),
        }
    }
}

/// The record that words spell; none, if there are no words.
fn record(line: usize, words: &[String]) -> Result<Option<Entry>, LineFault> {
    let Some((owner, mut words)) = words.split_first() else { return Ok(None) };
    if owner.starts_with('$') {
        return Err(LineFault::Directive(owner.clone()));
    }
    let name = Name::parse(owner)?;
    let mut ttl = None;
    if let Some((word, rest)) = words.split_first()
        && word.starts_with(|c: char| c.is_ascii_digit())
    {
        let seconds = word.parse().ok().filter(|seconds| *seconds <= TTL_MAX);
        ttl = Some(seconds.ok_or_else(|| LineFault::Ttl(word.clone()))?);
        words = rest;
    }
    if let Some((word, rest)) = words.split_first()
        && word.eq_ignore_ascii_case("IN")
    {
        words = rest;
    }
    let (kind, words) = words.split_first().ok_or(LineFault::Short)?;
    let known = Kind::parse(kind).ok_or_else(|| LineFault::Type(kind.clone()))?;
    let data = data(known, words, kind)?;
    Ok(Some(Entry { line, name, ttl, data }))
}

fn data(kind: Kind, words: &[String], written: &str) -> Result<Data, LineFault> {
    let wrong = |expected| LineFault::Words { kind, expected, found: words.len() };
    match kind {
        Kind::A => {
            let [word] = words else { return Err(wrong("one address")) };
            let address: Option<Ipv4Addr> = word.parse().ok();
            let address = address.ok_or_else(|| LineFault::Ipv4(word.clone()))?;
            Ok(Data::Address(IpAddr::V4(address)))
        }
        Kind::AAAA => {
            let [word] = words else { return Err(wrong("one address")) };
            let address: Option<Ipv6Addr> = word.parse().ok();
            let address = address.ok_or_else(|| LineFault::Ipv6(word.clone()))?;
            Ok(Data::Address(IpAddr::V6(address)))
        }
        Kind::MX => {
            let [preference, exchange] = words else {
                return Err(wrong("a preference and a host"));
            };
            let preference = number(preference, u16::MAX.into())? as u16;
            Ok(Data::Mx { preference, exchange: Name::parse(exchange)? })
        }
        Kind::TXT if words.is_empty() => Err(wrong("one string or more")),
        Kind::TXT => strings(words),
        Kind::CNAME | Kind::NS | Kind::PTR => {
            let [name] = words else { return Err(wrong("one name")) };
            let name = Name::parse(name)?;
            Ok(match kind {
                Kind::CNAME => Data::Cname(name),
                Kind::NS => Data::Ns(name),
                _ => Data::Ptr(name),
            })
        }
        Kind::SOA => {
            let [primary, mailbox, serial, refresh, retry, expire, minimum] = words else {
                return Err(wrong("two names and five numbers"));
            };
            Ok(Data::Soa(Box::new(Soa {
                primary: Name::parse(primary)?,
                mailbox: Name::parse(mailbox)?,
                serial: number(serial, u32::MAX)?,
                refresh: number(refresh, TTL_MAX)?,
                retry: number(retry, TTL_MAX)?,
                expire: number(expire, TTL_MAX)?,
                minimum: number(minimum, TTL_MAX)?,
            })))
        }
        _ => Err(LineFault::Type(written.into())),
    }
}

fn number(word: &str, max: u32) -> Result<u32, LineFault> {
    let number = word.parse().ok().filter(|number| *number <= max);
    number.ok_or_else(|| LineFault::Number(word.into(), max))
}

fn strings(words: &[String]) -> Result<Data, LineFault> {
    let mut octets = Vec::new();
    for word in words {
        if word.len() > STRING_OCTETS_MAX {
            return Err(LineFault::String);
        }
        octets.push(word.len() as u8);
        octets.extend_from_slice(word.as_bytes());
    }
    if octets.len() > TEXT_OCTETS_MAX {
        return Err(LineFault::Text);
    }
    Ok(Data::Txt(Bytes::from(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect(text)
    }

    #[test]
    fn records_are_read() {
        let address = |text: &str| Data::Address(text.parse().expect(text));
        let soa = Soa {
            primary: name("ns.a.example"),
            mailbox: name("root.a.example"),
            serial: 2026,
            refresh: 1,
            retry: 2,
            expire: 3,
            minimum: 4,
        };
        for (text, owner, ttl, data) in [
            ("a.example. 60 IN A 192.0.2.1", "a.example", Some(60), address("192.0.2.1")),
            ("*.a.example\tin  aaaa ::1 ; home", "*.a.example", None, address("::1")),
            (
                "a.example MX 0 .",
                "a.example",
                None,
                Data::Mx { preference: 0, exchange: Name::root() },
            ),
            ("a.example CNAME b.example", "a.example", None, Data::Cname(name("b.example"))),
            ("a.example 5 NS b.example", "a.example", Some(5), Data::Ns(name("b.example"))),
            ("1.in-addr.arpa PTR b.example", "1.in-addr.arpa", None, Data::Ptr(name("b.example"))),
            (
                r#"a.example TXT "v=spf1; \"x\" -all" plain;comment"#,
                "a.example",
                None,
                Data::Txt(Bytes::from_static(b"\x10v=spf1; \"x\" -all\x05plain")),
            ),
            (
                "a.example SOA ns.a.example root.a.example 2026 1 2 3 4",
                "a.example",
                None,
                Data::Soa(Box::new(soa)),
            ),
        ] {
            let file = format!("; a comment\n\n{text}\n");
            let entry = Entry { line: 3, name: name(owner), ttl, data };
            assert_eq!(read(&file), Ok(vec![entry]), "{text}");
        }
    }

    #[test]
    fn faults_name_their_line() {
        for (text, message) in [
            (
                "a.example",
                "line 2: the record ends before its type: write `name [ttl] [IN] TYPE data`",
            ),
            (
                "a.example 60 IN",
                "line 2: the record ends before its type: write `name [ttl] [IN] TYPE data`",
            ),
            (
                "$ORIGIN example.",
                "line 2: directives such as `$ORIGIN` are not understood: \
                 write each record with its whole name",
            ),
            (
                "a.example SOA a b (1 2",
                "line 2: parentheses are not understood: write each record on one line",
            ),
            ("a.example TXT \"a", "line 2: a quoted string does not end: close it with `\"`"),
            (
                "a.example 99999999999 A 192.0.2.1",
                "line 2: `99999999999` is no time to live: write seconds, at most 2147483647",
            ),
            ("a.example A 192.0.2", "line 2: `192.0.2` is no IPv4 address: write one as 192.0.2.1"),
            (
                "a.example AAAA 1.2.3.4",
                "line 2: `1.2.3.4` is no IPv6 address: write one as 2001:db8::1",
            ),
            ("a.example MX 70000 b", "line 2: `70000` is no number from 0 to 65535: write one"),
            (
                "a.example MX b",
                "line 2: MX takes a preference and a host, not 1 words: \
                 write them all, and no more",
            ),
            (
                "a.example TXT",
                "line 2: TXT takes one string or more, not 0 words: write them all, and no more",
            ),
            (
                "a..example A 192.0.2.1",
                "line 2: `a..example` has an empty label: write one dot between labels",
            ),
        ] {
            let error = read(&format!("\n{text}\n")).expect_err(text);
            assert_eq!(error.to_string(), message);
        }
        let error = read("a.example SRV 0 0 25 b").expect_err("a type").to_string();
        assert!(error.starts_with("line 1: `SRV` is no type"), "{error}");
        let long = format!("a.example TXT {}", "x".repeat(256));
        assert_eq!(read(&long).map_err(|error| error.fault), Err(LineFault::String));
    }
}
