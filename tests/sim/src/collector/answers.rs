//! What a collector makes of an answer: every one is foretold by the list that it was shown.

use super::{Collector, Command, position};
use crate::{
    device::Cx,
    oracle::{Broken, Checked, boxes::Removal},
};

/// The session goes on.
type GoesOn = bool;

impl Collector {
    /// Holds an answer against what must be answered.
    pub(super) fn judge(
        &mut self,
        command: Command,
        ok: bool,
        line: &str,
        text: &[u8],
        cx: &mut Cx<'_>,
    ) -> Checked<GoesOn> {
        match command {
            Command::User => {
                let (right, password) = self.some_password(cx);
                self.put_password(right, &format!("PASS {password}\r\n"), cx);
                return Ok(false);
            }
            Command::Login { right } => return self.logged_in(right, ok, line, cx),
            Command::Quit { removal } => return self.left(removal, ok, line, cx),
            _ if !ok && line.contains("[SYS/TEMP]") => {
                // It has its list from the login; only messages are read later.
                let reads = matches!(command, Command::Retrieve(_) | Command::Top(..));
                if !cx.excused || !reads {
                    return Err(Broken(format!("`{line}` is the answer to {command:?}")));
                }
                cx.coverage.count("collector: the store cannot be read");
                return Ok(true);
            }
            _ => {}
        }
        match self.foretold(&command, ok, line, text, cx) {
            true => Ok(true),
            false => Err(Broken(format!(
                "a collector of {:?} says {command:?} and is told `{line}` and {} octets",
                self.list,
                text.len()
            ))),
        }
    }

    fn logged_in(&mut self, right: bool, ok: bool, line: &str, cx: &mut Cx<'_>) -> Checked<GoesOn> {
        match (right, ok) {
            (true, true) => {
                cx.coverage.count("collector: logs in");
                self.put(vec![Command::Ids, Command::Sizes], cx);
            }
            (false, true) => {
                return Err(Broken("a collector logs in with a wrong password".into()));
            }
            (_, false) if line.contains("closing") => {
                self.leave(cx)?;
            }
            (false, false) if line.contains("[AUTH]") => {
                cx.coverage.count("collector: says a wrong password");
                self.log_in(cx);
            }
            (_, false) if line.contains("[SYS/TEMP]") => {
                cx.coverage.count("collector: cannot log in now");
                self.leave(cx)?;
            }
            _ => return Err(Broken(format!("a collector with a right password is told `{line}`"))),
        }
        Ok(false)
    }

    /// QUIT is answered.
    fn left(
        &mut self,
        removal: Option<Removal>,
        ok: bool,
        line: &str,
        cx: &mut Cx<'_>,
    ) -> Checked<GoesOn> {
        let all_went = removal.as_ref().map(|removal| cx.oracle.boxes.went(removal));
        match (all_went, ok) {
            (None, true) => {}
            (Some(true), true) => {
                cx.coverage.count("collector: removes messages");
            }
            // Some went before the trouble, perhaps; and after a disk that failed for good nobody
            // knows what is on it.
            (Some(_), false) if line.contains("[SYS/TEMP]") => {
                cx.coverage.count("collector: its messages cannot be removed");
            }
            _ => {
                let what =
                    format!("QUIT for {removal:?} is answered `{line}`, all went: {all_went:?}");
                return Err(Broken(what));
            }
        }
        self.finished = self.last;
        self.leave(cx)?;
        Ok(false)
    }

    /// Whether it is what the list and what was done since make it.
    fn foretold(
        &mut self,
        command: &Command,
        ok: bool,
        line: &str,
        text: &[u8],
        cx: &mut Cx<'_>,
    ) -> bool {
        let place = |number: &usize| self.list.place(*number);
        match command {
            Command::Ids => self.ids(ok, text, cx),
            Command::Sizes => self.sizes(ok, text, cx),
            Command::Stat => {
                let there = (1..=self.list.uids.len()).filter_map(|n| self.list.place(n));
                let sizes: Vec<u64> = there.map(|place| self.list.sizes[place]).collect();
                line == format!("+OK {} {}", sizes.len(), sizes.iter().sum::<u64>())
            }
            Command::Id(number) => match place(number) {
                Some(place) => line == format!("+OK {number} {}", self.id(place)),
                None => !ok,
            },
            Command::Size(number) => match place(number) {
                Some(place) => line == format!("+OK {number} {}", self.list.sizes[place]),
                None => !ok,
            },
            Command::Retrieve(number) => match place(number) {
                Some(place) => ok && self.reads(place, None, text, cx),
                None => !ok,
            },
            Command::Top(number, lines) => match place(number) {
                Some(place) => ok && self.reads(place, Some(*lines), text, cx),
                None => !ok,
            },
            Command::Delete(number) => match place(number) {
                Some(place) => {
                    self.list.marked.insert(place);
                    ok
                }
                None => !ok,
            },
            Command::Unmark => {
                self.list.marked.clear();
                ok
            }
            _ => ok,
        }
    }

