//! Writes BODYSTRUCTURE of a tree of parts, and makes BODY of one that was written.

use super::{
    header::{Field, Header},
    media::{self, Media, Parameters},
    string::{nstring, number, string},
    tree::Node,
};
use crate::{
    limits::{PARTS_DEPTH_MAX, SUMMARY_LIST_MAX},
    mail::mailbox::PartKind,
};

/// Type, parameters, id, description and encoding (RFC 9051 §9 `media-basic`, `body-fields`) up
/// to the size; of a multipart only its subtype.
pub(super) fn write_front(out: &mut Vec<u8>, media: &Media<'_>, header: &Header) {
    if media.kind() == PartKind::Multipart {
        return string(out, media.sub);
    }
    string(out, media.main);
    out.push(b' ');
    string(out, media.sub);
    out.push(b' ');
    write_parameters(out, media.parameters(), media.kind() == PartKind::Text);
    for field in [Field::ContentId, Field::ContentDescription] {
        out.push(b' ');
        nstring(out, header.value(field));
    }
    out.push(b' ');
    string(out, media::encoding(header).0);
}

/// The extension data (RFC 9051 §9 `body-ext-1part`, `body-ext-mpart`), a space before each.
pub(super) fn write_back(out: &mut Vec<u8>, media: &Media<'_>, header: &Header) {
    out.push(b' ');
    if media.kind() == PartKind::Multipart {
        write_parameters(out, media.parameters(), false);
    } else {
        nstring(out, header.value(Field::ContentMd5));
    }
    out.push(b' ');
    match header.value(Field::ContentDisposition).map(Parameters::behind_word) {
        Some((word, parameters)) if !word.is_empty() => {
            out.push(b'(');
            string(out, word);
            out.push(b' ');
            write_parameters(out, parameters, false);
            out.push(b')');
        }
        _ => nstring(out, None),
    }
    out.push(b' ');
    write_languages(out, header.value(Field::ContentLanguage).unwrap_or_default());
    out.push(b' ');
    nstring(out, header.value(Field::ContentLocation));
}

/// `of_text`: a charset that is not named is shown as what it then is (RFC 2045 §5.2).
fn write_parameters(out: &mut Vec<u8>, parameters: Parameters<'_>, of_text: bool) {
    let start = out.len();
    let mut charset = !of_text;
    for (name, value) in parameters {
        if out.len() - start >= SUMMARY_LIST_MAX {
            break;
        }
        charset |= name.eq_ignore_ascii_case(b"charset");
        out.push(if out.len() == start { b'(' } else { b' ' });
        string(out, name);
        out.push(b' ');
        string(out, &value);
    }
    if !charset {
        out.push(if out.len() == start { b'(' } else { b' ' });
        out.extend_from_slice(b"\"charset\" \"us-ascii\"");
    }
    close(out, start);
}

/// RFC 3282: tags with commas between them.
fn write_languages(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    let tags = value.split(|octet| *octet == b',').map(<[u8]>::trim_ascii);
    for tag in tags.filter(|tag| !tag.is_empty()) {
        if out.len() - start >= SUMMARY_LIST_MAX {
            break;
        }
        out.push(if out.len() == start { b'(' } else { b' ' });
        string(out, tag);
    }
    close(out, start);
}

/// Ends a list that began at `start`; an empty one is `NIL`.
fn close(out: &mut Vec<u8>, start: usize) {
    if out.len() == start {
        nstring(out, None);
    } else {
        out.push(b')');
    }
}

