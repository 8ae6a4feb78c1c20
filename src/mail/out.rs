//! Gathers a reply: short text in one buffer, a message's octets as slices.

use std::fmt;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::limits::SLICE_MIN;

/// What goes to a client, in its order. Octets of messages stay the slices they are.
#[derive(Debug, Default)]
pub struct Out {
    pieces: SmallVec<[Bytes; 4]>,
    /// Behind the pieces.
    text: BytesMut,
    /// Octets of the pieces.
    sliced: usize,
}

impl Out {
    /// Octets, over all.
    pub fn len(&self) -> usize {
        self.sliced + self.text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        self.text.extend_from_slice(text.as_ref());
    }

    /// A slice of a message. A short one is copied after all: a message of many short lines that
    /// begin with a dot would else be as many pieces.
    pub fn slice(&mut self, octets: Bytes) {
        if octets.len() < SLICE_MIN {
            return self.text(&octets);
        }
        self.push_text();
        self.sliced += octets.len();
        self.pieces.push(octets);
    }

    /// Everything, in its order.
    pub fn pieces(mut self) -> SmallVec<[Bytes; 4]> {
        self.push_text();
        self.pieces
    }

    fn push_text(&mut self) {
        if !self.text.is_empty() {
            self.sliced += self.text.len();
            self.pieces.push(self.text.split().freeze());
        }
    }
}

/// There is always room in memory for it, so there is no error to tell.
impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}
