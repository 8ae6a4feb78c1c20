//! Transcripts of a sink's sessions, cut at every octet.
//!
//! `C:` lines are sent together until an `S:` line; `@ 5` sets the clock to 5 ms; an answer that
//! is due later than it was asked for is marked with its time. Acts are in angle brackets.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        answer::Output,
        count::{Ledger, TROUBLES},
        policy::{Bucket, Greylist, Offer, Policy},
    },
    *,
};

const EHLO: &str = "S: 250-sink.ringload.invalid|250-PIPELINING|250-SIZE 100|250-8BITMIME|\
    250-CHUNKING|250-DSN|250 ENHANCEDSTATUSCODES\n";

fn offer() -> Offer {
    Offer {
        pipelining: true,
        chunking: true,
        eight_bit: true,
        smtputf8: false,
        starttls: false,
        auth: false,
        size_max: 100,
        messages_per_connection_max: None,
    }
}

fn policy(offer: Offer, rules: &[&str]) -> Policy {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    Policy::new(offer, rules, 1, Arc::new(Ledger::default()))
}

/// How a group of octets is handed in.
#[derive(Clone, Copy, Debug)]
enum Cut {
    At(usize),
    EveryOctet,
}

fn pieces(octets: &[u8], cut: Cut) -> Vec<&[u8]> {
    match cut {
        Cut::EveryOctet => octets.chunks(1).collect(),
        Cut::At(at) => {
            let (left, right) = octets.split_at(at.min(octets.len()));
            vec![left, right]
        }
    }
}

fn rendered(outputs: Vec<Output>, start: Instant, now: Instant) -> String {
    let mut text = String::new();
    for Output { due, act } in outputs {
        let mark = match due > now {
            true => format!("[{}] ", (due - start).as_millis()),
            false => String::new(),
        };
        let what = match act {
            Act::Send(reply) => {
                let reply = std::str::from_utf8(&reply).unwrap().to_owned();
                reply.strip_suffix("\r\n").unwrap().replace("\r\n", "|")
            }
            Act::Count(message) => format!("<count {} times>", message.times),
            Act::Secure => "<secure>".into(),
            Act::StopReading => "<stop reading>".into(),
            Act::Close => "<close>".into(),
            Act::Reset => "<reset>".into(),
        };
        text += &format!("S: {mark}{what}\n");
    }
    text
}

/// What the client sends for a line of the transcript: `\\n` in it is a bare LF.
fn client_line(text: &str) -> String {
    text.trim_start().replace("\\n", "\n") + "\r\n"
}

/// Plays the client's side; the whole transcript with the answers that were given.
fn play(policy: &mut Policy, transcript: &str, cut: Cut) -> String {
    let start = Instant::now();
    let mut now = start;
    let mut session = Session::new(IpAddr::from([127, 0, 0, 1]), false);
    let mut outputs = Vec::new();
    session.greet(&mut Turn { now, policy, out: &mut outputs }, true);
    let mut got = rendered(std::mem::take(&mut outputs), start, now);
    let mut lines = transcript.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        if let Some(millis) = line.strip_prefix("@ ") {
            now = start + Duration::from_millis(millis.parse().unwrap());
            got += &format!("{line}\n");
        } else if line == "<secured>" {
            session.secured();
            got += "<secured>\n";
        } else if let Some(first) = line.strip_prefix("C:") {
            got += &format!("{line}\n");
            let mut group = client_line(first);
            while let Some(next) = lines.next_if(|line| line.starts_with("C:")) {
                got += &format!("{next}\n");
                group += &client_line(&next[2..]);
            }
            for piece in pieces(group.as_bytes(), cut) {
                session.received(&mut Turn { now, policy, out: &mut outputs }, piece);
            }
            got += &rendered(std::mem::take(&mut outputs), start, now);
        }
    }
    got
}

/// Plays it whole, then cut at every octet and in single octets; the policy of the whole play.
fn check(make: impl Fn() -> Policy, transcript: &str) -> Policy {
    let transcript = transcript.replace("S: EHLO\n", EHLO);
    let lines = transcript.lines().map(str::trim).filter(|line| !line.is_empty());
    let want = &lines.map(|line| format!("{line}\n")).collect::<String>();
    let mut whole = make();
    assert_eq!(play(&mut whole, want, Cut::At(usize::MAX)), *want, "whole");
    let longest = want.len();
    for cut in (0..longest).map(Cut::At).chain([Cut::EveryOctet]) {
        let mut policy = make();
        assert_eq!(play(&mut policy, want, cut), *want, "cut: {cut:?}");
        assert_eq!(policy.tally.messages, whole.tally.messages, "cut: {cut:?}");
        assert_eq!(policy.tally.octets, whole.tally.octets, "cut: {cut:?}");
        assert_eq!(policy.tally.unique, whole.tally.unique, "cut: {cut:?}");
    }
    whole
}

