//! The keys of the tables of mailboxes, big-endian like all keys.

use smallvec::SmallVec;

use crate::{
    limits::{ADDRESS_KEY_MAX, MAILBOX_NAME_MAX, MARKS_UIDS},
    mail::{
        QueueId,
        mailbox::{AccountId, ContentId, MailboxId, MailboxName, ModSeq, Uid},
    },
};

/// In `Meta`: the last account or mailbox id that was given out, 8 octets and their checksum.
pub const META_LAST_ID: &[u8] = b"last id";

/// A key that holds a name.
pub type Named = SmallVec<[u8; 8 + MAILBOX_NAME_MAX + 1]>;

/// An address that can be a key at all.
pub fn is_address(key: &[u8]) -> bool {
    (1..=ADDRESS_KEY_MAX).contains(&key.len())
}

pub fn account(id: AccountId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// Of `Mailbox` and `Doomed`; the prefix of all other rows of a mailbox.
pub fn mailbox(id: MailboxId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// Of `Held`, `Summary` and `Arriving`; the prefix of `Content`.
pub fn content(id: ContentId) -> [u8; 8] {
    id.as_u64().to_be_bytes()
}

pub fn folder(account: AccountId, name: &MailboxName) -> Named {
    let mut key = Named::from_slice(&account.0.to_be_bytes());
    key.extend_from_slice(name.as_str().as_bytes());
    key
}

/// The first key of `Folder` that can be of a name below `name`: all of them start with it.
pub fn below(account: AccountId, name: &MailboxName) -> Named {
    let mut key = folder(account, name);
    key.push(b'/');
    key
}

/// The key of the table that follows `key` in the order of octets.
pub fn after(key: &[u8]) -> Named {
    let mut after = Named::from_slice(key);
    after.push(0);
    after
}

/// Of `Entry` and `Ghost`.
pub fn message(mailbox: MailboxId, uid: Uid) -> [u8; 12] {
    numbered(mailbox, uid.0)
}

/// Of `Marks`: the row in which a UID is marked.
pub fn marks(mailbox: MailboxId, uid: Uid) -> [u8; 12] {
    numbered(mailbox, uid.0 / MARKS_UIDS)
}

/// Of `Changed` and `Parting`.
pub fn change(mailbox: MailboxId, modseq: ModSeq, uid: Uid) -> [u8; 20] {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&mailbox.0.to_be_bytes());
    key[8..16].copy_from_slice(&modseq.0.to_be_bytes());
    key[16..].copy_from_slice(&uid.0.to_be_bytes());
    key
}

/// Of `Content`.
pub fn chunk_row(content: ContentId, chunk: u32, row: u16) -> [u8; 14] {
    let mut key = [0; 14];
    key[..8].copy_from_slice(&content.as_u64().to_be_bytes());
    key[8..12].copy_from_slice(&chunk.to_be_bytes());
    key[12..].copy_from_slice(&row.to_be_bytes());
    key
}

/// Reads a key of `Mailbox` or `Doomed`, or the mailbox that another key begins with.
pub fn read_mailbox(key: &[u8]) -> Option<MailboxId> {
    Some(MailboxId(u64::from_be_bytes(*key.first_chunk()?)))
}

/// Reads a key of `Entry` or `Ghost`; of `Marks`, the number of the row stands for the UID.
pub fn read_message(key: &[u8]) -> Option<(MailboxId, Uid)> {
    let key: &[u8; 12] = key.try_into().ok()?;
    Some((read_mailbox(key)?, Uid(u32::from_be_bytes(*key.last_chunk()?))))
}

/// Reads a key of `Changed` or `Parting`.
pub fn read_change(key: &[u8]) -> Option<(MailboxId, ModSeq, Uid)> {
    let key: &[u8; 20] = key.try_into().ok()?;
    let modseq = ModSeq(u64::from_be_bytes(*key[8..].first_chunk()?));
    Some((read_mailbox(key)?, modseq, Uid(u32::from_be_bytes(*key.last_chunk()?))))
}

/// Reads the name in a key of `Folder`.
pub fn read_folder(key: &[u8]) -> Option<(AccountId, MailboxName)> {
    let (account, name) = key.split_first_chunk()?;
    let name = MailboxName::parse(std::str::from_utf8(name).ok()?).ok()?;
    Some((AccountId(u64::from_be_bytes(*account)), name))
}

/// Reads a key of `Content`.
pub fn read_chunk_row(key: &[u8]) -> Option<(ContentId, u32, u16)> {
    let key: &[u8; 14] = key.try_into().ok()?;
    let id = QueueId::from_u64(u64::from_be_bytes(*key.first_chunk()?));
    let chunk = u32::from_be_bytes(*key[8..].first_chunk()?);
    Some((id, chunk, u16::from_be_bytes(*key.last_chunk()?)))
}

fn numbered(mailbox: MailboxId, number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&mailbox.0.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}
