//! The one file in which a next hop's replies, and the ways a conversation can break, become
//! verdicts.

use std::fmt;

use bytes::Bytes;

use super::{
    Transaction,
    hello::Extensions,
    reply::{Reply, ReplyError},
};
use crate::{
    limits::REPLY_TEXT_KEPT,
    mail::{Outcome, Status, Verdict},
};

/// How a connection was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Lost {
    #[error("lost connection")]
    Ended,
    #[error("connection reset by peer")]
    Reset,
    #[error("conversation timed out")]
    TimedOut,
    #[error("connection failed")]
    Failed,
    /// Ours to mend, not the host's.
    #[error("the message could not be read from the store as long as its record says")]
    Body,
    #[error("this server is stopping")]
    Stopping,
}

/// What ends a conversation before its time.
#[derive(Debug)]
pub(super) enum Trouble<'a> {
    /// 421, or a refusal in the middle of a body.
    Said(&'a Reply),
    Lost(Lost),
    Garbled(ReplyError),
}

/// What the session was about when trouble came; the words are Postfix's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum During {
    Greeting,
    Hello,
    Mail,
    Rcpt,
    Data,
    Body,
    End,
}

impl Trouble<'_> {
    pub fn verdict(&self, during: During) -> Verdict {
        match self {
            Trouble::Said(reply) => said(reply),
            Trouble::Lost(lost @ (Lost::Body | Lost::Stopping)) => {
                Verdict::own(Outcome::Deferred, Status::new(4, 3, 0), lost.to_string())
            }
            Trouble::Lost(lost) => Verdict::own(
                Outcome::Deferred,
                Status::new(4, 4, 2),
                format!("{lost} while {during}"),
            ),
            Trouble::Garbled(error) => Verdict::own(
                Outcome::Deferred,
                Status::new(4, 5, 0),
                format!("protocol error while {during}: {error}"),
            ),
        }
    }
}

impl fmt::Display for During {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            During::Greeting => "receiving the initial server greeting",
            During::Hello => "performing the EHLO handshake",
            During::Mail => "sending MAIL FROM",
            During::Rcpt => "sending RCPT TO",
            During::Data => "sending DATA command",
            During::Body => "sending message body",
            During::End => "sending end of data -- message may be sent more than once",
        })
    }
}

/// What a reply means wherever no special rule holds (RFC 5321 §4.2.1).
pub(super) fn said(reply: &Reply) -> Verdict {
    let outcome = match reply.class() {
        2 => Outcome::Delivered,
        4 => Outcome::Deferred,
        _ => Outcome::Failed,
    };
    let status = Status::of_reply(reply.code, &reply.text);
    Verdict { outcome, status, reason: reason(reply), remote_said: true }
}

/// What a refusal of RCPT means; `others_accepted`: of recipients before it.
pub(super) fn recipient_refused(reply: &Reply, others_accepted: bool) -> Verdict {
    let verdict = said(reply);
    // RFC 5321 §4.5.3.1.10: some hosts say 552 for "too many recipients", where 452 is right, and
    // a client treats it as such. 552 is "mailbox full" as well: the enhanced code tells, and
    // without one the first recipient cannot be one too many.
    let too_many = match (verdict.status.subject, verdict.status.detail) {
        (5, 3) => true,
        (0, 0) => others_accepted,
        _ => false,
    };
    if reply.code == 552 && too_many {
        return Verdict { outcome: Outcome::Deferred, status: Status::new(4, 5, 3), ..verdict };
    }
    verdict
}

/// Why this host cannot take the message at all, known before a word of it is said.
pub(super) fn unfit(transaction: &Transaction, offered: &Extensions) -> Option<Verdict> {
    let message = &transaction.message;
    // RFC 1870 §6.1: no use in sending what the host has declared too big.
    if let Some(limit) = offered.size_limit().filter(|limit| *limit < message.size) {
        return Some(Verdict::own(
            Outcome::Failed,
            Status::new(5, 3, 4),
            format!("message size {} exceeds the {limit} octets that the host takes", message.size),
        ));
    }
    // RFC 6531 §3.1 and §3.6: internationalized mail goes only to hosts that offer SMTPUTF8. A
    // message that only declared it may hold UTF-8 in its header, which is why it is refused too.
    if transaction.needs_smtputf8() && !offered.smtputf8 {
        return Some(Verdict::own(
            Outcome::Failed,
            Status::new(5, 6, 7),
            "SMTPUTF8 is required, but was not offered by the host",
        ));
    }
    None
}

