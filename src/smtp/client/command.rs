//! Writes MAIL and RCPT with the parameters that the next hop knows.

use std::fmt::Write;

use bytes::BytesMut;

use super::{Transaction, hello::Extensions};
use crate::mail::{BodyType, Notify, Recipient, Ret};

/// RFC 5321 §4.1.1.2.
pub(super) fn mail(out: &mut BytesMut, transaction: &Transaction, offered: &Extensions) {
    let envelope = &transaction.message.envelope;
    let reverse_path = envelope.reverse_path.as_ref().map_or(&b""[..], |path| path.as_bytes());
    put(out, &[b"MAIL FROM:<", reverse_path, b">"]);
    if offered.size.is_some() {
        // RFC 1870 §3 counts neither the final dot nor doubled dots; a few too many do no harm.
        // Writing to memory cannot fail.
        let _ = write!(out, " SIZE={}", transaction.message.size);
    }
    // RFC 6152 §3 wants 8-bit mail converted or refused where the host does not offer this. It
    // is sent as it is: conversion breaks signatures, and hosts are 8-bit clean nowadays.
    if envelope.body_type == BodyType::EightBitMime && offered.eight_bit_mime {
        put(out, &[b" BODY=8BITMIME"]);
    }
    if offered.smtputf8 && transaction.needs_smtputf8() {
        put(out, &[b" SMTPUTF8"]);
    }
    if offered.dsn {
        match envelope.ret {
            Some(Ret::Full) => put(out, &[b" RET=FULL"]),
            Some(Ret::Headers) => put(out, &[b" RET=HDRS"]),
            None => {}
        }
        if let Some(envid) = &envelope.envid {
            put(out, &[b" ENVID=", envid]);
        }
    }
    put(out, &[b"\r\n"]);
}

/// RFC 5321 §4.1.1.3.
pub(super) fn rcpt(out: &mut BytesMut, recipient: &Recipient, offered: &Extensions) {
    put(out, &[b"RCPT TO:<", recipient.address.as_bytes(), b">"]);
    if offered.dsn {
        notify(out, recipient.notify);
        if let Some(orcpt) = &recipient.orcpt {
            put(out, &[b" ORCPT=", orcpt]);
        }
    }
    put(out, &[b"\r\n"]);
}

/// RFC 3461 §4.1.
fn notify(out: &mut BytesMut, notify: Notify) {
    const WORDS: [(Notify, &[u8]); 4] = [
        (Notify::NEVER, b"NEVER"),
        (Notify::SUCCESS, b"SUCCESS"),
        (Notify::FAILURE, b"FAILURE"),
        (Notify::DELAY, b"DELAY"),
    ];
    let mut before: &[u8] = b" NOTIFY=";
    for (flag, word) in WORDS {
        if notify.bits() & flag.bits() != 0 {
            put(out, &[before, word]);
            before = b",";
        }
    }
}

fn put(out: &mut BytesMut, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}
