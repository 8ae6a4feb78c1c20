//! One connection's state machine: octets and instants in, octets and results out.
//!
//! After each answer a session looks what is still missing before it may work (the capabilities,
//! the mailbox, enough messages in it, their UIDs) and asks for that first; nothing of it is
//! measured. Then it is ready, and whoever drives it tells the next command to measure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use self::ask::{Errand, What};
use super::{account::Account, command, mailbox::Mailbox, reply::Replies, work::Kind};
use crate::{mail::Composer, random::Random};

mod answer;
mod ask;

/// A server may end an IDLE after half an hour (RFC 2177 §3), so it is begun anew before.
const IDLE_RENEWED: Duration = Duration::from_secs(25 * 60);

/// What all sessions of a run have alike.
#[derive(Debug)]
pub struct Options {
    /// Whether to ask for TLS by STARTTLS.
    pub starttls: bool,
    pub mailbox: String,
    /// Whether the work needs a selected mailbox.
    pub selects: bool,
    /// Whether the work needs UIDs.
    pub addresses: bool,
    pub composer: Composer,
    /// The day `search` looks back to, as in `1-Feb-2026`.
    pub since: String,
    /// Whether commands come at a fixed rate: then a login counts from when it was due, else from
    /// the moment its connection is begun.
    pub paced: bool,
    pub answer_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Does the work.
    Worker,
    /// Sits in IDLE beside a worker and tells of new messages.
    Watcher,
}

/// What the session wants done, or tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Send(Bytes),
    /// Begin TLS; then call `secured`.
    Secure,
    /// End the connection and make a new one: the session has forgotten this one.
    Reconnect(Again),
    /// Nothing is missing: a worker can be given a command, a watcher watches.
    Ready,
    Done {
        kind: Kind,
        took: Duration,
    },
    /// `kind` is none where it befell what is not measured.
    Failed {
        kind: Option<Kind>,
        text: String,
    },
    /// One of the messages that the mailbox must have before work was taken.
    Filled,
    /// A watcher was told how many messages there are.
    Exists(u32),
}

/// When to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    AtOnce,
    /// After a pause that grows.
    Later,
}

#[derive(Debug)]
enum State {
    Down,
    Greeting,
    Securing,
    Ready,
    Waiting(Errand),
    /// The APPEND of an `idle` was acknowledged; the watcher has not told of it yet.
    Unnoticed,
}

/// A command that is measured, and the moment its time counts from.
#[derive(Clone, Copy, Debug)]
struct Measured {
    kind: Kind,
    since: Instant,
}

/// How an `idle` stands.
#[derive(Clone, Copy, Debug)]
struct Notice {
    /// As many messages as there are with the new one.
    wanted: u32,
    noticed: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Offered {
    known: bool,
    literal_plus: bool,
    literal_minus: bool,
    idle: bool,
}

#[derive(Debug)]
pub struct Session {
    options: Arc<Options>,
    role: Role,
    account: Account,
    /// How many messages the mailbox must have before work.
    fill: u32,
    replies: Replies,
    random: Random,
    /// The high half names the session, the low one counts its messages.
    message_number: u64,
    searches: u32,
    tag: u32,
    state: State,
    offered: Offered,
    mailbox: Mailbox,
    selected: bool,
    measured: Option<Measured>,
    notice: Option<Notice>,
    deadline: Option<Instant>,
}

impl Session {
    /// `number` tells sessions of one run apart.
    pub fn new(options: Arc<Options>, role: Role, account: Account, number: u32) -> Self {
        Self {
            options,
            role,
            account,
            fill: 0,
            replies: Replies::default(),
            random: Random::new(u64::from(number)),
            message_number: u64::from(number) << 32,
            searches: 0,
            tag: 0,
            state: State::Down,
            offered: Offered::default(),
            mailbox: Mailbox::default(),
            selected: false,
            measured: None,
            notice: None,
            deadline: None,
        }
    }

    /// Before work, the mailbox shall have this many messages.
    pub fn fill(&mut self, messages: u32) {
        self.fill = messages;
    }

    /// The account of the connections to come.
    pub fn change_account(&mut self, account: Account) {
        self.account = account;
    }

