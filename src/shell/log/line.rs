//! Events as lines, in the words of Postfix's log or as JSON with the same keys.

use std::{fmt, io::Write, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    config::Format,
    relay::{
        Event,
        event::{Attempt, AttemptStatus, RelayHost, ReportKind, Via},
    },
    time::Wall,
};

/// Appends one line.
pub fn write(line: &mut Vec<u8>, wall: Wall, event: &Event, format: Format) {
    let time = Time(wall);
    // Writing to memory does not fail.
    let _ = match format {
        Format::Text => writeln!(line, "{time} {}", Text(event)),
        Format::Json => {
            let mut fields = fields(event);
            fields.insert("time".to_owned(), json!(time.to_string()));
            writeln!(line, "{}", Value::Object(fields))
        }
    };
}

struct Time(Wall);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => f.write_str("9999-12-31T23:59:59.999Z"),
        }
    }
}

struct Text<'a>(&'a Event);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Rejected { client, helo, command, reply, from, to } => {
                write!(f, "NOQUEUE: reject: {command} from unknown[{}]: ", client.ip())?;
                write!(f, "{};", Clean(reply))?;
                if let Some(from) = from {
                    write!(f, " from=<{}>", Clean(from))?;
                }
                if let Some(to) = to {
                    write!(f, " to=<{}>", Clean(to))?;
                }
                write!(f, " helo=<{}>", Clean(helo))
            }
            Event::Accepted { id, client, from, message_id, size, recipients } => {
                let from = from.as_ref().map_or("", |address| address.as_str());
                write!(f, "{id}: ")?;
                if let Some(client) = client {
                    write!(f, "client=unknown[{}], ", client.ip())?;
                }
                write!(f, "from=<{}>, size={size}, ", Clean(from.as_bytes()))?;
                write!(f, "nrcpt={recipients}, message-id=<{}>", Clean(bare(message_id)))
            }
            Event::Attempt(attempt) => {
                let Attempt { id, to, via, delay, delays, verdict, status } = attempt;
                let [a, b, c, d] = delays.map(Delay);
                write!(f, "{id}: to=<{}>, ", Clean(to.as_bytes()))?;
                write!(f, "relay={}, delay={}, ", Relay(via), Delay(*delay))?;
                write!(f, "delays={a}/{b}/{c}/{d}, dsn={}, ", verdict.status)?;
                write!(f, "status={} ({})", outcome(*status), Clean(&verdict.reason))
            }
            Event::Reported { id, report, kind } => {
                write!(f, "{id}: sender {} notification: {report}", report_kind(*kind))
            }
            Event::Removed { id } => write!(f, "{id}: removed"),
            Event::Lost { client, after, timed_out } => {
                let what = if *timed_out { "timeout" } else { "lost connection" };
                write!(f, "{what} after {after} from unknown[{}]", client.ip())
            }
            Event::LoggedIn { client, protocol, user } => {
                let user = Clean(user);
                write!(f, "{protocol} login: user=<{user}> from unknown[{}]", client.ip())
            }
            Event::LoginPutOff { client, protocol } => write!(
                f,
                "{protocol} login put off: too many wrong passwords or logins from unknown[{}]",
                client.ip()
            ),
            Event::LoginFailed { client, protocol, user } => {
                let user = Clean(user);
                write!(f, "{protocol} login failed: user=<{user}> from unknown[{}]", client.ip())
            }
            Event::Notice(sentence) => write!(f, "{}", Clean(sentence.as_bytes())),
            Event::Warning(sentence) => write!(f, "warning: {}", Clean(sentence.as_bytes())),
        }
    }
}

