//! Sessions as transcripts: what the server says and what the session answers, whole and cut at
//! every octet.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    schedule::{Arrivals, End, Job, Schedule, Share},
    session::Session,
    work::{Action, Manner, Parting, Pipelining, Security, Verdict, Work},
};
use crate::mail::{Brief, Composer, recipients::Recipients, size::Sizes, wire::Carriage};

/// What a session is and what it has to send.
#[derive(Clone, Copy)]
struct Case {
    pipelining: Pipelining,
    bdat: bool,
    security: Security,
    login: bool,
    messages: u64,
    messages_per_session: u64,
    recipients: u32,
}

const CASE: Case = Case {
    pipelining: Pipelining::On,
    bdat: false,
    security: Security::None,
    login: false,
    messages: 1,
    messages_per_session: u64::MAX,
    recipients: 1,
};

fn work(case: Case) -> Work {
    let brief = Brief {
        sizes: Sizes::List(vec![(1024, 1.0)]),
        carriage: if case.bdat { Carriage::Chunk } else { Carriage::Data },
        run: "t".into(),
        seed: 1,
        sender: "s@src.example".into(),
        recipients: Recipients::domain(case.recipients, "dst.example".into()),
        date: Timestamp::UNIX_EPOCH,
    };
    let manner = Manner {
        pipelining: case.pipelining,
        bdat: case.bdat,
        security: case.security,
        plain: case.login.then(|| "AHUAcA==".into()),
        messages_per_session: case.messages_per_session,
        name: "c".into(),
    };
    let share = Share { core: 0, cores: 1 };
    let end = End::Count(case.messages);
    let schedule = Schedule::new(Arrivals::Closed, end, share, 1, Instant::now());
    Work::new(Arc::new(manner), Arc::new(Composer::new(brief).unwrap()), schedule)
}

/// Plays the server's lines in pieces of `cut` octets and writes down what the session does:
/// commands as they are, a message as `MESSAGE n`, other actions in brackets.
fn played(case: Case, script: &[&str], cut: usize) -> Vec<String> {
    let mut work = work(case);
    let mut session = Session::default();
    let now = Instant::now();
    let mut log = Vec::new();
    for &part in script {
        match part {
            "<secured>" => session.secured(&mut work),
            "<lost>" => session.lost(&mut work),
            octets => {
                for piece in octets.as_bytes().chunks(cut) {
                    session.received(piece, now, &mut work);
                }
            }
        }
        log.push(shown(&mut work.actions));
    }
    log
}

fn shown(actions: &mut Vec<Action>) -> String {
    let mut sent = Vec::new();
    let mut rest = Vec::new();
    for action in actions.drain(..) {
        match action {
            Action::Send(octets) => sent.extend_from_slice(&octets),
            Action::Secure => rest.push("[secure]".into()),
            Action::Greeted => rest.push("[greeted]".into()),
            Action::Idle => rest.push("[idle]".into()),
            Action::Settled { job, verdict, .. } => {
                let verdict = match verdict {
                    Verdict::Acknowledged { recipients, octets } => {
                        format!("taken for {recipients}, {octets}")
                    }
                    Verdict::Refused(code) => format!("refused {code}"),
                    Verdict::Unknown => "unknown".into(),
                };
                rest.push(format!("[{} {verdict}]", job.sequence));
            }
            Action::Trouble(text) => rest.push(format!("[trouble {text}]")),
            Action::Close(Parting::Agreed) => rest.push("[close]".into()),
            Action::Close(Parting::Soured) => rest.push("[soured]".into()),
            Action::GiveUp(error) => rest.push(format!("[give up: {error}]")),
        }
    }
    let text = String::from_utf8(sent).unwrap();
    [rest.concat(), summary(&text)].concat()
}

/// Commands with `|` for a line's end, and each message as its number.
fn summary(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once("\r\n").unwrap();
        rest = after;
        let Some(id) = line.strip_prefix("Message-ID: <") else {
            out += line;
            out.push('|');
            continue;
        };
        let number = id.split('.').next().unwrap();
        out += &format!("MESSAGE {number}|");
        // Its exact size: no template of 1,024 octets has a dot to stuff at this seed.
        rest = &rest[1024 - line.len() - 2..];
    }
    out
}

