//! The store at work: one thread commits for all cores, one reads for them, and a core looks for
//! itself where a few rows answer.

mod clearing;
mod commit;
mod fill;
mod glance;
mod intake;
mod load;
mod open;
mod resident;
mod source;
mod tables;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::{self, JoinHandle},
    time::Instant,
};

use crossbeam::channel::{self, Sender};

use self::{
    commit::Writer,
    intake::{Intake, Job},
    load::Ask,
    tables::Tables,
};
pub use self::{
    fill::Filling,
    glance::Glance,
    open::{OpenError, open},
    source::Source,
    tables::LmdbReads,
};
use super::mesh::Mesh;
use crate::{
    limits::{LOAD_IN_FLIGHT_MAX, STORE_CALLERS_MAX, STORE_IN_FLIGHT_MAX},
    mail::{
        QueueId,
        mailbox::{self, Act, Done, Found},
    },
    relay::Ticket,
    store::{Change, Load, Loaded, StoreError},
};

/// The store, open and swept, before its threads run.
pub struct Opened {
    pub(super) tables: Arc<Tables>,
    pub(super) highest: QueueId,
    /// Octets in pages that hold rows.
    pub(super) used: u64,
    /// There was none before.
    pub(super) new: bool,
}

/// The store with its threads.
pub struct Store {
    handle: Handle,
    failure: Failure,
    writer: JoinHandle<()>,
    loader: JoinHandle<()>,
}

/// What a core hands changes and questions to, and gets the answers of through the mesh. A thread
/// that is no core waits for them.
#[derive(Clone)]
pub struct Handle {
    intake: Arc<Intake>,
    asks: Sender<Ask>,
    tables: Weak<Tables>,
}

/// Whom an answer is for.
#[derive(Debug)]
enum Asker<T> {
    Core(u16, Ticket),
    /// A thread that waits for it, with room for one.
    Caller(Sender<T>),
}

/// Why nothing can be stored any more, once that is so.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<Option<String>>>);

impl Opened {
    /// The highest queue id ever committed.
    pub fn highest_id(&self) -> QueueId {
        self.highest
    }

    /// It was made by this start: a `data_dir` that is the wrong one is empty too.
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// Starts the threads `store` and `load`. `warn` takes sentences for the operator.
    pub fn start(
        self,
        mesh: Arc<Mesh>,
        cores: u16,
        warn: Box<dyn Fn(String) + Send + Sync>,
    ) -> io::Result<Store> {
        let warn: Arc<dyn Fn(String) + Send + Sync> = warn.into();
        let room = |of_core| usize::from(cores) * of_core + STORE_CALLERS_MAX;
        let intake = Arc::new(Intake::new(room(STORE_IN_FLIGHT_MAX)));
        // One more than may be asked: the question to stop never waits.
        let (asks, asked) = channel::bounded(room(LOAD_IN_FLIGHT_MAX) + 1);
        let failure = Failure::default();
        let writer =
            Writer::new(&self, mesh.clone(), cores, intake.clone(), failure.clone(), warn.clone());
        let Opened { tables, .. } = self;
        let handle = Handle { intake: intake.clone(), asks, tables: Arc::downgrade(&tables) };
        let writer = thread::Builder::new().name("store".into()).spawn(move || writer.run())?;
        let loader = thread::Builder::new()
            .name("load".into())
            .spawn(move || load::run(&asked, &tables, &mesh, &warn));
        match loader {
            Ok(loader) => Ok(Store { handle, failure, writer, loader }),
            Err(error) => {
                intake.stop();
                let _ = writer.join();
                Err(error)
            }
        }
    }
}

impl Store {
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Why the store stopped taking changes, if it did; the process is to end then and start
    /// again from what is on the disk.
    pub fn failed(&self) -> Option<String> {
        self.failure.sentence()
    }

    /// Commits and answers all that was handed over, and closes the store. The cores have
    /// stopped handing over by now.
    pub fn stop(self) {
        self.handle.intake.stop();
        let _ = self.handle.asks.send(Ask::Stop);
        // A thread that panicked has told why on its way; what it held is on the disk or not.
        let _ = self.writer.join();
        let _ = self.loader.join();
    }
}

impl Handle {
    /// `Input::Stored` follows.
    pub fn store(&self, core: u16, ticket: Ticket, change: Change) {
        self.push(Asker::Core(core, ticket), change);
    }

    /// `Input::Loaded` follows, unless the store is being stopped.
    pub fn load(&self, core: u16, ticket: Ticket, load: Load) {
        // Fails only when the thread has ended: nobody waits for answers then.
        let _ = self.asks.send(Ask::Load { asker: Asker::Core(core, ticket), load });
    }

    /// For a core that looks by itself.
    pub fn glance(&self) -> Glance {
        Glance::new(self.tables.clone())
    }

    /// Waits until the change is on stable storage: for threads that are no ring.
    pub fn act(&self, act: Act) -> Result<Done, StoreError> {
        let (asker, answer) = channel::bounded(1);
        self.push(Asker::Caller(asker), Change::Mailbox(Box::new(act)));
        answer.recv().unwrap_or(Err(StoreError::Failed))
    }

    /// Waits for what is found: for threads that are no ring.
    pub fn ask(&self, ask: mailbox::Ask) -> Result<Found, StoreError> {
        let (asker, answer) = channel::bounded(1);
        let load = Load::Mailbox(Box::new(ask));
        let _ = self.asks.send(Ask::Load { asker: Asker::Caller(asker), load });
        match answer.recv() {
            Ok(Loaded::Mailbox(found)) => Ok(*found),
            Ok(Loaded::Failed(error)) => Err(error),
            _ => Err(StoreError::Failed),
        }
    }

    fn push(&self, asker: Asker<Result<Done, StoreError>>, change: Change) {
        self.intake.push(Job { asker, change, since: Instant::now() });
    }
}

impl Failure {
    pub(super) fn tell(&self, sentence: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sentence);
    }

    pub(super) fn sentence(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
