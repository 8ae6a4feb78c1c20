//! The commands of IMAP, parsed: what a client may ask for, in types that cannot be wrong.

use bytes::Bytes;

use crate::{
    mail::mailbox::{Flags, How, Keyword, MailboxName, ModSeq, SpecialUse, Uid},
    time::Wall,
};

/// One command. An `APPEND` comes in two pieces: its start here, its messages as they arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    pub tag: Bytes,
    pub request: Request,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    Capability,
    Noop,
    Logout,
    /// What the client says of itself; ends of it are kept for the log.
    Id(Vec<(Bytes, Option<Bytes>)>),
    StartTls,
    Login {
        user: Bytes,
        password: Bytes,
    },
    /// The mechanism in capitals; the initial response decoded.
    Authenticate {
        mechanism: Bytes,
        initial: Option<Bytes>,
    },
    /// In capitals.
    Enable(Vec<Bytes>),
    Select(Select),
    Create {
        name: MailboxName,
        special_use: Option<SpecialUse>,
    },
    Delete {
        name: MailboxName,
    },
    Rename {
        from: MailboxName,
        to: MailboxName,
    },
    Subscribe {
        name: MailboxName,
    },
    Unsubscribe {
        name: MailboxName,
    },
    List(Box<List>),
    Namespace,
    Status {
        name: MailboxName,
        items: StatusItems,
    },
    /// The messages follow: see `imap::frame`.
    Append {
        name: MailboxName,
    },
    Idle,
    Check,
    Close,
    Unselect,
    Expunge,
    UidExpunge {
        set: Set,
    },
    Search(Box<Search>),
    Fetch(Box<Fetch>),
    Store(Box<Store>),
    Copy {
        set: Set,
        by_uid: bool,
        to: MailboxName,
        moving: bool,
    },
    GetQuota {
        root: Bytes,
    },
    GetQuotaRoot {
        name: MailboxName,
    },
    SetQuota,
    CompressDeflate,
}

/// SELECT and EXAMINE with their parameters (RFC 7162 §3.1.8, §3.2.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Select {
    pub name: MailboxName,
    pub read_only: bool,
    pub condstore: bool,
    pub qresync: Option<Qresync>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Qresync {
    pub uid_validity: u32,
    pub modseq: ModSeq,
    pub known: Option<Set>,
    /// Sequence numbers and the UIDs that they had.
    pub matched: Option<(Set, Set)>,
}

/// A sequence set (RFC 9051 §9 `sequence-set`): ranges as they were written, `None` for `*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Set {
    Ranges(Vec<(Option<u32>, Option<u32>)>),
    /// `$`: the saved result of a search (RFC 5182).
    Saved,
}

/// LIST, LSUB and what RFC 5258, 5819, 6154 add. `XLIST` and `RLIST` are not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    pub reference: String,
    /// In UTF-8 whatever the wire's form was; `*` and `%` stand for themselves.
    pub patterns: Vec<String>,
    pub lsub: bool,
    /// Any selection option or RETURN was written: the reply is in the extended form.
    pub extended: bool,
    pub only_subscribed: bool,
    pub only_special_use: bool,
    pub recursive_match: bool,
    pub return_subscribed: bool,
    pub return_children: bool,
    pub return_special_use: bool,
    pub return_status: Option<StatusItems>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StatusItems {
    pub messages: bool,
    pub recent: bool,
    pub uid_next: bool,
    pub uid_validity: bool,
    pub unseen: bool,
    pub deleted: bool,
    pub size: bool,
    pub highest_modseq: bool,
    pub append_limit: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    pub set: Set,
    pub by_uid: bool,
    /// In the order they were written, macros resolved.
    pub items: Vec<FetchItem>,
    pub changed_since: Option<ModSeq>,
    /// RFC 7162 §3.2.6.
    pub vanished: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchItem {
    Uid,
    Flags,
    ModSeq,
    InternalDate,
    Size,
    Envelope,
    /// BODYSTRUCTURE, or BODY without its extension data.
    Structure {
        extended: bool,
    },
    Body(BodyItem),
}

/// `BODY[…]<…>`, `RFC822…`, `BINARY[…]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BodyItem {
    pub form: BodyForm,
    /// Part numbers; empty: the message itself.
    pub part: Vec<u32>,
    pub section: Section,
    /// `\Seen` is left as it is.
    pub peek: bool,
    /// First octet and count.
    pub partial: Option<(u64, u64)>,
}

/// How a body was asked for, which is how it is named in the reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyForm {
    Body,
    /// `RFC822`, `RFC822.HEADER`, `RFC822.TEXT`, by section.
    Rfc822,
    /// Decoded (RFC 3516).
    Binary,
    BinarySize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Section {
    /// Header and body; of a numbered part its body.
    Whole,
    Header,
    /// Field names as they were written; `not`: all but these.
    Fields {
        names: Vec<Bytes>,
        not: bool,
    },
    Text,
    Mime,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    pub set: Set,
    pub by_uid: bool,
    pub how: How,
    pub silent: bool,
    pub flags: Flags,
    pub keywords: Vec<Keyword>,
    pub unchanged_since: Option<ModSeq>,
}

/// One message of an APPEND, up to its literal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Appended {
    pub flags: Flags,
    pub keywords: Vec<Keyword>,
    /// `None`: now.
    pub received: Option<Wall>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search {
    pub by_uid: bool,
    /// RFC 4731, RFC 5182; `None`: the plain SEARCH reply.
    pub returns: Option<SearchReturn>,
    /// In capitals; empty: none was named.
    pub charset: Bytes,
    pub key: SearchKey,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SearchReturn {
    pub min: bool,
    pub max: bool,
    pub all: bool,
    pub count: bool,
    pub save: bool,
}

/// A tree of at most `limits::SEARCH_KEYS_MAX` keys, at most `limits::SEARCH_DEPTH_MAX` deep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SearchKey {
    All,
    And(Vec<SearchKey>),
    Or(Box<(SearchKey, SearchKey)>),
    Not(Box<SearchKey>),
    Sequence(Set),
    Uid(Set),
    Flag(Flags),
    Keyword(Keyword),
    Recent,
    /// `NEW`: recent and not seen. `OLD` is `Not(Recent)`.
    /// Days since 1970 of INTERNALDATE, the time of the day and the zone left aside.
    Before(i64),
    On(i64),
    Since(i64),
    /// The same of the `Date:` field.
    SentBefore(i64),
    SentOn(i64),
    SentSince(i64),
    Larger(u64),
    Smaller(u64),
    /// Field name in lower case, text in UTF-8; an empty text asks for the field alone. FROM, TO,
    /// CC, BCC, SUBJECT are this too.
    Header {
        field: Bytes,
        text: String,
    },
    Body(String),
    Text(String),
    /// Seconds until now (RFC 5032).
    Older(u32),
    Younger(u32),
    ModSeq(ModSeq),
    /// `EMAILID` and the like are not known.
    None,
}

/// UIDs and sequence numbers share their form.
impl Set {
    /// The one number.
    pub fn one(uid: Uid) -> Self {
        Set::Ranges(vec![(Some(uid.0), Some(uid.0))])
    }
}
