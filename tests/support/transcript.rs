//! Reads transcripts: SMTP conversations as text, to be replayed against a session or a server.

use std::time::Duration;

/// A conversation. The format is described at the top of `tests/transcripts.rs`.
pub struct Transcript {
    pub name: String,
    /// `% key value` lines: how the server is configured.
    pub settings: Vec<(String, String)>,
    pub steps: Vec<(usize, Step)>,
}

#[allow(dead_code)] // The wire has no use for what only the pure session can be asked.
pub enum Step {
    /// `C:`, `C>` and `C*`: octets from the client. Neighbours are joined: they are sent at once.
    Send(Vec<u8>),
    /// `S:` one reply line.
    Expect(String),
    /// `S! closed`
    ExpectClosed,
    /// `@ 30s`
    Advance(Duration),
    /// `E:` something happens inside the server.
    Event(String),
    /// `M:` a fact about the message last committed.
    Message { field: String, value: String },
}

/// Every `.txt` file of a folder, in order of their names.
pub fn read_all(folder: &str) -> Vec<Transcript> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        Transcript::parse(&path.display().to_string(), &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

impl Transcript {
    pub fn parse(name: &str, text: &str) -> Self {
        let mut transcript =
            Self { name: name.to_owned(), settings: Vec::new(), steps: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            let (mark, rest) = line.split_at(line.len().min(2));
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            let step = match mark {
                "" | "# " | "#" => continue,
                "% " => {
                    let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                    transcript.settings.push((key.to_owned(), value.trim().to_owned()));
                    continue;
                }
                "C:" => Step::Send([rest.as_bytes(), b"\r\n"].concat()),
                "C>" => Step::Send(unescape(rest)),
                "C*" => {
                    let (count, text) = rest.split_once(' ').expect("C* count text");
                    Step::Send(unescape(text).repeat(count.parse().expect("C* count text")))
                }
                "S:" => Step::Expect(rest.to_owned()),
                "S!" => Step::ExpectClosed,
                "@ " => Step::Advance(duration(rest)),
                "E:" => Step::Event(rest.to_owned()),
                "M:" => {
                    let (field, value) = rest.split_once(' ').unwrap_or((rest, ""));
                    Step::Message { field: field.to_owned(), value: value.to_owned() }
                }
                _ => panic!("{name}:{}: no mark of a transcript: {line}", at + 1),
            };
            match (transcript.steps.last_mut(), step) {
                (Some((_, Step::Send(before))), Step::Send(more)) => before.extend(more),
                (_, step) => transcript.steps.push((at + 1, step)),
            }
        }
        transcript
    }

    /// Whether a server on the wire can play it: events and time need a session in hand.
    #[allow(dead_code)] // Not every test that reads transcripts asks.
    pub fn plays_on_the_wire(&self) -> bool {
        !self.steps.iter().any(|(_, step)| matches!(step, Step::Event(_) | Step::Advance(_)))
    }

    /// Octets the client sends over all.
    #[allow(dead_code)] // Not every test that reads transcripts asks.
    pub fn octets(&self) -> usize {
        let octets = |(_, step): &(usize, Step)| match step {
            Step::Send(octets) => octets.len(),
            _ => 0,
        };
        self.steps.iter().map(octets).sum()
    }
}

/// Whether a reply line is the expected one; `{id}` stands for any queue id.
pub fn matches(expected: &str, found: &str) -> bool {
    match expected.split_once("{id}") {
        None => expected == found,
        Some((front, back)) => found.strip_prefix(front).is_some_and(|rest| {
            rest.get(..13).is_some_and(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))
                && matches(back, &rest[13..])
        }),
    }
}

/// `\r \n \t \0 \\ \xHH`
pub fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [byte, behind @ ..] = rest {
        let (octet, behind) = match (byte, behind) {
            (b'\\', [b'r', behind @ ..]) => (b'\r', behind),
            (b'\\', [b'n', behind @ ..]) => (b'\n', behind),
            (b'\\', [b't', behind @ ..]) => (b'\t', behind),
            (b'\\', [b'0', behind @ ..]) => (0, behind),
            (b'\\', [b'\\', behind @ ..]) => (b'\\', behind),
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digit = |d: &u8| (*d as char).to_digit(16).expect("\\xHH") as u8;
                (digit(high) << 4 | digit(low), behind)
            }
            (b'\\', _) => panic!("no such escape: {text}"),
            (byte, behind) => (*byte, behind),
        };
        out.push(octet);
        rest = behind;
    }
    out
}

fn duration(text: &str) -> Duration {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let count: u64 = digits.parse().expect("a duration like 30s");
    match &text[digits.len()..] {
        "ms" => Duration::from_millis(count),
        "s" => Duration::from_secs(count),
        "m" => Duration::from_secs(count * 60),
        unit => panic!("no unit of time: {unit}"),
    }
}
