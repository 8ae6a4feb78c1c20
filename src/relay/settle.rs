//! Settling an attempt: each recipient's verdict becomes a row that is gone, a later date, or a
//! report to the sender; all of it in one change.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;

use super::{
    Relay, Turn,
    event::{Attempt, AttemptStatus, Event, RelayHost, ReportKind, Via},
    ledger::{LoadErrand, Settled, StoreErrand},
    outbound::Attempted,
    output::Output,
};
use crate::{
    limits::{REPLY_TEXT_KEPT, REPORT_RETURN_MAX},
    mail::{
        Body, Class, Domain, Due, Message, Outcome, Parcel, QueueId, Recipient, Verdict, Wire,
        mailbox::{Delivery, Done},
        report::{self, Action, Kind, Reported, Request},
    },
    queue::Queued,
    store::{Accept, Change, Load, Settle, StoreError},
    time::Duration,
};

/// An attempt whose report waits for the start of the body.
pub(super) struct Reporting {
    attempted: Attempted,
    decisions: Vec<Decision>,
}

/// A delivery to our mailboxes that waits for its commit.
pub(super) struct Here {
    pub attempted: Attempted,
    /// The content that went to the disk in parts, ahead of the commit.
    pub spooled: Option<QueueId>,
}

/// What becomes of one recipient, and whether its sender hears of it.
struct Decision {
    verdict: Verdict,
    status: AttemptStatus,
    action: Option<Action>,
}

