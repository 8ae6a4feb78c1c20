//! What the server says: replies gathered as short text and slices of messages.

use std::{borrow::Cow, fmt::Write};

use super::set;
pub use crate::mail::Out;
use crate::{
    limits::QUOTED_MAX,
    mail::{
        date::Date,
        mailbox::{Flags, Keyword, Keywords, MailboxName, Refusal, Uids},
        utf7,
    },
    time::Wall,
};

/// A status response (RFC 9051 §7.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub status: Status,
    pub code: Code,
    pub text: Cow<'static, str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Ok,
    No,
    Bad,
}

/// A response code, without its brackets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Code {
    None,
    Is(Cow<'static, str>),
    /// `HIGHESTMODSEQ`, as it is when the reply is written.
    HighestModSeq,
}

/// How IMAP writes what it says.
impl Out {
    /// RFC 9051 §4.3: quoted where that can be, else a literal. NUL is in neither.
    pub fn string(&mut self, text: &[u8]) {
        let quotable = |octet: &u8| octet.is_ascii() && !b"\r\n\0".contains(octet);
        if text.len() <= QUOTED_MAX && text.iter().all(quotable) {
            return self.quoted(text);
        }
        let text: Vec<u8> = text.iter().copied().filter(|octet| *octet != 0).collect();
        let _ = write!(self, "{{{}}}\r\n", text.len());
        self.text(&text);
    }

    fn quoted(&mut self, text: &[u8]) {
        self.text("\"");
        for octet in text {
            if matches!(octet, b'"' | b'\\') {
                self.text("\\");
            }
            self.text([*octet]);
        }
        self.text("\"");
    }

    /// A mailbox name: as it is to a client that takes UTF-8, else in modified UTF-7
    /// (RFC 3501 §5.1.3).
    pub fn mailbox(&mut self, name: &str, utf8: bool) {
        let wire = if utf8 { Cow::Borrowed(name) } else { Cow::Owned(utf7::encode(name)) };
        let atom = |octet: u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet);
        if !wire.is_empty() && wire.bytes().all(atom) && !wire.eq_ignore_ascii_case("NIL") {
            self.text(&*wire);
        } else {
            self.quoted(wire.as_bytes());
        }
    }

    /// Numbers as a sequence set, in the shortest form.
    pub fn set(&mut self, numbers: &Uids) {
        let mut text = Vec::new();
        set::write(numbers, &mut text);
        self.text(text);
    }

    /// A message's flags in parentheses; `names` are the mailbox's keywords.
    pub fn flags(&mut self, flags: Flags, keywords: Keywords, recent: bool, names: &[Keyword]) {
        let system = Flags::ALL.iter().filter(|(flag, _)| flags.contains(*flag));
        let system = system.map(|(_, name)| name.as_bytes());
        let made_up = names.iter().take(64).enumerate();
        let made_up = made_up.filter(|(number, _)| keywords.0 >> number & 1 == 1);
        let all = system.chain(made_up.map(|(_, name)| &**name.as_bytes()));
        self.list(all.chain(recent.then_some(&b"\\Recent"[..])));
    }

    /// Words in parentheses.
    pub fn list<'a>(&mut self, words: impl Iterator<Item = &'a [u8]>) {
        self.text("(");
        for (place, word) in words.enumerate() {
            if place > 0 {
                self.text(" ");
            }
            self.text(word);
        }
        self.text(")");
    }

    /// RFC 9051 §9 `date-time`, in UTC.
    pub fn date_time(&mut self, wall: Wall) {
        let date = Date::of(wall);
        let text = date.as_bytes();
        self.text("\"");
        for (piece, divider) in [(5..7, b'-'), (8..11, b'-'), (12..16, b' '), (17..25, b' ')] {
            self.text(&text[piece]);
            self.text([divider]);
        }
        self.text(&text[26..31]);
        self.text("\"");
    }

    /// An untagged status: `OK`, `NO` or `BYE` with a code or without one.
    pub fn untagged(&mut self, status: &str, code: &str, text: &str) {
        let _ = match code {
            "" => write!(self, "* {status} {text}\r\n"),
            code => write!(self, "* {status} [{code}] {text}\r\n"),
        };
    }

    /// The line that ends a command.
    pub fn tagged(&mut self, tag: &[u8], reply: &Reply, highest_modseq: u64) {
        self.text(if tag.is_empty() { b"*" } else { tag });
        let _ = write!(self, " {} ", reply.status.name());
        let _ = match &reply.code {
            Code::None => Ok(()),
            Code::Is(code) => write!(self, "[{code}] "),
            Code::HighestModSeq => write!(self, "[HIGHESTMODSEQ {highest_modseq}] "),
        };
        self.text(&*reply.text);
        self.text("\r\n");
    }
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::No => "NO",
            Status::Bad => "BAD",
        }
    }
}

impl Reply {
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self { status: Status::Ok, code: Code::None, text: text.into() }
    }

    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self { status: Status::No, code: Code::None, text: text.into() }
    }

    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self { status: Status::Bad, code: Code::None, text: text.into() }
    }

    pub fn code(self, code: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Code::Is(code.into()), ..self }
    }

    /// What the store would not do, with the codes of RFC 5530 and RFC 9051 §7.1.
    pub fn refused(refusal: Refusal) -> Self {
        let reply = Self::no(sentence(&refusal.to_string()));
        match refusal {
            Refusal::NoMailbox => reply.code("NONEXISTENT"),
            Refusal::Exists => reply.code("ALREADYEXISTS"),
            Refusal::Inbox | Refusal::Name => reply.code("CANNOT"),
            Refusal::HasChildren => reply.code("HASCHILDREN"),
            Refusal::OverQuota => reply.code("OVERQUOTA"),
            Refusal::Keywords | Refusal::Mailboxes | Refusal::Uids => reply.code("LIMIT"),
            Refusal::NoAddress => reply,
            Refusal::Damaged => reply.code("CORRUPTION"),
        }
    }

    /// The same where a mailbox is to be put into: RFC 9051 §6.3.12, §6.4.7.
    pub fn refused_into(refusal: Refusal, to: &MailboxName) -> Self {
        match refusal {
            Refusal::NoMailbox => Self::no(format!("There is no mailbox {}; CREATE it first", {
                utf7::encode(to.as_str())
            }))
            .code("TRYCREATE"),
            other => Self::refused(other),
        }
    }
}

/// An error's text as the client reads it.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
