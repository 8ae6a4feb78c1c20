//! The store's format and the changes made to it, pure: what lies in which row, and which rows a
//! change of the queue puts and deletes. `shell/lmdb` only carries rows. `docs/STORAGE.md` draws
//! the format.

pub mod change;
pub mod key;
pub mod load;
pub mod record;

pub use change::{Accept, Change, Rows, Settle, StoreError, Table};
pub use load::{AgendaEntry, Load, Loaded};
