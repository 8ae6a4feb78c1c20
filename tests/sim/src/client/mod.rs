//! A client of the relay: sends its mail in lockstep or pipelined, by DATA or BDAT, and in the
//! midst of it goes away, falls silent, or talks nonsense.
//!
//! What was not acknowledged it sends again.

mod speech;

use std::collections::{BTreeSet, VecDeque};

use self::speech::{mail_command, rcpt_command, stuffed};
use crate::{
    coverage::Coverage,
    homes::is_local,
    letters::Shape,
    mail::{Notify, QueueId},
    network::{Moves, Parting},
    oracle::{Checked, Oracle, broken},
    random::Random,
};

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Draft {
    pub token: u32,
    pub sender: Option<String>,
    pub recipients: Vec<(String, Notify)>,
    /// Every line but perhaps the last ends with CRLF.
    pub content: Vec<u8>,
    pub envid: Option<String>,
    pub full: Option<bool>,
    pub smtputf8: bool,
    /// Goes by EHLO: with parameters, perhaps in chunks.
    pub extended: bool,
    /// What it is made of, should it be sent again.
    pub shape: Shape,
    /// Attempts at sending it before this one.
    pub tries: u32,
}

/// How a client behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// One command, one reply.
    Lockstep,
    /// As RFC 2920 allows.
    Pipelined,
    /// And the next message right behind the final dot.
    Hasty,
    /// Lines that are no commands.
    Nonsense,
    /// Connects and says nothing.
    Mute,
}

/// What cuts a session short, once so many octets are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Close,
    Reset,
    /// Is gone, and nobody tells.
    Vanish,
    /// Reads no replies any more.
    StopReading,
    /// Takes a rest of so many seconds.
    Pause(u32),
}

/// What a step may look at.
pub struct Cx<'a> {
    pub random: &'a mut Random,
    pub oracle: &'a mut Oracle,
    pub coverage: &'a mut Coverage,
    pub moves: &'a mut Moves,
}

#[derive(Debug)]
pub struct Client {
    pub manner: Manner,
    pub chunking: bool,
    pub fuse: Option<(u64, Fault)>,
    /// To be sent; the first is under way once `begun`.
    drafts: VecDeque<Draft>,
    begun: usize,
    /// Octets handed to the network.
    said: u64,
    expecting: VecDeque<Expected>,
    line: Vec<u8>,
    accepted: Vec<String>,
    extended: bool,
    over: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Expected {
    Greeting,
    Hello,
    Mail,
    Rcpt(usize),
    Data,
    Chunk,
    /// Of the message with this token.
    End(u32),
    Any,
    Quit,
}

impl Client {
    pub fn new(manner: Manner, chunking: bool, extended: bool, drafts: Vec<Draft>) -> Client {
        Client {
            manner,
            chunking,
            fuse: None,
            drafts: drafts.into(),
            begun: 0,
            said: 0,
            expecting: [Expected::Greeting].into(),
            line: Vec::new(),
            accepted: Vec::new(),
            extended,
            over: false,
        }
    }

    /// The message whose reply the client waits for, if the relay is to speak about one.
    pub fn awaited(&self) -> Option<u32> {
        self.expecting.iter().find_map(|expected| match expected {
            Expected::End(token) => Some(*token),
            _ => None,
        })
    }

    /// What was not acknowledged.
    pub fn left(&mut self) -> Vec<Draft> {
        self.over = true;
        self.drafts.drain(..).collect()
    }

    pub fn octets(&mut self, octets: &[u8], cx: &mut Cx<'_>) -> Checked {
        for &octet in octets {
            self.line.push(octet);
            if self.line.ends_with(b"\r\n") {
                let line = std::mem::take(&mut self.line);
                self.reply_line(&line, cx)?;
            }
        }
        Ok(())
    }

    fn reply_line(&mut self, line: &[u8], cx: &mut Cx<'_>) -> Checked {
        let text = String::from_utf8_lossy(line);
        let code: Option<u16> = text.get(..3).and_then(|code| code.parse().ok());
        let Some(code) = code.filter(|_| matches!(text.as_bytes().get(3), Some(b' ' | b'-')))
        else {
            return broken(format!("a client was told `{}`", text.escape_debug()));
        };
        if self.over || text.as_bytes()[3] == b'-' {
            return Ok(());
        }
        if code == 421 {
            cx.coverage.count("client: told 421");
            self.over = true;
            cx.moves.part(Parting::Close);
            return Ok(());
        }
        let Some(expected) = self.expecting.pop_front() else {
            return broken(format!("a client was told `{}` unasked", text.escape_debug()));
        };
        self.reply(expected, code, &text, cx)
    }

