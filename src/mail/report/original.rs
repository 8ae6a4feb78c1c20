//! The last part of a report: the message it is about, whole or its header section only.

use std::borrow::Cow;

use super::{Kind, Request, lines::Lines};
use crate::{
    limits::REPORT_RETURN_MAX,
    mail::{Ret, Wire},
};

/// RFC 3461 §4.3: RET=FULL is honoured where the message failed and is not long; a sender who
/// did not say gets the headers, which are enough to know it by and no backscatter of bodies.
pub fn is_returned_whole(request: &Request) -> bool {
    request.kind == Kind::Failed
        && request.message.envelope.ret == Some(Ret::Full)
        && request.original_is_whole
        && request.message.size <= REPORT_RETURN_MAX as u64
}

pub fn compose(request: &Request, whole: bool) -> Lines {
    let original = start_of(request);
    let mut out = Lines::with_capacity(original.len() + 64);
    for line in original.split_inclusive(|&octet| octet == b'\n') {
        let is_cut = !line.ends_with(b"\r\n");
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        if !whole && (line.is_empty() || is_cut) {
            break;
        }
        out.octets(unstuffed(line, request.message.wire));
    }
    out
}

/// RFC 5321 §4.5.2.
fn unstuffed(line: &[u8], wire: Wire) -> &[u8] {
    match wire {
        Wire::Stuffed => line.strip_prefix(b".").unwrap_or(line),
        Wire::Plain => line,
    }
}

/// At most `REPORT_RETURN_MAX` octets, in one piece.
fn start_of<'a>(request: &Request<'a>) -> Cow<'a, [u8]> {
    if let [piece] = request.original {
        return Cow::Borrowed(&piece[..piece.len().min(REPORT_RETURN_MAX)]);
    }
    let mut start = Vec::new();
    for piece in request.original {
        let room = REPORT_RETURN_MAX - start.len();
        start.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    Cow::Owned(start)
}
