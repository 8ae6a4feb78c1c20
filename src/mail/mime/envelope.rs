//! Writes a message's ENVELOPE from its header.

use super::{
    address,
    header::{Field, Header},
    string::nstring,
};

/// RFC 9051 §7.5.2: date, subject, from, sender, reply-to, to, cc, bcc, in-reply-to, message-id.
pub(super) fn write(out: &mut Vec<u8>, header: &Header) {
    out.push(b'(');
    nstring(out, header.value(Field::Date));
    out.push(b' ');
    nstring(out, header.value(Field::Subject));
    out.push(b' ');
    let from = out.len();
    address::write_list(out, header.values(Field::From));
    let from = from..out.len();
    for field in [Field::Sender, Field::ReplyTo] {
        out.push(b' ');
        let start = out.len();
        address::write_list(out, header.values(field));
        // RFC 9051 §7.5.2: where it is absent or empty, it is the same as From.
        if &out[start..] == b"NIL" {
            out.truncate(start);
            out.extend_from_within(from.clone());
        }
    }
    for field in [Field::To, Field::Cc, Field::Bcc] {
        out.push(b' ');
        address::write_list(out, header.values(field));
    }
    out.push(b' ');
    nstring(out, header.value(Field::InReplyTo));
    out.push(b' ');
    nstring(out, header.value(Field::MessageId));
    out.push(b')');
}
