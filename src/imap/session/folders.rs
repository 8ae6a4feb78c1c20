//! CREATE, DELETE, RENAME, SUBSCRIBE: the names of an account.

use super::{
    Job,
    step::{Answer, Next, Tell, Turn},
};
use crate::{
    imap::reply::Reply,
    mail::mailbox::{AccountId, Act, Done, MailboxName},
};

/// An act that is done or refused.
#[derive(Debug)]
pub(in crate::imap) struct Plain {
    text: &'static str,
    renamed: Option<(MailboxName, MailboxName)>,
    deleted: Option<MailboxName>,
}

pub(super) fn plain(act: Act, text: &'static str, turn: &mut Turn) -> Next {
    turn.act(act);
    Next::Wait(Job::Plain(Plain { text, renamed: None, deleted: None }))
}

pub(super) fn delete(account: AccountId, name: MailboxName, turn: &mut Turn) -> Next {
    turn.act(Act::Delete { account, name: name.clone() });
    Next::Wait(Job::Plain(Plain { text: "It is deleted", renamed: None, deleted: Some(name) }))
}

pub(super) fn rename(
    account: AccountId,
    from: MailboxName,
    to: MailboxName,
    turn: &mut Turn,
) -> Next {
    turn.act(Act::Rename { account, from: from.clone(), to: to.clone() });
    let renamed = Some((from, to));
    Next::Wait(Job::Plain(Plain { text: "It is renamed", renamed, deleted: None }))
}

impl Plain {
    pub(super) fn answered(self, answer: Answer, turn: &mut Turn) -> Next {
        let Answer::Done(Done::Done) = answer else { return Next::unexpected(answer) };
        if let (Some((from, to)), Some(view)) = (&self.renamed, turn.peer.view_mut()) {
            view.name = view.name.moved(from, to).unwrap_or_else(|| view.name.clone());
        }
        let selected =
            turn.peer.view().is_some_and(|view| self.deleted.as_ref() == Some(&view.name));
        if selected {
            turn.peer.deselect();
            turn.out().untagged("OK", "CLOSED", "The selected mailbox is deleted");
        }
        Next::End(Reply::ok(self.text), Tell::all(false))
    }
}
