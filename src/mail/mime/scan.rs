//! Follows the lines of a message: headers, bodies, and the delimiters that end both.

use memchr::{memchr, memchr_iter};

use super::{
    header::Header,
    tree::{Delimiter, Place, Tree},
};
use crate::{limits::BOUNDARY_MAX, mail::mailbox::Summary};

/// What a listing shows of a message, computed while its octets come by, cut anyhow. Memory is
/// bounded whatever comes.
#[derive(Debug)]
pub struct Scan {
    state: State,
    /// Before what is fed next.
    at: Place,
    /// The octet before that.
    previous: u8,
    /// The line that is being looked at, or was last.
    line: Line,
    /// Its start, where it was cut.
    kept: Vec<u8>,
    header: Header,
    tree: Tree,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Header,
    /// In a body, at the start of a line: it may be a delimiter.
    LineStart,
    /// In a body, on the way to the end of a line.
    Line,
    /// On the way to the end of a delimiter line that a part follows.
    Delimiter,
}

/// Where a line begins, and the octets of the line's end before it.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    start: Place,
    ending: u8,
}

/// Octets of a line that tell whether it is a delimiter.
const DELIMITER: usize = b"--".len() + BOUNDARY_MAX + b"--".len();

impl Default for Scan {
    fn default() -> Self {
        Self::new()
    }
}

impl Scan {
    pub fn new() -> Self {
        Self {
            state: State::Header,
            at: Place::default(),
            previous: 0,
            line: Line::default(),
            kept: Vec::new(),
            header: Header::default(),
            tree: Tree::new(),
        }
    }

    /// Takes the next octets of the message.
    pub fn feed(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let used = match self.state {
                State::Header => self.in_header(rest),
                State::LineStart => self.at_line_start(rest),
                State::Line => self.in_body(rest),
                State::Delimiter => self.in_delimiter(rest),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Octets of the header with its empty line, once that has come.
    pub fn header(&self) -> Option<u64> {
        self.tree.header()
    }

    /// The message has ended. Gives its summary, and the octets of its header with the empty line.
    pub fn finish(mut self) -> (Summary, u32) {
        let kept = std::mem::take(&mut self.kept);
        match self.state {
            State::Header if !kept.is_empty() => self.header_line(&kept),
            State::LineStart => {
                if let Some(delimiter) = self.tree.delimiter(&kept) {
                    self.end_parts(delimiter);
                }
            }
            State::Header | State::Line | State::Delimiter => {}
        }
        while self.state == State::Header {
            self.end_header(self.at);
        }
        self.tree.finish(self.at)
    }

    /// In a header: takes one line, or keeps the start of one.
    fn in_header(&mut self, rest: &[u8]) -> usize {
        // Behind what is looked at, only an empty line and delimiters still count.
        let room = self.header.room().max(DELIMITER);
        let end = memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        let Some(end) = end else {
            self.keep(line, room);
            self.advance(line, 0);
            return line.len();
        };
        let ending = self.ending(line);
        self.advance(&rest[..=end], 1);
        let follows = Line { start: self.at, ending };
        if self.kept.is_empty() {
            self.header_line(&line[..line.len().min(room)]);
        } else {
            self.keep(line, room);
            let kept = std::mem::take(&mut self.kept);
            self.header_line(&kept);
            self.kept = kept;
            self.kept.clear();
        }
        self.line = follows;
        match self.state {
            State::Line => self.state = State::LineStart,
            State::Delimiter => self.begin_part(),
            State::Header | State::LineStart => {}
        }
        end + 1
    }

    /// Takes a whole line without its LF.
    fn header_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            self.end_header(self.at);
        } else if let Some(delimiter) = self.tree.delimiter(line) {
            // A part may end in the middle of its header.
            while self.state == State::Header {
                self.end_header(self.line.before());
            }
            self.end_parts(delimiter);
        } else {
            self.header.line(line);
        }
    }

