//! The format of a backup, pure: blocks behind checksums, rows in them, an index of what is in
//! which segment. `shell/backup` reads and writes the files; `docs/BACKUP.md` draws them.

pub mod block;
mod index;
mod manifest;
mod moving;
mod rows;

pub use index::{Located, UnitHead, UnitKind, located, put_located};
pub use manifest::{End, FileHead, Segment, put_segments, segments};
pub use moving::worth_moving;
pub use rows::{Malformed, RowIter, is_sound, pack, put_row, unpack};

use super::Table;

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

/// The number of the manifest among the files of a backup; segments begin with 1.
pub const MANIFEST: u32 = 0;

/// The tables that a manifest holds whole, in its order. Contents and bodies lie in segments, and
/// of what has not arrived yet nobody was promised anything.
pub fn tables() -> impl Iterator<Item = Table> {
    Table::ALL.into_iter().filter(|table| {
        !matches!(
            table,
            Table::Body | Table::Spool | Table::Summary | Table::Content | Table::Arriving
        )
    })
}
