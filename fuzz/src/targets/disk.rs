//! A disk in memory: a map of rows.

use std::collections::BTreeMap;

use ringmail::store::{Reads, Rows, Table};

/// The rows by their table and key.
#[derive(Clone, Default)]
pub struct Disk(BTreeMap<(u8, Vec<u8>), Vec<u8>>);

impl Rows for Disk {
    fn put(&mut self, table: Table, key: &[u8], value: &[&[u8]]) -> Result<(), Self::Error> {
        self.0.insert((table as u8, key.to_vec()), value.concat());
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Self::Error> {
        self.0.remove(&(table as u8, key.to_vec()));
        Ok(())
    }

    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), Self::Error> {
        self.0.retain(|(of, key), _| *of != table as u8 || !key.starts_with(prefix));
        Ok(())
    }

    fn any_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<bool, Self::Error> {
        Ok(self.0.keys().any(|(of, key)| *of == table as u8 && key.starts_with(prefix)))
    }
}

impl Reads for Disk {
    type Error = std::convert::Infallible;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Self::Error> {
        Ok(self.0.get(&(table as u8, key.to_vec())).map(Vec::as_slice))
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, Self::Error> {
        let mut behind = self.0.range((table as u8, from.to_vec())..);
        let first = behind.next().filter(|((of, _), _)| *of == table as u8);
        Ok(first.map(|((_, key), _)| key.as_slice()))
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Self::Error> {
        for ((of, key), value) in self.0.range((table as u8, from.to_vec())..) {
            if *of != table as u8 || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}
