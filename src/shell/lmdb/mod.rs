//! The store at work: one thread commits for all cores, one reads for them.

mod commit;
mod intake;
mod load;
mod open;
mod resident;
mod tables;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use crossbeam::channel::{self, Sender};

pub use self::open::{OpenError, open};
use self::{
    commit::Writer,
    intake::{Intake, Job},
    load::Ask,
    tables::Tables,
};
use super::mesh::Mesh;
use crate::{
    limits::{LOAD_IN_FLIGHT_MAX, STORE_IN_FLIGHT_MAX},
    mail::QueueId,
    relay::Ticket,
    store::{Change, Load},
};

/// The store, open and swept, before its threads run.
pub struct Opened {
    pub(super) tables: Arc<Tables>,
    pub(super) highest: QueueId,
    /// Octets in pages that hold rows.
    pub(super) used: u64,
}

/// The store with its threads.
pub struct Store {
    handle: Handle,
    failure: Failure,
    writer: JoinHandle<()>,
    loader: JoinHandle<()>,
}

/// What a core hands changes and questions to. The answers come through the mesh.
#[derive(Clone)]
pub struct Handle {
    intake: Arc<Intake>,
    asks: Sender<Ask>,
}

/// Why nothing can be stored any more, once that is so.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<Option<String>>>);

impl Opened {
    /// The highest queue id ever committed.
    pub fn highest_id(&self) -> QueueId {
        self.highest
    }

    /// Starts the threads `store` and `load`. `warn` takes sentences for the operator.
    pub fn start(
        self,
        mesh: Arc<Mesh>,
        cores: u16,
        warn: Box<dyn Fn(String) + Send + Sync>,
    ) -> io::Result<Store> {
        let warn: Arc<dyn Fn(String) + Send + Sync> = warn.into();
        let intake = Arc::new(Intake::new(usize::from(cores) * STORE_IN_FLIGHT_MAX));
        // One more than the cores may ask: the question to stop never waits.
        let (asks, asked) = channel::bounded(usize::from(cores) * LOAD_IN_FLIGHT_MAX + 1);
        let failure = Failure::default();
        let writer =
            Writer::new(&self, mesh.clone(), cores, intake.clone(), failure.clone(), warn.clone());
        let tables = self.tables;
        let writer = thread::Builder::new().name("store".into()).spawn(move || writer.run())?;
        let loader = thread::Builder::new()
            .name("load".into())
            .spawn(move || load::run(&asked, &tables, &mesh, &warn));
        match loader {
            Ok(loader) => Ok(Store { handle: Handle { intake, asks }, failure, writer, loader }),
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
        self.intake.push(Job { core, ticket, change, since: Instant::now() });
    }

    /// `Input::Loaded` follows, unless the store is being stopped.
    pub fn load(&self, core: u16, ticket: Ticket, load: Load) {
        // Fails only when the thread has ended: nobody waits for answers then.
        let _ = self.asks.send(Ask::Load { core, ticket, load });
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
