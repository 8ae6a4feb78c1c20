//! What a commit costs: 4 KiB churn through the store's threads by batch, and why bodies lie in
//! rows of a page rather than in one value each.

use std::{
    collections::VecDeque,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, types::Bytes as Octets};
use ringmail::{
    config,
    limits::{BODY_ROW, CHECKSUM},
    mail::{
        Address, Class, DestinationKey, Due, Envelope, Message, Parcel, QueueId, Recipient, Wire,
    },
    random::Random,
    relay::{Input, Ticket},
    shell::{
        lmdb::{Handle, Store, open},
        mesh::Mesh,
    },
    store::{
        Accept, Change, Settle,
        checksum::{Of, checksum},
    },
    time::Wall,
};

/// The ticket of every message; settles have another.
const AWAITED: Ticket = Ticket(1);

/// One core's side of the store.
struct Core {
    mesh: Arc<Mesh>,
    store: Store,
    handle: Handle,
    next: u64,
    live: VecDeque<Accept>,
}

impl Core {
    fn new(dir: &Path) -> Core {
        let mesh = Arc::new(Mesh::new(1).expect("an eventfd"));
        let opened = open(dir, &config::Store { size_max: 0 }).expect("a store");
        let warn = Box::new(|sentence| eprintln!("{sentence}"));
        let store = opened.start(mesh.clone(), 1, warn).expect("threads");
        Core { mesh, handle: store.handle(), store, next: 0, live: VecDeque::new() }
    }

    /// Hands over `count` messages and as many settles of older ones; waits for the messages'
    /// answers, as a client does. Nobody waits for a settle: it may sit out `SETTLE_GATHER`.
    fn churn(&mut self, count: usize, size: usize) {
        let mut open = count;
        for _ in 0..count {
            self.next += 1;
            let one = message(self.next, size);
            self.handle.store(0, AWAITED, Change::Accept(Box::new(one.clone())));
            self.live.push_back(one);
            if self.live.len() > 1024 {
                let old = self.live.pop_front().expect("it is not empty");
                self.handle.store(0, Ticket(0), settle(&old));
            }
        }
        while open > 0 {
            match self.mesh.take(0) {
                Some(Input::Stored { ticket, result, .. }) => {
                    result.expect("it is stored");
                    open -= usize::from(ticket == AWAITED);
                }
                Some(_) => {}
                None => {
                    rustix::io::read(self.mesh.bell(0), &mut [0; 8]).expect("the bell");
                    self.mesh.heard(0);
                }
            }
        }
    }
}

fn message(id: u64, size: usize) -> Accept {
    let address = |text: &'static str| Address::parse(Bytes::from_static(text.as_bytes()));
    let sender = address("sender@example.net").expect("an address");
    let message = Arc::new(Message {
        id: QueueId::from_u64(id << 14),
        arrived: Wall::from_millis(id),
        envelope: Envelope { reverse_path: Some(sender), ..Envelope::default() },
        wire: Wire::Stuffed,
        size: size as u64,
        parcels: 1,
    });
    let parcel = Parcel {
        message: message.clone(),
        part: 0,
        due: Due {
            destination: DestinationKey::of(&format!("d{}.example", id % 100), 0, 1),
            class: Class::Fresh,
            at: Wall::from_millis(id),
        },
        attempts: 0,
        warned: false,
        recipients: vec![Recipient::plain(address("recipient@example.org").expect("an address"))],
        last_reply: Bytes::new(),
        body: None,
    };
    let body = vec![Bytes::from(vec![b'x'; size])];
    Accept { message, parcels: vec![parcel], body, spooled_rows: 0 }
}

fn settle(accept: &Accept) -> Change {
    let parcel = &accept.parcels[0];
    Change::Settle(Box::new(Settle {
        message: accept.message.clone(),
        parcel: parcel.id(),
        was: parcel.due,
        left: None,
        report: None,
        delivery: None,
    }))
}

fn by_batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("accept+settle 4 KiB, messages/s");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    for batch in [1, 16, 128] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut core = Core::new(dir.path());
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("batch {batch}"), |bencher| {
            bencher.iter(|| core.churn(batch, 4096));
        });
        core.store.stop();
    }
}

/// A row of a body is summed once when it is written and once when it is read.
fn sums(criterion: &mut Criterion) {
    let row = vec![b'x'; BODY_ROW];
    let of = Of::Body(QueueId::from_u64(1), 0);
    let mut group = criterion.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(BODY_ROW as u64));
    group.bench_function("a row", |bencher| {
        bencher.iter(|| checksum(of, &[std::hint::black_box(&row)]));
    });
    group.finish();
}

/// How a body lies in the experiment that weighs the format: one value, or rows of so many pages.
#[derive(Clone, Copy, Debug)]
enum Layout {
    OneValue,
    RowsOfPages(usize),
}

impl Layout {
    const ALL: [Layout; 4] =
        [Layout::OneValue, Layout::RowsOfPages(1), Layout::RowsOfPages(4), Layout::RowsOfPages(16)];

    /// Octets of a body in one row, its checksum and LMDB's page header beside it.
    fn row(self) -> usize {
        match self {
            Layout::OneValue => usize::MAX,
            Layout::RowsOfPages(pages) => BODY_ROW + (pages - 1) * 4096,
        }
    }
}

