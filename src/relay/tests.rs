//! The relay as a whole, driven by inputs: what one part promises another.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{
    ConnectionId, Input, Options, Outbox, Output, Relay, Setup, Space, Ticket, Trouble,
    deflate::Deflate,
};
use crate::{
    config::{Config, Machine},
    limits::{CONTENT_CHUNK, FRESH_LEASE, IMAP_IDLE_TIMEOUT, INFLATED_AT_ONCE, SPOOL_THRESHOLD},
    mail::{
        Address, Class, Due, Envelope, Message, Parcel, QueueId, Recipient, Wire,
        mailbox::{
            Account, AccountId, Act, Changes, Done, Entry, Flags, Folder, Found, Keywords,
            MailboxId, MailboxName, ModSeq, Opened, Standing, Uid, Uids, Verdict,
        },
    },
    queue::shaping::Shape,
    random::Random,
    store::{Change, Load, Loaded, StoreError},
    time::{Duration, Instant, Now, Wall},
};

const CLIENT: ConnectionId = ConnectionId { slot: 0, generation: 0 };

struct Bench {
    relay: Relay,
    now: Now,
    said: String,
    stores: Vec<(Ticket, Change)>,
    queries: Vec<Ticket>,
    asks: Vec<Ticket>,
    secrets: Vec<Ticket>,
    notes: usize,
    pages: usize,
    connects: Vec<Ticket>,
    connections: u32,
}

fn options(more: &str) -> Options {
    let text =
        format!("hostname = \"mx.example.org\"\n[smtp]\nmessage_size_max = \"10MiB\"\n{more}\n");
    let machine = Machine { hostname: String::new(), resolv_conf: String::new() };
    Options::of(&Config::parse(&text, "test", &machine).unwrap_or_else(|e| panic!("{e}")))
}

impl Bench {
    fn new(more: &str, outbound_max: usize) -> Self {
        let relay = Relay::new(Setup {
            options: options(more).into(),
            core: 0,
            cores: 1,
            random: Random::from_seed([5; 32]),
            highest_id: QueueId::MIN,
            inbound_max: 100,
            outbound_max,
        });
        let now =
            Now { instant: Instant::from_micros(0), wall: Wall::from_millis(1_800_000_000_000) };
        let mut bench = Bench {
            relay,
            now,
            said: String::new(),
            stores: Vec::new(),
            queries: Vec::new(),
            asks: Vec::new(),
            secrets: Vec::new(),
            notes: 0,
            pages: 0,
            connects: Vec::new(),
            connections: 1,
        };
        bench.give(Input::Wake);
        bench.give(Input::Space(Space { free: 1 << 40 }));
        let remote: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        bench.give(Input::Accepted { connection: CLIENT, listener: 0, remote, of_client: 1 });
        bench
    }

    fn give(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.relay.handle(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Send { connection: CLIENT, pieces, .. } => {
                    let text: Vec<u8> = pieces.concat();
                    self.said.push_str(&String::from_utf8_lossy(&text));
                }
                Output::Store { ticket, change } => self.stores.push((ticket, change)),
                Output::Connect { ticket, .. } => self.connects.push(ticket),
                Output::Query { ticket, .. } => self.queries.push(ticket),
                Output::Note(_) => self.notes += 1,
                Output::Load { load: Load::Page { .. }, .. } => self.pages += 1,
                Output::Load { load: Load::Mailbox(_), ticket } => self.asks.push(ticket),
                Output::Authenticate { ticket, .. } => self.secrets.push(ticket),
                _ => {}
            }
        }
    }

    fn client(&mut self, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.give(Input::Received { connection: CLIENT, bytes });
    }

    fn mail(&mut self, to: &str, octets: usize) {
        self.client(&format!("MAIL FROM:<a@b.example>\r\nRCPT TO:<{to}>\r\nDATA\r\n"));
        let line = format!("{}\r\n", "x".repeat(998));
        self.client(&format!("{}.\r\n", line.repeat(octets / line.len())));
    }

    /// Answers every change so far, in order.
    fn stored(&mut self, result: impl Fn(&Change) -> Result<(), StoreError>) {
        for (ticket, change) in std::mem::take(&mut self.stores) {
            let result = result(&change).map(|()| Done::Done);
            self.give(Input::Stored { ticket, result, change });
        }
    }

    /// A next hop lets us in, and says this.
    fn answer(&mut self, ticket: Ticket, text: &'static str) -> ConnectionId {
        let connection = ConnectionId { slot: self.connections, generation: 0 };
        self.connections += 1;
        self.give(Input::Connected { ticket, result: Ok(connection) });
        self.give(Input::Received { connection, bytes: Bytes::from_static(text.as_bytes()) });
        connection
    }

    fn hear(&mut self, connection: ConnectionId, text: &'static str) {
        self.give(Input::Received { connection, bytes: Bytes::from_static(text.as_bytes()) });
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant = self.now.instant + time;
        self.now.wall = self.now.wall + time;
        self.give(Input::Wake);
    }

    /// A parcel of a moment ago.
    fn parcel(&self, to: &'static str) -> Parcel {
        let message = Message {
            id: QueueId::from_u64(77),
            arrived: self.now.wall,
            envelope: Envelope::default(),
            wire: Wire::Stuffed,
            size: 10,
            parcels: 1,
        };
        let address = Address::parse(Bytes::from_static(to.as_bytes())).unwrap();
        let destination = self.relay.home(&crate::dns::NextHop::Route(0));
        Parcel {
            message: message.into(),
            part: 0,
            due: Due { destination, class: Class::Fresh, at: self.now.wall },
            attempts: 0,
            warned: false,
            recipients: vec![Recipient::plain(address)],
            last_reply: Bytes::new(),
            body: None,
        }
    }

    fn settles(&self) -> usize {
        self.stores.iter().filter(|(_, change)| matches!(change, Change::Settle(_))).count()
    }
}