impl Relay {
    /// An attempt is over.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>, attempted: Attempted) {
        let decisions = self.decide(turn, &attempted);
        self.note_attempts(turn, &attempted, &decisions);
        if decisions.iter().all(|decision| decision.action.is_none()) {
            return self.put_settlement(turn, attempted, decisions, Vec::new(), None);
        }
        match attempted.queued.parcel.body.clone() {
            Some(body) => {
                let start = start_of(&body, REPORT_RETURN_MAX);
                self.put_settlement(turn, attempted, decisions, start, None);
            }
            None => {
                let message = attempted.queued.parcel.message.id;
                let load = Load::Body { message, offset: 0, octets: REPORT_RETURN_MAX };
                let reporting = Box::new(Reporting { attempted, decisions });
                self.ledger.load(load, LoadErrand::Report(reporting), turn.out);
            }
        }
    }

    /// The start of the body is here. A report goes out even when it could not be read.
    pub(super) fn report_loaded(
        &mut self,
        turn: &mut Turn<'_>,
        reporting: Reporting,
        start: Vec<Bytes>,
    ) {
        let Reporting { attempted, decisions } = reporting;
        self.put_settlement(turn, attempted, decisions, start, None);
    }

    /// Mail for our mailboxes is delivered by the commit that settles its parcel, and told when
    /// that is done.
    pub(super) fn settle_here(
        &mut self,
        turn: &mut Turn<'_>,
        attempted: Attempted,
        delivery: Box<Delivery>,
    ) {
        let decisions = self.decide(turn, &attempted);
        let start = match (&attempted.queued.parcel.body, decisions.iter().any(Decision::is_told)) {
            (Some(body), true) => start_of(body, REPORT_RETURN_MAX),
            _ => Vec::new(),
        };
        self.put_settlement(turn, attempted, decisions, start, Some(delivery));
    }

    /// What was delivered here is on stable storage.
    pub(super) fn note_delivered(&self, turn: &mut Turn<'_>, attempted: &Attempted) {
        let decisions = self.decide(turn, attempted);
        self.note_attempts(turn, attempted, &decisions);
    }

    /// The settlement is on stable storage.
    pub(super) fn settle_stored(
        &mut self,
        turn: &mut Turn<'_>,
        mut settled: Settled,
        result: Result<Done, StoreError>,
    ) {
        if let Some(here) = settled.here.take()
            && !self.local_stored(turn, here, &result)
        {
            return;
        }
        if result.is_err() {
            // The store has failed for good and the process ends; disk is truth.
            return;
        }
        self.schedule.settled(settled.parcel, settled.was, settled.left);
        if let (Some(kind), Some(report)) = (settled.report_kind, settled.reports.first()) {
            let message = &report.message;
            turn.out.push(Output::Note(Box::new(Event::Accepted {
                id: message.id,
                client: None,
                from: None,
                message_id: report::message_id(message.id, &self.options.server.hostname).into(),
                size: message.size,
                recipients: 1,
            })));
            turn.out.push(Output::Note(Box::new(Event::Reported {
                id: settled.parcel.message,
                report: report.message.id,
                kind,
            })));
        }
        if settled.removed {
            turn.out.push(Output::Note(Box::new(Event::Removed { id: settled.parcel.message })));
        }
        for parcel in settled.reports {
            self.assign(turn, parcel);
        }
    }

    /// Verdict, age and the sender's wishes together decide.
    fn decide(&self, turn: &Turn<'_>, attempted: &Attempted) -> Vec<Decision> {
        let parcel = &attempted.queued.parcel;
        let arrived = parcel.message.arrived;
        let expired = self.options.retry.expired(arrived, turn.now.wall);
        let warn = !parcel.warned && self.options.retry.warn_due(arrived, turn.now.wall);
        let sender = parcel.message.envelope.reverse_path.as_ref();
        let decide = |(recipient, verdict): (&Recipient, &Verdict)| {
            let wants = |kind| report::wants_report(sender, recipient.notify, kind);
            let (status, action) = match verdict.outcome {
                Outcome::Delivered => {
                    // RFC 3461 §6.2.4: the next hop will not tell the sender, so we do.
                    let ours = wants(Kind::Delivered) && !attempted.dsn_passed;
                    let action = match attempted.via {
                        Via::Mailbox => Action::Delivered,
                        Via::Host(_) | Via::Nobody => Action::Relayed,
                    };
                    (AttemptStatus::Sent, ours.then_some(action))
                }
                Outcome::Failed => {
                    (AttemptStatus::Bounced, wants(Kind::Failed).then_some(Action::Failed))
                }
                Outcome::Deferred if expired => {
                    (AttemptStatus::Expired, wants(Kind::Failed).then_some(Action::Failed))
                }
                Outcome::Deferred => {
                    let delayed = warn && wants(Kind::Delayed);
                    (AttemptStatus::Deferred, delayed.then_some(Action::Delayed))
                }
            };
            Decision { verdict: verdict.clone(), status, action }
        };
        parcel.recipients.iter().zip(&attempted.verdicts).map(decide).collect()
    }

    fn note_attempts(&self, turn: &mut Turn<'_>, attempted: &Attempted, decisions: &[Decision]) {
        let Attempted { queued, via, setup, transmission, .. } = attempted;
        let delay = turn.now.wall.since(queued.parcel.message.arrived);
        let before = match queued.parcel.attempts {
            0 => queued.since.wall.since(queued.parcel.message.arrived),
            _ => Duration::ZERO,
        };
        let waiting = delay.saturating_sub(before + *setup + *transmission);
        for (recipient, decision) in queued.parcel.recipients.iter().zip(decisions) {
            turn.out.push(Output::Note(Box::new(Event::Attempt(Attempt {
                id: queued.parcel.message.id,
                to: recipient.address.clone(),
                via: via.clone(),
                delay,
                delays: [before, waiting, *setup, *transmission],
                verdict: decision.verdict.clone(),
                status: decision.status,
            }))));
        }
    }

    /// Hands the settlement to the store, with the report when one is due.
    fn put_settlement(
        &mut self,
        turn: &mut Turn<'_>,
        attempted: Attempted,
        decisions: Vec<Decision>,
        start: Vec<Bytes>,
        delivery: Option<Box<Delivery>>,
    ) {
        let report = self.compose_report(turn, &attempted, &decisions, &start);
        let here = delivery.as_deref().map(|delivery| Here::new(&attempted, delivery));
        let Attempted { queued, .. } = attempted;
        let parcel = *queued.parcel;
        if let Some(body) = &parcel.body {
            self.body_memory -= body.len();
        }
        let (id, was, message) = (parcel.id(), parcel.due, parcel.message.clone());
        let left = self.left(turn, parcel, queued.here, &decisions);
        let settled = Settled {
            parcel: id,
            was,
            left: left.as_ref().map(|parcel| parcel.due),
            removed: left.is_none() && message.parcels == 1,
            here,
            report_kind: report.as_ref().map(|(kind, _)| *kind),
            reports: match &report {
                Some((_, accept)) => report_parcels(accept),
                None => Vec::new(),
            },
        };
        let report = report.map(|(_, accept)| accept);
        let settle = Settle { message, parcel: id, was, left, report, delivery };
        let change = Change::Settle(Box::new(settle));
        self.ledger.store(change, StoreErrand::Settle(Box::new(settled)), turn.out);
    }

    /// The recipients that must be tried again, re-dated; `None` when there are none.
    fn left(
        &mut self,
        turn: &Turn<'_>,
        mut parcel: Parcel,
        here: usize,
        decisions: &[Decision],
    ) -> Option<Parcel> {
        let elsewhere = parcel.recipients.split_off(here);
        let deferred = |d: &Decision| d.status == AttemptStatus::Deferred;
        let reason = decisions.iter().find(|d| deferred(d)).map(|d| d.verdict.reason.clone());
        let mut keep = decisions.iter().map(deferred);
        parcel.recipients.retain(|_| keep.next().unwrap_or(true));
        parcel.attempts += 1;
        parcel.warned |= decisions.iter().any(|d| matches!(d.action, Some(Action::Delayed)));
        if let Some(mut reason) = reason {
            reason.truncate(REPLY_TEXT_KEPT);
            parcel.last_reply = reason;
        }
        parcel.body = None;
        let now = turn.now.wall;
        let at = if elsewhere.is_empty() {
            let (retry, arrived) = (&self.options.retry, parcel.message.arrived);
            retry.next_attempt(parcel.attempts, arrived, now, &mut self.random)
        } else {
            // Those have not had an attempt yet: theirs is due.
            now
        };
        parcel.recipients.splice(0..0, elsewhere);
        let first = parcel.recipients.first()?;
        let hop = self.hop_of(first);
        let destination = match self.home(&hop) {
            home if home.core(self.cores) == self.core => home,
            // The new route belongs to another core; our shelf keeps the parcel findable here.
            _ => parcel.due.destination,
        };
        parcel.due = Due { destination, class: Class::Deferred, at };
        Some(parcel)
    }

    /// One report for all recipients whose sender must hear of this attempt.
    fn compose_report(
        &mut self,
        turn: &Turn<'_>,
        attempted: &Attempted,
        decisions: &[Decision],
        start: &[Bytes],
    ) -> Option<(ReportKind, Box<Accept>)> {
        let parcel = &attempted.queued.parcel;
        // Most attempts deliver, and nobody is to be told.
        decisions.iter().find(|decision| decision.action.is_some())?;
        let sender = parcel.message.envelope.reverse_path.clone()?;
        let remote = match &attempted.via {
            Via::Host(host) => Some(remote_name(host)),
            Via::Nobody | Via::Mailbox => None,
        };
        let remote = remote.as_deref();
        let reported: Vec<Reported<'_>> = parcel
            .recipients
            .iter()
            .zip(decisions)
            .filter_map(|(recipient, decision)| {
                let action = decision.action?;
                Some(Reported { recipient, verdict: &decision.verdict, action, remote })
            })
            .collect();
        let worst = reported.iter().map(|reported| match reported.action {
            Action::Failed => (0, Kind::Failed, ReportKind::NonDelivery),
            Action::Delayed => (1, Kind::Delayed, ReportKind::Delay),
            _ => (2, Kind::Delivered, ReportKind::Delivery),
        });
        let (_, kind, report_kind) = worst.min_by_key(|(rank, ..)| *rank)?;
        let id = self.ids.next_id(turn.now.wall);
        let message = &parcel.message;
        let octets: usize = start.iter().map(Bytes::len).sum();
        let report = report::compose(&Request {
            kind,
            message,
            hostname: &self.options.server.hostname,
            report_id: id,
            now: turn.now.wall,
            expires: message.arrived + self.options.retry.expire,
            recipients: &reported,
            original: start,
            original_is_whole: octets as u64 == message.size,
        })?;
        let groups = self.by_next_hop(vec![Recipient::plain(sender)]);
        let message = Arc::new(Message {
            id,
            arrived: turn.now.wall,
            envelope: report.envelope,
            wire: Wire::Stuffed,
            size: report.body.len() as u64,
            parcels: 1,
        });
        let parcels = self.parcels(&message, groups, turn.now.wall);
        let accept = Accept { message, parcels, body: vec![report.body], spooled_rows: 0 };
        Some((report_kind, Box::new(accept)))
    }
}

