//! What goes into a step of a session and what comes out of it.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Job, append::Append, peer::Peer};
use crate::{
    imap::reply::{Out, Reply, sentence},
    limits::IMAP_UNSENT_MAX,
    mail::{
        Domain,
        mailbox::{
            Account, Act, Ask, Done, Found, ModSeq, NewContent, StoreTrouble, Uids, Verdict,
        },
        sasl::Exchange,
    },
    time::{Duration, Now},
};

/// What a step may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub options: &'a Options,
    pub now: Now,
    /// Every session ends behind the command that it is at.
    pub draining: bool,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub hostname: String,
    /// Octets of a message that APPEND may bring.
    pub message_size_max: u64,
    /// Octets of an account that has no quota of its own; 0: no limit.
    pub quota: u64,
    /// LOGIN and AUTHENTICATE in clear text are for clients off loopback too.
    pub plaintext_login: bool,
    /// Of users who log in by a name without one.
    pub domain: Option<Domain>,
    /// How long a stranger may take for each step of its login.
    pub login_timeout: Duration,
    /// How long a client that is logged in may be silent. RFC 9051 §5.4: 30 minutes at least.
    pub idle_timeout: Duration,
}

/// What steps leave to be done: `out` is sent first, then come the effects in their order.
#[derive(Debug, Default)]
pub struct Steps {
    pub out: Out,
    pub effects: SmallVec<[Effect; 2]>,
}

/// One of `Ask`, `Act`, `Authenticate` and `ContentEnd` is open at a time.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answered by `Session::found`.
    Ask(Ask),
    /// Answered by `Session::done`; `Act::Announce` and `Act::Abandon` are not answered.
    Act(Act),
    /// To be checked off this thread, and in the same time where `account` is `None`; answered by
    /// `Session::authenticated`.
    Authenticate {
        user: Bytes,
        password: Bytes,
        account: Option<Box<Account>>,
    },
    /// A message of APPEND begins.
    ContentBegin,
    ContentOctets(Bytes),
    /// Answered by `Session::content`.
    ContentEnd,
    /// Behind `ContentBegin`, instead of `ContentEnd`: the message is not wanted any more.
    ContentAbandon,
    /// For the log.
    LoggedIn {
        user: Bytes,
    },
    /// For the log.
    LoginFailed {
        user: Bytes,
    },
    /// RFC 4978: all that follows `out` is deflated, both ways.
    Compress,
    /// Send what is there, then close.
    Close,
}

/// What a job waited for.
#[derive(Debug)]
pub(in crate::imap) enum Answer {
    Found(Found),
    Done(Done),
    Verdict(Verdict),
    Content(NewContent),
    Trouble(StoreTrouble),
    /// The client has what was put out.
    Sent,
}

/// What comes next in a command.
pub(in crate::imap) enum Next {
    /// A question is open.
    Wait(Job),
    /// More was put out than may wait: the job goes on when it is sent.
    Rest(Job),
    /// The command has come to its end; what changed in the mailbox may be told before that.
    End(Reply, Tell),
    /// The client is in IDLE.
    Idle,
    /// The client is to answer within AUTHENTICATE.
    Answer(Exchange),
    /// The client is within APPEND.
    Append(Box<Append>),
    /// The session has come to its end, which has been said.
    Close,
}

/// What may be told before the end of a command.
#[derive(Debug)]
pub(in crate::imap) enum Tell {
    Nothing,
    Changes(Box<Telling>),
}

/// How changes are told.
#[derive(Debug, Default)]
pub(in crate::imap) struct Telling {
    /// RFC 9051 §7.5.1: not while sequence numbers are in use.
    pub expunged: bool,
    /// Flags are told with UIDs.
    pub uids: bool,
    /// Changes of this command itself, told already or not wanted (STORE's `.SILENT`).
    pub own: Vec<ModSeq>,
    /// The MODSEQ of an own change is told all the same, to a client with CONDSTORE.
    pub own_modseq: bool,
    /// Messages whose flags are told even if nothing changed.
    pub echo: Uids,
}

/// One step of a command.
pub(in crate::imap) struct Turn<'a, 'b> {
    pub peer: &'a mut Peer,
    pub tag: &'a Bytes,
    pub cx: &'a Context<'b>,
    pub steps: &'a mut Steps,
}

impl Turn<'_, '_> {
    pub fn ask(&mut self, ask: Ask) {
        self.steps.effects.push(Effect::Ask(ask));
    }

    pub fn act(&mut self, act: Act) {
        self.steps.effects.push(Effect::Act(act));
    }

    pub fn out(&mut self) -> &mut Out {
        &mut self.steps.out
    }

    /// RFC 7162 §3.1: the client has shown that it knows MODSEQs, and is told where they stand.
    pub fn enable_condstore(&mut self) {
        if std::mem::replace(&mut self.peer.enabled.condstore, true) {
            return;
        }
        if let Some(view) = self.peer.view() {
            let code = format!("HIGHESTMODSEQ {}", view.readable.0);
            self.steps.out.untagged("OK", &code, "The last change");
        }
    }

    /// The client must take some of what it asked for first.
    pub fn is_full(&self) -> bool {
        self.peer.unsent + self.steps.out.len() >= IMAP_UNSENT_MAX
    }
}

impl Next {
    pub fn end(reply: Reply) -> Self {
        Next::End(reply, Tell::Nothing)
    }

    /// What is no answer to the question: our own fault, told as trouble.
    pub fn unexpected(answer: Answer) -> Self {
        match answer {
            Answer::Trouble(trouble) => Next::end(troubled(trouble)),
            Answer::Done(Done::Refused(refusal)) => Next::end(Reply::refused(refusal)),
            _ => Next::end(
                Reply::no("The answer does not fit the question; try again").code("SERVERBUG"),
            ),
        }
    }
}

/// The reply where the store has no answer.
pub(super) fn troubled(trouble: StoreTrouble) -> Reply {
    let reply = Reply::no(sentence(&trouble.to_string()));
    match trouble {
        StoreTrouble::Full | StoreTrouble::Failed => reply.code("UNAVAILABLE"),
        StoreTrouble::Damaged => reply.code("CORRUPTION"),
    }
}

impl Tell {
    /// All that has changed.
    pub fn all(uids: bool) -> Self {
        Tell::Changes(Box::new(Telling { expunged: true, uids, ..Telling::default() }))
    }

    /// All but what would change sequence numbers.
    pub fn numbered() -> Self {
        Tell::Changes(Box::default())
    }
}
