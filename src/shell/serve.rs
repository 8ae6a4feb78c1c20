//! The whole house: starts store, cores and log, waits for signals, and stops them in order.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;
use crossbeam::{
    channel::{Receiver, Sender, bounded},
    select,
};

use super::{
    accept::{self, ListenError, Listener},
    clients::Clients,
    control::{Control, Imports},
    core::{self, Doors},
    entropy,
    lmdb::{self, OpenError},
    log::{self, Log},
    mesh::Mesh,
    ring::{self, RingError},
    secrets::Secrets,
    signal::{self, Signal},
    threads, welcome,
};
use crate::{
    config::{self, Config, Protocol},
    limits::SUPERVISE,
    mail::{
        QueueId,
        mailbox::{Account, Act, Ask, Directory, Found},
    },
    relay::{Input, Options, Relay, Setup, options::own_postmaster},
};

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the store failed: {0}; acknowledged mail is on disk, start again")]
    Store(String),
    #[error("{0} cannot be started: {1}; see the limits of this process")]
    Start(&'static str, io::Error),
}

/// Runs until a signal ends it, or the store fails.
pub fn serve(config: &Config) -> Result<(), ServeError> {
    ring::check()?;
    threads::die_of_panics();
    let signals = signal::catch().map_err(|error| ServeError::Start("signals", error))?;
    let (log, writer) = log::start(&config.log, io::stdout())
        .map_err(|error| ServeError::Start("the log", error))?;
    let result = House::open(config, &log).and_then(|house| {
        let ended = house.supervise(&signals, &config.drain, &log);
        house.stop();
        log.tell("stopped".to_owned());
        ended
    });
    writer.finish();
    result
}

struct House {
    mesh: Arc<Mesh>,
    clients: Arc<Clients>,
    store: lmdb::Store,
    secrets: Secrets,
    /// `None`: there is no place for its socket.
    control: Option<Control>,
    cores: Vec<JoinHandle<()>>,
    drained: Receiver<u16>,
    stop: Arc<AtomicBool>,
}

/// What a wait ended with.
#[derive(PartialEq, Eq)]
enum Woken {
    Signal(Signal),
    /// Every core has drained.
    Drained,
    Due,
}

impl House {
    fn open(config: &Config, log: &Log) -> Result<House, ServeError> {
        let start = |what| move |error| ServeError::Start(what, error);
        let processors = threads::processors().map_err(start("threads"))?;
        let count = threads::cores(config.cores, processors.len());
        let listeners = bind_all(&config.listeners, count)?;
        let opened = lmdb::open(&config.data_dir, &config.store)?;
        if opened.is_new() {
            log.tell(format!("a new store was made in {}", config.data_dir.display()));
        }
        welcome::warn_of_passwords(config, log);
        let mesh = Arc::new(Mesh::new(count).map_err(start("the inboxes"))?);
        let plan = Plan {
            options: Arc::new(Options::of(config)),
            highest_id: opened.highest_id(),
            connections: threads::connections(threads::raise_descriptors(), count),
            cores: count,
            processors,
        };
        let warnings = log.clone();
        let store = opened
            .start(mesh.clone(), count, Box::new(move |sentence| warnings.warn(sentence)))
            .map_err(start("the store"))?;
        let secrets = Secrets::start(&mesh, plan.processors.len())
            .map_err(start("the threads for passwords"))?;
        let (drained_sender, drained) = bounded(count.into());
        let mut house = House {
            mesh,
            clients: Arc::default(),
            store,
            secrets,
            control: None,
            cores: vec![],
            drained,
            stop: Arc::default(),
        };
        house.make_postmaster(config, log);
        let ports = addresses(&config.listeners, &listeners);
        if let Err(error) = house.start_cores(&plan, listeners, log, &drained_sender) {
            house.stop();
            return Err(error);
        }
        house.open_control(config, log, plan.highest_id);
        welcome::announce(&ports, config);
        Ok(house)
    }

    /// Makes sure of an account for mail to postmaster where the configuration names nobody. It has
    /// no password: nobody can log in until the operator gives it one. Where there is one already,
    /// or an alias, nothing happens; and a store without room takes no mail either.
    ///
    /// Once somebody is named, such an account must not keep the mail from them.
    fn make_postmaster(&self, config: &Config, log: &Log) {
        let own = own_postmaster(config);
        let Some(key) = own.as_ref().and_then(Account::key) else { return };
        let store = self.store.handle();
        let act = |directory| drop(store.act(Act::Directory(directory)));
        if config.smtp.postmaster.is_none() {
            return act(Directory::AddAccount { key, password: Bytes::new(), quota: None });
        }
        let found = store.ask(Ask::Account { key: key.clone() });
        let Ok(Found::Account(Some(account))) = found else { return };
        if !account.password.is_empty() {
            return;
        }
        match store.ask(Ask::Usage { account: account.id }) {
            Ok(Found::Usage { messages: 0, .. }) => act(Directory::RemoveAccount { key }),
            _ => log.warn(format!(
                "mail for postmaster goes to the account {}, which has mail from before \
                 local.postmaster was set; read it and remove the account",
                String::from_utf8_lossy(&key)
            )),
        }
    }

    /// Lets commands in. A disk that has no room for a socket keeps no mail from being delivered.
    fn open_control(&mut self, config: &Config, log: &Log, highest: QueueId) {
        let local = config.smtp.local_domains.clone();
        let imports = Imports::new(highest, config.local.mailbox_quota);
        match Control::open(&config.data_dir, local, self.store.handle(), imports) {
            Ok(control) => self.control = Some(control),
            Err(error) => log.warn(format!(
                "the control socket cannot be opened: {error}; `ringmail account` and `alias` \
                 work only while ringmail is stopped"
            )),
        }
    }