    /// When `expired` is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A connection is being made.
    pub fn connecting(&mut self, now: Instant) {
        if let Some(Measured { kind: Kind::Login, since }) = &mut self.measured
            && !self.options.paced
        {
            *since = now;
        }
        self.state = State::Greeting;
        self.replies = Replies::default();
        self.offered = Offered::default();
        self.selected = false;
        self.deadline = Some(now + self.options.answer_timeout);
    }

    /// The TLS handshake is done: after STARTTLS no greeting follows.
    pub fn secured(&mut self, now: Instant, out: &mut Vec<Action>) {
        if matches!(self.state, State::Securing) {
            self.log_in(now, out);
        }
    }

    /// Begins a command, which counts from `since`. Only for a session that is ready.
    pub fn begin(&mut self, kind: Kind, since: Instant, now: Instant, out: &mut Vec<Action>) {
        self.measured = Some(Measured { kind, since });
        match kind {
            Kind::Login => self.send(What::Logout, command::LOGOUT, now, out),
            Kind::List => self.send(What::Ask(kind), command::LIST, now, out),
            Kind::Select => self.select(now, out),
            Kind::Append => self.append(now, out),
            Kind::Idle => {
                let wanted = self.mailbox.exists.saturating_add(1);
                self.notice = Some(Notice { wanted, noticed: None });
                self.append(now, out);
            }
            Kind::Search => {
                self.searches = self.searches.wrapping_add(1);
                let words = command::search(self.searches, &self.options.since, &mut self.random);
                self.send(What::Ask(kind), &words, now, out);
            }
            Kind::FetchHeaders | Kind::FetchBodies | Kind::Store => {
                match command::about_messages(kind, &self.mailbox, &mut self.random) {
                    Some(words) => self.send(What::Ask(kind), &words, now, out),
                    None => self.fail("the mailbox is empty: fill it by --prefill", out),
                }
            }
        }
    }

    /// Selects the mailbox anew, if the work needs it; then it is ready again.
    pub fn refresh(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.selected = false;
        self.settle(now, out);
    }

    /// Logs out, to come back by what `change_account` told.
    pub fn leave(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.send(What::Logout, command::LOGOUT, now, out);
    }

    /// The watcher of this session's mailbox was told how many messages there are.
    pub fn noticed(&mut self, messages: u32, now: Instant, out: &mut Vec<Action>) {
        if let Some(notice) = &mut self.notice
            && messages >= notice.wanted
            && notice.noticed.is_none()
        {
            notice.noticed = Some(now);
            if matches!(self.state, State::Unnoticed) {
                self.done(now, out);
                self.settle(now, out);
            }
        }
    }

    /// The connection ended, or could not be made.
    pub fn closed(&mut self, why: &str, out: &mut Vec<Action>) {
        let leaving = matches!(&self.state, State::Waiting(errand) if errand.what == What::Logout);
        if leaving { self.reconnect(Again::AtOnce, out) } else { self.fail(why, out) }
    }

    /// The deadline has come.
    pub fn expired(&mut self, now: Instant, out: &mut Vec<Action>) {
        match &self.state {
            State::Ready if self.role == Role::Watcher => {
                out.push(Action::Send(command::DONE));
                self.deadline = Some(now + self.options.answer_timeout);
                // The tag of the IDLE is still to be answered.
                self.state = State::Waiting(Errand::new(self.tag, What::Watch, 0));
            }
            State::Waiting(errand) => {
                self.fail(&format!("no answer to {} in time", errand.what.name()), out);
            }
            State::Unnoticed => self.fail("the watcher was told of no new message in time", out),
            _ => self.fail("no greeting in time", out),
        }
    }

    /// Octets came, in any cut.
    pub fn received(&mut self, now: Instant, mut octets: &[u8], out: &mut Vec<Action>) {
        let mut replies = std::mem::take(&mut self.replies);
        while !matches!(self.state, State::Down | State::Securing) {
            match replies.next(&mut octets) {
                Ok(Some(reply)) => self.take(reply, now, out),
                Ok(None) => {
                    self.replies = replies;
                    return;
                }
                Err(error) => self.fail(&error.to_string(), out),
            }
        }
        // Nothing that came before TLS counts behind it (RFC 9051 §6.2.1).
    }

