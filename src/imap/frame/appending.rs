//! APPEND from its first message on (RFC 3502).

use bytes::Bytes;
use memchr::memchr;

use super::{Dialect, Frame, State, Step, literal::Header, skipping::Skipping};
use crate::{
    imap::{
        command::Appended,
        parse::{self, Fault},
    },
    limits::APPEND_MESSAGES_MAX,
};

pub struct Appending {
    tag: Bytes,
    /// Messages so far, the present one with them.
    messages: usize,
    /// The present message stands in `UTF8 (…)`.
    wrapped: bool,
    place: Place,
}

enum Place {
    /// The header of a message's literal was read and not yet told.
    Ahead { appended: Appended, header: Header },
    /// `waits`: for a `+` of which nobody has decided.
    Within { left: u64, waits: bool },
    /// Behind a message, with what is there of the line.
    Behind { line: Vec<u8> },
}

impl Appending {
    pub fn new(tag: Bytes, appended: Appended, header: Header, wrapped: bool) -> Self {
        Self { tag, messages: 1, wrapped, place: Place::Ahead { appended, header } }
    }

    pub fn step(mut self: Box<Self>, rest: &mut Bytes, dialect: Dialect) -> Step {
        match &mut self.place {
            Place::Ahead { appended, header } => {
                let frame = Frame::Message {
                    appended: std::mem::take(appended),
                    size: header.size,
                    synchronizing: header.synchronizing,
                    binary: header.binary || self.wrapped,
                };
                self.place = Place::Within { left: header.size, waits: header.synchronizing };
                Step::Frame(frame, State::Appending(self))
            }
            Place::Within { left: 0, .. } => {
                self.place = Place::Behind { line: Vec::new() };
                Step::Frame(Frame::MessageEnd, State::Appending(self))
            }
            Place::Within { left, waits } => {
                // The session would have refused it by now.
                *waits = false;
                if rest.is_empty() {
                    return Step::Wait(State::Appending(self));
                }
                let length = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= length as u64;
                Step::Frame(Frame::Octets(rest.split_to(length)), State::Appending(self))
            }
            Place::Behind { line } => {
                let line = std::mem::take(line);
                self.behind(line, rest, dialect)
            }
        }
    }

    /// What remains to be read over.
    pub fn refused(self) -> Skipping {
        let frame = Frame::AppendEnd;
        match self.place {
            Place::Ahead { header, .. } => Skipping::literal(frame, header),
            Place::Within { left, waits: synchronizing } => {
                let header = Header { at: 0, size: left, synchronizing, binary: false };
                Skipping::literal(frame, header)
            }
            Place::Behind { line } => Skipping::line(frame, &line),
        }
    }

    pub fn memory(&self) -> usize {
        let kept = match &self.place {
            Place::Ahead { appended, .. } => appended.keywords.capacity() * size_of::<Bytes>(),
            Place::Within { .. } => 0,
            Place::Behind { line } => line.capacity(),
        };
        size_of::<Self>() + kept
    }

    fn behind(mut self: Box<Self>, mut line: Vec<u8>, rest: &mut Bytes, dialect: Dialect) -> Step {
        let end = memchr(b'\n', rest);
        let length = end.map_or(rest.len(), |end| end + 1);
        if line.len() + length > dialect.line_max() {
            let fault = Fault::TooBig("the line behind a message is too long");
            let skipping = Skipping::line(fault.frame(Some(self.tag)), &line);
            return Step::On(State::Skipping(Box::new(skipping)));
        }
        let taken = rest.split_to(length);
        let line = if line.is_empty() && end.is_some() {
            taken
        } else {
            line.extend_from_slice(&taken);
            if end.is_none() {
                self.place = Place::Behind { line };
                return Step::Wait(State::Appending(self));
            }
            line.into()
        };
        let Some(header) = Header::of(&line) else {
            let frame = match parse::end_of_append(line, self.wrapped) {
                Ok(()) => Frame::AppendEnd,
                Err(fault) => fault.frame(Some(self.tag)),
            };
            return Step::Frame(frame, State::Between);
        };
        self.messages += 1;
        let next = if self.messages > APPEND_MESSAGES_MAX {
            Err(Fault::TooBig("APPEND brings too many messages at once"))
        } else {
            parse::next_of_append(line, header.at, self.wrapped)
        };
        match next {
            Ok((appended, wrapped)) => {
                self.wrapped = wrapped;
                self.place = Place::Ahead { appended, header };
                Step::On(State::Appending(self))
            }
            Err(fault) => {
                let skipping = Skipping::literal(fault.frame(Some(self.tag)), header);
                Step::On(State::Skipping(Box::new(skipping)))
            }
        }
    }
}
