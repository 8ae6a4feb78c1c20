//! What a session shows of its state: how far it is, what it may read, how long it waits.

use super::{Session, policy::Options};
use crate::{limits::COMMAND_ROOM, time::Duration};

impl Session {
    /// Where a transaction stands, by its last command; `None` where none is open.
    pub fn stage(&self) -> Option<&'static str> {
        match self {
            Session::Open(..) => Some("MAIL"),
            Session::Resolving(..) => Some("RCPT"),
            Session::Data(..) => Some("DATA"),
            Session::Chunk(..) | Session::Chunks(..) | Session::Skipping(..) => Some("BDAT"),
            Session::Idle(_) | Session::Committing(..) | Session::Closed => None,
        }
    }

    /// Octets of a body are expected, refused ones included, or the store is at work on them.
    pub fn is_in_body(&self) -> bool {
        matches!(
            self,
            Session::Data(..)
                | Session::Chunk(..)
                | Session::Skipping(..)
                | Session::Committing(..)
        )
    }

    /// Octets of a body that lie in the session, in memory.
    pub fn held(&self) -> usize {
        match self {
            Session::Data(_, incoming, _)
            | Session::Chunk(_, incoming, _)
            | Session::Chunks(_, incoming) => incoming.unspooled(),
            _ => 0,
        }
    }

    /// Octets the next read should have room for; `None`: not to be read now.
    pub fn room(&self) -> Option<usize> {
        match self {
            Session::Idle(_) | Session::Open(..) | Session::Chunks(..) => Some(COMMAND_ROOM),
            Session::Data(_, incoming, _) | Session::Chunk(_, incoming, _) => Some(incoming.room()),
            Session::Skipping(_, skip) => Some(skip.room()),
            Session::Resolving(..) | Session::Committing(..) | Session::Closed => None,
        }
    }

    /// How long the present wait for the client may last.
    pub fn timeout(&self, options: &Options) -> Duration {
        match self {
            Session::Idle(_) | Session::Open(..) | Session::Chunks(..) => options.command_timeout,
            Session::Data(..) | Session::Chunk(..) | Session::Skipping(..) => options.data_timeout,
            Session::Resolving(..) | Session::Committing(..) | Session::Closed => Duration::MAX,
        }
    }
}
