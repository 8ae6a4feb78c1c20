//! A collector: a client of POP3 that fetches its owner's mail and deletes of it what it will.
//!
//! RFC 1939: the list that it is shown behind its login holds until it leaves, whatever others do
//! to the mailbox meanwhile. Nothing goes but what it has marked, and only with a QUIT.

mod answers;

use std::collections::{BTreeSet, VecDeque};

use crate::{
    client::Fault,
    device::Cx,
    mail::mailbox::MailboxId,
    mouth::Mouth,
    network::Parting,
    oracle::{Checked, boxes::Removal, broken},
    time::{Duration, Instant},
};

#[derive(Debug)]
pub struct Collector {
    key: String,
    password: String,
    /// The UIDVALIDITY of the mailbox that it was shown last. INBOX gets another when its messages
    /// are given to a new name.
    validity: u32,
    /// It only looks once more at everything, and then has done.
    pub last: bool,
    pub finished: bool,
    mouth: Mouth,
    heard: Vec<u8>,
    greeted: bool,
    /// When it has put the password.
    asked: Instant,
    waiting: VecDeque<Command>,
    list: List,
    /// Batches of commands still to come.
    left: u32,
}

/// The maildrop of a session, as it was told.
#[derive(Debug, Default)]
struct List {
    mailbox: Option<MailboxId>,
    /// By number, less one.
    uids: Vec<u32>,
    sizes: Vec<u64>,
    marked: BTreeSet<usize>,
}

/// What it has asked for. Numbers count from 1, and may be those of no message.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Command {
    User,
    Login {
        right: bool,
    },
    Ids,
    Sizes,
    Stat,
    Id(usize),
    Size(usize),
    Retrieve(usize),
    Top(usize, usize),
    Delete(usize),
    Unmark,
    Noop,
    /// `removal`: what the oracle was told is to go.
    Quit {
        removal: Option<Removal>,
    },
}

impl Command {
    fn text(&self) -> String {
        match self {
            Command::Ids => "UIDL".into(),
            Command::Sizes => "LIST".into(),
            Command::Stat => "STAT".into(),
            Command::Id(number) => format!("UIDL {number}"),
            Command::Size(number) => format!("LIST {number}"),
            Command::Retrieve(number) => format!("RETR {number}"),
            Command::Top(number, lines) => format!("TOP {number} {lines}"),
            Command::Delete(number) => format!("DELE {number}"),
            Command::Unmark => "RSET".into(),
            Command::Quit { .. } => "QUIT".into(),
            Command::Noop | Command::User | Command::Login { .. } => "NOOP".into(),
        }
    }

    /// A success is told in many lines.
    fn is_long(&self) -> bool {
        use Command::{Ids, Retrieve, Sizes, Top};
        matches!(self, Ids | Sizes | Retrieve(_) | Top(..))
    }
}

impl List {
    /// The place of a message that is there for its client.
    fn place(&self, number: usize) -> Option<usize> {
        let place = number.checked_sub(1).filter(|place| *place < self.uids.len())?;
        (!self.marked.contains(&place)).then_some(place)
    }

    /// What will be marked when these commands are answered.
    fn marked_behind<'a>(&self, waiting: impl Iterator<Item = &'a Command>) -> BTreeSet<usize> {
        let mut marked = self.marked.clone();
        for command in waiting {
            match command {
                Command::Delete(number) if (1..=self.uids.len()).contains(number) => {
                    marked.insert(number - 1);
                }
                Command::Unmark => marked.clear(),
                _ => {}
            }
        }
        marked
    }
}

impl Collector {
    pub fn new(key: &str, password: &str) -> Collector {
        Collector {
            key: key.to_owned(),
            password: password.to_owned(),
            validity: 0,
            last: false,
            finished: false,
            mouth: Mouth::default(),
            heard: Vec::new(),
            greeted: false,
            asked: Instant::default(),
            waiting: VecDeque::new(),
            list: List::default(),
            left: 0,
        }
    }

    /// It comes once more.
    pub fn connect(&mut self, last: bool, batches: u32, fuse: Option<(u64, Fault)>) {
        (self.last, self.left) = (last, batches);
        (self.mouth, self.greeted) = (Mouth::new(fuse), false);
        (self.heard, self.waiting, self.list) = Default::default();
    }

    pub fn octets(&mut self, octets: &[u8], cx: &mut Cx<'_>) -> Checked {
        self.heard.extend_from_slice(octets);
        while !self.mouth.over {
            let Some((line, text)) = self.next_answer() else { return Ok(()) };
            self.answer(&line, &text, cx)?;
        }
        Ok(())
    }

    /// The next whole answer: its first line, and the text behind it, where there is one.
    fn next_answer(&mut self) -> Option<(String, Vec<u8>)> {
        let end = position(&self.heard, b"\r\n")?;
        let line = String::from_utf8_lossy(&self.heard[..end]).into_owned();
        let long = self.greeted && self.waiting.front().is_some_and(Command::is_long);
        if !long || !line.starts_with("+OK") {
            self.heard.drain(..end + 2);
            return Some((line, Vec::new()));
        }
        // The end of the first line may be that of the text before the dot, too.
        let dot = end + position(&self.heard[end..], b"\r\n.\r\n")?;
        let text = self.heard.get(end + 2..dot + 2).unwrap_or_default().to_vec();
        self.heard.drain(..dot + 5);
        Some((line, text))
    }

