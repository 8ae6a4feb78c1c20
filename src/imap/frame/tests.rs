//! Transcripts at every cut, and what strangers might send.

use super::*;
use crate::{imap::command::Request, random::Random};

/// Frames as text, the octets of a message gathered. Lines are asked for behind IDLE and
/// AUTHENTICATE; what goes to the mailbox `refused` is refused.
struct Reader {
    frames: Frames,
    dialect: Dialect,
    refuse: bool,
    told: Vec<String>,
    octets: Option<Vec<u8>>,
}

impl Reader {
    fn new(dialect: Dialect) -> Self {
        let (frames, told) = (Frames::default(), Vec::new());
        Self { frames, dialect, refuse: false, told, octets: None }
    }

    fn read(&mut self, octets: &[u8]) {
        let mut rest = Bytes::copy_from_slice(octets);
        while let Some(frame) = self.frames.next(&mut rest, self.dialect) {
            self.dialect.line = false;
            self.tell(frame);
        }
        assert!(rest.is_empty(), "{:?} is left", rest);
    }

    fn tell(&mut self, frame: Frame) {
        let tag = |tag: Option<Bytes>| tag.map_or("*".into(), |tag| shown(&tag));
        let line = match frame {
            Frame::Command(command) => {
                match &command.request {
                    Request::Append { name } => self.refuse = name.as_str() == "refused",
                    Request::Idle | Request::Authenticate { .. } => self.dialect.line = true,
                    _ => {}
                }
                format!("{} {:?}", shown(&command.tag), command.request)
            }
            Frame::Octets(octets) => {
                assert!(!octets.is_empty());
                return self.octets.get_or_insert_default().extend_from_slice(&octets);
            }
            Frame::MessageEnd => {
                format!("octets {}", shown(&self.octets.take().unwrap_or_default()))
            }
            Frame::Message { appended, size, synchronizing, binary } => {
                if self.refuse {
                    self.frames.refuse_message();
                }
                let flags = appended.flags.bits();
                let received = appended.received.map(|wall| wall.as_millis());
                let waits = if synchronizing { " waits" } else { "" };
                let binary = if binary { " binary" } else { "" };
                format!("message {size} {flags} {received:?}{waits}{binary}")
            }
            Frame::Bad { tag: of, .. } => format!("{} bad", tag(of)),
            Frame::TooBig { tag: of, .. } => format!("{} too big", tag(of)),
            Frame::BadCharset { tag, .. } => format!("{} charset", shown(&tag)),
            Frame::BadName { tag, .. } => format!("{} name", shown(&tag)),
            Frame::BadUse { tag } => format!("{} use", shown(&tag)),
            Frame::Fatal { .. } => "fatal".into(),
            Frame::Line(line) => format!("line {}", shown(&line)),
            other => format!("{other:?}"),
        };
        self.told.push(line);
    }
}

