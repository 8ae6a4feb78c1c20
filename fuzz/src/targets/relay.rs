//! The whole relay of one core: any clients, next hops, name servers and disks, in any order.
//!
//! What was promised is on disk, nobody leaves the queue unsettled, and a drain ends.

use bytes::Bytes;
use ringmail::{
    relay::{Input, Space, Trouble},
    store::StoreError,
    time::Duration,
};

use super::{octets::Octets, shell::Shell};

/// Inputs of one run.
const INPUTS_MAX: usize = 400;

/// Inputs that a drain may take when all peers are gone.
const DRAIN_MAX: usize = 2000;

/// Domains of recipients: by a route, by DNS, to an address, to nobody here, back to ourselves.
const DOMAINS: [&str; 4] = ["route.example", "dns.example", "[192.0.2.9]", "other.example"];

const TROUBLES: [Trouble; 5] =
    [Trouble::Ended, Trouble::Reset, Trouble::Refused, Trouble::TimedOut, Trouble::Descriptors];

/// Each input is an octet that names it, and what it takes.
pub fn run(input: &[u8]) {
    let mut octets = Octets(input);
    let mut shell = Shell::new();
    for _ in 0..INPUTS_MAX {
        if octets.is_empty() {
            break;
        }
        step(&mut shell, &mut octets);
    }
    end(&mut shell);
}

fn step(shell: &mut Shell, octets: &mut Octets<'_>) {
    match octets.u8() {
        b'A' => shell.accept("127.0.0.1:4000"),
        b'S' => shell.accept("192.0.2.77:4000"),
        // A client says some octets, or sends a message.
        b'C' => {
            let client = peer(shell, octets.u8(), true);
            shell.say(client, octets.piece());
        }
        b'M' => {
            let client = peer(shell, octets.u8(), true);
            let mail = mail(octets.u8(), octets.u8());
            shell.say(client, &mail);
        }
        b'N' => {
            let next_hop = peer(shell, octets.u8(), false);
            shell.say(next_hop, octets.piece());
        }
        // A next hop that answers as it should.
        b'n' => {
            let next_hop = peer(shell, octets.u8(), false);
            answer_well(shell, next_hop);
        }
        b'K' => {
            let which = octets.u8();
            let at = peer(shell, which >> 1, which & 1 == 0);
            shell.close(at, TROUBLES[usize::from(octets.u8()) % 2]);
        }
        b'k' => {
            let which = octets.u8();
            let at = peer(shell, which >> 1, which & 1 == 0);
            shell.sent(at);
        }
        b'c' => shell.connected(Ok(())),
        b'x' => shell.connected(Err(TROUBLES[2 + usize::from(octets.u8()) % 3])),
        b'o' => shell.stored(Ok(())),
        b'f' => shell.stored(Err(StoreError::Full)),
        b'F' => shell.stored(Err(StoreError::Failed)),
        b'l' => shell.loaded(true),
        b'L' => shell.loaded(false),
        b'Q' => resolve(shell, octets.u8()),
        b'q' => {
            let octets = Bytes::copy_from_slice(octets.piece());
            answer(shell, |_| Ok(octets));
        }
        b't' => shell.pass(Duration::from_secs(octets.u16().into())),
        b'w' => shell.pass_to_wake(),
        b'z' => shell.give(Input::Space(Space { free: u64::from(octets.u8()) << 14 })),
        b'D' => drain(shell),
        _ => {}
    }
}

/// The place of the `which`th client or next hop; beyond the last where there is none.
fn peer(shell: &Shell, which: u8, inbound: bool) -> usize {
    let peers = shell.peers.iter().enumerate().filter(|(_, peer)| peer.inbound == inbound);
    let places: Vec<usize> = peers.map(|(place, _)| place).collect();
    places.get(usize::from(which) % places.len().max(1)).copied().unwrap_or(usize::MAX)
}