    fn reply(&mut self, expected: Expected, code: u16, text: &str, cx: &mut Cx<'_>) -> Checked {
        let good = code < 400;
        match expected {
            Expected::Greeting => match self.manner {
                Manner::Mute => {}
                Manner::Nonsense => self.nonsense(cx),
                _ => {
                    let verb = if self.extended { "EHLO" } else { "HELO" };
                    self.say(format!("{verb} client.example\r\n").as_bytes(), cx);
                    self.expecting.push_back(Expected::Hello);
                }
            },
            Expected::Hello => self.begin(cx),
            Expected::Mail if good => {
                self.accepted.clear();
                if self.manner == Manner::Lockstep {
                    self.rcpt(0, cx);
                }
            }
            Expected::Mail => {
                self.accepted.clear();
                if self.manner == Manner::Lockstep {
                    self.next(code, cx);
                }
            }
            Expected::Rcpt(at) => {
                if let Some(draft) = self.drafts.front() {
                    let to = &draft.recipients[at].0;
                    check_recipient(to, code, text, cx)?;
                    if good {
                        self.accepted.push(to.clone());
                    }
                }
                if self.manner == Manner::Lockstep {
                    self.rcpt(at + 1, cx);
                }
            }
            Expected::Data if code == 354 => self.body(cx),
            Expected::Data => self.next(code, cx),
            Expected::Chunk => {}
            Expected::End(token) => return self.ended(token, code, text, cx),
            Expected::Any => {}
            Expected::Quit => {
                self.over = true;
                cx.moves.part(Parting::Close);
            }
        }
        Ok(())
    }

    /// The relay has answered for a whole message.
    fn ended(&mut self, token: u32, code: u16, text: &str, cx: &mut Cx<'_>) -> Checked {
        let id: Option<QueueId> = text
            .strip_prefix("250 2.0.0 ")
            .and_then(|rest| rest.split([' ', '\r']).next())
            .and_then(|id| id.parse().ok());
        match (code, id) {
            (250, Some(id)) => {
                cx.coverage.count("client: told 250");
                let letter = cx.oracle.letters.get(&id);
                let homes = &cx.oracle.homes;
                let ends = letter.iter().flat_map(|letter| letter.fates.keys());
                let committed: BTreeSet<String> = ends.map(|end| homes.end_of(end)).collect();
                let accepted = self.accepted.iter().flat_map(|name| homes.behind(name));
                let accepted: BTreeSet<String> = accepted.collect();
                if letter.and_then(|letter| letter.token) != Some(token) || committed != accepted {
                    return broken(format!(
                        "the client of {token} was told 250 for {id}, and {accepted:?} were \
                         accepted; committed were {committed:?}"
                    ));
                }
            }
            (250, None) => {
                return broken(format!("250 without a queue id: `{}`", text.escape_debug()));
            }
            // After a disk that failed for good nobody knows what is on it.
            (451, _) => cx.coverage.count("client: told 451"),
            _ => return self.turned_down(token, code, cx),
        }
        self.next(code, cx);
        Ok(())
    }

    /// The relay does not take the message: then it must not have it.
    fn turned_down(&mut self, token: u32, code: u16, cx: &mut Cx<'_>) -> Checked {
        cx.coverage.count(if code == 452 { "client: told 452" } else { "client: told 5xx" });
        if let Some(submission) = cx.oracle.submissions.get_mut(&token) {
            submission.refused = true;
            if let Some(id) = submission.accepted {
                return broken(format!("the client of {token} was told {code}, and {id} is there"));
            }
        }
        self.next(code, cx);
        Ok(())
    }

    /// The transaction at the front is over.
    fn next(&mut self, code: u16, cx: &mut Cx<'_>) {
        let draft = self.drafts.pop_front();
        self.begun = self.begun.saturating_sub(1);
        self.accepted.clear();
        if let Some(draft) = draft
            && (400..500).contains(&code)
        {
            cx.moves.again(draft);
        }
        if self.begun == 0 && !self.over {
            // What was refused may have left its transaction open.
            if code >= 400 || !self.drafts.is_empty() && cx.random.below(8) == 0 {
                self.say(b"RSET\r\n", cx);
                self.expecting.push_back(Expected::Any);
            }
            self.begin(cx);
        }
    }