    fn end_header(&mut self, at: Place) {
        let embedded = self.tree.end_header(&self.header, at);
        self.header.clear();
        self.state = if embedded { State::Header } else { State::LineStart };
    }

    /// In a body: looks whether the line is a delimiter. Where it is none, it is left to `in_body`.
    fn at_line_start(&mut self, rest: &[u8]) -> usize {
        let dashes = &b"--"[self.kept.len().min(2)..];
        let seen = dashes.len().min(rest.len());
        if !self.tree.is_watching() || rest[..seen] != dashes[..seen] {
            self.kept.clear();
            self.state = State::Line;
            return 0;
        }
        let room = DELIMITER - self.kept.len();
        let line = &rest[..rest.len().min(room)];
        let end = memchr(b'\n', line);
        let line = &line[..end.unwrap_or(line.len())];
        self.advance(line, 0);
        if end.is_none() && line.len() < room {
            self.kept.extend_from_slice(line);
            return line.len();
        }
        let found = if self.kept.is_empty() {
            self.tree.delimiter(line)
        } else {
            self.kept.extend_from_slice(line);
            let found = self.tree.delimiter(&self.kept);
            self.kept.clear();
            found
        };
        match found {
            Some(delimiter) => self.end_parts(delimiter),
            None => self.state = State::Line,
        }
        line.len()
    }

    /// In a body: goes to the next line that may be a delimiter.
    fn in_body(&mut self, rest: &[u8]) -> usize {
        let mut lines = 0;
        if !self.tree.is_watching() {
            lines = memchr_iter(b'\n', rest).count() as u64;
            self.advance(rest, lines);
            return rest.len();
        }
        for end in memchr_iter(b'\n', rest) {
            lines += 1;
            let next = &rest[end + 1..];
            if matches!(next, [] | [b'-'] | [b'-', b'-', ..]) {
                let ending = self.ending(&rest[..end]);
                self.advance(&rest[..=end], lines);
                self.line = Line { start: self.at, ending };
                self.state = State::LineStart;
                return end + 1;
            }
        }
        self.advance(rest, lines);
        rest.len()
    }

    /// On a delimiter line that a part follows.
    fn in_delimiter(&mut self, rest: &[u8]) -> usize {
        let Some(end) = memchr(b'\n', rest) else {
            self.advance(rest, 0);
            return rest.len();
        };
        let ending = self.ending(&rest[..end]);
        self.advance(&rest[..=end], 1);
        self.line = Line { start: self.at, ending };
        self.begin_part();
        end + 1
    }

    /// The line that is being looked at is a delimiter; its end may still be to come.
    fn end_parts(&mut self, delimiter: Delimiter) {
        self.tree.end_parts(delimiter, self.line.before());
        self.state = if delimiter.last { State::Line } else { State::Delimiter };
    }

    fn begin_part(&mut self) {
        self.tree.begin_part(self.at.octets);
        self.state = State::Header;
    }

    /// Keeps the start of a line that was cut, at most `room` octets of it.
    fn keep(&mut self, piece: &[u8], room: usize) {
        let room = room.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn advance(&mut self, octets: &[u8], lines: u64) {
        self.at.octets += octets.len() as u64;
        self.at.lines += lines;
        self.previous = octets.last().copied().unwrap_or(self.previous);
    }

    /// Octets of the end of a line, of which `line` is what lies here before the LF.
    fn ending(&self, line: &[u8]) -> u8 {
        match line.last().copied().unwrap_or(self.previous) {
            b'\r' => 2,
            _ => 1,
        }
    }
}

impl Line {
    /// RFC 2046 §5.1.1: the line end before a delimiter belongs to it.
    fn before(&self) -> Place {
        Place {
            octets: self.start.octets.saturating_sub(u64::from(self.ending)),
            lines: self.start.lines.saturating_sub(u64::from(self.ending > 0)),
        }
    }
}
