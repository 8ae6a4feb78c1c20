//! Each change of a mailbox is what somebody wanted: held against how it stood before.

use std::collections::{BTreeMap, BTreeSet};

use super::{Boxes, Mailbox, Snapshot};
use crate::{
    disk::Disk,
    mail::mailbox::{
        AccountId, Act, Ask, Delivery, Done, Entry, FlagChange, Flags, Found, How, MailboxId,
        NewMessage, Refusal, Uids,
    },
    oracle::{Broken, Checked, broken, letter},
    store::Table,
    time::Instant,
};

/// What an act may do to one mailbox.
#[derive(Default)]
struct Allowed {
    /// UIDs that must come, where they are known, with their contents and addressees.
    come: Vec<(Option<u32>, crate::mail::QueueId, bytes::Bytes)>,
    /// UIDs that must go.
    go: BTreeSet<u32>,
    /// Flags that must be there afterwards.
    flags: BTreeMap<u32, Flags>,
}

type Plans = BTreeMap<MailboxId, Allowed>;

impl Boxes {
    /// The inboxes of a delivery, as they are before it.
    pub fn inboxes(&self, delivery: &Delivery, disk: &Disk) -> Checked<Vec<MailboxId>> {
        let mut inboxes = Vec::new();
        for destined in &delivery.to {
            let name = destined.address.as_str().to_lowercase();
            let (local, domain) = name.split_once('@').unwrap_or_default();
            let base = format!("{}@{domain}", local.split('+').next().unwrap_or_default());
            for key in [name.clone(), base] {
                if let Found::Account(Some(account)) = disk.ask(Ask::Account { key: key.into() })? {
                    inboxes.push(account.inbox);
                    break;
                }
            }
        }
        Ok(inboxes)
    }

    /// A delivery was committed.
    pub fn delivered(
        &mut self,
        delivery: &Delivery,
        inboxes: &[MailboxId],
        disk: &Disk,
        now: Instant,
    ) -> Checked {
        let mut plans = Plans::new();
        for (destined, inbox) in delivery.to.iter().zip(inboxes) {
            let come = &mut plans.entry(*inbox).or_default().come;
            come.push((None, delivery.content.id, destined.address.as_bytes().clone()));
        }
        if inboxes.len() != delivery.to.len() {
            return broken(format!("a delivery to somebody unknown: {:?}", delivery.to));
        }
        self.carry_out(plans, &[], disk, now)
    }

    /// An act was committed.
    pub fn acted(
        &mut self,
        act: &Act,
        done: &Done,
        touched: &[MailboxId],
        disk: &Disk,
        now: Instant,
    ) -> Checked {
        let mut plans = Plans::new();
        match (act, done) {
            (
                Act::Append { messages, account, quota, .. },
                Done::Appended { uid_validity, uids },
            ) => {
                let target = self.target(*uid_validity)?;
                let uids: Vec<u32> = uids.iter().map(|uid| uid.0).collect();
                self.appended(messages, (*uid_validity, &uids), disk)?;
                let plan = plans.entry(target).or_default();
                for (message, uid) in messages.iter().zip(uids) {
                    plan.come.push((Some(uid), message.content.id, bytes::Bytes::new()));
                }
                let octets = messages.iter().map(|message| message.content.size).sum();
                self.within_quota(*account, *quota, octets)?;
            }
            (Act::Append { messages, account, quota, .. }, Done::Refused(Refusal::OverQuota)) => {
                let octets = messages.iter().map(|message| message.content.size).sum();
                if self.within_quota(*account, *quota, octets).is_ok() {
                    return broken(format!("{account:?} has room, and APPEND is over its quota"));
                }
            }
            (Act::Flag { mailbox, uids, change }, Done::Flagged { refused, .. }) => {
                self.plan_flags(*mailbox, (uids, refused), change, &mut plans)?;
            }
            (Act::Expunge { mailbox, uids }, Done::Expunged { uids: gone, .. }) => {
                let wanted = |entry: &Entry| {
                    uids.contains(entry.uid) && entry.flags.contains(Flags::DELETED)
                };
                self.plan_end(*mailbox, gone, wanted, &mut plans)?;
            }
            (Act::Remove { mailbox, uids }, Done::Expunged { uids: gone, .. }) => {
                self.remove(*mailbox, uids)?;
                self.plan_end(*mailbox, gone, |entry| uids.contains(entry.uid), &mut plans)?;
            }
            (Act::Copy { from, uids, taking, account, quota, .. }, Done::Copied { .. }) => {
                let Done::Copied { uid_validity, from: old, to } = done else { return Ok(()) };
                let target = self.target(*uid_validity)?;
                let Some(source) = self.boxes.get(from) else {
                    return broken(format!("a copy out of {from:?}, which is not there"));
                };
                let there = source.entries.values().filter(|entry| uids.contains(entry.uid));
                if !there.clone().map(|entry| entry.uid).eq(old.iter().copied()) {
                    return broken(format!("copied were {old:?} of {uids:?}"));
                }
                let octets = there.clone().map(|entry| entry.size).sum();
                let came = there
                    .zip(to)
                    .map(|(entry, uid)| (Some(uid.0), entry.content, entry.delivered_to.clone()));
                plans.entry(target).or_default().come.extend(came);
                match taking {
                    true => plans.entry(*from).or_default().go.extend(old.iter().map(|uid| uid.0)),
                    false => self.within_quota(*account, *quota, octets)?,
                }
            }
            _ => {}
        }
        self.carry_out(plans, touched, disk, now)
    }