fn troubles(policy: &Policy) -> Vec<Trouble> {
    let counts = TROUBLES.iter().zip(policy.tally.troubles);
    counts.flat_map(|((trouble, _), count)| vec![*trouble; count as usize]).collect()
}

fn ehlo(rest: &str) -> String {
    let greeting = "S: 220 sink.ringload.invalid ESMTP\nC: EHLO a.example\nS: EHLO\n";
    greeting.to_owned() + rest
}

#[test]
fn mail_is_taken_by_data_and_by_bdat() {
    let transcript = ehlo(
        "C: MAIL FROM:<a@b> SIZE=40 BODY=8BITMIME RET=HDRS ENVID=x
        C: RCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;c@d
        C: RCPT TO:<e@d>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Message-ID: <1.r@ringload.invalid>
        C: ..
        C: .
        C: MAIL FROM:<>
        C: RCPT TO:<c@d>
        C: BDAT 3
        C: a
        C: BDAT 36 LAST
        C: Message-ID: <2.r@ringload.invalid>
        C: MAIL FROM:<>
        C: RSET
        C: VRFY x
        S: 250 2.0.0 Ok: taken and discarded
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 250 2.0.0 Ok
        S: 250 2.0.0 Ok: taken and discarded
        S: 250 2.1.0 Ok
        S: 250 2.0.0 Ok
        S: 252 2.1.5 Send some mail and see
        C: HELO a
        S: 250 sink.ringload.invalid
        C: QUIT
        S: 221 2.0.0 Bye
        S: <close>",
    );
    let got = check(|| policy(offer(), &[]), &transcript);
    let tally = &got.tally;
    assert_eq!((tally.messages, tally.unique, tally.deliveries, tally.duplicates), (2, 2, 3, 0));
    assert_eq!(tally.octets, 36 + 3 + 39);
    assert_eq!(troubles(&got), []);
}

#[test]
fn what_comes_wrong_is_refused_and_counted() {
    let transcript = ehlo(
        "C: HELLO
        S: 500 5.5.2 Unknown command
        C: MAIL TO:<a@b>
        S: 501 5.5.4 Wrong form
        C: RCPT TO:<a@b>
        S: 503 5.5.1 Out of sequence
        C: AUTH PLAIN AGEAYg==
        S: 502 5.5.1 Not offered here
        C: STARTTLS
        S: 502 5.5.1 Not offered here
        C: MAIL FROM:<> SMTPUTF8
        S: 555 5.5.4 A parameter that was not offered or has a wrong value
        C: MAIL FROM:<> SIZE=101
        S: 552 5.3.4 Message too large
        C: BDAT 5
        C: abc
        S: 503 5.5.1 Out of sequence
        C: NOOP\\nNOOP
        S: 250 2.0.0 Ok
        S: 250 2.0.0 Ok
        C: MAIL FROM:<a@b>
        S: 250 2.1.0 Ok
        C: MAIL FROM:<a@b>
        S: 503 5.5.1 Out of sequence
        C: DATA
        S: 554 5.5.1 No valid recipients
        C: RCPT TO:<a@b>
        S: 250 2.1.5 Ok
        C: BDAT 2
        C:
        C: DATA
        S: 250 2.0.0 Ok
        S: 503 5.5.1 Out of sequence
        C: BDAT 0 LAST
        S: 250 2.0.0 Ok: taken and discarded",
    );
    let got = check(|| policy(offer(), &[]), &transcript);
    let want = [
        (Trouble::BehindGroupEnd, 1),
        (Trouble::BareLfInCommand, 1),
        (Trouble::UnknownCommand, 1),
        (Trouble::Form, 1),
        (Trouble::Sequence, 6),
        (Trouble::Parameter, 1),
        (Trouble::TooLarge, 1),
    ];
    let want: Vec<_> = want.into_iter().flat_map(|(trouble, n)| vec![trouble; n]).collect();
    assert_eq!(troubles(&got), want);
}

