//! The `Received:` field that every relay prepends (RFC 5321 §4.4).

use std::{io::Write, net::IpAddr};

use bytes::Bytes;

use super::{Address, QueueId, date::Date};
use crate::time::Wall;

/// How a message came in.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What the client called itself: a stranger's octets.
    pub hello: &'a [u8],
    pub client: IpAddr,
    pub by: &'a str,
    pub with: Protocol,
    pub id: QueueId,
    /// Named only when it is the only one: others may be hidden from it (RFC 5321 §7.2).
    pub recipient: Option<&'a Address>,
    pub at: Wall,
}

/// The `with` types of RFC 3848 and RFC 6531 §4.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Smtp,
    Esmtp,
    Utf8Smtp,
}

impl Received<'_> {
    /// The whole field with its last CRLF.
    pub fn to_bytes(self) -> Bytes {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"Received: from ");
        out.extend(self.hello.iter().map(|b| if is_plain(*b) { *b } else { b'?' }));
        let with = match self.with {
            Protocol::Smtp => "SMTP",
            Protocol::Esmtp => "ESMTP",
            Protocol::Utf8Smtp => "UTF8SMTP",
        };
        // A Vec grows: writing to it cannot fail.
        let _ = match self.client.to_canonical() {
            IpAddr::V4(ip) => write!(out, " ([{ip}])"),
            IpAddr::V6(ip) => write!(out, " ([IPv6:{ip}])"),
        };
        let _ = write!(out, "\r\n\tby {} with {with} id {}", self.by, self.id);
        if let Some(recipient) = self.recipient {
            out.extend_from_slice(b"\r\n\tfor <");
            out.extend_from_slice(recipient.as_bytes());
            out.push(b'>');
        }
        out.extend_from_slice(b";\r\n\t");
        out.extend_from_slice(Date::of(self.at).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.into()
    }
}

/// What a host name or an address literal is made of; anything else could end the comment or
/// the field.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let recipient = Address::parse("a@example.org".into()).unwrap();
        let field = Received {
            hello: b"client.example",
            client: "192.0.2.7".parse().unwrap(),
            by: "mx.example.org",
            with: Protocol::Esmtp,
            id: QueueId::from_u64(31),
            recipient: Some(&recipient),
            at: Wall::from_millis(1_795_424_700_000),
        };
        assert_eq!(
            field.to_bytes(),
            "Received: from client.example ([192.0.2.7])\r\n\
             \tby mx.example.org with ESMTP id 000000000000Z\r\n\
             \tfor <a@example.org>;\r\n\
             \tMon, 23 Nov 2026 09:05:00 +0000\r\n"
        );
        let field = Received {
            hello: b"x)\r\n\xc3\xa4(<y>",
            client: "2001:db8::1".parse().unwrap(),
            with: Protocol::Utf8Smtp,
            recipient: None,
            ..field
        };
        assert_eq!(
            field.to_bytes(),
            "Received: from x???????y? ([IPv6:2001:db8::1])\r\n\
             \tby mx.example.org with UTF8SMTP id 000000000000Z;\r\n\
             \tMon, 23 Nov 2026 09:05:00 +0000\r\n"
        );
    }
}
