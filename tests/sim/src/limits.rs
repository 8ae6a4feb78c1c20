//! The bounds of the house, with those of memory so small that a short simulation meets them.
//!
//! What stands here hides the bound of the same name in the house's own list. Times are the
//! house's own: a simulation has all the time it wants.

// Those that are hidden below are used by nobody.
#[allow(dead_code)]
#[path = "../../../src/limits.rs"]
mod house;

pub use house::*;

pub const PARCEL_RECIPIENTS_MAX: usize = 4;
pub const BODY_ROOM_FIRST: usize = 2 * 1024;
pub const BODY_ROOM_MAX: usize = 5 * 1024;
pub const SPOOL_THRESHOLD: usize = 8 * 1024;
pub const SPOOL_IN_FLIGHT_MAX: usize = 2 * SPOOL_THRESHOLD;
pub const BODY_MEMORY_MAX: usize = 96 * 1024;
pub const LOAD_BODY_MAX: usize = 6 * 1024;
pub const PAGE_BODIES: usize = 16 * 1024;
pub const STORE_IN_FLIGHT_MAX: usize = 12;
pub const LOAD_IN_FLIGHT_MAX: usize = 4;
pub const BATCH_CHANGES_MAX: usize = 16;
pub const WINDOW_MAX: usize = 40;
pub const WINDOW_PER_DESTINATION: usize = 12;
pub const WINDOW_LOW: usize = 6;
pub const PAGE_PARCELS: usize = 5;
pub const AGENDA_MAX: usize = 8;
pub const AGENDA_PAGE: usize = 3;
pub const HOSTS_MAX: usize = 6;
pub const MX_MAX: usize = 4;
pub const DNS_IN_FLIGHT_MAX: usize = 10;
pub const DNS_WAITING_MAX: usize = WINDOW_MAX;
pub const DNS_CACHE_ENTRIES_MIN: usize = 4 * DNS_IN_FLIGHT_MAX;
pub const DNS_CACHE_SWEEP: usize = 8;
pub const CONTENT_CHUNK: usize = 2 * BODY_ROW - 1;
pub const LOCAL_IN_FLIGHT_MAX: usize = 3;
pub const LISTED_MAX: usize = 4;
pub const EDITED_AT_ONCE: usize = 3;
pub const LISTED_OCTETS: usize = 3 * CONTENT_CHUNK;
pub const IMAP_UNSENT_MAX: usize = LISTED_OCTETS;
pub const CHANGES_PAGE: usize = 5;
pub const FOLDERS_PAGE: usize = 3;
pub const EXPUNGES_REMEMBERED: u32 = 4;
pub const CLEARED_ROWS_MAX: usize = 60;
pub const SECRETS_IN_FLIGHT_MAX: usize = 2;
pub const MARKS_UIDS: u32 = 64;
pub const POP3_BACKLOG_MAX: usize = 2 * CONTENT_CHUNK;

const _: () = assert!(COMMAND_ROOM <= BODY_ROOM_FIRST && BODY_ROOM_FIRST <= BODY_ROOM_MAX);
const _: () = assert!(BODY_ROW <= BODY_ROOM_MAX);
const _: () = assert!(SPOOL_IN_FLIGHT_MAX < BODY_MEMORY_MAX);
const _: () = assert!(PAGE_PARCELS <= WINDOW_LOW && WINDOW_LOW < WINDOW_PER_DESTINATION);
const _: () = assert!(WINDOW_PER_DESTINATION < WINDOW_MAX);
const _: () = assert!(1 + 2 * MX_MAX < DNS_IN_FLIGHT_MAX);
const _: () = assert!(CONTENT_CHUNK <= LISTED_OCTETS && SLICE_MIN < CONTENT_CHUNK);
const _: () = assert!(COMMAND_ROOM < IMAP_UNSENT_MAX && LISTED_OCTETS <= IMAP_UNSENT_MAX);
const _: () = assert!(MARKS_UIDS.is_multiple_of(u64::BITS));
const _: () = assert!(DNS_CACHE_SWEEP < DNS_CACHE_ENTRIES_MIN);
