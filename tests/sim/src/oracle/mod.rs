//! The oracle: knows what every client was promised and what every peer was given, and checks
//! after each step that the relay keeps its word.
//!
//! It believes nobody: it has its own reading of what is on disk (from the changes committed), of
//! what peers took (from the octets they got), and its own arithmetic of retry times.

mod audit;
pub mod boxes;
mod committed;
mod letter;
mod outside;
mod report;

pub use committed::Committed;
pub use letter::{Acceptance, End, Fate, Letter, Submission, unstuffed as letter_unstuffed};

use std::collections::{BTreeMap, BTreeSet};

use self::boxes::Boxes;
use crate::{
    coverage::Coverage,
    homes::{self, Homes},
    letters::{Mark, mark_of},
    mail::QueueId,
    plan::{Domain, Kind, Plan},
    queue::retry,
    relay::event::{Attempt, AttemptStatus, Event},
    store::Settle,
    time::{Duration, Now, Wall},
};

/// A promise that was broken; the run ends with it.
#[derive(Debug)]
pub struct Broken(pub String);

pub type Checked<T = ()> = Result<T, Broken>;

/// The longest TTL of a plan, the longest that a next hop is left alone, and some.
const MEMORY_OF_TROUBLE: Duration = Duration::from_secs(2 * 3600 + 1800 + 1800);

/// How late a parcel may be when all is well.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

pub struct Oracle {
    pub homes: Homes,
    pub boxes: Boxes,
    retry: retry::Options,
    /// Domains that mail can be delivered to.
    deliverable: BTreeSet<String>,
    /// From then on nothing is in the way of their mail.
    well_from: Wall,
    /// By token.
    pub submissions: BTreeMap<u32, Submission>,
    pub letters: BTreeMap<QueueId, Letter>,
    /// Messages that are still on disk.
    pub queued: BTreeSet<QueueId>,
    /// Addresses and senders that some peer has refused for good.
    refused: BTreeSet<String>,
    /// Domains that nothing can be delivered to: their DNS or one of their hosts said so.
    hopeless: BTreeSet<String>,
    /// The smallest SIZE that a host of the domain has announced.
    size_limits: BTreeMap<String, u64>,
    /// Domains with a host that does not offer SMTPUTF8.
    plain_only: BTreeSet<String>,
    /// By link: where the replies end that the relay has not read yet, and what they accept.
    unheard: BTreeMap<u64, Vec<(u64, QueueId)>>,
    /// The highest queue id of the lives before this one.
    floor: QueueId,
    /// The latest time of day since it started.
    latest: Wall,
}

impl Oracle {
    pub fn new(plan: &Plan) -> Self {
        let leads_somewhere =
            |domain: &&Domain| matches!(domain.kind, Kind::Mx | Kind::Implicit | Kind::Routed);
        let in_use = plan.domains.iter().filter(leads_somewhere);
        Self {
            homes: plan.homes.clone(),
            boxes: Boxes::default(),
            retry: plan.config.retry.clone(),
            deliverable: in_use
                .map(|domain| domain.name.clone())
                .chain([homes::LOCAL.to_owned()])
                .collect(),
            well_from: Wall::MAX,
            submissions: BTreeMap::new(),
            letters: BTreeMap::new(),
            queued: BTreeSet::new(),
            refused: BTreeSet::new(),
            hopeless: BTreeSet::new(),
            size_limits: BTreeMap::new(),
            plain_only: BTreeSet::new(),
            unheard: BTreeMap::new(),
            floor: QueueId::MIN,
            latest: Wall::default(),
        }
    }

    /// A life of the relay begins. What the one before it knew and had not committed is excused.
    pub fn started(&mut self, now: Now) {
        self.unheard.clear();
        self.floor = self.letters.keys().next_back().copied().unwrap_or(QueueId::MIN);
        self.latest = now.wall;
        for id in &self.queued {
            let Some(letter) = self.letters.get_mut(id) else { continue };
            for fate in letter.fates.values_mut() {
                fate.decided = None;
                fate.acceptances.iter_mut().for_each(|acceptance| acceptance.excused = true);
            }
        }
    }

    /// The trouble is over; what the relay remembers of it lasts a little longer.
    pub fn healed(&mut self, now: Now) {
        self.well_from = now.wall + MEMORY_OF_TROUBLE;
    }

    pub fn tick(&mut self, now: Now) {
        self.latest = self.latest.max(now.wall);
    }

    // ---- What the relay says ----------------------------------------------------------------

    /// 250 goes out to a client.
    pub fn acknowledged(&mut self, id: QueueId, token: Option<u32>) -> Checked {
        let Some(letter) = self.letters.get_mut(&id) else {
            return broken(format!("250 for {id}, which is not on stable storage"));
        };
        if letter.token != token || token.is_none() {
            return broken(format!(
                "250 for {id} to the client of {token:?}, it is {:?}",
                letter.token
            ));
        }
        if std::mem::replace(&mut letter.acknowledged, true) {
            return broken(format!("250 for {id} a second time"));
        }
        Ok(())
    }

