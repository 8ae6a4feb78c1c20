//! STATUS: how a mailbox stands (RFC 9051 §6.3.11).

use std::fmt::Write;

use super::{
    command::StatusItems,
    reply::{Out, Reply},
    session::{Answer, Job as Jobs, Next, Tell, Turn},
};
use crate::mail::mailbox::{AccountId, Ask, Found, MailboxName, Standing};

#[derive(Debug)]
pub(super) struct Job {
    items: StatusItems,
}

pub(super) fn begin(
    account: AccountId,
    name: MailboxName,
    items: StatusItems,
    turn: &mut Turn,
) -> Next {
    if items.highest_modseq {
        turn.enable_condstore();
    }
    turn.ask(Ask::Folder { account, name });
    Next::Wait(Jobs::Status(Job { items }))
}

impl Job {
    pub(super) fn answered(self, answer: Answer, turn: &mut Turn) -> Next {
        let folder = match answer {
            Answer::Found(Found::Folder(folder)) => folder,
            other => return Next::unexpected(other),
        };
        let named = folder
            .as_deref()
            .and_then(|folder| Some((folder.name.as_str(), folder.standing.as_deref()?)));
        let Some((name, standing)) = named else {
            return Next::end(Reply::no("There is no such mailbox").code("NONEXISTENT"));
        };
        let (utf8, limit) = (turn.peer.enabled.takes_utf8(), turn.cx.options.message_size_max);
        write(name, standing, self.items, limit, utf8, turn.out());
        Next::End(Reply::ok("That is all"), Tell::all(false))
    }
}

/// The untagged reply; `limit` is what APPEND takes (RFC 7889).
pub(super) fn write(
    name: &str,
    standing: &Standing,
    items: StatusItems,
    limit: u64,
    utf8: bool,
    out: &mut Out,
) {
    out.text("* STATUS ");
    out.mailbox(name, utf8);
    out.text(" (");
    // Those below `recent_from` have been told; of the others some may be gone.
    let recent = standing.uid_next.0.saturating_sub(standing.recent_from.0).min(standing.messages);
    let mut divider = "";
    for (asked, word, value) in [
        (items.messages, "MESSAGES", u64::from(standing.messages)),
        (items.recent, "RECENT", u64::from(recent)),
        (items.uid_next, "UIDNEXT", u64::from(standing.uid_next.0)),
        (items.uid_validity, "UIDVALIDITY", u64::from(standing.uid_validity)),
        (items.unseen, "UNSEEN", u64::from(standing.unseen)),
        (items.deleted, "DELETED", u64::from(standing.deleted)),
        (items.size, "SIZE", standing.size),
        (items.highest_modseq, "HIGHESTMODSEQ", standing.highest_modseq.0),
        (items.append_limit, "APPENDLIMIT", limit),
    ] {
        if asked {
            let _ = write!(out, "{divider}{word} {value}");
            divider = " ";
        }
    }
    out.text(")\r\n");
}
