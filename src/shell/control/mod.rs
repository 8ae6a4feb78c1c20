//! The control socket: a command on this machine asks the server that has the store, or does its
//! work itself where no server runs.

mod execute;
mod frame;
mod import;
mod request;

use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use rustix::fs::{Mode, fchmod};
use socket2::{SockAddr, Socket, Type};

use self::request::Answer;
pub use self::{
    execute::{Failure, Tell, execute},
    import::{Imports, with_inlet},
    request::{Name, Request, RequestError, line_to_json, parse_address},
};
use super::{
    lmdb::{self, OpenError, Opened},
    mesh::Mesh,
};
use crate::{
    config::Config,
    limits::{ACCEPT_REST, CONTROL_BACKLOG, CONTROL_LINE_MAX, CONTROL_PATIENCE, CONTROL_TIMEOUT},
    mail::{Domain, mailbox::AddressLine},
};

/// The socket of a server, open. Its thread ends with the process.
pub struct Control {
    path: PathBuf,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("{0}")]
    Answered(String),
    #[error("the server did not say how it ended: {0}; look at the list before you ask again")]
    Lost(io::Error),
    #[error("the store's threads cannot be started: {0}; see the limits of this process")]
    Start(io::Error),
}

impl Control {
    /// Opens the socket in `data_dir`, whose lock this process holds, and answers on it.
    pub fn open(
        data_dir: &Path,
        local: Arc<HashSet<Domain>>,
        store: lmdb::Handle,
        imports: Imports,
    ) -> io::Result<Control> {
        let path = socket_path(data_dir);
        let listener = bind(&path)?;
        let run = move || answer_all(&listener, &local, &store, &imports);
        thread::Builder::new().name("control".into()).spawn(run)?;
        Ok(Control { path })
    }

    /// No command finds the server any more.
    pub fn close(self) {
        // Where it stays, the next start replaces it.
        let _ = fs::remove_file(self.path);
    }
}

/// Does what is asked: through the server that has the store of `config`, or, where none runs, in
/// the store itself.
pub fn perform(config: &Config, request: &Request, tell: Tell) -> Result<(), ControlError> {
    let path = socket_path(&config.data_dir);
    let began = Instant::now();
    loop {
        if let Ok(server) = UnixStream::connect(&path) {
            return ask(&server, request, tell);
        }
        match lmdb::open(&config.data_dir, &config.store) {
            Ok(opened) => return perform_alone(opened, &config.smtp.local_domains, request, tell),
            // Another command, or a server that starts or stops.
            Err(OpenError::Locked { .. }) if began.elapsed() < CONTROL_PATIENCE => {
                thread::sleep(ACCEPT_REST);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a server has the store in `data_dir`.
pub fn is_served(data_dir: &Path) -> bool {
    UnixStream::connect(socket_path(data_dir)).is_ok()
}

fn perform_alone(
    opened: Opened,
    local: &HashSet<Domain>,
    request: &Request,
    tell: Tell,
) -> Result<(), ControlError> {
    let mesh = Arc::new(Mesh::new(0).map_err(ControlError::Start)?);
    let warn = Box::new(|sentence| eprintln!("ringmail: {sentence}"));
    let store = opened.start(mesh, 0, warn).map_err(ControlError::Start)?;
    let result = execute(request, &store.handle(), local, tell);
    store.stop();
    Ok(result?)
}

fn ask(server: &UnixStream, request: &Request, tell: Tell) -> Result<(), ControlError> {
    let mut out = server;
    writeln!(out, "{}", request.to_json()).map_err(ControlError::Lost)?;
    for line in BufReader::new(server).split(b'\n') {
        match Answer::of_json(&line.map_err(ControlError::Lost)?) {
            Some(Answer::Line(line)) => tell(line).map_err(Failure::Tell)?,
            Some(Answer::Done) => return Ok(()),
            Some(Answer::Failed(sentence)) => return Err(ControlError::Answered(sentence)),
            None => return Err(ControlError::Lost(io::ErrorKind::InvalidData.into())),
        }
    }
    Err(ControlError::Lost(io::ErrorKind::UnexpectedEof.into()))
}

fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control")
}

/// Binds a socket that is nobody else's from its first moment on.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(socket2::Domain::UNIX, Type::STREAM, None)?;
    // The file takes the mode that the socket has when it is bound.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(CONTROL_BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}

fn answer_all(
    listener: &UnixListener,
    local: &HashSet<Domain>,
    store: &lmdb::Handle,
    imports: &Imports,
) {
    for client in listener.incoming() {
        match client {
            // A client that is gone is told nothing more.
            Ok(client) => drop(answer(client, local, store, imports)),
            Err(_) => thread::sleep(ACCEPT_REST),
        }
    }
}

/// One request and its answers.
fn answer(
    client: UnixStream,
    local: &HashSet<Domain>,
    store: &lmdb::Handle,
    imports: &Imports,
) -> io::Result<()> {
    client.set_read_timeout(Some(CONTROL_TIMEOUT))?;
    client.set_write_timeout(Some(CONTROL_TIMEOUT))?;
    let mut line = Vec::new();
    BufReader::new((&client).take(CONTROL_LINE_MAX)).read_until(b'\n', &mut line)?;
    let request = match Request::of_json(&line) {
        Ok(Request::Import { name }) => return imports.begin(client, name, store.clone()),
        request => request,
    };
    let mut out = BufWriter::new(&client);
    let mut tell = |line: AddressLine| writeln!(out, "{}", Answer::Line(line).to_json());
    let last = match request {
        Ok(request) => match execute(&request, store, local, &mut tell) {
            Ok(()) => Answer::Done,
            Err(failure) => Answer::Failed(failure.to_string()),
        },
        Err(error) => Answer::Failed(error.to_string()),
    };
    writeln!(out, "{}", last.to_json())?;
    out.flush()
}