    fn answer(&mut self, line: &str, text: &[u8], cx: &mut Cx<'_>) -> Checked {
        let ok = line.starts_with("+OK");
        if !ok && !line.starts_with("-ERR") {
            return broken(format!("a collector is told `{line}`"));
        }
        if !ok && (!self.greeted || line.contains("Shutting down")) {
            cx.coverage.count("collector: is turned away");
            return self.leave(cx);
        }
        if !self.greeted {
            self.greeted = true;
            self.log_in(cx);
            return Ok(());
        }
        let Some(command) = self.waiting.pop_front() else {
            return broken(format!("a collector is told `{line}`, and waits for nothing"));
        };
        if !self.judge(command, ok, line, text, cx)? {
            return Ok(());
        }
        if self.waiting.is_empty() && !self.mouth.over {
            self.next(cx);
        }
        Ok(())
    }

    fn leave(&mut self, cx: &mut Cx<'_>) -> Checked {
        self.mouth.over = true;
        cx.moves.part(Parting::Close);
        Ok(())
    }

    fn log_in(&mut self, cx: &mut Cx<'_>) {
        if cx.random.below(2) == 0 {
            let text = format!("USER {}\r\n", self.key);
            self.waiting.push_back(Command::User);
            let thinks = thinks(cx);
            self.say(thinks, &text, cx);
            return;
        }
        let (right, password) = self.some_password(cx);
        let words = format!("\0{}\0{password}", self.key);
        let words = data_encoding::BASE64.encode(words.as_bytes());
        self.put_password(right, &format!("AUTH PLAIN {words}\r\n"), cx);
    }

    fn some_password(&self, cx: &mut Cx<'_>) -> (bool, String) {
        match cx.random.below(10) {
            0 => (false, "no secret".into()),
            _ => (true, self.password.clone()),
        }
    }

    fn put_password(&mut self, right: bool, text: &str, cx: &mut Cx<'_>) {
        let thinks = thinks(cx);
        self.asked = cx.now + thinks;
        self.waiting.push_back(Command::Login { right });
        self.say(thinks, text, cx);
    }

    /// What it does next: some commands at once, or one.
    fn next(&mut self, cx: &mut Cx<'_>) {
        let leaves = self.last || self.left == 0;
        self.left = self.left.saturating_sub(1);
        let mut batch = Vec::new();
        if !self.last {
            let most = if cx.random.below(2) == 0 { 1 } else { 6 };
            let count = cx.random.below(most) + u32::from(!leaves);
            batch.extend((0..count).map(|_| self.some_command(cx)));
        }
        if leaves {
            batch.push(Command::Quit { removal: None });
        }
        self.put(batch, cx);
    }

    fn some_command(&self, cx: &mut Cx<'_>) -> Command {
        // Now and then a number that is none of the list.
        let number = cx.random.below(self.list.uids.len() as u32 + 2) as usize;
        match cx.random.below(16) {
            0 => Command::Ids,
            1 => Command::Sizes,
            2 => Command::Stat,
            3 => Command::Id(number),
            4 => Command::Size(number),
            5..=8 => Command::Retrieve(number),
            9 | 10 => Command::Top(number, cx.random.below(12) as usize),
            11..=13 => Command::Delete(number),
            14 => Command::Unmark,
            _ => Command::Noop,
        }
    }

    /// Says commands in one go. The oracle is told of a QUIT that is on its way with all before it.
    fn put(&mut self, batch: Vec<Command>, cx: &mut Cx<'_>) {
        let text: String = batch.iter().map(|command| command.text() + "\r\n").collect();
        if batch.len() > 1 {
            cx.coverage.count("collector: pipelines");
        }
        let quits = matches!(batch.last(), Some(Command::Quit { .. }));
        self.waiting.extend(batch);
        let marked = self.list.marked_behind(self.waiting.iter());
        let thinks = thinks(cx);
        if !self.say(thinks, &text, cx) || !quits {
            return;
        }
        let Some(mailbox) = self.list.mailbox.filter(|_| !marked.is_empty()) else { return };
        let uids = marked.iter().map(|place| self.list.uids[*place]).collect();
        if let Some(Command::Quit { removal }) = self.waiting.back_mut() {
            let going = (mailbox, uids);
            cx.oracle.boxes.will_remove(&going);
            *removal = Some(going);
        }
    }

    fn say(&mut self, after: Duration, text: &str, cx: &mut Cx<'_>) -> bool {
        self.mouth.say(after, text.as_bytes(), cx.moves, cx.coverage)
    }
}

/// How long it takes before it speaks.
fn thinks(cx: &mut Cx<'_>) -> Duration {
    match cx.random.below(8) {
        0 | 1 => Duration::ZERO,
        // Long enough for others to do something behind its back.
        2 | 3 => Duration::from_secs(u64::from(cx.random.below(400))),
        _ => Duration::from_millis(u64::from(cx.random.below(200))),
    }
}

fn position(octets: &[u8], what: &[u8]) -> Option<usize> {
    octets.windows(what.len()).position(|window| window == what)
}