    fn target(&self, validity: u32) -> Checked<MailboxId> {
        let mailbox = self.of_validity(validity);
        mailbox.ok_or_else(|| Broken(format!("no mailbox has the UIDVALIDITY {validity}")))
    }

    /// Messages of APPEND: each was sent whole, and was there at most once.
    fn appended(
        &mut self,
        messages: &[NewMessage],
        (validity, uids): (u32, &[u32]),
        disk: &Disk,
    ) -> Checked {
        for (message, uid) in messages.iter().zip(uids) {
            let content = message.content.id;
            let ask = Ask::Content { content, offset: 0, octets: 1 << 20 };
            let Found::Content(octets) = disk.ask(ask)? else { continue };
            let token = letter::field(&octets, b"X-Sim: ");
            let token = token.and_then(|token| std::str::from_utf8(token).ok()?.parse().ok());
            let Some(append) = token.and_then(|token: u32| self.appends.get_mut(&token)) else {
                return broken(format!("{content} was appended, and nobody sent it"));
            };
            if append.committed.is_some() || append.refused || !append.sent {
                return broken(format!("{token:?} was appended, and is {append:?}"));
            }
            if append.content != octets {
                return broken(format!("{token:?} was appended with other octets"));
            }
            append.committed = Some((validity, *uid));
            self.contents.insert(content, octets.to_vec());
        }
        Ok(())
    }

    fn within_quota(&self, account: AccountId, quota: u64, more: u64) -> Checked {
        let used = self.used.get(&account).map_or(0, |used| used.0);
        match quota > 0 && used + more > quota {
            true => broken(format!("{account:?} uses {used}, takes {more}, has {quota}")),
            false => Ok(()),
        }
    }

    fn plan_flags(
        &self,
        mailbox: MailboxId,
        (uids, refused): (&Uids, &Uids),
        change: &FlagChange,
        plans: &mut Plans,
    ) -> Checked {
        let Some(known) = self.boxes.get(&mailbox) else { return Ok(()) };
        let plan = plans.entry(mailbox).or_default();
        for entry in known.entries.values().filter(|entry| uids.contains(entry.uid)) {
            let behind = change.unchanged_since.is_some_and(|since| entry.modseq > since);
            if behind != refused.contains(entry.uid) {
                return broken(format!("STORE of {entry:?}, {change:?}: refused were {refused:?}"));
            }
            let flags = match change.how {
                _ if behind => entry.flags,
                How::Replace => change.flags,
                How::Add => entry.flags.with(change.flags),
                How::Remove => entry.flags.without(change.flags),
            };
            plan.flags.insert(entry.uid.0, flags);
        }
        Ok(())
    }

    fn plan_end(
        &self,
        mailbox: MailboxId,
        gone: &Uids,
        wanted: impl Fn(&Entry) -> bool,
        plans: &mut Plans,
    ) -> Checked {
        let Some(known) = self.boxes.get(&mailbox) else { return Ok(()) };
        let go = known.entries.values().filter(|entry| wanted(entry)).map(|entry| entry.uid.0);
        let go: BTreeSet<u32> = go.collect();
        if !gone.iter().map(|uid| uid.0).eq(go.iter().copied()) {
            return broken(format!("expunged were {gone:?}, wanted {go:?}"));
        }
        plans.entry(mailbox).or_default().go = go;
        Ok(())
    }

    /// Looks at what the disk holds now.
    fn carry_out(
        &mut self,
        mut plans: Plans,
        touched: &[MailboxId],
        disk: &Disk,
        now: Instant,
    ) -> Checked {
        for mailbox in touched {
            plans.entry(*mailbox).or_default();
        }
        for (mailbox, allowed) in plans {
            let Some(snapshot) = Snapshot::of(disk, mailbox)? else { continue };
            let Some(known) = self.boxes.get_mut(&mailbox) else { continue };
            known
                .compare(&snapshot, &allowed)
                .map_err(|Broken(what)| Broken(format!("{mailbox:?}: {what}")))?;
            known.take(snapshot, now);
        }
        self.list(disk, now)
    }

    fn owner(&self, mailbox: MailboxId, disk: &Disk) -> Checked<AccountId> {
        for account in self.accounts.values() {
            let mut after = None;
            loop {
                let ask = Ask::Folders { account: *account, after, standing: false };
                let Found::Folders { folders, more } = disk.ask(ask)? else { break };
                if folders.iter().any(|folder| folder.mailbox == Some(mailbox)) {
                    return Ok(*account);
                }
                after = folders.last().map(|folder| folder.name.clone()).filter(|_| more);
                if after.is_none() {
                    break;
                }
            }
        }
        Err(Broken(format!("{mailbox:?} is in nobody's folders")))
    }