/// Plays a script whole, then cut into pieces of every size: the answers are the same.
#[track_caller]
fn check(case: Case, script: &[(&str, &str)]) {
    let said: Vec<&str> = script.iter().map(|(said, _)| *said).collect();
    let expected: Vec<&str> = script.iter().map(|(_, answer)| *answer).collect();
    let longest = said.iter().map(|part| part.len()).max().unwrap();
    for cut in (1..=longest).rev() {
        assert_eq!(played(case, &said, cut), expected, "in pieces of {cut} octets");
    }
}

const HELLO: &str = "250-s\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250 SIZE 99999\r\n";
const MAIL: &str = "MAIL FROM:<s@src.example>|";
const RCPT: &str = "RCPT TO:<r0@dst.example>|";
const RCPT1: &str = "RCPT TO:<r1@dst.example>|";

#[test]
fn without_pipelining_each_command_waits() {
    check(
        Case { pipelining: Pipelining::Off, recipients: 2, ..CASE },
        &[
            ("220-hello\r\n220 there\r\n", "[greeted]EHLO c|"),
            ("250 s\r\n", MAIL),
            ("250 ok\r\n", RCPT),
            ("250 ok\r\n", RCPT1),
            ("250 ok\r\n", "DATA|"),
            ("354 go\r\n", "MESSAGE 0|.|"),
            ("250 taken\r\n", "[0 taken for 2, 1024][idle]"),
        ],
    );
}

#[test]
fn pipelining_sends_the_envelope_at_once() {
    check(
        Case { messages: 2, ..CASE },
        &[
            ("220 hello\r\n", "[greeted]EHLO c|"),
            (HELLO, &[MAIL, RCPT, "DATA|"].concat()),
            ("250 ok\r\n250 ok\r\n354 go\r\n", "MESSAGE 0|.|"),
            ("250 taken\r\n", &["[0 taken for 1, 1024]", MAIL, RCPT, "DATA|"].concat()),
            ("250 ok\r\n250 ok\r\n354 go\r\n", "MESSAGE 1|.|"),
            ("250 taken\r\n", "[1 taken for 1, 1024][idle]"),
        ],
    );
}

#[test]
fn a_chain_sends_the_next_envelope_with_the_end() {
    check(
        Case { pipelining: Pipelining::Chain, messages: 2, ..CASE },
        &[
            ("220 hello\r\n", "[greeted]EHLO c|"),
            (HELLO, &[MAIL, RCPT, "DATA|"].concat()),
            ("250 ok\r\n250 ok\r\n354 go\r\n", &["MESSAGE 0|.|", MAIL, RCPT, "DATA|"].concat()),
            ("250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n", "[0 taken for 1, 1024]MESSAGE 1|.|"),
            ("250 taken\r\n", "[1 taken for 1, 1024][idle]"),
        ],
    );
}

#[test]
fn a_chain_ends_with_the_session() {
    let begin = [MAIL, RCPT, "DATA|"].concat();
    let chain = ["MESSAGE 0|.|", &begin].concat();
    check(
        Case { pipelining: Pipelining::Chain, messages: 9, messages_per_session: 2, ..CASE },
        &[
            ("220 hello\r\n", "[greeted]EHLO c|"),
            (HELLO, &begin),
            ("250 ok\r\n250 ok\r\n354 go\r\n", &chain),
            ("250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n", "[0 taken for 1, 1024]MESSAGE 1|.|"),
            ("250 taken\r\n", "[1 taken for 1, 1024]QUIT|"),
            ("221 bye\r\n", "[close]"),
        ],
    );
}

#[test]
fn bdat_sends_the_whole_transaction_at_once() {
    check(
        Case { bdat: true, ..CASE },
        &[
            ("220 hello\r\n", "[greeted]EHLO c|"),
            (HELLO, &[MAIL, RCPT, "BDAT 1024 LAST|MESSAGE 0|"].concat()),
            ("250 ok\r\n250 ok\r\n250 taken\r\n", "[0 taken for 1, 1024][idle]"),
        ],
    );
    check(
        Case { bdat: true, pipelining: Pipelining::Off, ..CASE },
        &[
            ("220 hello\r\n", "[greeted]EHLO c|"),
            (HELLO, MAIL),
            ("250 ok\r\n", RCPT),
            ("250 ok\r\n", "BDAT 1024 LAST|MESSAGE 0|"),
            ("250 taken\r\n", "[0 taken for 1, 1024][idle]"),
        ],
    );
}