impl Decision {
    /// The sender hears of it.
    fn is_told(&self) -> bool {
        self.action.is_some()
    }
}

impl Here {
    fn new(attempted: &Attempted, delivery: &Delivery) -> Self {
        let queued = &attempted.queued;
        let parcel = Box::new(Parcel { body: None, ..(*queued.parcel).clone() });
        let content = &delivery.content;
        Self {
            attempted: Attempted {
                queued: Queued { parcel, here: queued.here, since: queued.since },
                verdicts: attempted.verdicts.clone(),
                via: attempted.via.clone(),
                ..*attempted
            },
            spooled: (content.spooled_chunks > 0).then_some(content.id),
        }
    }
}

/// The host's name, or its address as an address literal (RFC 5321 §4.1.3).
fn remote_name(host: &RelayHost) -> String {
    let name = String::from_utf8_lossy(&host.name);
    match name.parse::<IpAddr>() {
        Ok(ip) => Domain::Literal(ip).to_string(),
        Err(_) => name.into_owned(),
    }
}

fn report_parcels(accept: &Accept) -> Vec<Parcel> {
    let body = Body::new(accept.body.as_slice());
    let with_body = |parcel: &Parcel| Parcel { body: Some(body.clone()), ..parcel.clone() };
    accept.parcels.iter().map(with_body).collect()
}

fn start_of(body: &Body, octets: usize) -> Vec<Bytes> {
    let mut room = octets;
    let mut start = Vec::new();
    for piece in body.pieces.iter() {
        let part = piece.slice(..piece.len().min(room));
        room -= part.len();
        start.push(part);
        if room == 0 {
            break;
        }
    }
    start
}
