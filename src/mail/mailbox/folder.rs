//! Folders: the names under which an account's mailboxes are found.

use std::{fmt, sync::Arc};

use super::{MailboxId, Standing};
use crate::limits::{MAILBOX_LEVELS_MAX, MAILBOX_NAME_MAX};

/// A folder's whole name in UTF-8, its levels divided by `/`. It is a key of the store and never
/// a path of the file system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(Arc<str>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    #[error("a mailbox name has at most {MAILBOX_NAME_MAX} octets; choose a shorter one")]
    TooLong,
    #[error("a mailbox name has at most {MAILBOX_LEVELS_MAX} levels; choose a flatter one")]
    TooDeep,
    #[error("a level of a mailbox name is empty; name each level between two slashes")]
    EmptyLevel,
    #[error("a mailbox name holds a control character; leave it out")]
    Control,
}

/// What a folder is used for (RFC 6154 §2, RFC 8457).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SpecialUse {
    All,
    Archive,
    Drafts,
    Flagged,
    Junk,
    Sent,
    Trash,
    Important,
}

/// One name of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folder {
    pub name: MailboxName,
    /// `None`: a name that was subscribed to and is no mailbox, or one that only has others below
    /// it.
    pub mailbox: Option<MailboxId>,
    pub subscribed: bool,
    pub special_use: Option<SpecialUse>,
    /// How the mailbox stands, where that was asked for.
    pub standing: Option<Box<Standing>>,
}

impl MailboxName {
    /// RFC 3501 §5.1: `INBOX` is one mailbox however it is written, on its first level.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > MAILBOX_NAME_MAX {
            return Err(NameError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        let mut levels = 0;
        for level in text.split('/') {
            if level.is_empty() {
                return Err(NameError::EmptyLevel);
            }
            levels += 1;
        }
        if levels > MAILBOX_LEVELS_MAX {
            return Err(NameError::TooDeep);
        }
        let first = text.split('/').next().unwrap_or_default();
        if first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
            return Ok(Self(format!("INBOX{}", &text[first.len()..]).into()));
        }
        Ok(Self(text.into()))
    }

    pub fn inbox() -> Self {
        Self("INBOX".into())
    }

    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name one level up.
    pub fn parent(&self) -> Option<MailboxName> {
        self.0.rsplit_once('/').map(|(above, _)| Self(above.into()))
    }

    /// It lies below `other`, at any depth.
    pub fn is_below(&self, other: &MailboxName) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// This name with `from`, above it or itself, replaced by `to`; `None` when it is not there
    /// or the new name cannot be.
    pub fn moved(&self, from: &MailboxName, to: &MailboxName) -> Option<MailboxName> {
        let rest = self.0.strip_prefix(&*from.0)?;
        Self::parse(&format!("{to}{rest}")).ok()
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl SpecialUse {
    /// Every use with its attribute, in the order of their numbers on disk.
    pub const ALL: [(SpecialUse, &str); 8] = [
        (SpecialUse::All, "\\All"),
        (SpecialUse::Archive, "\\Archive"),
        (SpecialUse::Drafts, "\\Drafts"),
        (SpecialUse::Flagged, "\\Flagged"),
        (SpecialUse::Junk, "\\Junk"),
        (SpecialUse::Sent, "\\Sent"),
        (SpecialUse::Trash, "\\Trash"),
        (SpecialUse::Important, "\\Important"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub fn parse(text: &[u8]) -> Option<Self> {
        let named = |(_, name): &&(SpecialUse, &str)| name.as_bytes().eq_ignore_ascii_case(text);
        Self::ALL.iter().find(named).map(|(special_use, _)| *special_use)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(MAILBOX_NAME_MAX + 1);
        let deep = ["a"; MAILBOX_LEVELS_MAX + 1].join("/");
        for (text, want) in [
            ("inbox", Ok("INBOX")),
            ("iNbOx/a", Ok("INBOX/a")),
            ("inboxes", Ok("inboxes")),
            ("a/inbox", Ok("a/inbox")),
            ("..", Ok("..")),
            ("a/../b", Ok("a/../b")),
            ("Entwürfe", Ok("Entwürfe")),
            ("", Err(NameError::EmptyLevel)),
            ("a//b", Err(NameError::EmptyLevel)),
            ("/a", Err(NameError::EmptyLevel)),
            ("a/", Err(NameError::EmptyLevel)),
            ("a\0b", Err(NameError::Control)),
            ("a\r\nb", Err(NameError::Control)),
            (&long, Err(NameError::TooLong)),
            (&deep, Err(NameError::TooDeep)),
        ] {
            assert_eq!(
                MailboxName::parse(text).as_ref().map(MailboxName::as_str),
                want.as_ref().map(|n| *n),
                "{text}"
            );
        }
    }

    #[test]
    fn families() {
        let name = |text| MailboxName::parse(text).unwrap();
        assert!(name("a/b/c").is_below(&name("a")) && !name("ab").is_below(&name("a")));
        assert!(!name("a").is_below(&name("a")));
        assert_eq!(name("a/b").parent(), Some(name("a")));
        assert_eq!(name("a").parent(), None);
        assert_eq!(name("a/b").moved(&name("a"), &name("x/y")), Some(name("x/y/b")));
        assert_eq!(name("ab").moved(&name("c"), &name("x")), None);
    }
}
