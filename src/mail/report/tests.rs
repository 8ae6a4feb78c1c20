//! Golden reports: one of each kind, octet for octet.

use super::*;
use crate::mail::{Outcome, Ret, Status, Wire};

const ORIGINAL: &str = "Received: from c\r\nSubject: hello\r\n\r\nBody\r\n..dot\r\n";

fn address(text: &str) -> Address {
    Address::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn message() -> Message {
    Message {
        id: QueueId::from_u64(33),
        arrived: Wall::from_millis(1_700_000_000_000),
        envelope: Envelope {
            reverse_path: Some(address("alice@example.org")),
            ..Envelope::default()
        },
        wire: Wire::Stuffed,
        size: ORIGINAL.len() as u64,
        parcels: 1,
    }
}

fn said(outcome: Outcome, status: Status, reason: &'static str) -> Verdict {
    Verdict { outcome, status, reason: Bytes::from_static(reason.as_bytes()), remote_said: true }
}

/// Composes a report on one recipient.
fn report(kind: Kind, message: &Message, recipient: &Recipient, verdict: &Verdict) -> Report {
    let action = match kind {
        Kind::Failed => Action::Failed,
        Kind::Delayed => Action::Delayed,
        Kind::Delivered => Action::Relayed,
    };
    let remote = verdict.remote_said.then_some("mx.example.net");
    let (first, second) = ORIGINAL.as_bytes().split_at(20);
    let original = [Bytes::from_static(first), Bytes::from_static(second)];
    compose(&Request {
        kind,
        message,
        hostname: "mx.example.org",
        report_id: QueueId::from_u64(34),
        now: Wall::from_millis(1_700_000_100_000),
        expires: Wall::from_millis(1_700_432_000_000),
        recipients: &[Reported { recipient, verdict, action, remote }],
        original: &original,
        original_is_whole: true,
    })
    .unwrap()
}

fn text(report: &Report) -> String {
    String::from_utf8(report.body.to_vec()).unwrap()
}

/// Every line ends in CRLF, none is long, none starts with a lone dot.
fn assert_well_formed(text: &str) {
    assert!(text.ends_with("\r\n"));
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no CRLF: {line:?}"));
        assert!(!line.contains('\r') && line.len() <= 998, "{line:?}");
        assert!(!line.starts_with('.') || line.starts_with(".."), "{line:?}");
    }
}

/// The parts, without their headers, dots removed: what a mail program would show.
fn parts(text: &str) -> Vec<(String, String)> {
    let boundary = text.split_once("boundary=\"").unwrap().1.split_once('"').unwrap().0;
    let plain = text.replace("\r\n.", "\r\n");
    let mut parts: Vec<&str> = plain.split(&format!("--{boundary}")).skip(1).collect();
    assert_eq!(parts.pop(), Some("--\r\n"));
    parts
        .into_iter()
        .map(|part| {
            let (header, body) = part.split_once("\r\n\r\n").unwrap();
            (header.to_owned(), body.strip_suffix("\r\n").unwrap().to_owned())
        })
        .collect()
}

fn golden(file: &str) -> String {
    file.replace('\n', "\r\n")
}

#[test]
fn a_failure_with_the_whole_message() {
    let mut message = message();
    message.envelope.ret = Some(Ret::Full);
    message.envelope.envid = Some(Bytes::from_static(b"QQ+2B314+0D+0AX"));
    let mut recipient = Recipient::plain(address("bob@example.net"));
    recipient.orcpt = Some(Bytes::from_static(b"rfc822;b+2Bx@example.com"));
    let verdict = said(
        Outcome::Failed,
        Status::new(5, 1, 1),
        "550 5.1.1 <bob@example.net>: Recipient address rejected: User unknown in this table",
    );
    let report = report(Kind::Failed, &message, &recipient, &verdict);
    assert_eq!(text(&report), golden(include_str!("golden/failed.txt")));
    assert_eq!(report.envelope, Envelope::default());
    assert_well_formed(&text(&report));
    let parts = parts(&text(&report));
    assert_eq!(parts.len(), 3);
    assert!(parts[2].0.contains("message/rfc822"));
    assert_eq!(parts[2].1, ORIGINAL.replace("\r\n..", "\r\n."), "the returned message");
}

