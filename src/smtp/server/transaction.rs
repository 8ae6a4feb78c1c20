//! A transaction up to its body: MAIL and RCPT (RFC 5321 §3.3).

use std::collections::HashSet;

use bytes::Bytes;

use super::{
    Context, Effect, LookupError, Session, Steps,
    hello::Peer,
    policy::{Admission, named},
};
use crate::{
    mail::{Address, Envelope, Recipient, mailbox::Resolved},
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
    /// Those that lookups have brought: nobody gets a message twice through two aliases.
    looked_up: HashSet<Address>,
}

/// A recipient of ours that the store is asked about.
#[derive(Debug)]
pub struct Resolving {
    transaction: Box<Transaction>,
    recipient: Recipient,
    /// What the client has pipelined behind its RCPT.
    rest: Bytes,
}

impl Resolving {
    /// Keeps what was read for when the answer is here.
    pub(super) fn wait(&mut self, rest: &mut Bytes) {
        self.rest = std::mem::take(rest);
    }
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
    Session::Open(
        peer,
        Box::new(Transaction {
            envelope,
            recipients: Vec::new(),
            declared,
            looked_up: HashSet::new(),
        }),
    )
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
        Ok(Admission::Onward(recipient)) => {
            transaction.recipients.push(recipient);
            reply::RECIPIENT_OK.write(&mut steps.replies);
        }
        Ok(Admission::Local(recipient)) => {
            let (address, size) = (recipient.address.clone(), transaction.declared);
            steps.effects.push(Effect::LookUp { address, size });
            let resolving = Resolving { transaction, recipient, rest: Bytes::new() };
            return Session::Resolving(peer, Box::new(resolving));
        }
        Err(refusal) => peer.reject("RCPT", refusal, transaction.sender(), Some(to), steps),
    }
    Session::Open(peer, transaction)
}

/// The answer to `Effect::LookUp`; gives what was pipelined behind the RCPT as well.
pub(super) fn looked_up(
    mut peer: Box<Peer>,
    resolving: Resolving,
    result: Result<Resolved, LookupError>,
    cx: &Context<'_>,
    steps: &mut Steps,
) -> (Session, Bytes) {
    let Resolving { mut transaction, recipient, rest } = resolving;
    let to = recipient.address.as_bytes().clone();
    let found = match result {
        Ok(Resolved::To(addresses)) => Ok((addresses, named(recipient))),
        Ok(Resolved::Unknown) => cx
            .options
            .unknown_recipient(recipient)
            .map(|recipient| (vec![recipient.address.clone()], recipient)),
        Ok(Resolved::Full) => Err(reply::MAILBOX_FULL),
        Err(LookupError) => Err(reply::STORE_FAILED),
    };
    match found {
        Ok((addresses, recipient)) => {
            for address in addresses {
                if transaction.looked_up.insert(address.clone()) {
                    transaction.recipients.push(Recipient { address, ..recipient.clone() });
                }
            }
            reply::RECIPIENT_OK.write(&mut steps.replies);
        }
        Err(refusal) => peer.reject("RCPT", refusal, transaction.sender(), Some(to), steps),
    }
    (Session::Open(peer, transaction), rest)
}

fn admit_rcpt(
    peer: &Peer,
    transaction: &Transaction,
    recipient: Recipient,
    extended: bool,
    cx: &Context<'_>,
) -> Result<Admission, Reply> {
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
