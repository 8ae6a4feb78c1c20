//! What the oracle knows of one message: what its client sent, where it lies, what became of it.

use std::collections::BTreeMap;

use super::{Broken, Checked, broken};
use crate::{
    coverage::Coverage,
    homes::Homes,
    mail::{Due, Notify, Parcel, QueueId, Recipient, Ret, Wire},
    queue::retry,
    relay::event::AttemptStatus,
    store::Accept,
    time::{Duration, Wall},
};

/// What a client set out to send.
#[derive(Clone, Debug)]
pub struct Submission {
    pub sender: Option<String>,
    /// With what RCPT said about reports.
    pub recipients: Vec<(String, Notify)>,
    pub content: Vec<u8>,
    pub envid: Option<String>,
    pub full: Option<bool>,
    pub smtputf8: bool,
    /// The last octet of it is on its way.
    pub sent: bool,
    pub accepted: Option<QueueId>,
    /// The relay has said that it does not take it.
    pub refused: bool,
}

/// A message on stable storage, or one that was.
#[derive(Clone, Debug)]
pub struct Letter {
    pub id: QueueId,
    /// `None`: a report.
    pub token: Option<u32>,
    pub is_report: bool,
    pub acknowledged: bool,
    pub sender: Option<String>,
    pub arrived: Wall,
    /// As stored.
    pub size: u64,
    pub needs_smtputf8: bool,
    pub full: Option<bool>,
    pub envid: Option<String>,
    /// As stored, without its dot-stuffing; empty once it has left the disk.
    pub content: Vec<u8>,
    pub parcels: BTreeMap<u16, Filed>,
    pub fates: BTreeMap<String, Fate>,
}

/// A parcel's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filed {
    pub due: Due,
    pub attempts: u32,
    pub recipients: Vec<String>,
    /// When its settlement was handed over.
    pub settling: Option<Wall>,
}

/// What became of one recipient.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub notify: Notify,
    pub acceptances: Vec<Acceptance>,
    /// What the relay has found, and not yet committed.
    pub decided: Option<Decided>,
    /// Committed.
    pub end: Option<End>,
    /// Delivered to a mailbox of ours, and not noted yet.
    pub here: bool,
    pub unsaid: bool,
    pub told_failure: u32,
    pub told_delay: u32,
    pub told_success: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Decided {
    pub status: AttemptStatus,
    pub at: Wall,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Delivered,
    Failed,
    Expired,
}

/// A peer took the message for a recipient.
#[derive(Clone, Debug)]
pub struct Acceptance {
    pub link: u64,
    /// The octet of the link with which its reply ends.
    pub mark: u64,
    /// The relay that sent it still listened.
    pub live: bool,
    /// The relay has read the whole reply.
    pub heard: bool,
    /// The host was given the parameters of RFC 3461, and owes the reports.
    pub reports: bool,
    /// The relay that read it has ended before it could commit.
    pub excused: bool,
}

impl Filed {
    pub fn of(parcel: &Parcel) -> Self {
        Self {
            due: parcel.due,
            attempts: parcel.attempts,
            recipients: names(parcel).collect(),
            settling: None,
        }
    }
}

pub fn names(parcel: &Parcel) -> impl Iterator<Item = String> {
    parcel.recipients.iter().map(|recipient| recipient.address.as_str().to_owned())
}

