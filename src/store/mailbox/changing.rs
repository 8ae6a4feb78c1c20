//! A mailbox while an act changes it: each message at once, what is counted at the end.

use super::{
    key,
    marks::Marks,
    record::{AccountRecord, Forgotten, GhostRecord, MailboxRecord},
    row::{Fault, Step, erase, read, write},
};
use crate::{
    limits::KEYWORDS_MAX,
    mail::mailbox::{
        AccountId, Done, Entry, Flags, Keyword, Keywords, MailboxId, ModSeq, Refusal, Standing, Uid,
    },
    store::{Rows, Table},
};

pub struct Changing {
    account: AccountId,
    standing: Standing,
    forgotten: Forgotten,
    marks: Marks,
    /// Taken once for all that the act changes; `None` while it has changed nothing.
    modseq: Option<ModSeq>,
    added: Tally,
    removed: Tally,
}

/// Messages, and what they count for the account.
#[derive(Clone, Copy, Default)]
struct Tally {
    octets: u64,
    messages: u64,
}

impl Changing {
    /// `Refusal::NoMailbox` where it is not there.
    pub fn open<R: Rows>(rows: &R, mailbox: MailboxId) -> Step<Self, R::Error> {
        let record = read::<MailboxRecord, R>(rows, Table::Mailbox, &key::mailbox(mailbox))?;
        let record = record.ok_or(Fault::Refused(Refusal::NoMailbox))?;
        let MailboxRecord { account, standing, forgotten } = record;
        Ok(Self {
            account,
            standing,
            forgotten,
            marks: Marks::new(mailbox),
            modseq: None,
            added: Tally::default(),
            removed: Tally::default(),
        })
    }

