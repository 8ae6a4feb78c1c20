//! A command on its way: looked at where it lies, gathered only if it comes in pieces.

use bytes::{Buf, Bytes};
use memchr::memchr;

use super::{
    Dialect, Frame, State, Step, appending::Appending, literal::Header, skipping::Skipping,
};
use crate::imap::parse::{self, Fault, Head};

const LINE_TOO_LONG: Fault = Fault::TooBig("the line is too long; ask for less at once");
const COMMAND_TOO_LONG: Fault = Fault::TooBig("the command is too long; ask for less at once");

/// The octets of one command so far: those in `kept`, or where nothing is kept the first `taken`
/// of what was read.
#[derive(Default)]
pub struct Gathering {
    kept: Vec<u8>,
    taken: usize,
    /// Where the present line begins, or will behind the literal.
    line: usize,
    /// Octets of a literal still to come.
    literal: usize,
}

impl Gathering {
    pub fn step(mut self, rest: &mut Bytes, dialect: Dialect) -> Step {
        loop {
            if self.literal > 0 {
                let length = self.literal.min(rest.len() - self.taken);
                self.take(length, rest);
                self.literal -= length;
                if self.literal > 0 {
                    return Step::Wait(self.kept(rest));
                }
            }
            let unseen = &rest[self.taken..];
            let end = memchr(b'\n', unseen);
            let length = end.map_or(unseen.len(), |end| end + 1);
            let total = self.octets(rest).len() + length;
            if total - self.line > dialect.line_max() || total > dialect.command_max() {
                return self.too_long(rest);
            }
            self.take(length, rest);
            if end.is_none() {
                return Step::Wait(self.kept(rest));
            }
            let Some(header) = Header::of(&self.octets(rest)[self.line..]) else {
                return self.whole(rest, dialect);
            };
            if parse::is_append(self.octets(rest)) {
                match parse::head_of_append(self.copy(rest), self.line + header.at, dialect) {
                    Ok(Head::Name) => {}
                    Ok(Head::Message { command, appended, wrapped }) => {
                        rest.advance(self.taken);
                        let tag = command.tag.clone();
                        let appending = Appending::new(tag, appended, header, wrapped);
                        let state = State::Appending(Box::new(appending));
                        return Step::Frame(Frame::Command(command), state);
                    }
                    Err(fault) => return self.refuse(fault, header, rest),
                }
            }
            // A literal that would not fit is not asked for.
            match usize::try_from(header.size) {
                Ok(size) if size <= dialect.command_max() - total => self.literal = size,
                _ => return self.refuse(COMMAND_TOO_LONG, header, rest),
            }
            self.line = total + self.literal;
            if header.synchronizing {
                return Step::Frame(Frame::Continue, self.kept(rest));
            }
        }
    }

    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.kept.capacity()
    }

    fn octets<'a>(&'a self, rest: &'a Bytes) -> &'a [u8] {
        if self.kept.is_empty() { &rest[..self.taken] } else { &self.kept }
    }

    /// An APPEND is looked at up to twice: up to its name and up to its message.
    fn copy(&self, rest: &Bytes) -> Bytes {
        if self.kept.is_empty() {
            rest.slice(..self.taken)
        } else {
            Bytes::copy_from_slice(&self.kept)
        }
    }

    fn take(&mut self, length: usize, rest: &mut Bytes) {
        if self.kept.is_empty() {
            self.taken += length;
        } else {
            self.kept.extend_from_slice(&rest.split_to(length));
        }
    }

    fn kept(mut self, rest: &mut Bytes) -> State {
        self.kept.extend_from_slice(&rest.split_to(self.taken));
        self.taken = 0;
        State::Gathering(Box::new(self))
    }

    fn whole(self, rest: &mut Bytes, dialect: Dialect) -> Step {
        let octets =
            if self.kept.is_empty() { rest.split_to(self.taken) } else { self.kept.into() };
        let frame = match parse::parse(octets, dialect) {
            Ok(command) => Frame::Command(command),
            Err((tag, fault)) => fault.frame(tag),
        };
        Step::Frame(frame, State::Between)
    }

    /// The present line's end may be far.
    fn too_long(self, rest: &mut Bytes) -> Step {
        let begun = if self.kept.is_empty() { &rest[..] } else { &self.kept };
        let frame = LINE_TOO_LONG.frame(parse::tag_of(begun));
        let skipping = Skipping::line(frame, &self.octets(rest)[self.line..]);
        rest.advance(self.taken);
        Step::On(State::Skipping(Box::new(skipping)))
    }

    fn refuse(self, fault: Fault, header: Header, rest: &mut Bytes) -> Step {
        let frame = fault.frame(parse::tag_of(self.octets(rest)));
        rest.advance(self.taken);
        Step::On(State::Skipping(Box::new(Skipping::literal(frame, header))))
    }
}