#[test]
fn a_delay_and_a_success() {
    let recipient = Recipient::plain(address("bob@example.net"));
    let own = Verdict::own(Outcome::Deferred, Status::new(4, 4, 1), "connection refused");
    let delay = report(Kind::Delayed, &message(), &recipient, &own);
    assert_eq!(text(&delay), golden(include_str!("golden/delayed.txt")));
    assert_well_formed(&text(&delay));
    let ok = said(Outcome::Delivered, Status::new(2, 1, 5), "250 2.1.5 Ok");
    let success = report(Kind::Delivered, &message(), &recipient, &ok);
    assert_eq!(text(&success), golden(include_str!("golden/delivered.txt")));
    assert_well_formed(&text(&success));
}

#[test]
fn utf8_addresses_need_the_global_types() {
    let mut message = message();
    message.envelope.ret = Some(Ret::Full);
    let recipient = Recipient::plain(address("jörg@bücher.example"));
    let verdict = said(Outcome::Failed, Status::new(5, 1, 1), "550 5.1.1 unbekannt: jörg");
    let report = report(Kind::Failed, &message, &recipient, &verdict);
    let text = text(&report);
    assert_well_formed(&text);
    assert!(report.envelope.smtputf8);
    assert_eq!(report.envelope.body_type, BodyType::EightBitMime);
    let parts = parts(&text);
    assert!(parts[1].0.contains("message/global-delivery-status"), "{}", parts[1].0);
    assert!(parts[1].1.contains("Final-Recipient: utf-8; jörg@bücher.example\r\n"));
    assert!(parts[1].1.contains("smtp; 550 5.1.1 unbekannt: jörg\r\n"));
    assert!(parts[2].0.contains("Content-Type: message/global\r\n"), "{}", parts[2].0);
}

#[test]
fn a_report_to_a_utf8_address_declares_its_eight_bits() {
    let mut message = message();
    message.envelope.reverse_path = Some(address("jörg@example.org"));
    let recipient = Recipient::plain(address("bob@example.net"));
    let verdict = said(Outcome::Failed, Status::new(5, 1, 1), "550 5.1.1 no");
    let report = report(Kind::Failed, &message, &recipient, &verdict);
    assert!(text(&report).contains("\r\nTo: <jörg@example.org>\r\n"));
    assert_eq!(report.envelope.body_type, BodyType::EightBitMime);
}

#[test]
fn strangers_text_is_harmless() {
    let verdict = said(
        Outcome::Failed,
        Status::new(5, 0, 0),
        "554 gemüse\r\nAction: delivered\x07\x1b[2J\r\n.\r\nQUIT",
    );
    let recipient = Recipient::plain(address("bob@example.net"));
    let report = report(Kind::Failed, &message(), &recipient, &verdict);
    let text = text(&report);
    assert_well_formed(&text);
    let parts = parts(&text);
    assert!(parts[1].1.is_ascii() && !parts[1].1.contains("\r\nAction: delivered"), "{text}");
    // People may read the umlaut; only the fields for programs are ASCII.
    assert!(parts[0].1.contains("gemüse") && parts[0].0.contains("8bit"));
    assert!(parts[1].0.contains("7bit"));
    assert_eq!(report.envelope.body_type, BodyType::EightBitMime);
    assert!(!report.envelope.smtputf8);
}