    pub fn account(&self) -> AccountId {
        self.account
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether it has so many UIDs left.
    pub fn takes(&self, messages: u64) -> bool {
        u64::from(self.standing.uid_next.0) + messages <= u64::from(u32::MAX)
    }

    /// These keywords as bits. With `making`, new ones are put into the mailbox's list while it
    /// has room; the second value says whether all of them are in it.
    pub fn keywords(&mut self, wanted: &[Keyword], making: bool) -> (Keywords, bool) {
        let list = &mut self.standing.keywords;
        let (mut bits, mut all) = (0, true);
        for keyword in wanted {
            let known = list.iter().position(|known| known == keyword);
            let place = known.or_else(|| {
                let room = making && list.len() < KEYWORDS_MAX;
                room.then(|| list.push(keyword.clone()))?;
                Some(list.len() - 1)
            });
            match place {
                Some(place) => bits |= 1 << place,
                None => all = false,
            }
        }
        (Keywords(bits), all)
    }

    /// Puts a message in; its UID and MODSEQ are given here.
    pub fn add<R: Rows>(&mut self, rows: &mut R, mut entry: Entry) -> Step<Uid, R::Error> {
        entry.uid = self.standing.uid_next;
        entry.modseq = self.modseq();
        self.standing.uid_next = Uid(entry.uid.0.saturating_add(1));
        self.count(entry.flags, 1);
        self.standing.size = self.standing.size.saturating_add(entry.size);
        self.added.count(&entry);
        self.put(rows, &entry)?;
        Ok(entry.uid)
    }

    /// Gives a message other flags; it has others until now.
    pub fn reflag<R: Rows>(
        &mut self,
        rows: &mut R,
        mut entry: Entry,
        flags: Flags,
        keywords: Keywords,
    ) -> Step<(), R::Error> {
        let was = key::change(self.standing.mailbox, entry.modseq, entry.uid);
        erase(rows, Table::Changed, &was)?;
        self.count(entry.flags, -1);
        self.count(flags, 1);
        (entry.flags, entry.keywords, entry.modseq) = (flags, keywords, self.modseq());
        self.put(rows, &entry)
    }

    /// The message goes. Its entry stays as a ghost for the sessions that do not know.
    pub fn expunge<R: Rows>(&mut self, rows: &mut R, entry: Entry) -> Step<(), R::Error> {
        let (mailbox, uid) = (self.standing.mailbox, entry.uid);
        let expunged = self.modseq();
        erase(rows, Table::Entry, &key::message(mailbox, uid))?;
        erase(rows, Table::Changed, &key::change(mailbox, entry.modseq, uid))?;
        let change = key::change(mailbox, expunged, uid);
        write(rows, Table::Changed, &change, &())?;
        rows.put(Table::Parting, &change, &[]).map_err(Fault::Rows)?;
        self.marks.mark(rows, uid, entry.flags, false)?;
        self.count(entry.flags, -1);
        self.standing.size = self.standing.size.saturating_sub(entry.size);
        self.removed.count(&entry);
        let ghost = GhostRecord { expunged, entry };
        write(rows, Table::Ghost, &key::message(mailbox, uid), &ghost)
    }

    /// Writes what is counted. Gives the MODSEQ of the change, where anything changed.
    pub fn close<R: Rows>(
        mut self,
        rows: &mut R,
        touched: &mut Vec<MailboxId>,
    ) -> Step<Option<ModSeq>, R::Error> {
        let Some(modseq) = self.modseq else { return Ok(None) };
        self.marks.write(rows)?;
        let mailbox = self.standing.mailbox;
        let Self { account, standing, forgotten, .. } = self;
        let record = MailboxRecord { account, standing, forgotten };
        write(rows, Table::Mailbox, &key::mailbox(mailbox), &record)?;
        touched.push(mailbox);
        if (self.added.messages, self.removed.messages) == (0, 0) {
            // Flags count for no quota: a row less to write.
            return Ok(Some(modseq));
        }
        let key = key::account(account);
        match read::<AccountRecord, R>(rows, Table::Account, &key) {
            Ok(Some(mut account)) => {
                let Tally { octets, messages } = self.added;
                account.octets = account.octets.saturating_add(octets);
                account.messages = account.messages.saturating_add(messages);
                let Tally { octets, messages } = self.removed;
                account.octets = account.octets.saturating_sub(octets);
                account.messages = account.messages.saturating_sub(messages);
                write(rows, Table::Account, &key, &account)?;
            }
            Err(Fault::Rows(error)) => return Err(Fault::Rows(error)),
            // Its mail can still be read and sorted; its usage is lost with the row.
            _ => {}
        }
        Ok(Some(modseq))
    }

    fn modseq(&mut self) -> ModSeq {
        *self.modseq.get_or_insert_with(|| {
            self.standing.highest_modseq.0 = self.standing.highest_modseq.0.saturating_add(1);
            self.standing.highest_modseq
        })
    }

    fn put<R: Rows>(&mut self, rows: &mut R, entry: &Entry) -> Step<(), R::Error> {
        let mailbox = self.standing.mailbox;
        write(rows, Table::Entry, &key::message(mailbox, entry.uid), entry)?;
        let change = key::change(mailbox, entry.modseq, entry.uid);
        rows.put(Table::Changed, &change, &[]).map_err(Fault::Rows)?;
        self.marks.mark(rows, entry.uid, entry.flags, true)
    }

    fn count(&mut self, flags: Flags, step: i32) {
        let standing = &mut self.standing;
        let moved = |count: u32, counts: bool| match counts {
            true => count.saturating_add_signed(step),
            false => count,
        };
        standing.messages = moved(standing.messages, true);
        standing.unseen = moved(standing.unseen, !flags.contains(Flags::SEEN));
        standing.deleted = moved(standing.deleted, flags.contains(Flags::DELETED));
    }
}

impl Tally {
    fn count(&mut self, entry: &Entry) {
        self.octets = self.octets.saturating_add(entry.size);
        self.messages += 1;
    }
}

/// Messages below `below` are recent no more. Nobody else sees that, so it takes no MODSEQ.
pub fn announce<R: Rows>(rows: &mut R, mailbox: MailboxId, below: Uid) -> Step<Done, R::Error> {
    let key = key::mailbox(mailbox);
    let record = read::<MailboxRecord, R>(rows, Table::Mailbox, &key)?;
    let mut record = record.ok_or(Fault::Refused(Refusal::NoMailbox))?;
    let below = below.min(record.standing.uid_next);
    if below > record.standing.recent_from {
        record.standing.recent_from = below;
        write(rows, Table::Mailbox, &key, &record)?;
    }
    Ok(Done::Done)
}
