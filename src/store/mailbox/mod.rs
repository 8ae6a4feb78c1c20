//! Accounts, folders, mailboxes and contents as rows: what an `Act` changes and an `Ask` finds.
//!
//! An act looks before it writes: what it would refuse, or finds damaged, it finds before its
//! first row, so that an act of a batch is done whole or not at all. Only an error of what carries
//! the rows comes later, and that undoes the batch.

mod append;
mod ask;
mod changing;
mod copy;
mod deliver;
mod directory;
mod expunge;
mod fields;
mod flag;
mod folder;
mod held;
mod key;
mod marks;
mod purge;
mod record;
mod resolve;
mod restored;
mod row;
mod tree;

pub use ask::ask;
pub use deliver::deliver;
pub use purge::{Purged, purge};
pub use restored::moved_on;
pub use tree::begin;

use self::row::{Fault, Step};
use super::Rows;
use crate::mail::mailbox::{Act, Done, MailboxId, Refusal};

/// Does one act, and adds the mailboxes it changed to `touched`.
pub fn act<R: Rows>(
    act: &Act,
    rows: &mut R,
    touched: &mut Vec<MailboxId>,
) -> Result<Done, R::Error> {
    match step(act, rows, touched) {
        Ok(done) => Ok(done),
        Err(Fault::Refused(refusal)) => Ok(Done::Refused(refusal)),
        Err(Fault::Damaged(_)) => Ok(Done::Refused(Refusal::Damaged)),
        Err(Fault::Rows(error)) => Err(error),
    }
}

fn step<R: Rows>(act: &Act, rows: &mut R, touched: &mut Vec<MailboxId>) -> Step<Done, R::Error> {
    match act {
        Act::Directory(change) => directory::change(rows, change, touched),
        Act::Spool { content, first_chunk, chunks } => {
            held::spool(rows, *content, *first_chunk, chunks)
        }
        Act::Abandon { content } => held::abandon(rows, *content),
        Act::Append { account, name, messages, quota } => {
            append::append(rows, (*account, name), messages, *quota, touched)
        }
        Act::Flag { mailbox, uids, change } => flag::flag(rows, *mailbox, uids, change, touched),
        Act::Expunge { mailbox, uids } => expunge::expunge(rows, *mailbox, uids, touched),
        Act::Remove { mailbox, uids } => expunge::remove(rows, *mailbox, uids, touched),
        Act::Copy { account, from, uids, to, taking, quota } => {
            let copy = copy::Copy { account: *account, from: *from, uids, to, quota: *quota };
            copy.run(rows, *taking, touched)
        }
        Act::Create { account, name, special_use } => {
            folder::create(rows, *account, name, *special_use)
        }
        Act::Delete { account, name } => folder::delete(rows, *account, name, touched),
        Act::Rename { account, from, to } => folder::rename(rows, *account, from, to),
        Act::Subscribe { account, name, on } => folder::subscribe(rows, *account, name, *on),
        Act::Announce { mailbox, below } => changing::announce(rows, *mailbox, *below),
    }
}

#[cfg(test)]
mod tests;
