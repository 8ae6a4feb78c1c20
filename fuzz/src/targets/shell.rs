//! A shell in memory for one relay: carries out what the relay asks for when it is told to, and
//! watches that nothing is asked that a shell could not do.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use ringmail::{
    config::{Config, Machine},
    mail::{Address, Message, Parcel, QueueId, mailbox::Done},
    random::Random,
    relay::{
        ConnectionId, Event, Input, Options, Outbox, Output, Relay, Setup, Ticket, Trouble,
        event::AttemptStatus,
    },
    store::{
        Change, Load, Loaded, Reads, Settle, StoreError, Table,
        content::Unpress,
        key,
        record::{decode_message, decode_parcel},
        write_batch,
    },
    time::{Duration, Instant, Now, Wall},
};

use super::disk::Disk;

const CONFIG: &str = r#"
hostname = "mx.example.org"
[smtp]
message_size_max = "2MiB"
recipients_max = 10
[dns]
servers = ["192.0.2.53:53"]
[[route]]
domain = "route.example"
hosts = ["192.0.2.1:26", "192.0.2.2:26"]
"#;

static OPTIONS: LazyLock<Arc<Options>> = LazyLock::new(|| {
    let machine = Machine { hostname: String::new(), resolv_conf: String::new() };
    let config = Config::parse(CONFIG, "c", &machine).unwrap_or_else(|error| panic!("{error}"));
    Options::of(&config).into()
});

/// The longest sleep.
const WAKE_MAX: Duration = Duration::from_secs(10 * 24 * 3600);

/// One end of a connection, as its peer sees it.
pub struct Peer {
    pub id: ConnectionId,
    pub inbound: bool,
    /// The relay waits for octets.
    pub receiving: bool,
    /// It wants to know when all is with the kernel.
    pub reports: bool,
    /// What the relay has said and the peer has not read.
    pub unread: Vec<u8>,
    /// A next hop that behaves: it reads a body.
    pub in_body: bool,
}

pub struct Shell {
    relay: Relay,
    pub now: Now,
    disk: Disk,
    pub peers: Vec<Peer>,
    connections: u32,
    pub stores: VecDeque<(Ticket, Change)>,
    pub loads: VecDeque<(Ticket, Load)>,
    pub connects: Vec<Ticket>,
    pub queries: Vec<(Ticket, Bytes)>,
    /// Messages that were ever on disk by their `Accept`.
    accepted: BTreeSet<QueueId>,
    promised: BTreeSet<QueueId>,
    /// Recipients of whom the log says that they are done with.
    done: BTreeSet<(QueueId, Vec<u8>)>,
    /// Of those, the ones that failed.
    failed: BTreeSet<(QueueId, Vec<u8>)>,
    pub draining: bool,
    pub drained: bool,
}

impl Shell {
    pub fn new() -> Self {
        let relay = Relay::new(Setup {
            options: OPTIONS.clone(),
            core: 0,
            cores: 1,
            random: Random::from_seed([5; 32]),
            highest_id: QueueId::MIN,
            inbound_max: 4,
            outbound_max: 4,
        });
        let wall = Wall::from_millis(1_800_000_000_000);
        let mut shell = Self {
            relay,
            now: Now { instant: Instant::from_micros(1), wall },
            disk: Disk::default(),
            peers: Vec::new(),
            connections: 0,
            stores: VecDeque::new(),
            loads: VecDeque::new(),
            connects: Vec::new(),
            queries: Vec::new(),
            accepted: BTreeSet::new(),
            promised: BTreeSet::new(),
            done: BTreeSet::new(),
            failed: BTreeSet::new(),
            draining: false,
            drained: false,
        };
        shell.give(Input::Wake);
        shell.give(Input::Space(ringmail::relay::Space { free: 1 << 40 }));
        shell
    }

    pub fn give(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.relay.handle(self.now, input, &mut out);
        out.into_iter().for_each(|output| self.take(output));
    }

