//! STORE: flags and keywords of messages.

use super::{
    changing::Changing,
    row::{Fault, Step, each},
};
use crate::{
    mail::mailbox::{Done, Entry, FlagChange, Flags, How, Keywords, MailboxId, Refusal, Uids},
    store::Rows,
};

/// Changes the flags of those messages of a set that are there.
pub fn flag<R: Rows>(
    rows: &mut R,
    mailbox: MailboxId,
    uids: &Uids,
    change: &FlagChange,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    let mut changing = Changing::open(rows, mailbox)?;
    let making = change.how != How::Remove;
    let (keywords, all) = changing.keywords(&change.keywords, making);
    if making && !all {
        return Err(Fault::Refused(Refusal::Keywords));
    }
    let mut refused = Uids::default();
    each(rows, mailbox, uids, |rows, entry| {
        // RFC 7162 §3.1.3: what changed behind the client's back is left alone and named.
        if change.unchanged_since.is_some_and(|since| entry.modseq > since) {
            refused.insert(entry.uid);
            return Ok(());
        }
        let (flags, keywords) = changed(&entry, change.how, change.flags, keywords);
        // RFC 7162 §3.1: what stays as it is takes no new MODSEQ.
        if (flags, keywords) == (entry.flags, entry.keywords) {
            return Ok(());
        }
        changing.reflag(rows, entry, flags, keywords)
    })?;
    let modseq = changing.close(rows, touched)?;
    Ok(Done::Flagged { modseq, refused })
}

fn changed(entry: &Entry, how: How, flags: Flags, keywords: Keywords) -> (Flags, Keywords) {
    match how {
        How::Replace => (flags, keywords),
        How::Add => (entry.flags.with(flags), Keywords(entry.keywords.0 | keywords.0)),
        How::Remove => (entry.flags.without(flags), Keywords(entry.keywords.0 & !keywords.0)),
    }
}
