//! Which messages of a mailbox are present, unseen and deleted: bitmaps, so that a mailbox of a
//! million messages is opened by reading a thousand rows.
//!
//! All of it also stands in the entries: a row that is damaged or lost is made anew from them.

use super::{
    fields::Fields,
    key,
    record::{Stored, decode},
    row::{Fault, Step, damage, entries, erase, read, write},
};
use crate::{
    limits::MARKS_UIDS,
    mail::mailbox::{Entry, Flags, MailboxId, Mark, Standing, Uid, Uids},
    store::{
        Reads, Rows, Table,
        record::{Record, RecordError},
    },
};

const WORDS: usize = MARKS_UIDS as usize / u64::BITS as usize;

/// What is marked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Present,
    Unseen,
    Deleted,
}

/// How many of the marked messages are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    All,
    /// The first one is enough: every tenth of a million unseen would be a hundred thousand runs.
    First,
}

/// The marks of `MARKS_UIDS` UIDs in a row, a bitmap for each kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Block([[u64; WORDS]; 3]);

/// The marks of a mailbox while it is changed. UIDs are mostly visited in their order, so one
/// block is held and written when the next one is needed.
#[derive(Debug)]
pub struct Marks {
    mailbox: MailboxId,
    held: Option<(u32, Block)>,
}

impl Marks {
    pub fn new(mailbox: MailboxId) -> Self {
        Self { mailbox, held: None }
    }

    /// Marks a message as its flags say; `present`: it is there.
    pub fn mark<R: Rows>(
        &mut self,
        rows: &mut R,
        uid: Uid,
        flags: Flags,
        present: bool,
    ) -> Step<(), R::Error> {
        let number = uid.0 / MARKS_UIDS;
        if self.held.as_ref().is_none_or(|(held, _)| *held != number) {
            self.write(rows)?;
            self.held = Some((number, block(rows, self.mailbox, number, &mut drop)?));
        }
        if let Some((_, block)) = &mut self.held {
            block.mark(uid, flags, present);
        }
        Ok(())
    }

    /// Writes what is held.
    pub fn write<R: Rows>(&mut self, rows: &mut R) -> Step<(), R::Error> {
        let Some((number, block)) = self.held.take() else { return Ok(()) };
        let key = key::marks(self.mailbox, Uid(number * MARKS_UIDS));
        if block.0[Kind::Present as usize].iter().all(|word| *word == 0) {
            return erase(rows, Table::Marks, &key);
        }
        write(rows, Table::Marks, &key, &block)
    }
}

/// The messages of a mailbox that bear a mark, for each of these marks, in one walk.
pub fn marked<R: Reads, const KINDS: usize>(
    reads: &R,
    standing: &Standing,
    kinds: [(Kind, Reach); KINDS],
    warn: &mut dyn FnMut(String),
) -> Step<[Uids; KINDS], R::Error> {
    let mailbox = standing.mailbox;
    let mut sets = kinds.map(|_| Uids::default());
    let mut damaged = false;
    let mut present = 0;
    let from = key::marks(mailbox, Uid(0));
    let walked = reads.walk(Table::Marks, &from, &mut |key, value| {
        let Some((of, Uid(number))) = key::read_message(key) else { return false };
        if of != mailbox {
            return false;
        }
        match decode::<Block>(Table::Marks, key, value) {
            Ok(block) => {
                present += block.count(Kind::Present);
                let each = kinds.iter().zip(&mut sets);
                each.for_each(|((kind, reach), uids)| match reach {
                    Reach::First if !uids.is_empty() => {}
                    _ => block.put_runs(*kind, number, uids),
                });
            }
            Err(error) => {
                warn(damage(Table::Marks, key, error));
                damaged = true;
            }
        }
        !damaged
    });
    walked.map_err(Fault::Rows)?;
    if !damaged && present == standing.messages {
        return Ok(sets);
    }
    // A row is damaged, or was lost with its key: what the entries say holds.
    let mut sets = kinds.map(|_| Uids::default());
    let mut page = Vec::new();
    let mut next = Some(Uid(1));
    while let Some(from) = next {
        let range = from..=Uid(u32::MAX);
        next = entries(reads, mailbox, range, MARKS_UIDS as usize, &mut page, warn)
            .map_err(Fault::Rows)?;
        for entry in page.drain(..) {
            let each = kinds.iter().zip(&mut sets);
            let bears = each.filter(|((kind, _), _)| bears(entry.flags, *kind));
            bears.for_each(|(_, uids)| uids.insert(entry.uid));
        }
    }
    Ok(sets)
}

