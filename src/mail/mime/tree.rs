//! The parts that were found so far, and those that are still open.

use std::ops::Range;

use bytes::Bytes;

use super::{
    envelope,
    header::Header,
    media::{self, Media},
    structure,
};
use crate::{
    limits::{PARTS_DEPTH_MAX, PARTS_MAX, SUMMARY_MAX},
    mail::mailbox::{Encoding, Part, PartKind, Parts, Summary},
};

/// The parts in their order, each before those within it.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// From the message itself down to the part that is being read.
    open: Vec<Open>,
    /// The boundaries of the open multiparts, one behind the other.
    boundaries: Vec<u8>,
    /// Multiparts whose next delimiter would begin or end a part.
    watched: usize,
    /// There are as many parts as there may be: what follows is content of the last one.
    full: bool,
    /// What the headers gave: envelopes, and structures without sizes.
    text: Vec<u8>,
}

/// One part. The ranges lie in `Tree::text`.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) depth: u8,
    pub(super) kind: PartKind,
    encoding: Encoding,
    start: u64,
    body_start: u64,
    pub(super) body: u64,
    /// Line ends in the body.
    pub(super) lines: u64,
    charset: Range<usize>,
    /// Of BODYSTRUCTURE, what stands before the size, and what stands at the end.
    pub(super) front: Range<usize>,
    pub(super) back: Range<usize>,
    /// Of a message, embedded or not.
    pub(super) envelope: Range<usize>,
}

#[derive(Debug)]
struct Open {
    node: usize,
    role: Role,
    /// Line ends before the body.
    lines: u64,
    /// Of a multipart, in `Tree::boundaries`; else empty.
    boundary: Range<usize>,
    /// The parts of the multipart are a digest's.
    digest: bool,
    /// The multipart's last delimiter was seen: its epilogue is being read.
    ended: bool,
}

/// What a part is to the one around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Message,
    Part,
    /// A message, where it does not say something else (RFC 2046 §5.1.5).
    DigestPart,
}

/// A place between two lines: the octets and the line ends before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) octets: u64,
    pub(super) lines: u64,
}

/// A line that ends a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delimiter {
    /// The multipart's place in `Tree::open`.
    level: usize,
    /// No part follows it.
    pub(super) last: bool,
}

impl Tree {
    /// A message whose header is about to be read.
    pub(super) fn new() -> Self {
        let mut tree = Self {
            nodes: Vec::with_capacity(8),
            open: Vec::with_capacity(4),
            boundaries: Vec::new(),
            watched: 0,
            full: false,
            text: Vec::with_capacity(1024),
        };
        tree.begin(0, Role::Message);
        tree
    }

    /// Whether any line can be a delimiter.
    pub(super) fn is_watching(&self) -> bool {
        self.watched > 0 && !self.full
    }

    /// What the line that begins with `line` ends. Of boundaries that begin it the longest
    /// counts, as one may begin with another's text; of equal ones the innermost.
    pub(super) fn delimiter(&mut self, line: &[u8]) -> Option<Delimiter> {
        let line = line.strip_prefix(b"--").filter(|_| self.is_watching())?;
        let (mut found, mut longest) = (None, 0);
        for (level, open) in self.open.iter().enumerate() {
            let boundary = &self.boundaries[open.boundary.clone()];
            // RFC 2046 §5.1.1: it suffices that the line begins with the boundary.
            if boundary.is_empty() || boundary.len() < longest || !line.starts_with(boundary) {
                continue;
            }
            if boundary.len() > longest {
                (found, longest) = (None, boundary.len());
            }
            // Behind its last delimiter a boundary means nothing any more, but its lines are
            // no delimiters of a shorter one either.
            if !open.ended {
                let last = line[boundary.len()..].starts_with(b"--");
                found = Some(Delimiter { level, last });
            }
        }
        // One more can come of a multipart without parts that ends here.
        self.full |= found.is_some_and(|found| !found.last) && self.nodes.len() + 1 >= PARTS_MAX;
        found.filter(|_| !self.full)
    }

    /// Ends the parts within the delimiter's multipart.
    pub(super) fn end_parts(&mut self, delimiter: Delimiter, at: Place) {
        self.end_down_to(delimiter.level + 1, at);
        if let Some(multipart) = self.open.last_mut().filter(|_| delimiter.last) {
            multipart.ended = true;
            self.watched -= 1;
        }
    }

    /// Begins the next part of the innermost multipart.
    pub(super) fn begin_part(&mut self, start: u64) {
        let digest = self.open.last().is_some_and(|open| open.digest);
        self.begin(start, if digest { Role::DigestPart } else { Role::Part });
    }

