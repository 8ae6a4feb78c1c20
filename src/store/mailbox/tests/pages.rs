//! Long answers come in pages that together are the whole, and expunged messages stay readable.

use std::{cell::Cell, convert::Infallible};

use super::{Bench, Map, all, name, set};
use crate::{
    limits::{
        BODY_ROW, CHANGES_PAGE, CHECKSUM, CONTENT_CHUNK, EXPUNGES_REMEMBERED, LISTED_MAX,
        LISTED_OCTETS,
    },
    mail::mailbox::{
        Act, Ask, Content, Done, FlagChange, Flags, Found, How, MailboxId, ModSeq, Uid, Uids, Want,
    },
    random::Random,
    store::{
        Reads, Table,
        checksum::Of,
        content::Unpress,
        mailbox::{
            self, purge,
            record::{Forgotten, MailboxRecord, decode},
        },
        record::{Record, seal},
    },
};

/// All changes since, page by page: changed, gone, pages.
fn changes(bench: &Bench, mailbox: MailboxId, since: ModSeq) -> (Uids, Uids, usize) {
    let (mut since, mut after) = (since, None);
    let (mut changed, mut gone, mut pages) = (Uids::default(), Uids::default(), 0);
    loop {
        let ask = Ask::Changes { mailbox, since, after };
        let Found::Changes(Some(page)) = bench.ask(&ask) else { panic!("{ask:?}") };
        assert!(page.changed.len() <= CHANGES_PAGE);
        assert!(page.changed.is_sorted_by_key(|entry| entry.uid));
        for entry in &page.changed {
            assert!(!changed.contains(entry.uid), "{:?} is told twice", entry.uid);
            changed.insert(entry.uid);
        }
        page.gone.runs().for_each(|run| gone.insert_run(run));
        pages += 1;
        if !page.more {
            assert_eq!((page.upto, page.within), (page.standing.highest_modseq, None));
            return (changed, gone, pages);
        }
        (since, after) = (page.upto, page.within);
    }
}

fn star(flags: Flags) -> FlagChange {
    FlagChange { how: How::Add, flags, keywords: Vec::new(), unchanged_since: None }
}

#[test]
fn one_modseq_of_many_messages_is_told_in_pages() {
    let (mut bench, account) = Bench::with_account();
    for _ in 0..3 {
        bench.fill(account, "INBOX", 1000);
    }
    let mailbox = bench.mailbox(account, "INBOX");
    let every: Uids = (1..=3000).map(Uid).collect();
    assert_eq!(changes(&bench, mailbox, ModSeq(1)), (every.clone(), Uids::default(), 3));
    let change = star(Flags::SEEN);
    let done = bench.act(&Act::Flag { mailbox, uids: all(), change });
    assert_eq!(done, Done::Flagged { modseq: Some(ModSeq(5)), refused: Uids::default() });
    assert_eq!(changes(&bench, mailbox, ModSeq(4)), (every.clone(), Uids::default(), 3));
    let done = bench.act(&Act::Flag { mailbox, uids: all(), change: star(Flags::SEEN) });
    assert_eq!(done, Done::Flagged { modseq: None, refused: Uids::default() });
    bench.act(&Act::Remove { mailbox, uids: all() });
    assert_eq!(changes(&bench, mailbox, ModSeq(5)), (Uids::default(), every.clone(), 3));
    // Marks of gone messages outlive their ghosts.
    while purge(&mut bench.map, &|_| None, 256).unwrap().more {}
    assert_eq!(changes(&bench, mailbox, ModSeq(0)), (Uids::default(), every, 3));
    bench.map.audit();
}