/// What comes and goes.
#[derive(Clone, Copy, Debug)]
enum Mail {
    /// 4 KiB with our trace field.
    Small,
    /// As many of 1 to 2 KiB as of 512 KiB to 1 MiB.
    Mixed,
    /// 1 MiB each, in a store whose free pages a drained backlog of small mail left scattered.
    LargeAfterSmall,
}

impl Mail {
    fn size(self, random: &mut Random) -> usize {
        match self {
            Mail::Small => 4300,
            Mail::Mixed => (1024 << random.below(10)) + random.below(1024) as usize,
            Mail::LargeAfterSmall => 1 << 20,
        }
    }
}

type Bodies = Database<'static, Octets, Octets>;

fn environment(dir: &Path) -> (Env, Bodies) {
    // SAFETY: the folder is new and nobody else's.
    let env = unsafe {
        EnvOpenOptions::new().map_size(64 << 30).max_dbs(1).open(dir).expect("an environment")
    };
    let txn = env.write_txn().expect("a transaction");
    let bodies = env
        .create_databases_and_commit(txn, |opener, txn| {
            opener.create_database(txn, Some("body")).map(CommitOrAbort::<_, ()>::Commit)
        })
        .expect("a database")
        .unwrap_commit();
    (env, bodies)
}

const BATCH: usize = 32;
const LIVE: usize = 512 << 20;

/// Bodies on a real LMDB, with their volume.
struct Churn {
    env: Env,
    bodies: Bodies,
    layout: Layout,
    random: Random,
    content: Vec<u8>,
    live: Vec<(u64, usize)>,
    next: u64,
    volume: usize,
}

impl Churn {
    /// One durable transaction: a batch comes, and what is over `keep` goes in random order.
    /// The time before the commit and with it.
    fn batch(&mut self, mail: Mail, keep: usize) -> (Duration, Duration) {
        let begun = Instant::now();
        let env = self.env.clone();
        let mut txn = env.write_txn().expect("a transaction");
        for _ in 0..BATCH {
            let size = mail.size(&mut self.random);
            self.next += 1;
            for (row, part) in (0u32..).zip(self.content[..size].chunks(self.layout.row())) {
                let key = row_key(self.next, row);
                let value = &self.content[..part.len() + CHECKSUM];
                self.bodies.put(&mut txn, &key, value).expect("a put");
            }
            self.live.push((self.next, size));
            self.volume += size;
        }
        while self.volume > keep {
            let place = self.random.below(self.live.len() as u32) as usize;
            let (id, size) = self.live.swap_remove(place);
            for row in 0..size.div_ceil(self.layout.row()) as u32 {
                self.bodies.delete(&mut txn, &row_key(id, row)).expect("a delete");
            }
            self.volume -= size;
        }
        let before = begun.elapsed();
        txn.commit().expect("a commit");
        (before, begun.elapsed())
    }

    fn file(&self) -> u64 {
        self.env.real_disk_size().expect("a size") >> 20
    }
}

fn row_key(id: u64, row: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&id.to_be_bytes());
    key[8..].copy_from_slice(&row.to_be_bytes());
    key
}

/// Fills the store, churns, and says what that cost.
fn weigh(layout: Layout, mail: Mail, batches: u32) {
    let dir = tempfile::tempdir().expect("a folder");
    let (env, bodies) = environment(dir.path());
    let random = Random::from_seed([42; 32]);
    let content = vec![b'x'; (1 << 20) + CHECKSUM];
    let (live, next, volume) = (Vec::new(), 0, 0);
    let mut churn = Churn { env, bodies, layout, random, content, live, next, volume };
    let filling = if matches!(mail, Mail::LargeAfterSmall) { Mail::Small } else { mail };
    while churn.volume + BATCH * (1 << 20) < LIVE {
        churn.batch(filling, LIVE);
    }
    if matches!(mail, Mail::LargeAfterSmall) {
        // Three quarters of the backlog leave, a little at a time.
        while churn.volume > LIVE / 4 {
            let keep = churn.volume - (4 << 20);
            churn.batch(filling, keep);
        }
    }
    let full = churn.file();
    let (mut before, mut whole, mut worst) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for _ in 0..batches {
        let (touched, committed) = churn.batch(mail, LIVE);
        before += touched;
        whole += committed;
        worst = worst.max(committed);
    }
    let messages = u128::from(batches) * BATCH as u128;
    println!(
        "{mail:?} {layout:?}: a message {} µs before the commit, {} µs with it; slowest batch of \
         {BATCH} {} ms; {} MiB live, file {full} MiB before and {} MiB after",
        before.as_micros() / messages,
        whole.as_micros() / messages,
        worst.as_millis(),
        churn.volume >> 20,
        churn.file(),
    );
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    sums(&mut criterion);
    by_batch(&mut criterion);
    // The layouts take minutes: only a run that names nothing else weighs them.
    if std::env::args().skip(1).all(|argument| argument == "--bench") {
        for (mail, batches) in
            [(Mail::Small, 2000), (Mail::Mixed, 2000), (Mail::LargeAfterSmall, 60)]
        {
            // In turns, so that the state of the disk favours none.
            for _ in 0..3 {
                for layout in Layout::ALL {
                    weigh(layout, mail, batches);
                }
            }
        }
    }
    criterion.final_summary();
}
