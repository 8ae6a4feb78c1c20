//! One message of a FETCH on its way out, item by item, in pieces where it is long.

use std::fmt::Write;

use bytes::Bytes;
use memchr::memchr;

use super::{
    Faults,
    section::{self, Span},
};
use crate::{
    imap::{
        command::{BodyForm, BodyItem, FetchItem, Section},
        reply::Out,
        session::Turn,
    },
    limits::{HEADER_LOOKED_AT_MAX, LISTED_OCTETS},
    mail::{
        mailbox::{Ask, Encoding, Listed},
        mime,
        text::Decoder,
    },
};

#[derive(Debug)]
pub(super) struct Message {
    listed: Listed,
    delivered: Bytes,
    /// Of the items, those before this one are out.
    item: usize,
    stage: Stage,
    /// `\Seen` was set for this command.
    newly_seen: bool,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Items,
    /// Octets of the content are read for the present item.
    Reading(Box<Reading>),
    End,
}

#[derive(Debug)]
struct Reading {
    at: u64,
    end: u64,
    purpose: Purpose,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Unread,
    Undecodable,
}

#[derive(Debug)]
enum Purpose {
    /// The literal was announced; its octets go out as they are, in a literal8 all of them.
    Send { binary: bool },
    /// A header, to choose fields from.
    Gather { header: Vec<u8> },
    /// How many octets there are when they are decoded.
    Count { span: Span, decoder: Decoder, octets: u64 },
    /// The same again, to be sent: so many are left out, so many sent.
    Decode { decoder: Decoder, skip: u64, left: u64 },
}

pub(super) enum Step {
    Done,
    /// The client must take some first.
    Full,
    /// `Message::read` goes on with the answer.
    Read(Ask),
    /// A literal that was announced cannot be had.
    Broken,
}

impl Message {
    pub fn new(listed: Listed, newly_seen: bool) -> Self {
        let delivered = listed.entry.delivered_field();
        Self { listed, delivered, item: 0, stage: Stage::Begin, newly_seen }
    }

