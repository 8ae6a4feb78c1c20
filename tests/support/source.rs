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

/// A small message with an id to know it by.
pub fn numbered(id: &str, octets: usize) -> Vec<u8> {
    let mut body = format!("X-Test-Id: {id}\r\nSubject: a test\r\n\r\n").into_bytes();
    while body.len() < octets {
        body.extend_from_slice(b"Some sixty octets of text, which repeat until it is enough.\r\n");
    }
    body
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
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| self.one_client(server, octets));
            }
        });
    }

    /// Ends with the first error: what was not acknowledged by then is not asked for later.
    fn one_client(&self, server: SocketAddr, octets: usize) -> Option<()> {
        let mut client = Client::try_connect(server).ok()?;
        let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{RECIPIENT}>"));
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.total {
                return Some(());
            }
            let id = format!("{}-{number}", self.prefix);
            let reply = client.send(&mail, &[&rcpt], &numbered(&id, octets)).ok()?;
            if !reply.starts_with("250 2.0.0 ") {
                return None;
            }
            self.acknowledged.lock().unwrap().push(id);
        }
    }

    pub fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Waits until `count` messages are acknowledged, so that a blow falls amid the load.
    pub fn wait_for(&self, count: usize) {
        super::eventually_within(2 * PATIENCE, &format!("{count} acknowledged"), || {
            (self.acknowledged.lock().unwrap().len() >= count).then_some(())
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
