//! The client's handshake: greeting, EHLO with the extensions it tells, HELO for old hosts.

use bytes::Bytes;

use super::{
    Options, Steps,
    reply::{Reply, ReplyError},
    trouble::{During, Trouble, said},
};
use crate::{mail::Verdict, time::Duration};

/// What a host offers in its reply to EHLO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870; a limit of 0 is none.
    pub size: Option<u64>,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 9422 LIMITS RCPTMAX: recipients in one transaction.
    pub recipients_max: Option<usize>,
    /// RFC 9422 LIMITS MAILMAX: transactions in one session.
    pub transactions_max: Option<usize>,
}

/// What the handshake waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hello {
    Greeting,
    Ehlo,
    Helo,
}

/// What a reply did to the handshake.
#[derive(Debug)]
pub(super) enum Shaken {
    Waiting(Hello),
    Ready(Extensions),
    /// This host takes no mail from us, now or ever.
    Refused(Verdict),
}

impl Hello {
    pub fn reply(self, reply: &Reply, options: &Options, steps: &mut Steps) -> Shaken {
        match (self, reply.class()) {
            (Hello::Greeting, 2) => {
                say(steps, "EHLO", &options.hostname);
                Shaken::Waiting(Hello::Ehlo)
            }
            (Hello::Ehlo, 2) => Shaken::Ready(Extensions::parse(&reply.text)),
            // RFC 5321 §4.1.4: a host that does not know EHLO may know HELO.
            (Hello::Ehlo, 5) => {
                say(steps, "HELO", &options.hostname);
                Shaken::Waiting(Hello::Helo)
            }
            (Hello::Helo, 2) => Shaken::Ready(Extensions::default()),
            (_, 4 | 5) => Shaken::Refused(said(reply)),
            _ => {
                let error = ReplyError::OutOfPlace(reply.code);
                Shaken::Refused(Trouble::Garbled(error).verdict(self.during()))
            }
        }
    }

    pub fn during(self) -> During {
        match self {
            Hello::Greeting => During::Greeting,
            Hello::Ehlo | Hello::Helo => During::Hello,
        }
    }

    /// RFC 5321 §4.5.3.2.1: the greeting has a time of its own.
    pub fn timeout(self, options: &Options) -> Duration {
        match self {
            Hello::Greeting => options.greeting_timeout,
            Hello::Ehlo | Hello::Helo => options.command_timeout,
        }
    }
}

impl Extensions {
    /// Reads the lines behind the first, which holds the host's name.
    fn parse(text: &[u8]) -> Self {
        let mut offered = Self::default();
        for line in text.split(|&b| b == b'\n').skip(1) {
            let mut words = line.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty());
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_slice() {
                b"PIPELINING" => offered.pipelining = true,
                b"SIZE" => offered.size = Some(words.next().and_then(number).unwrap_or(0)),
                b"8BITMIME" => offered.eight_bit_mime = true,
                b"SMTPUTF8" => offered.smtputf8 = true,
                b"CHUNKING" => offered.chunking = true,
                b"DSN" => offered.dsn = true,
                b"LIMITS" => words.for_each(|word| offered.limit(word)),
                _ => {}
            }
        }
        offered
    }

    /// The largest message the host takes, where it says so.
    pub fn size_limit(&self) -> Option<u64> {
        self.size.filter(|limit| *limit > 0)
    }

    /// RFC 9422 §4: `NAME=value`; a limit of 0 would forbid all mail and means nothing.
    fn limit(&mut self, word: &[u8]) {
        let Some(equals) = word.iter().position(|&b| b == b'=') else { return };
        let value = number(&word[equals + 1..])
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| *value > 0);
        if word[..equals].eq_ignore_ascii_case(b"RCPTMAX") {
            self.recipients_max = value;
        } else if word[..equals].eq_ignore_ascii_case(b"MAILMAX") {
            self.transactions_max = value;
        }
    }
}

/// Digits that overflow are as good as no limit, and so are none.
fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn say(steps: &mut Steps, verb: &str, hostname: &str) {
    steps.send.push(Bytes::from(format!("{verb} {hostname}\r\n")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_read() {
        let none = Extensions::default();
        for (text, want) in [
            ("PIPELINING is my name", none),
            ("mx\nPIPELINING\ndsn", Extensions { pipelining: true, dsn: true, ..none }),
            ("mx\nSIZE", Extensions { size: Some(0), ..none }),
            ("mx\nSIZE 1000 ", Extensions { size: Some(1000), ..none }),
            ("mx\nSIZE 99999999999999999999", Extensions { size: Some(0), ..none }),
            ("mx\nSIZE -1", Extensions { size: Some(0), ..none }),
            ("mx\n8BITMIME\nSMTPUTF8", Extensions { eight_bit_mime: true, smtputf8: true, ..none }),
            ("mx\nchunking\n\n \nAUTH=X", Extensions { chunking: true, ..none }),
            (
                "mx\nLIMITS RCPTMAX=20 mailmax=3 X=1",
                Extensions { recipients_max: Some(20), transactions_max: Some(3), ..none },
            ),
            ("mx\nLIMITS RCPTMAX=0 RCPTMAX MAILMAX=x", none),
            ("mx\nPIPELININGX\nXDSN", none),
        ] {
            assert_eq!(Extensions::parse(text.as_bytes()), want, "{text:?}");
        }
    }
}
