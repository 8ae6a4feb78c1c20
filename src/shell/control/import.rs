//! Imports: a server takes one at a time beside its other work, or the command does it alone.

use std::{
    io::{self, BufRead, BufReader, BufWriter, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, TryLockError},
    thread,
    time::Instant,
};

use super::{
    Answer, ControlError, Failure, Name, OpenError, Request, ask,
    frame::{self, Frame},
    socket_path,
};
use crate::{
    config::Config,
    limits::{ACCEPT_REST, CONTROL_PATIENCE, IMPORT_CORE, IMPORT_PATIENCE},
    mail::{
        QueueId, QueueIds,
        exchange::Marks,
        mailbox::{AccountId, Ask, Found, MailboxName},
    },
    shell::{
        exchange::{ExchangeError, Importer, Inlet},
        lmdb::{self, Opened},
        mesh::Mesh,
    },
    store::StoreError,
};

/// What a server needs for imports.
#[derive(Clone)]
pub struct Imports {
    /// Locked by the one that is under way.
    ids: Arc<Mutex<QueueIds>>,
    quota: u64,
}

type GoOn<'a, T> = &'a mut dyn FnMut(&mut dyn Inlet) -> Result<T, ExchangeError>;

impl Imports {
    /// `highest` is the highest id that the store has; `quota` that of accounts without their own.
    pub fn new(highest: QueueId, quota: u64) -> Self {
        Self { ids: Arc::new(Mutex::new(QueueIds::new(IMPORT_CORE, highest))), quota }
    }

    /// Takes an import in a thread of its own, so that other commands have their turn.
    pub fn begin(&self, client: UnixStream, name: Name, store: lmdb::Handle) -> io::Result<()> {
        let imports = self.clone();
        thread::Builder::new()
            .name("import".into())
            .spawn(move || imports.take(&client, &name, &store))
            .map(drop)
    }

    fn take(&self, client: &UnixStream, name: &Name, store: &lmdb::Handle) -> io::Result<()> {
        client.set_read_timeout(Some(IMPORT_PATIENCE))?;
        let answer = match self.take_all(client, name, store) {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Failed(error.to_string()),
        };
        let mut out = client;
        writeln!(out, "{}", answer.to_json())
    }

    fn take_all(
        &self,
        client: &UnixStream,
        name: &Name,
        store: &lmdb::Handle,
    ) -> Result<(), ExchangeError> {
        let mut ids = match self.ids.try_lock() {
            Ok(ids) => ids,
            Err(TryLockError::Poisoned(ids)) => ids.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(ExchangeError::Answered(Failure::Busy.to_string()));
            }
        };
        let account = account(store, name)?;
        let mut inlet = Importer::new(store, (account, self.quota), &mut ids);
        let mut out = client;
        // The command sends nothing before it has this.
        writeln!(out, "{}", Answer::Done.to_json()).map_err(ExchangeError::Server)?;
        let mut frames = BufReader::new(client);
        let mut room = Vec::new();
        loop {
            match frame::read(&mut frames, &mut room).map_err(ExchangeError::Server)? {
                Frame::Folder(name) => inlet.folder(&name)?,
                Frame::Octets(octets) => inlet.octets(octets)?,
                Frame::End(marks) => inlet.end(marks)?,
                Frame::Finish => return inlet.finish(),
            }
        }
    }
}

fn account(store: &lmdb::Handle, name: &Name) -> Result<AccountId, ExchangeError> {
    match store.ask(Ask::Account { key: name.key().clone() })? {
        Found::Account(Some(account)) => Ok(account.id),
        Found::Account(None) => Err(ExchangeError::NoAccount(name.as_str().to_owned())),
        _ => Err(StoreError::Failed.into()),
    }
}

/// Goes on with what takes messages for an account: the server that has the store of `config`, or
/// the store itself where none runs.
pub fn with_inlet<T>(
    config: &Config,
    name: Name,
    go_on: GoOn<'_, T>,
) -> Result<Result<T, ExchangeError>, ControlError> {
    let path = socket_path(&config.data_dir);
    let began = Instant::now();
    loop {
        if let Ok(server) = UnixStream::connect(&path) {
            return through(&server, name, go_on);
        }
        match lmdb::open(&config.data_dir, &config.store) {
            Ok(opened) => return alone(opened, config.local.mailbox_quota, &name, go_on),
            // Another command, or a server that starts or stops.
            Err(OpenError::Locked { .. }) if began.elapsed() < CONTROL_PATIENCE => {
                thread::sleep(ACCEPT_REST);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn alone<T>(
    opened: Opened,
    quota: u64,
    name: &Name,
    go_on: GoOn<'_, T>,
) -> Result<Result<T, ExchangeError>, ControlError> {
    let mut ids = QueueIds::new(IMPORT_CORE, opened.highest_id());
    let mesh = Arc::new(Mesh::new(0).map_err(ControlError::Start)?);
    let warn = Box::new(|sentence| eprintln!("ringmail: {sentence}"));
    let store = opened.start(mesh, 0, warn).map_err(ControlError::Start)?;
    let handle = store.handle();
    let result = account(&handle, name)
        .and_then(|account| go_on(&mut Importer::new(&handle, (account, quota), &mut ids)));
    store.stop();
    Ok(result)
}

fn through<T>(
    server: &UnixStream,
    name: Name,
    go_on: GoOn<'_, T>,
) -> Result<Result<T, ExchangeError>, ControlError> {
    ask(server, &Request::Import { name }, &mut |_| Ok(()))?;
    Ok(go_on(&mut Remote { server, out: BufWriter::new(server) }))
}

/// A server that takes messages.
struct Remote<'a> {
    server: &'a UnixStream,
    out: BufWriter<&'a UnixStream>,
}

impl Remote<'_> {
    fn send(&mut self, frame: &Frame<'_>) -> Result<(), ExchangeError> {
        frame::write(&mut self.out, frame).map_err(|error| self.reason(error))
    }

    /// Why the server takes no more: it has said so before it closed.
    fn reason(&self, error: io::Error) -> ExchangeError {
        match self.answer() {
            Ok(Answer::Failed(sentence)) => ExchangeError::Answered(sentence),
            _ => ExchangeError::Server(error),
        }
    }

    fn answer(&self) -> io::Result<Answer> {
        let mut line = Vec::new();
        BufReader::new(self.server).read_until(b'\n', &mut line)?;
        Answer::of_json(&line).ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

impl Inlet for Remote<'_> {
    fn folder(&mut self, name: &MailboxName) -> Result<(), ExchangeError> {
        self.send(&Frame::Folder(name.clone()))
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), ExchangeError> {
        self.send(&Frame::Octets(octets))
    }

    fn end(&mut self, marks: Marks) -> Result<(), ExchangeError> {
        self.send(&Frame::End(marks))
    }

    fn finish(&mut self) -> Result<(), ExchangeError> {
        self.send(&Frame::Finish)?;
        self.out.flush().map_err(|error| self.reason(error))?;
        match self.answer() {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Failed(sentence)) => Err(ExchangeError::Answered(sentence)),
            Ok(Answer::Line(_)) => Err(ExchangeError::Server(io::ErrorKind::InvalidData.into())),
            Err(error) => Err(ExchangeError::Server(error)),
        }
    }
}