const ROUTE: &str = "[[route]]\ndomain = \"*\"\nhosts = [\"127.0.0.1:2526\"]";

#[test]
fn a_commit_waits_for_its_parts_and_fails_with_them() {
    for (part, reply) in [(Ok(()), "250 2.0.0"), (Err(StoreError::Full), "452 4.3.1")] {
        let mut bench = Bench::new(ROUTE, 100);
        bench.client("EHLO c\r\n");
        bench.mail("c@d.example", SPOOL_THRESHOLD + 100_000);
        assert_eq!(bench.stores.len(), 1, "a part, and no commit behind it yet");
        assert!(matches!(bench.stores[0].1, Change::Spool { .. }));
        bench.stored(|_| part);
        match part {
            Ok(()) => assert!(matches!(bench.stores[0].1, Change::Accept(_))),
            Err(_) => assert!(matches!(bench.stores[0].1, Change::Abandon { .. })),
        }
        bench.stored(|_| Ok(()));
        let last = bench.said.lines().last().unwrap();
        assert!(last.starts_with(reply), "{last}");
    }
}

#[test]
fn a_commit_without_room_frees_the_parts_that_went_ahead() {
    for octets in [SPOOL_THRESHOLD + 100_000, 3000] {
        let mut bench = Bench::new(ROUTE, 100);
        bench.client("EHLO c\r\n");
        bench.mail("c@d.example", octets);
        if octets > SPOOL_THRESHOLD {
            bench.stored(|_| Ok(()));
        }
        bench.stored(|_| Err(StoreError::Full));
        let last = bench.said.lines().last().unwrap();
        assert!(last.starts_with("452 4.3.1"), "{last}");
        let abandoned = matches!(bench.stores.as_slice(), [(_, Change::Abandon { .. })]);
        assert_eq!(abandoned, octets > SPOOL_THRESHOLD, "{:?}", bench.stores);
    }
}

#[test]
fn a_hand_over_that_comes_after_its_lease_asks_the_disk() {
    for (late, dialed, asked) in [(Duration::from_secs(1), 1, 0), (FRESH_LEASE, 0, 1)] {
        let mut bench = Bench::new(ROUTE, 100);
        let parcel = bench.parcel("c@d.example");
        bench.now.wall = bench.now.wall + late;
        bench.pages = 0;
        bench.give(Input::Assigned { parcel: Box::new(parcel) });
        assert_eq!((bench.connects.len(), bench.pages), (dialed, asked), "{late:?}");
    }
}

#[test]
fn a_next_hop_that_turns_everybody_away_is_left_alone() {
    let mut bench = Bench::new(ROUTE, 100);
    bench.client("EHLO c\r\n");
    for _ in 0..5 {
        bench.mail("c@d.example", 3000);
        bench.stored(|_| Ok(()));
    }
    let mut dialed = 0;
    while !bench.connects.is_empty() {
        // One is turned away while the others are still under way.
        let ticket = bench.connects.remove(0);
        bench.answer(ticket, "421 4.3.2 not now\r\n");
        dialed += 1;
        assert!(dialed <= 5, "dialed again and again");
    }
    assert_eq!(bench.settles(), 5, "all are put off");
}