#[test]
fn it_is_remembered_of_so_many_when_they_went() {
    const KEPT: u32 = 3000;
    const GOING: u32 = 1000;
    let (mut bench, account) = Bench::with_account();
    bench.fill(account, "Trash", GOING as usize);
    bench.fill(account, "INBOX", 0);
    let [mailbox, from] = ["INBOX", "Trash"].map(|text| bench.mailbox(account, text));
    let come = |bench: &mut Bench| -> Uids {
        let to = name("INBOX");
        let copy = Act::Copy { account, from, uids: all(), to, taking: false, quota: 0 };
        let Done::Copied { to: uids, .. } = bench.act(&copy) else { panic!("nothing came") };
        uids.into_iter().collect()
    };
    (0..KEPT / GOING).for_each(|_| drop(come(&mut bench)));
    let mut went = Vec::new();
    while (went.len() as u32) * GOING < EXPUNGES_REMEMBERED + 2 * GOING {
        let uids = come(&mut bench);
        let Done::Expunged { modseq, .. } = bench.act(&Act::Remove { mailbox, uids }) else {
            panic!("nothing went")
        };
        went.push(modseq.unwrap());
    }
    let marks = |bench: &Bench| {
        let rows = bench.map.rows(Table::Changed);
        rows.filter(|(_, value)| !value.is_empty()).count() as u32
    };
    let every = went.len() as u32 * GOING;
    let of = |acts: std::ops::Range<u32>| -> Uids {
        (1 + KEPT + acts.start * GOING..1 + KEPT + acts.end * GOING).map(Uid).collect()
    };
    let acts = went.len() as u32;
    // One who comes back is amid the answer when they are forgotten.
    let ask = Ask::Changes { mailbox, since: ModSeq(1), after: None };
    let Found::Changes(Some(first)) = bench.ask(&ask) else { panic!("{ask:?}") };
    assert!(first.gone.is_empty() && first.more);
    // The first time with a session that was told of nothing: all ghosts stay.
    for told in [Some(ModSeq(1)), None] {
        while purge(&mut bench.map, &|_| told, 256).unwrap().more {}
        assert_eq!(marks(&bench), EXPUNGES_REMEMBERED);
        bench.map.audit();
    }
    assert_eq!(changes(&bench, mailbox, first.upto).1, of(0..acts));
    let forgotten = every - EXPUNGES_REMEMBERED;
    // The act in which it ends that they are forgotten: whoever knew it misses nothing.
    let last = forgotten / GOING;
    let (changed, gone, _) = changes(&bench, mailbox, went[last as usize]);
    assert_eq!((changed.count(), gone), (0, of(last + 1..acts)));
    // Whoever was told of less is told all that ever went.
    for since in [ModSeq(1), went[0], went[last as usize - 1]] {
        let (changed, gone, _) = changes(&bench, mailbox, since);
        assert_eq!((changed.count(), gone), (if since.0 == 1 { KEPT } else { 0 }, of(0..acts)));
    }
}

#[test]
fn messages_come_whole_with_ghosts_among_them() {
    let (mut bench, account) = Bench::with_account();
    bench.fill(account, "INBOX", 900);
    let mailbox = bench.mailbox(account, "INBOX");
    let mut random = Random::from_seed([3; 32]);
    let mut gone: Uids = (300..700).map(Uid).collect();
    (0..100).for_each(|_| gone.insert(Uid(1 + random.below(900))));
    bench.act(&Act::Remove { mailbox, uids: gone.clone() });
    let sparse: Uids = (0..300).map(|_| Uid(1 + random.below(1000))).collect();
    let every: Uids = (1..=900).map(Uid).collect();
    for wanted in [all(), every.clone(), sparse, set(&[1, 899, 900, 901]), gone.clone()] {
        let found =
            bench.messages(mailbox, &wanted, Want { summary: true, content: Content::None });
        let uids: Vec<Uid> = found.iter().map(|listed| listed.entry.uid).collect();
        assert_eq!(uids, wanted.intersection(&every).iter().collect::<Vec<_>>());
        assert!(found.iter().all(|listed| listed.summary.is_some()));
    }
    // A session that was told of nothing keeps them; once it is told they go.
    assert_eq!(purge(&mut bench.map, &|_| Some(ModSeq(2)), 256).unwrap().rows, 0);
    assert_eq!(bench.messages(mailbox, &gone, Want::default()).len(), gone.count() as usize);
    while purge(&mut bench.map, &|_| Some(ModSeq(3)), 256).unwrap().more {
        bench.map.audit();
    }
    assert_eq!(bench.messages(mailbox, &gone, Want::default()).len(), 0);
    assert_eq!(bench.messages(mailbox, &all(), Want::default()).len(), 900 - gone.count() as usize);
}

