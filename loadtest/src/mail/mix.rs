//! Mail as it is: how large, and made of what.

use super::text;
use crate::random::Random;

/// One kind of message of the mix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub size: u64,
    /// Of 100 messages.
    pub weight: f64,
    pub shape: Shape,
}

/// The mix: many small messages and a long tail, as every mail server sees them; the weights are a
/// choice of ours, not a measurement. The median lies between 16 and 32 KiB, where a short text
/// with its HTML twin lies; one message in eight has an attachment; these carry most of the octets,
/// and lift the mean to about 98 KiB.
pub(super) const KINDS: &[Kind] = &[
    kind(2 * KIB, 6.0, Shape::Plain),
    kind(4 * KIB, 12.0, Shape::Plain),
    kind(8 * KIB, 8.0, Shape::Plain),
    kind(8 * KIB, 10.0, Shape::Alternative),
    kind(16 * KIB, 16.0, Shape::Alternative),
    kind(32 * KIB, 17.0, Shape::Alternative),
    kind(64 * KIB, 13.0, Shape::Alternative),
    kind(128 * KIB, 5.0, Shape::Alternative),
    kind(128 * KIB, 4.0, Shape::Attachment),
    kind(256 * KIB, 4.0, Shape::Attachment),
    kind(512 * KIB, 2.5, Shape::Attachment),
    kind(1024 * KIB, 1.5, Shape::Attachment),
    kind(2048 * KIB, 0.7, Shape::Attachment),
    kind(5120 * KIB, 0.3, Shape::Attachment),
];

const KIB: u64 = 1024;

const fn kind(size: u64, weight: f64, shape: Shape) -> Kind {
    Kind { size, weight, shape }
}

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Text, no MIME.
    Plain,
    /// The text twice, once as HTML.
    Alternative,
    /// Text, and a file in base64.
    Attachment,
}

/// The text of a message that has more beside it is so large at most.
const TEXT_MAX: usize = 4 * 1024;

/// Never in prose, HTML or base64.
macro_rules! boundary {
    () => {
        "=_ringload_part"
    };
}

const PLAIN: &[&str] = &["\r\n"];

const ALTERNATIVE: &[&str] = &[
    concat!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"",
        boundary!(),
        "\"\r\n\r\n--",
        boundary!(),
        "\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    ),
    concat!("\r\n--", boundary!(), "\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n"),
    concat!("\r\n--", boundary!(), "--\r\n"),
];

const ATTACHMENT: &[&str] = &[
    concat!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"",
        boundary!(),
        "\"\r\n\r\n--",
        boundary!(),
        "\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    ),
    concat!(
        "\r\n--",
        boundary!(),
        "\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n",
        "Content-Disposition: attachment; filename=\"report.pdf\"\r\n\r\n"
    ),
    concat!("--", boundary!(), "--\r\n"),
];

impl Shape {
    /// What `write` appends beside the filler.
    pub(super) fn frame_length(self) -> usize {
        self.frame().iter().map(|piece| piece.len()).sum()
    }

    /// Appends the rest of a message after its own fields: the frame, and `room` octets of filler,
    /// at least two.
    pub(super) fn write(self, out: &mut Vec<u8>, room: usize, random: &mut Random) {
        let share = if room / 4 < 2 { room } else { (room / 4).min(TEXT_MAX) };
        match (self, self.frame()) {
            (Shape::Alternative, [first, second, last]) => {
                out.extend_from_slice(first.as_bytes());
                text::prose(out, share, random);
                out.extend_from_slice(second.as_bytes());
                text::html(out, room - share, random);
                out.extend_from_slice(last.as_bytes());
            }
            (Shape::Attachment, [first, second, last]) => {
                let encoded = text::attachment_length(room - share);
                out.extend_from_slice(first.as_bytes());
                text::prose(out, room - encoded, random);
                out.extend_from_slice(second.as_bytes());
                text::attachment(out, encoded, random);
                out.extend_from_slice(last.as_bytes());
            }
            (_, frame) => {
                out.extend(frame.iter().flat_map(|piece| piece.bytes()));
                text::prose(out, room, random);
            }
        }
    }

    fn frame(self) -> &'static [&'static str] {
        match self {
            Shape::Plain => PLAIN,
            Shape::Alternative => ALTERNATIVE,
            Shape::Attachment => ATTACHMENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_what_its_comment_says() {
        let weights: f64 = KINDS.iter().map(|kind| kind.weight).sum();
        assert!((weights - 100.0).abs() < 1e-9, "{weights}");
        let mean = KINDS.iter().map(|kind| kind.size as f64 * kind.weight).sum::<f64>() / weights;
        assert_eq!((mean / KIB as f64).round(), 98.0);
        let below = |size| -> f64 {
            KINDS.iter().filter(|kind| kind.size <= size).map(|kind| kind.weight).sum()
        };
        assert!(below(8 * KIB) < 50.0 && below(16 * KIB) > 50.0 - 17.0 && below(32 * KIB) > 50.0);
        let attached = KINDS.iter().filter(|kind| kind.shape == Shape::Attachment);
        assert_eq!(attached.map(|kind| kind.weight).sum::<f64>(), 13.0);
    }

    #[test]
    fn every_shape_has_its_exact_size() {
        for shape in [Shape::Plain, Shape::Alternative, Shape::Attachment] {
            for room in (2..300).chain([50_000]) {
                let mut out = Vec::new();
                shape.write(&mut out, room, &mut Random::new(room as u64));
                assert_eq!(out.len(), shape.frame_length() + room, "{shape:?} {room}");
            }
        }
    }
}
