//! Octets that the disk has changed are found and not believed, and nothing panics.

use bytes::Bytes;

use super::{Bench, all, name};
use crate::{
    mail::mailbox::{
        AccountId, Act, Ask, Content, FlagChange, Flags, Found, How, MailboxId, ModSeq, Uids, Want,
    },
    random::Random,
    store::{Table, content::Unpress, mailbox},
};

const TABLES: [Table; 11] = [
    Table::Address,
    Table::Account,
    Table::Folder,
    Table::Mailbox,
    Table::Marks,
    Table::Entry,
    Table::Changed,
    Table::Ghost,
    Table::Held,
    Table::Summary,
    Table::Content,
];

fn asks(account: AccountId, mailbox: MailboxId) -> Vec<Ask> {
    let want = Want { summary: true, content: Content::Whole { at_most: 1 << 20 } };
    vec![
        Ask::Account { key: Bytes::from("a@x.example") },
        Ask::Folders { account, after: None, standing: true },
        Ask::Open { account, name: name("INBOX") },
        Ask::Changes { mailbox, since: ModSeq(0), after: None },
        Ask::Messages { mailbox, uids: all(), want },
        Ask::Marked { mailbox, mark: crate::mail::mailbox::Mark::Unseen },
        Ask::Usage { account },
    ]
}

/// Every part of an answer is one that the undamaged store gave; parts may be missing.
fn is_part(found: &Found, of: &Found) -> bool {
    match (found, of) {
        (Found::Messages { messages, .. }, Found::Messages { messages: all, .. }) => {
            messages.iter().all(|listed| {
                all.iter().any(|one| {
                    one.entry == listed.entry
                        && (listed.summary.is_none() || one.summary == listed.summary)
                        && (listed.content.is_none() || one.content == listed.content)
                })
            })
        }
        (Found::Folders { folders, .. }, Found::Folders { folders: all, .. }) => {
            folders.iter().all(|folder| {
                all.iter().any(|one| {
                    let bare = crate::mail::mailbox::Folder { standing: None, ..one.clone() };
                    one == folder || bare == *folder
                })
            })
        }
        (Found::Changes(Some(changes)), Found::Changes(Some(all))) => {
            changes.standing == all.standing
                && changes.changed.iter().all(|entry| all.changed.contains(entry))
                && changes.gone.difference(&all.gone).is_empty()
        }
        _ => found == of,
    }
}

#[test]
fn flipped_octets_are_found() {
    let (mut bench, account) = Bench::with_account();
    bench.fill(account, "INBOX", 4);
    let mailbox = bench.mailbox(account, "INBOX");
    let change = FlagChange {
        how: How::Add,
        flags: Flags::DELETED,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    bench.act(&Act::Flag { mailbox, uids: super::set(&[2]), change });
    bench.act(&Act::Expunge { mailbox, uids: all() });
    let asks = asks(account, mailbox);
    let whole: Vec<Found> = asks.iter().map(|ask| bench.ask(ask)).collect();
    let mut random = Random::from_seed([8; 32]);
    for table in TABLES {
        let keys: Vec<Vec<u8>> = bench.map.rows(table).map(|(key, _)| key.clone()).collect();
        for _ in 0..300 {
            let key = &keys[random.below(keys.len() as u32) as usize];
            let mut damaged = bench.map.clone();
            let value = damaged.0.get_mut(&(table as u8, key.clone())).unwrap();
            // A row without a value is damaged by one, or in its key.
            let in_key = value.is_empty() || random.below(4) == 0;
            if in_key {
                let value = damaged.0.remove(&(table as u8, key.clone())).unwrap();
                let mut key = key.clone();
                let at = random.below(key.len() as u32) as usize;
                key[at] ^= 1 << random.below(8);
                damaged.0.insert((table as u8, key), value);
            } else {
                let at = random.below(value.len() as u32) as usize;
                value[at] ^= 1 << random.below(8);
            }
            let mut warnings = 0;
            for (ask, whole) in asks.iter().zip(&whole) {
                let Ok(found) =
                    mailbox::ask(ask, &damaged, &mut Unpress::default(), &mut |_| warnings += 1);
                let Some(found) = found else { continue };
                let missing = matches!(
                    found,
                    Found::Account(None)
                        | Found::Open(None)
                        | Found::Changes(None)
                        | Found::Usage { octets: 0, messages: 0 }
                ) || matches!(&found, Found::Marked(uids) if *uids == Uids::default());
                let believed = !missing && !is_part(&found, whole);
                assert!(!believed, "{table:?} {key:?} {in_key}: {ask:?} found {found:?}");
            }
            assert!(in_key || warnings > 0 || table == Table::Account, "{table:?} {key:?}");
        }
    }
}

#[test]
fn acts_on_damaged_rows_harm_nothing_else() {
    let mut random = Random::from_seed([9; 32]);
    for round in 0..400 {
        let (mut bench, account) = Bench::with_account();
        bench.fill(account, "INBOX", 3);
        let mailbox = bench.mailbox(account, "INBOX");
        let places: Vec<_> = bench.map.0.keys().filter(|(table, _)| *table != 0).cloned().collect();
        let place = &places[random.below(places.len() as u32) as usize];
        if let Some(octet) = bench.map.0.get_mut(place).and_then(|value| value.last_mut()) {
            *octet ^= 1 << random.below(8);
        }
        let change = FlagChange {
            how: How::Replace,
            flags: Flags::DELETED,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        let from = mailbox;
        let acts = [
            Act::Flag { mailbox, uids: all(), change },
            Act::Copy { account, from, uids: all(), to: name("Sent"), taking: false, quota: 0 },
            Act::Rename { account, from: name("INBOX"), to: name("Old") },
            Act::Expunge { mailbox, uids: all() },
            Act::Delete { account, name: name("Old") },
        ];
        for act in &acts {
            let done = bench.act(act);
            println!("round {round}: {place:?}: {act:?}: {done:?}");
        }
        while mailbox::purge(&mut bench.map, &|_| None, 100).unwrap().more {}
    }
}
