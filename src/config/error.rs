//! What is wrong with a configuration: every fault with its file, its line and its key.

use std::{borrow::Cow, fmt};

/// All that is wrong with one file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Error {
    pub file: String,
    /// In the order of their lines; never empty.
    pub faults: Vec<Fault>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// From 1; `None` when the value did not come from the file.
    pub line: Option<usize>,
    pub trouble: Trouble,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    #[error("this is not TOML: {0}")]
    Syntax(String),
    #[error("{key} is no key of this build; {hint}")]
    Unknown { key: String, hint: String },
    #[error("{key} is missing; expected {expected}")]
    Missing { key: String, expected: Cow<'static, str> },
    #[error("{key} is {found}; expected {expected}")]
    Wrong { key: String, found: String, expected: Cow<'static, str> },
    #[error("{key} is {found}; this build has no {what} yet: {instead}")]
    NotBuilt { key: String, found: String, what: &'static str, instead: &'static str },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            match fault.line {
                Some(line) => write!(f, "{}:{line}: {}", self.file, fault.trouble)?,
                None => write!(f, "{}: {}", self.file, fault.trouble)?,
            }
        }
        Ok(())
    }
}
