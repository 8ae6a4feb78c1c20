//! The part of a report that programs read: the fields of RFC 3464 §2.

use super::{
    Action, Reported, Request,
    lines::{Lines, cleaned},
};
use crate::mail::date::Date;

/// RFC 3464 asks for 7bit; the global form (RFC 6533 §4) may hold UTF-8.
pub fn compose(request: &Request, global: bool) -> Lines {
    let mut out = Lines::default();
    let message = request.message;
    if let Some(envid) = &message.envelope.envid {
        let envid = cleaned(&xtext_decoded(envid), !global);
        out.line(&format!("Original-Envelope-Id: {envid}"));
    }
    out.line(&format!("Reporting-MTA: dns; {}", request.hostname));
    out.line(&format!("X-Ringmail-Queue-ID: {}", message.id));
    out.line(&format!("Arrival-Date: {}", Date::of(message.arrived)));
    for reported in request.recipients {
        out.line("");
        recipient(&mut out, request, reported, global);
    }
    out
}

/// RFC 3464 §2.3.
fn recipient(out: &mut Lines, request: &Request, reported: &Reported, global: bool) {
    let (recipient, verdict) = (reported.recipient, reported.verdict);
    if let Some(orcpt) = &recipient.orcpt {
        // RFC 3461 §6.3: as the sender gave it, out of its xtext.
        let (kind, address) = match memchr::memchr(b';', orcpt) {
            Some(at) => (&orcpt[..at], &orcpt[at + 1..]),
            None => (&b"rfc822"[..], &orcpt[..]),
        };
        let (kind, address) = (cleaned(kind, true), cleaned(&xtext_decoded(address), !global));
        out.line(&format!("Original-Recipient: {kind}; {address}"));
    }
    // RFC 6533 §3: an address with UTF-8 is of the type utf-8.
    let kind = if recipient.address.needs_smtputf8() { "utf-8" } else { "rfc822" };
    out.line(&format!("Final-Recipient: {kind}; {}", recipient.address));
    out.line(&format!("Action: {}", action_name(reported.action)));
    out.line(&format!("Status: {}", verdict.status));
    if let Some(remote) = reported.remote {
        out.line(&format!("Remote-MTA: dns; {}", cleaned(remote.as_bytes(), true)));
    }
    if !verdict.reason.is_empty() {
        let kind = if verdict.remote_said { "smtp" } else { "X-Ringmail" };
        let reason = cleaned(&verdict.reason, !global);
        out.folded(&format!("Diagnostic-Code: {kind}; "), "    ", &reason);
    }
    out.line(&format!("Last-Attempt-Date: {}", Date::of(request.now)));
    if reported.action == Action::Delayed {
        out.line(&format!("Will-Retry-Until: {}", Date::of(request.expires)));
    }
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Failed => "failed",
        Action::Delayed => "delayed",
        Action::Delivered => "delivered",
        Action::Relayed => "relayed",
    }
}

/// RFC 3461 §4: `+` and two hexadecimal digits stand for an octet; anything else for itself.
fn xtext_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        let escaped = match (octet, after) {
            (b'+', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                out.push(octet);
                rest = after;
            }
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
