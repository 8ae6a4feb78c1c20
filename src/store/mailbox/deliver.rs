//! Mail for local accounts, in the commit that settles its parcel.

use std::collections::{BTreeMap, btree_map::Entry as Slot};

use super::{
    changing::Changing,
    held, key,
    record::{AccountRecord, AddressRecord},
    resolve,
    row::{Fault, Step, read},
};
use crate::{
    mail::{
        Address,
        mailbox::{
            Delivery, Destined, Done, Entry, Flags, Keywords, MailboxId, ModSeq, Refusal, Uid,
        },
    },
    store::{Rows, Table},
};

/// Puts one message into the inboxes of all its recipients, or does nothing and tells why:
/// `Done::Gone` where some have no account any more or no UID left, `Done::Refused` where the
/// content is not whole. Whether an account has room was asked before.
pub fn deliver<R: Rows>(
    rows: &mut R,
    delivery: &Delivery,
    touched: &mut Vec<MailboxId>,
) -> Result<Done, R::Error> {
    match step(rows, delivery, touched) {
        Ok(done) => Ok(done),
        Err(Fault::Rows(error)) => Err(error),
        // It was found before anything was written.
        Err(_) => Ok(Done::Refused(Refusal::Damaged)),
    }
}

fn step<R: Rows>(
    rows: &mut R,
    delivery: &Delivery,
    touched: &mut Vec<MailboxId>,
) -> Step<Done, R::Error> {
    let content = &delivery.content;
    if !held::is_whole(rows, content)? {
        return Err(Fault::Refused(Refusal::Damaged));
    }
    // Two addresses may lead to one inbox.
    let mut inboxes: BTreeMap<MailboxId, (Changing, Vec<&Destined>)> = BTreeMap::new();
    let mut places = Vec::new();
    for (place, destined) in delivery.to.iter().enumerate() {
        let Some(mailbox) = inbox(rows, &destined.address)? else {
            places.push(place);
            continue;
        };
        let (inbox, messages) = match inboxes.entry(mailbox) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(new) => new.insert((Changing::open(rows, mailbox)?, Vec::new())),
        };
        match inbox.takes(messages.len() as u64 + 1) {
            true => messages.push(destined),
            false => places.push(place),
        }
    }
    if !places.is_empty() {
        return Ok(Done::Gone { places });
    }
    for (mut inbox, messages) in inboxes.into_values() {
        for destined in messages {
            inbox.add(rows, entry(delivery, destined))?;
        }
        inbox.close(rows, touched)?;
    }
    held::hold(rows, content, u32::try_from(delivery.to.len()).unwrap_or(u32::MAX))?;
    Ok(Done::Done)
}

/// The inbox behind an address, if there is an account.
fn inbox<R: Rows>(rows: &R, address: &Address) -> Step<Option<MailboxId>, R::Error> {
    let Some((_, AddressRecord::Account { id, .. })) = resolve::nearest(rows, address)? else {
        return Ok(None);
    };
    let account = read::<AccountRecord, R>(rows, Table::Account, &key::account(id))?;
    Ok(account.map(|account| account.inbox))
}

fn entry(delivery: &Delivery, destined: &Destined) -> Entry {
    let mut entry = Entry {
        // The mailbox gives both.
        uid: Uid(0),
        modseq: ModSeq(0),
        flags: Flags::default(),
        keywords: Keywords::default(),
        received: delivery.received,
        size: delivery.content.size,
        content: delivery.content.id,
        delivered_to: destined.address.as_bytes().clone(),
    };
    entry.size = entry.size.saturating_add(entry.delivered_field().len() as u64);
    entry
}