#[test]
fn an_original_that_guessed_the_boundary_stays_one_part() {
    let recipient = Recipient::plain(address("bob@example.net"));
    let verdict = Verdict::own(Outcome::Failed, Status::new(5, 4, 4), "no such domain");
    let id = QueueId::from_u64(34);
    let guess = |number: &str| format!("--=_{id}.{number}=\r\nX: y\r\n");
    let guesses = ["2", "0", "01", "0", "5000000000", "", "1"].map(guess).concat();
    let original = Bytes::from(guesses.clone());
    let report = compose(&Request {
        kind: Kind::Failed,
        message: &message(),
        hostname: "mx.example.org",
        report_id: id,
        now: Wall::MAX,
        expires: Wall::MAX,
        recipients: &[Reported {
            recipient: &recipient,
            verdict: &verdict,
            action: Action::Failed,
            remote: None,
        }],
        original: std::slice::from_ref(&original),
        original_is_whole: false,
    })
    .unwrap();
    let text = text(&report);
    assert_eq!((parts(&text).len(), &parts(&text)[2].1), (3, &guesses));
}

#[test]
fn headers_only_ends_at_the_last_whole_line() {
    let recipient = Recipient::plain(address("bob@example.net"));
    let verdict = Verdict::own(Outcome::Failed, Status::new(5, 4, 4), "no such domain");
    let long = format!("X: {}\r\n", "y".repeat(3000));
    for (wire, original, want) in [
        (Wire::Stuffed, "A: b\r\n\r\nbody\r\n", "A: b\r\n"),
        (Wire::Stuffed, "A: b\r\nSubj", "A: b\r\n"),
        (Wire::Stuffed, "\r\nbody\r\n", ""),
        (Wire::Stuffed, "..A: b\r\n", ".A: b\r\n"),
        (Wire::Plain, "..A: b\r\n", "..A: b\r\n"),
        (Wire::Plain, "", ""),
        // What lies on disk holds none of these; if it did, the report would be two messages.
        (Wire::Plain, "A: b\r.\rc\r\n", "A: b . c\r\n"),
        (Wire::Stuffed, &long, &fold(&long)),
    ] {
        let mut message = message();
        message.wire = wire;
        let original = Bytes::copy_from_slice(original.as_bytes());
        let report = compose(&Request {
            kind: Kind::Failed,
            message: &message,
            hostname: "mx.example.org",
            report_id: QueueId::MAX,
            now: Wall::MAX,
            expires: Wall::MAX,
            recipients: &[Reported {
                recipient: &recipient,
                verdict: &verdict,
                action: Action::Failed,
                remote: None,
            }],
            original: std::slice::from_ref(&original),
            original_is_whole: false,
        })
        .unwrap();
        assert_well_formed(&text(&report));
        assert_eq!(parts(&text(&report))[2].1, want, "{original:?}");
    }
}

/// How a line of over 998 octets is cut.
fn fold(line: &str) -> String {
    let line = line.strip_suffix("\r\n").unwrap();
    format!(
        "{}\r\n {}\r\n {}\r\n {}\r\n",
        &line[..998],
        &line[998..1995],
        &line[1995..2992],
        &line[2992..]
    )
}

#[test]
fn who_wants_which_report() {
    let sender = address("alice@example.org");
    let both = Notify::FAILURE.union(Notify::DELAY);
    for (notify, failed, delayed, delivered) in [
        (Notify::default(), true, true, false),
        (Notify::NEVER, false, false, false),
        (Notify::SUCCESS, false, false, true),
        (Notify::FAILURE, true, false, false),
        (Notify::DELAY, false, true, false),
        (both, true, true, false),
    ] {
        for (kind, want) in
            [(Kind::Failed, failed), (Kind::Delayed, delayed), (Kind::Delivered, delivered)]
        {
            assert_eq!(wants_report(Some(&sender), notify, kind), want, "{notify:?} {kind:?}");
            assert!(!wants_report(None, notify, kind), "the null reverse-path hears nothing");
        }
    }
    let mut message = message();
    message.envelope.reverse_path = None;
    let nobody = compose(&Request {
        kind: Kind::Failed,
        message: &message,
        hostname: "mx.example.org",
        report_id: QueueId::MIN,
        now: Wall::default(),
        expires: Wall::default(),
        recipients: &[],
        original: &[],
        original_is_whole: true,
    });
    assert_eq!(nobody, None);
}
