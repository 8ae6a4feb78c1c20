//! What a device does next.

use super::{Command, Cx, Device, Manner, NAMES, View, mirror::Change, words::set_of};
use crate::{
    oracle::{Checked, boxes::Append},
    time::Duration,
};

impl Device {
    pub(super) fn log_in(&mut self, cx: &mut Cx<'_>) {
        let right = cx.random.below(10) > 0;
        let password = if right { &self.password } else { "no secret" };
        let text = match cx.random.below(2) {
            0 => format!("LOGIN \"{}\" \"{password}\"", self.key),
            _ => {
                let words = format!("\0{}\0{password}", self.key);
                let words = data_encoding::BASE64.encode(words.as_bytes());
                format!("AUTHENTICATE PLAIN {words}")
            }
        };
        self.command(Command::Login { right }, &text, cx);
    }

    pub(super) fn enable(&mut self, cx: &mut Cx<'_>) {
        match self.manner {
            Manner::Plain => self.next(cx),
            Manner::Condstore => self.command(Command::Enable, "ENABLE CONDSTORE", cx),
            Manner::Qresync => self.command(Command::Enable, "ENABLE QRESYNC", cx),
        }
    }

    fn select(&mut self, name: &'static str, cx: &mut Cx<'_>) {
        let copy = self.copies.get(name).filter(|_| self.manner == Manner::Qresync).cloned();
        let text = match &copy {
            Some(copy) => {
                format!("SELECT \"{name}\" (QRESYNC ({} {}))", copy.validity, copy.modseq.max(1))
            }
            None => format!("SELECT \"{name}\""),
        };
        self.view = Some(View::new(name, copy));
        self.command(Command::Select { name }, &text, cx);
    }

    /// Asks for what it does not know, or for the news where it knows all.
    pub(super) fn refresh(&mut self, tries: u32, cx: &mut Cx<'_>) {
        let modseq = if self.manner == Manner::Plain { "" } else { " MODSEQ" };
        match self.view.as_ref().and_then(View::unknown) {
            Some(first) => {
                let text = format!("FETCH {first}:* (UID FLAGS{modseq})");
                self.command(Command::Fill, &text, cx);
            }
            None => self.command(Command::Sync { tries }, "NOOP", cx),
        }
    }

    pub(super) fn next(&mut self, cx: &mut Cx<'_>) {
        let is_known = self.view.as_ref().is_none_or(|view| view.unknown().is_none());
        if !is_known {
            return self.refresh(0, cx);
        }
        if self.last || self.left == 0 {
            return match self.unseen.first().copied().filter(|_| self.last) {
                Some(name) => self.select(name, cx),
                None => self.command(Command::Logout, "LOGOUT", cx),
            };
        }
        self.left -= 1;
        let dice = cx.random.below(20);
        match (&self.view, dice) {
            (_, 0 | 1) => self.append(cx),
            (_, 2) => self.folders(cx),
            (None, _) | (_, 3) => {
                let places = if cx.random.below(2) == 0 { 1 } else { NAMES.len() as u32 };
                self.select(NAMES[cx.random.below(places) as usize], cx);
            }
            (Some(_), 4 | 5) => self.command(Command::Sync { tries: 0 }, "NOOP", cx),
            (Some(_), 6 | 7) => self.command(Command::Idle, "IDLE", cx),
            (Some(_), 8) => self.command(Command::Search, "UID SEARCH ALL", cx),
            (Some(_), 9) => self.command(Command::Expunge, "EXPUNGE", cx),
            (Some(view), _) if view.messages.is_empty() => {
                self.command(Command::Sync { tries: 0 }, "NOOP", cx);
            }
            (Some(_), _) => self.with_messages(dice, cx),
        }
    }

    fn with_messages(&mut self, dice: u32, cx: &mut Cx<'_>) {
        let Some(view) = &self.view else { return };
        let count = view.messages.len() as u32;
        let first = cx.random.below(count);
        let last = (first + cx.random.below(3)).min(count - 1);
        let range = first as usize..=last as usize;
        let uids: Vec<u32> = view.messages[range].iter().filter_map(|m| m.uid).collect();
        let numbers = cx.random.below(2) == 0;
        let (prefix, set) = match numbers {
            true => ("", format!("{}:{}", first + 1, last + 1)),
            false => ("UID ", set_of(&uids)),
        };
        let to = NAMES[cx.random.below(NAMES.len() as u32) as usize];
        match dice {
            10..=12 => self.store(prefix, &set, (numbers, uids), cx),
            13 => self.command(Command::Copy, &format!("{prefix}COPY {set} \"{to}\""), cx),
            14 => self.command(Command::Copy, &format!("{prefix}MOVE {set} \"{to}\""), cx),
            15 => {
                let text = format!("UID EXPUNGE {}", set_of(&uids));
                self.command(Command::Expunge, &text, cx);
            }
            _ => {
                let uid = uids.first().copied().unwrap_or(0);
                if let Some(view) = &mut self.view {
                    view.read = None;
                }
                let set = if numbers { (first + 1).to_string() } else { uid.to_string() };
                let peek = if dice == 16 { "" } else { ".PEEK" };
                let text = format!("{prefix}FETCH {set} (UID BODY{peek}[])");
                self.command(Command::Body { numbers, uid }, &text, cx);
            }
        }
    }

