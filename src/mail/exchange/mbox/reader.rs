//! Reads the messages of an mbox file.

use bytes::Bytes;
use memchr::memchr;

use super::{Field, Header, LETTERS, Lines, date, is_blank, is_from};
use crate::{
    limits::KEYWORDS_MAX,
    mail::{
        exchange::{Marks, lines::ToCrlf},
        mailbox::Keyword,
    },
};

/// Reads a file.
#[derive(Debug, Default)]
pub struct Reader {
    lines: Lines,
    place: Place,
    /// An empty line of which it is not known yet whether it belongs to the message.
    blank: bool,
    /// What is to be told next, with CRLF; kept for its memory.
    told: Vec<u8>,
}

/// What a reader finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A message begins.
    Begin,
    /// Octets of it, its lines ended by CRLF, without the fields that keep its flags.
    Octets(&'a [u8]),
    End(Marks),
}

/// Where a reader stands.
#[derive(Debug, Default)]
enum Place {
    /// Before the first message.
    #[default]
    Outside,
    Inside(Box<Inside>),
}

#[derive(Debug)]
struct Inside {
    marks: Marks,
    header: Header,
    to_crlf: ToCrlf,
}

impl Reader {
    pub fn feed(&mut self, octets: &[u8], mut each: impl FnMut(Event<'_>)) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(octets, |part, begins| self.line(part, begins, &mut each));
        self.lines = lines;
        self.tell(&mut each);
    }

    /// The file has ended.
    pub fn finish(mut self, mut each: impl FnMut(Event<'_>)) {
        let last = std::mem::take(&mut self.lines.start);
        if !last.is_empty() {
            self.line(&last, true, &mut each);
        }
        self.end(&mut each);
    }

    fn line(&mut self, part: &[u8], begins: bool, each: &mut impl FnMut(Event<'_>)) {
        let may_begin = begins && (self.blank || matches!(self.place, Place::Outside));
        if let Some(received) = Some(part).filter(|_| may_begin).and_then(date::from_line) {
            self.end(each);
            each(Event::Begin);
            let marks = Marks { received: Some(received), ..Marks::default() };
            let (header, to_crlf) = (Header::Ahead, ToCrlf::default());
            self.place = Place::Inside(Box::new(Inside { marks, header, to_crlf }));
            return;
        }
        let Place::Inside(inside) = &mut self.place else {
            return;
        };
        if begins && std::mem::replace(&mut self.blank, is_blank(part)) {
            inside.to_crlf.feed(b"\n", &mut self.told);
        }
        if begins {
            inside.begin_line(part);
        }
        if self.blank || matches!(inside.header, Header::Ahead | Header::Ours(_)) {
            return;
        }
        let is_quoted = begins && part.starts_with(b">") && is_from(part);
        inside.to_crlf.feed(&part[usize::from(is_quoted)..], &mut self.told);
    }

    /// Ends the message. An empty line before the next one, or before the end of the file, was
    /// not part of it.
    fn end(&mut self, each: &mut impl FnMut(Event<'_>)) {
        self.blank = false;
        self.tell(each);
        if let Place::Inside(inside) = std::mem::take(&mut self.place) {
            each(Event::End(inside.marks));
        }
    }

    fn tell(&mut self, each: &mut impl FnMut(Event<'_>)) {
        if !self.told.is_empty() {
            each(Event::Octets(&self.told));
            self.told.clear();
        }
    }
}

impl Inside {
    /// Reads what a line of the header says of the message's flags.
    fn begin_line(&mut self, line: &[u8]) {
        self.header = self.header.behind(line);
        let Header::Ours(field) = self.header else {
            return;
        };
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        let colon = memchr(b':', line).map_or(0, |at| at + 1);
        let value = &line[if folded { 0 } else { colon }..];
        for (letter, of, flag) in LETTERS {
            if of == field && value.contains(&letter) {
                self.marks.flags = self.marks.flags.with(flag);
            }
        }
        if field == Field::XKeywords {
            let keywords = &mut self.marks.keywords;
            for word in value.split(u8::is_ascii_whitespace) {
                if let Ok(keyword) = Keyword::parse(Bytes::copy_from_slice(word))
                    && keywords.len() < KEYWORDS_MAX
                    && !keywords.contains(&keyword)
                {
                    keywords.push(keyword);
                }
            }
        }
    }
}