fn shown(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

const DEFAULT: Dialect = Dialect { utf8: false, stranger: false, line: false };

/// What a client sends, and what is told of it.
const TRANSCRIPTS: &[(&str, &[&str])] = &[
    ("a NOOP\r\nb noop\nc NOOP \r\n", &["a Noop", "b Noop", "c Noop"]),
    (
        "a LOGIN {3+}\r\nu\r\n {2}\r\npw\r\n",
        &["Continue", r#"a Login { user: b"u\r\n", password: b"pw" }"#],
    ),
    (
        "a LOGIN u {0}\r\n\r\nb NOOP\r\n",
        &["Continue", r#"a Login { user: b"u", password: b"" }"#, "b Noop"],
    ),
    (
        "a LOGIN u {3+}\r\n{3}\r\nb NOOP\r\n",
        &[r#"a Login { user: b"u", password: b"{3}" }"#, "b Noop"],
    ),
    ("a IDLE\r\nDONE\r\nb NOOP\r\n", &["a Idle", "line DONE", "b Noop"]),
    (
        "a AUTHENTICATE plain\r\nAGEAYg==\r\nb NOOP\r\n",
        &[r#"a Authenticate { mechanism: b"PLAIN", initial: None }"#, "line AGEAYg==", "b Noop"],
    ),
    (
        "a APPEND x (\\Seen) {5}\r\nhello\r\nb NOOP\r\n",
        &[
            r#"a Append { name: "x" }"#,
            "message 5 1 None waits",
            "octets hello",
            "AppendEnd",
            "b Noop",
        ],
    ),
    (
        "a append {1+}\r\nx \" 1-Jan-1970 00:00:01 +0000\" ~{2+}\r\n\0\n\nb NOOP\n",
        &[
            r#"a Append { name: "x" }"#,
            "message 2 0 Some(1000) binary",
            r"octets \x00\n",
            "AppendEnd",
            "b Noop",
        ],
    ),
    (
        "a APPEND x {1}\r\na (\\Draft k) {2+}\r\nbc UTF8 (~{1+}\r\nd)\r\n",
        &[
            r#"a Append { name: "x" }"#,
            "message 1 0 None waits",
            "octets a",
            "message 2 16 None",
            "octets bc",
            "message 1 0 None binary",
            "octets d",
            "AppendEnd",
        ],
    ),
    (
        "a APPEND x {0}\r\n\r\nb NOOP\r\n",
        &[r#"a Append { name: "x" }"#, "message 0 0 None waits", "octets ", "AppendEnd", "b Noop"],
    ),
    // Refused: the client does not get its `+`, or its octets are read over.
    (
        "a APPEND refused {5}\r\nb NOOP\r\n",
        &[r#"a Append { name: "refused" }"#, "message 5 0 None waits", "AppendEnd", "b Noop"],
    ),
    (
        "a APPEND refused {3+}\r\nx\r\n {4+}\r\ny\r\nz\r\nb NOOP\r\n",
        &[r#"a Append { name: "refused" }"#, "message 3 0 None", "AppendEnd", "b Noop"],
    ),
    (
        "a APPEND refused {3+}\r\nx\r\n {4}\r\nb NOOP\r\n",
        &[r#"a Append { name: "refused" }"#, "message 3 0 None", "AppendEnd", "b Noop"],
    ),
    // Not understood, and where the next command begins all the same.
    ("a APPEND x nonsense {3+}\r\ny\r\n\r\nb NOOP\r\n", &["a bad", "b Noop"]),
    ("a APPEND x nonsense {3}\r\nb NOOP\r\n", &["a bad", "b Noop"]),
    ("a APPEND a//b {3}\r\nb NOOP\r\n", &["a name", "b Noop"]),
    (
        "a APPEND x {1+}\r\nyz\r\nb NOOP\r\n",
        &[r#"a Append { name: "x" }"#, "message 1 0 None", "octets y", "a bad", "b Noop"],
    ),
    (
        "a APPEND x UTF8 (~{1+}\r\ny\r\nb NOOP\r\n",
        &[r#"a Append { name: "x" }"#, "message 1 0 None binary", "octets y", "a bad", "b Noop"],
    ),
    (
        "a APPEND x {1+}\r\nynonsense {4+}\r\n\r\n\r\n\r\nb NOOP\r\n",
        &[r#"a Append { name: "x" }"#, "message 1 0 None", "octets y", "a bad", "b Noop"],
    ),
    ("a WHAT {2+}\r\n\r\n {1}\r\nx\r\nb NOOP\r\n", &["Continue", "a bad", "b Noop"]),
    ("a LOGIN {300000}\r\nb NOOP\r\n", &["a too big", "b Noop"]),
    ("a LOGIN {99999999999999999999+}\r\nb NOOP\r\nc NOOP\r\n", &["fatal"]),
    ("\r\na\r\n+ NOOP\r\nb NOOP\r\n", &["* bad", "* bad", "* bad", "b Noop"]),
    ("a SEARCH CHARSET klingon TEXT x\r\n", &["a charset"]),
    ("a CREATE x (USE (\\What))\r\na CREATE x (USE (\\Sent \\Trash))\r\n", &["a use", "a use"]),
];

#[test]
fn transcripts_at_every_cut() {
    for (text, want) in TRANSCRIPTS {
        let text = text.as_bytes();
        for cut in 0..=text.len() {
            let mut reader = Reader::new(DEFAULT);
            reader.read(&text[..cut]);
            reader.read(&text[cut..]);
            assert_eq!(reader.told, *want, "{:?} cut at {cut}", shown(text));
        }
        let mut reader = Reader::new(DEFAULT);
        text.chunks(1).for_each(|octet| reader.read(octet));
        assert_eq!(reader.told, *want, "{:?} octet by octet", shown(text));
        assert_eq!(reader.frames.memory(), size_of::<Frames>(), "{:?}", shown(text));
    }
}

#[test]
fn long_lines_are_read_over() {
    let long = "x".repeat(IMAP_LINE_MAX);
    let literal = "y\r\n".repeat(50_000);
    let fits = format!("a NOOP{}\r\n", " ".repeat(IMAP_LINE_MAX - 8));
    for (text, want) in [
        (fits.clone(), "a Noop"),
        (fits.replace("\r\n", " \r\n"), "a too big"),
        (format!("a NOOP {long}\r\n"), "a too big"),
        (format!("{long} NOOP\r\n"), "* too big"),
        (format!("a SETQUOTA {{{}+}}\r\n{long}{long} x\r\n", 2 * long.len()), "a too big"),
        (format!("a SETQUOTA {{{}+}}\r\n{long} x\r\n", long.len()), "a SetQuota"),
        (format!("a NOOP {long} {{150000+}}\r\n{literal} {{2+}}\r\n\r\n\r\n"), "a too big"),
        (format!("a NOOP {long} {{150000}}\r\n"), "a too big"),
        (format!("a LOGIN {{150000+}}\r\n{literal} {{2+}}\r\n\r\n\r\n"), "a too big"),
    ] {
        let text = format!("{text}z NOOP\r\n");
        let mut random = Random::from_seed([9; 32]);
        for size in [text.len(), 16_384, 1000, 77] {
            let mut reader = Reader::new(DEFAULT);
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                let (piece, behind) =
                    rest.split_at(rest.len().min(1 + random.below(size as u32) as usize));
                reader.read(piece);
                rest = behind;
                assert!(reader.frames.memory() <= 2 * IMAP_COMMAND_MAX + 1024);
            }
            assert_eq!(reader.told, [want, "z Noop"], "{} of {size}", &text[..40]);
        }
    }
}

#[test]
fn what_never_ends_is_fatal() {
    let stranger = Dialect { stranger: true, ..DEFAULT };
    for (dialect, begin, bound) in [
        (stranger, "a LOGIN ", IMAP_SKIP_STRANGER_MAX),
        (stranger, "a APPEND refused {9999999+}\r\n", 0),
        (DEFAULT, "a LOGIN ", IMAP_SKIP_MAX),
        (Dialect { line: true, ..stranger }, "AGEA", IMAP_COMMAND_STRANGER_MAX as u64),
    ] {
        let mut reader = Reader::new(dialect);
        reader.read(begin.as_bytes());
        let piece = vec![b'x'; 16 * 1024];
        let mut sent = 0;
        while reader.told.last().is_none_or(|told| told != "fatal") {
            assert!(sent <= bound + 2 * IMAP_LINE_MAX as u64, "{begin} goes on");
            reader.read(&piece);
            sent += piece.len() as u64;
            assert!(reader.frames.memory() <= 2 * IMAP_LINE_MAX + 1024);
        }
        reader.read(b"\r\nb NOOP\r\n");
        assert_eq!(reader.told.last().map(String::as_str), Some("fatal"));
    }
}

const SIGNS: &[u8] = b"{}()\"\\ \r\n+~*%&$<.>[]0";

#[test]
fn mutations_do_no_harm() {
    let mut random = Random::from_seed([11; 32]);
    let lines: Vec<&[u8]> = TRANSCRIPTS
        .iter()
        .map(|(text, _)| text.as_bytes())
        .chain(crate::imap::parse::tests::CORPUS.iter().map(|line| line.as_bytes()))
        .collect();
    for round in 0..20_000 {
        let mut text = lines[random.below(lines.len() as u32) as usize].to_vec();
        text.extend_from_slice(b"\r\n");
        for _ in 0..=random.below(4) {
            let at = random.below(text.len() as u32) as usize;
            let other = lines[random.below(lines.len() as u32) as usize];
            match random.below(5) {
                0 => text[at] = random.next_u16() as u8,
                1 if text.len() > 1 => drop(text.remove(at)),
                2 => text.insert(at, SIGNS[random.below(SIGNS.len() as u32) as usize]),
                3 => text.truncate(at + 1),
                _ => drop(text.splice(at..at, other.iter().copied())),
            }
        }
        let mut whole = Reader::new(DEFAULT);
        whole.read(&text);
        let mut pieces = Reader::new(DEFAULT);
        let mut rest = &text[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + random.below(rest.len() as u32) as usize);
            pieces.read(piece);
            rest = behind;
            assert!(pieces.frames.memory() <= 4 * text.len() + 1024, "{round}: {}", shown(&text));
        }
        assert_eq!(whole.told, pieces.told, "{round}: {}", shown(&text));
    }
}
