//! Mailboxes: the vocabulary that delivery, IMAP, POP3 and the store share.
//!
//! An *account* is a local user with folders; a *mailbox* is what a folder's messages lie in and
//! keeps its id when the folder is renamed. A *content* is a message's octets, once on disk
//! however many mailboxes have it; an *entry* is one message in one mailbox: its UID, flags,
//! MODSEQ and the content it shows.
//!
//! What changes a mailbox is an [`Act`], answered by a [`Done`] when it is on stable storage; what
//! only looks is an [`Ask`], answered by a [`Found`].

mod act;
mod ask;
mod flags;
mod folder;
mod pages;
mod parts;
mod trouble;
mod uids;
mod verdict;

pub use act::{
    Act, Delivery, Destined, Directory, Done, FlagChange, How, NewContent, NewMessage, Refusal,
};
pub use ask::{
    Account, AddressLine, Ask, Changes, Content, Entry, Found, Listed, Mark, Opened, Resolved,
    Standing, Summary, Want,
};
pub use flags::{Flags, Keyword, KeywordError, Keywords};
pub use folder::{Folder, MailboxName, NameError, SpecialUse};
pub use pages::Pages;
pub use parts::{Encoding, Part, PartKind, Parts, PartsIter};
pub use trouble::StoreTrouble;
pub use uids::Uids;
pub use verdict::Verdict;

use super::QueueId;

/// An account, for as long as the store lives; never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountId(pub u64);

/// A mailbox, for as long as the store lives; never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MailboxId(pub u64);

/// A message's octets on disk. Delivered mail keeps the queue id it came with; what is appended
/// takes one of the same kind.
pub type ContentId = QueueId;

/// A message's number in its mailbox: rises, is never used again (RFC 3501 §2.3.1.1). Not 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Uid(pub u32);

/// A change's number in its mailbox: every change has a higher one than those before it
/// (RFC 7162 §3.1). At most 63 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ModSeq(pub u64);
