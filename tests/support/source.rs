//! Clients: one that speaks SMTP line by line, and a pool that sends many messages at once and
//! remembers which were acknowledged.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::PATIENCE;

pub const SENDER: &str = "alice@sender.example";
pub const RECIPIENT: &str = "bob@rcpt.example";

/// A session that has said EHLO.
pub struct Client {
    stream: BufReader<TcpStream>,
    /// The lines of the EHLO reply.
    pub hello: String,
}

impl Client {
    pub fn connect(server: SocketAddr) -> Self {
        Self::try_connect(server).unwrap_or_else(|error| panic!("{server}: {error}"))
    }

    pub fn try_connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(stream), hello: String::new() };
        let greeting = client.reply()?;
        if !greeting.starts_with("220") {
            return Err(io::Error::other(greeting));
        }
        client.hello = client.ask("EHLO client.example")?;
        Ok(client)
    }

    /// One reply, all its lines, without the last CRLF.
    pub fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            if self.stream.read_line(&mut reply)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                reply.truncate(reply.trim_end().len());
                return Ok(reply);
            }
        }
    }

    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets)
    }

    pub fn ask(&mut self, command: &str) -> io::Result<String> {
        self.write(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    /// A command whose reply must start with `code`.
    pub fn expect(&mut self, command: &str, code: &str) -> String {
        let reply = self.ask(command).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(reply.starts_with(code), "{command}: {reply}");
        reply
    }

    /// A whole transaction by DATA with its commands pipelined: the last reply, or the first
    /// that refused. `body` is as the recipient shall see it.
    pub fn send(&mut self, mail: &str, rcpts: &[&str], body: &[u8]) -> io::Result<String> {
        let mut commands = format!("MAIL FROM:{mail}\r\n");
        for rcpt in rcpts {
            commands.push_str(&format!("RCPT TO:{rcpt}\r\n"));
        }
        commands.push_str("DATA\r\n");
        self.write(commands.as_bytes())?;
        let mut refusal = None;
        for _ in 0..rcpts.len() + 2 {
            let reply = self.reply()?;
            if !reply.starts_with(['2', '3']) && refusal.is_none() {
                refusal = Some(reply.clone());
            }
            if reply.starts_with("354") {
                self.write(&stuffed(body))?;
                let last = self.reply()?;
                return Ok(refusal.unwrap_or(last));
            }
        }
        Ok(refusal.unwrap_or_default())
    }

    /// The same by BDAT, in chunks of `chunk` octets.
    pub fn send_chunks(
        &mut self,
        mail: &str,
        rcpt: &str,
        body: &[u8],
        chunk: usize,
    ) -> io::Result<String> {
        self.ask(&format!("MAIL FROM:{mail}"))?;
        let mut reply = self.ask(&format!("RCPT TO:{rcpt}"))?;
        let mut rest = body;
        while reply.starts_with('2') {
            let (now, later) = rest.split_at(chunk.min(rest.len()));
            rest = later;
            let last = if rest.is_empty() { " LAST" } else { "" };
            self.write(format!("BDAT {}{last}\r\n", now.len()).as_bytes())?;
            self.write(now)?;
            reply = self.reply()?;
            if !last.is_empty() {
                break;
            }
        }
        Ok(reply)
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// One message that must be taken.
pub fn deliver(server: SocketAddr, body: &[u8]) {
    let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{RECIPIENT}>"));
    let reply = Client::connect(server).send(&mail, &[&rcpt], body).unwrap();
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
}

/// A message with an id to know it by. Each of its lines belongs to no other message and to no
/// other place in it.
pub fn numbered(id: &str, octets: usize) -> Vec<u8> {
    let mut body =
        format!("X-Test-Id: {id}\r\nX-Test-Size: {octets}\r\nSubject: a test\r\n\r\n").into_bytes();
    for line in 0.. {
        if body.len() >= octets {
            break;
        }
        let text = "of text, to make the message as long as it is to be.";
        body.extend_from_slice(format!("Line {line} of {id} {text}\r\n").as_bytes());
    }
    body
}

/// Whether this is a message of `numbered`, octet for octet.
pub fn is_whole(body: &[u8]) -> bool {
    let mut lines = body.split(|&octet| octet == b'\n');
    let mut field = |name: &str| {
        let line = std::str::from_utf8(lines.next()?).ok()?;
        line.trim_end().strip_prefix(name)
    };
    let (Some(id), Some(size)) = (field("X-Test-Id: "), field("X-Test-Size: ")) else {
        return false;
    };
    size.parse().is_ok_and(|size| body == numbered(id, size))
}

/// RFC 5321 §4.5.2, with the final dot.
fn stuffed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 16);
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// Many clients at once, each sending message after message with ids `PREFIX-NUMBER`.
pub struct Load {
    prefix: String,
    total: usize,
    next: AtomicUsize,
    acknowledged: Mutex<Vec<String>>,
}

impl Load {
    pub fn new(prefix: &str, total: usize) -> Self {
        let (next, acknowledged) = Default::default();
        Self { prefix: prefix.to_owned(), total, next, acknowledged }
    }

    /// Sends until all is sent, or until each client has lost its connection.
    pub fn run(&self, server: SocketAddr, clients: usize, octets: usize) {
        self.run_sized(server, clients, |_| octets);
    }

    /// The same, with a size for each number.
    pub fn run_sized(
        &self,
        server: SocketAddr,
        clients: usize,
        size: impl Fn(usize) -> usize + Sync,
    ) {
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| self.one_client(server, &size));
            }
        });
    }

    /// Ends with the first error: what was not acknowledged by then is not asked for later.
    fn one_client(&self, server: SocketAddr, size: impl Fn(usize) -> usize) -> Option<()> {
        let mut client = Client::try_connect(server).ok()?;
        let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{RECIPIENT}>"));
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.total {
                return Some(());
            }
            let id = format!("{}-{number}", self.prefix);
            let reply = client.send(&mail, &[&rcpt], &numbered(&id, size(number))).ok()?;
            if !reply.starts_with("250 2.0.0 ") {
                return None;
            }
            self.acknowledged.lock().unwrap().push(id);
        }
    }

    /// The ids that were given out, acknowledged or not.
    pub fn begun(&self) -> impl Iterator<Item = String> {
        let count = self.next.load(Ordering::SeqCst).min(self.total);
        (0..count).map(|number| format!("{}-{number}", self.prefix))
    }

    pub fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// How many are acknowledged.
    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits until `count` messages are acknowledged, so that a blow falls amid the load.
    pub fn wait_for(&self, count: usize) {
        super::eventually_within(2 * PATIENCE, &format!("{count} acknowledged"), || {
            (self.count() >= count).then_some(())
        });
    }
}

/// Sends small messages until one is refused: its reply, and the ids that were taken.
pub fn fill_up(server: SocketAddr, octets: usize, at_most: usize) -> (String, Vec<String>) {
    let mut client = Client::connect(server);
    let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{RECIPIENT}>"));
    let mut taken = Vec::new();
    for number in 0..at_most {
        let id = format!("full-{number}");
        let reply = client.send(&mail, &[&rcpt], &numbered(&id, octets)).unwrap();
        if !reply.starts_with("250") {
            return (reply, taken);
        }
        taken.push(id);
        thread::sleep(Duration::from_millis(1));
    }
    panic!("{at_most} messages of {octets} octets were all taken");
}
