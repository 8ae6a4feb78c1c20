//! Reports about any message to any recipients: always lines that a next hop takes, in three
//! parts.

use bytes::Bytes;
use ringmail::{
    limits::{REPLY_TEXT_KEPT, TEXT_LINE_MAX},
    mail::{
        BodyType, Envelope, Message, Outcome, QueueId, Recipient, Ret, Status, Verdict, Wire,
        report::{Action, Kind, Reported, Request, compose},
    },
    smtp::command::{self, Command},
    time::Wall,
};

use super::octets::{Octets, cut, seed_of};

/// A line of choices, lines of commands, `MAIL` and `RCPT`, each `RCPT` followed by a line that
/// the next hop said, an empty line, and the original.
pub fn run(input: &[u8]) {
    let mut octets = Octets(input);
    let (choices, more) = (octets.u8(), octets.u8());
    octets.line();
    let Some(mut envelope) = mail(octets.line()) else { return };
    envelope.ret = envelope.ret.or((more & 1 == 1).then_some(Ret::Full));
    let mut recipients = Vec::new();
    while let line @ [_, ..] = octets.line().trim_ascii_end() {
        let Some(recipient) = rcpt(line) else { return };
        recipients.push((recipient, verdict(octets.line(), more)));
    }
    let original = octets.0;
    let pieces = cut(original, seed_of(original)).into_iter().map(Bytes::copy_from_slice);
    let is_whole = choices & 1 == 0;
    let message = Message {
        id: QueueId::from_u64(choices.into()),
        arrived: Wall::from_millis(1_700_000_000_000),
        envelope,
        wire: if choices & 2 == 0 { Wire::Stuffed } else { Wire::Plain },
        size: original.len() as u64 + u64::from(!is_whole),
        parcels: 1,
    };
    let (kind, action) = match choices >> 2 & 3 {
        0 | 1 => (Kind::Failed, Action::Failed),
        2 => (Kind::Delayed, Action::Delayed),
        _ => (Kind::Delivered, Action::Relayed),
    };
    let remote = (choices & 16 != 0).then_some("mx.example.net");
    let reported: Vec<_> = recipients
        .iter()
        .map(|(recipient, verdict)| Reported { recipient, verdict, action, remote })
        .collect();
    let report = compose(&Request {
        kind,
        message: &message,
        hostname: "mx.example.org",
        report_id: QueueId::MAX,
        now: Wall::from_millis(1_700_000_100_000),
        expires: Wall::MAX,
        recipients: &reported,
        original: &pieces.collect::<Vec<_>>(),
        original_is_whole: is_whole,
    });
    assert_eq!(report.is_some(), message.envelope.reverse_path.is_some(), "who is told");
    if let Some(report) = report {
        assert_eq!(report.envelope.reverse_path, None, "a report about a report");
        let eight_bit = report.envelope.body_type == BodyType::EightBitMime;
        check(&report.body, eight_bit, reported.len());
    }
}

fn mail(line: &[u8]) -> Option<Envelope> {
    match command::parse(line).ok()? {
        Command::Mail(mail) => Some(mail.envelope),
        _ => None,
    }
}

fn rcpt(line: &[u8]) -> Option<Recipient> {
    match command::parse(line).ok()? {
        Command::Rcpt(rcpt) => Some(rcpt.recipient),
        _ => None,
    }
}

/// A verdict as the client's session leaves them: UTF-8, without CR or LF, and cut.
fn verdict(said: &[u8], more: u8) -> Verdict {
    let mut reason = String::from_utf8_lossy(said).replace(['\r', '\n'], " ");
    while reason.len() > REPLY_TEXT_KEPT {
        reason.pop();
    }
    let outcome = if more & 2 == 0 { Outcome::Failed } else { Outcome::Deferred };
    let status = Status::of_reply(550, said);
    Verdict { outcome, status, reason: reason.into(), remote_said: more & 4 == 0 }
}

fn check(body: &[u8], eight_bit: bool, recipients: usize) {
    assert!(eight_bit || body.is_ascii(), "eight bits that were not declared");
    let mut lines = Vec::new();
    for line in body.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("a bare LF, or no line");
        assert!(!line.contains(&b'\r'), "a bare CR: {}", line.escape_ascii());
        // RFC 5321 §4.5.2: a line that begins with a dot begins with two.
        let plain = match line {
            [b'.', rest @ ..] => {
                assert!(rest.starts_with(b"."), "a dot that is not doubled");
                rest
            }
            line => line,
        };
        assert!(plain.len() <= TEXT_LINE_MAX, "a line of {} octets", plain.len());
        lines.push(plain);
    }
    let header = lines.iter().position(|line| line.is_empty()).expect("the header has an end");
    for name in ["Date:", "From:", "To:", "Subject:", "Message-ID:", "MIME-Version:"] {
        let is = |line: &&&[u8]| line.starts_with(name.as_bytes());
        assert_eq!(lines[..header].iter().filter(is).count(), 1, "{name}");
    }
    let boundary = lines[..header].iter().find_map(|line| line.strip_prefix(b"\tboundary=\""));
    let boundary = boundary.and_then(|rest| rest.strip_suffix(b"\"")).expect("a boundary");
    let boundary = [b"--", boundary].concat();
    let parts = lines.iter().filter(|line| line.starts_with(&boundary)).count();
    assert_eq!(parts, 3 + 1, "three parts and an end");
    assert_eq!(*lines.last().unwrap(), [&boundary[..], b"--"].concat());
    let part = |name: &str| lines.iter().position(|line| *line == name.as_bytes()).unwrap();
    let status = part("Content-Description: Delivery report");
    let original = part("Content-Description: The message concerned");
    let told = lines[status..original].iter();
    let told = told.filter(|line| line.starts_with(b"Final-Recipient: ")).count();
    assert_eq!(told, recipients, "each recipient once");
}
