//! What a SEARCH has found, and how it is told.

use std::fmt::Write;

use crate::{
    imap::{command::SearchReturn, reply::Out},
    mail::mailbox::{ModSeq, Uid, Uids},
};

#[derive(Debug, Default)]
pub(super) struct Results {
    pub uids: Uids,
    /// Of the first, of the last and of all: the MODSEQ (RFC 7162 §3.1.5).
    first: Option<(Uid, ModSeq)>,
    last: Option<(Uid, ModSeq)>,
    highest: ModSeq,
}

#[derive(Clone, Copy)]
pub(super) struct Form {
    pub returns: SearchReturn,
    pub by_uid: bool,
    /// The search had a MODSEQ in it.
    pub modseq: bool,
}

impl Results {
    pub fn add(&mut self, uid: Uid, modseq: ModSeq) {
        self.uids.insert(uid);
        if self.first.is_none_or(|(first, _)| uid < first) {
            self.first = Some((uid, modseq));
        }
        if self.last.is_none_or(|(last, _)| last < uid) {
            self.last = Some((uid, modseq));
        }
        self.highest = self.highest.max(modseq);
    }

    /// RFC 9051 §7.3.4 in its old form.
    pub fn write_plain(&self, numbers: &Uids, modseq: bool, out: &mut Out) {
        out.text("* SEARCH");
        for number in numbers.iter() {
            let _ = write!(out, " {}", number.0);
        }
        if modseq && !numbers.is_empty() {
            let _ = write!(out, " (MODSEQ {})", self.highest.0);
        }
        out.text("\r\n");
    }

    /// ESEARCH (RFC 4731 §3.1). With SAVE alone nothing is told (RFC 5182 §2.1).
    pub fn write_extended(&self, numbers: &Uids, form: Form, tag: &[u8], out: &mut Out) {
        let SearchReturn { min, max, all, count, save } = form.returns;
        if save && !(min || max || all || count) {
            return;
        }
        out.text("* ESEARCH (TAG ");
        out.string(tag);
        out.text(")");
        out.text(if form.by_uid { " UID" } else { "" });
        for (asked, word, number) in [(min, "MIN", numbers.first()), (max, "MAX", numbers.last())] {
            if let (true, Some(number)) = (asked, number) {
                let _ = write!(out, " {word} {}", number.0);
            }
        }
        if all && !numbers.is_empty() {
            out.text(" ALL ");
            out.set(numbers);
        }
        if count {
            let _ = write!(out, " COUNT {}", numbers.count());
        }
        if form.modseq && !numbers.is_empty() {
            let _ = write!(out, " MODSEQ {}", self.modseq(form.returns).0);
        }
        out.text("\r\n");
    }

    /// RFC 7162 §3.1.5: of what is told.
    fn modseq(&self, returns: SearchReturn) -> ModSeq {
        let SearchReturn { min, max, all, count, .. } = returns;
        let ends = [self.first.filter(|_| min), self.last.filter(|_| max)];
        match all || count {
            true => self.highest,
            false => ends.into_iter().flatten().map(|(_, modseq)| modseq).max().unwrap_or_default(),
        }
    }

    /// RFC 5182 §2.4: of MIN and MAX alone only those are kept.
    pub fn saved(&self, returns: SearchReturn) -> Uids {
        let SearchReturn { min, max, all, count, .. } = returns;
        if all || count || !(min || max) {
            return self.uids.clone();
        }
        let ends = [self.uids.first().filter(|_| min), self.uids.last().filter(|_| max)];
        ends.into_iter().flatten().collect()
    }
}