    /// The ids of all. The first time they tell which messages there are, as of the login.
    fn ids(&mut self, ok: bool, text: &[u8], cx: &mut Cx<'_>) -> bool {
        let told = String::from_utf8_lossy(text);
        if !self.list.sizes.is_empty() {
            let there = (1..=self.list.uids.len()).filter_map(|n| Some((n, self.list.place(n)?)));
            let all: String = there.map(|(n, at)| format!("{n} {}\r\n", self.id(at))).collect();
            return ok && told == all;
        }
        let mut uids = Vec::new();
        for (number, line) in (1..).zip(told.lines()) {
            let words = line.split_once(' ').and_then(|(n, id)| Some((n, id.split_once('.')?)));
            let Some((told, (validity, uid))) = words else { return false };
            let (Ok(validity), Ok(uid)) = (validity.parse(), uid.parse()) else {
                return false;
            };
            let same =
                if number == 1 { validity >= self.validity } else { validity == self.validity };
            if told != number.to_string() || !same {
                return false;
            }
            self.validity = validity;
            uids.push(uid);
        }
        if uids.is_empty() {
            // Of which mailbox is not told.
            return ok;
        }
        self.list.mailbox = cx.oracle.boxes.of_validity(self.validity);
        self.list.uids = uids;
        let Some(mailbox) = self.list.mailbox else { return false };
        ok && cx.oracle.boxes.had(mailbox, &self.list.uids, self.asked)
    }

    fn sizes(&mut self, ok: bool, text: &[u8], cx: &mut Cx<'_>) -> bool {
        if self.list.sizes.is_empty() {
            let size = |uid: &u32| {
                let octets = cx.oracle.boxes.octets(self.list.mailbox?, *uid)?;
                Some(octets.len() as u64)
            };
            let Some(sizes) = self.list.uids.iter().map(size).collect() else { return false };
            self.list.sizes = sizes;
        }
        let there = (1..=self.list.uids.len()).filter_map(|n| Some((n, self.list.place(n)?)));
        let all: String = there.map(|(n, at)| format!("{n} {}\r\n", self.list.sizes[at])).collect();
        ok && text == all.as_bytes()
    }

    fn id(&self, place: usize) -> String {
        format!("{}.{}", self.validity, self.list.uids[place])
    }

    /// Whether a text is the message, or its header with so many lines of its body.
    fn reads(&self, place: usize, lines: Option<usize>, text: &[u8], cx: &mut Cx<'_>) -> bool {
        let sent = self.list.mailbox.map(|mailbox| (mailbox, self.list.uids[place]));
        let Some(sent) = sent.and_then(|(mailbox, uid)| cx.oracle.boxes.octets(mailbox, uid))
        else {
            return false;
        };
        let body = position(&sent, b"\r\n\r\n").map_or(sent.len(), |at| at + 4);
        let end = match lines {
            None => sent.len(),
            Some(lines) => {
                let ends = sent[body..].windows(2).enumerate();
                let mut ends = ends.filter(|(_, pair)| *pair == b"\r\n").map(|(at, _)| at + 2);
                body + lines.checked_sub(1).map_or(0, |n| ends.nth(n).unwrap_or(sent.len() - body))
            }
        };
        cx.coverage.count(match lines {
            None => "collector: reads a message",
            Some(_) => "collector: reads the top of a message",
        });
        let mut wanted = sent[..end].to_vec();
        if !wanted.ends_with(b"\r\n") {
            wanted.extend_from_slice(b"\r\n");
        }
        unstuffed(text) == wanted
    }
}

/// RFC 1939 §3: a dot in front of a dot at the start of a line is taken away.
fn unstuffed(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut begins = true;
    for (at, octet) in text.iter().enumerate() {
        let stuffed = begins && *octet == b'.';
        begins = *octet == b'\n' && at > 0 && text[at - 1] == b'\r';
        if !stuffed {
            plain.push(*octet);
        }
    }
    plain
}