#[test]
fn a_host_that_never_takes_the_mail_does_not_outweigh_one_that_may() {
    let route = "[[route]]\ndomain = \"*\"\nhosts = [\"127.0.0.1:1\", \"127.0.0.1:2\"]";
    let mut bench = Bench::new(route, 100);
    bench.client("EHLO c\r\n");
    bench.mail("c@d.example", 3000);
    bench.stored(|_| Ok(()));
    let first = bench.connects.remove(0);
    bench.give(Input::Connected { ticket: first, result: Err(Trouble::Refused) });
    let second = bench.connects.remove(0);
    bench.answer(second, "554 5.7.1 no mail here\r\n");
    let Some((_, Change::Settle(settle))) = bench.stores.pop() else { panic!("not settled") };
    assert!(settle.left.is_some(), "it waits for the first host");
    assert!(settle.report.is_none());
}

#[test]
fn destinations_beyond_the_most_connections_get_their_turn() {
    let routes: Vec<String> = (1..=9)
        .map(|n| format!("[[route]]\ndomain = \"d{n}.example\"\nhosts = [\"127.0.0.{n}:25\"]"))
        .collect();
    let mut bench = Bench::new(&routes.join("\n"), 2);
    bench.client("EHLO c\r\n");
    for n in 1..=9 {
        bench.mail(&format!("c@d{n}.example"), 3000);
        bench.stored(|_| Ok(()));
    }
    let mut refused = 0;
    while let Some(ticket) = bench.connects.pop() {
        assert!(bench.connects.len() < 2);
        refused += 1;
        bench.give(Input::Connected { ticket, result: Err(Trouble::Refused) });
    }
    assert_eq!(refused, 9);
    assert_eq!(bench.settles(), 9);
}

#[test]
fn a_place_that_one_does_not_want_goes_to_the_next_in_line() {
    let routes: Vec<String> = (1..=2)
        .map(|n| format!("[[route]]\ndomain = \"d{n}.example\"\nhosts = [\"127.0.0.{n}:25\"]"))
        .collect();
    let mut bench = Bench::new(&routes.join("\n"), 1);
    bench.client("EHLO c\r\n");
    // The first dials; a second parcel for it waits in line, and the other destination behind it.
    for n in [1, 1, 2] {
        bench.mail(&format!("c@d{n}.example"), 3000);
        bench.stored(|_| Ok(()));
    }
    let ticket = bench.connects.remove(0);
    let connection = bench.answer(ticket, "220 hi\r\n");
    bench.hear(connection, "250-hi\r\n250 PIPELINING\r\n");
    for _ in 0..2 {
        bench.hear(connection, "250 ok\r\n250 ok\r\n354 go\r\n");
        bench.hear(connection, "250 2.0.0 done\r\n");
    }
    bench.stored(|_| Ok(()));
    bench.give(Input::Closed { connection, trouble: Trouble::Ended });
    assert_eq!(bench.connects.len(), 1, "the other has its turn");
}

