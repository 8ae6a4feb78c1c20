//! What the outside tells the oracle: what peers refuse, are asked and take, what the relay hears.

use super::{Acceptance, Checked, Letter, Oracle, broken, letter, report, token_of};
use crate::{coverage::Coverage, mail::QueueId};

impl Oracle {
    /// A peer has said 5xx to what concerns this address or reverse-path.
    pub fn refused(&mut self, address: &str) {
        self.refused.insert(address.to_owned());
    }

    pub fn hopeless(&mut self, domain: &str) {
        self.hopeless.insert(domain.to_owned());
    }

    pub fn announced(&mut self, domain: &str, size: Option<u64>, smtputf8: bool) {
        if let Some(size) = size {
            let least = self.size_limits.entry(domain.to_owned()).or_insert(size);
            *least = size.min(*least);
        }
        if !smtputf8 {
            self.plain_only.insert(domain.to_owned());
        }
    }

    /// The relay says RCPT: is it time?
    pub fn asked(&mut self, address: &str) -> Checked {
        let Some(token) = token_of(address) else { return self.asked_for_other(address) };
        let id = self.submissions.get(&token).and_then(|submission| submission.accepted);
        let Some(letter) = id.and_then(|id| self.letters.get(&id)) else {
            return broken(format!("RCPT for {address}, whose message was never committed"));
        };
        let Some(fate) = letter.fates.get(address) else {
            return broken(format!("RCPT for {address}, no recipient of {}", letter.id));
        };
        if let Some(end) = fate.end {
            return broken(format!("RCPT for {address} of {}, which is {end:?}", letter.id));
        }
        if let Some(decided) = fate.decided {
            let status = decided.status;
            return broken(format!("RCPT for {address} of {}, found {status:?}", letter.id));
        }
        let filed = letter.filed(address).map(|(_, filed)| filed.due.at);
        match filed {
            Some(at) if at > self.latest => broken(format!(
                "RCPT for {address} of {} at {}, due at {}",
                letter.id,
                self.latest.as_millis(),
                at.as_millis()
            )),
            Some(_) => Ok(()),
            None => broken(format!("RCPT for {address} of {}, which is in no parcel", letter.id)),
        }
    }

    /// Several reports may be for one sender, several letters for the target of an alias: one of
    /// them must be due.
    fn asked_for_other(&self, address: &str) -> Checked {
        let reports = self.queued.iter().filter_map(|id| self.letters.get(id));
        let is_due =
            |letter: &Letter| letter.filed(address).is_some_and(|(_, f)| f.due.at <= self.latest);
        match reports.into_iter().any(is_due) {
            true => Ok(()),
            false => broken(format!("RCPT for {address}, for whom nothing is due")),
        }
    }

    /// A peer has taken a message for these recipients. `acceptance` tells whether and when the
    /// relay can know.
    pub fn taken(
        &mut self,
        content: &[u8],
        (sender, recipients): (&str, &[String]),
        acceptance: Acceptance,
        coverage: &mut Coverage,
    ) -> Checked {
        let Some(id) = self.identify(content) else {
            return broken(format!(
                "a peer got a message that nobody sent: {}",
                content[..content.len().min(200)].escape_ascii()
            ));
        };
        let Some(letter) = self.letters.get_mut(&id) else {
            return broken(format!("a peer got {id}, which was never committed"));
        };
        letter.check_delivered(content)?;
        if letter.sender.as_deref().unwrap_or("") != sender {
            return broken(format!("a peer got {id} from <{sender}>, not {:?}", letter.sender));
        }
        for recipient in recipients {
            let Some(fate) = letter.fates.get_mut(recipient) else {
                return broken(format!("a peer got {id} for {recipient}, who is no recipient"));
            };
            if acceptance.live && fate.acceptances.iter().any(|old| old.heard && !old.excused) {
                return broken(format!(
                    "{recipient} got {id} again, though the relay heard the first reply"
                ));
            }
            if acceptance.live && fate.end.is_some() {
                return broken(format!("{recipient} got {id} after it was settled"));
            }
            // The reply of the first is still on its way to a relay that listens.
            let under_way = |old: &Acceptance| {
                let unheard = self.unheard.get(&old.link);
                unheard.is_some_and(|list| list.iter().any(|(mark, _)| *mark == old.mark))
            };
            if acceptance.live && fate.acceptances.iter().any(under_way) {
                return broken(format!("{recipient} gets {id} twice at a time"));
            }
            if !fate.acceptances.is_empty() {
                coverage.count("oracle: a second delivery, the first reply was lost");
            }
            fate.acceptances.push(acceptance.clone());
        }
        if acceptance.live && acceptance.mark != u64::MAX {
            self.unheard.entry(acceptance.link).or_default().push((acceptance.mark, id));
        }
        Ok(())
    }

    /// The relay reads nothing of this link any more.
    pub fn left(&mut self, link: u64) {
        self.unheard.remove(&link);
    }

    /// The relay has read so many octets of this link.
    pub fn heard(&mut self, link: u64, octets: u64) {
        let Some(unheard) = self.unheard.get_mut(&link) else { return };
        for (_, id) in unheard.extract_if(.., |(mark, _)| *mark <= octets) {
            let Some(letter) = self.letters.get_mut(&id) else { continue };
            let acceptances = letter.fates.values_mut().flat_map(|fate| &mut fate.acceptances);
            for acceptance in acceptances.filter(|known| known.link == link) {
                acceptance.heard |= acceptance.mark <= octets;
            }
        }
    }

    fn identify(&self, content: &[u8]) -> Option<QueueId> {
        if let Some(token) = letter::field(content, b"X-Sim: ") {
            let token: u32 = std::str::from_utf8(token).ok()?.parse().ok()?;
            return self.submissions.get(&token)?.accepted;
        }
        report::id_of(content)
    }
}