    /// Which mailboxes there are, and what accounts use.
    pub fn list(&mut self, disk: &Disk, now: Instant) -> Checked {
        let there: BTreeSet<MailboxId> = disk.mailboxes(Table::Mailbox).collect();
        let gone = self.boxes.iter_mut().filter(|(id, _)| !there.contains(id));
        gone.for_each(|(_, known)| known.deleted = true);
        for id in there.into_iter().filter(|id| !self.boxes.contains_key(id)).collect::<Vec<_>>() {
            let Some(snapshot) = Snapshot::of(disk, id)? else { continue };
            let validity = snapshot.standing.uid_validity;
            let before = self.by_validity.keys().next_back().copied().unwrap_or(0);
            if validity <= before || !snapshot.entries.is_empty() {
                return broken(format!("{id:?} is new, its UIDVALIDITY {validity} is not"));
            }
            self.by_validity.insert(validity, id);
            let account = self.owner(id, disk)?;
            self.boxes.insert(id, Mailbox::new(account, snapshot, now));
        }
        for account in self.accounts.values() {
            let theirs = self.boxes.values().filter(|b| b.account == *account && !b.deleted);
            let octets = theirs.flat_map(|known| known.entries.values()).map(|e| e.size).sum();
            let used = self.used.entry(*account).or_default();
            *used = (octets, used.1.max(octets));
        }
        Ok(())
    }
}

impl Mailbox {
    fn new(account: AccountId, snapshot: Snapshot, now: Instant) -> Mailbox {
        Mailbox {
            account,
            validity: snapshot.standing.uid_validity,
            uid_next: snapshot.standing.uid_next.0,
            highest: snapshot.standing.highest_modseq.0,
            versions: vec![(now, snapshot.sight())],
            entries: snapshot.entries,
            gone: BTreeMap::new(),
            deleted: false,
        }
    }

    fn compare(&self, snapshot: &Snapshot, allowed: &Allowed) -> Checked {
        let mut wanted = allowed.come.iter();
        let mut changed = false;
        for (uid, entry) in &snapshot.entries {
            let Some(old) = self.entries.get(uid) else {
                changed = true;
                let Some((number, content, to)) = wanted.next() else {
                    return broken(format!("UID {uid} came, and nobody brought it"));
                };
                let fits = number.is_none_or(|number| number == *uid)
                    && *content == entry.content
                    && *to == entry.delivered_to;
                if !fits || *uid < self.uid_next || entry.modseq.0 <= self.highest {
                    return broken(format!("{entry:?} came, not {number:?} {content} for {to:?}"));
                }
                continue;
            };
            let differs = (old.flags, old.keywords) != (entry.flags, entry.keywords);
            changed |= differs;
            let flags = allowed.flags.get(uid).copied().unwrap_or(old.flags);
            let rose = entry.modseq.0 > self.highest;
            let same = (old.content, old.size, old.received, &old.delivered_to)
                == (entry.content, entry.size, entry.received, &entry.delivered_to);
            if !same || entry.flags != flags || differs != rose || !differs && old != entry {
                return broken(format!("UID {uid} is {entry:?}, it was {old:?}"));
            }
        }
        if let Some(missing) = wanted.next() {
            return broken(format!("{missing:?} did not come"));
        }
        let gone = self.entries.keys().filter(|uid| !snapshot.entries.contains_key(uid));
        // What was copied into its own mailbox may have come and gone at once.
        let gone: BTreeSet<u32> = gone.copied().collect();
        if gone != allowed.go {
            return broken(format!("{gone:?} went, wanted was {:?}", allowed.go));
        }
        changed |= !gone.is_empty();
        let (next, highest) = (snapshot.standing.uid_next.0, snapshot.standing.highest_modseq.0);
        let last = snapshot.entries.keys().next_back().copied().unwrap_or(0);
        if next < self.uid_next || next <= last || highest < self.highest {
            return broken(format!("it falls back to {:?}", snapshot.standing));
        }
        match changed && highest == self.highest {
            true => broken("it has changed, and HIGHESTMODSEQ has not".into()),
            false => Ok(()),
        }
    }

    fn take(&mut self, snapshot: Snapshot, now: Instant) {
        self.uid_next = snapshot.standing.uid_next.0;
        self.highest = snapshot.standing.highest_modseq.0;
        let sight = snapshot.sight();
        if self.versions.last().is_none_or(|(_, last)| **last != *sight) {
            self.versions.push((now, sight));
        }
        let old = std::mem::replace(&mut self.entries, snapshot.entries);
        self.gone.extend(old.into_iter().filter(|(uid, _)| !self.entries.contains_key(uid)));
    }
}