#[test]
fn a_step_of_clearing_ends_behind_its_rows() {
    const CONTENT_ROWS: usize = 3 * CONTENT_CHUNK / BODY_ROW + 1;
    let (mut bench, account) = Bench::with_account();
    let mut random = Random::from_seed([5; 32]);
    let text: Vec<u8> = (0..3 * CONTENT_CHUNK).map(|_| random.below(256) as u8).collect();
    for to in ["INBOX", "Trash"] {
        for _ in 0..12 {
            let messages = vec![bench.message(&text, Flags::default())];
            let append = Act::Append { account, name: name(to), messages, quota: 0 };
            assert!(matches!(bench.act(&append), Done::Appended { .. }));
        }
    }
    let mailbox = bench.mailbox(account, "INBOX");
    bench.act(&Act::Remove { mailbox, uids: all() });
    bench.act(&Act::Delete { account, name: name("Trash") });
    let mut steps = 0;
    loop {
        let before = bench.map.0.len();
        let purged = purge(&mut bench.map, &|_| None, 100).unwrap();
        let gone = before - bench.map.0.len();
        assert!(gone < 100 + CONTENT_ROWS + 8, "{gone} rows went in one step");
        // It says of no row that it stayed.
        assert!((gone..gone + 20).contains(&purged.rows), "{purged:?}: {gone}");
        bench.map.audit();
        steps += 1;
        if !purged.more {
            break;
        }
    }
    assert_eq!((steps, bench.map.rows(Table::Content).count()), (13, 0));
}

#[test]
fn pages_keep_to_their_octets() {
    let (mut bench, account) = Bench::with_account();
    let sizes = [10, LISTED_OCTETS + 1, 100_000, 100_000, 100_000, 0, 5];
    for size in sizes {
        let text = ["Subject: x\r\n\r\n".as_bytes(), &vec![b'y'; size]].concat();
        let message = bench.message(&text, Flags::default());
        let append =
            Act::Append { account, name: name("INBOX"), messages: vec![message], quota: 0 };
        assert!(matches!(bench.act(&append), Done::Appended { .. }));
    }
    let mailbox = bench.mailbox(account, "INBOX");
    let want = Want { summary: false, content: Content::Whole { at_most: usize::MAX } };
    let mut uids = all();
    let mut pages = Vec::new();
    loop {
        let ask = Ask::Messages { mailbox, uids: uids.clone(), want };
        let Found::Messages { messages, rest } = bench.ask(&ask) else { panic!("{ask:?}") };
        for listed in &messages {
            let content = listed.content.as_ref().unwrap();
            assert_eq!(content.len() as u64, listed.entry.size);
            assert_eq!(content.len(), 14 + sizes[listed.entry.uid.0 as usize - 1]);
        }
        pages.push(messages.len());
        let Some(rest) = rest else { break };
        uids = uids.from(rest);
    }
    assert_eq!(pages, [1, 1, 2, 3]);
    let want = Want { summary: false, content: Content::Whole { at_most: 1000 } };
    let some = bench.messages(mailbox, &all(), want);
    assert_eq!(some.iter().filter(|listed| listed.content.is_some()).count(), 3);
    let want = Want { summary: false, content: Content::Header };
    for listed in bench.messages(mailbox, &all(), want) {
        assert_eq!(listed.content.unwrap(), "Subject: x\r\n\r\n");
    }
}

#[test]
fn a_header_that_is_no_header_is_not_read_at_once() {
    let (mut bench, account) = Bench::with_account();
    for (octets, shown) in [(LISTED_OCTETS, true), (LISTED_OCTETS + 1, false)] {
        let message = bench.message(&vec![b'y'; octets], Flags::default());
        let append =
            Act::Append { account, name: name("INBOX"), messages: vec![message], quota: 0 };
        assert!(matches!(bench.act(&append), Done::Appended { .. }));
        let mailbox = bench.mailbox(account, "INBOX");
        let want = Want { summary: false, content: Content::Header };
        let found = bench.messages(mailbox, &all(), want);
        assert_eq!(found.last().unwrap().content.is_some(), shown, "{octets}");
    }
}

/// Counts the walks through a table.
struct Counted<'a>(&'a Map, Table, Cell<usize>);

