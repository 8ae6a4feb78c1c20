//! What a server's session lives in: options, ids, pressure, and a store that says what it is told.

use bytes::Bytes;
use ringmail::{
    mail::{Address, QueueId, mailbox::Resolved, message::QueueIds},
    smtp::server::{
        CommitError, Context, Effect, LookupError, Pressure, Session, Steps, Submission,
        policy::{Options, Role},
    },
    time::{Duration, Now, Wall},
};

/// One server's session with all that it has said and done.
pub struct World {
    pub options: Options,
    ids: QueueIds,
    pub pressure: Pressure,
    session: Option<Session>,
    pub replies: Vec<u8>,
    /// 250s that name a queue id.
    pub promised: usize,
    /// Every effect but parts of bodies, which are in `messages`.
    pub effects: Vec<Effect>,
    /// Rows on disk ahead of their commit.
    spooled: Vec<(QueueId, Vec<u8>)>,
    /// Waits for the store's answer.
    pub committing: Option<Submission>,
    /// Of all that were to be committed, in order: the body as it would be stored.
    pub messages: Vec<(Submission, Vec<u8>)>,
    pub closed: bool,
    /// Waits to be found.
    looked_up: Option<Address>,
}

impl World {
    pub fn new(hostname: &str) -> Self {
        let pattern = |text: &str| text.parse().expect("a pattern");
        let options = Options {
            hostname: hostname.to_owned(),
            message_size_max: 10_000,
            recipients_max: 5,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(600),
            connections_per_client_max: 100,
            errors_max: 20,
            received_headers_max: 3,
            relay_networks: vec!["127.0.0.0/8".parse().expect("a network")],
            relay_domains: vec![pattern("relayed.example")],
            local_domains: std::sync::Arc::new(
                [ringmail::mail::Domain::parse("local.example").expect("a domain")].into(),
            ),
            postmaster: Address::parse("admin@example.net".into()).ok(),
        };
        Self {
            options,
            ids: QueueIds::new(0, QueueId::MIN),
            pressure: Pressure { free: u64::MAX, memory_short: false, draining: false },
            session: None,
            replies: Vec::new(),
            promised: 0,
            effects: Vec::new(),
            spooled: Vec::new(),
            committing: None,
            messages: Vec::new(),
            closed: false,
            looked_up: None,
        }
    }

    pub fn greet(&mut self, client: &str, role: Role) {
        let client = client.parse().expect("an address");
        self.act(|_, cx, steps| Session::new(client, role, cx, steps));
    }

    pub fn hear(&mut self, octets: &[u8]) {
        let bytes = Bytes::copy_from_slice(octets);
        self.act(|session, cx, steps| session.receive(bytes, cx, steps));
    }

    /// The store's answer, if it was asked.
    pub fn stored(&mut self, result: Result<(), CommitError>) {
        let Some(submission) = self.committing.take() else { return };
        let before = (self.promised, self.replies.len());
        self.act(|session, cx, steps| session.stored(result, cx, steps));
        let promise = format!("250 2.0.0 {} queued\r\n", submission.id);
        let is_promised = self.replies[before.1..].starts_with(promise.as_bytes());
        assert_eq!(is_promised, result.is_ok(), "250 says that it is stored, and only that");
        assert_eq!(self.promised, before.0 + usize::from(result.is_ok()));
    }

    pub fn spool_failed(&mut self) {
        self.act(|session, cx, steps| session.spool_failed(cx, steps));
    }

    pub fn timed_out(&mut self) {
        self.act(|session, cx, steps| session.timed_out(cx, steps));
    }

    pub fn drain(&mut self) {
        self.pressure.draining = true;
        self.act(|session, cx, steps| session.drain(cx, steps));
    }

    /// The client is gone.
    pub fn hang_up(&mut self) {
        if let Some(session) = self.session.take() {
            let on_disk = self.spooled.last().map(|(id, _)| *id);
            assert_eq!(session.closed(), on_disk, "rows are left behind, or were not there");
        }
    }

