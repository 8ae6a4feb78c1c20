//! What the trace tells of the relay's inputs and outputs.

use super::World;
use crate::{
    mail::mailbox::{Act, Entry, Found, Listed},
    relay::Input,
    store::{Change, Loaded},
    trace::Octets,
};

impl World {
    pub(super) fn trace_input(&mut self, core: u16, input: &Input) {
        match input {
            Input::Received { connection, bytes } => {
                self.say(format_args!("{core}< received {connection:?} {}", Octets(bytes)));
            }
            Input::Answer { ticket, result } => match result {
                Ok(bytes) => self.say(format_args!("{core}< answer {ticket:?} {}", Octets(bytes))),
                Err(trouble) => self.say(format_args!("{core}< answer {ticket:?} {trouble}")),
            },
            Input::Stored { ticket, result, .. } => {
                self.say(format_args!("{core}< stored {ticket:?} {result:?}"));
            }
            Input::Loaded { ticket, loaded } => {
                self.say(format_args!("{core}< loaded {ticket:?} {}", loaded_summary(loaded)));
            }
            Input::Assigned { parcel } => {
                self.say(format_args!("{core}< assigned {:?}", parcel.id()));
            }
            other => self.say(format_args!("{core}< {other:?}")),
        }
    }
}

pub fn summary(change: &Change) -> String {
    match change {
        Change::Accept(accept) => {
            format!("accept {} in {} parcels", accept.message.id, accept.parcels.len())
        }
        Change::Spool { message, first_row, .. } => format!("spool {message} from row {first_row}"),
        Change::Abandon { message } => format!("abandon {message}"),
        Change::Mailbox(act) => act_summary(act),
        Change::Settle(settle) => format!(
            "settle {:?}, left {:?}, report {:?}",
            settle.parcel,
            settle.left.as_ref().map(|parcel| parcel.due),
            settle.report.as_ref().map(|report| report.message.id)
        ),
    }
}

fn act_summary(act: &Act) -> String {
    match act {
        Act::Spool { content, first_chunk, chunks } => {
            format!("spool content {content} from chunk {first_chunk}, {} of them", chunks.len())
        }
        Act::Append { account, name, messages, quota } => {
            let ids: Vec<_> = messages.iter().map(|message| message.content.id).collect();
            format!("append {ids:?} to {name} of {account:?}, quota {quota}")
        }
        other => format!("{other:?}"),
    }
}

fn found_summary(found: &Found) -> String {
    match found {
        Found::Content(octets) => format!("content {}", Octets(octets)),
        Found::Messages { messages, rest } => {
            let entry = |one: &Listed| {
                let Entry { uid, modseq, flags, content, .. } = &one.entry;
                format!("{} at {} {flags:?} {content}", uid.0, modseq.0)
            };
            let entries: Vec<String> = messages.iter().map(entry).collect();
            format!("messages {entries:?}, rest {rest:?}")
        }
        Found::Changes(Some(changes)) => {
            let uids: Vec<_> = changes.changed.iter().map(|entry| entry.uid.0).collect();
            let gone: Vec<_> = changes.gone.iter().map(|uid| uid.0).collect();
            format!(
                "changes {uids:?}, gone {gone:?}, up to {:?}, more {}",
                changes.upto, changes.more
            )
        }
        other => format!("{other:?}"),
    }
}

fn loaded_summary(loaded: &Loaded) -> String {
    match loaded {
        Loaded::Agenda { entries, next } => format!("agenda {entries:?} {next:?}"),
        Loaded::Page { parcels, next_due } => {
            let ids: Vec<_> = parcels.iter().map(|parcel| parcel.id()).collect();
            format!("page {ids:?} {next_due:?}")
        }
        Loaded::Body { pieces } => format!("body {}", Octets(&pieces.concat())),
        Loaded::Mailbox(found) => found_summary(found),
        Loaded::Failed(error) => format!("failed {error:?}"),
    }
}
