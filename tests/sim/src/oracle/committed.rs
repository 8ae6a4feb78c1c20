//! What is committed: the oracle's own reading of what lies on disk, from the changes that were.

use super::{Checked, End, Letter, Oracle, broken, letter, report};
use crate::{
    coverage::Coverage,
    disk::Disk,
    mail::{
        ParcelId,
        mailbox::{Done, MailboxId},
    },
    relay::event::AttemptStatus,
    store::{Accept, Change, Settle},
    time::Instant,
};

/// A change that is on stable storage.
pub struct Committed<'a> {
    pub change: &'a Change,
    pub done: &'a Done,
    pub touched: &'a [MailboxId],
    /// Of a delivery: the inboxes it went to.
    pub inboxes: &'a [MailboxId],
    pub at: Instant,
}

impl Oracle {
    /// Before a change is written: the inboxes that its delivery leads to.
    pub fn before(&self, change: &Change, disk: &Disk) -> Checked<Vec<MailboxId>> {
        match change {
            Change::Settle(settle) => match &settle.delivery {
                Some(delivery) => self.boxes.inboxes(delivery, disk),
                None => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    }

    /// A change is on stable storage now.
    pub fn committed(
        &mut self,
        committed: Committed<'_>,
        disk: &Disk,
        coverage: &mut Coverage,
    ) -> Checked {
        match committed.change {
            Change::Accept(accept) => {
                let letter = Letter::of_client(accept, disk.body_of(&accept.message));
                self.accepted(letter)
            }
            Change::Settle(settle) => {
                if *committed.done != Done::Done {
                    coverage.count("relay: a delivery that cannot be");
                    return Ok(());
                }
                self.delivered(settle, &committed, disk)?;
                self.settled(settle, coverage)?;
                if let Some(report) = &settle.report {
                    self.reported(settle, report, &disk.body_of(&report.message), coverage)?;
                }
                let Some(letter) = self.letters.get_mut(&settle.parcel.message) else {
                    return Ok(());
                };
                for name in settle.left.iter().flat_map(letter::names) {
                    letter.fates.entry(name).or_default().decided = None;
                }
                letter.check_reported()
            }
            Change::Mailbox(act) => {
                let Committed { done, touched, at, .. } = committed;
                self.boxes.acted(act, done, touched, disk, at)
            }
            Change::Spool { .. } | Change::Abandon { .. } => Ok(()),
        }
    }

    /// Mail was delivered here, with the settlement of its parcel.
    fn delivered(&mut self, settle: &Settle, committed: &Committed<'_>, disk: &Disk) -> Checked {
        let Some(delivery) = &settle.delivery else { return Ok(()) };
        let Some(letter) = self.letters.get_mut(&settle.parcel.message) else { return Ok(()) };
        let id = letter.id;
        if delivery.content.id != id {
            return broken(format!("{id} is delivered as {}", delivery.content.id));
        }
        self.boxes.foresee(id, letter.sender.as_deref().unwrap_or(""), &letter.content);
        for destined in &delivery.to {
            let to = destined.address.as_str();
            let Some(fate) = letter.fates.get_mut(to).filter(|fate| fate.end.is_none()) else {
                return broken(format!("{id} is delivered to {to}, who is not to get it"));
            };
            (fate.here, fate.unsaid) = (true, true);
        }
        self.boxes.delivered(delivery, committed.inboxes, disk, committed.at)
    }

    fn accepted(&mut self, letter: Letter) -> Checked {
        let id = letter.id;
        if let Some(token) = letter.token {
            let Some(submission) = self.submissions.get_mut(&token) else {
                return broken(format!("{id} was committed, and no client sent it"));
            };
            submission.check_accepted(&letter, &self.homes)?;
            submission.accepted = Some(id);
        } else if !letter.is_report {
            return broken(format!("{id} was committed, and no client sent it"));
        }
        if id <= self.floor {
            return broken(format!("{id} is behind {}, of an earlier life", self.floor));
        }
        self.queued.insert(id);
        match self.letters.insert(id, letter) {
            Some(_) => broken(format!("the queue id {id} was given twice")),
            None => Ok(()),
        }
    }

    fn settled(&mut self, settle: &Settle, coverage: &mut Coverage) -> Checked {
        let ParcelId { message: id, part } = settle.parcel;
        let retry = self.retry.clone();
        let Some(letter) = self.letters.get_mut(&id) else {
            return broken(format!("a settlement of {id}, which was never committed"));
        };
        let Some(filed) = letter.parcels.remove(&part) else {
            return broken(format!("parcel {part} of {id} was settled twice"));
        };
        if filed.due != settle.was {
            return broken(format!("parcel {part} of {id} was settled where it does not lie"));
        }
        let left: Vec<String> = settle.left.iter().flat_map(letter::names).collect();
        for recipient in &filed.recipients {
            let fate = letter.fates.entry(recipient.clone()).or_default();
            let status = fate.decided.map(|decided| decided.status);
            let stays = left.contains(recipient);
            let ended = match status {
                Some(AttemptStatus::Sent) => Some(End::Delivered),
                Some(AttemptStatus::Bounced) => Some(End::Failed),
                Some(AttemptStatus::Expired) => Some(End::Expired),
                None if fate.unsaid => Some(End::Delivered),
                Some(AttemptStatus::Deferred) | None => None,
            };
            if stays == ended.is_some() {
                return broken(format!(
                    "{recipient} of {id}: decided {status:?}, and {} in the queue",
                    if stays { "stays" } else { "is no longer" }
                ));
            }
            fate.end = ended;
        }
        if let Some(stranger) = left.iter().find(|name| !filed.recipients.contains(name)) {
            return broken(format!("{stranger} appeared in parcel {part} of {id}"));
        }
        if let Some(parcel) = &settle.left {
            coverage.count("relay: a parcel is tried again later");
            letter.check_retry(&retry, &filed, parcel, coverage)?;
            letter.parcels.insert(part, letter::Filed::of(parcel));
        } else if letter.parcels.is_empty() {
            letter.content = Vec::new();
            self.queued.remove(&id);
        }
        Ok(())
    }

    fn reported(
        &mut self,
        settle: &Settle,
        report: &Accept,
        body: &[u8],
        coverage: &mut Coverage,
    ) -> Checked {
        let of = settle.parcel.message;
        let Some(letter) = self.letters.get_mut(&of) else { return Ok(()) };
        report::check(letter, report, body, self.retry.warn_after, coverage)?;
        self.accepted(Letter::of_report(report, body.to_vec()))
    }
}