#[test]
fn a_body_that_will_be_refused_may_take_its_time() {
    let mut bench = Bench::new(ROUTE, 100);
    bench.client("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    let line = format!("{}\r\n", "x".repeat(998));
    for _ in 0..12 {
        bench.client(&line.repeat(1024));
        bench.stored(|_| Ok(()));
    }
    for _ in 0..20 {
        bench.pass(Duration::from_secs(30));
        bench.client(&line.repeat(100));
    }
    bench.client(".\r\n");
    let last = bench.said.lines().last().unwrap();
    assert!(last.starts_with("552"), "{last}");
}

#[test]
fn parts_of_a_message_given_up_do_not_touch_the_next() {
    let mut bench = Bench::new(ROUTE, 100);
    bench.client("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    let line = format!("{}\r\n", "x".repeat(998));
    bench.client(&line.repeat(540));
    bench.client(&line.repeat(100));
    bench.client(&format!("{}.\r\n", line.repeat(460)));
    let mut parts = std::mem::take(&mut bench.stores).into_iter();
    assert!(parts.len() >= 2);
    let (ticket, change) = parts.next().unwrap();
    bench.give(Input::Stored { ticket, result: Err(StoreError::Full), change });
    bench.mail("c@d.example", 3000);
    for (ticket, change) in parts {
        bench.give(Input::Stored { ticket, result: Ok(Done::Done), change });
    }
    bench.stored(|_| Ok(()));
    let last = bench.said.lines().last().unwrap();
    assert!(last.starts_with("250 2.0.0"), "{last}");
}

#[test]
fn a_drain_waits_for_a_report_to_be_composed() {
    let mut bench = Bench::new(ROUTE, 100);
    bench.client("EHLO c\r\n");
    bench.mail("c@d.example", SPOOL_THRESHOLD + 50_000);
    bench.stored(|_| Ok(()));
    bench.stored(|_| Ok(()));
    let ticket = bench.connects.remove(0);
    let connection = bench.answer(ticket, "220 hi\r\n");
    bench.hear(connection, "250-hi\r\n250 PIPELINING\r\n");
    bench.client("QUIT\r\n");
    bench.give(Input::Drain);
    bench.hear(connection, "250 ok\r\n550 5.1.1 no\r\n554 none\r\n");
    bench.hear(connection, "250 ok\r\n221 bye\r\n");
    assert_eq!(bench.relay.connections.outbound_count(), 0);
    assert!(!bench.relay.drained, "the 550 is not recorded yet");
}

#[test]
fn a_slow_commit_is_not_the_clients_delay() {
    let mut bench = Bench::new(ROUTE, 100);
    bench.client("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    bench.client("hello\r\n");
    bench.client(".\r\n");
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.notes, 0);
}

#[test]
fn a_look_up_without_descriptors_is_made_again() {
    let mut bench = Bench::new("[dns]\nservers = [\"127.0.0.1:53\"]", 100);
    bench.client("EHLO c\r\n");
    bench.mail("c@d.example", 3000);
    bench.stored(|_| Ok(()));
    for _ in 0..3 {
        let ticket = bench.queries.pop().expect("it asks");
        bench.give(Input::Answer { ticket, result: Err(Trouble::Descriptors) });
        assert_eq!((bench.settles(), bench.queries.len()), (0, 0), "and rests");
        bench.pass(Duration::from_secs(2));
    }
}

#[test]
fn a_shortage_of_descriptors_is_not_the_hosts_fault() {
    let mut bench = Bench::new(ROUTE, 100);
    bench.client("EHLO c\r\n");
    bench.mail("c@d.example", 3000);
    bench.stored(|_| Ok(()));
    let ticket = bench.connects.remove(0);
    bench.give(Input::Connected { ticket, result: Err(Trouble::Descriptors) });
    assert_eq!((bench.settles(), bench.connects.len()), (0, 0));
    let wake = bench.relay.next_wake().unwrap();
    bench.now.instant = wake;
    bench.give(Input::Wake);
    assert_eq!(bench.connects.len(), 1, "it dials again");
}

#[test]
fn a_client_that_drips_a_command_gains_no_time() {
    let mut bench = Bench::new(ROUTE, 100);
    let deadline = Duration::from_secs(300);
    bench.client("EHLO c\r\n");
    for _ in 0..4 {
        bench.now.instant = bench.now.instant + deadline / 4;
        bench.client("N");
        bench.give(Input::Wake);
    }
    let last = bench.said.lines().last().unwrap();
    assert!(last.starts_with("421 4.4.2"), "{last}");
}

#[test]
fn a_route_stays_on_the_core_that_accepted_and_its_shares_sum_up() {
    for cores in [1u16, 2, 3, 8] {
        for port in 2500..2520 {
            let options =
                options(&format!("[[route]]\ndomain = \"*\"\nhosts = [\"127.0.0.1:{port}\"]"));
            let hop = crate::dns::NextHop::Route(0);
            let mut connections = 0;
            for core in 0..cores {
                assert_eq!(options.home(&hop, core, cores).core(cores), core, "{port}");
                connections += options.shape(&hop, core, cores).connections_max;
            }
            assert_eq!(connections, Shape::default().connections_max);
        }
    }
}

/// A local domain whose user is `ann`, and a listener for IMAP.
const HOME: &str = "[[listener]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:143\"\n\
    [local]\ndomains = [\"home.example\"]";

impl Bench {
    /// Everything asked of the store about mailboxes is answered so.
    fn found(&mut self, found: Found) {
        for ticket in std::mem::take(&mut self.asks) {
            let loaded = Loaded::Mailbox(Box::new(found.clone()));
            self.give(Input::Loaded { ticket, loaded });
        }
    }

    /// The client has logged in by IMAP.
    fn log_in(&mut self) {
        let account =
            Account { id: AccountId(1), inbox: MailboxId(2), password: Bytes::new(), quota: None };
        self.client("a LOGIN ann@home.example secret\r\n");
        self.found(Found::Account(Some(Box::new(account))));
        for ticket in std::mem::take(&mut self.secrets) {
            self.give(Input::Authenticated { ticket, verdict: Verdict::Granted });
        }
        assert!(self.said.contains("a OK"), "{}", self.said);
    }
}

fn standing() -> Standing {
    Standing {
        mailbox: MailboxId(2),
        uid_validity: 7,
        uid_next: Uid(1),
        highest_modseq: ModSeq(1),
        messages: 0,
        unseen: 0,
        deleted: 0,
        size: 0,
        recent_from: Uid(1),
        keywords: Vec::new(),
    }
}

#[test]
fn a_client_that_selects_and_falls_silent_is_let_go() {
    let mut bench = Bench::new(HOME, 10);
    bench.log_in();
    let opened = Opened { standing: standing(), uids: Uids::default(), first_unseen: None };
    for command in ["b SELECT INBOX\r\n", "c SELECT INBOX\r\n"] {
        bench.client(command);
        bench.found(Found::Open(Some(Box::new(opened.clone()))));
    }
    assert!(bench.said.contains("c OK"), "{}", bench.said);
    bench.pass(IMAP_IDLE_TIMEOUT);
    assert!(bench.said.contains("* BYE"), "{}", bench.said);
}

impl Bench {
    /// Begins an APPEND of a message of so many octets.
    fn begin_append(&mut self, octets: usize) {
        self.client(&format!("b APPEND INBOX {{{octets}}}\r\n"));
        self.found(inbox());
    }

    /// Appends it with one compressed read.
    fn append_deflated(&mut self, text: &str) {
        self.client("b COMPRESS DEFLATE\r\n");
        assert!(self.said.contains("b OK"), "{}", self.said);
        let command = format!("c APPEND INBOX {{{}+}}\r\n{text}\r\n", text.len());
        let bytes = Deflate::default().pack(&[command.into()]);
        self.give(Input::Received { connection: CLIENT, bytes });
        self.found(inbox());
    }

    /// Gives the wake that is wanted at this moment; whether one was.
    fn wake_now(&mut self) -> bool {
        let wanted = self.relay.next_wake().is_some_and(|at| at <= self.now.instant);
        if wanted {
            self.give(Input::Wake);
        }
        wanted
    }

    fn abandons(&self) -> usize {
        let abandons = |(_, change): &&(Ticket, Change)| match change {
            Change::Mailbox(act) => matches!(**act, Act::Abandon { .. }),
            _ => false,
        };
        self.stores.iter().filter(abandons).count()
    }
}

fn inbox() -> Found {
    Found::Folder(Some(Box::new(Folder {
        name: MailboxName::inbox(),
        mailbox: Some(MailboxId(2)),
        subscribed: false,
        special_use: None,
        standing: None,
    })))
}

/// Octets that cannot be compressed by much.
fn noise(random: &mut Random, octets: usize) -> String {
    (0..octets).map(|_| char::from(b'!' + random.below(90) as u8)).collect()
}

#[test]
fn an_appended_message_without_room_frees_the_parts_that_went_ahead() {
    let mut bench = Bench::new(HOME, 10);
    bench.log_in();
    let mut random = Random::from_seed([9; 32]);
    let octets = 4 * SPOOL_THRESHOLD;
    bench.begin_append(octets);
    let (mut parts, mut abandoned) = (0, 0);
    for _ in 0..octets / 4096 {
        bench.client(&noise(&mut random, 4096));
        let spooled = bench.stores.len();
        abandoned += bench.abandons();
        bench.stored(|_| if parts == 0 { Ok(()) } else { Err(StoreError::Full) });
        parts += spooled;
    }
    abandoned += bench.abandons();
    bench.client("\r\n");
    assert!(bench.said.contains("b NO"), "{}", bench.said);
    assert!(parts > 1 && abandoned > 0, "{parts} {abandoned}");
}

#[test]
fn a_client_that_goes_during_the_commit_leaves_no_parts_behind() {
    let mut bench = Bench::new(HOME, 10);
    bench.log_in();
    let mut random = Random::from_seed([9; 32]);
    let octets = 2 * SPOOL_THRESHOLD;
    bench.begin_append(octets);
    for _ in 0..octets / 4096 {
        bench.client(&noise(&mut random, 4096));
        bench.stored(|_| Ok(()));
    }
    bench.client("\r\n");
    let [(_, Change::Mailbox(act))] = &bench.stores[..] else { panic!("{:?}", bench.stores) };
    assert!(matches!(**act, Act::Append { .. }), "{act:?}");
    bench.give(Input::Closed { connection: CLIENT, trouble: Trouble::Ended });
    assert_eq!(bench.abandons(), 1, "{:?}", bench.stores);
}

#[test]
fn a_slow_append_goes_on_as_long_as_its_octets_come() {
    let mut bench = Bench::new(HOME, 10);
    bench.log_in();
    bench.begin_append(1000);
    for _ in 0..10 {
        bench.pass(IMAP_IDLE_TIMEOUT - Duration::from_secs(60));
        bench.client(&"x".repeat(50));
    }
    assert!(!bench.said.contains("BYE"), "{}", bench.said);
    bench.pass(IMAP_IDLE_TIMEOUT);
    assert!(bench.said.contains("* BYE"), "{}", bench.said);
}

/// Two hundred messages, new or with flags set anew.
fn news(modseq: u64) -> Changes {
    let entry = |uid| Entry {
        uid: Uid(uid),
        flags: Flags::SEEN,
        keywords: Keywords::default(),
        modseq: ModSeq(modseq),
        received: Wall::from_millis(0),
        size: 1,
        content: QueueId::from_u64(1),
        delivered_to: Bytes::new(),
    };
    Changes {
        standing: standing(),
        changed: (1..=200).map(entry).collect(),
        gone: Uids::default(),
        upto: ModSeq(modseq),
        within: None,
        more: false,
    }
}

#[test]
fn news_give_no_time_to_a_client_in_idle_that_does_not_take_them() {
    for takes in [true, false] {
        let mut bench = Bench::new(HOME, 10);
        bench.log_in();
        let opened = Opened { standing: standing(), uids: Uids::default(), first_unseen: None };
        bench.client("b SELECT INBOX\r\n");
        bench.found(Found::Open(Some(Box::new(opened))));
        bench.client("c IDLE\r\n");
        let minute = Duration::from_secs(60);
        for round in 0..2 * IMAP_IDLE_TIMEOUT.as_secs() / 60 {
            bench.pass(minute);
            bench.give(Input::MailboxChanged { mailbox: MailboxId(2) });
            bench.found(Found::Changes(Some(Box::new(news(2 + round)))));
            if takes {
                bench.give(Input::Sent { connection: CLIENT });
            }
        }
        assert_eq!(bench.said.contains("* BYE"), !takes, "takes: {takes}");
    }
}

#[test]
fn a_read_that_swells_gives_others_their_turn() {
    let mut bench = Bench::new(HOME, 10);
    bench.log_in();
    bench.append_deflated(&"x".repeat(20 * INFLATED_AT_ONCE));
    let mut turns = 1;
    while bench.wake_now() {
        turns += 1;
        assert!(turns < 100, "it spins");
    }
    assert!((20..25).contains(&turns), "{turns}");
    let [(_, Change::Mailbox(act))] = &bench.stores[..] else { panic!("{:?}", bench.stores) };
    assert!(matches!(**act, Act::Append { .. }), "{act:?}");
}

#[test]
fn a_read_that_swells_waits_for_the_disk() {
    let mut bench = Bench::new(HOME, 10);
    bench.log_in();
    bench.append_deflated(&noise(&mut Random::from_seed([9; 32]), 8 * SPOOL_THRESHOLD));
    let (mut parts, mut appended) = (0, false);
    while !appended {
        while bench.wake_now() {}
        assert!(!bench.stores.is_empty(), "it rests for ever behind {parts} parts");
        for (_, change) in &bench.stores {
            let Change::Mailbox(act) = change else { panic!("{change:?}") };
            match &**act {
                Act::Spool { chunks, .. } => {
                    let octets: usize = chunks.iter().map(|chunk| chunk.len()).sum();
                    assert!(octets < SPOOL_THRESHOLD + 2 * CONTENT_CHUNK, "{octets} octets");
                    parts += 1;
                }
                Act::Append { .. } => appended = true,
                other => panic!("{other:?}"),
            }
        }
        bench.stored(|_| Ok(()));
    }
    assert!(parts >= 4, "{parts}");
}
