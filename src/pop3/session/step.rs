//! What goes into a step of a session and what comes out of it.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::mail::{
    Domain, Out,
    mailbox::{Account, Act, Ask},
};

/// The configuration of the server's sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub hostname: String,
    /// A password may come in clear text from another machine too.
    pub plaintext_login: bool,
    /// Of users who log in by a name without one.
    pub domain: Option<Domain>,
}

/// What a step may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub options: &'a Options,
    /// Every session ends behind its command.
    pub draining: bool,
}

/// What steps leave to be done: what was put out is sent first, then come the effects.
#[derive(Debug, Default)]
pub struct Steps {
    pub out: Out,
    pub effects: SmallVec<[Effect; 2]>,
}

/// Of `Ask`, `Act` and `Authenticate` a session has one open at a time.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answered by `Session::found`.
    Ask(Ask),
    /// Answered by `Session::done`, when it is on stable storage.
    Act(Act),
    /// Answered by `Session::authenticated`. A name without an account is to be checked too, in
    /// the same time, so that nobody learns which ones there are.
    Authenticate { user: Bytes, password: Bytes, account: Option<Box<Account>> },
    /// For the log.
    LoggedIn { user: Bytes },
    /// For the log.
    LoginFailed { user: Bytes },
    /// Send what was put out, then close.
    Close,
}
