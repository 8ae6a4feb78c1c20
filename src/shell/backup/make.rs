//! One run of `ringmail backup`.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    thread,
    time::Instant,
};

use super::{
    BackupError,
    folder::Folder,
    reader::{Blocks, Index, Manifest},
    writer::{BlockWriter, Packer, SegmentWriter},
};
use crate::{
    config::Config,
    limits::{BACKUP_PAGE, BACKUP_REST, BACKUP_TURN},
    mail::QueueId,
    shell::{
        clock, control,
        lmdb::{LmdbReads, Source},
        threads,
    },
    store::{
        Reads, Table,
        backup::{
            End, Located, MANIFEST, Segment, UnitKind, block::BlockKind, is_sound, put_segments,
            tables, worth_moving,
        },
        key,
    },
};

/// What a run did.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// What the backup has now.
    pub end: End,
    /// Of it, contents and bodies that came with this run, and their octets.
    pub new: u64,
    pub new_octets: u64,
    /// Rows of them that were damaged in the store already.
    pub damaged: u64,
}

/// A run under way.
struct Run<'a> {
    folder: Folder,
    source: Source,
    was: Option<Manifest>,
    segments: SegmentWriter,
    made: Made,
    pace: Pace,
    warn: &'a mut dyn FnMut(String),
}

/// Leaves most of the time to a server: its commits wait for the same disk.
struct Pace {
    is_served: bool,
    since: Instant,
}

/// Makes the backup in `dir` one of the store as it is now. Until that is done the one before
/// stays; when it fails that one is still good.
pub fn make(
    config: &Config,
    dir: &Path,
    warn: &mut dyn FnMut(String),
) -> Result<Made, BackupError> {
    threads::be_modest();
    let source = Source::open(&config.data_dir, &config.store)?;
    let folder = Folder::to_write(dir)?;
    let was = folder.manifest()?;
    let listed = was.as_ref().map_or(&[][..], |was| &was.segments);
    let numbers: HashSet<u32> = listed.iter().map(|segment| segment.number).collect();
    folder.clear(|number| numbers.contains(&number))?;
    let next = numbers.iter().max().map_or(1, |last| last + 1);
    let end = End::new(clock::now().wall);
    let made = Made { end, new: 0, new_octets: 0, damaged: 0 };
    let segments = SegmentWriter::new(next);
    let is_served = control::is_served(&config.data_dir);
    let pace = Pace { is_served, since: Instant::now() };
    let mut run = Run { folder, source, was, segments, made, pace, warn };
    let result = run.run();
    if result.is_err() {
        // What it wrote is of no use to anybody; where it stays, the next run deletes it.
        let _ = run.folder.clear(|number| numbers.contains(&number));
    }
    result
}

impl Pace {
    /// Rests when enough was done since the last time.
    fn rest(&mut self) {
        let busy = self.since.elapsed();
        if self.is_served && busy >= BACKUP_TURN {
            thread::sleep(busy * BACKUP_REST);
            self.since = Instant::now();
        }
    }
}