impl Submission {
    /// What was committed is what the client sent, and it had sent all of it.
    pub fn check_accepted(&self, letter: &Letter, homes: &Homes) -> Checked {
        let id = letter.id;
        if let Some(other) = self.accepted {
            return broken(format!("{id} was committed, and is the same message as {other}"));
        }
        if self.refused {
            return broken(format!("{id} was committed, and its client was told that it is not"));
        }
        if !self.sent {
            return broken(format!("{id} was committed before its client had sent all of it"));
        }
        let Some(received) = letter.content.strip_suffix(&*self.content) else {
            return broken(format!("{id} was committed with another body than its client sent"));
        };
        let text = String::from_utf8_lossy(received);
        let our_field = text.starts_with("Received: from ")
            && text.ends_with("\r\n")
            && text.lines().skip(1).all(|line| line.starts_with([' ', '\t']))
            && received.windows(id.to_string().len()).any(|w| w == id.to_string().as_bytes());
        if !our_field {
            return broken(format!("{id} was committed below {}", received.escape_ascii()));
        }
        let said = (&self.sender, &self.envid, self.full, self.smtputf8);
        if (&letter.sender, &letter.envid, letter.full, letter.needs_smtputf8) != said {
            return broken(format!("{id} was committed with another envelope than MAIL said"));
        }
        for (name, fate) in &letter.fates {
            let end = homes.end_of(name);
            let named = |(known, notify): &(String, Notify)| {
                *notify == fate.notify && homes.behind(known).contains(&end)
            };
            if !self.recipients.iter().any(named) {
                return broken(format!("{id} was committed for {name}, whom RCPT did not name so"));
            }
        }
        Ok(())
    }
}

impl Letter {
    pub fn of_client(accept: &Accept, stored: Vec<u8>) -> Letter {
        let letter = Letter::new(accept, stored);
        let token = field(&letter.content, b"X-Sim: ");
        let token = token.and_then(|token| std::str::from_utf8(token).ok()?.parse().ok());
        Letter { token, ..letter }
    }

    pub fn of_report(accept: &Accept, stored: Vec<u8>) -> Letter {
        Letter { is_report: true, ..Letter::new(accept, stored) }
    }

    fn new(accept: &Accept, stored: Vec<u8>) -> Letter {
        let message = &accept.message;
        let envelope = &message.envelope;
        let fate = |recipient: &Recipient| {
            let fate = Fate { notify: recipient.notify, ..Fate::default() };
            (recipient.address.as_str().to_owned(), fate)
        };
        Letter {
            id: message.id,
            token: None,
            is_report: false,
            acknowledged: false,
            sender: envelope.reverse_path.as_ref().map(|path| path.as_str().to_owned()),
            arrived: message.arrived,
            size: message.size,
            needs_smtputf8: envelope.smtputf8,
            full: envelope.ret.map(|ret| ret == Ret::Full),
            envid: envelope.envid.as_ref().map(|id| String::from_utf8_lossy(id).into_owned()),
            content: match message.wire {
                Wire::Stuffed => unstuffed(&stored),
                Wire::Plain => stored,
            },
            parcels: accept.parcels.iter().map(|p| (p.part, Filed::of(p))).collect(),
            fates: accept.parcels.iter().flat_map(|p| &p.recipients).map(fate).collect(),
        }
    }

    /// Where the recipient lies on disk.
    pub fn filed(&self, address: &str) -> Option<(u16, &Filed)> {
        let holds = |filed: &Filed| filed.recipients.iter().any(|name| name == address);
        self.parcels.iter().find(|(_, filed)| holds(filed)).map(|(part, filed)| (*part, filed))
    }

    /// What a peer got is what lies on disk; a last line without CRLF gets one by DATA.
    pub fn check_delivered(&self, content: &[u8]) -> Checked {
        let id = self.id;
        // A copy that arrives late, from a relay that has ended since.
        if self.parcels.is_empty() && self.content.is_empty() {
            return Ok(());
        }
        let mended = content.strip_suffix(b"\r\n").filter(|_| !self.content.ends_with(b"\r\n"));
        if content == self.content || mended == Some(&self.content) {
            return Ok(());
        }
        let differs = content.iter().zip(&self.content).position(|(a, b)| a != b);
        broken(format!(
            "a peer got {id} with {} octets, {} are on disk; they differ at {differs:?}",
            content.len(),
            self.content.len()
        ))
    }

