//! Reads the files of a backup block by block, each checked before anything of it is used.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::PathBuf,
    vec,
};

use super::{BackupError, folder::Folder};
use crate::{
    limits::BACKUP_BLOCK,
    mail::QueueId,
    store::{
        backup::{
            self, End, FileHead, Located, MANIFEST, Segment, UnitHead, UnitKind, VERSION,
            block::{self, BlockKind, FRAME, HEAD, Place},
        },
        key,
    },
};

/// One file.
pub struct Blocks {
    path: PathBuf,
    file: BufReader<File>,
    number: u32,
    /// The format of the store that it is of.
    store: u32,
    offset: u64,
    length: u64,
    block: Vec<u8>,
}

/// What a backup says of itself.
pub struct Manifest {
    /// The format of the store that it is of.
    pub store: u32,
    pub end: End,
    pub segments: Vec<Segment>,
}

/// The lines of an index in their order.
pub struct Index {
    blocks: Blocks,
    /// Where its blocks end.
    end: u64,
    lines: vec::IntoIter<Located>,
    next: Option<Located>,
    raw: Vec<u8>,
}

impl Blocks {
    /// Opens a file, and checks what it begins with.
    pub fn open(path: PathBuf, number: u32) -> Result<Blocks, BackupError> {
        let failed = |source| BackupError::File { path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let file = BufReader::with_capacity(BACKUP_BLOCK, file);
        let mut blocks =
            Blocks { path, file, number, store: 0, offset: 0, length, block: Vec::new() };
        let head = match blocks.next()? {
            Some((BlockKind::Head, payload)) => FileHead::decode(payload).ok(),
            _ => None,
        };
        match head {
            Some(head) if head.version > VERSION || head.store > key::FORMAT => {
                Err(BackupError::Newer { path: blocks.path })
            }
            Some(head) if head.file == number => {
                blocks.store = head.store;
                Ok(blocks)
            }
            _ => Err(BackupError::Damaged { path: blocks.path, offset: 0 }),
        }
    }

    /// The next block; `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<(BlockKind, &[u8])>, BackupError> {
        if self.offset == self.length {
            return Ok(None);
        }
        let offset = self.offset;
        let octets =
            self.read().map_err(|source| BackupError::File { path: self.path.clone(), source })?;
        let place = Place { file: self.number, offset };
        let found = if octets { block::open(place, &self.block) } else { None };
        match found {
            Some(found) => {
                self.offset += self.block.len() as u64;
                Ok(Some(found))
            }
            None => Err(BackupError::Damaged { path: self.path.clone(), offset }),
        }
    }

    /// Reads a block as it lies; whether the file has it whole.
    fn read(&mut self) -> std::io::Result<bool> {
        let left = self.length - self.offset;
        if left < FRAME as u64 {
            return Ok(false);
        }
        let mut head = [0; HEAD];
        self.file.read_exact(&mut head)?;
        let octets = block::length(&head).map(|length| length + FRAME);
        let Some(octets) = octets.filter(|octets| *octets as u64 <= left) else {
            return Ok(false);
        };
        self.block.clear();
        self.block.extend_from_slice(&head);
        self.block.resize(octets, 0);
        self.file.read_exact(&mut self.block[HEAD..])?;
        Ok(true)
    }

    pub fn seek(&mut self, offset: u64) -> Result<(), BackupError> {
        if offset > self.length {
            return Err(self.damaged(offset));
        }
        let distance = offset.cast_signed() - self.offset.cast_signed();
        self.offset = offset;
        // What is in the buffer already is not read again.
        let sought = self.file.seek_relative(distance);
        sought.map_err(|source| BackupError::File { path: self.path.clone(), source })
    }

    /// Reads the blocks of one unit, and shows the payload of each.
    pub fn unit(
        &mut self,
        line: &Located,
        mut each: impl FnMut(&[u8]) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        self.seek(line.offset)?;
        let mut part = 0;
        loop {
            let at = self.offset;
            let damaged = BackupError::Damaged { path: self.path.clone(), offset: at };
            let Some((BlockKind::Unit, payload)) = self.next()? else { return Err(damaged) };
            let Some((head, _)) = UnitHead::split(payload) else { return Err(damaged) };
            if (head.kind, head.id, head.part) != (line.kind, line.id, part) {
                return Err(damaged);
            }
            each(payload)?;
            if head.is_last {
                return Ok(());
            }
            part += 1;
        }
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn damaged(&self, offset: u64) -> BackupError {
        BackupError::Damaged { path: self.path.clone(), offset }
    }

    pub fn malformed(&self) -> BackupError {
        BackupError::Malformed { path: self.path.clone() }
    }
}

impl Manifest {
    /// Reads its end first, which says where the rest is.
    pub fn read(folder: &Folder) -> Result<Manifest, BackupError> {
        let mut blocks = folder.blocks(MANIFEST)?;
        let at = blocks.length().checked_sub((FRAME + End::LENGTH) as u64);
        let at = at.ok_or_else(|| blocks.malformed())?;
        blocks.seek(at)?;
        let end = match blocks.next()? {
            Some((BlockKind::End, payload)) => End::decode(payload).ok(),
            _ => None,
        };
        let end = end.ok_or_else(|| blocks.malformed())?;
        blocks.seek(end.segments_at)?;
        let segments = match blocks.next()? {
            Some((BlockKind::Segments, payload)) => backup::segments(payload).ok(),
            _ => None,
        };
        let segments = segments.ok_or_else(|| blocks.malformed())?;
        Ok(Manifest { store: blocks.store, end, segments })
    }

    pub fn index(&self, folder: &Folder) -> Result<Index, BackupError> {
        let mut blocks = folder.blocks(MANIFEST)?;
        blocks.seek(self.end.index_at)?;
        Ok(Index::new(blocks, self.end.segments_at))
    }
}

impl Index {
    /// The blocks from where `blocks` stands to `end`.
    pub fn new(blocks: Blocks, end: u64) -> Index {
        Index { blocks, end, lines: Vec::new().into_iter(), next: None, raw: Vec::new() }
    }

    pub fn next(&mut self) -> Result<Option<Located>, BackupError> {
        if let Some(line) = self.next.take() {
            return Ok(Some(line));
        }
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(line));
            }
            if self.blocks.offset() >= self.end {
                return Ok(None);
            }
            let unpacked = match self.blocks.next()? {
                Some((BlockKind::Index, payload)) => backup::unpack(payload, &mut self.raw),
                _ => false,
            };
            let lines = if unpacked { backup::located(&self.raw) } else { None };
            self.lines = lines.ok_or_else(|| self.blocks.malformed())?.into_iter();
        }
    }

    /// The line of one unit. Units are asked for in the order of the lines; what lies before is
    /// passed over.
    pub fn find(&mut self, kind: UnitKind, id: QueueId) -> Result<Option<Located>, BackupError> {
        while let Some(line) = self.next()? {
            if (line.kind, line.id) >= (kind, id) {
                self.next = Some(line);
                break;
            }
        }
        Ok(self.next.filter(|line| (line.kind, line.id) == (kind, id)))
    }
}
