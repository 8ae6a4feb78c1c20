//! The records of accounts, folders, mailboxes, entries and contents as octets on disk.
//!
//! Each begins with the version of its layout and ends with a checksum in which its table and key
//! take part. `docs/STORAGE.md` draws them.

use bytes::Bytes;
use smallvec::SmallVec;

use super::fields::{Fields, put_text};
use crate::{
    limits::KEYWORDS_MAX,
    mail::{
        QueueId,
        mailbox::{
            AccountId, ContentId, Entry, Flags, Keyword, Keywords, MailboxId, ModSeq, Parts,
            SpecialUse, Standing, Summary, Uid,
        },
    },
    store::{
        Table,
        checksum::{Of, verified},
        record::{Record, RecordError, seal},
    },
    time::Wall,
};

/// The layout of all records here; a record of another version is not guessed at.
const VERSION: u8 = 1;

/// What lies in a row, and how.
pub trait Stored: Sized {
    fn encode(&self, record: &mut Record);
    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError>;
}

/// What an address leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AddressRecord {
    Account { id: AccountId, password: Bytes },
    Alias { targets: Vec<Bytes> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountRecord {
    pub inbox: MailboxId,
    pub quota: Option<u64>,
    /// Octets of its messages, and their count.
    pub octets: u64,
    pub messages: u64,
    /// Rows of `Folder`.
    pub folders: u32,
    /// Its address.
    pub key: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FolderRecord {
    pub mailbox: Option<MailboxId>,
    pub subscribed: bool,
    pub special_use: Option<SpecialUse>,
}

/// How a mailbox stands, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailboxRecord {
    pub account: AccountId,
    pub standing: Standing,
    pub forgotten: Forgotten,
}

/// How far it is not known any more when messages went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forgotten {
    /// Up to this row of `Changed` no mark is left of one that has gone.
    pub upto: (ModSeq, Uid),
    /// Messages whose marks were there.
    pub messages: u32,
}

impl Forgotten {
    pub const NOTHING: Self = Self { upto: (ModSeq(0), Uid(0)), messages: 0 };
}

impl MailboxRecord {
    /// Of a mailbox in which nothing was yet.
    pub fn new(account: AccountId, standing: Standing) -> Self {
        Self { account, standing, forgotten: Forgotten::NOTHING }
    }

    /// Messages of which it is known when they went: all UIDs that were given out are of these, of
    /// messages that are there, or forgotten.
    pub fn remembered(&self) -> u32 {
        let Standing { uid_next, messages, .. } = self.standing;
        (uid_next.0 - 1).saturating_sub(messages).saturating_sub(self.forgotten.messages)
    }
}

/// A message that has gone, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GhostRecord {
    pub expunged: ModSeq,
    pub entry: Entry,
}

impl From<GhostRecord> for Entry {
    fn from(ghost: GhostRecord) -> Self {
        ghost.entry
    }
}

/// What is counted of a content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldRecord {
    /// Entries and ghosts that show it.
    pub references: u32,
    pub chunks: u32,
    /// Octets before they were encoded.
    pub size: u64,
    pub header: u32,
}

/// Chunks of a content that were spooled so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArrivingRecord(pub u32);

/// The last id that was given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastId(pub u64);

/// The record as it lies in the row with this key.
pub fn encode<T: Stored>(table: Table, key: &[u8], record: &T) -> Record {
    let mut octets = SmallVec::from_slice(&[VERSION]);
    record.encode(&mut octets);
    seal(octets, Of::Row(table, key))
}

/// Reads the record in the row with this key.
pub fn decode<T: Stored>(table: Table, key: &[u8], value: &[u8]) -> Result<T, RecordError> {
    let octets = verified(Of::Row(table, key), value).ok_or(RecordError::Checksum)?;
    let mut fields = Fields(octets);
    match fields.u8()? {
        VERSION => {}
        other => return Err(RecordError::Version(other)),
    }
    let record = T::decode(&mut fields)?;
    fields.ended()?;
    Ok(record)
}