    /// A parcel that stays lies where the configuration says.
    pub fn check_retry(
        &self,
        retry: &retry::Options,
        filed: &Filed,
        parcel: &Parcel,
        coverage: &mut Coverage,
    ) -> Checked {
        let (id, part) = (self.id, parcel.part);
        if parcel.attempts != filed.attempts + 1 {
            return broken(format!("parcel {part} of {id} counts {} attempts", parcel.attempts));
        }
        let decided = |name: &String| self.fates.get(name)?.decided.map(|decided| decided.at);
        let attempts: Vec<Option<Wall>> = filed.recipients.iter().map(decided).collect();
        let (Some(first), Some(handed_over)) = (attempts.iter().flatten().min(), filed.settling)
        else {
            return broken(format!("parcel {part} of {id} was settled without an attempt"));
        };
        // Between the verdict and the hand-over a report may have waited for the body.
        let (from, to) = ((*first).min(handed_over), (*first).max(handed_over));
        let due = parcel.due.at;
        if attempts.contains(&None) {
            // Some of it goes elsewhere now, and has not had an attempt: that is due.
            coverage.count("relay: a parcel whose recipients part ways");
            return match (from..=to).contains(&due) {
                true => Ok(()),
                false => broken(format!("parcel {part} of {id} waits, and part of it is due")),
            };
        }
        let slack = Duration::from_millis(2);
        let power = (parcel.attempts - 1).min(1000) as i32;
        let longest =
            (retry.first.as_secs_f64() * retry.factor.powi(power)).min(retry.max.as_secs_f64());
        let (shortest, longest) = (longest * (1.0 - retry.jitter), longest);
        let earliest = from + Duration::from_secs_f64(shortest);
        let latest = to + Duration::from_secs_f64(longest);
        // RFC 5321 §4.5.4.1: one last attempt when the time is up.
        let expiry = self.arrived + retry.expire;
        let bounded = |wall: Wall| if from < expiry { wall.min(expiry) } else { wall };
        if due + slack < bounded(earliest) || due > bounded(latest) + slack {
            return broken(format!(
                "parcel {part} of {id}, attempt {} at {}: due at {}, expected {} to {}",
                parcel.attempts,
                from.as_millis(),
                due.as_millis(),
                bounded(earliest).as_millis(),
                bounded(latest).as_millis()
            ));
        }
        Ok(())
    }

    /// Who must hear of an end has heard of it, once: a failure always, a success where the next
    /// hop will not tell it.
    pub fn check_reported(&self) -> Checked {
        for (name, fate) in &self.fates {
            let failed = matches!(fate.end, Some(End::Failed | End::Expired));
            let wanted = failed && self.sender.is_some() && fate.notify.on_failure();
            if fate.told_failure != u32::from(wanted) {
                return broken(format!(
                    "{name} of {} ended {:?}, and its sender {:?} got {} reports of failure",
                    self.id, fate.end, self.sender, fate.told_failure
                ));
            }
            let by = fate.acceptances.iter().find(|known| known.heard && !known.excused);
            let wanted = fate.end == Some(End::Delivered)
                && self.sender.is_some()
                && fate.notify.on_success()
                && (fate.here || by.is_some_and(|acceptance| !acceptance.reports));
            // An earlier life may have delivered it as well.
            let sure = by.is_some() || fate.here;
            if sure && fate.told_success != u32::from(wanted) {
                return broken(format!(
                    "{name} of {} was delivered, and its sender {:?} got {} reports of it",
                    self.id, self.sender, fate.told_success
                ));
            }
        }
        Ok(())
    }
}

/// The rest of the first line of the header that begins with `start`.
pub fn field<'a>(content: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    for line in content.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        if let Some(rest) = line.strip_prefix(start) {
            return Some(rest);
        }
    }
    None
}

/// RFC 5321 §4.5.2, written once more so that no mistake of the relay can hide behind its own.
pub fn unstuffed(stuffed: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(stuffed.len());
    for line in stuffed.split_inclusive(|&b| b == b'\n') {
        content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    content
}

impl From<String> for Broken {
    fn from(what: String) -> Self {
        Broken(what)
    }
}
