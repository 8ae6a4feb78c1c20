//! Mail as people read it, for searches: header fields, encoded words, transfer encodings,
//! charsets, dates, and finding a text in all that.
//!
//! Nothing here fails on what strangers write. Octets that make no sense stay as they are or
//! become U+FFFD, and what streams by is looked at in pieces of a bounded size.

mod charset;
mod date;
mod fields;
mod finder;
mod needle;
mod transfer;
mod words;

pub use charset::{CHARSETS, to_utf8};
pub use date::{SentDate, parse_date};
pub use fields::{Field, fields};
pub use finder::Finder;
pub use needle::Needle;
pub use transfer::{Decoder, Undecodable};
pub use words::decode_words;
