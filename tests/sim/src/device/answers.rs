//! What a device makes of the ends of its commands.

use super::{
    Command, Cx, Device, View,
    words::{number_after, numbers_of},
};
use crate::{
    network::Parting,
    oracle::{Checked, broken},
    time::Duration,
};

/// How often a copy may differ before it is a fault: what is told may be a little behind.
const TRIES: u32 = 6;

impl Device {
    /// A command has come to its end.
    pub(super) fn ended(
        &mut self,
        command: Command,
        ok: bool,
        text: &str,
        cx: &mut Cx<'_>,
    ) -> Checked {
        if let Some(code) = text.strip_prefix('[') {
            self.code(code, cx)?;
        }
        match command {
            Command::Login { right } => return self.logged_in(right, ok, text, cx),
            Command::Select { name } => return self.selected(name, ok, text, cx),
            Command::Sync { tries } if ok => return self.synced(tries, cx),
            Command::Fill if ok => {
                self.refresh(0, cx);
                return Ok(());
            }
            Command::Append { token } => self.appended(token, ok, text, cx)?,
            Command::Store { uids, flags: Some(change), .. } if ok => {
                let refused = text.contains("[MODIFIED ");
                if let (Some(view), false) = (&mut self.view, refused) {
                    view.change(&uids, &change);
                }
                if refused {
                    // Which of them were is told in numbers or UIDs: it asks for all again.
                    cx.coverage.count("device: STORE finds what has changed since");
                    self.forget_flags();
                }
            }
            Command::Body { uid, .. } if ok => {
                let view = self.view.as_ref();
                let there =
                    view.is_some_and(|view| view.messages.iter().any(|m| m.uid == Some(uid)));
                let read = view.and_then(|view| view.read);
                if there && read != Some(uid) {
                    return broken(format!("{uid} is there for its client, and cannot be read"));
                }
            }
            Command::Logout => {
                self.finished = self.last && self.unseen.is_empty();
                self.mouth.over = true;
                cx.moves.part(Parting::Close);
                return Ok(());
            }
            _ if !ok => cx.coverage.count("device: told NO"),
            _ => {}
        }
        self.next(cx);
        Ok(())
    }

    fn forget_flags(&mut self) {
        for message in self.view.iter_mut().flat_map(|view| &mut view.messages) {
            message.flags = None;
        }
    }

    fn logged_in(&mut self, right: bool, ok: bool, text: &str, cx: &mut Cx<'_>) -> Checked {
        match (right, ok) {
            (true, true) => {
                cx.coverage.count("device: logs in");
                self.enable(cx);
            }
            (false, true) => return broken("a device logs in with a wrong password".into()),
            (false, false) => {
                cx.coverage.count("device: says a wrong password");
                self.log_in(cx);
            }
            (true, false) if text.contains("UNAVAILABLE") => {
                cx.coverage.count("device: its password cannot be checked now");
                self.log_in(cx);
            }
            (true, false) => return broken(format!("a right password is refused: {text}")),
        }
        Ok(())
    }

    fn selected(&mut self, name: &str, ok: bool, text: &str, cx: &mut Cx<'_>) -> Checked {
        if !ok {
            self.view = None;
            if text.contains("NONEXISTENT") {
                self.unseen.retain(|unseen| *unseen != name);
                self.copies.remove(name);
                if name == "INBOX" {
                    return broken("there is no INBOX".into());
                }
            }
            self.next(cx);
            return Ok(());
        }
        if let Some(view) = &mut self.view {
            if view.before.is_some() {
                cx.coverage.count("device: selects with what it knew");
            }
            view.selected()?;
        }
        self.refresh(0, cx);
        Ok(())
    }