#[test]
fn lines_too_long_are_refused_in_bounded_memory() {
    let mut policy = policy(offer(), &[]);
    let mut session = Session::new(IpAddr::from([127, 0, 0, 1]), false);
    let mut outputs = Vec::new();
    for octets in [vec![b'x'; 2 * LINE_MAX], b"\r\nNOOP\r\n".to_vec()] {
        let now = Instant::now();
        session.received(&mut Turn { now, policy: &mut policy, out: &mut outputs }, &octets);
        assert!(session.partial.capacity() <= 2 * (LINE_MAX + 1));
    }
    let now = Instant::now() + Duration::from_secs(1);
    assert_eq!(rendered(outputs, now, now), "S: 500 5.5.6 Line too long\nS: 250 2.0.0 Ok\n");
    assert_eq!(troubles(&policy), [Trouble::PipelinedUnoffered, Trouble::LineTooLong]);
}

#[test]
fn a_message_too_large_or_ill_formed_is_told() {
    let transcript = ehlo(
        "C: MAIL FROM:<a@b>
        C: RCPT TO:<c@d>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: LONG
        C: .
        S: 552 5.3.4 Message too large
        C: MAIL FROM:<a@b>
        C: RCPT TO:<c@d>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: a\\n.
        C: .
        S: 250 2.0.0 Ok: taken and discarded",
    );
    let transcript = transcript.replace("LONG", &"x".repeat(1001));
    let got = check(|| policy(offer(), &[]), &transcript);
    assert_eq!((got.tally.messages, got.tally.without_id, got.tally.octets), (1, 1, 4));
    let want = [Trouble::BareLfInMessage, Trouble::TextLineTooLong, Trouble::TooLarge];
    assert_eq!(troubles(&got), want);
}

#[test]
fn groups_are_watched() {
    let none = Offer { pipelining: false, ..offer() };
    for (offer, first, text, want) in [
        (offer(), "EHLO a", "MAIL FROM:<>|RCPT TO:<a@b>|RSET", None),
        (offer(), "EHLO a", "NOOP|RSET", Some(Trouble::BehindGroupEnd)),
        (offer(), "EHLO a", "MAIL FROM:<>|RCPT TO:<a@b>|DATA|x|.", Some(Trouble::BehindGroupEnd)),
        (offer(), "EHLO a|RSET", "RSET", Some(Trouble::BehindGroupEnd)),
        (offer(), "HELO a", "MAIL FROM:<>|RSET", Some(Trouble::PipelinedUnoffered)),
        (none, "EHLO a", "MAIL FROM:<>|RSET", Some(Trouble::PipelinedUnoffered)),
    ] {
        let mut policy = policy(offer, &[]);
        let mut session = Session::new(IpAddr::from([127, 0, 0, 1]), false);
        for group in [first, text] {
            let group = group.replace('|', "\r\n") + "\r\n";
            let (now, out) = (Instant::now(), &mut Vec::new());
            session.received(&mut Turn { now, policy: &mut policy, out }, group.as_bytes());
        }
        assert_eq!(troubles(&policy), want.into_iter().collect::<Vec<_>>(), "{first}|{text}");
    }
}