    /// Time goes by; the relay wakes when it wanted to.
    pub fn pass(&mut self, time: Duration) {
        self.now.instant = self.now.instant + time;
        self.now.wall = self.now.wall + time;
        if self.relay.next_wake().is_some_and(|at| at <= self.now.instant) {
            self.give(Input::Wake);
        }
    }

    /// To the moment the relay waits for.
    pub fn pass_to_wake(&mut self) {
        let Some(at) = self.relay.next_wake() else { return };
        // A client that waits for the store has the end of time for its deadline.
        self.pass(at.since(self.now.instant).clamp(Duration::from_millis(1), WAKE_MAX));
    }

    pub fn accept(&mut self, remote: &str) {
        let connection = self.connection(true);
        let of_client = self.peers.iter().filter(|peer| peer.inbound).count();
        let remote = remote.parse().expect("an address");
        self.give(Input::Accepted { connection, listener: 0, remote, of_client });
    }

    pub fn connected(&mut self, result: Result<(), Trouble>) {
        if self.connects.is_empty() {
            return;
        }
        let ticket = self.connects.remove(0);
        let result = result.map(|()| self.connection(false));
        self.give(Input::Connected { ticket, result });
    }

    /// Octets of a peer, where the relay reads them.
    pub fn say(&mut self, peer: usize, octets: &[u8]) {
        let Some(peer) = self.peers.get_mut(peer).filter(|peer| peer.receiving) else { return };
        if !octets.is_empty() {
            peer.receiving = false;
            let (connection, bytes) = (peer.id, Bytes::copy_from_slice(octets));
            self.give(Input::Received { connection, bytes });
        }
    }

    pub fn sent(&mut self, peer: usize) {
        let Some(peer) = self.peers.get_mut(peer) else { return };
        if std::mem::take(&mut peer.reports) {
            let connection = peer.id;
            self.give(Input::Sent { connection });
        }
    }

    pub fn close(&mut self, peer: usize, trouble: Trouble) {
        if peer < self.peers.len() {
            let connection = self.peers.remove(peer).id;
            self.give(Input::Closed { connection, trouble });
        }
    }

    /// The oldest change is on stable storage, or nothing of it is.
    pub fn stored(&mut self, result: Result<(), StoreError>) {
        let Some((ticket, change)) = self.stores.pop_front() else { return };
        // When a settlement fails, the store has failed for good and the process ends.
        let settles = matches!(change, Change::Settle(_));
        let result = if settles { Ok(()) } else { result };
        let result = result.map(|()| Done::Done);
        if result.is_ok() {
            match &change {
                Change::Accept(accept) => drop(self.accepted.insert(accept.message.id)),
                Change::Settle(settle) => self.check_settle(settle),
                _ => {}
            }
            let Ok(_) = write_batch([&change], QueueId::MIN, &mut self.disk);
        }
        self.give(Input::Stored { ticket, result, change });
    }

    pub fn loaded(&mut self, works: bool) {
        let Some((ticket, load)) = self.loads.pop_front() else { return };
        let mut warn = |sentence: String| panic!("what was written is read: {sentence}");
        let loaded = match load.run(&self.disk, &mut Unpress::default(), &mut warn) {
            Ok(loaded) if works => loaded,
            _ => Loaded::Failed(StoreError::Failed),
        };
        self.give(Input::Loaded { ticket, loaded });
    }