    /// The measured command is done, if one was begun.
    fn done(&mut self, now: Instant, out: &mut Vec<Action>) {
        let noticed = self.notice.take().and_then(|notice| notice.noticed);
        if let Some(Measured { kind, since }) = self.measured.take() {
            let took = noticed.unwrap_or(now).saturating_duration_since(since);
            out.push(Action::Done { kind, took });
        }
    }

    /// The command failed; the connection may go on.
    fn miss(&mut self, text: &str, out: &mut Vec<Action>) {
        self.notice = None;
        let kind = self.measured.take().map(|measured| measured.kind);
        out.push(Action::Failed { kind, text: text.to_owned() });
    }

    /// The connection is of no more use.
    fn fail(&mut self, text: &str, out: &mut Vec<Action>) {
        self.miss(text, out);
        self.reconnect(Again::Later, out);
    }

    fn reconnect(&mut self, again: Again, out: &mut Vec<Action>) {
        self.state = State::Down;
        self.deadline = None;
        self.selected = false;
        out.push(Action::Reconnect(again));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{imap::brief, mail::size::Sizes};

    const SIZE: u64 = 400;

    fn options() -> Options {
        Options {
            starttls: false,
            mailbox: "INBOX".into(),
            selects: false,
            addresses: false,
            composer: Composer::new(brief(Sizes::List(vec![(SIZE, 1.0)]), Timestamp::UNIX_EPOCH))
                .unwrap(),
            since: "22-Nov-2026".into(),
            paced: false,
            answer_timeout: Duration::from_secs(60),
        }
    }

    /// What the session does, as a transcript has it.
    fn shown(actions: &mut Vec<Action>) -> String {
        let mut text = String::new();
        let mut actions = actions.drain(..);
        while let Some(action) = actions.next() {
            match action {
                Action::Send(head) if head.starts_with(b"Message-ID") => {
                    let pieces = actions.by_ref().take(2).map(|action| match action {
                        Action::Send(octets) => octets,
                        other => panic!("{other:?} within a message"),
                    });
                    let message = [head].into_iter().chain(pieces).flatten().collect::<Vec<_>>();
                    assert_eq!(message.len() as u64, SIZE + 2);
                    assert!(
                        message.ends_with(b"\r\n\r\n"),
                        "the literal, and the end of the command"
                    );
                    text.push_str("C: (message)\n");
                }
                Action::Send(octets) => {
                    let line = String::from_utf8_lossy(&octets);
                    let line = line.replace(command::HEADERS, "(headers)");
                    text.push_str(&format!("C: {}\n", line.trim_end()));
                }
                other => text.push_str(&format!("= {other:?}\n")),
            }
        }
        text
    }

    /// Plays the events of a transcript, the server's octets in pieces of `cut`; gives the
    /// transcript as it became.
    fn played(mut session: Session, transcript: &str, cut: usize) -> String {
        let mut now = Instant::now();
        let (mut became, mut out) = (String::new(), Vec::new());
        for line in transcript.lines().map(str::trim_start) {
            let (event, value) = line.split_once(' ').unwrap_or((line, ""));
            match event {
                "S:" => {
                    for piece in format!("{value}\r\n").as_bytes().chunks(cut) {
                        session.received(now, piece, &mut out);
                    }
                }
                "@" => now += Duration::from_millis(value.parse().unwrap()),
                "connect" => session.connecting(now),
                "secured" => session.secured(now, &mut out),
                "do" => {
                    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == value).unwrap();
                    session.begin(kind, now, now, &mut out);
                }
                "noticed" => session.noticed(value.parse().unwrap(), now, &mut out),
                "closed" => session.closed("closed", &mut out),
                "deadline" => {
                    now = session.deadline().expect("a deadline");
                    session.expired(now, &mut out);
                }
                "refresh" => session.refresh(now, &mut out),
                _ => continue,
            }
            became.push_str(&format!("{line}\n{}", shown(&mut out)));
        }
        became
    }

    fn check(role: Role, options: Options, fill: u32, transcript: &str) {
        let options = Arc::new(options);
        let wanted: String =
            transcript.lines().map(|line| format!("{}\n", line.trim_start())).collect();
        for cut in [1, 2, 3, 5, 1000] {
            let account = Account { user: "anna".into(), password: "a b".into() };
            let mut session = Session::new(Arc::clone(&options), role, account, 3);
            session.fill(fill);
            assert_eq!(played(session, transcript, cut), wanted, "cut by {cut}");
        }
    }

