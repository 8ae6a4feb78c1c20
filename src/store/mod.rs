//! The store's format and the changes made to it, pure: what lies in which row, and which rows a
//! change of the queue puts and deletes. `shell/lmdb` only carries rows. `docs/STORAGE.md` draws
//! the format.

pub mod change;
pub mod checksum;
pub mod gather;
pub mod key;
pub mod load;
pub mod record;
pub mod room;

pub use change::{Accept, Change, Rows, Settle, StoreError, Table, write_batch};
pub use load::{AgendaEntry, Load, Loaded, Reads};