    fn store(
        &mut self,
        prefix: &str,
        set: &str,
        (numbers, uids): (bool, Vec<u32>),
        cx: &mut Cx<'_>,
    ) {
        const FLAGS: [&str; 5] = ["\\deleted", "\\deleted", "\\seen", "\\flagged", "$sim"];
        let flag = FLAGS[cx.random.below(5) as usize];
        let (word, change) = match cx.random.below(4) {
            0 => ("", Change::Replace(flag)),
            1 => ("-", Change::Remove(flag)),
            _ => ("+", Change::Add(flag)),
        };
        let silent = cx.random.below(2) == 0;
        let quiet = if silent { ".SILENT" } else { "" };
        let modseq = self.view.as_ref().map_or(0, |view| view.modseq);
        let since = match self.manner != Manner::Plain && cx.random.below(4) == 0 {
            true => format!("(UNCHANGEDSINCE {modseq}) "),
            false => String::new(),
        };
        let text = format!("{prefix}STORE {set} {since}{word}FLAGS{quiet} ({flag})");
        let flags = silent.then_some(change);
        self.command(Command::Store { numbers, uids, flags }, &text, cx);
    }

    fn folders(&mut self, cx: &mut Cx<'_>) {
        let mut name = || NAMES[1 + cx.random.below(NAMES.len() as u32 - 1) as usize];
        let (one, other) = (name(), name());
        let text = match cx.random.below(10) {
            0 => format!("DELETE \"{one}\""),
            1 => format!("RENAME \"{one}\" \"{other}\""),
            2 => format!("RENAME INBOX \"{other}\""),
            3 => "LIST \"\" \"*\" RETURN (STATUS (MESSAGES UIDNEXT))".to_owned(),
            4 => format!("STATUS \"{one}\" (MESSAGES UNSEEN SIZE HIGHESTMODSEQ)"),
            5 => format!("SUBSCRIBE \"{one}\""),
            _ => format!("CREATE \"{one}\""),
        };
        self.command(Command::Folders, &text, cx);
    }

    fn append(&mut self, cx: &mut Cx<'_>) {
        let to = NAMES[if cx.random.below(2) == 0 { 0 } else { cx.random.below(4) as usize }];
        *cx.token += 1;
        let token = *cx.token;
        let octets = match cx.random.below(8) {
            0 => 20_000 + cx.random.below(40_000),
            1 | 2 => 5000 + cx.random.below(8000),
            _ => cx.random.below(1500),
        };
        let mut content = format!("X-Sim: {token}\r\nSubject: appended\r\n\r\n").into_bytes();
        while content.len() < octets as usize {
            // Some of it is not to be compressed.
            let letter = b'a' + cx.random.below(26) as u8;
            let length = cx.random.below(120) as usize;
            match cx.random.below(2) {
                0 => content.resize(content.len() + length, letter),
                _ => content.extend((0..length).map(|_| b'!' + cx.random.below(90) as u8)),
            }
            content.extend_from_slice(b"\r\n");
        }
        let flags = ["", "(\\Seen) ", "(\\Deleted $sim) "][cx.random.below(3) as usize];
        let size = content.len();
        let append =
            Append { content: content.clone(), sent: false, refused: false, committed: None };
        cx.oracle.boxes.appends.insert(token, append);
        let waits = cx.random.below(2) == 0;
        let plus = if waits { "" } else { "+" };
        let text = format!("APPEND \"{to}\" {flags}{{{size}{plus}}}");
        self.command(Command::Append { token }, &text, cx);
        if !waits {
            self.literal(token, cx);
        }
    }

    fn literal(&mut self, token: u32, cx: &mut Cx<'_>) {
        let Some(append) = cx.oracle.boxes.appends.get(&token) else { return };
        let octets = [&append.content[..], b"\r\n"].concat();
        // The relay may be quicker to store it than the device to say that it has sent all.
        let whole = self.say(Duration::ZERO, &octets, cx);
        if let (true, Some(append)) = (whole, cx.oracle.boxes.appends.get_mut(&token)) {
            append.sent = true;
        }
    }

    /// The relay waits for more.
    pub(super) fn invited(&mut self, cx: &mut Cx<'_>) -> Checked {
        match self.waiting {
            Some(Command::Append { token }) => self.literal(token, cx),
            Some(Command::Idle) => {
                cx.coverage.count("device: waits for news");
                self.idle_since = Some(cx.now);
                let time = Duration::from_secs(u64::from(1 + cx.random.below(1200)));
                self.say(time, b"DONE\r\n", cx);
            }
            _ => {}
        }
        Ok(())
    }
}
