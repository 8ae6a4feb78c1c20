//! What is found in answer to an `Ask`, in one snapshot.

mod changes;
mod messages;
mod names;

use bytes::Bytes;

use super::{
    directory::account,
    held, key,
    marks::{Kind, Reach, marked},
    record::{AccountRecord, MailboxRecord},
    resolve::resolve,
    row::{Fault, Step, damage, read},
    tree,
};
use crate::{
    mail::mailbox::{
        Account, AccountId, Ask, ContentId, Found, MailboxId, MailboxName, Opened, Standing, Uids,
    },
    store::{Reads, Table, content::Unpress, record::RecordError},
};

/// Answers one question; `None` where what it needs is damaged. What is damaged is told to `warn`
/// and does not keep the rest from being read.
pub fn ask<R: Reads>(
    ask: &Ask,
    reads: &R,
    unpress: &mut Unpress,
    warn: &mut dyn FnMut(String),
) -> Result<Option<Found>, R::Error> {
    match find(ask, reads, unpress, warn) {
        Ok(found) => Ok(Some(found)),
        Err(Fault::Rows(error)) => Err(error),
        Err(Fault::Damaged(sentence)) => {
            warn(sentence);
            Ok(None)
        }
        Err(Fault::Refused(refusal)) => {
            warn(format!("a question to the store had no answer: {refusal}"));
            Ok(None)
        }
    }
}

fn find<R: Reads>(
    ask: &Ask,
    reads: &R,
    unpress: &mut Unpress,
    warn: &mut dyn FnMut(String),
) -> Step<Found, R::Error> {
    Ok(match ask {
        Ask::Account { key } => Found::Account(login(reads, key)?.map(Box::new)),
        Ask::Recipient { address, size, domains, quota } => {
            Found::Recipient(resolve(reads, address, domains, (*quota, *size), warn)?)
        }
        Ask::Folders { account, after, standing } => {
            names::folders(reads, *account, after.as_ref(), *standing, warn)?
        }
        Ask::Folder { account, name } => {
            Found::Folder(names::folder(reads, *account, name, warn)?.map(Box::new))
        }
        Ask::Open { account, name } => {
            Found::Open(open(reads, *account, name, warn)?.map(Box::new))
        }
        Ask::Changes { mailbox, since, after } => {
            Found::Changes(changes::changes(reads, *mailbox, (*since, *after), warn)?.map(Box::new))
        }
        Ask::Messages { mailbox, uids, want } => {
            messages::messages(reads, *mailbox, uids, *want, unpress, warn)?
        }
        Ask::Marked { mailbox, mark } => Found::Marked(match standing(reads, *mailbox)? {
            Some(standing) => {
                let [uids] = marked(reads, &standing, [(Kind::from(*mark), Reach::All)], warn)?;
                uids
            }
            None => Uids::default(),
        }),
        Ask::Content { content, offset, octets } => {
            Found::Content(part(reads, *content, (*offset, *octets), unpress)?)
        }
        Ask::Usage { account } => {
            let record = usage(reads, *account)?;
            let (octets, messages) = record.map_or((0, 0), |one| (one.octets, one.messages));
            Found::Usage { octets, messages }
        }
        Ask::Accounts { after } => names::accounts(reads, after.as_deref(), warn)?,
    })
}

fn record<R: Reads>(reads: &R, mailbox: MailboxId) -> Step<Option<MailboxRecord>, R::Error> {
    read(reads, Table::Mailbox, &key::mailbox(mailbox))
}

/// How a mailbox stands.
fn standing<R: Reads>(reads: &R, mailbox: MailboxId) -> Step<Option<Standing>, R::Error> {
    Ok(record(reads, mailbox)?.map(|record| record.standing))
}

fn usage<R: Reads>(reads: &R, account: AccountId) -> Step<Option<AccountRecord>, R::Error> {
    read(reads, Table::Account, &key::account(account))
}

fn login<R: Reads>(reads: &R, key: &[u8]) -> Step<Option<Account>, R::Error> {
    let Some((id, password)) = account(reads, key)? else { return Ok(None) };
    let record = usage(reads, id)?;
    Ok(record.map(|record| Account { id, inbox: record.inbox, password, quota: record.quota }))
}

fn open<R: Reads>(
    reads: &R,
    account: AccountId,
    name: &MailboxName,
    warn: &mut dyn FnMut(String),
) -> Step<Option<Opened>, R::Error> {
    let Some(mailbox) = tree::mailbox(reads, account, name)? else { return Ok(None) };
    let Some(standing) = standing(reads, mailbox)? else {
        return Err(missing(Table::Mailbox, &key::mailbox(mailbox)));
    };
    let kinds = [(Kind::Present, Reach::All), (Kind::Unseen, Reach::First)];
    let [uids, unseen] = marked(reads, &standing, kinds, warn)?;
    Ok(Some(Opened { standing, uids, first_unseen: unseen.first() }))
}

fn part<R: Reads>(
    reads: &R,
    content: ContentId,
    range: (u64, usize),
    unpress: &mut Unpress,
) -> Step<Bytes, R::Error> {
    match held::held(reads, content)? {
        Some(held) => held::part(reads, content, &held, range, unpress),
        None => Err(missing(Table::Held, &key::content(content))),
    }
}

fn missing<E>(table: Table, key: &[u8]) -> Fault<E> {
    Fault::Damaged(damage(table, key, RecordError::Short))
}
