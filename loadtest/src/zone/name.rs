//! Domain names and record types, as queries, rules and zone files name them.

use std::{borrow::Borrow, fmt, net::IpAddr};

use smallvec::SmallVec;
use thiserror::Error;

/// RFC 1035 §2.3.4: octets of a name in wire form, the root's empty label included.
pub const NAME_OCTETS_MAX: usize = 255;
/// RFC 1035 §2.3.4.
pub const LABEL_OCTETS_MAX: usize = 63;
/// Names of test zones are short: nearly all of them need no allocation.
const NAME_OCTETS_INLINE: usize = 64;

/// A name in wire form, in lower case; the root's empty label ends it.
///
/// It hashes and compares as its octets do, so that a map of names is asked with a slice.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(SmallVec<[u8; NAME_OCTETS_INLINE]>);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("`{0}` has an empty label: write one dot between labels")]
    EmptyLabel(String),
    #[error("`{0}` has a label of more than 63 octets: shorten it")]
    LongLabel(String),
    #[error("`{0}` has more than 255 octets: shorten it")]
    LongName(String),
    #[error(
        "`{0}` has `{1}`: a name is made of letters, digits, `-`, `_` and dots; `*` may be its \
         first label; names of other scripts are written as `xn--`"
    )]
    Character(String, char),
}

impl Name {
    pub fn root() -> Name {
        Name(SmallVec::from_slice(&[0]))
    }

    /// Reads `mx.example`, with or without the dot at its end.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        let bare = text.strip_suffix('.').unwrap_or(text);
        if bare.is_empty() {
            return if text == "." {
                Ok(Name::root())
            } else {
                Err(NameError::EmptyLabel(text.into()))
            };
        }
        let mut octets = SmallVec::new();
        for (index, label) in bare.split('.').enumerate() {
            if label.is_empty() {
                return Err(NameError::EmptyLabel(text.into()));
            }
            if label.len() > LABEL_OCTETS_MAX {
                return Err(NameError::LongLabel(text.into()));
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let wildcard = index == 0 && label == "*";
            if let Some(odd) = label.chars().find(|c| !plain(*c) && !wildcard) {
                return Err(NameError::Character(text.into(), odd));
            }
            octets.push(label.len() as u8);
            octets.extend(label.bytes().map(|octet| octet.to_ascii_lowercase()));
        }
        octets.push(0);
        if octets.len() > NAME_OCTETS_MAX {
            return Err(NameError::LongName(text.into()));
        }
        Ok(Name(octets))
    }

    /// The name that whole wire form, already checked, spells.
    pub(super) fn of_wire(octets: &[u8]) -> Name {
        let mut name = SmallVec::from_slice(octets);
        // A label has at most 63 octets, and no upper-case letter is below 64: lengths stay.
        name.make_ascii_lowercase();
        Name(name)
    }

    /// This name with one more label before it; the caller keeps within the bounds.
    pub(super) fn below(label: &[u8], parent: &[u8]) -> Name {
        debug_assert!(label.len() <= LABEL_OCTETS_MAX);
        let mut octets = SmallVec::with_capacity(1 + label.len() + parent.len());
        octets.push(label.len() as u8);
        octets.extend_from_slice(label);
        octets.extend_from_slice(parent);
        Name(octets)
    }

    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.0, f)
    }
}

/// Shows wire form as master files write it: RFC 1035 §5.1 escapes what is not plain.
fn show(wire: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if wire == [0] {
        return f.write_str(".");
    }
    for (index, (label, _)) in labels(wire).enumerate() {
        if index > 0 {
            f.write_str(".")?;
        }
        for &octet in label {
            match octet {
                b'.' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                b'!'..=b'~' => write!(f, "{}", char::from(octet))?,
                _ => write!(f, "\\{octet:03}")?,
            }
        }
    }
    Ok(())
}

/// The labels of a name in wire form, each with the name that begins after it.
pub fn labels(wire: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, next) = after.split_at_checked(usize::from(length))?;
        rest = next;
        Some((label, next))
    })
}

/// A name in wire form and all its ancestors, the longest first, the root last.
pub fn ancestry(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::once(wire).chain(labels(wire).map(|(_, parent)| parent))
}

/// The type of a record or of a question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Kind(pub u16);

