//! What is asked of the store about accounts and mailboxes, and what it answers. Nothing changes.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::{
    AccountId, ContentId, Flags, Folder, Keyword, Keywords, MailboxId, MailboxName, ModSeq, Parts,
    Uid, Uids,
};
use crate::{
    mail::{Address, Domain},
    time::Wall,
};

/// One question. An answer is bounded: what is long is asked for in pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// The account with this very address, in the form of `Account::key`; for a login.
    Account { key: Bytes },
    /// Who gets mail for an address of a local domain: account, alias, subaddress, catch-all.
    /// `size`: octets that it will be, as far as that is known.
    Recipient { address: Address, size: u64, domains: Arc<HashSet<Domain>>, quota: u64 },
    /// Names of an account in their order, mailboxes and subscriptions, behind `after`.
    Folders { account: AccountId, after: Option<MailboxName>, standing: bool },
    /// One name.
    Folder { account: AccountId, name: MailboxName },
    /// All that a session needs to select a mailbox.
    Open { account: AccountId, name: MailboxName },
    /// What happened in a mailbox since. `after`: the last UID that was told where a page ended
    /// within one MODSEQ, which then is `since`.
    Changes { mailbox: MailboxId, since: ModSeq, after: Option<Uid> },
    /// Entries in the order of their UIDs, and what else is `want`ed of each. Messages that were
    /// expunged while a session may still not know are found too.
    Messages { mailbox: MailboxId, uids: Uids, want: Want },
    /// UIDs of the messages that bear a mark.
    Marked { mailbox: MailboxId, mark: Mark },
    /// Octets of a message; fewer at its end.
    Content { content: ContentId, offset: u64, octets: usize },
    /// What an account uses.
    Usage { account: AccountId },
    /// Accounts or aliases in the order of their addresses, behind `after`; for the operator.
    Accounts { after: Option<Bytes> },
}

/// The marks that are indexed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    Unseen,
    Deleted,
}

/// What is wanted of each message besides its entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Want {
    pub summary: bool,
    pub content: Content,
}

/// How much of the octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Content {
    #[default]
    None,
    /// The header with its empty line, where it has at most `LISTED_OCTETS`; else nothing.
    Header,
    /// Everything, where it has at most so many octets; else nothing.
    Whole { at_most: usize },
}

/// The answer to an `Ask`, by the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    Account(Option<Box<Account>>),
    Recipient(Resolved),
    /// `more`: there are others behind these.
    Folders {
        folders: Vec<Folder>,
        more: bool,
    },
    /// With its standing.
    Folder(Option<Box<Folder>>),
    /// `None`: there is no such mailbox.
    Open(Option<Box<Opened>>),
    /// `None`: the mailbox has been deleted.
    Changes(Option<Box<Changes>>),
    /// `rest`: ask again for those from this UID on.
    Messages {
        messages: Vec<Listed>,
        rest: Option<Uid>,
    },
    Marked(Uids),
    Content(Bytes),
    /// `octets` of all its messages.
    Usage {
        octets: u64,
        messages: u64,
    },
    Accounts {
        lines: Vec<AddressLine>,
        more: bool,
    },
}

/// A local user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub id: AccountId,
    pub inbox: MailboxId,
    /// The password's hash in the PHC format.
    pub password: Bytes,
    /// Octets; `None`: what the configuration says. 0: no limit.
    pub quota: Option<u64>,
}

/// What the operator's lists show of an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressLine {
    pub key: Bytes,
    /// Empty for an account.
    pub targets: Vec<Bytes>,
    /// Of an account: its quota, octets used, messages.
    pub account: Option<(Option<u64>, u64, u64)>,
}

/// Who gets the mail for a local address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolved {
    Unknown,
    /// The only account behind it has no room left.
    Full,
    /// Accounts' own addresses (a subaddress kept as it was written) and addresses elsewhere, no
    /// address twice.
    To(Vec<Address>),
}

/// A mailbox as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    pub mailbox: MailboxId,
    pub uid_validity: u32,
    pub uid_next: Uid,
    pub highest_modseq: ModSeq,
    pub messages: u32,
    pub unseen: u32,
    pub deleted: u32,
    /// Octets of all its messages.
    pub size: u64,
    /// Messages from this UID on have been announced to no session.
    pub recent_from: Uid,
    /// By their numbers.
    pub keywords: Vec<Keyword>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    pub standing: Standing,
    pub uids: Uids,
    pub first_unseen: Option<Uid>,
}

/// One step from `since` on. Where `more`, ask again from `upto` and `within` on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// The mailbox as it is now.
    pub standing: Standing,
    /// New messages and those whose flags changed, in the order of their UIDs.
    pub changed: Vec<Entry>,
    /// Expunged since; and whatever else was ever there and is not, where it is not known any more
    /// when it went.
    pub gone: Uids,
    /// All up to this one are told; of this one itself, those up to the UID `within`, where there
    /// is one.
    pub upto: ModSeq,
    pub within: Option<Uid>,
    pub more: bool,
}

/// One message in one mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub uid: Uid,
    pub flags: Flags,
    pub keywords: Keywords,
    pub modseq: ModSeq,
    /// INTERNALDATE.
    pub received: Wall,
    /// RFC822.SIZE: octets with the `Delivered-To` field.
    pub size: u64,
    pub content: ContentId,
    /// The address it was delivered to; empty for a message that a client put here. Shown as the
    /// first field of the header.
    pub delivered_to: Bytes,
}

/// What a listing shows of a content, computed once, when it was delivered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// ENVELOPE's value, as it goes over the wire.
    pub envelope: Bytes,
    /// BODYSTRUCTURE's value, as it goes over the wire.
    pub structure: Bytes,
    pub parts: Parts,
}

/// One message of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub entry: Entry,
    /// The summary, where it was wanted.
    pub summary: Option<Summary>,
    /// What was wanted of the content, without the `Delivered-To` field; `None` where it was not
    /// wanted or has too many octets.
    pub content: Option<Bytes>,
}

impl Entry {
    /// `Delivered-To: …` and its CRLF; nothing for a message that a client put here.
    pub fn delivered_field(&self) -> Bytes {
        if self.delivered_to.is_empty() {
            return Bytes::new();
        }
        [b"Delivered-To: ", &*self.delivered_to, b"\r\n"].concat().into()
    }
}

impl Account {
    /// The key for what a client logs in as: an address, or its local part where `domain` says
    /// whose it is. `None`: nobody has such a name.
    pub fn login_key(user: &Bytes, domain: Option<&Domain>) -> Option<Bytes> {
        let whole = match (user.contains(&b'@'), domain) {
            (false, Some(domain)) => {
                [&user[..], b"@", domain.to_string().as_bytes()].concat().into()
            }
            _ => user.clone(),
        };
        Address::parse(whole).ok().as_ref().and_then(Account::key)
    }

    /// The form in which an address is a key: local part in lower case, domain in A-labels.
    /// `None`: it is no address of a domain by name.
    pub fn key(address: &Address) -> Option<Bytes> {
        let domain = address.domain()?;
        let name = domain.name()?;
        let local = address.local_part().trim_matches('"').to_lowercase();
        Some(format!("{local}@{name}").into())
    }
}
