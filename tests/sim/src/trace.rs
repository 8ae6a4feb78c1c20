//! The trace of a run: every line goes into a hash, the last ones are kept for whoever asks why.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use crate::time::Instant;

/// Lines kept for a failure's report.
const KEPT: usize = 48;

/// What happened, in order. Two runs of one seed have the same hash, or the seed means nothing.
pub struct Trace {
    hash: u64,
    lines: u64,
    last: VecDeque<String>,
    /// Every line goes to standard output too.
    pub aloud: bool,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hash: OFFSET, lines: 0, last: VecDeque::new(), aloud: false }
    }
}

impl Trace {
    pub fn line(&mut self, at: Instant, what: fmt::Arguments<'_>) {
        let mut line = match self.last.len() {
            KEPT => self.last.pop_front().unwrap_or_default(),
            _ => String::new(),
        };
        line.clear();
        let seconds = at.as_micros() / 1_000_000;
        // Writing to a `String` does not fail.
        let _ = write!(line, "{seconds:>7}.{:06} {what}", at.as_micros() % 1_000_000);
        if self.aloud {
            // Whoever has closed it does not want more; the run goes on as it would.
            self.aloud = writeln!(io::stdout(), "{line}").is_ok();
        }
        self.hash = hashed(self.hash, line.as_bytes());
        self.lines += 1;
        self.last.push_back(line);
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn lines(&self) -> u64 {
        self.lines
    }

    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}

/// Octets in a line of the trace: how many, and a hash of them.
pub struct Octets<'a>(pub &'a [u8]);

impl fmt::Display for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:08x}", self.0.len(), hashed(OFFSET, self.0) as u32)?;
        let end = self.0.iter().position(|&b| b == b'\r' || b == b'\n').unwrap_or(self.0.len());
        write!(f, " {}", self.0[..end.min(60)].escape_ascii())
    }
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
fn hashed(hash: u64, octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(hash, |hash, &octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3))
}
