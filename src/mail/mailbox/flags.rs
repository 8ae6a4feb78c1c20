//! Flags of a message: the system's in a few bits, a mailbox's keywords in one word.

use bytes::Bytes;

use crate::limits::KEYWORD_MAX;

/// The system flags of RFC 3501 §2.3.2, less `\Recent`, which no message keeps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(u8);

/// Of a mailbox's list of keywords, those that a message has: bit `n` is number `n` of the list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Keywords(pub u64);

/// A flag that a client made up: an atom (RFC 3501 §2.3.2), equal to others whatever its case.
#[derive(Clone, Debug)]
pub struct Keyword(Bytes);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a keyword is an atom of at most {KEYWORD_MAX} characters, like $Forwarded")]
pub struct KeywordError;

impl Flags {
    pub const SEEN: Flags = Flags(1);
    pub const ANSWERED: Flags = Flags(2);
    pub const FLAGGED: Flags = Flags(4);
    pub const DELETED: Flags = Flags(8);
    pub const DRAFT: Flags = Flags(16);

    /// Every flag with its name, in the order of their bits.
    pub const ALL: [(Flags, &str); 5] = [
        (Flags::SEEN, "\\Seen"),
        (Flags::ANSWERED, "\\Answered"),
        (Flags::FLAGGED, "\\Flagged"),
        (Flags::DELETED, "\\Deleted"),
        (Flags::DRAFT, "\\Draft"),
    ];

    pub const fn bits(self) -> u8 {
        self.0
    }

    /// `None` where a bit has no meaning.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits < 32).then_some(Self(bits))
    }

    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

impl Keyword {
    pub fn parse(text: Bytes) -> Result<Self, KeywordError> {
        let atom = |octet: &u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(octet);
        let fits = !text.is_empty() && text.len() <= KEYWORD_MAX && text.iter().all(atom);
        if fits { Ok(Self(text)) } else { Err(KeywordError) }
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}
