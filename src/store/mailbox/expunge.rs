//! EXPUNGE, and the deletions of POP3.

use super::{
    changing::Changing,
    row::{Step, each},
};
use crate::{
    mail::mailbox::{Done, Entry, Flags, MailboxId, Uids},
    store::Rows,
};

/// Those messages of a set go that are `\Deleted` (RFC 4315 §2.1).
pub fn expunge<R: Rows>(
    rows: &mut R,
    mailbox: MailboxId,
    uids: &Uids,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    go(rows, mailbox, uids, |entry| entry.flags.contains(Flags::DELETED), touched)
}

/// All messages of a set go, whatever their flags.
pub fn remove<R: Rows>(
    rows: &mut R,
    mailbox: MailboxId,
    uids: &Uids,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    go(rows, mailbox, uids, |_| true, touched)
}

fn go<R: Rows>(
    rows: &mut R,
    mailbox: MailboxId,
    uids: &Uids,
    goes: impl Fn(&Entry) -> bool,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    let mut changing = Changing::open(rows, mailbox)?;
    let mut gone = Uids::default();
    each(rows, mailbox, uids, |rows, entry| {
        if !goes(&entry) {
            return Ok(());
        }
        gone.insert(entry.uid);
        changing.expunge(rows, entry)
    })?;
    let modseq = changing.close(rows, touched)?;
    Ok(Done::Expunged { modseq, uids: gone })
}