#[test]
fn each_rule_acts_at_its_step() {
    for (rule, transcript) in [
        (
            "step=connect reply=\"554 no\"",
            "S: 554 no\nC: EHLO a\nS: 503 5.5.1 Out of sequence\n\
            C: QUIT\nS: 221 2.0.0 Bye\nS: <close>",
        ),
        ("step=connect reply=\"421 later\"", "S: 421 later\nS: <close>\nC: EHLO a"),
        ("step=connect stall", "C: EHLO a\nC: QUIT"),
        ("step=connect drop", "S: <close>"),
        ("step=connect reset delay=9ms", "S: [9] <reset>"),
        (
            "step=connect stop-reading",
            "S: 220 sink.ringload.invalid ESMTP\nS: <stop reading>\nC: x",
        ),
        (
            "step=ehlo reply=\"550 no\"",
            "S: 220 sink.ringload.invalid ESMTP\nC: EHLO a\nS: 550 no\n\
            C: MAIL FROM:<>\nS: 503 5.5.1 Out of sequence",
        ),
        (
            "step=mail reply=\"450 later\"",
            "EHLO\nC: MAIL FROM:<>\nC: RCPT TO:<a@b>\nS: 450 later\n\
            S: 503 5.5.1 Out of sequence",
        ),
        (
            "step=mail reply=\"250 fine\"",
            "EHLO\nC: MAIL FROM:<>\nS: 250 fine\nC: RCPT TO:<a@b>\n\
            S: 250 2.1.5 Ok",
        ),
        (
            "step=rcpt domain=*.b stall",
            "EHLO\nC: MAIL FROM:<>\nC: RCPT TO:<a@b>\nC: RCPT TO:<a@c.B>\n\
            C: DATA\nS: 250 2.1.0 Ok\nS: 250 2.1.5 Ok",
        ),
        (
            "step=data domain=b reset",
            "EHLO\nC: MAIL FROM:<>\nC: RCPT TO:<a@b>\nC: RCPT TO:<a@c>\n\
            C: DATA\nS: 250 2.1.0 Ok\nS: 250 2.1.5 Ok\nS: 250 2.1.5 Ok\nS: <reset>",
        ),
        (
            "step=data reply=\"451 x\"",
            "EHLO\nC: MAIL FROM:<>\nC: RCPT TO:<a@b>\nC: BDAT 2\nC:\n\
            C: BDAT 2 LAST\nC:\nS: 250 2.1.0 Ok\nS: 250 2.1.5 Ok\nS: 451 x\n\
            S: 503 5.5.1 Out of sequence",
        ),
        ("step=quit drop", "EHLO\nC: QUIT\nS: <close>"),
        ("step=quit delay=5ms", "EHLO\nC: QUIT\nS: [5] 221 2.0.0 Bye\nS: [5] <close>"),
    ] {
        let transcript = match transcript.strip_prefix("EHLO\n") {
            Some(rest) => ehlo(rest),
            None => transcript.to_owned(),
        };
        let got = check(|| policy(offer(), &[rule]), &transcript);
        assert_eq!(got.rules.obeyed(), [1], "{rule}");
    }
}

const MESSAGE: &str = "C: MAIL FROM:<>
    C: RCPT TO:<a@b>
    C: DATA
    S: 250 2.1.0 Ok
    S: 250 2.1.5 Ok
    S: 354 End data with <CR><LF>.<CR><LF>
    C: Message-ID: <1.r@ringload.invalid>
    C: .
    ";

#[test]
fn rules_at_the_dot_decide_what_is_counted() {
    for (rule, answer, want) in [
        ("p=0.5 domain=c drop", "S: 250 2.0.0 Ok: taken and discarded", (1, 1, 0)),
        ("forget", "S: 250 2.0.0 Ok: taken and discarded", (0, 0, 0)),
        ("twice", "S: 250 2.0.0 Ok: taken and discarded", (2, 1, 1)),
        ("reply=\"250 kept\"", "S: 250 kept", (1, 1, 0)),
        ("reply=\"452 full\"", "S: 452 full", (0, 0, 0)),
        ("reply=\"421 bye\"", "S: 421 bye\nS: <close>", (0, 0, 0)),
        ("drop", "S: <close>", (0, 0, 0)),
        ("reset", "S: <reset>", (0, 0, 0)),
        ("stall", "C: QUIT", (0, 0, 0)),
        ("stop-reading", "S: 250 2.0.0 Ok: taken and discarded\nS: <stop reading>", (1, 1, 0)),
        // Counted as the delayed answer goes out, by whoever sends it.
        (
            "delay=7ms twice",
            "S: [7] 250 2.0.0 Ok: taken and discarded\nS: [7] <count 2 times>",
            (0, 0, 0),
        ),
    ] {
        let got = check(|| policy(offer(), &[rule]), &ehlo(&format!("{MESSAGE}{answer}")));
        let tally = &got.tally;
        assert_eq!((tally.messages, tally.unique, tally.duplicates), want, "{rule}");
    }
}

#[test]
fn delays_hold_back_what_is_behind_them() {
    let rules = ["step=rcpt delay=10ms", "step=mail delay=5ms"];
    let transcript = ehlo(
        "@ 100
        C: MAIL FROM:<>
        C: RCPT TO:<a@b>
        C: RCPT TO:<c@d>
        C: RSET
        S: [105] 250 2.1.0 Ok
        S: [115] 250 2.1.5 Ok
        S: [125] 250 2.1.5 Ok
        S: [125] 250 2.0.0 Ok
        @ 120
        C: RSET
        S: [125] 250 2.0.0 Ok
        @ 125
        C: MAIL FROM:<>
        S: [130] 250 2.1.0 Ok
        @ 200
        C: NOOP
        S: 250 2.0.0 Ok",
    );
    check(|| policy(offer(), &rules), &transcript);
}

