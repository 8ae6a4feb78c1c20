//! Mailboxes out of a backup: clients must not take them for those that they knew.

use super::record::{MailboxRecord, decode, encode};
use crate::{limits::RESTORED_VALIDITY, store::Table};

/// A row of `Mailbox` under another UIDVALIDITY, higher by at least `RESTORED_VALIDITY`. Mail that
/// came after the backup is lost, and flags are as they were; but clients remember the UIDs and
/// MODSEQs that were given out since, and one of them given again would hide a message, or make a
/// client that mirrors the mailbox delete the last copy of one. `chance` is another one at every
/// restore: a backup may be restored twice. `None` where the row is damaged.
pub fn moved_on(key: &[u8], value: &[u8], chance: u16) -> Option<Vec<u8>> {
    let mut record: MailboxRecord = decode(Table::Mailbox, key, value).ok()?;
    let validity = &mut record.standing.uid_validity;
    let step = RESTORED_VALIDITY.saturating_mul(1 + u32::from(chance) % 256);
    // Some clients take it for a signed number.
    *validity = (validity.wrapping_add(step) & (u32::MAX >> 1)).max(1);
    Some(encode(Table::Mailbox, key, &record).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mail::mailbox::{AccountId, MailboxId, ModSeq, Standing, Uid},
        store::mailbox::key,
    };

    #[test]
    fn a_restored_mailbox_is_another_one_each_time() {
        let standing = Standing {
            mailbox: MailboxId(7),
            uid_validity: 5,
            uid_next: Uid(100),
            highest_modseq: ModSeq(9),
            messages: 0,
            unseen: 0,
            deleted: 0,
            size: 0,
            recent_from: Uid(1),
            keywords: Vec::new(),
        };
        let key = key::mailbox(MailboxId(7));
        let record = MailboxRecord::new(AccountId(1), standing);
        let value = encode(Table::Mailbox, &key, &record).to_vec();
        let validity = |chance| {
            let row = moved_on(&key, &value, chance).unwrap();
            let record: MailboxRecord = decode(Table::Mailbox, &key, &row).unwrap();
            assert_eq!(record.standing.uid_next, Uid(100));
            record.standing.uid_validity
        };
        assert!(validity(0) > 5 && validity(1) > validity(0) && validity(255) < u32::MAX >> 1);
        assert_eq!(moved_on(&key, &value[1..], 0), None);
    }
}
