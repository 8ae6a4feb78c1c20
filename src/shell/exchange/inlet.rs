//! Where imported messages go: into the store, in batches.

use std::mem;

use super::ExchangeError;
use crate::{
    limits::{IMPORT_TOGETHER, SPOOL_THRESHOLD},
    mail::{
        QueueIds,
        exchange::Marks,
        mailbox::{AccountId, Act, ContentId, Done, MailboxName, NewMessage, Refusal},
    },
    shell::{clock, lmdb},
    store::content::{Builder, Press},
};

/// What takes messages one after the other.
pub trait Inlet {
    /// Those that follow go into this mailbox, which is made where it is missing.
    fn folder(&mut self, name: &MailboxName) -> Result<(), ExchangeError>;

    /// Octets of a message, in pieces of any length.
    fn octets(&mut self, octets: &[u8]) -> Result<(), ExchangeError>;

    /// The message has ended.
    fn end(&mut self, marks: Marks) -> Result<(), ExchangeError>;

    /// There are no more. When this returns, all of them are on stable storage.
    fn finish(&mut self) -> Result<(), ExchangeError>;
}

/// Puts messages into the store of this process.
pub struct Importer<'a> {
    store: &'a lmdb::Handle,
    account: AccountId,
    quota: u64,
    ids: &'a mut QueueIds,
    press: Press,
    folder: MailboxName,
    message: Option<Builder>,
    /// The contents that are spooled in part and not used yet.
    spooled: Vec<ContentId>,
    batch: Vec<NewMessage>,
    octets: usize,
}

impl<'a> Importer<'a> {
    /// `quota` is that of accounts that have none of their own.
    pub fn new(
        store: &'a lmdb::Handle,
        (account, quota): (AccountId, u64),
        ids: &'a mut QueueIds,
    ) -> Self {
        Self {
            store,
            account,
            quota,
            ids,
            press: Press::default(),
            folder: MailboxName::inbox(),
            message: None,
            spooled: Vec::new(),
            batch: Vec::new(),
            octets: 0,
        }
    }

    fn message(&mut self) -> Builder {
        let message = self.message.take();
        message.unwrap_or_else(|| Builder::new(self.ids.next_id(clock::now().wall)))
    }

    fn append(&mut self) -> Result<(), ExchangeError> {
        self.octets = 0;
        if self.batch.is_empty() {
            return Ok(());
        }
        let (account, name) = (self.account, self.folder.clone());
        let messages = mem::take(&mut self.batch);
        let append = Act::Append { account, name, messages, quota: self.quota };
        match self.store.act(append)? {
            Done::Refused(refusal) => {
                Err(ExchangeError::Refused { mailbox: self.folder.clone(), refusal })
            }
            _ => {
                self.spooled.clear();
                Ok(())
            }
        }
    }
}

impl Inlet for Importer<'_> {
    fn folder(&mut self, name: &MailboxName) -> Result<(), ExchangeError> {
        self.append()?;
        self.folder = name.clone();
        if name.is_inbox() {
            return Ok(());
        }
        let create = Act::Create { account: self.account, name: name.clone(), special_use: None };
        match self.store.act(create)? {
            Done::Refused(Refusal::Exists) => Ok(()),
            Done::Refused(refusal) => {
                Err(ExchangeError::Refused { mailbox: name.clone(), refusal })
            }
            _ => Ok(()),
        }
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), ExchangeError> {
        let mut message = self.message();
        message.feed(octets, &mut self.press);
        if message.ready_octets() >= SPOOL_THRESHOLD {
            let content = message.id();
            let (first_chunk, chunks) = message.take_ready();
            if self.spooled.last() != Some(&content) {
                self.spooled.push(content);
            }
            self.store.act(Act::Spool { content, first_chunk, chunks })?;
        }
        self.message = Some(message);
        Ok(())
    }

    fn end(&mut self, marks: Marks) -> Result<(), ExchangeError> {
        let message = self.message();
        self.octets += message.ready_octets();
        let content = message.finish(&mut self.press);
        let received = marks.received.unwrap_or_else(|| clock::now().wall);
        let Marks { flags, keywords, .. } = marks;
        self.octets += content.chunks.last().map_or(0, |chunk| chunk.len());
        self.batch.push(NewMessage { content, flags, keywords, received });
        if self.batch.len() >= IMPORT_TOGETHER || self.octets >= SPOOL_THRESHOLD {
            self.append()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ExchangeError> {
        self.append()
    }
}

impl Drop for Importer<'_> {
    /// What was spooled of messages that do not come any more is forgotten.
    fn drop(&mut self) {
        for content in self.spooled.drain(..) {
            let _ = self.store.act(Act::Abandon { content });
        }
    }
}