/// RFC 9422 §4.2: recipients past the host's RCPTMAX wait for another transaction.
pub(super) fn beyond_recipients_max(limit: usize) -> Verdict {
    Verdict::own(
        Outcome::Deferred,
        Status::new(4, 5, 3),
        format!("the host takes {limit} recipients in one transaction"),
    )
}

/// The reply as people read it: its code and its lines joined by spaces, in UTF-8 and without
/// control characters, the enhanced code that each line repeats told once.
fn reason(reply: &Reply) -> Bytes {
    let mut text = String::with_capacity((4 + reply.text.len()).min(REPLY_TEXT_KEPT));
    text.push_str(&reply.code.to_string());
    let repeated = enhanced_code(&reply.text);
    for (number, line) in reply.text.split(|&b| b == b'\n').enumerate() {
        let line = match repeated {
            Some(code) if number > 0 => line.strip_prefix(code).unwrap_or(line),
            _ => line,
        };
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        text.push(' ');
        for character in String::from_utf8_lossy(line).chars() {
            if text.len() + character.len_utf8() > REPLY_TEXT_KEPT {
                return Bytes::from(text);
            }
            text.push(if character.is_control() { '?' } else { character });
        }
        if text.len() >= REPLY_TEXT_KEPT {
            break;
        }
    }
    Bytes::from(text)
}

/// `d.d.d ` at the start of a text, its space included.
fn enhanced_code(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&b| b == b' ')?;
    let looks_like_one = text[..end].iter().all(|&b| b.is_ascii_digit() || b == b'.')
        && text[..end].iter().filter(|&&b| b == b'.').count() == 2;
    looks_like_one.then(|| &text[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &[u8]) -> Reply {
        Reply { code, text: Bytes::copy_from_slice(text) }
    }

    #[test]
    fn replies_become_clean_text() {
        for (code, text, want) in [
            (250, b"2.0.0 Ok".as_slice(), "250 2.0.0 Ok"),
            (250, b"", "250"),
            (550, b"5.1.1 no\n5.1.1 such\n5.1.1 user", "550 5.1.1 no such user"),
            (550, b"5.1.1 no\n5.7.1 really", "550 5.1.1 no 5.7.1 really"),
            (550, b"a\n\n b \nc", "550 a b c"),
            (550, b"bell\x07 nul\0 cr\r esc\x1b[31m", "550 bell? nul? cr? esc?[31m"),
            (550, b"bad \xff utf", "550 bad \u{fffd} utf"),
            (550, "schöner Text".as_bytes(), "550 schöner Text"),
        ] {
            let got = said(&reply(code, text)).reason;
            assert_eq!(std::str::from_utf8(&got).unwrap(), want);
        }
        for filler in ["x", "ö", "\u{fffd}"] {
            for shift in 0..4 {
                let text = [vec![b' '; 0], vec![b'y'; shift], filler.repeat(2000).into()].concat();
                let got = said(&reply(550, &text)).reason;
                assert!(got.len() <= REPLY_TEXT_KEPT && got.len() > REPLY_TEXT_KEPT - 4);
                assert!(std::str::from_utf8(&got).is_ok());
            }
        }
        let lines = said(&reply(550, &b"x\n".repeat(2000))).reason;
        assert!(lines.len() <= REPLY_TEXT_KEPT);
    }

    #[test]
    fn too_many_recipients_wait() {
        use Outcome::{Deferred, Failed};
        for (code, text, others, outcome, status) in [
            (452, "too many", false, Deferred, "4.0.0"),
            (452, "4.5.3 too many", true, Deferred, "4.5.3"),
            (552, "5.5.3 too many", false, Deferred, "4.5.3"),
            (552, "too many recipients", true, Deferred, "4.5.3"),
            (552, "mailbox full", false, Failed, "5.0.0"),
            (552, "5.2.2 mailbox full", true, Failed, "5.2.2"),
            (550, "5.5.3 too many", true, Failed, "5.5.3"),
        ] {
            let got = recipient_refused(&reply(code, text.as_bytes()), others);
            assert_eq!((got.outcome, got.status.to_string().as_str()), (outcome, status), "{text}");
        }
    }
}
