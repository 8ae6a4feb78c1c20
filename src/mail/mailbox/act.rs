//! What changes accounts and mailboxes, and what came of it once it is on stable storage.

use bytes::Bytes;

use super::{
    AccountId, ContentId, Flags, Keyword, MailboxId, MailboxName, ModSeq, SpecialUse, Summary, Uid,
    Uids,
};
use crate::{mail::Address, time::Wall};

/// One atomic step. `quota` is what holds for an account that has none of its own, in octets; 0
/// is no limit.
#[derive(Clone, Debug)]
pub enum Act {
    Directory(Directory),
    /// Part of a long content, ahead of the `Append` or delivery that uses it.
    Spool {
        content: ContentId,
        first_chunk: u32,
        chunks: Vec<Bytes>,
    },
    /// Forget what was spooled.
    Abandon {
        content: ContentId,
    },
    /// All messages, or none of them (RFC 3502).
    Append {
        account: AccountId,
        name: MailboxName,
        messages: Vec<NewMessage>,
        quota: u64,
    },
    Flag {
        mailbox: MailboxId,
        uids: Uids,
        change: FlagChange,
    },
    /// Those of the messages that are `\Deleted`.
    Expunge {
        mailbox: MailboxId,
        uids: Uids,
    },
    /// Messages whatever their flags: POP3's deletions.
    Remove {
        mailbox: MailboxId,
        uids: Uids,
    },
    /// `taking`: they leave where they were (MOVE).
    Copy {
        account: AccountId,
        from: MailboxId,
        uids: Uids,
        to: MailboxName,
        taking: bool,
        quota: u64,
    },
    /// With the levels above it that are missing.
    Create {
        account: AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    },
    Delete {
        account: AccountId,
        name: MailboxName,
    },
    /// With all below it; INBOX only loses its messages to the new name (RFC 3501 §6.3.5).
    Rename {
        account: AccountId,
        from: MailboxName,
        to: MailboxName,
    },
    Subscribe {
        account: AccountId,
        name: MailboxName,
        on: bool,
    },
    /// A session has told all below `below` as `\Recent`.
    Announce {
        mailbox: MailboxId,
        below: Uid,
    },
}

/// Accounts and aliases. Keys are as `Account::key` makes them; a catch-all is `@domain`.
#[derive(Clone, Debug)]
pub enum Directory {
    AddAccount {
        key: Bytes,
        password: Bytes,
        quota: Option<u64>,
    },
    SetPassword {
        key: Bytes,
        password: Bytes,
    },
    SetQuota {
        key: Bytes,
        quota: Option<u64>,
    },
    /// With all its mail, which goes in steps.
    RemoveAccount {
        key: Bytes,
    },
    AddAlias {
        key: Bytes,
        targets: Vec<Bytes>,
    },
    RemoveAlias {
        key: Bytes,
    },
}

/// A content that comes into the store.
#[derive(Clone, Debug)]
pub struct NewContent {
    pub id: ContentId,
    /// Octets as they were before they were encoded.
    pub size: u64,
    /// Octets of the header with its empty line.
    pub header: u32,
    /// In order and encoded, less those already spooled.
    pub chunks: Vec<Bytes>,
    pub spooled_chunks: u32,
    pub summary: Summary,
}

/// A message that a client puts into a mailbox.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub content: NewContent,
    pub flags: Flags,
    pub keywords: Vec<Keyword>,
    pub received: Wall,
}

/// Mail that goes to local accounts with the settlement of its parcel.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub content: NewContent,
    pub received: Wall,
    pub to: Vec<Destined>,
}

/// One recipient of a delivery.
#[derive(Clone, Debug)]
pub struct Destined {
    /// The recipient as the envelope has it; its account is found by it in the transaction.
    pub address: Address,
}

/// What STORE changes.
#[derive(Clone, Debug)]
pub struct FlagChange {
    pub how: How,
    pub flags: Flags,
    pub keywords: Vec<Keyword>,
    /// RFC 7162 §3.1.3: messages that changed since are left alone.
    pub unchanged_since: Option<ModSeq>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Replace,
    Add,
    Remove,
}

/// What came of an `Act`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Done {
    /// There is nothing more to say.
    Done,
    /// UIDs in the order of the messages.
    Appended {
        uid_validity: u32,
        uids: Vec<Uid>,
    },
    /// `refused`: those that had changed. `modseq`: of this change, where anything changed.
    Flagged {
        modseq: Option<ModSeq>,
        refused: Uids,
    },
    Expunged {
        modseq: Option<ModSeq>,
        uids: Uids,
    },
    /// The same count of UIDs in both, in the same order; those that were gone are in neither.
    Copied {
        uid_validity: u32,
        from: Vec<Uid>,
        to: Vec<Uid>,
    },
    /// Nothing was changed.
    Refused(Refusal),
    /// Nothing of a settlement was done: recipients in these places of its delivery's `to` have
    /// no account any more.
    Gone {
        places: Vec<usize>,
    },
}

/// Why an act was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such mailbox")]
    NoMailbox,
    #[error("that name exists already")]
    Exists,
    #[error("INBOX can be neither made nor deleted, nor be the new name of another")]
    Inbox,
    #[error("the mailbox has others below it and no messages of its own")]
    HasChildren,
    #[error("the account has no room for it; delete some mail or ask for a larger quota")]
    OverQuota,
    #[error("the mailbox has as many keywords as it can have; use one of those")]
    Keywords,
    #[error("the account has as many mailboxes as it can have; delete one first")]
    Mailboxes,
    #[error("the new name would be too long or too deep, or lie below the old one")]
    Name,
    #[error("the mailbox has used up its UIDs; copy its messages to a new one")]
    Uids,
    #[error("there is no such account or alias")]
    NoAddress,
    #[error("one of its messages is damaged on disk and cannot be copied")]
    Damaged,
}