    /// It should know all now.
    fn synced(&mut self, tries: u32, cx: &mut Cx<'_>) -> Checked {
        let Some(view) = &self.view else {
            self.next(cx);
            return Ok(());
        };
        let (Some(sight), Some(mailbox)) = (view.sight(), view.mailbox) else {
            self.refresh(tries, cx);
            return Ok(());
        };
        if cx.oracle.boxes.is_true(mailbox, &sight, self.asked) {
            cx.coverage.count("device: knows its folder");
            self.copies.insert(view.name.to_owned(), view.copy());
            let name = view.name;
            self.unseen.retain(|unseen| *unseen != name);
            self.next(cx);
            return Ok(());
        }
        if tries >= TRIES {
            return broken(format!(
                "a device believes that {} ({mailbox:?}) is {sight:?}, and it is {:?}",
                view.name,
                cx.oracle.boxes.sight(mailbox)
            ));
        }
        cx.coverage.count("device: looks again");
        let tries = if cx.excused { tries } else { tries + 1 };
        let pause = Duration::from_secs(if cx.excused { 300 } else { 2 });
        self.command_after(pause, Command::Sync { tries }, "NOOP", cx);
        Ok(())
    }

    fn appended(&mut self, token: u32, ok: bool, text: &str, cx: &mut Cx<'_>) -> Checked {
        if ok {
            cx.coverage.count("device: appends a message");
            let numbers = text.strip_prefix("[APPENDUID ").and_then(|rest| rest.split_once(']'));
            let place = numbers.and_then(|(numbers, _)| numbers.split_once(' '));
            let place = place.and_then(|(validity, uid)| Some((validity.parse().ok()?, uid)));
            let Some((validity, Ok(uid))) = place.map(|(v, uid)| (v, uid.parse())) else {
                return broken(format!("APPEND is answered {text}"));
            };
            return cx.oracle.boxes.acknowledged(token, validity, uid);
        }
        // After a disk that failed for good nobody knows what is on it.
        if text.contains("the store failed") || text.contains("The store failed") {
            return Ok(());
        }
        cx.coverage.count(match text.contains("OVERQUOTA") {
            true => "device: is over its quota",
            false => "device: its message is not taken",
        });
        cx.oracle.boxes.turned_down(token)
    }

    /// What stands in brackets.
    pub(super) fn code(&mut self, code: &str, cx: &mut Cx<'_>) -> Checked {
        if let (Some(modseq), Some(view)) = (number_after(code, "HIGHESTMODSEQ "), &mut self.view) {
            view.modseq = view.modseq.max(modseq);
        }
        if code.starts_with("CLOSED") && self.waiting == Some(Command::Folders) {
            // It has deleted the folder that it had selected.
            self.view = None;
        }
        if let Some(rest) = code.strip_prefix("UIDVALIDITY ") {
            return self.validity(number_after(rest, "").unwrap_or(0) as u32, cx);
        }
        let Some(rest) = code.strip_prefix("COPYUID ") else { return Ok(()) };
        let words: Vec<&str> = rest.split([' ', ']']).collect();
        let [validity, from, to, ..] = words[..] else {
            return broken(format!("COPYUID {rest}"));
        };
        let (from, to) = (numbers_of(from).unwrap_or_default(), numbers_of(to).unwrap_or_default());
        let validity = validity.parse().unwrap_or(0);
        let mailbox = self.view.as_ref().and_then(|view: &View| view.mailbox);
        let Some(mailbox) = mailbox.filter(|_| from.len() == to.len() && !from.is_empty()) else {
            return broken(format!("COPYUID {rest}"));
        };
        cx.coverage.count("device: copies or moves");
        for (from, to) in from.iter().zip(to) {
            cx.oracle.boxes.copied((mailbox, *from), (validity, to))?;
        }
        Ok(())
    }

    fn validity(&mut self, validity: u32, cx: &mut Cx<'_>) -> Checked {
        let Some(view) = &mut self.view else { return Ok(()) };
        view.validity = validity;
        view.mailbox = cx.oracle.boxes.of_validity(validity);
        if view.mailbox.is_none() {
            return broken(format!("no mailbox has the UIDVALIDITY {validity}"));
        }
        if view.before.as_ref().is_some_and(|before| before.validity != validity) {
            cx.coverage.count("device: finds another folder under the name");
            view.forget();
        }
        Ok(())
    }
}
