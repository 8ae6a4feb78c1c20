//! A transaction up to its body: MAIL and RCPT (RFC 5321 §3.3).

use bytes::Bytes;

use super::{Context, Session, Steps, hello::Peer};
use crate::{
    mail::{Envelope, Recipient},
    smtp::{
        command::{Mail, Rcpt},
        reply::{self, Reply},
    },
};

/// What MAIL and RCPT have said so far.
#[derive(Debug)]
pub struct Transaction {
    pub(super) envelope: Envelope,
    pub(super) recipients: Vec<Recipient>,
    /// SIZE= of MAIL; 0 when it was not said.
    pub(super) declared: u64,
}

impl Transaction {
    /// For the log; `<>` is empty.
    pub(super) fn sender(&self) -> Option<Bytes> {
        Some(sender_of(&self.envelope))
    }
}

pub(super) fn sender_of(envelope: &Envelope) -> Bytes {
    envelope.reverse_path.as_ref().map(|path| path.as_bytes().clone()).unwrap_or_default()
}

pub(super) fn mail(
    mut peer: Box<Peer>,
    mail: Mail,
    cx: &mut Context<'_>,
    steps: &mut Steps,
) -> Session {
    if let Err(refusal) = admit_mail(&peer, &mail, cx) {
        peer.reject("MAIL", refusal, Some(sender_of(&mail.envelope)), None, steps);
        return Session::Idle(peer);
    }
    reply::SENDER_OK.write(&mut steps.replies);
    let Mail { envelope, size, .. } = mail;
    let declared = size.unwrap_or_default();
    Session::Open(peer, Box::new(Transaction { envelope, recipients: Vec::new(), declared }))
}

fn admit_mail(peer: &Peer, mail: &Mail, cx: &Context<'_>) -> Result<(), Reply> {
    // RFC 5321 §4.1.1.1: a session begins with EHLO or HELO.
    if peer.hello.is_none() {
        return Err(reply::HELLO_FIRST);
    }
    check_extended(peer, mail.extended)?;
    cx.options.admit_client(peer.role, peer.client.ip())?;
    let size = mail.size.unwrap_or_default();
    // RFC 1870 §6.
    if size > cx.options.message_size_max {
        return Err(reply::TOO_BIG);
    }
    if cx.pressure.free == 0 || cx.pressure.free < size {
        return Err(reply::STORE_FULL);
    }
    Ok(())
}

/// RFC 5321 §2.2.1: parameters belong to extensions, and those are only offered to EHLO.
fn check_extended(peer: &Peer, extended: bool) -> Result<(), Reply> {
    if extended && !peer.is_extended() { Err(reply::NOT_EXTENDED) } else { Ok(()) }
}

pub(super) fn rcpt(
    mut peer: Box<Peer>,
    mut transaction: Box<Transaction>,
    rcpt: Rcpt,
    cx: &mut Context<'_>,
    steps: &mut Steps,
) -> Session {
    let Rcpt { recipient, extended } = rcpt;
    let to = recipient.address.as_bytes().clone();
    match admit_rcpt(&peer, &transaction, recipient, extended, cx) {
        Ok(recipient) => {
            transaction.recipients.push(recipient);
            reply::RECIPIENT_OK.write(&mut steps.replies);
        }
        Err(refusal) => peer.reject("RCPT", refusal, transaction.sender(), Some(to), steps),
    }
    Session::Open(peer, transaction)
}

fn admit_rcpt(
    peer: &Peer,
    transaction: &Transaction,
    recipient: Recipient,
    extended: bool,
    cx: &Context<'_>,
) -> Result<Recipient, Reply> {
    check_extended(peer, extended)?;
    // RFC 6531 §3.4: what MAIL did not announce RCPT may not bring.
    if recipient.address.needs_smtputf8() && !transaction.envelope.smtputf8 {
        return Err(reply::NEEDS_SMTPUTF8);
    }
    if transaction.recipients.len() >= cx.options.recipients_max {
        return Err(reply::TOO_MANY_RECIPIENTS);
    }
    cx.options.admit_recipient(peer.client.ip(), recipient)
}