    /// Takes the header of the innermost part. Whether an embedded message's header comes next.
    pub(super) fn end_header(&mut self, header: &Header, at: Place) -> bool {
        let room = self.nodes.len() < PARTS_MAX;
        let Some(open) = self.open.last_mut() else { return false };
        let node = &mut self.nodes[open.node];
        let body_start = at.octets.max(node.start);
        node.body_start = body_start;
        open.lines = at.lines;
        let blank = Header::default();
        let header = if self.text.len() < SUMMARY_MAX { header } else { &blank };
        let mut media = Media::of(header, open.role == Role::DigestPart);
        if !room || usize::from(node.depth) >= PARTS_DEPTH_MAX {
            media = media.without_parts();
        }
        node.kind = media.kind();
        node.encoding = media::encoding(header).1;
        let text = &mut self.text;
        if open.role == Role::Message {
            node.envelope = written(text, |out| envelope::write(out, header));
        }
        node.front = written(text, |out| structure::write_front(out, &media, header));
        node.back = written(text, |out| structure::write_back(out, &media, header));
        match node.kind {
            PartKind::Text => {
                let charset = media.parameter(b"charset").unwrap_or_default();
                let charset = &charset[..charset.len().min(usize::from(u8::MAX))];
                node.charset = written(text, |out| out.extend_from_slice(charset));
            }
            PartKind::Multipart => {
                let boundary = media.boundary().unwrap_or_default();
                open.boundary = written(&mut self.boundaries, |out| out.extend(&*boundary));
                open.digest = media.is_digest();
                self.watched += 1;
            }
            PartKind::Message => self.begin(body_start, Role::Message),
            PartKind::Other => {}
        }
        media.kind() == PartKind::Message
    }

    /// Octets of the message's own header, once it has ended.
    pub(super) fn header(&self) -> Option<u64> {
        let message = self.nodes.first()?;
        (!message.front.is_empty()).then_some(message.body_start)
    }

    /// Ends everything. The octets of the message's own header come along.
    pub(super) fn finish(mut self, at: Place) -> (Summary, u32) {
        self.end_down_to(0, at);
        let details = self.nodes.iter().map(|node| node.front.len() + node.back.len() + 64);
        let mut structure = Vec::with_capacity(details.sum::<usize>() + self.text.len() / 2);
        structure::write(&mut structure, &self.text, &self.nodes);
        let text = Bytes::from(self.text);
        let parts: Vec<Part> = self.nodes.iter().map(|node| node.part(&text)).collect();
        let own = |node: &Node| Bytes::copy_from_slice(&text[node.envelope.clone()]);
        let summary = Summary {
            envelope: self.nodes.first().map(own).unwrap_or_default(),
            structure: structure.into(),
            parts: Parts::new(&parts),
        };
        (summary, parts.first().map_or(0, |message| message.header))
    }

    fn begin(&mut self, start: u64, role: Role) {
        let depth = self.open.len() as u8;
        self.open.push(Open {
            node: self.nodes.len(),
            role,
            lines: 0,
            boundary: 0..0,
            digest: false,
            ended: false,
        });
        self.nodes.push(Node {
            depth,
            kind: PartKind::Text,
            encoding: Encoding::SevenBit,
            start,
            body_start: start,
            body: 0,
            lines: 0,
            charset: 0..0,
            front: 0..0,
            back: 0..0,
            envelope: 0..0,
        });
    }

    fn end_down_to(&mut self, levels: usize, at: Place) {
        let Some(innermost) = self.open.last().filter(|_| self.open.len() > levels) else { return };
        // The line end before the delimiter may be a header's empty line: it stays there.
        let body_start = self.nodes[innermost.node].body_start;
        let header_end = Place { octets: body_start, lines: innermost.lines };
        let at = if at.octets < body_start { header_end } else { at };
        // Only the innermost can be a multipart without parts.
        self.give_part();
        while self.open.len() > levels {
            self.end_innermost(at);
        }
    }

    fn end_innermost(&mut self, at: Place) {
        let Some(open) = self.open.pop() else { return };
        let node = &mut self.nodes[open.node];
        node.body = at.octets.saturating_sub(node.body_start);
        node.lines = at.lines.saturating_sub(open.lines);
        if node.kind == PartKind::Multipart {
            self.watched -= usize::from(!open.ended);
            self.boundaries.truncate(open.boundary.start);
        }
    }

    /// BODYSTRUCTURE has no multipart without parts (RFC 9051 §9 `body-type-mpart`): where no
    /// delimiter came, the whole body is shown as its only one.
    fn give_part(&mut self) {
        let Some(open) = self.open.last() else { return };
        let node = &self.nodes[open.node];
        if node.kind == PartKind::Multipart && self.nodes.len() == open.node + 1 {
            let body = Place { octets: node.body_start, lines: open.lines };
            self.begin(body.octets, Role::Part);
            self.end_header(&Header::default(), body);
        }
    }
}

impl Node {
    fn part(&self, text: &Bytes) -> Part {
        let end = self.body_start + self.body;
        let header = u32::try_from(self.body_start - self.start).unwrap_or(u32::MAX);
        Part {
            depth: self.depth,
            kind: self.kind,
            encoding: self.encoding,
            start: self.start,
            header,
            body: end - self.start - u64::from(header),
            charset: text.slice(self.charset.clone()),
        }
    }
}

/// Where that lies which `write` adds to `text`.
fn written(text: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = text.len();
    write(text);
    start..text.len()
}