    #[test]
    fn logging_in_counts_from_the_connection() {
        check(
            Role::Worker,
            options(),
            0,
            r#"connect
            S: * OK [CAPABILITY IMAP4rev1] ready
            C: a1 LOGIN "anna" "a b"
            S: a1 OK in
            C: a2 CAPABILITY
            S: * CAPABILITY IMAP4rev1 LITERAL+
            S: a2 OK done
            = Ready
            do login
            C: a3 LOGOUT
            @ 5
            S: * BYE
            S: a3 OK out
            = Reconnect(AtOnce)
            connect
            @ 7
            S: * OK ready
            C: a4 LOGIN "anna" "a b"
            S: a4 OK [CAPABILITY IMAP4rev1] in
            = Done { kind: Login, took: 7ms }
            = Ready
            do login
            C: a5 LOGOUT
            closed
            = Reconnect(AtOnce)"#,
        );
    }

    #[test]
    fn a_paced_login_counts_from_when_it_was_due() {
        check(
            Role::Worker,
            Options { paced: true, ..options() },
            0,
            r#"connect
            S: * OK ready
            C: a1 LOGIN "anna" "a b"
            S: a1 OK [CAPABILITY X] in
            = Ready
            do login
            C: a2 LOGOUT
            @ 5
            S: a2 OK out
            = Reconnect(AtOnce)
            connect
            @ 7
            S: * OK ready
            C: a3 LOGIN "anna" "a b"
            S: a3 OK [CAPABILITY X] in
            = Done { kind: Login, took: 12ms }
            = Ready"#,
        );
    }

    #[test]
    fn tls_begins_before_the_password_and_forgets_what_came_in_clear() {
        check(
            Role::Worker,
            Options { starttls: true, ..options() },
            0,
            r#"connect
            S: * OK ready
            C: a1 STARTTLS
            S: a1 OK go on
            = Secure
            S: a2 OK in
            secured
            C: a2 LOGIN "anna" "a b"
            S: a2 NO [AUTHENTICATIONFAILED] who?
            = Failed { kind: None, text: "LOGIN: NO [AUTHENTICATIONFAILED] who?" }
            = Reconnect(Later)"#,
        );
    }

    #[test]
    fn a_mailbox_is_filled_and_its_uids_are_learned_before_work() {
        check(
            Role::Worker,
            Options { selects: true, addresses: true, ..options() },
            2,
            r#"connect
            S: * OK ready
            C: a1 LOGIN "anna" "a b"
            S: a1 OK [CAPABILITY X] in
            C: a2 SELECT "INBOX"
            S: * 1 EXISTS
            S: * OK [UIDNEXT 9] next
            S: a2 OK [READ-WRITE] selected
            C: a3 APPEND "INBOX" {400}
            S: + go on
            C: (message)
            S: * 2 EXISTS
            S: a3 OK [APPENDUID 1 9] taken
            = Filled
            C: a4 FETCH 1:* (UID)
            S: * 1 FETCH (UID 7)
            S: * 2 FETCH (UID 9)
            S: a4 OK done
            = Ready
            do fetch-headers
            C: a5 UID FETCH 7:9 (headers)
            S: * 1 FETCH (UID 7 BODY[HEADER.FIELDS (FROM)] {9}
            S: a5 OK x
            S: )
            @ 3
            S: a5 OK done
            = Done { kind: FetchHeaders, took: 3ms }
            = Ready
            do fetch-headers
            C: a6 UID FETCH 7:9 (headers)
            S: a6 OK nothing
            = Failed { kind: Some(FetchHeaders), text: "FETCH was answered by OK and no message" }
            = Ready
            do select
            C: a7 SELECT "INBOX"
            S: * 2 EXISTS
            S: * OK [UIDNEXT 3] next
            S: a7 OK selected
            = Done { kind: Select, took: 0ns }
            = Ready
            do select
            C: a8 SELECT "INBOX"
            S: a8 NO gone
            = Failed { kind: Some(Select), text: "SELECT: NO gone" }
            C: a9 SELECT "INBOX"
            S: a9 NO gone
            = Failed { kind: None, text: "SELECT: NO gone" }
            = Reconnect(Later)"#,
        );
    }

