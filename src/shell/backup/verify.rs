//! `ringmail verify`: reads a backup to its last octet.

use std::path::Path;

use super::{
    BackupError,
    folder::Folder,
    reader::{Blocks, Manifest},
};
use crate::store::backup::{self, End, MANIFEST, RowIter, UnitHead, UnitKind, block::BlockKind};

/// What was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    pub end: End,
    /// Octets of all files.
    pub octets: u64,
    /// How many files are no good.
    pub faults: u64,
}

/// Looks at every octet of the backup in `dir`; what is wrong is told to `warn`, and the rest is
/// looked at all the same.
pub fn verify(dir: &Path, warn: &mut dyn FnMut(String)) -> Result<Verified, BackupError> {
    let (folder, manifest) = Folder::to_read(dir)?;
    let mut verified = Verified { end: manifest.end, octets: 0, faults: 0 };
    let mut tell = |error: BackupError| warn(error.to_string());
    match verify_manifest(&folder, &manifest) {
        Ok(octets) => verified.octets += octets,
        Err(error) => {
            verified.faults += 1;
            tell(error);
        }
    }
    for segment in &manifest.segments {
        let looked = folder.blocks(segment.number).and_then(|blocks| match blocks.length() {
            length if length == segment.length => read_through(blocks),
            found => Err(BackupError::Length {
                path: folder.file(segment.number),
                found,
                wanted: segment.length,
            }),
        });
        match looked {
            Ok(()) => verified.octets += segment.length,
            Err(error) => {
                verified.faults += 1;
                tell(error);
            }
        }
    }
    // Places are looked up only where every block is sound.
    if verified.faults == 0
        && let Err(error) = verify_places(&folder, &manifest)
    {
        verified.faults += 1;
        tell(error);
    }
    Ok(verified)
}

/// Whether all blocks are sound and hold what the end says. Gives the octets.
fn verify_manifest(folder: &Folder, manifest: &Manifest) -> Result<u64, BackupError> {
    let mut blocks = folder.blocks(MANIFEST)?;
    let (mut raw, mut last, mut row_before) = (Vec::new(), BlockKind::Head, Vec::new());
    let mut found = End::new(manifest.end.begun);
    let mut owned = [0; UnitKind::ALL.len()];
    while let Some((kind, payload)) = blocks.next()? {
        let unpacked = match kind {
            BlockKind::Rows | BlockKind::Index => backup::unpack(payload, &mut raw),
            _ => true,
        };
        if !unpacked || (kind as u8) < (last as u8) || last == BlockKind::End {
            return Err(blocks.malformed());
        }
        last = kind;
        match kind {
            BlockKind::Rows => {
                for row in RowIter(&raw) {
                    let (table, key, _) = row.map_err(|_| blocks.malformed())?;
                    let place = [&[table as u8], key].concat();
                    if place <= row_before {
                        return Err(blocks.malformed());
                    }
                    row_before = place;
                    found.rows += 1;
                    let is_owner = |kind: &UnitKind| kind.owner() == table;
                    if let Some(kind) = UnitKind::ALL.iter().position(is_owner) {
                        owned[kind] += u64::from(key.len() == 8);
                    }
                }
            }
            BlockKind::Index => {
                let lines = backup::located(&raw).ok_or_else(|| blocks.malformed())?;
                lines.iter().for_each(|line| found.count(line));
            }
            _ => {}
        }
    }
    let end = manifest.end;
    let is_whole = last == BlockKind::End && found.rows == end.rows && found.same_units(&end);
    match is_whole && owned == [end.contents, end.bodies] {
        true => Ok(blocks.length()),
        false => Err(blocks.malformed()),
    }
}

fn read_through(mut blocks: Blocks) -> Result<(), BackupError> {
    while let Some((kind, payload)) = blocks.next()? {
        if kind != BlockKind::Unit || UnitHead::split(payload).is_none() {
            return Err(blocks.malformed());
        }
    }
    Ok(())
}

/// Whether each line of the index leads to its unit.
fn verify_places(folder: &Folder, manifest: &Manifest) -> Result<(), BackupError> {
    let mut index = manifest.index(folder)?;
    let mut open: Option<(u32, Blocks)> = None;
    let mut before = None;
    while let Some(line) = index.next()? {
        if before.replace((line.kind, line.id)).is_some_and(|was| was >= (line.kind, line.id)) {
            return Err(BackupError::Malformed { path: folder.file(MANIFEST) });
        }
        let mut segment = match open.take() {
            Some((number, blocks)) if number == line.segment => blocks,
            _ => folder.blocks(line.segment)?,
        };
        segment.unit(&line, |_| Ok(()))?;
        if segment.offset() != line.offset.saturating_add(line.octets) {
            return Err(segment.damaged(line.offset));
        }
        open = Some((line.segment, segment));
    }
    Ok(())
}