    /// Starts every core, and waits until each has its ring.
    fn start_cores(
        &mut self,
        plan: &Plan,
        listeners: Vec<Vec<Listener>>,
        log: &Log,
        drained: &Sender<u16>,
    ) -> Result<(), ServeError> {
        let (sender, ready) = bounded(plan.cores.into());
        for (core, listeners) in (0..plan.cores).zip(listeners) {
            let doors = self.doors(core, log, drained);
            self.cores.push(plan.spawn(doors, listeners, sender.clone())?);
        }
        for _ in 0..plan.cores {
            ready.recv().unwrap_or(Err(RingError::System(libc::EIO)))?;
        }
        Ok(())
    }

    fn doors(&self, core: u16, log: &Log, drained: &Sender<u16>) -> Doors {
        Doors {
            core,
            store: self.store.handle(),
            secrets: self.secrets.clone(),
            mesh: self.mesh.clone(),
            log: log.clone(),
            clients: self.clients.clone(),
            drained: drained.clone(),
            stop: self.stop.clone(),
        }
    }

    /// Waits for a signal, then drains. A second signal cuts every wait short.
    fn supervise(
        &self,
        signals: &Receiver<Signal>,
        drain: &config::Drain,
        log: &Log,
    ) -> Result<(), ServeError> {
        let mut left = self.cores.len();
        let mut wait = |time: Option<Duration>| self.wait(signals, time, &mut left, log);
        let grace = match wait(None)? {
            Woken::Signal(Signal::Terminate) => drain.grace,
            _ => Duration::ZERO,
        };
        if let Woken::Signal(_) = wait(Some(grace))? {
            return Ok(());
        }
        log.tell("draining: open transactions end, the rest waits on disk".to_owned());
        for core in 0..self.cores.len() {
            self.mesh.post(core as u16, [Input::Drain]);
        }
        // The deadline bounds all of it, what was waited for the balancer included.
        wait(Some(drain.deadline.saturating_sub(grace))).map(drop)
    }

    /// Waits for `time` at most, and until `left` cores have drained.
    fn wait(
        &self,
        signals: &Receiver<Signal>,
        time: Option<Duration>,
        left: &mut usize,
        log: &Log,
    ) -> Result<Woken, ServeError> {
        let deadline = time.map(|time| Instant::now() + time);
        loop {
            if let Some(fault) = self.store.failed() {
                return Err(ServeError::Store(fault));
            }
            let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if rest == Some(Duration::ZERO) {
                return Ok(Woken::Due);
            }
            select! {
                recv(signals) -> signal => match signal {
                    Ok(Signal::Hangup) => {
                        log.warn("reloading is not built yet; restart to change the \
                                  configuration".to_owned());
                    }
                    Ok(signal) => return Ok(Woken::Signal(signal)),
                    Err(_) => return Ok(Woken::Signal(Signal::Terminate)),
                },
                recv(self.drained) -> core => {
                    *left -= usize::from(core.is_ok());
                    if *left == 0 {
                        return Ok(Woken::Drained);
                    }
                }
                default(rest.map_or(SUPERVISE, |rest| rest.min(SUPERVISE))) => {}
            }
        }
    }

    /// Stops the cores, then the store: what the cores handed over is still committed.
    fn stop(self) {
        self.control.into_iter().for_each(Control::close);
        self.stop.store(true, Ordering::Release);
        for (core, thread) in self.cores.into_iter().enumerate() {
            // A post of nothing rings the bell.
            self.mesh.post(core as u16, []);
            // A panic has ended the process already.
            let _ = thread.join();
        }
        self.store.stop();
    }
}

/// What every core is started with.
struct Plan {
    options: Arc<Options>,
    highest_id: QueueId,
    connections: threads::Connections,
    cores: u16,
    processors: Vec<usize>,
}

impl Plan {
    fn spawn(
        &self,
        doors: Doors,
        listeners: Vec<Listener>,
        ready: Sender<Result<(), RingError>>,
    ) -> Result<JoinHandle<()>, ServeError> {
        let core = doors.core;
        let setup = Setup {
            options: self.options.clone(),
            core,
            cores: self.cores,
            random: entropy::random().map_err(|error| ServeError::Start("entropy", error))?,
            highest_id: self.highest_id,
            inbound_max: self.connections.inbound,
            outbound_max: self.connections.outbound,
        };
        let run = move || match ring::runtime() {
            Ok(runtime) => {
                // The main thread waits for it, unless another core has failed.
                let _ = ready.send(Ok(()));
                ring::run_to_end(runtime, core::run(Box::new(Relay::new(setup)), doors, listeners));
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        threads::spawn(core, self.cores, &self.processors, run)
            .map_err(|error| ServeError::Start("a core's thread", error))
    }
}

/// The sockets of each core.
fn bind_all(listeners: &[config::Listener], cores: u16) -> Result<Vec<Vec<Listener>>, ListenError> {
    let mut sockets: Vec<Vec<Listener>> = (0..cores).map(|_| Vec::new()).collect();
    for (number, listener) in (0..).zip(listeners) {
        for (own, socket) in sockets.iter_mut().zip(accept::bind(number, listener.address, cores)?)
        {
            own.push(socket);
        }
    }
    Ok(sockets)
}

fn addresses(
    listeners: &[config::Listener],
    sockets: &[Vec<Listener>],
) -> Vec<(Protocol, SocketAddr)> {
    let first = sockets.first().map_or(&[][..], Vec::as_slice);
    let both = listeners.iter().zip(first);
    both.map(|(listener, socket)| (listener.protocol, socket.address)).collect()
}