    fn act(&mut self, act: impl FnOnce(Session, &mut Context<'_>, &mut Steps) -> Session) {
        if self.closed {
            return;
        }
        let mut steps = Steps::default();
        let now = Now { wall: Wall::from_millis(1_700_000_000_000), ..Now::default() };
        let before = (self.promised, self.committing.is_some());
        let session = self.session.take().unwrap_or(Session::Closed);
        let (options, ids, pressure) = (&self.options, &mut self.ids, self.pressure);
        let mut cx = Context { options, now, ids, pressure };
        let session = act(session, &mut cx, &mut steps);
        self.replies.extend_from_slice(&steps.replies);
        let is_promise = |line: &&[u8]| line.ends_with(b" queued\r");
        self.promised += steps.replies[..].split(|b| *b == b'\n').filter(is_promise).count();
        for effect in steps.effects {
            self.take(effect);
        }
        self.check(&session, before);
        self.session = Some(session);
        if let Some(address) = self.looked_up.take() {
            self.answer(&address);
        }
    }

    /// Says who is behind an address, by its length: all answers are met.
    fn answer(&mut self, address: &Address) {
        let elsewhere = Address::parse("elsewhere@example.net".into()).expect("an address");
        let result = match address.as_str().len() % 5 {
            0 => Ok(Resolved::Unknown),
            1 => Ok(Resolved::Full),
            2 => Err(LookupError),
            3 => Ok(Resolved::To(vec![address.clone(), elsewhere])),
            _ => Ok(Resolved::To(vec![address.clone()])),
        };
        self.act(|session, cx, steps| session.looked_up(result, cx, steps));
    }

    fn take(&mut self, effect: Effect) {
        assert!(!self.closed, "something behind the end: {effect:?}");
        match effect {
            Effect::LookUp { address, .. } => {
                assert!(self.looked_up.is_none(), "two look-ups at a time");
                self.looked_up = Some(address);
            }
            Effect::Commit(submission) => {
                assert!(self.committing.is_none(), "two commits at a time");
                let mut body = self.taken_from_disk(submission.id, submission.spooled_rows);
                body.extend(submission.body.iter().flatten());
                assert_eq!(body.len() as u64, submission.size, "the size is wrong");
                assert!(!submission.recipients.is_empty(), "a message to nobody");
                self.messages.push(((*submission).clone(), body));
                self.committing = Some(*submission);
            }
            Effect::Spool { message, first_row, pieces } => {
                if self.spooled.last().is_none_or(|(id, _)| *id != message) {
                    assert!(self.spooled.is_empty(), "rows are left behind");
                    self.spooled.push((message, Vec::new()));
                }
                let row = ringmail::limits::BODY_ROW;
                let octets: Vec<u8> = pieces.concat();
                let (_, rows) = self.spooled.last_mut().expect("just put");
                assert!(!octets.is_empty() && octets.len().is_multiple_of(row), "half a row");
                assert_eq!(rows.len(), first_row as usize * row, "rows in their order");
                rows.extend_from_slice(&octets);
            }
            Effect::Abandon { message } => {
                let abandoned = self.spooled.pop().map(|(id, _)| id);
                assert_eq!(abandoned, Some(message), "what is abandoned was spooled");
            }
            Effect::Close => {
                self.closed = true;
                self.effects.push(Effect::Close);
            }
            effect => self.effects.push(effect),
        }
    }

    fn taken_from_disk(&mut self, message: QueueId, rows: u32) -> Vec<u8> {
        let Some((id, octets)) = self.spooled.pop() else {
            assert_eq!(rows, 0, "rows that are not there");
            return Vec::new();
        };
        assert_eq!(id, message, "rows of another message");
        assert_eq!(octets.len(), rows as usize * ringmail::limits::BODY_ROW);
        octets
    }

    /// What holds between any two steps.
    fn check(&self, session: &Session, (promised, waits): (usize, bool)) {
        assert_eq!(matches!(session, Session::Closed), self.closed, "closed without a word");
        assert_eq!(matches!(session, Session::Committing(..)), self.committing.is_some());
        let resolves = matches!(session, Session::Resolving(..));
        assert_eq!(resolves, self.looked_up.is_some(), "a look-up that nobody waits for");
        let waits_for_store = resolves || self.committing.is_some();
        assert_eq!(session.room().is_none(), self.closed || waits_for_store);
        assert!(session.held() < 2 * ringmail::limits::SPOOL_THRESHOLD, "memory has no bound");
        assert!(self.spooled.len() <= 1);
        if waits {
            assert_eq!(self.promised, promised, "250 before the store's answer");
        }
    }

    /// What must not depend on how the octets were cut.
    pub fn outcome(&self) -> impl PartialEq + std::fmt::Debug + '_ {
        let messages = self.messages.iter().map(|(submission, body)| {
            let Submission { id, envelope, recipients, wire, size, message_id, .. } = submission;
            (*id, envelope, recipients, *wire, *size, message_id, body)
        });
        let messages: Vec<_> = messages.collect();
        (String::from_utf8_lossy(&self.replies), &self.effects, messages, self.closed)
    }
}