    pub fn go_on(&mut self, items: &[FetchItem], faults: &mut Faults, turn: &mut Turn) -> Step {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Items) {
                Stage::Begin => {
                    let sequence = turn
                        .peer
                        .view()
                        .and_then(|view| view.uids.sequence_of(self.listed.entry.uid));
                    let Some(sequence) = sequence else { return Step::Done };
                    let _ = write!(turn.out(), "* {sequence} FETCH (");
                }
                Stage::Items if turn.is_full() => return Step::Full,
                Stage::Items => match items.get(self.item) {
                    Some(item) => self.begin(item, faults, turn),
                    None => self.stage = Stage::End,
                },
                Stage::Reading(mut reading) => {
                    if let Some(fault) = reading.fault {
                        if matches!(reading.purpose, Purpose::Send { .. } | Purpose::Decode { .. })
                        {
                            return Step::Broken;
                        }
                        faults.damaged |= matches!(fault, Fault::Unread);
                        faults.unknown_encoding |= matches!(fault, Fault::Undecodable);
                        self.missing_in(items, turn.out());
                    } else if reading.at == reading.end {
                        self.finish(*reading, items, faults, &mut turn.steps.out);
                    } else if let Some(octets) = self.held(reading.at, reading.end) {
                        reading.take(octets, &mut turn.steps.out);
                        self.stage = Stage::Reading(reading);
                    } else {
                        let full = turn.is_full();
                        let (content, offset) = (self.listed.entry.content, reading.at);
                        let octets = (reading.end - reading.at).min(LISTED_OCTETS as u64) as usize;
                        self.stage = Stage::Reading(reading);
                        let ask = Ask::Content { content, offset, octets };
                        return if full { Step::Full } else { Step::Read(ask) };
                    }
                }
                Stage::End => {
                    self.end(items, turn);
                    return Step::Done;
                }
            }
        }
    }

    /// A piece of the content that was asked for; none where it cannot be had.
    pub fn read(&mut self, octets: Bytes, out: &mut Out) {
        if let Stage::Reading(reading) = &mut self.stage {
            match octets.is_empty() {
                true => reading.fault = Some(Fault::Unread),
                false => reading.take(octets, out),
            }
        }
    }

    fn content(&self) -> u64 {
        self.listed.entry.size.saturating_sub(self.delivered.len() as u64)
    }

    /// Octets that came with the page.
    fn held(&self, at: u64, end: u64) -> Option<Bytes> {
        let content = self.listed.content.as_ref()?;
        let (at, end) = (usize::try_from(at).ok()?, usize::try_from(end).ok()?);
        (at < end && end <= content.len()).then(|| content.slice(at..end))
    }

    /// Puts an item out, or begins to read for it.
    fn begin(&mut self, item: &FetchItem, faults: &mut Faults, turn: &mut Turn) {
        let recent = !turn.peer.enabled.rev2;
        let out = &mut turn.steps.out;
        if self.item > 0 {
            out.text(" ");
        }
        let entry = &self.listed.entry;
        let summary = self.listed.summary.as_ref();
        let nil = Bytes::from_static(b"NIL");
        match item {
            FetchItem::Uid => drop(write!(out, "UID {}", entry.uid.0)),
            FetchItem::Flags => {
                out.text("FLAGS ");
                if let Some(view) = turn.peer.view() {
                    view.write_flags_of(entry, recent, out);
                }
            }
            FetchItem::ModSeq => drop(write!(out, "MODSEQ ({})", entry.modseq.0)),
            FetchItem::InternalDate => {
                out.text("INTERNALDATE ");
                out.date_time(entry.received);
            }
            FetchItem::Size => drop(write!(out, "RFC822.SIZE {}", entry.size)),
            FetchItem::Envelope => {
                out.text("ENVELOPE ");
                out.slice(summary.map_or(nil, |summary| summary.envelope.clone()));
            }
            FetchItem::Structure { extended: true } => {
                out.text("BODYSTRUCTURE ");
                out.slice(summary.map_or(nil, |summary| summary.structure.clone()));
            }
            FetchItem::Structure { extended: false } => {
                out.text("BODY ");
                match summary {
                    Some(summary) => out.text(mime::plain_structure(&summary.structure)),
                    None => out.text(nil),
                }
            }
            FetchItem::Body(body) => return self.begin_body(body, faults, out),
        }
        self.item += 1;
    }

    fn begin_body(&mut self, item: &BodyItem, faults: &mut Faults, out: &mut Out) {
        section::write_name(item, out);
        out.text(" ");
        let parts = self.listed.summary.as_ref().map(|summary| summary.parts.clone());
        let Some(span) = section::find(item, &parts.unwrap_or_default(), self.content()) else {
            return self.missing_as(item.form, out);
        };
        let purpose = match (item.form, &item.section) {
            (BodyForm::Binary | BodyForm::BinarySize, _) if span.encoding == Encoding::Unknown => {
                faults.unknown_encoding = true;
                return self.missing_as(item.form, out);
            }
            (BodyForm::Binary | BodyForm::BinarySize, _) if is_coded(span.encoding) => {
                Purpose::Count { span, decoder: Decoder::new(span.encoding), octets: 0 }
            }
            (_, Section::Fields { .. }) => {
                let header = if span.delivered { self.delivered.to_vec() } else { Vec::new() };
                Purpose::Gather { header }
            }
            _ => return self.send(item, span, out),
        };
        let octets = match purpose {
            Purpose::Gather { .. } => span.octets.min(HEADER_LOOKED_AT_MAX as u64),
            _ => span.octets,
        };
        self.read_for(span.start, octets, purpose);
    }

    fn read_for(&mut self, at: u64, octets: u64, purpose: Purpose) {
        let end = at.saturating_add(octets);
        self.stage = Stage::Reading(Box::new(Reading { at, end, purpose, fault: None }));
    }

    /// Octets as they are, in the bounds of `<…>`.
    fn send(&mut self, item: &BodyItem, span: Span, out: &mut Out) {
        let before = if span.delivered { self.delivered.clone() } else { Bytes::new() };
        let ahead = before.len() as u64;
        let total = ahead.saturating_add(span.octets);
        if item.form == BodyForm::BinarySize {
            let _ = write!(out, "{total}");
            self.item += 1;
            return;
        }
        let (first, octets) = bounds(item, total);
        announce(item, octets, out);
        if first < ahead && octets > 0 {
            let end = first.saturating_add(octets).min(ahead);
            out.slice(before.slice(first as usize..end as usize));
        }
        let from = first.max(ahead) - ahead;
        let to = first.saturating_add(octets).max(ahead) - ahead;
        let binary = item.form == BodyForm::Binary;
        self.read_for(span.start + from, to.saturating_sub(from), Purpose::Send { binary });
    }

    /// All that the item needs has been read.
    fn finish(
        &mut self,
        reading: Reading,
        items: &[FetchItem],
        faults: &mut Faults,
        out: &mut Out,
    ) {
        let Some(FetchItem::Body(item)) = items.get(self.item) else { return };
        match reading.purpose {
            Purpose::Send { .. } => self.item += 1,
            Purpose::Gather { header } => {
                if let Section::Fields { names, not } = &item.section {
                    let chosen = section::chosen_fields(&header, names, *not);
                    let (first, octets) = bounds(item, chosen.len() as u64);
                    announce(item, octets, out);
                    let end = first.saturating_add(octets) as usize;
                    out.slice(Bytes::from(chosen).slice(first as usize..end));
                }
                self.item += 1;
            }
            Purpose::Count { span, mut decoder, octets } => {
                let mut last = Vec::new();
                if decoder.finish(&mut last).is_err() {
                    faults.unknown_encoding = true;
                    return self.missing_as(item.form, out);
                }
                let total = octets + last.len() as u64;
                if item.form == BodyForm::BinarySize {
                    let _ = write!(out, "{total}");
                    self.item += 1;
                    return;
                }
                let (skip, left) = bounds(item, total);
                announce(item, left, out);
                let decoder = Decoder::new(span.encoding);
                self.read_for(span.start, span.octets, Purpose::Decode { decoder, skip, left });
            }
            Purpose::Decode { mut decoder, mut skip, mut left } => {
                let mut last = Vec::new();
                let _ = decoder.finish(&mut last);
                window(last, &mut skip, &mut left, out);
                self.item += 1;
            }
        }
    }

    /// RFC 9051 §6.4.5.1: a part that is not there is NIL, its size 0.
    fn missing_as(&mut self, form: BodyForm, out: &mut Out) {
        out.text(if form == BodyForm::BinarySize { "0" } else { "NIL" });
        self.item += 1;
    }

    fn missing_in(&mut self, items: &[FetchItem], out: &mut Out) {
        match items.get(self.item) {
            Some(FetchItem::Body(body)) => self.missing_as(body.form, out),
            _ => self.item += 1,
        }
    }

    /// What the command itself has changed is told with the message.
    fn end(&mut self, items: &[FetchItem], turn: &mut Turn) {
        let (recent, modseq) = (!turn.peer.enabled.rev2, turn.peer.enabled.condstore);
        let out = &mut turn.steps.out;
        if self.newly_seen {
            if let (Some(view), false) = (turn.peer.view(), items.contains(&FetchItem::Flags)) {
                out.text(" FLAGS ");
                view.write_flags_of(&self.listed.entry, recent, out);
            }
            if modseq && !items.contains(&FetchItem::ModSeq) {
                let _ = write!(out, " MODSEQ ({})", self.listed.entry.modseq.0);
            }
        }
        out.text(")\r\n");
    }
}

