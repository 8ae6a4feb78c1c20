//! Writes the files of a backup: blocks, segments of units, the manifest.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{BackupError, folder::Folder};
use crate::{
    limits::{BACKUP_BLOCK, BACKUP_SEGMENT, BACKUP_UNSYNCED},
    mail::QueueId,
    store::{
        Table,
        backup::{
            FileHead, Located, UnitHead, UnitKind,
            block::{self, BlockKind, Place},
            pack, put_located, put_row,
        },
    },
};

/// A new file.
pub struct BlockWriter {
    path: PathBuf,
    file: BufWriter<File>,
    number: u32,
    offset: u64,
    unsynced: u64,
    block: Vec<u8>,
}

/// Blocks of many small things, packed.
pub struct Packer {
    kind: BlockKind,
    raw: Vec<u8>,
    packed: Vec<u8>,
}

/// Segments, one after the other.
pub struct SegmentWriter {
    next: u32,
    open: Option<BlockWriter>,
    /// Number and length of those that are on the disk.
    done: Vec<(u32, u64)>,
    unit: UnitHead,
    began: u64,
    rows: Vec<u8>,
}

impl BlockWriter {
    pub fn create(path: &Path, number: u32) -> Result<BlockWriter, BackupError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| BackupError::File { path: path.into(), source })?;
        let file = BufWriter::with_capacity(BACKUP_BLOCK, file);
        let (offset, unsynced) = (0, 0);
        let mut writer =
            BlockWriter { path: path.into(), file, number, offset, unsynced, block: Vec::new() };
        writer.put(BlockKind::Head, &[&FileHead::new(number).encode()])?;
        Ok(writer)
    }

    pub fn put(&mut self, kind: BlockKind, payload: &[&[u8]]) -> Result<(), BackupError> {
        self.block.clear();
        let place = Place { file: self.number, offset: self.offset };
        let octets = block::put(place, kind, payload, &mut self.block);
        self.offset += octets;
        self.unsynced += octets;
        let mut written = self.file.write_all(&self.block);
        if self.unsynced >= BACKUP_UNSYNCED {
            self.unsynced = 0;
            written = written.and_then(|()| self.file.flush());
            written = written.and_then(|()| self.file.get_ref().sync_data());
        }
        written.map_err(|source| self.failed(source))
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Puts all of it on the disk; gives its length.
    pub fn finish(mut self) -> Result<u64, BackupError> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        written.map_err(|source| self.failed(source))?;
        Ok(self.offset)
    }

    fn failed(&self, source: std::io::Error) -> BackupError {
        BackupError::File { path: self.path.clone(), source }
    }
}

impl Packer {
    pub fn new(kind: BlockKind) -> Packer {
        Packer { kind, raw: Vec::new(), packed: Vec::new() }
    }

    pub fn row(
        &mut self,
        table: Table,
        key: &[u8],
        value: &[u8],
        to: &mut BlockWriter,
    ) -> Result<(), BackupError> {
        put_row(table, key, value, &mut self.raw);
        self.flush_full(to)
    }

    pub fn line(&mut self, line: &Located, to: &mut BlockWriter) -> Result<(), BackupError> {
        put_located(line, &mut self.raw);
        self.flush_full(to)
    }

    fn flush_full(&mut self, to: &mut BlockWriter) -> Result<(), BackupError> {
        if self.raw.len() < BACKUP_BLOCK { Ok(()) } else { self.flush(to) }
    }

    pub fn flush(&mut self, to: &mut BlockWriter) -> Result<(), BackupError> {
        if self.raw.is_empty() {
            return Ok(());
        }
        if !pack(&self.raw, &mut self.packed) {
            return Err(to.failed(std::io::ErrorKind::OutOfMemory.into()));
        }
        self.raw.clear();
        to.put(self.kind, &[&self.packed])
    }
}

impl SegmentWriter {
    /// Segments from number `next` on.
    pub fn new(next: u32) -> SegmentWriter {
        let unit = UnitHead { kind: UnitKind::Content, id: QueueId::MIN, part: 0, is_last: false };
        SegmentWriter { next, open: None, done: Vec::new(), unit, began: 0, rows: Vec::new() }
    }

    /// Begins a unit; `end` ends it.
    pub fn begin(
        &mut self,
        folder: &Folder,
        kind: UnitKind,
        id: QueueId,
    ) -> Result<(), BackupError> {
        if self.open.is_none() {
            self.open = Some(BlockWriter::create(&folder.file(self.next), self.next)?);
            self.next += 1;
        }
        self.unit = UnitHead { kind, id, part: 0, is_last: false };
        self.began = self.open.as_ref().map_or(0, BlockWriter::offset);
        self.rows.clear();
        Ok(())
    }

    pub fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        if self.rows.len() >= BACKUP_BLOCK {
            self.flush()?;
        }
        put_row(table, key, value, &mut self.rows);
        Ok(())
    }

    /// Puts a block of another segment as it is.
    pub fn payload(&mut self, payload: &[u8]) -> Result<(), BackupError> {
        self.open.iter_mut().try_for_each(|open| open.put(BlockKind::Unit, &[payload]))
    }

    /// Ends a unit of rows.
    pub fn end_rows(&mut self) -> Result<Located, BackupError> {
        self.unit.is_last = true;
        self.flush()?;
        Ok(self.end())
    }

    /// Where the unit lies that was begun last.
    pub fn end(&self) -> Located {
        let offset = self.open.as_ref().map_or(0, BlockWriter::offset);
        Located {
            kind: self.unit.kind,
            id: self.unit.id,
            segment: self.next - 1,
            offset: self.began,
            octets: offset - self.began,
        }
    }

    fn flush(&mut self) -> Result<(), BackupError> {
        if let Some(open) = &mut self.open {
            open.put(BlockKind::Unit, &[&self.unit.encode(), &self.rows])?;
        }
        self.unit.part += 1;
        self.rows.clear();
        Ok(())
    }

    /// Ends the segment if it is full: no snapshot is open now that would wait for the disk.
    pub fn finish_full(&mut self) -> Result<(), BackupError> {
        match &self.open {
            Some(open) if open.offset() >= BACKUP_SEGMENT => self.finish(),
            _ => Ok(()),
        }
    }

    pub fn finish(&mut self) -> Result<(), BackupError> {
        if let Some(open) = self.open.take() {
            self.done.push((open.number, open.finish()?));
        }
        Ok(())
    }

    /// Number and length of each segment written.
    pub fn done(&self) -> &[(u32, u64)] {
        &self.done
    }
}
