//! A message through three sessions: what one server took, our client hands to a second server,
//! which has it octet for octet.

use std::sync::Arc;

use bytes::Bytes;
use ringmail::{
    mail::{Message, Recipient, Wire},
    smtp::{
        client::{Effect, Lost, Options, Session, Steps, Transaction},
        server::{Submission, policy::Role},
    },
    time::Duration,
};

use super::{
    octets::{Octets, cut, seed_of},
    world::World,
};

/// Extensions of the second server that the client may not hear of, by bits of the first octet.
const EXTENSIONS: [&[u8]; 4] = [b"PIPELINING", b"CHUNKING", b"DSN", b"SIZE"];
const BY_BDAT: u8 = 0x80;

/// A line of choices, lines of `MAIL` and `RCPT`, an empty line, and the body as it is sent.
pub fn run(input: &[u8]) {
    let mut octets = Octets(input);
    let choices = octets.u8();
    octets.line();
    let mut first = World::new("first.example");
    first.options.local_domains = Default::default();
    first.greet("127.0.0.1:9", Role::Relay);
    first.hear(b"EHLO c.example\r\n");
    while let line @ [_, ..] = octets.line().trim_ascii_end() {
        first.hear(&[line, b"\r\n"].concat());
    }
    let body = octets.0;
    if choices & BY_BDAT == 0 {
        first.hear(b"DATA\r\n");
        first.hear(&[body, b"\r\n.\r\n"].concat());
    } else {
        first.hear(format!("BDAT {} LAST\r\n", body.len()).as_bytes());
        first.hear(body);
    }
    if first.committing.is_none() {
        return;
    }
    first.stored(Ok(()));
    for (submission, body) in std::mem::take(&mut first.messages) {
        pass_on(choices, submission, body);
    }
}

fn pass_on(choices: u8, submission: Submission, body: Vec<u8>) {
    let wire = submission.wire;
    let mut second = World::new("second.example");
    // Nothing of it may depend on the second server's taste.
    second.options.local_domains = Default::default();
    second.options.message_size_max = u64::MAX / 2;
    second.options.received_headers_max = u32::MAX;
    second.greet("127.0.0.1:9", Role::Relay);
    let transaction = Transaction {
        message: Arc::new(Message {
            id: submission.id,
            arrived: submission.arrived,
            envelope: submission.envelope.clone(),
            wire,
            size: submission.size,
            parcels: 1,
        }),
        recipients: submission.recipients.clone(),
    };
    let delivered = deliver(choices, transaction, &body, &mut second);
    assert_eq!(second.messages.len(), usize::from(delivered), "delivered, and not there");
    let [(arrived, arrived_body)] = &second.messages[..] else { return };
    let hides = |name: &[u8]| hidden(choices).any(|hidden| hidden == name);
    let field = received_field(arrived_body);
    let got = unstuffed(&arrived_body[field..], arrived.wire);
    let mut want = unstuffed(&body, wire);
    if arrived.wire == Wire::Stuffed && !want.ends_with(b"\r\n") {
        // RFC 5321 §4.1.1.4: DATA has no other way to end a body.
        want.extend_from_slice(b"\r\n");
    }
    assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string());
    let mut envelope = submission.envelope;
    let mut recipients = submission.recipients;
    if hides(b"DSN") {
        (envelope.ret, envelope.envid) = (None, None);
        recipients = recipients.into_iter().map(|r| Recipient::plain(r.address)).collect();
    }
    // It is said again only where an address or the client asked for it.
    assert_eq!(arrived.envelope, envelope);
    assert_eq!(arrived.recipients, recipients);
}

/// Until the client has nothing more to say; whether the message was delivered to all.
fn deliver(choices: u8, transaction: Transaction, body: &[u8], server: &mut World) -> bool {
    let options = Options {
        hostname: "first.example".into(),
        greeting_timeout: Duration::from_secs(1),
        command_timeout: Duration::from_secs(2),
        data_timeout: Duration::from_secs(3),
    };
    let pieces = |octets: &[u8]| -> Vec<Vec<u8>> {
        let seed = seed_of(octets);
        cut(octets, seed).into_iter().map(<[u8]>::to_vec).collect()
    };
    let (mut session, mut waiting) = (Session::new(), Some(transaction));
    let (mut heard, mut outcome) = (0, None);
    while outcome.is_none() {
        let said = filtered(choices, &server.replies[heard..]);
        assert!(!said.is_empty(), "both wait for each other");
        heard = server.replies.len();
        for piece in pieces(&said) {
            let mut steps = Steps::default();
            session = session.receive(piece.into(), &options, &mut steps);
            while !steps.effects.is_empty() {
                match steps.effects.remove(0) {
                    Effect::Ready => {
                        session = session.begin(waiting.take().expect("once"), &mut steps);
                    }
                    Effect::Body => {
                        let body = pieces(body).into_iter().map(Bytes::from);
                        session = session.body(body, true, &mut steps);
                    }
                    Effect::Done { verdicts, .. } => {
                        let all = verdicts.iter().all(|v| v.status.class == 2);
                        assert!(all, "the second server refuses what the first took: {verdicts:?}");
                        outcome = Some(all);
                    }
                    Effect::Close => panic!("it closes: {:?}", session.lost(Lost::Ended)),
                }
            }
            for piece in pieces(&steps.send.concat()) {
                server.hear(&piece);
            }
            server.stored(Ok(()));
        }
    }
    outcome.unwrap_or_default()
}

fn hidden(choices: u8) -> impl Iterator<Item = &'static [u8]> {
    EXTENSIONS.into_iter().enumerate().filter(move |(at, _)| choices >> at & 1 == 1).map(|(_, e)| e)
}

/// The replies without the extensions that are hidden.
fn filtered(choices: u8, replies: &[u8]) -> Vec<u8> {
    let kept = replies.split_inclusive(|b| *b == b'\n').filter(|line| {
        let is_hidden = |name: &[u8]| line.get(4..).is_some_and(|text| text.starts_with(name));
        !line.starts_with(b"250-") || !hidden(choices).any(is_hidden)
    });
    kept.collect::<Vec<_>>().concat()
}

/// The length of the field at the start of a body, with the lines folded behind it.
fn received_field(body: &[u8]) -> usize {
    assert!(body.starts_with(b"Received: from first.example ("));
    let mut length = 0;
    for line in body.split_inclusive(|b| *b == b'\n') {
        if length > 0 && !line.starts_with(b"\t") {
            break;
        }
        assert!(line.ends_with(b"\r\n") && line.len() <= 1000, "a line of our own");
        length += line.len();
    }
    length
}

fn unstuffed(body: &[u8], wire: Wire) -> Vec<u8> {
    match wire {
        Wire::Plain => body.to_vec(),
        Wire::Stuffed => {
            let lines = body.split_inclusive(|b| *b == b'\n');
            lines.flat_map(|line| line.strip_prefix(b".").unwrap_or(line)).copied().collect()
        }
    }
}