/// Writes the first of `nodes` with all within it, and gives those behind. `text` has what their
/// headers gave. Nodes are at most `PARTS_DEPTH_MAX` deep.
pub(super) fn write<'a>(out: &mut Vec<u8>, text: &[u8], nodes: &'a [Node]) -> &'a [Node] {
    let Some((node, mut rest)) = nodes.split_first() else { return nodes };
    out.push(b'(');
    match node.kind {
        PartKind::Multipart => {
            while rest.first().is_some_and(|child| child.depth > node.depth) {
                rest = write(out, text, rest);
            }
            out.push(b' ');
            out.extend_from_slice(&text[node.front.clone()]);
        }
        PartKind::Message | PartKind::Text | PartKind::Other => {
            out.extend_from_slice(&text[node.front.clone()]);
            number(out, b' ', node.body);
            if let (PartKind::Message, Some(embedded)) = (node.kind, rest.first()) {
                out.push(b' ');
                out.extend_from_slice(&text[embedded.envelope.clone()]);
                out.push(b' ');
                rest = write(out, text, rest);
            }
            if node.kind != PartKind::Other {
                number(out, b' ', node.lines);
            }
        }
    }
    out.extend_from_slice(&text[node.back.clone()]);
    out.push(b')');
    rest
}

/// BODY, which has no extension data, made of a BODYSTRUCTURE that [`Scan`](super::Scan) wrote.
pub fn plain_structure(structure: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(structure.len());
    match (Reader { rest: structure }).body(&mut out, 0) {
        Some(()) => out,
        // It is none of ours: it can only be shown as it is.
        None => structure.to_vec(),
    }
}

/// Reads what `write` wrote.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn body(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        self.rest = self.rest.strip_prefix(b"(").filter(|_| depth <= PARTS_DEPTH_MAX)?;
        out.push(b'(');
        if self.rest.first() == Some(&b'(') {
            while self.rest.first() == Some(&b'(') {
                self.body(out, depth + 1)?;
            }
            self.copy(out)?;
        } else {
            let main = self.copy(out)?;
            let sub = self.copy(out)?;
            // Parameters, id, description, encoding, size.
            for _ in 0..5 {
                self.copy(out)?;
            }
            let is = |text: &[u8], name: &[u8]| text.trim_ascii().eq_ignore_ascii_case(name);
            if is(main, b"\"text\"") {
                self.copy(out)?;
            } else if is(main, b"\"message\"") && (is(sub, b"\"rfc822\"") || is(sub, b"\"global\""))
            {
                self.copy(out)?;
                self.rest = self.rest.strip_prefix(b" ")?;
                out.push(b' ');
                self.body(out, depth + 1)?;
                self.copy(out)?;
            }
        }
        while self.rest.first() == Some(&b' ') {
            self.value()?;
        }
        self.rest = self.rest.strip_prefix(b")")?;
        out.push(b')');
        Some(())
    }

    /// Copies a value with the space before it.
    fn copy(&mut self, out: &mut Vec<u8>) -> Option<&'a [u8]> {
        let value = self.value()?;
        out.extend_from_slice(value);
        Some(value)
    }

    /// Takes a value with the space before it: a string, a word, or a list of them.
    fn value(&mut self) -> Option<&'a [u8]> {
        let (whole, mut depth) = (self.rest, 0usize);
        self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
        loop {
            match self.rest.first()? {
                b'(' => {
                    depth += 1;
                    self.rest = &self.rest[1..];
                }
                b')' => {
                    depth = depth.checked_sub(1)?;
                    self.rest = &self.rest[1..];
                }
                b' ' if depth > 0 => self.rest = &self.rest[1..],
                _ => self.atom()?,
            }
            if depth == 0 {
                return whole.get(..whole.len() - self.rest.len());
            }
        }
    }

    /// Skips a string or a word.
    fn atom(&mut self) -> Option<()> {
        let end = match self.rest.first()? {
            b'"' => {
                let mut at = 1;
                while *self.rest.get(at)? != b'"' {
                    at += if self.rest[at] == b'\\' { 2 } else { 1 };
                }
                at + 1
            }
            b'{' => {
                let digits = self.rest.iter().position(|octet| *octet == b'}')?;
                let octets: usize = str::from_utf8(&self.rest[1..digits]).ok()?.parse().ok()?;
                octets.checked_add(digits + b"}\r\n".len())?
            }
            _ => self.rest.iter().position(|octet| b" ()".contains(octet)).filter(|at| *at > 0)?,
        };
        self.rest = self.rest.get(end..)?;
        Some(())
    }
}