    fn begin(&mut self, cx: &mut Cx<'_>) {
        let Some(draft) = self.drafts.get(self.begun).cloned() else {
            if self.expecting.is_empty() {
                self.say(b"QUIT\r\n", cx);
                self.expecting.push_back(Expected::Quit);
            }
            return;
        };
        self.begun += 1;
        let mut commands = mail_command(&draft, self.extended);
        self.expecting.push_back(Expected::Mail);
        if self.manner == Manner::Lockstep {
            return self.say(commands.as_bytes(), cx);
        }
        for (at, recipient) in draft.recipients.iter().enumerate() {
            commands += &rcpt_command(recipient, self.extended);
            self.expecting.push_back(Expected::Rcpt(at));
        }
        if self.chunking {
            self.say(commands.as_bytes(), cx);
            self.chunks(&draft, cx);
        } else {
            commands += "DATA\r\n";
            self.expecting.push_back(Expected::Data);
            self.say(commands.as_bytes(), cx);
        }
    }

    fn rcpt(&mut self, at: usize, cx: &mut Cx<'_>) {
        let Some(draft) = self.drafts.front().cloned() else { return };
        if let Some(recipient) = draft.recipients.get(at) {
            self.expecting.push_back(Expected::Rcpt(at));
            return self.say(rcpt_command(recipient, self.extended).as_bytes(), cx);
        }
        if self.accepted.is_empty() {
            return self.next(550, cx);
        }
        if self.chunking {
            self.chunks(&draft, cx);
        } else {
            self.expecting.push_back(Expected::Data);
            self.say(b"DATA\r\n", cx);
        }
    }

    fn body(&mut self, cx: &mut Cx<'_>) {
        let Some(draft) = self.drafts.front().cloned() else { return };
        let mut octets = stuffed(&draft.content);
        octets.extend_from_slice(b".\r\n");
        self.expecting.push_back(Expected::End(draft.token));
        self.say_last(&octets, draft.token, cx);
        if self.manner == Manner::Hasty && self.drafts.len() > self.begun {
            cx.coverage.count("client: pipelines behind the final dot");
            self.begin(cx);
        }
    }

    fn chunks(&mut self, draft: &Draft, cx: &mut Cx<'_>) {
        cx.coverage.count("client: sends by BDAT");
        let mut rest = &draft.content[..];
        loop {
            let size = match cx.random.below(3) {
                0 => cx.random.below(rest.len() as u32 + 1) as usize,
                _ => rest.len(),
            };
            let (chunk, left) = rest.split_at(size);
            rest = left;
            let last = rest.is_empty();
            let mut octets =
                format!("BDAT {size}{}\r\n", if last { " LAST" } else { "" }).into_bytes();
            octets.extend_from_slice(chunk);
            if last {
                self.expecting.push_back(Expected::End(draft.token));
                return self.say_last(&octets, draft.token, cx);
            }
            self.expecting.push_back(Expected::Chunk);
            self.say(&octets, cx);
        }
    }
}

/// An address of ours is taken if somebody is behind it, and then only.
fn check_recipient(to: &str, code: u16, text: &str, cx: &mut Cx<'_>) -> Checked {
    if !is_local(to) {
        return Ok(());
    }
    let behind = cx.oracle.homes.behind(to);
    let full = |key: &String| {
        let account = cx.oracle.homes.accounts.iter().find(|account| account.key == *key);
        account.is_some_and(|account| cx.oracle.boxes.was_full(key, account.quota))
    };
    let right = match code {
        250 => !behind.is_empty(),
        550 if text.contains("5.1.1") => behind.is_empty(),
        552 if text.contains("5.2.2") => behind.iter().all(full),
        _ => true,
    };
    cx.coverage.count(match code {
        250 => "client: writes to a local address",
        552 => "client: writes to a full mailbox",
        550 => "client: writes to nobody",
        _ => "client: a local address is refused for another reason",
    });
    match right {
        true => Ok(()),
        false => broken(format!("RCPT for {to}, behind which are {behind:?}: {text}")),
    }
}
