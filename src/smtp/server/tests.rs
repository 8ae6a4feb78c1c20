//! What transcripts cannot say: rooms, rows, memory, and what random clients may not achieve.

use proptest::prelude::*;

use super::*;
use crate::{
    limits::{BODY_ROOM_FIRST, BODY_ROOM_MAX, BODY_ROW, COMMAND_ROOM, SPOOL_THRESHOLD},
    mail::{Address, message::QueueIds},
    smtp::server::policy::Options,
    time::{Duration, Now},
};

struct World {
    options: Options,
    ids: QueueIds,
    pressure: Pressure,
}

impl World {
    fn new() -> Self {
        let options = Options {
            hostname: "mx.example.org".to_owned(),
            message_size_max: 10_000_000,
            recipients_max: 100,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(600),
            connections_per_client_max: 100,
            errors_max: 20,
            received_headers_max: 50,
            relay_networks: vec!["127.0.0.0/8".parse().unwrap()],
            relay_domains: Vec::new(),
            local_domains: Default::default(),
            postmaster: Address::parse("admin@example.net".into()).ok(),
        };
        let pressure = Pressure { free: u64::MAX, memory_short: false, draining: false };
        Self { options, ids: QueueIds::new(0, QueueId::MIN), pressure }
    }

    fn step<T>(&mut self, act: impl FnOnce(&mut Context, &mut Steps) -> T) -> (T, Steps) {
        let mut steps = Steps::default();
        let now = Now::default();
        let Self { options, ids, pressure } = self;
        let result = act(&mut Context { options, now, ids, pressure: *pressure }, &mut steps);
        (result, steps)
    }

    fn session(&mut self) -> Session {
        let client = "127.0.0.1:9".parse().unwrap();
        self.step(|cx, steps| Session::new(client, Role::Relay, cx, steps)).0
    }

    fn receive(&mut self, session: Session, text: &[u8]) -> (Session, Steps) {
        let bytes = Bytes::copy_from_slice(text);
        self.step(|cx, steps| session.receive(bytes, cx, steps))
    }

    fn in_data(&mut self, size: usize) -> Session {
        let text = format!("EHLO c\r\nMAIL FROM:<> SIZE={size}\r\nRCPT TO:<a@b>\r\nDATA\r\n");
        let session = self.session();
        self.receive(session, text.as_bytes()).0
    }
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 64, "{}", size_of::<Session>());
    assert!(size_of::<Peer>() <= 160, "{}", size_of::<Peer>());
}

#[test]
fn room_follows_the_declared_size_and_the_reads() {
    let mut world = World::new();
    assert_eq!(world.session().room(), Some(COMMAND_ROOM));
    for (size, room) in [(0, BODY_ROOM_FIRST), (20_000, 20_000), (1_000_000, BODY_ROOM_MAX)] {
        assert_eq!(world.in_data(size).room(), Some(room));
    }
    let mut session = world.in_data(0);
    for want in [2, 4, 8, 8].map(|n| n * BODY_ROOM_FIRST) {
        let octets = vec![b'x'; session.room().unwrap()];
        session = world.receive(session, &octets).0;
        assert_eq!(session.room(), Some(want));
    }
    for _ in 0..10 {
        session = world.receive(session, b"x").0;
    }
    assert_eq!(session.room(), Some(BODY_ROOM_FIRST));
    let (session, _) = world.receive(session, b"\r\n.\r\nNOOP\r\n");
    assert_eq!(session.room(), None);
}

#[test]
fn long_bodies_leave_in_whole_rows() {
    let mut world = World::new();
    let mut session = world.in_data(0);
    let (mut sent, mut rows, mut spooled) = (Vec::new(), 0, Vec::new());
    for step in 0..400usize {
        let mut piece = vec![b'a' + (step % 26) as u8; 1 + step * 37 % 9000];
        piece.extend_from_slice(b"\r\n");
        sent.extend_from_slice(&piece);
        let (next, steps) = world.receive(session, &piece);
        session = next;
        for effect in steps.effects {
            let Effect::Spool { first_row, pieces, .. } = effect else { panic!("{effect:?}") };
            assert_eq!(first_row, rows);
            let octets = pieces.concat();
            assert_eq!(octets.len() % BODY_ROW, 0);
            assert!(octets.len() > SPOOL_THRESHOLD - BODY_ROW);
            rows += (octets.len() / BODY_ROW) as u32;
            spooled.extend(octets);
        }
    }
    let (session, steps) = world.receive(session, b".\r\n");
    let [Effect::Commit(submission)] = &steps.effects[..] else { panic!("{steps:?}") };
    assert_eq!(submission.spooled_rows, rows);
    assert!(rows > 0);
    let body = [spooled, submission.body.concat()].concat();
    assert_eq!(submission.size, body.len() as u64);
    assert!(body.ends_with(&sent));
    assert_eq!(session.closed(), None, "a message being committed is the store's");
}

#[test]
fn trickled_octets_do_not_hold_buffers() {
    let mut world = World::new();
    let mut session = world.in_data(0);
    for _ in 0..5000 {
        session = world.receive(session, b"x").0;
    }
    let Session::Data(_, incoming, _) = &session else { panic!("{session:?}") };
    assert_eq!(incoming.pieces_held(), 1);
}

#[test]
fn a_large_piece_is_not_copied() {
    let mut world = World::new();
    let session = world.in_data(0);
    let bytes = Bytes::from([&[b'x'; 4000][..], b"\r\n.\r\n"].concat());
    let place = bytes.as_ptr();
    let (_, steps) = world.step(|cx, steps| session.receive(bytes, cx, steps));
    let [Effect::Commit(submission)] = &steps.effects[..] else { panic!("{steps:?}") };
    assert_eq!(submission.body[1].as_ptr(), place);
}