/// The same, under the same names.
fn fields(event: &Event) -> Map<String, Value> {
    let text = |bytes: &[u8]| Clean(bytes).to_string();
    let value = match event {
        Event::Rejected { client, helo, command, reply, from, to } => json!({
            "event": "reject", "command": command, "client": client.ip().to_string(),
            "reply": text(reply), "from": from.as_ref().map(|from| text(from)),
            "to": to.as_ref().map(|to| text(to)), "helo": text(helo),
        }),
        Event::Accepted { id, client, from, message_id, size, recipients } => json!({
            "event": "accepted", "id": id.to_string(),
            "client": client.map(|client| client.ip().to_string()),
            "from": from.as_ref().map_or("", |address| address.as_str()), "size": size,
            "nrcpt": recipients, "message-id": text(bare(message_id)),
        }),
        Event::Attempt(attempt) => {
            let Attempt { id, to, via, delay, delays, verdict, status } = attempt;
            json!({
                "event": "attempt", "id": id.to_string(), "to": to.as_str(),
                "relay": Relay(via).to_string(), "delay": delay.as_secs_f64(),
                "delays": delays.map(|delay| delay.as_secs_f64()),
                "dsn": verdict.status.to_string(), "status": outcome(*status),
                "reason": text(&verdict.reason),
            })
        }
        Event::Reported { id, report, kind } => json!({
            "event": "report", "id": id.to_string(), "report": report.to_string(),
            "kind": report_kind(*kind),
        }),
        Event::Removed { id } => json!({ "event": "removed", "id": id.to_string() }),
        Event::Lost { client, after, timed_out } => json!({
            "event": if *timed_out { "timeout" } else { "lost" }, "after": after,
            "client": client.ip().to_string(),
        }),
        Event::LoggedIn { client, protocol, user } => json!({
            "event": "login", "protocol": protocol, "user": text(user),
            "client": client.ip().to_string(),
        }),
        Event::LoginPutOff { client, protocol } => json!({
            "event": "login-put-off", "protocol": protocol, "client": client.ip().to_string(),
        }),
        Event::LoginFailed { client, protocol, user } => json!({
            "event": "login-failed", "protocol": protocol, "user": text(user),
            "client": client.ip().to_string(),
        }),
        Event::Notice(sentence) => json!({ "event": "notice", "message": sentence }),
        Event::Warning(sentence) => json!({ "event": "warning", "message": sentence }),
    };
    match value {
        Value::Object(fields) => fields,
        other => Map::from_iter([("event".to_owned(), other)]),
    }
}

fn outcome(status: AttemptStatus) -> &'static str {
    match status {
        AttemptStatus::Sent => "sent",
        AttemptStatus::Deferred => "deferred",
        AttemptStatus::Bounced => "bounced",
        AttemptStatus::Expired => "expired",
    }
}

fn report_kind(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::NonDelivery => "non-delivery",
        ReportKind::Delay => "delay",
        ReportKind::Delivery => "delivery status",
    }
}

/// A message id without its angle brackets.
fn bare(id: &[u8]) -> &[u8] {
    id.strip_prefix(b"<").and_then(|id| id.strip_suffix(b">")).unwrap_or(id)
}

/// Words of strangers: what is no text, or could end a line or steer a terminal, is a `?`.
struct Clean<'a>(&'a [u8]);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for part in chunk.valid().split_inclusive(char::is_control) {
                match part.strip_suffix(char::is_control) {
                    Some(clean) => write!(f, "{clean}?")?,
                    None => f.write_str(part)?,
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_str("?")?;
            }
        }
        Ok(())
    }
}

/// `mx.example.org[192.0.2.1]:25`, or `none`.
struct Relay<'a>(&'a Via);

impl fmt::Display for Relay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Via::Nobody => f.write_str("none"),
            Via::Mailbox => f.write_str("local"),
            Via::Host(RelayHost { name, address }) => {
                write!(f, "{}[{}]:{}", Clean(name), address.ip(), address.port())
            }
        }
    }
}

