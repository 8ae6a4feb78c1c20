//! A command under way: what it waits for, and who goes on with it.

use bytes::Bytes;

use super::{
    append::Append,
    expunge, folders, login, quota, select,
    step::{Answer, Next, Turn},
    store, tell,
};
use crate::{
    imap::{
        fetch,
        frame::Frame,
        list,
        reply::{Reply, sentence},
        search, status,
    },
    mail::text::CHARSETS,
};

/// A command under way.
pub struct Work {
    pub(super) tag: Bytes,
    pub(super) job: Job,
}

/// What a command waits for, and what it does with it.
pub(in crate::imap) enum Job {
    Login(login::Attempt),
    Plain(folders::Plain),
    Select(Box<select::Selecting>),
    Status(status::Job),
    List(Box<list::Job>),
    Quota(quota::Job),
    Append(Box<Append>),
    Expunge(Box<expunge::Job>),
    Store(Box<store::Job>),
    Copy(Box<store::Copying>),
    Fetch(Box<fetch::Job>),
    Search(Box<search::Job>),
    Tell(Box<tell::Job>),
}

impl Job {
    pub(super) fn answered(self, answer: Answer, turn: &mut Turn) -> Next {
        match self {
            Job::Login(job) => job.answered(answer, turn),
            Job::Plain(job) => job.answered(answer, turn),
            Job::Select(job) => job.answered(answer, turn),
            Job::Status(job) => job.answered(answer, turn),
            Job::List(job) => job.answered(answer, turn),
            Job::Quota(job) => job.answered(answer, turn),
            Job::Append(job) => job.answered(answer, turn),
            Job::Expunge(job) => job.answered(answer, turn),
            Job::Store(job) => job.answered(answer, turn),
            Job::Copy(job) => job.answered(answer, turn),
            Job::Fetch(job) => job.answered(answer, turn),
            Job::Search(job) => job.answered(answer, turn),
            Job::Tell(job) => job.answered(answer, turn),
        }
    }
}

/// The end of a command that could not begin.
pub(super) fn refusal(frame: Frame) -> Option<(Bytes, Reply)> {
    Some(match frame {
        Frame::Bad { tag, text } => (tag.unwrap_or_default(), Reply::bad(sentence(text))),
        Frame::TooBig { tag, text } => {
            (tag.unwrap_or_default(), Reply::no(sentence(text)).code("LIMIT"))
        }
        // RFC 9051 §6.4.4.
        Frame::BadCharset { tag, .. } => {
            let code = format!("BADCHARSET ({})", CHARSETS.join(" "));
            (tag, Reply::no("That charset is not known").code(code))
        }
        Frame::BadName { tag, error } => {
            (tag, Reply::no(sentence(&error.to_string())).code("CANNOT"))
        }
        // RFC 6154 §3.
        Frame::BadUse { tag } => {
            (tag, Reply::no("There is no such special use here").code("USEATTR"))
        }
        _ => return None,
    })
}
