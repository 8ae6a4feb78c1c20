//! Which octets of a message `BODY[…]` and its kin mean (RFC 9051 §6.4.5.1).

use std::fmt::Write;

use crate::{
    imap::{
        command::{BodyForm, BodyItem, Section},
        reply::Out,
    },
    mail::{
        mailbox::{Encoding, Part, PartKind, Parts},
        mime,
        text::fields,
    },
};

/// Octets of a content, `delivered`: behind the `Delivered-To` field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub delivered: bool,
    pub start: u64,
    pub octets: u64,
    /// How they are to be decoded; for BINARY.
    pub encoding: Encoding,
}

/// `None`: the message has no such part. `content`: octets of the content.
pub(super) fn find(item: &BodyItem, parts: &Parts, content: u64) -> Option<Span> {
    let span = |delivered, start, octets| {
        Some(Span { delivered, start, octets, encoding: Encoding::Binary })
    };
    if item.part.is_empty() {
        if item.section == Section::Whole {
            return span(true, 0, content);
        }
        let header = u64::from(parts.iter().next()?.header).min(content);
        return match item.section {
            Section::Header | Section::Fields { .. } => span(true, 0, header),
            Section::Text => span(false, header, content - header),
            Section::Whole | Section::Mime => None,
        };
    }
    let found = mime::locate(parts, &item.part)?;
    let header = |part: &Part| span(false, part.start, u64::from(part.header));
    let body = |part: &Part| span(false, part.body_start(), part.body);
    let span = match (&item.section, &found.message) {
        (Section::Whole, _) if matches!(item.form, BodyForm::Binary | BodyForm::BinarySize) => {
            let coded = matches!(found.part.kind, PartKind::Text | PartKind::Other);
            let encoding = if coded { found.part.encoding } else { Encoding::Binary };
            body(&found.part).map(|span| Span { encoding, ..span })
        }
        (Section::Whole, _) => body(&found.part),
        (Section::Mime, _) => header(&found.part),
        (Section::Header | Section::Fields { .. }, Some(message)) => header(message),
        (Section::Text, Some(message)) => body(message),
        (_, None) => None,
    };
    // What lies on disk is believed no further than its content goes.
    span.filter(|span| span.start.checked_add(span.octets).is_some_and(|end| end <= content))
}

/// The fields that are asked for, and the empty line (RFC 9051 §6.4.5.1).
pub(super) fn chosen_fields(header: &[u8], names: &[bytes::Bytes], not: bool) -> Vec<u8> {
    let mut chosen = Vec::new();
    for field in fields(header) {
        if names.iter().any(|name| name.eq_ignore_ascii_case(field.name)) != not {
            chosen.extend_from_slice(field.whole);
        }
    }
    chosen.extend_from_slice(b"\r\n");
    chosen
}

/// How the reply names it.
pub(super) fn write_name(item: &BodyItem, out: &mut Out) {
    match (item.form, &item.section) {
        (BodyForm::Rfc822, Section::Header) => return out.text("RFC822.HEADER"),
        (BodyForm::Rfc822, Section::Text) => return out.text("RFC822.TEXT"),
        (BodyForm::Rfc822, _) => return out.text("RFC822"),
        (BodyForm::Body, _) => out.text("BODY["),
        (BodyForm::Binary, _) => out.text("BINARY["),
        (BodyForm::BinarySize, _) => out.text("BINARY.SIZE["),
    }
    let mut divider = "";
    for number in &item.part {
        let _ = write!(out, "{divider}{number}");
        divider = ".";
    }
    if item.section != Section::Whole {
        out.text(divider);
    }
    match &item.section {
        Section::Whole => {}
        Section::Header => out.text("HEADER"),
        Section::Text => out.text("TEXT"),
        Section::Mime => out.text("MIME"),
        Section::Fields { names, not } => {
            out.text(if *not { "HEADER.FIELDS.NOT (" } else { "HEADER.FIELDS (" });
            for (place, name) in names.iter().enumerate() {
                out.text(if place > 0 { " " } else { "" });
                let atom = |octet: &u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(octet);
                match !name.is_empty() && name.iter().all(atom) {
                    true => out.text(name),
                    false => out.string(name),
                }
            }
            out.text(")");
        }
    }
    out.text("]");
    if let (Some((first, _)), false) = (item.partial, item.form == BodyForm::BinarySize) {
        let _ = write!(out, "<{first}>");
    }
}