    fn connection(&mut self, inbound: bool) -> ConnectionId {
        let id = ConnectionId { slot: self.connections, generation: 0 };
        self.connections += 1;
        self.peers.push(Peer {
            id,
            inbound,
            receiving: false,
            reports: false,
            unread: Vec::new(),
            in_body: false,
        });
        id
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Receive { connection, room } => {
                let peer = self.peer(connection);
                assert!(room > 0 && !peer.receiving, "two reads at a time");
                peer.receiving = true;
            }
            Output::Send { connection, pieces, report } => {
                let octets: Vec<u8> = pieces.concat();
                assert!(!octets.is_empty(), "nothing is sent");
                let peer = self.peer(connection);
                peer.reports |= report;
                peer.unread.extend_from_slice(&octets);
                if peer.inbound {
                    self.check_promises(&octets);
                }
            }
            Output::Close { connection } | Output::Abort { connection } => {
                self.peer(connection);
                self.peers.retain(|peer| peer.id != connection);
            }
            Output::Connect { ticket, .. } => {
                assert!(!self.connects.contains(&ticket), "a ticket is used twice");
                self.connects.push(ticket);
                let hops = self.peers.iter().filter(|peer| !peer.inbound).count();
                assert!(hops + self.connects.len() <= 4, "more connections than may be");
            }
            Output::Query { ticket, message, .. } => self.queries.push((ticket, message)),
            Output::Store { ticket, change } => self.stores.push_back((ticket, change)),
            Output::Load { ticket, load } => self.loads.push_back((ticket, load)),
            Output::Watch { .. } => panic!("nobody reads mail over SMTP"),
            Output::Authenticate { .. } => panic!("nobody logs in over SMTP"),
            Output::Assign { .. } => panic!("there is no other core"),
            Output::Note(event) => self.note(*event),
            Output::Drained => {
                assert!(self.draining && !self.drained, "drained out of turn");
                self.drained = true;
            }
        }
    }

    fn peer(&mut self, id: ConnectionId) -> &mut Peer {
        let peer = self.peers.iter_mut().find(|peer| peer.id == id);
        peer.expect("the relay speaks over a connection that is no more")
    }

    /// Commit, then ack.
    fn check_promises(&mut self, replies: &[u8]) {
        for line in replies.split(|b| *b == b'\n').filter(|line| line.ends_with(b" queued\r")) {
            let line = String::from_utf8_lossy(line);
            let id = line.split(' ').nth(2).and_then(|id| id.parse().ok()).expect("a queue id");
            assert!(self.accepted.contains(&id), "{id} is promised, and not on disk");
            assert!(self.promised.insert(id), "{id} is promised twice");
        }
    }

    fn note(&mut self, event: Event) {
        if let Event::Attempt(attempt) = event
            && attempt.status != AttemptStatus::Deferred
        {
            let recipient = (attempt.id, attempt.to.as_bytes().to_vec());
            if attempt.status != AttemptStatus::Sent {
                self.failed.insert(recipient.clone());
            }
            self.done.insert(recipient);
        }
    }

    /// Nobody leaves the queue who is not done with, and no failure is kept from the sender.
    fn check_settle(&self, settle: &Settle) {
        let Some(parcel) = self.disk.parcel(&settle.message, settle.parcel.part) else {
            panic!("{:?} is settled, and not on disk", settle.parcel)
        };
        assert_eq!(parcel.due, settle.was, "its row lies elsewhere");
        let left: Vec<&Address> =
            settle.left.iter().flat_map(|left| &left.recipients).map(|r| &r.address).collect();
        for recipient in parcel.recipients.iter().filter(|r| !left.contains(&&r.address)) {
            let named = (settle.message.id, recipient.address.as_bytes().to_vec());
            assert!(self.done.contains(&named), "{named:?} is dropped");
            let told = settle.message.envelope.reverse_path.is_none()
                || !recipient.notify.on_failure()
                || settle.report.is_some();
            assert!(told || !self.failed.contains(&named), "{named:?} failed in silence");
        }
    }
}

impl Disk {
    fn parcel(&self, message: &Arc<Message>, part: u16) -> Option<Parcel> {
        let id = ringmail::mail::ParcelId { message: message.id, part };
        let record = |table, key: &[u8]| {
            self.row(table, key).unwrap_or_default().map(Bytes::copy_from_slice)
        };
        let message = record(Table::Message, &key::message(id.message))?;
        let message = decode_message(id.message, message).expect("a good record");
        let parcel = record(Table::Parcel, &key::parcel(id))?;
        Some(decode_parcel(&message.into(), part, parcel).expect("a good record"))
    }
}
