//! Command lines read by `smtp-proto` as well: where both take a line, they must agree on it.
//!
//! Where they differ for a known reason, the line is set aside by [`KNOWN`].

use ringmail::{
    mail::{Address, BodyType, Notify, Ret},
    smtp::command::{self, Command, Mail, Rcpt},
};
use smtp_proto::{
    MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_RET_FULL, MAIL_RET_HDRS, MAIL_SMTPUTF8, MailFrom,
    RCPT_NOTIFY_DELAY, RCPT_NOTIFY_FAILURE, RCPT_NOTIFY_NEVER, RCPT_NOTIFY_SUCCESS, RcptTo,
    Request,
};

use super::command::name_of;

/// A line that the two read apart, and why that is no fault of ours.
struct Known {
    #[allow(dead_code)] // For people.
    reason: &'static str,
    holds: fn(&[u8]) -> bool,
}

const KNOWN: &[Known] = &[
    Known {
        reason: "it drops a CR wherever it stands and ends a line at a bare LF; of our lines \
                 neither is part",
        holds: |line| line.iter().any(|b| matches!(b, b'\r' | b'\n')),
    },
    Known {
        reason: "it takes quotes and backslashes out of a quoted local part, and takes a \
                 backslash behind another for a plain one: two local parts become one. RFC 5321 \
                 §4.1.2 makes them part of the mailbox as written, and a next hop needs them",
        holds: |line| line.iter().any(|b| matches!(b, b'"' | b'\\')),
    },
    Known {
        reason: "it replaces octets that are no UTF-8; we refuse them where they would count, \
                 and a HELO name keeps them until it is written as question marks",
        holds: |line| std::str::from_utf8(line).is_err(),
    },
    Known {
        reason: "it takes HT and FF for part of a word where we take them for white space",
        holds: |line| line.iter().any(|b| matches!(b, b'\t' | b'\x0c')),
    },
];

pub fn run(input: &[u8]) {
    for line in input.split(|b| *b == b'\n') {
        // RFC 5321 §4.1.1: white space at the end is tolerated; it does so for spaces only.
        let line = line.trim_ascii_end();
        if KNOWN.iter().any(|known| (known.holds)(line)) {
            continue;
        }
        let Ok(ours) = command::parse(line) else { continue };
        let ended = [line, b"\r\n"].concat();
        let mut theirs = ended.iter();
        let Ok(request) = Request::parse(&mut theirs) else { continue };
        assert!(theirs.as_slice().is_empty(), "it has not read the whole line");
        compare(&ours, &request);
    }
}

fn compare(ours: &Command, theirs: &Request<std::borrow::Cow<'_, str>>) {
    assert_eq!(name_of(ours), theirs.name());
    match (ours, theirs) {
        (Command::Hello { name, .. }, Request::Ehlo { host } | Request::Helo { host }) => {
            assert_eq!(name, host.as_bytes());
        }
        (Command::Mail(ours), Request::Mail { from }) => compare_mail(ours, from),
        (Command::Rcpt(ours), Request::Rcpt { to }) => compare_rcpt(ours, to),
        (Command::Bdat { size, last }, Request::Bdat { chunk_size, is_last }) => {
            assert_eq!((*size, *last), (*chunk_size as u64, *is_last));
        }
        _ => {}
    }
}

fn compare_mail(ours: &Mail, theirs: &MailFrom<std::borrow::Cow<'_, str>>) {
    let Mail { envelope, size, .. } = ours;
    let path = envelope.reverse_path.as_ref().map_or("", Address::as_str);
    assert_eq!(path, theirs.address);
    assert_eq!(size.unwrap_or_default(), theirs.size as u64);
    let body = match theirs.flags & (MAIL_BODY_7BIT | MAIL_BODY_8BITMIME) {
        MAIL_BODY_8BITMIME => BodyType::EightBitMime,
        _ => BodyType::SevenBit,
    };
    assert_eq!(envelope.body_type, body);
    assert_eq!(envelope.smtputf8, theirs.flags & MAIL_SMTPUTF8 != 0);
    let ret = match theirs.flags & (MAIL_RET_FULL | MAIL_RET_HDRS) {
        0 => None,
        MAIL_RET_FULL => Some(Ret::Full),
        _ => Some(Ret::Headers),
    };
    assert_eq!(envelope.ret, ret);
    let envid = envelope.envid.as_ref().map(|envid| xtext_decoded(envid));
    assert_eq!(envid, theirs.env_id.as_ref().map(|envid| envid.as_bytes().to_vec()));
}

fn compare_rcpt(ours: &Rcpt, theirs: &RcptTo<std::borrow::Cow<'_, str>>) {
    let Rcpt { recipient, .. } = ours;
    // It tells the bare postmaster by an empty address.
    match recipient.address.domain() {
        None => assert_eq!("", theirs.address),
        Some(_) => assert_eq!(recipient.address.as_str(), theirs.address),
    }
    let notify = [
        (RCPT_NOTIFY_NEVER, Notify::NEVER),
        (RCPT_NOTIFY_SUCCESS, Notify::SUCCESS),
        (RCPT_NOTIFY_FAILURE, Notify::FAILURE),
        (RCPT_NOTIFY_DELAY, Notify::DELAY),
    ];
    let said = notify.iter().filter(|(flag, _)| theirs.flags & flag != 0);
    assert_eq!(recipient.notify, said.fold(Notify::default(), |all, (_, one)| all.union(*one)));
    // It gives the address without its type, which is always rfc822.
    let orcpt = recipient.orcpt.as_ref().map(|orcpt| {
        let (kind, address) = orcpt.split_at(orcpt.iter().position(|b| *b == b';').unwrap());
        assert!(kind.eq_ignore_ascii_case(b"rfc822"));
        xtext_decoded(&address[1..])
    });
    assert_eq!(orcpt, theirs.orcpt.as_ref().map(|orcpt| orcpt.as_bytes().to_vec()));
}

/// RFC 3461 §4, of what is known to be xtext.
fn xtext_decoded(text: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::new(), text);
    while let [octet, behind @ ..] = rest {
        let digits = behind.get(..2).filter(|_| *octet == b'+');
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(value.unwrap_or(*octet));
        rest = if value.is_some() { &behind[2..] } else { behind };
    }
    decoded
}