    #[test]
    fn a_literal_goes_at_once_where_the_server_lets_it() {
        let transcript = r#"connect
            S: * OK ready
            C: a1 LOGIN "anna" "a b"
            S: a1 OK [CAPABILITY LITERAL+] in
            = Ready
            do append
            C: a2 APPEND "INBOX" {400+}
            C: (message)
            @ 2
            S: a2 OK taken
            = Done { kind: Append, took: 2ms }
            = Ready
            do append
            C: a3 APPEND "INBOX" {400+}
            C: (message)
            S: a3 NO [OVERQUOTA] full
            = Failed { kind: Some(Append), text: "APPEND: NO [OVERQUOTA] full" }
            = Ready"#;
        check(Role::Worker, options(), 0, transcript);
        check(Role::Worker, options(), 0, &transcript.replace("LITERAL+", "LITERAL-"));
    }

    #[test]
    fn an_idle_ends_when_both_the_answer_and_the_notice_are_there() {
        check(
            Role::Worker,
            Options { selects: true, ..options() },
            0,
            r#"connect
            S: * OK ready
            C: a1 LOGIN "anna" "a b"
            S: a1 OK [CAPABILITY X] in
            C: a2 SELECT "INBOX"
            S: * 4 EXISTS
            S: a2 OK selected
            = Ready
            do idle
            C: a3 APPEND "INBOX" {400}
            @ 5
            S: + go on
            C: (message)
            @ 2
            noticed 4
            noticed 5
            @ 9
            S: a3 OK taken
            = Done { kind: Idle, took: 2ms }
            = Ready
            do idle
            C: a4 APPEND "INBOX" {400}
            S: + go on
            C: (message)
            S: a4 OK taken
            noticed 5
            @ 3
            noticed 6
            = Done { kind: Idle, took: 3ms }
            = Ready
            do idle
            C: a5 APPEND "INBOX" {400}
            S: + go on
            C: (message)
            S: a5 OK taken
            deadline
            = Failed { kind: Some(Idle), text: "the watcher was told of no new message in time" }
            = Reconnect(Later)"#,
        );
    }

    #[test]
    fn a_watcher_tells_what_it_is_told_and_renews_its_idle() {
        check(
            Role::Watcher,
            Options { selects: true, ..options() },
            0,
            r#"connect
            S: * OK ready
            C: a1 LOGIN "anna" "a b"
            S: a1 OK [CAPABILITY IDLE] in
            C: a2 SELECT "INBOX"
            S: * 4 EXISTS
            = Exists(4)
            S: a2 OK selected
            C: a3 IDLE
            S: + idling
            = Ready
            S: * 5 EXISTS
            = Exists(5)
            deadline
            C: DONE
            S: a3 OK done
            C: a4 IDLE
            S: + idling
            = Ready
            S: a4 OK enough
            C: a5 IDLE
            S: a5 NO never
            = Failed { kind: None, text: "IDLE: NO never" }
            = Reconnect(Later)"#,
        );
    }

    #[test]
    fn what_goes_wrong_is_told_with_the_command_it_befell() {
        let ready = "connect\nS: * OK ready\nC: a1 LOGIN \"anna\" \"a b\"\n\
                     S: a1 OK [CAPABILITY X] in\n= Ready\ndo list\nC: a2 LIST \"\" \"*\"\n";
        let table = [
            ("S: a2 BAD what?", "list: BAD what?", true),
            ("S: * BYE shutting down", "BYE shutting down", false),
            ("S: a9 OK", "an answer to a command that was not given", false),
            ("S: + go", "a + that was not awaited", false),
            ("closed", "closed", false),
            ("deadline", "no answer to list in time", false),
        ];
        for (event, text, goes_on) in table {
            let then = if goes_on { "Ready" } else { "Reconnect(Later)" };
            let told = format!("= Failed {{ kind: Some(List), text: {text:?} }}\n= {then}");
            check(Role::Worker, options(), 0, &format!("{ready}{event}\n{told}"));
        }
        let table = [
            ("S: * BYE full", "greeted by BYE full"),
            ("deadline", "no greeting in time"),
            ("closed", "closed"),
        ];
        for (event, text) in table {
            let told = format!("= Failed {{ kind: None, text: {text:?} }}\n= Reconnect(Later)");
            check(Role::Worker, options(), 0, &format!("connect\n{event}\n{told}"));
        }
    }
}
