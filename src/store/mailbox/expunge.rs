//! EXPUNGE, and the deletions of POP3.

use super::{
    changing::Changing,
    marks::{Kind, Reach, marked},
    row::{Step, each},
};
use crate::{
    mail::mailbox::{Done, MailboxId, Uids},
    store::Rows,
};

/// Messages that are `\Deleted` go; of a set, where there is one (RFC 4315 §2.1).
pub fn expunge<R: Rows>(
    rows: &mut R,
    mailbox: MailboxId,
    uids: Option<&Uids>,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    let changing = Changing::open(rows, mailbox)?;
    let [deleted] = marked(rows, changing.standing(), [(Kind::Deleted, Reach::All)], &mut drop)?;
    let going = match uids {
        Some(uids) => deleted.intersection(uids),
        None => deleted,
    };
    go(rows, changing, &going, touched)
}

/// All messages of a set go, whatever their flags.
pub fn remove<R: Rows>(
    rows: &mut R,
    mailbox: MailboxId,
    uids: &Uids,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    let changing = Changing::open(rows, mailbox)?;
    go(rows, changing, uids, touched)
}

fn go<R: Rows>(
    rows: &mut R,
    mut changing: Changing,
    going: &Uids,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    let mut gone = Uids::default();
    each(rows, changing.standing().mailbox, going, |rows, entry| {
        gone.insert(entry.uid);
        changing.expunge(rows, entry)
    })?;
    let modseq = changing.close(rows, touched)?;
    Ok(Done::Expunged { modseq, uids: gone })
}