impl Stored for AddressRecord {
    fn encode(&self, record: &mut Record) {
        match self {
            AddressRecord::Account { id, password } => {
                record.push(0);
                record.extend_from_slice(&id.0.to_le_bytes());
                put_text(record, password);
            }
            AddressRecord::Alias { targets } => {
                record.push(1);
                let count = u16::try_from(targets.len()).unwrap_or(u16::MAX);
                record.extend_from_slice(&count.to_le_bytes());
                targets.iter().take(usize::from(count)).for_each(|text| put_text(record, text));
            }
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        match fields.u8()? {
            0 => Ok(Self::Account { id: AccountId(fields.u64()?), password: fields.text()? }),
            1 => {
                let count = fields.u16()?;
                let targets = (0..count).map(|_| fields.text()).collect::<Result<_, _>>()?;
                Ok(Self::Alias { targets })
            }
            _ => Err(RecordError::Field("kind of address")),
        }
    }
}

impl Stored for AccountRecord {
    fn encode(&self, record: &mut Record) {
        record.extend_from_slice(&self.inbox.0.to_le_bytes());
        record.push(u8::from(self.quota.is_some()));
        record.extend_from_slice(&self.quota.unwrap_or(0).to_le_bytes());
        record.extend_from_slice(&self.octets.to_le_bytes());
        record.extend_from_slice(&self.messages.to_le_bytes());
        record.extend_from_slice(&self.folders.to_le_bytes());
        put_text(record, &self.key);
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        let inbox = MailboxId(fields.u64()?);
        let has_quota = fields.bool("quota")?;
        let quota = fields.u64()?;
        Ok(Self {
            inbox,
            quota: has_quota.then_some(quota),
            octets: fields.u64()?,
            messages: fields.u64()?,
            folders: fields.u32()?,
            key: fields.text()?,
        })
    }
}

impl Stored for FolderRecord {
    fn encode(&self, record: &mut Record) {
        let mailbox = self.mailbox.map_or(0, |id| id.0);
        record.extend_from_slice(&mailbox.to_le_bytes());
        record.push(u8::from(self.subscribed));
        record.push(self.special_use.map_or(0, |special_use| special_use as u8 + 1));
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        let mailbox = Some(MailboxId(fields.u64()?)).filter(|id| id.0 != 0);
        let subscribed = fields.bool("subscription")?;
        let special_use = match fields.u8()?.checked_sub(1) {
            None => None,
            Some(number) => {
                let known = SpecialUse::ALL.get(usize::from(number));
                Some(known.ok_or(RecordError::Field("special use"))?.0)
            }
        };
        Ok(Self { mailbox, subscribed, special_use })
    }
}

impl Stored for MailboxRecord {
    fn encode(&self, record: &mut Record) {
        let standing = &self.standing;
        record.extend_from_slice(&standing.mailbox.0.to_le_bytes());
        record.extend_from_slice(&self.account.0.to_le_bytes());
        record.extend_from_slice(&standing.uid_validity.to_le_bytes());
        record.extend_from_slice(&standing.uid_next.0.to_le_bytes());
        record.extend_from_slice(&standing.highest_modseq.0.to_le_bytes());
        record.extend_from_slice(&standing.messages.to_le_bytes());
        record.extend_from_slice(&standing.unseen.to_le_bytes());
        record.extend_from_slice(&standing.deleted.to_le_bytes());
        record.extend_from_slice(&standing.size.to_le_bytes());
        record.extend_from_slice(&standing.recent_from.0.to_le_bytes());
        record.push(standing.keywords.len() as u8);
        standing.keywords.iter().for_each(|keyword| put_text(record, keyword.as_bytes()));
        let Forgotten { upto: (modseq, uid), messages } = self.forgotten;
        record.extend_from_slice(&modseq.0.to_le_bytes());
        record.extend_from_slice(&uid.0.to_le_bytes());
        record.extend_from_slice(&messages.to_le_bytes());
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        let mailbox = MailboxId(fields.u64()?);
        let account = AccountId(fields.u64()?);
        let mut standing = Standing {
            mailbox,
            uid_validity: fields.u32()?,
            uid_next: Uid(fields.u32()?),
            highest_modseq: ModSeq(fields.u64()?),
            messages: fields.u32()?,
            unseen: fields.u32()?,
            deleted: fields.u32()?,
            size: fields.u64()?,
            recent_from: Uid(fields.u32()?),
            keywords: Vec::new(),
        };
        let count = usize::from(fields.u8()?);
        if count > KEYWORDS_MAX || standing.uid_next.0 == 0 {
            return Err(RecordError::Field("count of keywords"));
        }
        for _ in 0..count {
            let keyword = Keyword::parse(fields.text()?);
            standing.keywords.push(keyword.map_err(|_| RecordError::Field("keyword"))?);
        }
        let mut forgotten = Forgotten::NOTHING;
        // What format 2 wrote ends here: it forgot nothing.
        if fields.ended().is_err() {
            forgotten.upto = (ModSeq(fields.u64()?), Uid(fields.u32()?));
            forgotten.messages = fields.u32()?;
        }
        Ok(Self { account, standing, forgotten })
    }
}

impl Stored for Entry {
    fn encode(&self, record: &mut Record) {
        record.extend_from_slice(&self.uid.0.to_le_bytes());
        record.push(self.flags.bits());
        record.extend_from_slice(&self.keywords.0.to_le_bytes());
        record.extend_from_slice(&self.modseq.0.to_le_bytes());
        record.extend_from_slice(&self.received.as_millis().to_le_bytes());
        record.extend_from_slice(&self.size.to_le_bytes());
        record.extend_from_slice(&self.content.as_u64().to_le_bytes());
        put_text(record, &self.delivered_to);
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            uid: Uid(fields.u32()?),
            flags: Flags::from_bits(fields.u8()?).ok_or(RecordError::Field("flags"))?,
            keywords: Keywords(fields.u64()?),
            modseq: ModSeq(fields.u64()?),
            received: Wall::from_millis(fields.u64()?),
            size: fields.u64()?,
            content: content_id(fields)?,
            delivered_to: fields.text()?,
        })
    }
}

