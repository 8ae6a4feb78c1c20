//! What is left of a command that will not be carried out is read over, in steps.

use bytes::{Buf, Bytes};
use memchr::memchr;

use super::{Dialect, Frame, State, Step, literal::Header};
use crate::limits::IMAP_LITERAL_HEADER_MAX;

pub struct Skipping {
    /// What is told at the end.
    frame: Frame,
    /// Octets of a literal still to come.
    literal: u64,
    /// The end of the present line so far, where a literal's header would be.
    tail: Vec<u8>,
    /// Octets read over, the literal's with them.
    octets: u64,
    /// The client waits for a `+` that it will not get: nothing more comes of this command.
    over: bool,
}

impl Skipping {
    /// From within a line, of which `begun` was read.
    pub fn line(frame: Frame, begun: &[u8]) -> Self {
        let mut skipping = Self { frame, literal: 0, tail: Vec::new(), octets: 0, over: false };
        skipping.keep_tail(begun);
        skipping
    }

    /// From a literal whose header was read.
    pub fn literal(frame: Frame, header: Header) -> Self {
        let size = if header.synchronizing { 0 } else { header.size };
        Self { over: header.synchronizing, ..Self::rest_of_literal(frame, size) }
    }

    /// From within a literal of which `left` octets are to come.
    pub fn rest_of_literal(frame: Frame, left: u64) -> Self {
        Self { frame, literal: left, tail: Vec::new(), octets: left, over: false }
    }

    pub fn step(mut self: Box<Self>, rest: &mut Bytes, dialect: Dialect) -> Step {
        while !self.over {
            if self.octets > dialect.skip_max() {
                return Step::fatal("what cannot be carried out is too long to be read over");
            }
            let length = rest.len().min(usize::try_from(self.literal).unwrap_or(usize::MAX));
            rest.advance(length);
            self.literal -= length as u64;
            if self.literal > 0 {
                return Step::Wait(State::Skipping(self));
            }
            let end = memchr(b'\n', rest);
            let line = rest.split_to(end.map_or(rest.len(), |end| end + 1));
            self.octets = self.octets.saturating_add(line.len() as u64);
            self.keep_tail(&line);
            if end.is_none() {
                if self.octets > dialect.skip_max() {
                    continue;
                }
                return Step::Wait(State::Skipping(self));
            }
            match Header::of(&self.tail) {
                Some(header) if !header.synchronizing => {
                    self.literal = header.size;
                    self.octets = self.octets.saturating_add(header.size);
                    self.tail.clear();
                }
                _ => self.over = true,
            }
        }
        Step::Frame(self.frame, State::Between)
    }

    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.tail.capacity()
    }

    fn keep_tail(&mut self, line: &[u8]) {
        let new = &line[line.len().saturating_sub(IMAP_LITERAL_HEADER_MAX)..];
        let old = IMAP_LITERAL_HEADER_MAX - new.len();
        self.tail.drain(..self.tail.len().saturating_sub(old));
        self.tail.extend_from_slice(new);
    }
}
