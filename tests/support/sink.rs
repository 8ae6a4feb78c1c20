//! A next hop to be programmed: it keeps all mail octet for octet, and refuses, stalls, resets
//! or goes away when told.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};

use super::{PATIENCE, SINK_PORT, fresh_address};

/// What the sink does where it would otherwise go on.
#[derive(Clone, Debug)]
pub enum Turn {
    Reply(&'static str),
    Slow(Duration, &'static str),
    Close,
    Reset,
    /// Says nothing until the client goes.
    Stall,
    /// Takes nothing more from the network, and stays connected.
    Deaf,
}

/// How the sink behaves. Turns in queues are taken one by one; behind them all is well.
#[derive(Clone, Debug)]
pub struct Script {
    pub keywords: Vec<&'static str>,
    pub greeting: VecDeque<Turn>,
    /// At RCPT of this address.
    pub recipients: HashMap<&'static str, VecDeque<Turn>>,
    /// At RCPT of this address, each time.
    pub always: HashMap<&'static str, Turn>,
    /// When this many octets of a body have come.
    pub mid_data: VecDeque<(usize, Turn)>,
    /// In place of the reply to the final dot or the last chunk.
    pub end: VecDeque<Turn>,
    /// Before each reply to the final dot.
    pub delay: Duration,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            keywords: vec!["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN"],
            greeting: VecDeque::new(),
            recipients: HashMap::new(),
            always: HashMap::new(),
            mid_data: VecDeque::new(),
            end: VecDeque::new(),
            delay: Duration::ZERO,
        }
    }
}

impl Script {
    pub fn with_keywords(keywords: &[&'static str]) -> Self {
        Self { keywords: keywords.to_vec(), ..Self::default() }
    }

    pub fn recipient(mut self, address: &'static str, turns: &[Turn]) -> Self {
        self.recipients.insert(address, turns.iter().cloned().collect());
        self
    }

    pub fn always(mut self, address: &'static str, turn: Turn) -> Self {
        self.always.insert(address, turn);
        self
    }
}

/// One accepted message.
#[derive(Clone, Debug)]
pub struct Mail {
    /// What followed `MAIL FROM:`.
    pub from: String,
    /// What followed each accepted `RCPT TO:`.
    pub recipients: Vec<String>,
    /// Without stuffed dots.
    pub body: Vec<u8>,
    pub by_bdat: bool,
}

impl Mail {
    /// The trace field on top, and all that follows it.
    pub fn split_trace(&self) -> (&str, &[u8]) {
        let mut end = 0;
        loop {
            let line = memchr::memmem::find(&self.body[end..], b"\r\n").unwrap();
            end += line + 2;
            if !matches!(self.body.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        (std::str::from_utf8(&self.body[..end]).unwrap(), &self.body[end..])
    }

    /// The first line of a header field.
    pub fn field(&self, name: &str) -> Option<String> {
        let start = format!("{name}: ");
        let text = String::from_utf8_lossy(&self.body);
        text.lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Runs until dropped or stopped; what it kept stays.
pub struct Sink {
    pub address: SocketAddr,
    state: Arc<State>,
    running: Option<Running>,
}

struct State {
    script: Mutex<Script>,
    mails: Mutex<Vec<Mail>>,
    arrived: Condvar,
    connections: Mutex<usize>,
    /// Connections that were made deaf.
    deaf: AtomicUsize,
}

struct Running {
    stopping: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    thread: thread::JoinHandle<()>,
}

impl Sink {
    pub fn start(script: Script) -> Self {
        Self::start_at(SocketAddr::new(fresh_address(), SINK_PORT), script)
    }

    pub fn start_at(address: SocketAddr, script: Script) -> Self {
        let mut sink = Self::down_at(address, script);
        sink.come_up();
        sink
    }

    /// A sink that refuses connections until `come_up`.
    pub fn down(script: Script) -> Self {
        Self::down_at(SocketAddr::new(fresh_address(), SINK_PORT), script)
    }

    fn down_at(address: SocketAddr, script: Script) -> Self {
        let state = Arc::new(State {
            script: Mutex::new(script),
            mails: Mutex::default(),
            arrived: Condvar::new(),
            connections: Mutex::default(),
            deaf: AtomicUsize::new(0),
        });
        Self { address, state, running: None }
    }

    pub fn come_up(&mut self) {
        if self.running.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address)
            .unwrap_or_else(|error| panic!("{}: {error}", self.address));
        let stopping = Arc::new(AtomicBool::new(false));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (state, stop, kept) =
            (Arc::clone(&self.state), Arc::clone(&stopping), Arc::clone(&streams));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                *state.connections.lock().unwrap() += 1;
                let state = Arc::clone(&state);
                // A client that goes away in the middle ends its session, not the sink.
                thread::spawn(move || Session::new(stream, state).and_then(Session::run));
            }
        });
        self.running = Some(Running { stopping, streams, thread });
    }

