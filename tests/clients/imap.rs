//! The smallest IMAP client that can tell what a mailbox holds: the judge between two sides.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{letter::Essence, site::Site};

/// What a folder holds, without what servers number: two sides that agree have the same.
pub type Holding = BTreeSet<(Essence, BTreeSet<String>)>;

/// Every folder and what it holds.
pub type Holdings = BTreeMap<String, Holding>;

pub struct Imap {
    stream: BufReader<TcpStream>,
    commands: usize,
}

/// One response: its text, with `{}` in the place of each literal.
pub struct Response {
    pub text: String,
    pub literals: Vec<Vec<u8>>,
}

pub struct Message {
    pub uid: u32,
    pub flags: BTreeSet<String>,
    pub octets: Vec<u8>,
}

impl Imap {
    pub fn login(site: &Site) -> Self {
        Self::login_as(site, site.user)
    }

    pub fn login_as(site: &Site, user: &str) -> Self {
        let stream = TcpStream::connect(site.imap).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut imap = Self { stream: BufReader::new(stream), commands: 0 };
        let greeting = imap.response();
        assert!(greeting.text.starts_with("* OK"), "{}", greeting.text);
        imap.ask(&format!("LOGIN {user} {}", site.password));
        imap
    }

    /// A command that must be done: all responses ahead of its OK.
    pub fn ask(&mut self, command: &str) -> Vec<Response> {
        let tag = self.send(command);
        self.until(&tag, command)
    }

    pub fn append(&mut self, folder: &str, flags: &str, message: &[u8]) {
        let command = format!("APPEND \"{folder}\" ({flags}) {{{}}}", message.len());
        let tag = self.send(&command);
        let go = self.response();
        assert!(go.text.starts_with('+'), "{command}: {}", go.text);
        self.stream.get_mut().write_all(&[message, b"\r\n"].concat()).unwrap();
        self.until(&tag, &command);
    }

    /// Many at once, none waiting for the one before it (RFC 7888).
    pub fn append_all(&mut self, folder: &str, messages: &[Vec<u8>]) {
        for some in messages.chunks(50) {
            let tags = some.iter().map(|message| {
                let tag = self.send(&format!("APPEND \"{folder}\" {{{}+}}", message.len()));
                self.stream.get_mut().write_all(&[message, &b"\r\n"[..]].concat()).unwrap();
                tag
            });
            for tag in tags.collect::<Vec<_>>() {
                self.until(&tag, "APPEND");
            }
        }
    }

    pub fn count(&mut self, folder: &str) -> u32 {
        let responses = self.ask(&format!("STATUS \"{folder}\" (MESSAGES)"));
        let text = &responses.last().unwrap().text;
        let (_, number) = text.split_once("(MESSAGES ").unwrap();
        number.trim_end_matches(')').parse().unwrap()
    }

    pub fn folders(&mut self) -> Vec<String> {
        let responses = self.ask("LIST \"\" *");
        let listed = responses.iter().filter_map(|response| {
            let (attributes, name) =
                response.text.strip_prefix("* LIST (")?.split_once(") \"/\" ").unwrap();
            (!attributes.contains("\\Noselect") && !attributes.contains("\\NonExistent"))
                .then(|| name.trim_matches('"').to_owned())
        });
        listed.collect()
    }

    /// All messages of a folder, which is selected then.
    pub fn messages(&mut self, folder: &str) -> Vec<Message> {
        self.ask(&format!("SELECT \"{folder}\""));
        let responses = self.ask("UID FETCH 1:* (UID FLAGS BODY.PEEK[])");
        responses.into_iter().filter_map(Response::message).collect()
    }

    pub fn holding(&mut self, folder: &str) -> Holding {
        let messages = self.messages(folder).into_iter();
        messages.map(|message| (Essence::of(&message.octets), message.flags)).collect()
    }

    pub fn holdings(&mut self) -> Holdings {
        let folders = self.folders().into_iter();
        folders.map(|folder| (folder.clone(), self.holding(&folder))).collect()
    }

    fn send(&mut self, command: &str) -> String {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        self.stream.get_mut().write_all(format!("{tag} {command}\r\n").as_bytes()).unwrap();
        tag
    }

    fn until(&mut self, tag: &str, command: &str) -> Vec<Response> {
        let mut responses = Vec::new();
        loop {
            let response = self.response();
            match response.text.strip_prefix(tag) {
                Some(end) if end.starts_with(" OK") => return responses,
                Some(end) => panic!("{command}:{end}"),
                None => responses.push(response),
            }
        }
    }

    fn response(&mut self) -> Response {
        let mut response = Response { text: String::new(), literals: Vec::new() };
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).unwrap();
            let line = String::from_utf8(line).unwrap();
            let line = line.strip_suffix("\r\n").expect("a line of the server");
            let literal = line
                .strip_suffix('}')
                .and_then(|line| line.rsplit_once('{'))
                .and_then(|(line, length)| Some((line, length.parse().ok()?)));
            let Some((before, length)) = literal else {
                response.text.push_str(line);
                return response;
            };
            let mut octets = vec![0; length];
            self.stream.read_exact(&mut octets).unwrap();
            response.literals.push(octets);
            response.text.push_str(before);
            response.text.push_str("{}");
        }
    }
}

impl Response {
    /// Of a FETCH of UID, FLAGS and the whole message.
    fn message(mut self) -> Option<Message> {
        let (_, uid) = self.text.split_once("UID ")?;
        let uid = uid.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        let (_, flags) = self.text.split_once("FLAGS (")?;
        let (flags, _) = flags.split_once(')')?;
        let flags = flags.split_whitespace().filter(|flag| *flag != "\\Recent");
        let flags = flags.map(str::to_owned).collect();
        Some(Message { uid, flags, octets: self.literals.pop()? })
    }
}
