//! A small IMAP server of threads, which answers by rule.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, Stream};

/// What the server does with a command.
#[derive(Clone, Copy)]
pub enum Answer {
    Ok,
    After(Duration),
    No(&'static str),
    Drop,
    Silence,
}

/// The answer to a word's n-th coming, n from 1 on.
pub type Rules = fn(word: &str, count: usize) -> Answer;

pub struct Server {
    pub address: SocketAddr,
    pub state: Arc<State>,
}

pub struct State {
    rules: Rules,
    capabilities: &'static str,
    tls: Option<Arc<ServerConfig>>,
    counts: Mutex<HashMap<String, usize>>,
    /// By user: the sizes of the messages.
    pub mailboxes: Mutex<HashMap<String, Vec<usize>>>,
    idlers: Mutex<Vec<(String, TcpStream)>>,
    /// How long a new message takes to be told to idlers.
    notice_delay: Duration,
    pub connections: AtomicUsize,
}

impl Server {
    pub fn start(rules: Rules, capabilities: &'static str) -> Self {
        Self::begin(rules, capabilities, None, Duration::ZERO)
    }

    pub fn begin(
        rules: Rules,
        capabilities: &'static str,
        tls: Option<Arc<ServerConfig>>,
        notice_delay: Duration,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            rules,
            capabilities,
            tls,
            counts: Mutex::default(),
            mailboxes: Mutex::default(),
            idlers: Mutex::default(),
            notice_delay,
            connections: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                state.connections.fetch_add(1, Ordering::Relaxed);
                // A client that leaves ends its thread by an error.
                thread::spawn(move || serve(&state, Wire::new(stream)));
            }
        });
        Self { address, state }
    }

    /// How often a command came.
    pub fn count(&self, word: &str) -> usize {
        self.state.counts.lock().unwrap().get(word).copied().unwrap_or(0)
    }
}

/// A connection, in clear or not, read line by line.
struct Wire {
    stream: TcpStream,
    tls: Option<ServerConnection>,
    buffer: Vec<u8>,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, tls: None, buffer: Vec::new() }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => Stream::new(tls, &mut self.stream).write_all(text.as_bytes()),
            None => self.stream.write_all(text.as_bytes()),
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        let count = match &mut self.tls {
            Some(tls) => Stream::new(tls, &mut self.stream).read(&mut piece)?,
            None => self.stream.read(&mut piece)?,
        };
        self.buffer.extend_from_slice(&piece[..count]);
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.more()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.octets(end + 2)?;
                return Ok(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            self.more()?;
        }
    }
}

fn serve(state: &State, mut wire: Wire) -> io::Result<()> {
    wire.write("* OK ready\r\n")?;
    let mut user = String::new();
    loop {
        let line = wire.line()?;
        let (tag, words) = line.split_once(' ').unwrap();
        let word = match words.split_once(' ') {
            Some(("UID", rest)) => rest.split(' ').next().unwrap(),
            Some((word, _)) => word,
            None => words,
        };
        let answer = (state.rules)(word, state.met(word));
        match answer {
            Answer::After(delay) => thread::sleep(delay),
            Answer::Drop => return Ok(()),
            Answer::Silence => continue,
            Answer::Ok | Answer::No(_) => {}
        }
        // A literal comes even where it is refused: it may be on its way already.
        let size = if word == "APPEND" { literal(&mut wire, words)? } else { 0 };
        if let Answer::No(text) = answer {
            wire.write(&format!("{tag} NO {text}\r\n"))?;
            continue;
        }
        match word {
            "LOGIN" => words.split('"').nth(1).unwrap().clone_into(&mut user),
            "APPEND" => state.append(&user, size)?,
            "IDLE" => state.idle(&user, &mut wire)?,
            _ => {}
        }
        let told = state.told(word, &user);
        wire.write(&format!("{told}{tag} OK done\r\n"))?;
        match (word, &state.tls) {
            ("STARTTLS", Some(config)) => {
                wire.tls = Some(ServerConnection::new(Arc::clone(config)).unwrap());
            }
            ("LOGOUT", _) => return Ok(()),
            _ => {}
        }
    }
}

/// Reads the message of an APPEND; gives its size.
fn literal(wire: &mut Wire, words: &str) -> io::Result<usize> {
    let (_, size) = words.trim_end_matches('}').rsplit_once('{').unwrap();
    if !size.ends_with('+') {
        wire.write("+ go on\r\n")?;
    }
    let size = size.trim_end_matches('+').parse().unwrap();
    let message = String::from_utf8(wire.octets(size)?).unwrap();
    assert!(message.contains("Message-ID: <"), "{message}");
    assert_eq!(wire.line()?, "", "the command ends after its literal");
    Ok(size)
}

impl State {
    fn met(&self, word: &str) -> usize {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(word.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// What comes before the OK.
    fn told(&self, word: &str, user: &str) -> String {
        match word {
            "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 {}\r\n", self.capabilities),
            "SELECT" => {
                let count = self.mailboxes.lock().unwrap().get(user).map_or(0, Vec::len);
                format!("* {count} EXISTS\r\n* OK [UIDNEXT {}] next\r\n", count + 1)
            }
            "FETCH" => "* 1 FETCH (UID 1 BODY[] {14}\r\na1 OK fooled\r\n)\r\n".to_owned(),
            "SEARCH" => "* SEARCH 1\r\n".to_owned(),
            _ => String::new(),
        }
    }

    fn append(&self, user: &str, size: usize) -> io::Result<()> {
        let count = {
            let mut mailboxes = self.mailboxes.lock().unwrap();
            let mailbox = mailboxes.entry(user.to_owned()).or_default();
            mailbox.push(size);
            mailbox.len()
        };
        let mut idlers = self.idlers.lock().unwrap();
        if !idlers.is_empty() {
            thread::sleep(self.notice_delay);
        }
        for (_, idler) in idlers.iter_mut().filter(|(name, _)| name == user) {
            idler.write_all(format!("* {count} EXISTS\r\n").as_bytes())?;
        }
        Ok(())
    }

    /// Until the client says DONE.
    fn idle(&self, user: &str, wire: &mut Wire) -> io::Result<()> {
        let idler = (user.to_owned(), wire.stream.try_clone()?);
        self.idlers.lock().unwrap().push(idler);
        wire.write("+ idling\r\n")?;
        wire.line().map(drop)
    }
}
