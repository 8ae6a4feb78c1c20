//! The store's format and the changes made to it, pure: what lies in which row, and which rows a
//! change of the queue puts and deletes. `shell/lmdb` only carries rows. `docs/STORAGE.md` draws
//! the format.

pub mod backup;
pub mod change;
pub mod checksum;
pub mod content;
pub mod gather;
pub mod key;
pub mod load;
pub mod mailbox;
pub mod record;
pub mod room;
mod table;

pub use change::{Accept, Change, Settle, StoreError, Written, write_batch};
pub use load::{AgendaEntry, Load, Loaded};
pub use table::{Reads, Rows, Table};