impl From<Mark> for Kind {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Unseen => Kind::Unseen,
            Mark::Deleted => Kind::Deleted,
        }
    }
}

fn bears(flags: Flags, kind: Kind) -> bool {
    match kind {
        Kind::Present => true,
        Kind::Unseen => !flags.contains(Flags::SEEN),
        Kind::Deleted => flags.contains(Flags::DELETED),
    }
}

/// One block, made anew from the entries where its row is damaged.
fn block<R: Reads>(
    reads: &R,
    mailbox: MailboxId,
    number: u32,
    warn: &mut dyn FnMut(String),
) -> Step<Block, R::Error> {
    let first = Uid(number * MARKS_UIDS);
    match read(reads, Table::Marks, &key::marks(mailbox, first)) {
        Ok(found) => return Ok(found.unwrap_or_default()),
        Err(Fault::Damaged(sentence)) => warn(sentence),
        Err(other) => return Err(other),
    }
    let last = Uid(first.0 + (MARKS_UIDS - 1));
    let mut page: Vec<Entry> = Vec::new();
    entries(reads, mailbox, first..=last, MARKS_UIDS as usize, &mut page, warn)
        .map_err(Fault::Rows)?;
    let mut block = Block::default();
    page.iter().for_each(|entry| block.mark(entry.uid, entry.flags, true));
    Ok(block)
}

impl Block {
    fn mark(&mut self, uid: Uid, flags: Flags, present: bool) {
        let place = (uid.0 % MARKS_UIDS) as usize;
        let (word, bit) = (place / u64::BITS as usize, 1u64 << (place % u64::BITS as usize));
        for kind in [Kind::Present, Kind::Unseen, Kind::Deleted] {
            let word = &mut self.0[kind as usize][word];
            if present && bears(flags, kind) {
                *word |= bit;
            } else {
                *word &= !bit;
            }
        }
    }

    fn count(&self, kind: Kind) -> u32 {
        self.0[kind as usize].iter().map(|word| word.count_ones()).sum()
    }

    /// Puts what is marked behind `uids`, run by run.
    fn put_runs(&self, kind: Kind, number: u32, uids: &mut Uids) {
        let base = u64::from(number) * u64::from(MARKS_UIDS);
        for (place, &word) in (0u64..).zip(&self.0[kind as usize]) {
            let mut rest = word;
            while rest != 0 {
                let from = rest.trailing_zeros();
                let count = (rest >> from).trailing_ones();
                let first = base + place * u64::from(u64::BITS) + u64::from(from);
                // A number from the disk is no promise that its UIDs fit.
                if let (Ok(first), Ok(last)) =
                    (u32::try_from(first), u32::try_from(first + u64::from(count) - 1))
                {
                    uids.insert_run(Uid(first)..=Uid(last));
                }
                let done = from + count;
                rest = if done == u64::BITS { 0 } else { rest >> done << done };
            }
        }
    }
}

impl Stored for Block {
    fn encode(&self, record: &mut Record) {
        let words = self.0.iter().flatten();
        words.for_each(|word| record.extend_from_slice(&word.to_le_bytes()));
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, RecordError> {
        let mut block = Block::default();
        for word in block.0.iter_mut().flatten() {
            *word = fields.u64()?;
        }
        Ok(block)
    }
}
