//! LIST and LSUB, with RFC 5258 (LIST-EXTENDED), RFC 5819 (LIST-STATUS) and RFC 6154 (SPECIAL-USE).

use std::collections::BTreeSet;

use super::{
    command::List,
    names,
    reply::{Out, Reply},
    session::{Answer, Job as Jobs, Next, Tell, Turn},
    status,
};
use crate::mail::mailbox::{AccountId, Ask, Folder, Found, MailboxName};

/// Gathers the account's names (at most `FOLDERS_MAX`), as what lies below a name may be far
/// behind it, then tells those that are asked for.
#[derive(Debug)]
pub(super) struct Job {
    account: AccountId,
    request: List,
    folders: Vec<Folder>,
    lines: std::vec::IntoIter<Line>,
}

/// One name to be told.
#[derive(Debug)]
struct Line {
    /// Of `folders`; none for a name that only lies above one.
    folder: Option<usize>,
    name: MailboxName,
    /// Mailboxes lie below it, and not only names that were subscribed to (RFC 3348 §3).
    children: bool,
    /// A name below it has been subscribed to, and is not told itself.
    child_subscribed: bool,
}

pub(super) fn begin(account: AccountId, request: List, turn: &mut Turn) -> Next {
    // RFC 9051 §6.3.9: an empty name asks for the delimiter.
    // RFC 5258 leaves that to the basic form.
    if !request.extended && request.patterns.iter().all(String::is_empty) {
        let word = if request.lsub { "LSUB" } else { "LIST" };
        turn.out().text(format!("* {word} (\\Noselect) \"/\" \"\"\r\n"));
        return Next::End(Reply::ok("That is all"), Tell::all(false));
    }
    let standing = request.return_status.is_some();
    if request.return_status.is_some_and(|items| items.highest_modseq) {
        turn.enable_condstore();
    }
    turn.ask(Ask::Folders { account, after: None, standing });
    Next::Wait(Jobs::List(Box::new(Job {
        account,
        request,
        folders: Vec::new(),
        lines: Vec::new().into_iter(),
    })))
}

impl Job {
    pub(super) fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        match answer {
            Answer::Found(Found::Folders { folders, more }) => {
                self.folders.extend(folders);
                let after = self.folders.last().map(|folder| folder.name.clone());
                if more && after.is_some() {
                    let standing = self.request.return_status.is_some();
                    turn.ask(Ask::Folders { account: self.account, after, standing });
                    return Next::Wait(Jobs::List(self));
                }
                self.lines = self.chosen().into_iter();
                self.tell(turn)
            }
            Answer::Sent => self.tell(turn),
            other => Next::unexpected(other),
        }
    }

    fn tell(mut self: Box<Self>, turn: &mut Turn) -> Next {
        while let Some(line) = self.lines.next() {
            self.write(&line, turn);
            if turn.is_full() {
                return Next::Rest(Jobs::List(self));
            }
        }
        Next::End(Reply::ok("That is all"), Tell::all(false))
    }

    /// The names that are asked for, in their order.
    fn chosen(&self) -> Vec<Line> {
        let patterns = self.request.patterns.iter();
        let patterns: Vec<String> =
            patterns.map(|pattern| format!("{}{pattern}", self.request.reference)).collect();
        let matches =
            |name: &MailboxName| patterns.iter().any(|one| names::matches(one, name.as_str()));
        let there = self.folders.iter().filter(|folder| folder.mailbox.is_some());
        let above: BTreeSet<MailboxName> = there.flat_map(names_above).collect();
        let selected = || self.folders.iter().filter(|folder| self.selects(folder, &above));
        let hidden = selected().filter(|folder| self.only_subscribed() && !matches(&folder.name));
        let above_hidden: BTreeSet<MailboxName> = hidden.flat_map(names_above).collect();
        let told = selected().map(|folder| &folder.name).filter(|name| matches(name));
        let mut told: BTreeSet<MailboxName> = told.cloned().collect();
        // RFC 3501 §6.3.9, RFC 5258 §3.1: a name is told for the sake of what lies below it.
        if self.request.lsub || self.request.recursive_match {
            told.extend(above_hidden.iter().filter(|name| matches(name)).cloned());
        }
        let line = |name: MailboxName| Line {
            folder: self.folders.binary_search_by(|folder| folder.name.cmp(&name)).ok(),
            children: above.contains(&name),
            child_subscribed: above_hidden.contains(&name),
            name,
        };
        told.into_iter().map(line).collect()
    }

    /// A name without messages is one only because of mailboxes below it.
    fn selects(&self, folder: &Folder, above: &BTreeSet<MailboxName>) -> bool {
        let there = folder.mailbox.is_some() || above.contains(&folder.name);
        let there = there || self.only_subscribed();
        there
            && (folder.subscribed || !self.only_subscribed())
            && (folder.special_use.is_some() || !self.request.only_special_use)
    }

    fn only_subscribed(&self) -> bool {
        self.request.only_subscribed || self.request.lsub
    }

    fn write(&self, line: &Line, turn: &mut Turn) {
        let utf8 = turn.peer.enabled.takes_utf8();
        let limit = turn.cx.options.message_size_max;
        let out = turn.out();
        out.text(if self.request.lsub { "* LSUB " } else { "* LIST " });
        let folder = line.folder.and_then(|index| self.folders.get(index));
        out.list(self.attributes(line, folder).into_iter().map(str::as_bytes));
        out.text(" \"/\" ");
        out.mailbox(line.name.as_str(), utf8);
        // RFC 5258 §3.5.
        if self.request.recursive_match && line.child_subscribed {
            out.text(" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        out.text("\r\n");
        if let (Some(items), Some(folder)) = (self.request.return_status, folder) {
            self.write_status(folder, items, limit, utf8, out);
        }
    }

    fn write_status(
        &self,
        folder: &Folder,
        items: super::command::StatusItems,
        limit: u64,
        utf8: bool,
        out: &mut Out,
    ) {
        if let Some(standing) = &folder.standing {
            status::write(folder.name.as_str(), standing, items, limit, utf8, out);
        }
    }

    fn attributes(&self, line: &Line, folder: Option<&Folder>) -> Vec<&'static str> {
        let List { lsub, extended, only_subscribed, return_subscribed, .. } = self.request;
        let mut attributes = Vec::new();
        let selectable = folder.is_some_and(|folder| folder.mailbox.is_some());
        let subscribed = folder.is_some_and(|folder| folder.subscribed);
        match (lsub, extended) {
            // RFC 3501 §6.3.9: it is told for the sake of those below it.
            (true, _) if !subscribed => attributes.push("\\Noselect"),
            (true, _) => {}
            (false, true) if !selectable => attributes.push("\\NonExistent"),
            (false, false) if !selectable => attributes.push("\\Noselect"),
            (false, _) => {}
        }
        if !lsub {
            // RFC 3348.
            attributes.push(if line.children { "\\HasChildren" } else { "\\HasNoChildren" });
            if subscribed && (only_subscribed || return_subscribed) {
                attributes.push("\\Subscribed");
            }
            attributes.extend(folder.and_then(|folder| folder.special_use).map(|used| used.name()));
        }
        attributes
    }
}

fn names_above(folder: &Folder) -> impl Iterator<Item = MailboxName> + use<> {
    std::iter::successors(folder.name.parent(), MailboxName::parent)
}
