//! GETQUOTA and GETQUOTAROOT: one root, the account, and one resource, its octets (RFC 9208).

use std::fmt::Write;

use super::{
    Job as Jobs,
    step::{Answer, Next, Tell, Turn},
};
use crate::{
    imap::reply::Reply,
    mail::mailbox::{AccountId, Ask, Found, MailboxName},
};

#[derive(Debug)]
pub(in crate::imap) struct Job {
    account: AccountId,
    /// The mailbox whose root is asked for.
    mailbox: Option<MailboxName>,
}

pub(super) fn of_root(account: AccountId, root: &[u8], turn: &mut Turn) -> Next {
    if !root.is_empty() {
        return Next::end(Reply::no("The only quota root is \"\"").code("NONEXISTENT"));
    }
    if limit(turn) == 0 {
        return Next::end(Reply::no("This account has no quota").code("NONEXISTENT"));
    }
    turn.ask(Ask::Usage { account });
    Next::Wait(Jobs::Quota(Job { account, mailbox: None }))
}

pub(super) fn of_mailbox(account: AccountId, name: MailboxName, turn: &mut Turn) -> Next {
    turn.ask(Ask::Folder { account, name: name.clone() });
    Next::Wait(Jobs::Quota(Job { account, mailbox: Some(name) }))
}

/// Octets; 0: none, and then there is no root (RFC 9208 §3.2).
fn limit(turn: &Turn) -> u64 {
    turn.peer.login().map_or(0, |login| login.quota)
}

impl Job {
    pub(super) fn answered(self, answer: Answer, turn: &mut Turn) -> Next {
        match answer {
            Answer::Found(Found::Folder(Some(_))) if limit(turn) == 0 => {
                self.write_root("", turn);
                Next::End(Reply::ok("There is no quota"), Tell::all(false))
            }
            Answer::Found(Found::Folder(Some(_))) => {
                turn.ask(Ask::Usage { account: self.account });
                Next::Wait(Jobs::Quota(self))
            }
            Answer::Found(Found::Folder(None)) => {
                Next::end(Reply::no("There is no such mailbox").code("NONEXISTENT"))
            }
            Answer::Found(Found::Usage { octets, .. }) => {
                self.write_root(" \"\"", turn);
                // RFC 9208 §5.1: in units of 1024 octets.
                let (used, limit) = (octets.div_ceil(1024), limit(turn) / 1024);
                let _ = write!(turn.out(), "* QUOTA \"\" (STORAGE {used} {limit})\r\n");
                Next::End(Reply::ok("That is all"), Tell::all(false))
            }
            other => Next::unexpected(other),
        }
    }

    fn write_root(&self, root: &str, turn: &mut Turn) {
        let utf8 = turn.peer.enabled.takes_utf8();
        if let Some(name) = &self.mailbox {
            let out = turn.out();
            out.text("* QUOTAROOT ");
            out.mailbox(name.as_str(), utf8);
            out.text(root);
            out.text("\r\n");
        }
    }
}