impl Kind {
    pub const A: Kind = Kind(1);
    pub const NS: Kind = Kind(2);
    pub const CNAME: Kind = Kind(5);
    pub const SOA: Kind = Kind(6);
    pub const PTR: Kind = Kind(12);
    pub const MX: Kind = Kind(15);
    pub const TXT: Kind = Kind(16);
    pub const AAAA: Kind = Kind(28);
    pub const OPT: Kind = Kind(41);
    pub const IXFR: Kind = Kind(251);
    pub const AXFR: Kind = Kind(252);
    pub const ANY: Kind = Kind(255);

    /// The type of the record that holds an address.
    pub fn of(address: IpAddr) -> Kind {
        if address.is_ipv4() { Kind::A } else { Kind::AAAA }
    }

    /// Reads `MX`, in any case, or `TYPE15` (RFC 3597 §5).
    pub fn parse(text: &str) -> Option<Kind> {
        let known = KINDS.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        known.map(|(kind, _)| *kind).or_else(|| {
            let (word, number) = text.split_at_checked("TYPE".len())?;
            word.eq_ignore_ascii_case("TYPE").then(|| number.parse().ok().map(Kind))?
        })
    }
}

/// The types that mail software asks for, by name.
const KINDS: &[(Kind, &str)] = &[
    (Kind::A, "A"),
    (Kind::NS, "NS"),
    (Kind::CNAME, "CNAME"),
    (Kind::SOA, "SOA"),
    (Kind::PTR, "PTR"),
    (Kind::MX, "MX"),
    (Kind::TXT, "TXT"),
    (Kind::AAAA, "AAAA"),
    (Kind(33), "SRV"),
    (Kind(43), "DS"),
    (Kind(48), "DNSKEY"),
    (Kind(52), "TLSA"),
    (Kind(65), "HTTPS"),
    (Kind::IXFR, "IXFR"),
    (Kind::AXFR, "AXFR"),
    (Kind::ANY, "ANY"),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KINDS.iter().find(|(kind, _)| kind == self) {
            Some((_, name)) => f.pad(name),
            None => f.pad(&format!("TYPE{}", self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_shown() {
        for (text, wire, shown) in [
            ("test", &b"\x04test\0"[..], "test"),
            ("MX0.D5.test.", b"\x03mx0\x02d5\x04test\0", "mx0.d5.test"),
            ("*.test", b"\x01*\x04test\0", "*.test"),
            ("_dmarc.a-b.test", b"\x06_dmarc\x03a-b\x04test\0", "_dmarc.a-b.test"),
            (".", b"\0", "."),
        ] {
            let name = Name::parse(text).expect(text);
            assert_eq!(name.octets(), wire, "{text}");
            assert_eq!(name.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_name_is_told() {
        let long_label = "a".repeat(64);
        let long_name = vec!["a".repeat(60); 5].join(".");
        for (text, error) in [
            ("", NameError::EmptyLabel(String::new())),
            ("a..b", NameError::EmptyLabel("a..b".into())),
            (".a", NameError::EmptyLabel(".a".into())),
            (&long_label, NameError::LongLabel(long_label.clone())),
            (&long_name, NameError::LongName(long_name.clone())),
            ("a b", NameError::Character("a b".into(), ' ')),
            ("a.*.b", NameError::Character("a.*.b".into(), '*')),
            ("dömäin", NameError::Character("dömäin".into(), 'ö')),
        ] {
            assert_eq!(Name::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn odd_octets_are_shown_escaped() {
        assert_eq!(Name::of_wire(b"\x04A.\\\xff\0").to_string(), "a\\.\\\\\\255");
    }

    #[test]
    fn types_are_read_and_shown() {
        for (text, kind, shown) in [
            ("mx", Some(Kind::MX), "MX"),
            ("AAAA", Some(Kind::AAAA), "AAAA"),
            ("type15", Some(Kind::MX), "MX"),
            ("TYPE999", Some(Kind(999)), "TYPE999"),
            ("TYPE", None, ""),
            ("TYPE99999", None, ""),
            ("M\u{e9}\u{e9}X", None, ""),
        ] {
            assert_eq!(Kind::parse(text), kind, "{text}");
            if let Some(kind) = kind {
                assert_eq!(kind.to_string(), shown);
            }
        }
    }
}
