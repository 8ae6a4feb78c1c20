//! Writes a message into an mbox file.

use super::{Field, Header, LETTERS, Lines, date, is_blank, is_from};
use crate::mail::{
    exchange::{Marks, lines::ToLf},
    mailbox::Flags,
};

/// Writes one message.
#[derive(Debug)]
pub struct Writer {
    marks: Marks,
    to_lf: ToLf,
    lines: Lines,
    header: Header,
    /// What was fed last, with LF; kept for its memory.
    converted: Vec<u8>,
    /// The last line is not ended.
    is_open: bool,
}

/// RFC 5322 §2.1.1: columns of a line that is folded.
const FOLD: usize = 78;

impl Writer {
    /// Puts out the line that is before the message. Who sent it stands in its `Return-Path`.
    pub fn begin(marks: Marks, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"From MAILER-DAEMON ");
        out.extend_from_slice(&date::asctime(marks.received.unwrap_or_default()));
        out.push(b'\n');
        Self {
            marks,
            to_lf: ToLf::default(),
            lines: Lines::default(),
            header: Header::Kept,
            converted: Vec::new(),
            is_open: false,
        }
    }

    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut converted = std::mem::take(&mut self.converted);
        self.to_lf.feed(octets, &mut converted);
        self.feed_lines(&converted, out);
        converted.clear();
        self.converted = converted;
    }

    /// Ends the message.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        let mut last = Vec::new();
        std::mem::take(&mut self.to_lf).finish(&mut last);
        self.feed_lines(&last, out);
        let last = std::mem::take(&mut self.lines.start);
        if !last.is_empty() {
            self.line(&last, true, out);
        }
        if self.is_open {
            out.push(b'\n');
        }
        if self.header != Header::Over {
            self.fields(out);
        }
        out.push(b'\n');
    }

    fn feed_lines(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(octets, |part, begins| self.line(part, begins, out));
        self.lines = lines;
    }

    fn line(&mut self, part: &[u8], begins: bool, out: &mut Vec<u8>) {
        if begins {
            if self.header != Header::Over && is_blank(part) {
                self.fields(out);
            }
            self.header = self.header.behind(part);
        }
        if matches!(self.header, Header::Ours(_)) {
            return;
        }
        if begins && is_from(part) {
            out.push(b'>');
        }
        out.extend_from_slice(part);
        self.is_open = !part.ends_with(b"\n");
    }

    fn fields(&self, out: &mut Vec<u8>) {
        let letters = |field| {
            let has = move |(_, of, flag): &&(u8, Field, Flags)| {
                *of == field && self.marks.flags.contains(*flag)
            };
            LETTERS.iter().filter(has).map(|(letter, ..)| *letter)
        };
        out.extend_from_slice(b"Status: ");
        out.extend(letters(Field::Status));
        // It is not new: a client has been told of it.
        out.extend_from_slice(b"O\n");
        if letters(Field::XStatus).next().is_some() {
            out.extend_from_slice(b"X-Status: ");
            out.extend(letters(Field::XStatus));
            out.push(b'\n');
        }
        let mut line = out.len();
        for (index, keyword) in self.marks.keywords.iter().enumerate() {
            if index == 0 {
                out.extend_from_slice(b"X-Keywords:");
            } else if out.len() - line + keyword.as_bytes().len() >= FOLD {
                out.push(b'\n');
                line = out.len();
            }
            out.push(b' ');
            out.extend_from_slice(keyword.as_bytes());
        }
        if !self.marks.keywords.is_empty() {
            out.push(b'\n');
        }
    }
}