/// A whole transaction: the bits of `to` choose recipients, those of `how` the rest.
fn mail(to: u8, how: u8) -> Vec<u8> {
    let sender = if how & 1 == 0 { "a@dns.example" } else { "" };
    let notify = ["", " NOTIFY=SUCCESS,FAILURE", " NOTIFY=NEVER", " NOTIFY=DELAY"];
    let notify = notify[usize::from(how >> 1 & 3)];
    let mut mail = format!("EHLO c\r\nMAIL FROM:<{sender}>\r\n");
    for (at, domain) in DOMAINS.into_iter().enumerate() {
        for name in ["b", "c"] {
            if to >> (2 * at + usize::from(name == "c")) & 1 == 1 {
                mail.push_str(&format!("RCPT TO:<{name}@{domain}>{notify}\r\n"));
            }
        }
    }
    let line = format!("{}\r\n", "x".repeat(998));
    // The longest goes to disk in parts, which takes time: it has a bit more to be chosen.
    let body = line.repeat([0, 1, 9, 9, 0, 1, 9, 700][usize::from(how >> 3 & 3 | how >> 4 & 4)]);
    let body = format!("Subject: x\r\n\r\n{body}");
    if how & 32 == 0 {
        mail.push_str(&format!("DATA\r\n{body}.\r\n"));
    } else {
        mail.push_str(&format!("BDAT {} LAST\r\n{body}", body.len()));
    }
    mail.into_bytes()
}

/// Reads all commands and answers each, with the pipelining that it offers.
fn answer_well(shell: &mut Shell, next_hop: usize) {
    let Some(peer) = shell.peers.get_mut(next_hop) else { return };
    let said = std::mem::take(&mut peer.unread);
    let mut rest = &said[..];
    let mut replies = String::new();
    if rest.is_empty() && !peer.in_body {
        replies.push_str("220 hi\r\n");
    }
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        match line.get(..4).unwrap_or_default() {
            _ if peer.in_body && line != b"." => continue,
            _ if peer.in_body => peer.in_body = false,
            b"EHLO" => replies.push_str("250-hi\r\n250-DSN\r\n250-PIPELINING\r\n"),
            b"DATA" => {
                peer.in_body = true;
                replies.push_str("354 go\r\n");
                continue;
            }
            _ => {}
        }
        replies.push_str("250 ok\r\n");
    }
    peer.unread = rest.to_vec();
    shell.say(next_hop, replies.as_bytes());
}

/// The oldest query is answered: an address for any name, no such name, no data, no answer.
fn resolve(shell: &mut Shell, how: u8) {
    answer(shell, |query| {
        let question = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
        let kind = query[question - 3];
        let (rcode, record): (u8, &[u8]) = match (how % 4, kind) {
            (0, 15) => (0, b"\xc0\x0c\0\x0f\0\x01\0\0\x01\0\0\x09\0\x0a\x04mail\xc0\x0c"),
            (0, 1) => (0, b"\xc0\x0c\0\x01\0\x01\0\0\x01\0\0\x04\xc0\0\x02\x07"),
            (1, _) => (3, b""),
            (2, _) => return Err(Trouble::TimedOut),
            _ => (0, b""),
        };
        let answers = u8::from(!record.is_empty());
        let head = [&query[..2], &[0x81, rcode, 0, 1, 0, answers, 0, 0, 0, 0]].concat();
        Ok([&head, &query[12..question], record].concat().into())
    });
}

fn answer(shell: &mut Shell, said: impl FnOnce(&[u8]) -> Result<Bytes, Trouble>) {
    if !shell.queries.is_empty() {
        let (ticket, query) = shell.queries.remove(0);
        shell.give(Input::Answer { ticket, result: said(&query) });
    }
}

fn drain(shell: &mut Shell) {
    shell.draining = true;
    shell.give(Input::Drain);
}

/// Peers go, the disk works, and the relay comes to its end.
fn end(shell: &mut Shell) {
    if !shell.draining {
        drain(shell);
    }
    for _ in 0..DRAIN_MAX {
        if shell.drained {
            break;
        }
        if !shell.stores.is_empty() {
            shell.stored(Ok(()));
        } else if !shell.loads.is_empty() {
            shell.loaded(true);
        } else if !shell.peers.is_empty() {
            shell.close(0, Trouble::Ended);
        } else {
            shell.pass_to_wake();
        }
    }
    assert!(shell.drained, "a drain without end");
}
