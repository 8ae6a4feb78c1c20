//! APPEND: messages that a client puts into a mailbox.

use super::{
    changing::Changing,
    held, key,
    record::AccountRecord,
    row::{Fault, Step, read},
    tree,
};
use crate::{
    mail::mailbox::{
        AccountId, Done, Entry, Keywords, MailboxId, MailboxName, ModSeq, NewMessage, Refusal, Uid,
    },
    store::{Rows, Table},
};

/// All messages, or none of them (RFC 3502).
pub fn append<R: Rows>(
    rows: &mut R,
    (account, name): (AccountId, &MailboxName),
    messages: &[NewMessage],
    quota: u64,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    let mailbox = tree::mailbox(rows, account, name)?;
    let mailbox = mailbox.ok_or(Fault::Refused(Refusal::NoMailbox))?;
    let mut changing = Changing::open(rows, mailbox)?;
    let octets = messages.iter().fold(0, |sum, one| one.content.size.saturating_add(sum));
    if over_quota(rows, account, quota, octets)? {
        return Err(Fault::Refused(Refusal::OverQuota));
    }
    if !changing.takes(messages.len() as u64) {
        return Err(Fault::Refused(Refusal::Uids));
    }
    let mut keywords = Vec::with_capacity(messages.len());
    for message in messages {
        let (bits, all) = changing.keywords(&message.keywords, true);
        if !all {
            return Err(Fault::Refused(Refusal::Keywords));
        }
        if !held::is_whole(rows, &message.content)? {
            return Err(Fault::Refused(Refusal::Damaged));
        }
        keywords.push(bits);
    }
    let uid_validity = changing.standing().uid_validity;
    let mut uids = Vec::with_capacity(messages.len());
    for (message, keywords) in messages.iter().zip(keywords) {
        held::hold(rows, &message.content, 1)?;
        uids.push(changing.add(rows, entry(message, keywords))?);
    }
    changing.close(rows, touched)?;
    Ok(Done::Appended { uid_validity, uids })
}

/// Whether an account cannot take so many octets more. `quota` holds where it has none of its own.
pub fn over_quota<R: Rows>(
    rows: &R,
    account: AccountId,
    quota: u64,
    octets: u64,
) -> Step<bool, R::Error> {
    let record = read::<AccountRecord, R>(rows, Table::Account, &key::account(account))?;
    let record = record.ok_or(Fault::Refused(Refusal::NoMailbox))?;
    let limit = record.quota.unwrap_or(quota);
    Ok(limit > 0 && record.octets.saturating_add(octets) > limit)
}

fn entry(message: &NewMessage, keywords: Keywords) -> Entry {
    Entry {
        // The mailbox gives both.
        uid: Uid(0),
        modseq: ModSeq(0),
        flags: message.flags,
        keywords,
        received: message.received,
        size: message.content.size,
        content: message.content.id,
        delivered_to: Default::default(),
    }
}
