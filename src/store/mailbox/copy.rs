//! COPY and MOVE: another entry shows the same content.

use super::{
    append::over_quota,
    changing::Changing,
    held,
    row::{Fault, Step, each},
    tree,
};
use crate::{
    mail::mailbox::{
        AccountId, Done, Keyword, Keywords, MailboxId, MailboxName, Refusal, Uid, Uids,
    },
    store::Rows,
};

/// What goes where.
pub struct Copy<'a> {
    pub account: AccountId,
    pub from: MailboxId,
    pub uids: &'a Uids,
    pub to: &'a MailboxName,
    pub quota: u64,
}

/// What a first look found.
#[derive(Default)]
struct Seen {
    messages: u64,
    octets: u64,
    /// All that any of them has.
    keywords: u64,
}

impl Copy<'_> {
    /// `taking`: the messages leave where they were, in the same step (RFC 6851 §3.3).
    pub fn run<R: Rows>(
        &self,
        rows: &mut R,
        taking: bool,
        touched: &mut Vec<MailboxId>,
    ) -> Step<Done, R::Error> {
        let source = Changing::open(rows, self.from)?;
        let to = tree::mailbox(rows, self.account, self.to)?;
        let mut target = Changing::open(rows, to.ok_or(Fault::Refused(Refusal::NoMailbox))?)?;
        if source.account() != self.account {
            return Err(Fault::Refused(Refusal::NoMailbox));
        }
        // What is copied into the same mailbox is not copied again.
        let mut uids = Uids::default();
        uids.insert_run(Uid(1)..=Uid(source.standing().uid_next.0 - 1));
        let uids = uids.intersection(self.uids);
        let seen = self.look(rows, &uids)?;
        // What only moves takes no more room than before.
        if !taking && over_quota(rows, self.account, self.quota, seen.octets)? {
            return Err(Fault::Refused(Refusal::OverQuota));
        }
        if !target.takes(seen.messages) {
            return Err(Fault::Refused(Refusal::Uids));
        }
        let map = keyword_map(&source.standing().keywords, seen.keywords, &mut target);
        let uid_validity = target.standing().uid_validity;
        // Both may be one mailbox, which is changed once.
        let mut source = Some(source).filter(|_| taking && to != Some(self.from));
        let (mut from, mut new) = (Vec::new(), Vec::new());
        each(rows, self.from, &uids, |rows, entry| {
            held::share(rows, entry.content, 1)?;
            let mut copy = entry.clone();
            copy.keywords = mapped(entry.keywords, &map);
            from.push(entry.uid);
            new.push(target.add(rows, copy)?);
            match &mut source {
                _ if !taking => Ok(()),
                Some(source) => source.expunge(rows, entry),
                None => target.expunge(rows, entry),
            }
        })?;
        target.close(rows, touched)?;
        if let Some(source) = source {
            source.close(rows, touched)?;
        }
        Ok(Done::Copied { uid_validity, from, to: new })
    }

    /// What would be copied, and whether all of it can be.
    fn look<R: Rows>(&self, rows: &mut R, uids: &Uids) -> Step<Seen, R::Error> {
        let mut seen = Seen::default();
        each(rows, self.from, uids, |rows, entry| {
            seen.messages += 1;
            seen.octets = seen.octets.saturating_add(entry.size);
            seen.keywords |= entry.keywords.0;
            let held = held::held(rows, entry.content)?;
            if held.is_some_and(|held| held::can_be_shared(&held)) {
                Ok(())
            } else {
                Err(Fault::Refused(Refusal::Damaged))
            }
        })?;
        Ok(seen)
    }
}

/// For each keyword of the source its bit in the target. RFC 3501 §6.4.7: flags should be kept; a
/// keyword for which the target has no room is not.
fn keyword_map(list: &[Keyword], used: u64, target: &mut Changing) -> Vec<u64> {
    let bits = list.iter().enumerate().map(|(place, keyword)| match used >> place & 1 {
        1 => target.keywords(std::slice::from_ref(keyword), true).0.0,
        _ => 0,
    });
    bits.collect()
}

fn mapped(keywords: Keywords, map: &[u64]) -> Keywords {
    let has = |place: usize| keywords.0 >> place & 1 == 1;
    let bits = map.iter().enumerate().filter(|(place, _)| has(*place));
    Keywords(bits.fold(0, |all, (_, bit)| all | bit))
}
