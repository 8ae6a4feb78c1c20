//! The service extensions the server offers in its answer to EHLO.

use std::io::Write;

use bytes::{BufMut, BytesMut};

/// Writes the whole answer to EHLO (RFC 5321 §4.1.1.1).
pub fn advertise(hostname: &str, size_max: u64, recipients_max: usize, out: &mut BytesMut) {
    let mut out = out.writer();
    // A BytesMut grows: writing to it cannot fail.
    let _ = write!(
        out,
        "250-{hostname}\r\n\
         250-PIPELINING\r\n\
         250-SIZE {size_max}\r\n\
         250-8BITMIME\r\n\
         250-SMTPUTF8\r\n\
         250-ENHANCEDSTATUSCODES\r\n\
         250-CHUNKING\r\n\
         250-DSN\r\n\
         250-LIMITS RCPTMAX={recipients_max}\r\n\
         250 HELP\r\n"
    );
}