impl Reads for Counted<'_> {
    type Error = Infallible;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Infallible> {
        self.0.row(table, key)
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, Infallible> {
        self.0.key_from(table, from)
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Infallible> {
        self.2.set(self.2.get() + usize::from(table == self.1));
        self.0.walk(table, from, visit)
    }
}

#[test]
fn no_page_reads_what_the_next_one_shows() {
    let (mut bench, account) = Bench::with_account();
    for _ in 0..5 {
        let message = bench.message(&vec![b'y'; 3 * CONTENT_CHUNK], Flags::default());
        let append =
            Act::Append { account, name: name("INBOX"), messages: vec![message], quota: 0 };
        assert!(matches!(bench.act(&append), Done::Appended { .. }));
    }
    let mailbox = bench.mailbox(account, "INBOX");
    let reads = Counted(&bench.map, Table::Content, Cell::new(0));
    let want = Want { summary: true, content: Content::Whole { at_most: LISTED_OCTETS } };
    let (mut uids, mut pages) = (all(), 0);
    loop {
        let ask = Ask::Messages { mailbox, uids: uids.clone(), want };
        let Ok(found) =
            mailbox::ask(&ask, &reads, &mut Unpress::default(), &mut |told| panic!("{told}"));
        let Some(Found::Messages { rest, .. }) = found else { panic!("{ask:?}") };
        pages += 1;
        let Some(rest) = rest else { break };
        uids = uids.from(rest);
    }
    assert_eq!((pages, reads.2.get()), (5, 5 * 3));
}

#[test]
fn a_mailbox_is_opened_in_one_walk() {
    let (mut bench, account) = Bench::with_account();
    bench.fill(account, "INBOX", 3);
    let mailbox = bench.mailbox(account, "INBOX");
    bench.act(&Act::Flag { mailbox, uids: set(&[1]), change: star(Flags::SEEN) });
    let reads = Counted(&bench.map, Table::Marks, Cell::new(0));
    let ask = Ask::Open { account, name: name("INBOX") };
    let Ok(found) =
        mailbox::ask(&ask, &reads, &mut Unpress::default(), &mut |told| panic!("{told}"));
    let Some(Found::Open(Some(opened))) = found else { panic!("{found:?}") };
    assert_eq!((opened.first_unseen, reads.2.get()), (Some(Uid(2)), 1));
}

#[test]
fn a_part_of_a_content_is_that_part() {
    let (mut bench, account) = Bench::with_account();
    let mut random = Random::from_seed([4; 32]);
    let text: Vec<u8> = (0..200_000)
        .map(|at| if at % 70_000 < 20_000 { random.below(256) as u8 } else { b'x' })
        .collect();
    let message = bench.message(&text, Flags::default());
    let content = message.content.id;
    bench.act(&Act::Append { account, name: name("INBOX"), messages: vec![message], quota: 0 });
    for _ in 0..200 {
        let offset = random.below(210_000) as usize;
        let octets = random.below(100_000) as usize;
        let ask = Ask::Content { content, offset: offset as u64, octets };
        let Found::Content(part) = bench.ask(&ask) else { panic!("{ask:?}") };
        let from = offset.min(text.len());
        assert_eq!(part, text[from..(from + octets).min(text.len())], "{ask:?}");
    }
}

#[test]
fn many_messages_in_one_page_are_at_most_so_many() {
    let (mut bench, account) = Bench::with_account();
    bench.fill(account, "INBOX", LISTED_MAX + 1);
    let mailbox = bench.mailbox(account, "INBOX");
    let ask = Ask::Messages { mailbox, uids: all(), want: Want::default() };
    let Found::Messages { messages, rest } = bench.ask(&ask) else { panic!("{ask:?}") };
    assert_eq!((messages.len(), rest), (LISTED_MAX, Some(Uid(LISTED_MAX as u32 + 1))));
}

#[test]
fn what_format_2_says_of_a_mailbox_is_read() {
    let (mut bench, account) = Bench::with_account();
    bench.fill(account, "INBOX", 5);
    let mailbox = bench.mailbox(account, "INBOX");
    bench.act(&Act::Remove { mailbox, uids: set(&[2, 4]) });
    let key = mailbox::key::mailbox(mailbox);
    let now = bench.map.row(Table::Mailbox, &key).unwrap().unwrap();
    let of_2 = Record::from_slice(&now[..now.len() - CHECKSUM - 16]);
    let of_2 = seal(of_2, Of::Row(Table::Mailbox, &key));
    let read: MailboxRecord = decode(Table::Mailbox, &key, &of_2).unwrap();
    assert_eq!(read, decode(Table::Mailbox, &key, now).unwrap());
    assert_eq!((read.remembered(), read.forgotten), (2, Forgotten::NOTHING));
}