    /// Closes the listener and every connection.
    pub fn go_down(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = running.thread.join();
        for stream in running.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn set(&self, script: Script) {
        *self.state.script.lock().unwrap() = script;
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.state.mails.lock().unwrap().clone()
    }

    /// Takes what has come since the last time; the sink forgets it.
    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.state.mails.lock().unwrap())
    }

    pub fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }

    /// How many connections have stopped reading.
    pub fn deaf(&self) -> usize {
        self.state.deaf.load(Ordering::SeqCst)
    }

    /// Waits until at least `count` messages are here.
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        self.wait_until(PATIENCE, &format!("{count} messages"), |mails| mails.len() >= count)
    }

    pub fn wait_until(
        &self,
        patience: Duration,
        what: &str,
        mut done: impl FnMut(&[Mail]) -> bool,
    ) -> Vec<Mail> {
        let deadline = Instant::now() + patience;
        let mut mails = self.state.mails.lock().unwrap();
        while !done(&mails) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not within {patience:?}: {what}; {} are here", mails.len());
            mails = self.state.arrived.wait_timeout(mails, left).unwrap().0;
        }
        mails.clone()
    }

    /// How often each `X-Test-Id` has come.
    pub fn ids(mails: &[Mail]) -> HashMap<String, usize> {
        let mut ids = HashMap::new();
        for mail in mails {
            *ids.entry(mail.field("X-Test-Id").unwrap_or_default()).or_default() += 1;
        }
        ids
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.go_down();
    }
}

/// One connection. `Err` ends it, whatever the cause.
struct Session {
    reader: BufReader<TcpStream>,
    state: Arc<State>,
    from: String,
    recipients: Vec<String>,
    body: Vec<u8>,
}

impl Session {
    fn new(stream: TcpStream, state: Arc<State>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let reader = BufReader::with_capacity(64 * 1024, stream);
        let (from, recipients, body) = Default::default();
        Ok(Self { reader, state, from, recipients, body })
    }

