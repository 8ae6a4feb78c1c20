//! The messages that are sent: bodies made once at start, a small head of its own for each.
//!
//! What message N is, whom it is for and how large, follows from the run's seed and N alone, so
//! that a run can be repeated whatever sessions carry it. Its Message-ID names N and the run: a
//! sink can tell from it what was lost and what came twice.

pub mod base64;
mod files;
mod mix;
pub mod recipients;
pub mod size;
pub mod text;
pub mod wire;

use std::path::PathBuf;

use bytes::{BufMut, Bytes, BytesMut};
use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};

use self::{mix::Shape, recipients::Recipients, size::Sizes, wire::Carriage};
use crate::random::{Alias, Random};

/// Bodies of each size: enough that no compression and no cache sees one text only.
const VARIANTS: u64 = 4;
/// Above this size one body is enough.
const VARIED_MAX: u64 = 1024 * 1024;
/// The digits of the longest sequence number.
const SEQUENCE_DIGITS_MAX: usize = 20;
/// The least text after the header, its line end counted.
const BODY_MIN: usize = 2;
/// What the last bits of the seed are changed by, so that independent choices stay independent.
const TEMPLATE_SALT: u64 = 0x7465_6d70;

#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("a message of {size} octets has no room for its header; ask for {least} or more")]
    TooSmall { size: u64, least: u64 },
    #[error("cannot read {path}: {error}; give a message file or a folder of .eml files")]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{0} holds no .eml file; give a message file or a folder of .eml files")]
    Empty(PathBuf),
    #[error(
        "{0} holds more than {max} octets of mail; choose a smaller folder",
        max = files::OCTETS_MAX
    )]
    TooMuch(PathBuf),
}

/// What the messages of a run are to be.
#[derive(Clone, Debug)]
pub struct Brief {
    pub sizes: Sizes,
    pub carriage: Carriage,
    /// Stands in every Message-ID.
    pub run: String,
    pub seed: u64,
    /// The reverse-path, and the author in the header.
    pub sender: String,
    pub recipients: Recipients,
    /// Of the Date field.
    pub date: Timestamp,
}

/// Writes envelopes and messages.
#[derive(Debug)]
pub struct Composer {
    brief: Brief,
    /// What follows the number in a Message-ID.
    id_tail: Vec<u8>,
    /// By choice, then by variant.
    templates: Vec<Vec<Template>>,
    choice: Alias,
    is_eight_bit: bool,
    size_max: u64,
}

#[derive(Debug)]
struct Template {
    /// In the form of the carriage, from the Subject's text or (a message from a file) from the
    /// first field on.
    octets: Bytes,
    /// Octets of the message that `octets` carries, dots not stuffed.
    size: u64,
    head: Head,
}

/// What stands before a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Message-ID, To and the name of the Subject field. The Subject begins with as much filler
    /// as the longest head is longer than the shortest, `shortest`: a longer head leaves out so
    /// much of it, and the message has its exact size.
    Made { shortest: usize },
    /// Message-ID alone; the message brings the rest.
    Own,
}

/// One message of the run.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    composer: &'a Composer,
    template: &'a Template,
    sequence: u64,
}

impl Composer {
    pub fn new(brief: Brief) -> Result<Composer, MailError> {
        let id_tail = format!(".{}@ringload.invalid>\r\n", brief.run).into_bytes();
        let choice = Alias::new(&[1.0]);
        let (templates, is_eight_bit, size_max) = (Vec::new(), false, 0);
        let mut composer = Composer { brief, id_tail, templates, choice, is_eight_bit, size_max };
        match composer.brief.sizes.clone() {
            Sizes::List(list) => {
                let kinds = list.iter().map(|&(size, weight)| (size, weight, Shape::Plain));
                composer.make(kinds.collect())?;
            }
            Sizes::Mix => {
                let kinds = mix::KINDS.iter().map(|kind| (kind.size, kind.weight, kind.shape));
                composer.make(kinds.collect())?;
            }
            Sizes::Files(path) => {
                let texts = files::read(&path)?;
                composer.choice = Alias::new(&vec![1.0; texts.len()]);
                composer.is_eight_bit = texts.iter().any(|text| !text.is_ascii());
                composer.templates =
                    texts.into_iter().map(|text| vec![composer.own(text)]).collect();
            }
        }
        let sizes = composer.templates.iter().flatten().map(|template| template.size);
        composer.size_max = sizes.max().unwrap_or(0);
        Ok(composer)
    }

    /// How many recipients a message has.
    pub fn recipients(&self) -> u32 {
        self.brief.recipients.count()
    }

    /// A message has octets above 127, so that it asks for 8BITMIME (RFC 6152).
    pub fn is_eight_bit(&self) -> bool {
        self.is_eight_bit
    }

