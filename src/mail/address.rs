//! Mailbox addresses of RFC 5321 §4.1.2 and their domains: parsed once, kept as received.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use bytes::Bytes;

use crate::limits::{DOMAIN_MAX, LOCAL_PART_MAX};

/// A mailbox: `local-part@domain`, or the bare `postmaster` of RFC 5321 §4.5.1.
///
/// Holds a slice of the command line it came in; equality is by octets, as local parts are
/// case-sensitive (RFC 5321 §2.4).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Valid UTF-8, checked by `parse`.
    text: Bytes,
    /// Where the local part ends: the `@`, or the length for the bare postmaster.
    at: usize,
}

/// The domain of an address, in the form that names a next hop.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Domain {
    /// In lower-case A-labels, without a final dot: `xn--bcher-kva.example`.
    Name(Box<str>),
    /// RFC 5321 §4.1.3.
    Literal(IpAddr),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    #[error("the address has no domain; write local-part@domain")]
    NoDomain,
    #[error("the local part is empty, over 64 octets or holds a character that needs quotes")]
    LocalPart,
    #[error(
        "the domain is not a host name or an address literal like [192.0.2.1] or [IPv6:2001:db8::1]"
    )]
    Domain,
    #[error("the address is not valid UTF-8")]
    Utf8,
}

impl Address {
    /// Parses `local-part@domain`.
    ///
    /// The local part is a dot-string or a quoted string (RFC 5321 §4.1.2), UTF-8 allowed
    /// (RFC 6531 §3.3); the domain a host name, a U-label form or an address literal.
    pub fn parse(text: Bytes) -> Result<Self, AddressError> {
        let whole = std::str::from_utf8(&text).map_err(|_| AddressError::Utf8)?;
        let at = local_part_end(whole)?;
        if at == 0 || at > LOCAL_PART_MAX {
            return Err(AddressError::LocalPart);
        }
        let Some(domain) = whole[at..].strip_prefix('@') else {
            return Err(if at == whole.len() {
                AddressError::NoDomain
            } else {
                AddressError::LocalPart
            });
        };
        Domain::parse(domain)?;
        Ok(Self { text, at })
    }

    /// The bare `postmaster`, which every server knows (RFC 5321 §4.5.1).
    pub fn postmaster(text: Bytes) -> Option<Self> {
        text.eq_ignore_ascii_case(b"postmaster").then(|| Self { at: text.len(), text })
    }

    pub fn as_str(&self) -> &str {
        // Checked by `parse`; the fallback is never taken and costs no unsafe.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.text
    }

    /// As received, quotes and case included.
    pub fn local_part(&self) -> &str {
        &self.as_str()[..self.at]
    }

    /// As received; empty for the bare postmaster.
    pub fn domain_text(&self) -> &str {
        self.as_str().get(self.at + 1..).unwrap_or_default()
    }

    /// `None` for the bare postmaster.
    pub fn domain(&self) -> Option<Domain> {
        Domain::parse(self.domain_text()).ok()
    }

    /// RFC 6531: such an address may only go to a server that offers SMTPUTF8.
    pub fn needs_smtputf8(&self) -> bool {
        !self.text.is_ascii()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

impl Domain {
    /// Parses a host name, in A- or U-labels, or an address literal.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return parse_literal(literal).map(Domain::Literal).ok_or(AddressError::Domain);
        }
        if text.is_ascii() {
            if !is_host_name(text) {
                return Err(AddressError::Domain);
            }
            return Ok(Domain::Name(text.to_ascii_lowercase().into()));
        }
        // RFC 6531 §3.2 with RFC 5891: U-labels become A-labels before any look-up.
        let name = idna::domain_to_ascii_strict(text).map_err(|_| AddressError::Domain)?;
        if !is_host_name(&name) {
            return Err(AddressError::Domain);
        }
        Ok(Domain::Name(name.into()))
    }