#[test]
fn tls_and_passwords_are_taken() {
    let offer = || Offer { starttls: true, auth: true, ..offer() };
    let secured = EHLO.replace("250-DSN", "250-AUTH PLAIN LOGIN|250-DSN");
    let clear = secured.replace("250-AUTH", "250-STARTTLS|250-AUTH");
    let transcript = format!(
        "S: 220 sink.ringload.invalid ESMTP
        C: STARTTLS
        S: 503 5.5.1 Out of sequence
        C: EHLO a
        {clear}C: MAIL FROM:<>
        S: 250 2.1.0 Ok
        C: RSET
        S: 250 2.0.0 Ok
        C: STARTTLS
        C: MAIL FROM:<injected@x>
        S: 220 2.0.0 Ready to start TLS
        S: <secure>
        <secured>
        C: MAIL FROM:<>
        S: 503 5.5.1 Out of sequence
        C: EHLO a
        {secured}C: STARTTLS
        S: 503 5.5.1 Out of sequence
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: *
        S: 501 5.7.0 Authentication cancelled
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YQ==
        S: 334 UGFzc3dvcmQ6
        C: Yg==
        S: 235 2.7.0 Authenticated
        C: AUTH PLAIN AGEAYg==
        S: 503 5.5.1 Out of sequence
        "
    );
    let got = check(|| policy(offer(), &[]), &transcript);
    assert!(troubles(&got).contains(&Trouble::ClearBehindStartTls));
}

#[test]
fn limits_are_kept() {
    let start = Instant::now();
    let few = Offer { messages_per_connection_max: Some(1), ..offer() };
    let more = "S: 250 2.0.0 Ok: taken and discarded\nC: MAIL FROM:<>\n\
        S: 421 4.7.0 Enough messages for this connection\nS: <close>";
    let got = check(|| policy(few.clone(), &[]), &ehlo(&format!("{MESSAGE}{more}")));
    assert_eq!(got.tally.limits, [0, 1, 0, 0]);

    let slow = || Policy { bucket: Some(Bucket::new(1.0, start)), ..policy(offer(), &[]) };
    let twice = "C: MAIL FROM:<>\nC: RSET\nC: MAIL FROM:<>\nS: 250 2.1.0 Ok\nS: 250 2.0.0 Ok\n\
        S: 451 4.7.1 Too many messages, try later";
    assert_eq!(check(slow, &ehlo(twice)).tally.limits, [0, 0, 1, 0]);

    let wait = Duration::from_secs(2);
    let grey = || Policy { greylist: Some(Arc::new(Greylist::new(wait))), ..policy(offer(), &[]) };
    let retry = "C: MAIL FROM:<>\nC: RCPT TO:<a@b>\nS: 250 2.1.0 Ok\n\
        S: 451 4.7.1 Greylisted, try later\n@ 1999\nC: RCPT TO:<a@b>\n\
        S: 451 4.7.1 Greylisted, try later\n@ 2000\nC: RCPT TO:<a@b>\nS: 250 2.1.5 Ok";
    assert_eq!(check(grey, &ehlo(retry)).tally.limits, [0, 0, 0, 2]);
}

#[test]
fn a_silent_client_is_told_once_and_a_stalled_one_never() {
    for (rule, want, want_troubles) in [
        ("p=0.5 drop", "S: 421 4.4.2 Idle for too long\nS: <close>\n", vec![Trouble::Idle]),
        ("step=connect stall", "", vec![]),
    ] {
        let mut policy = policy(offer(), &[rule]);
        let (now, mut outputs) = (Instant::now(), Vec::new());
        let mut session = Session::new(IpAddr::from([127, 0, 0, 1]), false);
        session.greet(&mut Turn { now, policy: &mut policy, out: &mut outputs }, true);
        outputs.clear();
        for _ in 0..2 {
            session.idle(&mut Turn { now, policy: &mut policy, out: &mut outputs });
        }
        assert_eq!(rendered(outputs, now, now), want, "{rule}");
        assert_eq!(troubles(&policy), want_troubles, "{rule}");
    }
}

#[test]
fn a_connection_too_many_is_turned_away() {
    let mut policy = policy(offer(), &[]);
    let (now, mut outputs) = (Instant::now(), Vec::new());
    let mut session = Session::new(IpAddr::from([127, 0, 0, 1]), false);
    session.greet(&mut Turn { now, policy: &mut policy, out: &mut outputs }, false);
    let want = "S: 421 4.7.0 Too many connections, try later\nS: <close>\n";
    assert_eq!(rendered(outputs, now, now), want);
    assert_eq!(policy.tally.limits, [1, 0, 0, 0]);
}