#[test]
fn of_two_faults_the_same_one_is_told_however_the_body_is_cut() {
    let hops = "Received: a\r\n".repeat(51);
    let long = "0123456789abcde\r\n".repeat(8);
    for (body, size_max, refusal) in [
        (format!("{hops}a\nb\r\n"), 10_000, reply::BARE_NEWLINE_IN_BODY),
        (format!("a\nb\r\n{hops}"), 10_000, reply::BARE_NEWLINE_IN_BODY),
        (format!("a\nb\r\n{long}"), 100, reply::TOO_BIG),
        (format!("{long}a\nb\r\n"), 100, reply::TOO_BIG),
        (format!("{hops}{long}"), 700, reply::TOO_BIG),
    ] {
        for cut in [1, 7, 100, body.len() + 3] {
            let mut world = World::new();
            world.options.message_size_max = size_max;
            let (mut session, mut said) = (world.in_data(0), Vec::new());
            for piece in format!("{body}.\r\n").as_bytes().chunks(cut) {
                let (next, steps) = world.receive(session, piece);
                session = next;
                said.extend_from_slice(&steps.replies);
            }
            assert_eq!(said.trim_ascii_end(), refusal.text().as_bytes(), "{body} by {cut}");
        }
    }
}

#[test]
fn commands_without_mail_have_an_end() {
    let mut world = World::new();
    let session = world.session();
    let flood = b"RSET\r\n".repeat(IDLE_COMMANDS_MAX as usize + 10);
    let (session, steps) = world.receive(session, &flood);
    assert!(matches!(session, Session::Closed));
    assert!(steps.replies.ends_with(b"421 4.7.0 Too many commands without mail; closing\r\n"));
    assert_eq!(steps.effects.last(), Some(&Effect::Close));
}

#[test]
fn a_draining_server_greets_nobody() {
    let mut world = World::new();
    world.pressure.draining = true;
    let client = "127.0.0.1:9".parse().unwrap();
    let (session, steps) = world.step(|cx, steps| Session::new(client, Role::Relay, cx, steps));
    assert!(matches!(session, Session::Closed));
    assert_eq!(&steps.replies[..], b"421 4.3.2 Shutting down; try again later\r\n");
}

#[test]
fn a_rejection_names_both_sides() {
    let mut world = World::new();
    world.options.relay_networks.clear();
    let session = world.session();
    let text = b"HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    let (_, steps) = world.receive(session, text);
    let want = Effect::Rejected {
        helo: "c".into(),
        command: "RCPT",
        reply: "550 5.7.1 Relaying denied".into(),
        from: Some("a@b".into()),
        to: Some("c@d".into()),
    };
    assert_eq!(steps.effects[..], [want]);
}

/// What a client may say, well and badly.
const FRAGMENTS: [&[u8]; 30] = [
    b"EHLO c\r\n",
    b"HELO c\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"MAIL FROM:<> SIZE=5\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"RCPT TO:<\"",
    b"DATA\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"BDAT 3\r\n",
    b"BDAT 4 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT \r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"Received: x\r\n",
    b"Message-ID: ",
    b"<x>",
    b"abcd",
    b" ",
    b"@",
    b"<@x:",
    b"\0",
    b"\xff",
    b"250 2.0.0 x queued\r\n",
];

#[derive(Clone, Debug)]
enum Act {
    Say(usize),
    Octets(Vec<u8>),
    Stored(Result<(), CommitError>),
    SpoolFailed,
    TimedOut,
    Drain,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        40 => (0..FRAGMENTS.len()).prop_map(Act::Say),
        4 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Act::Octets),
        4 => Just(Act::Stored(Ok(()))),
        1 => Just(Act::Stored(Err(CommitError::Full))),
        1 => Just(Act::SpoolFailed),
        1 => prop_oneof![Just(Act::TimedOut), Just(Act::Drain)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// No panic, nothing behind Close, and one "queued" for each commit that succeeded: no more,
    /// and none while the store has not spoken.
    #[test]
    fn only_the_store_says_queued(acts in prop::collection::vec(act(), 0..60)) {
        let mut world = World::new();
        let mut session = world.session();
        let (mut committed, mut queued, mut closed) = (0, 0, false);
        let opening = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
        session = world.receive(session, opening).0;
        for act in acts {
            if matches!((&act, &session), (Act::Stored(Ok(())), Session::Committing(..))) {
                committed += 1;
            }
            let (next, steps) = world.step(|cx, steps| match act {
                Act::Say(n) => session.receive(Bytes::from_static(FRAGMENTS[n]), cx, steps),
                Act::Octets(octets) => session.receive(octets.into(), cx, steps),
                Act::Stored(result) => session.stored(result, cx, steps),
                Act::SpoolFailed => session.spool_failed(cx, steps),
                Act::TimedOut => session.timed_out(cx, steps),
                Act::Drain => session.drain(cx, steps),
            });
            session = next;
            prop_assert!(!closed || (steps.replies.is_empty() && steps.effects.is_empty()));
            closed |= steps.effects.contains(&Effect::Close);
            prop_assert_eq!(closed, matches!(session, Session::Closed));
            let replies = String::from_utf8(steps.replies.to_vec()).unwrap();
            queued += replies.lines().filter(|line| line.ends_with(" queued")).count();
            prop_assert_eq!(queued, committed);
            for line in replies.split_terminator("\r\n") {
                prop_assert!(line.len() > 4 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit));
            }
        }
    }
}