    /// The host name; `None` for a literal.
    pub fn name(&self) -> Option<&str> {
        match self {
            Domain::Name(name) => Some(name),
            Domain::Literal(_) => None,
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Name(name) => f.write_str(name),
            Domain::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Domain::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

/// Where the local part at the start of `text` ends.
fn local_part_end(text: &str) -> Result<usize, AddressError> {
    if text.starts_with('"') {
        return quoted_string_end(text);
    }
    let end = text.find('@').unwrap_or(text.len());
    let atoms_are_good =
        text[..end].split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext));
    if atoms_are_good { Ok(end) } else { Err(AddressError::LocalPart) }
}

/// RFC 5321 §4.1.2 `Quoted-string`: the index behind the closing quote.
fn quoted_string_end(text: &str) -> Result<usize, AddressError> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return Ok(at + 1),
            b'\\' if matches!(bytes.get(at + 1), Some(32..=126)) => at += 2,
            b'\\' => return Err(AddressError::LocalPart),
            32..=126 | 128.. => at += 1,
            _ => return Err(AddressError::LocalPart),
        }
    }
    Err(AddressError::LocalPart)
}

/// RFC 5322 §3.2.3 `atext`, with RFC 6532's UTF-8.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || byte >= 128
}

/// RFC 5321 §4.1.2 `Domain`, with underscores, which real zones hold.
fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= DOMAIN_MAX
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// RFC 5321 §4.1.3, without the brackets.
fn parse_literal(text: &str) -> Option<IpAddr> {
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            text[5..].parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        Address::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn good_addresses() {
        for (text, local, domain) in [
            ("a@example.org", "a", "example.org"),
            ("A.b+c@EXAMPLE.org", "A.b+c", "example.org"),
            ("\"quoted part\"@example.org", "\"quoted part\"", "example.org"),
            ("\"a\\\"@b\"@example.org", "\"a\\\"@b\"", "example.org"),
            ("a%b@example.org", "a%b", "example.org"),
            ("x@[192.0.2.1]", "x", "[192.0.2.1]"),
            ("x@[IPv6:2001:db8::1]", "x", "[IPv6:2001:db8::1]"),
            ("jörg@bücher.example", "jörg", "xn--bcher-kva.example"),
            ("x@_dmarc.example.org", "x", "_dmarc.example.org"),
        ] {
            let address = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(address.local_part(), local, "{text}");
            assert_eq!(address.domain().map(|d| d.to_string()).as_deref(), Some(domain), "{text}");
            assert_eq!(address.as_str(), text);
        }
    }

    #[test]
    fn bad_addresses() {
        let long = "l".repeat(65) + "@example.org";
        for (text, error) in [
            ("", AddressError::LocalPart),
            ("a", AddressError::NoDomain),
            ("@example.org", AddressError::LocalPart),
            ("a..b@example.org", AddressError::LocalPart),
            (".a@example.org", AddressError::LocalPart),
            ("a b@example.org", AddressError::LocalPart),
            ("\"a@example.org", AddressError::LocalPart),
            ("\"a\"b@example.org", AddressError::LocalPart),
            ("a@b@example.org", AddressError::Domain),
            ("a@", AddressError::Domain),
            ("a@-x.org", AddressError::Domain),
            ("a@x..org", AddressError::Domain),
            ("a@[1.2.3]", AddressError::Domain),
            ("a@[IPv6:zz]", AddressError::Domain),
            ("a@example.org.", AddressError::Domain),
            (long.as_str(), AddressError::LocalPart),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(Address::parse(Bytes::from_static(b"\xff@x")), Err(AddressError::Utf8));
    }

    #[test]
    fn postmaster_needs_no_domain() {
        let address = Address::postmaster(Bytes::from_static(b"PostMaster")).unwrap();
        assert_eq!(address.local_part(), "PostMaster");
        assert_eq!(address.domain(), None);
        assert_eq!(Address::postmaster(Bytes::from_static(b"other")), None);
    }
}