impl Reading {
    fn take(&mut self, mut octets: Bytes, out: &mut Out) {
        octets.truncate(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        self.at += octets.len() as u64;
        let mut decoded = Vec::new();
        match &mut self.purpose {
            Purpose::Send { binary: true } => out.slice(octets),
            Purpose::Send { binary: false } => out.slice(without_nul(octets)),
            Purpose::Gather { header } => header.extend_from_slice(&without_nul(octets)),
            Purpose::Count { decoder, octets: count, .. } => {
                if decoder.feed(&octets, &mut decoded).is_err() {
                    self.fault = Some(Fault::Undecodable);
                }
                *count += decoded.len() as u64;
            }
            Purpose::Decode { decoder, skip, left } => {
                if decoder.feed(&octets, &mut decoded).is_err() {
                    self.fault = Some(Fault::Undecodable);
                }
                window(decoded, skip, left, out);
            }
        }
    }
}

/// RFC 9051 §9 `CHAR8`: a literal has no NUL. Its place is kept, so that the size is as announced.
fn without_nul(octets: Bytes) -> Bytes {
    if memchr(0, &octets).is_none() {
        return octets;
    }
    octets.iter().map(|octet| if *octet == 0 { 0x80 } else { *octet }).collect()
}

fn is_coded(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::Base64 | Encoding::QuotedPrintable)
}

/// First octet and count of `<…>`, in bounds (RFC 9051 §6.4.5.1).
fn bounds(item: &BodyItem, total: u64) -> (u64, u64) {
    match item.partial {
        Some((first, octets)) => {
            let first = first.min(total);
            (first, octets.min(total - first))
        }
        None => (0, total),
    }
}

/// A literal; RFC 3516 §4.2: one that may hold NUL.
fn announce(item: &BodyItem, octets: u64, out: &mut Out) {
    let tilde = if item.form == BodyForm::Binary { "~" } else { "" };
    let _ = write!(out, "{tilde}{{{octets}}}\r\n");
}

/// Lets through what lies in the bounds.
fn window(octets: Vec<u8>, skip: &mut u64, left: &mut u64, out: &mut Out) {
    let length = octets.len() as u64;
    let from = (*skip).min(length);
    let to = from.saturating_add(*left).min(length);
    *skip -= from;
    *left -= to - from;
    out.slice(Bytes::from(octets).slice(from as usize..to as usize));
}
