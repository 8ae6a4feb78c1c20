//! Looks for texts in one message: its header, its text parts decoded, messages within it.

use bytes::Bytes;

use super::key::{Known, Level};
use crate::{
    limits::{HEADER_LOOKED_AT_MAX, LISTED_OCTETS},
    mail::{
        mailbox::{Ask, Listed, Part, PartKind, PartsIter},
        text::{Finder, Needle, decode_words},
    },
};

/// A message whose content is read piece by piece; one that came whole is read in one go.
pub(super) struct Reader {
    listed: Listed,
    parts: PartsIter,
    /// The part that was looked at last is a message: the next is what it holds.
    embeds: bool,
    /// Body of the part that is next, behind its header.
    body: Option<Part>,
    piece: Option<Piece>,
    header: Vec<u8>,
    /// By needle: in the header, in the body.
    texts: Vec<(bool, bool)>,
    found: Vec<bool>,
    broken: bool,
    begun: bool,
}

struct Piece {
    at: u64,
    end: u64,
    into: Into,
}

enum Into {
    /// The message's own header.
    Header,
    /// One of a message within it.
    Embedded(Vec<u8>),
    Text(Box<Finder>),
}

pub(super) enum Step {
    /// `Reader::read` goes on with the answer.
    Read(Ask),
    Done,
    /// It cannot be read.
    Broken,
}

impl Reader {
    /// Without needles it reads the header alone.
    pub fn new(listed: Listed, needles: usize) -> Self {
        let parts = listed.summary.as_ref().map(|summary| summary.parts.clone());
        Self {
            parts: parts.unwrap_or_default().iter(),
            header: listed.entry.delivered_field().to_vec(),
            listed,
            embeds: false,
            body: None,
            piece: None,
            texts: vec![(false, false); needles],
            found: vec![false; needles],
            broken: false,
            begun: false,
        }
    }

    pub fn listed(&self) -> &Listed {
        &self.listed
    }

    /// Everything there is to know at this level.
    pub fn known(&self, level: Level) -> Known<'_> {
        Known {
            entry: &self.listed.entry,
            envelope: self.listed.summary.as_ref().map(|summary| &*summary.envelope),
            header: Some(&self.header),
            texts: Some(&*self.texts).filter(|_| level == Level::Content),
        }
    }

    pub fn go_on(&mut self, needles: &[Needle]) -> Step {
        loop {
            if self.broken {
                return Step::Broken;
            }
            match self.piece.as_ref().map(|piece| (piece.at, piece.end)) {
                Some((at, end)) if at < end => match self.held(at, end) {
                    Some(octets) => self.read(octets, needles),
                    None => {
                        let octets = (end - at).min(LISTED_OCTETS as u64) as usize;
                        let content = self.listed.entry.content;
                        return Step::Read(Ask::Content { content, offset: at, octets });
                    }
                },
                Some(_) => self.finish(needles),
                // What is everywhere already need not be looked for any longer.
                None if self.begun && self.texts.iter().all(|(_, body)| *body) => {
                    return Step::Done;
                }
                None if !self.begin() => return Step::Done,
                None => {}
            }
        }
    }

    /// A piece of the content; nothing where it cannot be had.
    pub fn read(&mut self, mut octets: Bytes, needles: &[Needle]) {
        let Some(piece) = &mut self.piece else { return };
        octets.truncate(usize::try_from(piece.end - piece.at).unwrap_or(usize::MAX));
        self.broken |= octets.is_empty();
        piece.at += octets.len() as u64;
        match &mut piece.into {
            Into::Header => self.header.extend_from_slice(&octets),
            Into::Embedded(header) => header.extend_from_slice(&octets),
            Into::Text(finder) => finder.feed(&octets, needles, &mut self.found),
        }
    }

    fn held(&self, at: u64, end: u64) -> Option<Bytes> {
        let content = self.listed.content.as_ref()?;
        let (at, end) = (usize::try_from(at).ok()?, usize::try_from(end).ok()?);
        (at < end && end <= content.len()).then(|| content.slice(at..end))
    }

    /// Begins with the next piece that may hold a text; whether there is one.
    fn begin(&mut self) -> bool {
        let content = self.listed.entry.size - self.header_added();
        if let Some(part) = self.body.take() {
            let start = part.body_start();
            let finder = Finder::new(part.encoding, &part.charset);
            let into = Into::Text(Box::new(finder));
            let end = start.saturating_add(part.body).min(content);
            self.piece = Some(Piece { at: start.min(end), end, into });
            return true;
        }
        while let Some(part) = self.parts.next() {
            let embedded = std::mem::replace(&mut self.embeds, part.kind == PartKind::Message);
            let own = !std::mem::replace(&mut self.begun, true);
            let octets = u64::from(part.header).min(HEADER_LOOKED_AT_MAX as u64);
            let end = part.start.saturating_add(octets).min(content);
            let (at, text) = (part.start.min(end), part.kind == PartKind::Text);
            self.body = text.then_some(part);
            if own || embedded {
                let into = if own { Into::Header } else { Into::Embedded(Vec::new()) };
                self.piece = Some(Piece { at, end, into });
                return true;
            }
            if text {
                return self.begin();
            }
        }
        self.begun = true;
        false
    }

    fn header_added(&self) -> u64 {
        (self.listed.entry.delivered_field().len() as u64).min(self.listed.entry.size)
    }

    fn finish(&mut self, needles: &[Needle]) {
        let Some(piece) = self.piece.take() else { return };
        match piece.into {
            Into::Header => {
                let text = decode_words(&self.header);
                for (needle, (in_header, _)) in needles.iter().zip(&mut self.texts) {
                    *in_header = needle.is_in(&text);
                }
            }
            Into::Embedded(header) => {
                let text = decode_words(&header);
                for (needle, (_, in_body)) in needles.iter().zip(&mut self.texts) {
                    *in_body = *in_body || needle.is_in(&text);
                }
            }
            Into::Text(mut finder) => {
                finder.finish(needles, &mut self.found);
                for (found, (_, in_body)) in self.found.iter().zip(&mut self.texts) {
                    *in_body |= *found;
                }
            }
        }
    }
}