#[test]
fn starttls_and_login_come_before_mail() {
    check(
        Case { security: Security::Starttls, login: true, ..CASE },
        &[
            ("220 hello\r\n", "[greeted]EHLO c|"),
            ("250-s\r\n250 STARTTLS\r\n", "STARTTLS|"),
            ("220 go\r\n", "[secure]"),
            ("<secured>", "EHLO c|"),
            ("250-s\r\n250-PIPELINING\r\n250 AUTH LOGIN PLAIN\r\n", "AUTH PLAIN AHUAcA==|"),
            ("235 ok\r\n", &[MAIL, RCPT, "DATA|"].concat()),
        ],
    );
}

#[test]
fn with_implicit_tls_the_greeting_comes_after_the_handshake() {
    check(
        Case { security: Security::Implicit, ..CASE },
        &[("<secured>", ""), ("220 hello\r\n", "[greeted]EHLO c|")],
    );
}

/// What follows EHLO's answer in the default case, up to the reply to the group.
#[track_caller]
fn check_group(case: Case, said: &str, then: &[(&str, &str)]) {
    let group = match (case.bdat, case.recipients) {
        (true, 1) => [MAIL, RCPT, "BDAT 1024 LAST|MESSAGE 0|"].concat(),
        (false, 2) => [MAIL, RCPT, RCPT1, "DATA|"].concat(),
        _ => [MAIL, RCPT, "DATA|"].concat(),
    };
    let mut script = vec![("220 hello\r\n", "[greeted]EHLO c|"), (HELLO, &group)];
    let (answer, rest) = then.split_first().unwrap();
    assert_eq!(answer.0, "");
    script.push((said, answer.1));
    script.extend(rest);
    check(case, &script);
}

#[test]
fn refusals_are_counted_where_they_happen_and_the_session_goes_on() {
    let again = [MAIL, RCPT, "DATA|"].concat();
    let two = Case { messages: 2, ..CASE };
    let mail = ["[trouble MAIL: 451 4.3.0 no][0 refused 451]", &again].concat();
    check_group(two, "451 4.3.0 no\r\n503 bad\r\n503 bad\r\n", &[("", &mail)]);
    check_group(
        two,
        "250 ok\r\n550 5.1.1 who\r\n554 none\r\n",
        &[("", "[trouble RCPT: 550 5.1.1 who][0 refused 550]RSET|"), ("250 ok\r\n", &again)],
    );
    check_group(
        two,
        "250 ok\r\n250 ok\r\n452 full\r\n",
        &[("", "[trouble DATA: 452 full][0 refused 452]RSET|"), ("250 ok\r\n", &again)],
    );
    let end = ["[trouble end of message: 554 spam][0 refused 554]", &again].concat();
    check_group(
        two,
        "250 ok\r\n250 ok\r\n354 go\r\n",
        &[("", "MESSAGE 0|.|"), ("554 spam\r\n", &end)],
    );
}

#[test]
fn a_recipient_less_is_no_message_less() {
    let two = Case { recipients: 2, ..CASE };
    check_group(
        two,
        "250 ok\r\n550 who\r\n250 ok\r\n354 go\r\n",
        &[
            ("", "[trouble RCPT: 550 who]MESSAGE 0|.|"),
            ("250 taken\r\n", "[0 taken for 1, 1024][idle]"),
        ],
    );
}

#[test]
fn data_taken_without_a_recipient_gets_an_empty_message() {
    check_group(
        CASE,
        "250 ok\r\n450 later\r\n354 go\r\n",
        &[("", "[trouble RCPT: 450 later].|"), ("554 none\r\n", "[0 refused 450][idle]")],
    );
}

#[test]
fn a_refused_bdat_is_reset() {
    check_group(
        Case { bdat: true, ..CASE },
        "250 ok\r\n550 who\r\n554 none\r\n",
        &[("", "[trouble RCPT: 550 who][0 refused 550]RSET|"), ("250 ok\r\n", "[idle]")],
    );
    check_group(
        Case { bdat: true, ..CASE },
        "250 ok\r\n250 ok\r\n452 full\r\n",
        &[("", "[trouble end of message: 452 full][0 refused 452]RSET|"), ("250 ok\r\n", "[idle]")],
    );
}