    fn run(mut self) -> io::Result<()> {
        let greeting = self.script(|script| script.greeting.pop_front());
        self.turn(greeting.unwrap_or(Turn::Reply("220 sink.example ESMTP")))?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let command = line.trim_end();
            let verb = command.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" => self.hello()?,
                "MAIL" => {
                    self.from = argument(command, "MAIL FROM:");
                    self.recipients.clear();
                    self.reply("250 2.1.0 Ok")?;
                }
                "RCPT" => self.recipient(argument(command, "RCPT TO:"))?,
                "DATA" if self.recipients.is_empty() => self.reply("503 5.5.1 No recipients")?,
                "DATA" => self.data()?,
                "BDAT" => self.chunk(command)?,
                "QUIT" => return self.reply("221 2.0.0 Bye"),
                "RSET" | "HELO" | "NOOP" => self.reply("250 2.0.0 Ok")?,
                _ => self.reply("500 5.5.2 What?")?,
            }
        }
    }

    fn script<T>(&self, ask: impl FnOnce(&mut Script) -> T) -> T {
        ask(&mut self.state.script.lock().unwrap())
    }

    fn reply(&mut self, reply: &str) -> io::Result<()> {
        self.reader.get_mut().write_all(format!("{reply}\r\n").as_bytes())
    }

    /// Does what the script says; `Err` where the connection ends by it.
    fn turn(&mut self, turn: Turn) -> io::Result<()> {
        match turn {
            Turn::Reply(reply) => return self.reply(reply),
            Turn::Slow(time, reply) => {
                thread::sleep(time);
                return self.reply(reply);
            }
            Turn::Close => self.reader.get_ref().shutdown(Shutdown::Both)?,
            Turn::Reset => self.reset()?,
            // Until the client resets the connection, or the sink goes down.
            Turn::Deaf => {
                self.state.deaf.fetch_add(1, Ordering::SeqCst);
                let gone = PollFlags::HUP | PollFlags::ERR;
                poll(&mut [PollFd::new(self.reader.get_ref(), gone)], None)?;
            }
            Turn::Stall => {
                let mut waste = [0; 4096];
                while self.reader.read(&mut waste)? > 0 {}
            }
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Connecting a stream socket to no address resets it at once, however many copies of it are
    /// open (connect(2): AF_UNSPEC).
    fn reset(&self) -> io::Result<()> {
        rustix::net::connect_unspec(self.reader.get_ref()).map_err(Into::into)
    }

    fn hello(&mut self) -> io::Result<()> {
        let mut lines = vec!["sink.example"];
        lines.extend(self.script(|script| script.keywords.clone()));
        let last = lines.len() - 1;
        for (index, line) in lines.into_iter().enumerate() {
            self.reply(&format!("250{}{line}", if index == last { ' ' } else { '-' }))?;
        }
        Ok(())
    }

    fn recipient(&mut self, argument: String) -> io::Result<()> {
        let address = argument.trim_start_matches('<').split('>').next().unwrap_or_default();
        let turn = self.script(|script| {
            let always = script.always.get(address).cloned();
            always.or_else(|| script.recipients.get_mut(address)?.pop_front())
        });
        match turn {
            Some(turn) => self.turn(turn),
            None => {
                self.recipients.push(argument);
                self.reply("250 2.1.5 Ok")
            }
        }
    }

    fn data(&mut self) -> io::Result<()> {
        self.reply("354 Go ahead")?;
        self.body.clear();
        loop {
            let start = self.body.len();
            if self.reader.read_until(b'\n', &mut self.body)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if &self.body[start..] == b".\r\n" && self.body[..start].ends_with(b"\r\n")
                || self.body == b".\r\n"
            {
                self.body.truncate(start);
                return self.end(false);
            }
            if self.body[start] == b'.' {
                self.body.remove(start);
            }
            self.middle()?;
        }
    }

    fn chunk(&mut self, command: &str) -> io::Result<()> {
        let mut words = command.split(' ').skip(1);
        let size: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let body = &mut self.body;
        if (&mut self.reader).take(size).read_to_end(body)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.recipients.is_empty() {
            return self.reply("503 5.5.1 No recipients");
        }
        self.middle()?;
        if last { self.end(true) } else { self.reply("250 2.0.0 Ok") }
    }

    /// The script may cut a body off.
    fn middle(&mut self) -> io::Result<()> {
        let octets = self.body.len();
        let turn = self.script(|script| match script.mid_data.front() {
            Some((at, _)) if octets >= *at => script.mid_data.pop_front(),
            _ => None,
        });
        turn.map_or(Ok(()), |(_, turn)| self.turn(turn))
    }

    fn end(&mut self, by_bdat: bool) -> io::Result<()> {
        let (turn, delay) = self.script(|script| (script.end.pop_front(), script.delay));
        thread::sleep(delay);
        if let Some(turn) = turn {
            self.body.clear();
            return self.turn(turn);
        }
        let mail = Mail {
            from: std::mem::take(&mut self.from),
            recipients: std::mem::take(&mut self.recipients),
            body: std::mem::take(&mut self.body),
            by_bdat,
        };
        self.state.mails.lock().unwrap().push(mail);
        self.state.arrived.notify_all();
        self.reply("250 2.0.0 Ok: kept")
    }
}

/// What follows the command's name, whatever its case.
fn argument(command: &str, name: &str) -> String {
    command.get(name.len()..).unwrap_or_default().trim_start().to_owned()
}
