//! A short look at the store on a core's own thread, for questions that a few rows answer.
//!
//! To ask the thread that reads costs a core two wake-ups: several times what a short look does.
//! But a page that is not in memory makes whoever touches it wait for the disk, and a ring may not
//! wait. So only what is brief is looked for here, no look goes beyond `GLANCE_ROWS` rows, and
//! after one that took long the core asks the thread again for a while.

use std::{
    cell::Cell,
    sync::Weak,
    time::{Duration, Instant},
};

use super::tables::{LmdbReads, Tables};
use crate::{
    limits::{GLANCE_MESSAGES, GLANCE_REST, GLANCE_ROWS, GLANCE_SLOW},
    mail::mailbox::Ask,
    store::{Load, Loaded, Reads, Table, content::Unpress},
};

/// One core's looks.
pub struct Glance {
    /// The store's threads close it when they end.
    tables: Weak<Tables>,
    unpress: Unpress,
    rest: Rest,
}

/// Whether the last look took long, and until when none follows.
#[derive(Default)]
struct Rest {
    until: Option<Instant>,
}

/// A snapshot of which only so many rows are read.
struct Few<'a, 't> {
    reads: LmdbReads<'a, 't>,
    left: Cell<usize>,
}

/// The look came to no end. Whatever the reason, the thread finds it too, and tells it.
struct Cut;

impl Glance {
    pub(super) fn new(tables: Weak<Tables>) -> Glance {
        Glance { tables, unpress: Unpress::default(), rest: Rest::default() }
    }

    /// The answer; `None`: the thread is to be asked.
    pub fn answer(&mut self, load: &Load) -> Option<Loaded> {
        let Load::Mailbox(ask) = load else { return None };
        let began = Instant::now();
        if !is_brief(ask) || self.rest.holds(began) {
            return None;
        }
        let answer = self.look(load);
        self.rest.took(began.elapsed(), began);
        answer
    }

    fn look(&mut self, load: &Load) -> Option<Loaded> {
        // Dropped with the answer: a snapshot that stays open keeps LMDB from using pages again.
        let tables = self.tables.upgrade()?;
        let txn = tables.env.read_txn().ok()?;
        let few = Few { reads: tables.reads(&txn), left: Cell::new(GLANCE_ROWS) };
        // What is damaged is told by the thread, once.
        let mut damaged = false;
        let loaded = load.run(&few, &mut self.unpress, &mut |_| damaged = true).ok()?;
        (!damaged).then_some(loaded)
    }
}

/// A few rows most likely answer it.
fn is_brief(ask: &Ask) -> bool {
    match ask {
        Ask::Account { .. }
        | Ask::Recipient { .. }
        | Ask::Folders { .. }
        | Ask::Folder { .. }
        | Ask::Open { .. }
        | Ask::Changes { .. }
        | Ask::Marked { .. }
        | Ask::Usage { .. } => true,
        Ask::Messages { uids, .. } => uids.count() <= GLANCE_MESSAGES,
        Ask::Content { .. } | Ask::Accounts { .. } => false,
    }
}

impl Rest {
    fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// A look that began then took so long.
    fn took(&mut self, time: Duration, began: Instant) {
        if time > GLANCE_SLOW {
            self.until = Some(began + time + GLANCE_REST);
        }
    }
}

impl Few<'_, '_> {
    fn take(&self) -> Result<(), Cut> {
        let left = self.left.get().checked_sub(1).ok_or(Cut)?;
        self.left.set(left);
        Ok(())
    }
}

impl Reads for Few<'_, '_> {
    type Error = Cut;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Cut> {
        self.take()?;
        self.reads.row(table, key).map_err(|_| Cut)
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, Cut> {
        self.take()?;
        self.reads.key_from(table, from).map_err(|_| Cut)
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Cut> {
        let mut cut = false;
        let walked = self.reads.walk(table, from, &mut |key, value| {
            cut = self.take().is_err();
            !cut && visit(key, value)
        });
        match (walked, cut) {
            (Ok(()), false) => Ok(()),
            _ => Err(Cut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_look_that_took_long_none_follows_for_a_while() {
        let mut rest = Rest::default();
        let began = Instant::now();
        rest.took(GLANCE_SLOW, began);
        assert!(!rest.holds(began));
        let long = GLANCE_SLOW * 3;
        rest.took(long, began);
        assert!(rest.holds(began + long));
        assert!(!rest.holds(began + long + GLANCE_REST));
    }
}
