//! The tables of the store in LMDB: carries the rows of a transaction and reads them back.

use std::{
    fs::File,
    io::Write,
    ops::Bound,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use heed::{Database, Env, MdbError, RoTxn, RwTxn, WithoutTls, types::Bytes as Octets};
use rustix::io::Errno;

use super::resident::Resident;
use crate::{
    limits::{MAP_RESIDENT_ROWS, SPACE_FLOOR_MIN},
    store::{Reads, Rows, Table, room::Room},
};

/// The open environment, and the lock that keeps it ours.
pub struct Tables {
    pub env: Env<WithoutTls>,
    pub databases: [Database<'static, Octets, Octets>; Table::ALL.len()],
    pub dir: PathBuf,
    /// Rows read and written so far.
    pub touched: AtomicU32,
    pub resident: Option<Resident>,
    /// Held until the environment is closed. One that only reads holds none.
    pub _lock: Option<File>,
}

/// What an error of LMDB means for a transaction.
#[derive(Debug)]
pub enum Trouble {
    /// No room on the disk or in the map: the transaction is undone, the store is well.
    Full,
    /// The store may not be written any more.
    Fatal(String),
}

/// One write transaction.
pub struct LmdbRows<'a, 't> {
    tables: &'a Tables,
    txn: &'a mut RwTxn<'t>,
}

/// One snapshot.
pub struct LmdbReads<'a, 't> {
    tables: &'a Tables,
    txn: &'a RoTxn<'t, WithoutTls>,
}

impl Tables {
    pub fn rows<'a, 't>(&'a self, txn: &'a mut RwTxn<'t>) -> LmdbRows<'a, 't> {
        LmdbRows { tables: self, txn }
    }

    pub fn reads<'a, 't>(&'a self, txn: &'a RoTxn<'t, WithoutTls>) -> LmdbReads<'a, 't> {
        LmdbReads { tables: self, txn }
    }

    /// Octets in pages that hold rows, as this transaction sees them.
    pub fn used(&self, txn: &RoTxn<'_, WithoutTls>) -> Result<u64, heed::Error> {
        let mut used = self.env.unnamed_database_stat().non_free_page_size();
        for database in &self.databases {
            used += database.stat(txn)?.non_free_page_size();
        }
        Ok(used as u64)
    }

    /// Measures the room there is beside what is used.
    pub fn room_beside(&self, used: u64) -> Room {
        let file = std::fs::metadata(self.dir.join("data.mdb")).map_or(0, |data| data.len());
        let map = self.env.info().map_size as u64;
        Room { map, used, file, disk: self.disk_free() }
    }

    /// A backup that was killed has left its snapshot open, and no page of it would be used again.
    pub fn forget_dead_readers(&self) {
        // Where it fails, it is tried again; nothing but room depends on it.
        let _ = self.env.clear_stale_readers();
    }

    /// Tells a full disk from a broken one.
    pub fn trouble(&self, error: heed::Error) -> Trouble {
        let full = match &error {
            heed::Error::Mdb(MdbError::MapFull | MdbError::TxnFull) => true,
            heed::Error::Io(error) => match Errno::from_io_error(error) {
                Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => true,
                // LMDB takes a write that the full disk cut short for EIO.
                Some(Errno::IO) => self.disk_free() < SPACE_FLOOR_MIN || !self.disk_takes_more(),
                _ => false,
            },
            _ => false,
        };
        if full {
            return Trouble::Full;
        }
        Trouble::Fatal(format!(
            "the store in {} cannot be written: {error}; check the disk and start again, \
             everything acknowledged is on it",
            self.dir.display()
        ))
    }

    fn row<'t>(
        &self,
        txn: &'t RoTxn<'_, WithoutTls>,
        table: Table,
        key: &[u8],
    ) -> Result<Option<&'t [u8]>, heed::Error> {
        self.touch();
        self.database(table).get(txn, key)
    }

    fn key_from<'t>(
        &self,
        txn: &'t RoTxn<'_, WithoutTls>,
        table: Table,
        from: &[u8],
    ) -> Result<Option<&'t [u8]>, heed::Error> {
        self.touch();
        let found = self.database(table).get_greater_than_or_equal_to(txn, from)?;
        Ok(found.map(|(key, _)| key))
    }

    fn walk(
        &self,
        txn: &RoTxn<'_, WithoutTls>,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), heed::Error> {
        // LMDB knows no empty key.
        let start = if from.is_empty() { Bound::Unbounded } else { Bound::Included(from) };
        let range = (start, Bound::Unbounded);
        for row in self.database(table).range(txn, &range)? {
            self.touch();
            let (key, value) = row?;
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn database(&self, table: Table) -> &Database<'static, Octets, Octets> {
        &self.databases[table as usize]
    }

    /// A quota shows only when something is written.
    fn disk_takes_more(&self) -> bool {
        let scratch = self.dir.join("scratch");
        let written = std::fs::write(&scratch, [0; 64 * 1024]);
        // Another start overwrites what is left here.
        let _ = std::fs::remove_file(&scratch);
        let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG];
        let why = written.err().and_then(|error| Errno::from_io_error(&error));
        why.is_none_or(|why| !full.contains(&why))
    }

    fn disk_free(&self) -> u64 {
        rustix::fs::statvfs(&self.dir).map_or(0, |disk| disk.f_bavail * disk.f_frsize)
    }

    /// Counts a row, and lets mapped pages go now and then.
    fn touch(&self) {
        // Over all transactions: most are small.
        let touched = self.touched.fetch_add(1, Ordering::Relaxed);
        if touched.is_multiple_of(MAP_RESIDENT_ROWS)
            && let Some(resident) = &self.resident
        {
            resident.trim();
        }
    }
}

impl Rows for LmdbRows<'_, '_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[&[u8]]) -> Result<(), heed::Error> {
        self.tables.touch();
        let length = value.iter().map(|piece| piece.len()).sum();
        self.tables.database(table).put_reserved(self.txn, key, length, |page| {
            value.iter().try_for_each(|piece| page.write_all(piece))
        })
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), heed::Error> {
        self.tables.touch();
        self.tables.database(table).delete(self.txn, key).map(drop)
    }

    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), heed::Error> {
        let end = prefix_end(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = (Bound::Included(prefix), end);
        self.tables.database(table).delete_range(self.txn, &range).map(drop)
    }

    fn any_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<bool, heed::Error> {
        self.tables.touch();
        let found = self.tables.database(table).get_greater_than_or_equal_to(self.txn, prefix)?;
        Ok(found.is_some_and(|(key, _)| key.starts_with(prefix)))
    }
}

impl Reads for LmdbReads<'_, '_> {
    type Error = heed::Error;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, heed::Error> {
        self.tables.row(self.txn, table, key)
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, heed::Error> {
        self.tables.key_from(self.txn, table, from)
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), heed::Error> {
        self.tables.walk(self.txn, table, from, visit)
    }
}

impl Reads for LmdbRows<'_, '_> {
    type Error = heed::Error;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, heed::Error> {
        self.tables.row(self.txn, table, key)
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, heed::Error> {
        self.tables.key_from(self.txn, table, from)
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), heed::Error> {
        self.tables.walk(self.txn, table, from, visit)
    }
}

/// The first key behind all that start with `prefix`; `None` when there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&octet| octet != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn ends_of_prefixes() {
        for (prefix, end) in [
            (&[0u8, 1][..], Some(vec![0u8, 2])),
            (&[0, 0xff], Some(vec![1])),
            (&[0xff, 0xff], None),
            (&[], None),
        ] {
            assert_eq!(prefix_end(prefix), end, "{prefix:?}");
        }
    }
}