    pub fn note(&mut self, now: Now, event: &Event, coverage: &mut Coverage) -> Checked {
        match event {
            Event::Attempt(attempt) => self.attempted(now, attempt, coverage),
            Event::Removed { id } if self.queued.contains(id) => {
                broken(format!("{id} is said to be removed, and lies on disk"))
            }
            _ => Ok(()),
        }
    }

    fn attempted(&mut self, now: Now, attempt: &Attempt, coverage: &mut Coverage) -> Checked {
        let Attempt { id, status, .. } = attempt;
        let to = attempt.to.as_str();
        let domain = attempt.to.domain_text().to_ascii_lowercase();
        let Some(letter) = self.letters.get_mut(id) else {
            return broken(format!("an attempt at {id}, which was never committed"));
        };
        let expired = now.wall.since(letter.arrived) >= self.retry.expire;
        let sender = letter.sender.as_deref().unwrap_or("");
        let may_fail = self.refused.contains(to)
            || self.refused.contains(sender)
            || self.hopeless.contains(&domain)
            || self.size_limits.get(&domain).is_some_and(|limit| *limit < letter.size)
            || letter.needs_smtputf8 && self.plain_only.contains(&domain)
            || domain == homes::LOCAL && self.homes.account_of(to).is_none();
        let Some(fate) = letter.fates.get_mut(to) else {
            return broken(format!("an attempt at {id} for {to}, who is no recipient"));
        };
        if *status == AttemptStatus::Sent && std::mem::take(&mut fate.unsaid) {
            coverage.count("relay: delivered to a mailbox");
            return Ok(());
        }
        if let Some(end) = fate.end {
            return broken(format!("an attempt at {id} for {to}, which is {end:?}"));
        }
        if let Some(decided) = fate.decided {
            let before = decided.status;
            return broken(format!("two attempts at {id} for {to} at a time, one {before:?}"));
        }
        let heard = fate.acceptances.iter().any(|known| known.heard && !known.excused);
        let reason = String::from_utf8_lossy(&attempt.verdict.reason);
        let put_off = matches!(status, AttemptStatus::Deferred | AttemptStatus::Expired);
        let must_arrive = now.wall > self.well_from
            && self.deliverable.contains(&domain)
            && mark_of(to) != Mark::Always
            && !reason.contains("too many")
            && !reason.contains("recipients in one transaction");
        if put_off && must_arrive {
            return broken(format!("all is well, and {to} of {id} is {status:?}: {reason}"));
        }
        let right = match status {
            AttemptStatus::Sent => heard,
            AttemptStatus::Bounced => may_fail && !heard,
            AttemptStatus::Expired => expired && !heard,
            AttemptStatus::Deferred => !expired && !heard,
        };
        if !right {
            return broken(format!(
                "{to} of {id} is {status:?} ({reason}); heard {heard}, may fail {may_fail}, \
                 expired {expired}"
            ));
        }
        coverage.count(match status {
            AttemptStatus::Sent => "relay: sent",
            AttemptStatus::Bounced => "relay: bounced",
            AttemptStatus::Expired => "relay: expired",
            AttemptStatus::Deferred => "relay: deferred",
        });
        fate.decided = Some(letter::Decided { status: *status, at: now.wall });
        Ok(())
    }

    /// The relay hands over what it has decided about a parcel.
    pub fn settling(&mut self, settle: &Settle, now: Now) {
        let letter = self.letters.get_mut(&settle.parcel.message);
        if let Some(filed) = letter.and_then(|letter| letter.parcels.get_mut(&settle.parcel.part)) {
            filed.settling = Some(now.wall);
        }
    }

    /// After a drain in good order nothing is known that is not committed.
    pub fn check_settled(&self) -> Checked {
        for letter in self.queued.iter().filter_map(|id| self.letters.get(id)) {
            let unsettled = |fate: &Fate| {
                let heard = fate.acceptances.iter().any(|known| known.heard && !known.excused);
                fate.end.is_none() && (heard || fate.decided.is_some())
            };
            if let Some((name, _)) = letter.fates.iter().find(|(_, fate)| unsettled(fate)) {
                return broken(format!("drained, and what became of {name} is not recorded"));
            }
        }
        Ok(())
    }

    /// Every recipient of every message has come to its one end.
    pub fn check_ended(&self) -> Checked {
        for letter in self.letters.values() {
            if let Some((name, _)) = letter.fates.iter().find(|(_, fate)| fate.end.is_none()) {
                return broken(format!("{name} of {} came to no end", letter.id));
            }
        }
        Ok(())
    }

    /// Nothing is late without a reason; `patience` is how late may be.
    pub fn check_lateness(&self, now: Now, patience: Duration) -> Checked {
        let patience = if now.wall > self.well_from { PATIENCE } else { patience };
        for id in &self.queued {
            let Some(letter) = self.letters.get(id) else { continue };
            for (part, filed) in &letter.parcels {
                let late = now.wall.since(filed.due.at);
                if late > patience {
                    return broken(format!(
                        "parcel {part} of {id} was due {late:?} ago, and nothing happens"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The token in the address of a recipient of a client's message: 12 in `u12x3-now@…`.
pub fn token_of(address: &str) -> Option<u32> {
    let rest = address.strip_prefix('u')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..digits].parse().ok()
}

pub fn broken(what: String) -> Checked {
    Err(Broken(what))
}
