//! A client of IMAP with a reader of its own for what servers say, and a mirror of a mailbox that
//! is kept from untagged data alone.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use super::PATIENCE;

/// One session.
pub struct Imap {
    stream: BufReader<TcpStream>,
    tags: usize,
}

/// One thing that a server says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    Untagged(Untagged),
    /// The text behind `+`.
    Continue(String),
    /// Tag, `OK`, `NO` or `BAD`, the rest.
    Tagged(String, String, String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Untagged {
    Exists(u32),
    Expunge(u32),
    Vanished {
        earlier: bool,
        uids: Vec<u32>,
    },
    Fetch(Fetched),
    Search(Vec<u32>),
    /// Any other line, without its star.
    Other(String),
}

/// What one FETCH response tells of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fetched {
    pub number: u32,
    pub uid: Option<u32>,
    pub flags: Option<BTreeSet<String>>,
    pub modseq: Option<u64>,
    /// Of `BODY[…]`, `RFC822` and the like, by their names.
    pub texts: Vec<(String, Vec<u8>)>,
}

/// A command's untagged data and its last line.
#[derive(Clone, Debug)]
pub struct Reply {
    pub untagged: Vec<Untagged>,
    pub status: String,
    pub text: String,
}

/// A value of a response.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Value {
    Atom(String),
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Imap {
    /// A session that has been greeted.
    pub fn connect(server: SocketAddr) -> Self {
        Self::try_connect(server).unwrap_or_else(|error| panic!("{server}: {error}"))
    }

    pub fn try_connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(2 * PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(stream), tags: 0 };
        match client.hear()? {
            Said::Untagged(Untagged::Other(line)) if line.starts_with("OK ") => Ok(client),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }

    /// One that has logged in.
    pub fn login(server: SocketAddr, user: &str) -> Self {
        Self::try_login(server, user).unwrap_or_else(|error| panic!("{server} {user}: {error}"))
    }

    pub fn try_login(server: SocketAddr, user: &str) -> io::Result<Self> {
        let mut client = Self::try_connect(server)?;
        let reply = client.try_ask(&format!("LOGIN {user} secret"))?;
        match reply.status.as_str() {
            "OK" => Ok(client),
            _ => Err(io::Error::other(reply.text)),
        }
    }

    pub fn patience(&mut self, patience: Duration) {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
    }

    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets)
    }

    /// Nothing more will be said; what is heard goes on.
    pub fn close_writing(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends a command and gives its tag.
    pub fn begin(&mut self, command: &str) -> io::Result<String> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.write(format!("{tag} {command}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Hears everything up to the last line of a command.
    pub fn finish(&mut self, tag: &str) -> io::Result<Reply> {
        let mut untagged = Vec::new();
        loop {
            match self.hear()? {
                Said::Untagged(said) => untagged.push(said),
                Said::Continue(_) => {}
                Said::Tagged(of, status, text) if of == tag => {
                    return Ok(Reply { untagged, status, text });
                }
                other => return Err(io::Error::other(format!("{other:?} for {tag}"))),
            }
        }
    }

    pub fn try_ask(&mut self, command: &str) -> io::Result<Reply> {
        let tag = self.begin(command)?;
        self.finish(&tag)
    }

    pub fn ask(&mut self, command: &str) -> Reply {
        self.try_ask(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// A command that must be OK.
    pub fn must(&mut self, command: &str) -> Reply {
        let reply = self.ask(command);
        assert_eq!(reply.status, "OK", "{command}: {}", reply.text);
        reply
    }

    /// Puts a message into a mailbox in one go (RFC 7888).
    pub fn append(&mut self, mailbox: &str, flags: &str, body: &[u8]) -> io::Result<Reply> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let mut octets =
            format!("{tag} APPEND {mailbox} ({flags}) {{{}+}}\r\n", body.len()).into_bytes();
        octets.extend_from_slice(body);
        octets.extend_from_slice(b"\r\n");
        self.write(&octets)?;
        self.finish(&tag)
    }

    /// Begins IDLE, with its tag. What comes before the `+` is there is lost, so it is refused.
    pub fn idle(&mut self) -> io::Result<String> {
        let tag = self.begin("IDLE")?;
        match self.hear()? {
            Said::Continue(_) => Ok(tag),
            other => Err(io::Error::other(format!("{other:?} in place of +"))),
        }
    }

    pub fn done(&mut self, tag: &str) -> io::Result<Reply> {
        self.write(b"DONE\r\n")?;
        self.finish(tag)
    }

    /// Whether something is heard within `patience`.
    pub fn has_something(&mut self, patience: Duration) -> bool {
        let time = rustix::time::Timespec::try_from(patience).unwrap();
        let stream = self.stream.get_ref();
        let mut ready = [rustix::event::PollFd::new(stream, rustix::event::PollFlags::IN)];
        !self.stream.buffer().is_empty()
            || rustix::event::poll(&mut ready, Some(&time)).unwrap() > 0
    }

    /// The next response, its literals with it.
    pub fn hear(&mut self) -> io::Result<Said> {
        let mut raw = Vec::new();
        loop {
            if self.stream.read_until(b'\n', &mut raw)? == 0 || !raw.ends_with(b"\r\n") {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(length) = literal_at_end(&raw) else { break };
            let start = raw.len();
            raw.resize(start + length, 0);
            self.stream.read_exact(&mut raw[start..])?;
        }
        raw.truncate(raw.len() - 2);
        understand(&raw).ok_or_else(|| {
            io::Error::other(format!("a response: {}", String::from_utf8_lossy(&raw)))
        })
    }

    /// Whether the server has closed the connection, all it said aside.
    pub fn is_closed(&mut self) -> bool {
        let mut sink = [0; 4096];
        loop {
            match self.stream.read(&mut sink) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }
}

impl Reply {
    /// What the message data of the reply tell.
    pub fn fetched(&self) -> impl Iterator<Item = &Fetched> {
        self.untagged.iter().filter_map(|said| match said {
            Untagged::Fetch(fetched) => Some(fetched),
            _ => None,
        })
    }

    /// The words behind a response code, of the last line or of an untagged OK.
    pub fn code(&self, name: &str) -> Option<String> {
        let others = self.untagged.iter().filter_map(|said| match said {
            Untagged::Other(line) => Some(line.as_str()),
            _ => None,
        });
        others.chain([self.text.as_str()]).find_map(|line| code(line, name))
    }

    /// The UIDs of APPENDUID, or of one side of COPYUID.
    pub fn uids(&self, name: &str, word: usize) -> Vec<u32> {
        let code = self.code(name).unwrap_or_default();
        code.split(' ').nth(word).map(numbers).unwrap_or_default()
    }
}

impl Fetched {
    pub fn text(&self) -> &[u8] {
        self.texts.first().map_or(&[], |(_, text)| text)
    }
}

/// The words of a response code in a line such as `OK [NAME words] text`.
fn code(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.split_once('[')?;
    let (code, _) = rest.split_once(']')?;
    let words = code.strip_prefix(name)?;
    (words.is_empty() || words.starts_with(' ')).then(|| words.trim_start().to_owned())
}

/// `1:3,7` as numbers.
pub fn numbers(set: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for range in set.split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let [first, last] = [first, last].map(|number| number.parse::<u32>().unwrap());
        numbers.extend(first.min(last)..=first.max(last));
    }
    numbers
}

/// Numbers as a set.
pub fn set(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn literal_at_end(raw: &[u8]) -> Option<usize> {
    let line = raw.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|&octet| octet == b'{')?;
    std::str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}

fn understand(raw: &[u8]) -> Option<Said> {
    if let Some(text) = raw.strip_prefix(b"+") {
        return Some(Said::Continue(String::from_utf8_lossy(text).trim().to_owned()));
    }
    if let Some(rest) = raw.strip_prefix(b"* ") {
        return Some(Said::Untagged(untagged(rest)?));
    }
    let text = String::from_utf8_lossy(raw);
    let mut words = text.splitn(3, ' ').map(str::to_owned);
    Some(Said::Tagged(words.next()?, words.next()?, words.next()?))
}

fn untagged(rest: &[u8]) -> Option<Untagged> {
    let line = String::from_utf8_lossy(rest).into_owned();
    let words: Vec<&str> = line.split(' ').collect();
    if let Some(number) = words[0].parse::<u32>().ok().filter(|_| words.len() > 1) {
        return match words[1] {
            "EXISTS" => Some(Untagged::Exists(number)),
            "EXPUNGE" => Some(Untagged::Expunge(number)),
            "FETCH" => {
                let values = &rest[rest.iter().position(|&octet| octet == b'(')?..];
                Some(Untagged::Fetch(fetched(number, values)?))
            }
            _ => Some(Untagged::Other(line)),
        };
    }
    match words[0] {
        "VANISHED" => {
            let earlier = words.get(1) == Some(&"(EARLIER)");
            Some(Untagged::Vanished { earlier, uids: numbers(words.last()?) })
        }
        "SEARCH" => {
            Some(Untagged::Search(words[1..].iter().map_while(|word| word.parse().ok()).collect()))
        }
        _ => Some(Untagged::Other(line)),
    }
}

fn fetched(number: u32, values: &[u8]) -> Option<Fetched> {
    let (Value::List(items), []) = value(values)? else { return None };
    let mut fetched = Fetched { number, ..Fetched::default() };
    for pair in items.chunks(2) {
        let [Value::Atom(name), value] = pair else { return None };
        match (name.as_str(), value) {
            ("UID", Value::Atom(uid)) => fetched.uid = Some(uid.parse().ok()?),
            ("FLAGS", Value::List(flags)) => {
                let names = flags.iter().map(|flag| match flag {
                    Value::Atom(name) => Some(name.clone()),
                    _ => None,
                });
                fetched.flags = Some(names.collect::<Option<_>>()?);
            }
            ("MODSEQ", Value::List(modseq)) => match &modseq[..] {
                [Value::Atom(modseq)] => fetched.modseq = Some(modseq.parse().ok()?),
                _ => return None,
            },
            (_, Value::Text(text)) => fetched.texts.push((name.clone(), text.clone())),
            (_, Value::Atom(text)) => fetched.texts.push((name.clone(), text.clone().into())),
            (_, Value::List(_)) => fetched.texts.push((name.clone(), Vec::new())),
        }
    }
    Some(fetched)
}

/// The first value and what is behind it.
fn value(raw: &[u8]) -> Option<(Value, &[u8])> {
    match raw.first()? {
        b'(' => {
            let (mut values, mut rest) = (Vec::new(), &raw[1..]);
            loop {
                rest = rest.strip_prefix(b" ").unwrap_or(rest);
                if let Some(behind) = rest.strip_prefix(b")") {
                    return Some((Value::List(values), behind));
                }
                let (value, behind) = value(rest)?;
                values.push(value);
                rest = behind;
            }
        }
        b'"' => {
            let (mut text, mut at) = (Vec::new(), 1);
            while *raw.get(at)? != b'"' {
                at += usize::from(raw[at] == b'\\');
                text.push(*raw.get(at)?);
                at += 1;
            }
            Some((Value::Text(text), &raw[at + 1..]))
        }
        // A literal8 (RFC 3516 §4.4).
        b'~' => value(&raw[1..]),
        b'{' => {
            let close = raw.iter().position(|&octet| octet == b'}')?;
            let length: usize = std::str::from_utf8(&raw[1..close]).ok()?.parse().ok()?;
            let start = close + 3;
            Some((Value::Text(raw.get(start..start + length)?.to_vec()), &raw[start + length..]))
        }
        _ => {
            let mut within = false;
            let end = raw.iter().position(|&octet| {
                within = (within || octet == b'[') && octet != b']';
                !within && matches!(octet, b' ' | b'(' | b')')
            });
            let (atom, rest) = raw.split_at(end.unwrap_or(raw.len()));
            (!atom.is_empty()).then(|| (Value::Atom(String::from_utf8_lossy(atom).into()), rest))
        }
    }
}

/// A mailbox as a client knows it that believes every word.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mirror {
    pub messages: Vec<Known>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Known {
    pub uid: Option<u32>,
    pub flags: Option<BTreeSet<String>>,
    pub modseq: Option<u64>,
}

impl Mirror {
    /// Takes one word of the server. `Err`: no server may say that now.
    pub fn take(&mut self, said: &Untagged) -> Result<(), String> {
        let count = self.messages.len();
        match said {
            Untagged::Exists(number) if (*number as usize) < count => {
                return Err(format!("{number} EXISTS of {count}"));
            }
            Untagged::Exists(number) => {
                self.messages.resize_with(*number as usize, Known::default);
            }
            Untagged::Expunge(number) => {
                let place = (*number as usize).checked_sub(1).filter(|place| *place < count);
                let place = place.ok_or_else(|| format!("{number} EXPUNGE of {count}"))?;
                self.messages.remove(place);
            }
            Untagged::Vanished { earlier, uids } => {
                self.messages.retain(|known| known.uid.is_none_or(|uid| !uids.contains(&uid)));
                let strange = uids.len() - (count - self.messages.len());
                // Some have come and gone before their UIDs were asked for.
                let unknown = self.messages.iter().filter(|known| known.uid.is_none()).count();
                if !earlier && strange > unknown {
                    return Err(format!("VANISHED {uids:?}, and not all of them were here"));
                }
                if !earlier {
                    self.messages.truncate(self.messages.len() - strange);
                }
            }
            Untagged::Fetch(fetched) => {
                let place = (fetched.number as usize).checked_sub(1);
                let known = place.and_then(|place| self.messages.get_mut(place));
                let known = known.ok_or_else(|| format!("{} FETCH of {count}", fetched.number))?;
                if let (Some(old), Some(new)) = (known.uid, fetched.uid)
                    && old != new
                {
                    return Err(format!("{} had UID {old}, now {new}", fetched.number));
                }
                known.uid = fetched.uid.or(known.uid);
                known.flags = fetched.flags.clone().or(known.flags.take());
                known.modseq = fetched.modseq.or(known.modseq);
            }
            Untagged::Search(_) | Untagged::Other(_) => {}
        }
        Ok(())
    }

    pub fn uids(&self) -> Vec<u32> {
        self.messages.iter().filter_map(|known| known.uid).collect()
    }
}
