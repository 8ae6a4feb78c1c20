//! CREATE, DELETE, RENAME and SUBSCRIBE: the names of an account.

use super::{
    record::FolderRecord,
    row::{Fault, Step},
    tree::{Tree, doom, make_mailbox},
};
use crate::{
    mail::mailbox::{AccountId, Done, MailboxId, MailboxName, Refusal, SpecialUse},
    store::Rows,
};

/// RFC 3501 §6.3.3: the levels above a new name are made too.
pub fn create<R: Rows>(
    rows: &mut R,
    account: AccountId,
    name: &MailboxName,
    special_use: Option<SpecialUse>,
) -> Step<Done, R::Error> {
    let mut tree = Tree::of(rows, account)?;
    if name.is_inbox() {
        return Err(Fault::Refused(Refusal::Inbox));
    }
    let was = tree.folder(name)?.unwrap_or_default();
    if was.mailbox.is_some() {
        return Err(Fault::Refused(Refusal::Exists));
    }
    let missing = tree.missing_above(name)?;
    tree.takes(missing.len() + 1)?;
    make_all(&mut tree, &missing)?;
    tree.make(name, FolderRecord { special_use, ..was })?;
    tree.close()?;
    Ok(Done::Done)
}

/// RFC 3501 §6.3.4: a name with others below it stays without its mailbox, and cannot be deleted
/// again while they are there. A subscription stays (§6.3.6).
pub fn delete<R: Rows>(
    rows: &mut R,
    account: AccountId,
    name: &MailboxName,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    let mut tree = Tree::of(rows, account)?;
    if name.is_inbox() {
        return Err(Fault::Refused(Refusal::Inbox));
    }
    let record = tree.folder(name)?.ok_or(Fault::Refused(Refusal::NoMailbox))?;
    let Some(mailbox) = record.mailbox else {
        let parent = tree.below(name)?.iter().any(|(_, below)| below.mailbox.is_some());
        let refusal = if parent { Refusal::HasChildren } else { Refusal::NoMailbox };
        return Err(Fault::Refused(refusal));
    };
    let (octets, messages) = doom(tree.rows, mailbox)?;
    touched.push(mailbox);
    tree.account.octets = tree.account.octets.saturating_sub(octets);
    tree.account.messages = tree.account.messages.saturating_sub(messages);
    tree.put(name, FolderRecord { mailbox: None, special_use: None, ..record })?;
    tree.prune(name.clone())?;
    tree.close()?;
    Ok(Done::Done)
}

/// All names below move with it.
pub fn rename<R: Rows>(
    rows: &mut R,
    account: AccountId,
    from: &MailboxName,
    to: &MailboxName,
) -> Step<Done, R::Error> {
    let mut tree = Tree::of(rows, account)?;
    if to.is_inbox() {
        return Err(Fault::Refused(Refusal::Inbox));
    }
    let record = tree.folder(from)?.ok_or(Fault::Refused(Refusal::NoMailbox))?;
    if from.is_inbox() {
        return rename_inbox(tree, record, to);
    }
    let mut moving = tree.below(from)?;
    let is_there = record.mailbox.is_some() || moving.iter().any(|(_, one)| one.mailbox.is_some());
    if !is_there {
        return Err(Fault::Refused(Refusal::NoMailbox));
    }
    if to == from {
        return Err(Fault::Refused(Refusal::Exists));
    }
    if to.is_below(from) {
        return Err(Fault::Refused(Refusal::Name));
    }
    moving.insert(0, (from.clone(), record));
    let mut moved = Vec::with_capacity(moving.len());
    for (name, record) in &moving {
        let new = name.moved(from, to).ok_or(Fault::Refused(Refusal::Name))?;
        // A name that moves away itself is in nobody's way.
        let free = new == *from || new.is_below(from);
        let there = if free { None } else { tree.folder(&new)? }.unwrap_or_default();
        if there.mailbox.is_some() {
            return Err(Fault::Refused(Refusal::Exists));
        }
        let subscribed = record.subscribed || there.subscribed;
        moved.push((new, FolderRecord { subscribed, ..*record }));
    }
    let missing = tree.missing_above(to)?;
    tree.takes(missing.len())?;
    make_all(&mut tree, &missing)?;
    for (name, _) in &moving {
        tree.remove(name)?;
    }
    for (name, record) in &moved {
        tree.put(name, *record)?;
    }
    if let Some(above) = from.parent() {
        tree.prune(above)?;
    }
    tree.close()?;
    Ok(Done::Done)
}

/// A name that is no mailbox can be subscribed to (RFC 3501 §6.3.6).
pub fn subscribe<R: Rows>(
    rows: &mut R,
    account: AccountId,
    name: &MailboxName,
    on: bool,
) -> Step<Done, R::Error> {
    let mut tree = Tree::of(rows, account)?;
    let was = tree.folder(name)?;
    if was.unwrap_or_default().subscribed == on {
        return Ok(Done::Done);
    }
    tree.takes(usize::from(was.is_none()))?;
    tree.put(name, FolderRecord { subscribed: on, ..was.unwrap_or_default() })?;
    if !on {
        tree.prune(name.clone())?;
    }
    tree.close()?;
    Ok(Done::Done)
}

/// RFC 3501 §6.3.5: INBOX's messages move to the new name, what is below it stays. The mailbox
/// itself goes there, and INBOX gets a new one: no message is touched.
fn rename_inbox<R: Rows>(
    mut tree: Tree<'_, R>,
    inbox: FolderRecord,
    to: &MailboxName,
) -> Step<Done, R::Error> {
    let there = tree.folder(to)?.unwrap_or_default();
    if there.mailbox.is_some() {
        return Err(Fault::Refused(Refusal::Exists));
    }
    let missing = tree.missing_above(to)?;
    tree.takes(missing.len() + 1)?;
    let new = make_mailbox(tree.rows, tree.id)?;
    make_all(&mut tree, &missing)?;
    tree.put(to, FolderRecord { mailbox: inbox.mailbox, ..there })?;
    tree.put(&MailboxName::inbox(), FolderRecord { mailbox: Some(new), ..inbox })?;
    tree.account.inbox = new;
    tree.close()?;
    Ok(Done::Done)
}

fn make_all<R: Rows>(tree: &mut Tree<'_, R>, missing: &[MailboxName]) -> Step<(), R::Error> {
    for level in missing {
        let was = tree.folder(level)?.unwrap_or_default();
        tree.make(level, was)?;
    }
    Ok(())
}