impl Stored for GhostRecord {
    fn encode(&self, record: &mut Record) {
        record.extend_from_slice(&self.expunged.0.to_le_bytes());
        self.entry.encode(record);
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        Ok(Self { expunged: ModSeq(fields.u64()?), entry: Entry::decode(fields)? })
    }
}

impl Stored for HeldRecord {
    fn encode(&self, record: &mut Record) {
        record.extend_from_slice(&self.references.to_le_bytes());
        record.extend_from_slice(&self.chunks.to_le_bytes());
        record.extend_from_slice(&self.size.to_le_bytes());
        record.extend_from_slice(&self.header.to_le_bytes());
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            references: fields.u32()?,
            chunks: fields.u32()?,
            size: fields.u64()?,
            header: fields.u32()?,
        })
    }
}

impl Stored for Summary {
    fn encode(&self, record: &mut Record) {
        for text in [&self.envelope, &self.structure, self.parts.as_bytes()] {
            // A summary is bounded by the parts and octets of headers that are looked at.
            record.extend_from_slice(&(text.len() as u32).to_le_bytes());
            record.extend_from_slice(text);
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            envelope: fields.long_text()?,
            structure: fields.long_text()?,
            parts: Parts::from_bytes(fields.long_text()?).ok_or(RecordError::Field("parts"))?,
        })
    }
}

impl Stored for ArrivingRecord {
    fn encode(&self, record: &mut Record) {
        record.extend_from_slice(&self.0.to_le_bytes());
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        fields.u32().map(Self)
    }
}

impl Stored for LastId {
    fn encode(&self, record: &mut Record) {
        record.extend_from_slice(&self.0.to_le_bytes());
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        fields.u64().map(Self)
    }
}

/// That a message has gone: what lies in a row of `Changed` that is not empty.
impl Stored for () {
    fn encode(&self, _: &mut Record) {}

    fn decode(_: &mut Fields<'_>) -> Result<Self, RecordError> {
        Ok(())
    }
}

fn content_id(fields: &mut Fields<'_>) -> Result<ContentId, RecordError> {
    fields.u64().map(QueueId::from_u64)
}