impl Run<'_> {
    fn run(&mut self) -> Result<Made, BackupError> {
        let ahead = self.copy_ahead()?;
        let mut manifest = BlockWriter::create(&self.folder.new_manifest(), MANIFEST)?;
        let live = self.copy_at_once(ahead, &mut manifest)?;
        self.segments.finish()?;
        let kept = self.list(&live);
        let mut list = Vec::new();
        put_segments(&kept, &mut list);
        self.made.end.segments_at = manifest.offset();
        manifest.put(BlockKind::Segments, &[&list])?;
        manifest.put(BlockKind::End, &[&self.made.end.encode()])?;
        manifest.finish()?;
        self.folder.install()?;
        let numbers: HashSet<u32> = kept.iter().map(|segment| segment.number).collect();
        self.folder.clear(|number| numbers.contains(&number))?;
        Ok(self.made)
    }

    /// Copies contents and bodies that the backup does not have, each from a snapshot of its own.
    /// Gives the index of what is there then.
    fn copy_ahead(&mut self) -> Result<Index, BackupError> {
        let path = self.folder.new_index();
        let mut index = BlockWriter::create(&path, MANIFEST)?;
        let begin = index.offset();
        let mut packer = Packer::new(BlockKind::Index);
        let mut known = self.known()?;
        for kind in UnitKind::ALL {
            let mut after = None;
            loop {
                let page = self.page(kind, after)?;
                let Some(last) = page.last() else { break };
                after = Some(*last);
                for id in page {
                    if let Some(line) = self.bring(kind, id, &mut known)? {
                        packer.line(&line, &mut index)?;
                    }
                    self.segments.finish_full()?;
                    self.pace.rest();
                }
            }
        }
        packer.flush(&mut index)?;
        let end = index.finish()?;
        let mut blocks = Blocks::open(path, MANIFEST)?;
        blocks.seek(begin)?;
        Ok(Index::new(blocks, end))
    }

    /// The index of the backup before and the segments to move; nothing where it is of no use.
    fn known(&self) -> Result<Option<(Index, HashSet<u32>)>, BackupError> {
        let Some(was) = &self.was else { return Ok(None) };
        // A store that has gone back in time may have given the same ids to other mail since.
        if was.store != key::FORMAT || self.source.look(highest)? < was.end.highest {
            return Ok(None);
        }
        Ok(Some((was.index(&self.folder)?, worth_moving(&was.segments))))
    }

    fn page(&self, kind: UnitKind, after: Option<QueueId>) -> Result<Vec<QueueId>, BackupError> {
        let from = after.map(|id| id.as_u64().saturating_add(1));
        let from = key::message(QueueId::from_u64(from.unwrap_or(0)));
        let mut page = Vec::with_capacity(BACKUP_PAGE);
        self.source.look(|reads| {
            reads.walk(kind.owner(), &from, &mut |key, _| {
                page.extend(key::read_message(key).filter(|id| after.is_none_or(|a| *id > a)));
                page.len() < BACKUP_PAGE
            })
        })?;
        Ok(page)
    }

    /// Has a unit in the backup: it is there, it moves, or it is copied; `None` where it has left
    /// the store meanwhile.
    fn bring(
        &mut self,
        kind: UnitKind,
        id: QueueId,
        known: &mut Option<(Index, HashSet<u32>)>,
    ) -> Result<Option<Located>, BackupError> {
        if let Some((index, moving)) = known
            && let Some(line) = index.find(kind, id)?
        {
            if !moving.contains(&line.segment) {
                return Ok(Some(line));
            }
            if let Ok(line) = self.relocate(&line) {
                return Ok(Some(line));
            }
            // It was damaged in the backup: the store has it still.
        }
        let Run { folder, source, segments, made, warn, .. } = self;
        source.look(|reads| Copier { folder, segments, made, warn }.copy(reads, kind, id))
    }

    fn relocate(&mut self, line: &Located) -> Result<Located, BackupError> {
        let mut blocks = self.folder.blocks(line.segment)?;
        self.segments.begin(&self.folder, line.kind, line.id)?;
        blocks.unit(line, |payload| self.segments.payload(payload))?;
        Ok(self.segments.end())
    }

    /// Writes all other rows and the index, from one snapshot. Gives the octets that are live in
    /// each segment.
    fn copy_at_once(
        &mut self,
        mut ahead: Index,
        manifest: &mut BlockWriter,
    ) -> Result<HashMap<u32, u64>, BackupError> {
        let Run { folder, source, segments, made, warn, .. } = self;
        source.look(|reads| {
            made.end.highest = highest(reads)?;
            let mut rows = Packer::new(BlockKind::Rows);
            for table in tables() {
                each_row(reads, table, &[], |key, value| {
                    made.end.rows += 1;
                    rows.row(table, key, value, manifest).map(|()| true)
                })?;
            }
            rows.flush(manifest)?;
            made.end.index_at = manifest.offset();
            let mut live = HashMap::new();
            let mut index = Packer::new(BlockKind::Index);
            for kind in UnitKind::ALL {
                each_row(reads, kind.owner(), &[], |key, _| {
                    let Some(id) = key::read_message(key) else { return Ok(true) };
                    let line = match ahead.find(kind, id)? {
                        Some(line) => Some(line),
                        None => Copier { folder, segments, made, warn }.copy(reads, kind, id)?,
                    };
                    if let Some(line) = line {
                        *live.entry(line.segment).or_default() += line.octets;
                        made.end.count(&line);
                        index.line(&line, manifest)?;
                    }
                    Ok(true)
                })?;
            }
            index.flush(manifest)?;
            Ok(live)
        })
    }

    /// The segments that the new manifest needs.
    fn list(&self, live: &HashMap<u32, u64>) -> Vec<Segment> {
        let was = self.was.iter().flat_map(|was| &was.segments);
        let was = was.map(|segment| (segment.number, segment.length));
        was.chain(self.segments.done().iter().copied())
            .filter_map(|(number, length)| {
                live.get(&number).map(|live| Segment { number, length, live: *live })
            })
            .collect()
    }
}

/// What copies a unit out of a snapshot.
struct Copier<'a> {
    folder: &'a Folder,
    segments: &'a mut SegmentWriter,
    made: &'a mut Made,
    warn: &'a mut dyn FnMut(String),
}

impl Copier<'_> {
    fn copy(
        self,
        reads: &LmdbReads<'_, '_>,
        kind: UnitKind,
        id: QueueId,
    ) -> Result<Option<Located>, BackupError> {
        let prefix = key::message(id);
        if reads.row(kind.owner(), &prefix)?.is_none() {
            return Ok(None);
        }
        self.segments.begin(self.folder, kind, id)?;
        let mut damaged = 0;
        for table in kind.tables() {
            each_row(reads, *table, &prefix, |key, value| {
                if !key.starts_with(&prefix) {
                    return Ok(false);
                }
                damaged += u64::from(!is_sound(*table, key, value));
                self.segments.row(*table, key, value).map(|()| true)
            })?;
        }
        if damaged > 0 {
            (self.warn)(format!("{damaged} rows of {id} are damaged in the store itself"));
        }
        let line = self.segments.end_rows()?;
        self.made.new += 1;
        self.made.new_octets += line.octets;
        self.made.damaged += damaged;
        Ok(Some(line))
    }
}

/// Shows rows of a table from `from` on, until `each` wants no more.
fn each_row(
    reads: &LmdbReads<'_, '_>,
    table: Table,
    from: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, BackupError>,
) -> Result<(), BackupError> {
    let mut failed = None;
    reads.walk(table, from, &mut |key, value| match each(key, value) {
        Ok(more) => more,
        Err(error) => {
            failed = Some(error);
            false
        }
    })?;
    failed.map_or(Ok(()), Err)
}

fn highest(reads: &LmdbReads<'_, '_>) -> Result<QueueId, BackupError> {
    let stored = reads.row(Table::Meta, key::META_HIGHEST)?;
    let highest = stored.and_then(|octets| octets.try_into().ok()).map(u64::from_le_bytes);
    Ok(QueueId::from_u64(highest.unwrap_or(0)))
}