#[test]
fn a_connection_lost_after_the_end_of_a_message_leaves_it_unknown() {
    check_group(
        CASE,
        "250 ok\r\n250 ok\r\n354 go\r\n",
        &[("", "MESSAGE 0|.|"), ("<lost>", "[0 unknown]")],
    );
    check_group(Case { bdat: true, ..CASE }, "250 ok\r\n", &[("", ""), ("<lost>", "[0 unknown]")]);
    check_group(
        CASE,
        "250 ok\r\n250 ok\r\n354 go\r\n",
        &[
            ("", "MESSAGE 0|.|"),
            ("421 bye\r\n", "[trouble end of message: 421 bye][0 refused 421][soured]"),
        ],
    );
}

#[test]
fn what_the_server_did_not_get_whole_comes_again() {
    let chain = Case { pipelining: Pipelining::Chain, messages: 2, ..CASE };
    let mut work = work(chain);
    let mut session = Session::default();
    let now = Instant::now();
    for said in ["220 hello\r\n", HELLO, "250 ok\r\n250 ok\r\n354 go\r\n"] {
        session.received(said.as_bytes(), now, &mut work);
    }
    session.lost(&mut work);
    assert_eq!(shown(&mut work.actions).matches("[0 unknown]").count(), 1);
    assert_eq!(work.schedule.take(now), Some(Job { sequence: 1, due: None }));
    assert!(!work.schedule.is_done(now));
}

#[test]
fn what_was_asked_for_and_is_not_offered_ends_the_run() {
    let cases = [
        (CASE, "250 s\r\n", "does not offer PIPELINING"),
        (Case { bdat: true, ..CASE }, "250-s\r\n250 PIPELINING\r\n", "does not offer CHUNKING"),
        (Case { security: Security::Starttls, ..CASE }, "250 s\r\n", "does not offer STARTTLS"),
        (Case { login: true, ..CASE }, "250-s\r\n250 AUTH LOGIN\r\n", "does not offer AUTH PLAIN"),
        (CASE, "250-s\r\n250-PIPELINING\r\n250 SIZE 1000\r\n", "takes 1000 octets"),
    ];
    for (case, hello, expected) in cases {
        let log = played(case, &["220 hello\r\n", hello], 1000);
        let last = log.last().unwrap();
        assert!(last.starts_with("[give up: ") && last.contains(expected), "{last}");
    }
    let login = Case { login: true, ..CASE };
    let said = ["220 s\r\n", "250-s\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n", "535 5.7.8 no\r\n"];
    let last = played(login, &said, 1000).pop().unwrap();
    assert!(last.contains("refuses the login: 535 5.7.8 no"), "{last}");
}

#[test]
fn a_server_that_will_not_or_is_none_is_left() {
    let cases: &[(&[&str], &str)] = &[
        (&["554 go away\r\n"], "[trouble greeting: 554 go away][soured]"),
        (&["421 busy\r\n"], "[trouble greeting: 421 busy][soured]"),
        (&["220 s\r\n", "502 what\r\n"], "[trouble EHLO: 502 what][soured]"),
        (
            &["220 s\r\n", HELLO, "250 ok\r\n421 bye\r\n"],
            "[trouble envelope: 421 bye][0 refused 421][soured]",
        ),
        (
            &["+OK pop\r\n"],
            concat!(
                "[trouble not an SMTP reply: \"+OK pop\"; ",
                "see whether the target speaks SMTP, or wants TLS][soured]"
            ),
        ),
    ];
    for (script, expected) in cases {
        assert_eq!(played(CASE, script, 1000).last().unwrap(), expected);
    }
    // A reply in clear after the answer to STARTTLS is not from the server that TLS vouches for.
    let secure = Case { security: Security::Starttls, ..CASE };
    let script = ["220 s\r\n", "250-s\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"];
    let last = played(secure, &script, 1000).pop().unwrap();
    assert!(last.ends_with("[soured]"), "{last}");
}

#[test]
fn open_loop_latency_counts_from_the_due_time() {
    let mut work = work(CASE);
    let begun = Instant::now();
    let share = Share { core: 0, cores: 1 };
    work.schedule = Schedule::new(Arrivals::Even(1.0), End::Count(1), share, 1, begun);
    let mut session = Session::default();
    let late = begun + Duration::from_secs(5);
    for said in ["220 s\r\n", HELLO, "250 ok\r\n250 ok\r\n354 go\r\n", "250 taken\r\n"] {
        session.received(said.as_bytes(), late, &mut work);
    }
    let since = work.actions.iter().find_map(|action| match action {
        Action::Settled { since, .. } => Some(*since),
        _ => None,
    });
    assert_eq!(since, Some(begun));
}
