//! The part of a report that people read: what happened, to whom, and what to do about it.

use super::{
    Action, Kind, Reported, Request,
    lines::{Lines, cleaned},
};
use crate::mail::{Status, date::Date};

pub fn compose(request: &Request) -> Lines {
    let mut out = Lines::default();
    out.line(&format!("This is the mail system at {}.", request.hostname));
    out.line("");
    out.folded("", "", &opening(request));
    for reported in request.recipients {
        out.line("");
        recipient(&mut out, reported, request.kind);
    }
    out.line("");
    out.folded("", "", closing(request.kind));
    out
}

fn opening(request: &Request) -> String {
    let arrived = Date::of(request.message.arrived);
    match request.kind {
        Kind::Failed => format!(
            "Your message of {arrived} could not be delivered to the recipients below, and it \
             will not be tried again for them. I am sorry about that."
        ),
        Kind::Delayed => format!(
            "Your message of {arrived} has not been delivered to the recipients below yet. THIS \
             IS A WARNING ONLY: you need not send it again. I keep trying until {}.",
            Date::of(request.expires)
        ),
        Kind::Delivered => format!(
            "Your message of {arrived} has reached the recipients below, as far as this mail \
             system can tell. You asked for this report."
        ),
    }
}

fn recipient(out: &mut Lines, reported: &Reported, kind: Kind) {
    out.line(&format!("<{}>", reported.recipient.address));
    let verdict = reported.verdict;
    let reason = cleaned(&verdict.reason, false);
    let heading = match (reported.action, reported.remote) {
        (Action::Delivered, _) => "It is in the recipient's mailbox.".to_owned(),
        (Action::Relayed, Some(remote)) => format!(
            "It was handed to {}, which sends no such reports: you may hear nothing more.",
            cleaned(remote.as_bytes(), true)
        ),
        (Action::Relayed, None) => {
            "It was handed to a system that sends no such reports: you may hear nothing more."
                .to_owned()
        }
        (_, Some(remote)) if verdict.remote_said => {
            format!("The mail server {} said:", cleaned(remote.as_bytes(), true))
        }
        _ if verdict.remote_said => "The recipient's mail server said:".to_owned(),
        _ => "The reason:".to_owned(),
    };
    out.folded("    ", "    ", &heading);
    if !reason.is_empty() {
        out.folded("        ", "        ", &reason);
    }
    if kind == Kind::Failed {
        out.folded("    ", "    ", advice(verdict.status));
    }
}

/// What the sender can do, by the subject and detail of RFC 3463 §3.
fn advice(status: Status) -> &'static str {
    match (status.subject, status.detail) {
        (1, 7 | 8) => "Your own address was refused: ask who runs your mail program.",
        (1, _) => "Check the address for mistakes, and send the message again to the right one.",
        (2, 2) => "The mailbox is full: tell the recipient in another way, and try again later.",
        (2 | 3, 3 | 4) => "The message is too big: send a smaller one, or share its files.",
        (4, _) => "The recipient's system was not reached: try again later, or in another way.",
        (6, _) => "The recipient's system cannot take mail of this form.",
        (7, _) => "It was refused by a rule: ask the recipient in another way, and show this.",
        _ => "Try to reach the recipient in another way, and show this report.",
    }
}

fn closing(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => {
            "If you need help, send this report to your postmaster. The technical details and \
             your message, or the start of it, are attached."
        }
        Kind::Delayed => {
            "Nothing is to be done now. You will get another report should I have to give up."
        }
        Kind::Delivered => "The technical details are attached.",
    }
}