/// Seconds with two digits of interest, as Postfix writes them: 0, 0.03, 1.2, 75.
struct Delay(Duration);

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0.as_millis() / 10;
        let (whole, part) = (hundredths / 100, hundredths % 100);
        match (whole, part) {
            (10.., _) | (_, 0) => write!(f, "{whole}"),
            (1.., _) if part / 10 == 0 => write!(f, "{whole}"),
            (1.., _) => write!(f, "{whole}.{}", part / 10),
            (0, _) if part % 10 == 0 => write!(f, "0.{}", part / 10),
            (0, _) => write!(f, "0.{part:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::mail::{Address, Outcome, QueueId, Status, Verdict};

    fn address(text: &'static str) -> Address {
        Address::parse(Bytes::from_static(text.as_bytes())).unwrap()
    }

    fn attempt(via: Via, status: AttemptStatus, reason: &'static str) -> Event {
        Event::Attempt(Attempt {
            id: QueueId::MIN,
            to: address("a@b.example"),
            via,
            delay: Duration::from_millis(1234),
            delays: [100, 0, 500, 634].map(Duration::from_millis),
            verdict: Verdict::own(Outcome::Delivered, Status::new(2, 0, 0), reason),
            status,
        })
    }

    fn events() -> Vec<(Event, &'static str)> {
        let id = QueueId::MIN;
        let host = RelayHost {
            name: Bytes::from_static(b"mx.b.example"),
            address: "192.0.2.1:25".parse().unwrap(),
        };
        let rejected = |from: Option<&'static str>, reply: &'static str| Event::Rejected {
            client: "192.0.2.7:1234".parse().unwrap(),
            helo: Bytes::from_static(b"a\x1b[0m"),
            command: "RCPT",
            reply: Bytes::from_static(reply.as_bytes()),
            from: from.map(|from| Bytes::from_static(from.as_bytes())),
            to: from.map(|_| Bytes::from_static(b"x\r\ny@\xff")),
        };
        let accepted = |from, message_id: &'static str| Event::Accepted {
            id,
            client: "[2001:db8::7]:1234".parse().ok(),
            from,
            message_id: Bytes::from_static(message_id.as_bytes()),
            size: 4096,
            recipients: 2,
        };
        vec![
            (
                rejected(Some(""), "550 5.1.1 no such user"),
                "NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.1.1 no such user; from=<> \
                 to=<x??y@?> helo=<a?[0m>",
            ),
            (
                rejected(None, "503 5.5.1 no"),
                "NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 503 5.5.1 no; helo=<a?[0m>",
            ),
            (
                accepted(Some(address("s@c.example")), "<1@c.example>"),
                "0000000000000: client=unknown[2001:db8::7], from=<s@c.example>, size=4096, \
                 nrcpt=2, message-id=<1@c.example>",
            ),
            (
                accepted(None, ""),
                "0000000000000: client=unknown[2001:db8::7], from=<>, size=4096, nrcpt=2, \
                 message-id=<>",
            ),
            (
                attempt(Via::Host(host), AttemptStatus::Sent, "250 2.0.0 Ok"),
                "0000000000000: to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25, delay=1.2, \
                 delays=0.1/0/0.5/0.63, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
            ),
            (
                attempt(Via::Nobody, AttemptStatus::Deferred, "no route to host"),
                "0000000000000: to=<a@b.example>, relay=none, delay=1.2, delays=0.1/0/0.5/0.63, \
                 dsn=2.0.0, status=deferred (no route to host)",
            ),
            (
                Event::Reported { id, report: QueueId::from_u64(1), kind: ReportKind::NonDelivery },
                "0000000000000: sender non-delivery notification: 0000000000001",
            ),
            (Event::Removed { id }, "0000000000000: removed"),
            (Event::Warning("a\nb".to_owned()), "warning: a?b"),
        ]
    }

    #[test]
    fn text_lines_are_postfixs() {
        let wall = Wall::from_millis(1_795_435_200_123);
        for (event, want) in events() {
            let mut line = Vec::new();
            write(&mut line, wall, &event, Format::Text);
            let line = String::from_utf8(line).unwrap();
            assert_eq!(line, format!("2026-11-23T12:00:00.123Z {want}\n"));
        }
    }

    #[test]
    fn json_lines_are_objects_with_a_time() {
        for (event, _) in events() {
            let mut line = Vec::new();
            write(&mut line, Wall::from_millis(0), &event, Format::Json);
            let text = String::from_utf8(line).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["time"], "1970-01-01T00:00:00.000Z");
            assert!(value["event"].is_string(), "{text}");
        }
    }

    #[test]
    fn delays_have_two_digits_of_interest() {
        for (millis, want) in [
            (0, "0"),
            (4, "0"),
            (30, "0.03"),
            (100, "0.1"),
            (630, "0.63"),
            (1_000, "1"),
            (1_040, "1"),
            (1_250, "1.2"),
            (75_900, "75"),
        ] {
            assert_eq!(Delay(Duration::from_millis(millis)).to_string(), want, "{millis} ms");
        }
    }
}