    /// The octets of the largest message.
    pub fn size_max(&self) -> u64 {
        self.size_max
    }

    pub fn sender(&self) -> &str {
        &self.brief.sender
    }

    pub fn write_recipient(&self, sequence: u64, index: u32, out: &mut BytesMut) {
        self.brief.recipients.write(self.brief.seed, sequence, index, out);
    }

    pub fn message(&self, sequence: u64) -> Message<'_> {
        let mut random = Random::of(self.brief.seed ^ TEMPLATE_SALT, sequence);
        let variants = &self.templates[self.choice.pick(&mut random)];
        let template = &variants[random.below(variants.len())];
        Message { composer: self, template, sequence }
    }

    fn make(&mut self, kinds: Vec<(u64, f64, Shape)>) -> Result<(), MailError> {
        let weights: Vec<f64> = kinds.iter().map(|&(_, weight, _)| weight).collect();
        self.choice = Alias::new(&weights);
        for (size, _, shape) in kinds {
            let variants = if size > VARIED_MAX { 1 } else { VARIANTS };
            let made = (0..variants).map(|variant| self.made(size, shape, variant));
            let made = made.collect::<Result<Vec<_>, _>>()?;
            self.templates.push(made);
        }
        Ok(())
    }

    fn made(&self, size: u64, shape: Shape, variant: u64) -> Result<Template, MailError> {
        let Brief { sender, seed, .. } = &self.brief;
        let date = rfc2822::to_string(&self.brief.date.to_zoned(TimeZone::UTC))
            .expect("the years of a clock have four digits");
        let (shortest, longest) = self.head_lengths();
        let mut random = Random::of(seed ^ size, variant);
        let mut made = Vec::with_capacity(size as usize);
        text::words(&mut made, longest - shortest + random.below(text::LINE_MAX / 2), &mut random);
        made.extend_from_slice(b"\r\n");
        made.extend_from_slice(format!("Date: {date}\r\nFrom: <{sender}>\r\n").as_bytes());
        let least = shortest + made.len() + shape.frame_length() + BODY_MIN;
        let Some(room) = (size as usize).checked_sub(least) else {
            let least = (least + text::LINE_MAX / 2) as u64;
            return Err(MailError::TooSmall { size, least });
        };
        shape.write(&mut made, room + BODY_MIN, &mut random);
        let octets = wire::carried(made, self.brief.carriage);
        Ok(Template { octets, size, head: Head::Made { shortest } })
    }

    fn own(&self, text: Vec<u8>) -> Template {
        let size = text.len() as u64;
        Template { octets: wire::carried(text, self.brief.carriage), size, head: Head::Own }
    }

    /// Of the shortest and the longest head that is written before a template.
    fn head_lengths(&self) -> (usize, usize) {
        let fixed = ID_NAME.len() + self.id_tail.len() + TO_NAME.len() + SUBJECT_NAME.len();
        let (shortest, longest) = self.brief.recipients.field_lengths();
        (fixed + 1 + shortest, fixed + SEQUENCE_DIGITS_MAX + longest)
    }
}

const ID_NAME: &[u8] = b"Message-ID: <";
const TO_NAME: &[u8] = b"To: ";
const SUBJECT_NAME: &[u8] = b"Subject: ";

impl Message<'_> {
    /// Its octets, dots not stuffed.
    pub fn size(&self) -> u64 {
        match self.template.head {
            Head::Made { .. } => self.template.size,
            Head::Own => {
                let id = ID_NAME.len() + digits(self.sequence) + self.composer.id_tail.len();
                id as u64 + self.template.size
            }
        }
    }

    /// Appends the head to `out`; what follows it is the answer.
    pub fn write_head(&self, out: &mut BytesMut) -> Bytes {
        let before = out.len();
        out.put_slice(ID_NAME);
        write_decimal(self.sequence, out);
        out.put_slice(&self.composer.id_tail);
        let Head::Made { shortest } = self.template.head else {
            return self.template.octets.clone();
        };
        let brief = &self.composer.brief;
        out.put_slice(TO_NAME);
        brief.recipients.write_field(brief.seed, self.sequence, out);
        out.put_slice(SUBJECT_NAME);
        self.template.octets.slice(out.len() - before - shortest..)
    }
}

/// The name of a run that began now, in its Message-IDs: no other run has it.
pub fn run_name(now: Timestamp) -> String {
    format!("{:x}", now.as_microsecond())
}

/// Appends a number as it is written in decimal.
pub fn write_decimal(mut number: u64, out: &mut BytesMut) {
    let mut written = [0u8; SEQUENCE_DIGITS_MAX];
    let mut at = written.len();
    loop {
        at -= 1;
        written[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&written[at..]);
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests;
