//! Mail for local accounts: once, for all who are there, and again for those who were not.

use std::sync::Arc;

use bytes::Bytes;

use super::{Bench, all, name};
use crate::{
    mail::{
        Address, Class, DestinationKey, Due, Envelope, Message, Parcel, QueueId, Recipient, Wire,
        mailbox::{
            Act, Ask, Content, Delivery, Destined, Directory, Done, Flags, Found, NewContent,
            NewMessage, Refusal, Uid, Want,
        },
    },
    store::{
        Accept, Change, Reads, Rows, Settle, Table, key,
        mailbox::{
            key as mailbox_key,
            record::{HeldRecord, MailboxRecord, Stored, decode, encode},
        },
        write_batch,
    },
    time::Wall,
};

fn address(text: &str) -> Address {
    Address::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn due(at: u64) -> Due {
    let destination = DestinationKey::from_u64(1);
    Due { destination, class: Class::Fresh, at: Wall::from_millis(at) }
}

fn parcel(message: &Arc<Message>, part: u16, to: &[&str]) -> Parcel {
    Parcel {
        message: message.clone(),
        part,
        due: due(1),
        attempts: 0,
        warned: false,
        recipients: to.iter().map(|text| Recipient::plain(address(text))).collect(),
        last_reply: Bytes::new(),
        body: None,
    }
}

fn accept(id: u64, parcels: &[&[&str]]) -> (Arc<Message>, Vec<Parcel>, Change) {
    let message = Arc::new(Message {
        id: QueueId::from_u64(id),
        arrived: Wall::from_millis(1),
        envelope: Envelope::default(),
        wire: Wire::Plain,
        size: 0,
        parcels: parcels.len() as u16,
    });
    let parcels: Vec<Parcel> =
        (0..).zip(parcels).map(|(part, to)| parcel(&message, part, to)).collect();
    let accept = Accept {
        message: message.clone(),
        parcels: parcels.clone(),
        body: vec![],
        spooled_rows: 0,
    };
    (message, parcels, Change::Accept(Box::new(accept)))
}

fn settle(parcel: &Parcel, content: &NewContent, to: &[&str]) -> Change {
    let to = to.iter().map(|text| Destined { address: address(text) });
    let delivery =
        Delivery { content: content.clone(), received: Wall::from_millis(9), to: to.collect() };
    Change::Settle(Box::new(Settle {
        message: parcel.message.clone(),
        parcel: parcel.id(),
        was: parcel.due,
        left: None,
        report: None,
        delivery: Some(Box::new(delivery)),
    }))
}

impl Bench {
    fn write(&mut self, change: &Change) -> Done {
        let done = self.write_unseen(change);
        self.map.audit();
        done
    }

    /// Where rows were changed by hand nobody looks at all of them.
    fn write_unseen(&mut self, change: &Change) -> Done {
        let Ok(mut written) = write_batch([change], QueueId::MIN, &mut self.map);
        written.done.pop().unwrap()
    }

    /// The parcel waits where it was.
    fn waits(&self, parcel: &Parcel) -> bool {
        let is_there = |table, key: &[u8]| self.map.row(table, key).unwrap().is_some();
        let waits = is_there(Table::Parcel, &key::parcel(parcel.id()));
        assert_eq!(is_there(Table::Due, &key::due(&parcel.due, parcel.id())), waits);
        waits
    }
}

#[test]
fn mail_is_delivered_once_to_all_or_to_nobody() {
    let mut bench = Bench::default();
    let a = bench.add_account("a@x.example", Some(1));
    bench.add_account("b@x.example", None);
    let (message, parcels, accepted) = accept(70, &[&["a+1@x.example", "b@x.example"]]);
    bench.write(&accepted);
    let mut content = bench.content(b"Subject: x\r\n\r\nhello\r\n");
    content.id = message.id;
    let gone = Act::Directory(Directory::RemoveAccount { key: Bytes::from("b@x.example") });
    assert_eq!(bench.act(&gone), Done::Done);
    let settled = settle(&parcels[0], &content, &["a+1@x.example", "b@x.example"]);
    assert_eq!(bench.write(&settled), Done::Gone { places: vec![1] });
    assert!(bench.waits(&parcels[0]));
    assert_eq!(bench.open(a.id, "INBOX").unwrap().standing.messages, 0);
    // The account is made again, and this time all get it, whatever the quota says now.
    let b = bench.add_account("b@x.example", None);
    assert_eq!(bench.write(&settled), Done::Done);
    let inbox = bench.open(a.id, "INBOX").unwrap();
    assert_eq!((inbox.standing.messages, inbox.standing.unseen), (1, 1));
    let want = Want { summary: true, content: Content::Whole { at_most: 100 } };
    let found = bench.messages(inbox.standing.mailbox, &all(), want);
    assert_eq!(found[0].entry.delivered_to, "a+1@x.example");
    let field = b"Delivered-To: a+1@x.example\r\n";
    assert_eq!(found[0].entry.delivered_field(), &field[..]);
    assert_eq!(found[0].entry.size, content.size + field.len() as u64);
    assert_eq!(found[0].content.as_deref(), Some(&b"Subject: x\r\n\r\nhello\r\n"[..]));
    let Found::Usage { octets, messages: 1 } = bench.ask(&Ask::Usage { account: a.id }) else {
        panic!("one message")
    };
    assert_eq!(octets, found[0].entry.size);
    assert!(!bench.waits(&parcels[0]));
    // A settlement that comes twice delivers once.
    assert_eq!(bench.write(&settled), Done::Done);
    for account in [&a, &b] {
        assert_eq!(bench.open(account.id, "INBOX").unwrap().standing.messages, 1);
    }
    for table in [Table::Message, Table::Parcel, Table::Due] {
        assert_eq!(bench.map.rows(table).count(), 0, "{table:?}");
    }
}

#[test]
fn two_addresses_of_one_account_are_two_messages() {
    let mut bench = Bench::default();
    let a = bench.add_account("a@x.example", None);
    let (message, parcels, accepted) = accept(70, &[&["a@x.example", "a+1@x.example"]]);
    bench.write(&accepted);
    let mut content = bench.content(b"x");
    content.id = message.id;
    let settled = settle(&parcels[0], &content, &["a@x.example", "a+1@x.example"]);
    assert_eq!(bench.write(&settled), Done::Done);
    assert_eq!(bench.open(a.id, "INBOX").unwrap().uids.count(), 2);
    assert_eq!(bench.map.rows(Table::Held).count(), 1);
}

#[test]
fn parcels_of_one_message_share_its_content() {
    let mut bench = Bench::default();
    let a = bench.add_account("a@x.example", None);
    let (message, parcels, accepted) = accept(70, &[&["a@x.example"], &["a+2@x.example"]]);
    bench.write(&accepted);
    let mut content = bench.content(&[b'x'; 200_000]);
    content.id = message.id;
    // Both are spooled at the same time; one of them is given up and comes again.
    let chunks = content.chunks.clone();
    let spool = |first: usize, count: usize| {
        let chunks = chunks[first..first + count].to_vec();
        let content = QueueId::from_u64(70);
        Change::Mailbox(Box::new(Act::Spool { content, first_chunk: first as u32, chunks }))
    };
    let mut rest = content.clone();
    rest.spooled_chunks = 2;
    rest.chunks.drain(..2);
    let to = ["a@x.example"];
    bench.write(&spool(0, 1));
    bench.write(&spool(0, 2));
    bench.write(&Change::Mailbox(Box::new(Act::Abandon { content: message.id })));
    assert_eq!(bench.map.rows(Table::Content).count(), 0);
    let torn = bench.write(&settle(&parcels[0], &rest, &to));
    assert_eq!(torn, Done::Refused(Refusal::Damaged));
    assert!(bench.waits(&parcels[0]));
    bench.write(&spool(0, 2));
    assert_eq!(bench.write(&settle(&parcels[0], &rest, &to)), Done::Done);
    assert_eq!(bench.map.rows(Table::Arriving).count(), 0);
    bench.write(&spool(0, 2));
    assert_eq!(bench.write(&settle(&parcels[1], &rest, &to)), Done::Done);
    let mailbox = bench.mailbox(a.id, "INBOX");
    let want = Want { summary: false, content: Content::Whole { at_most: 1 << 20 } };
    for listed in bench.messages(mailbox, &all(), want) {
        assert_eq!(listed.content.unwrap(), vec![b'x'; 200_000]);
    }
    assert_eq!(bench.map.rows(Table::Held).count(), 1);
}

#[test]
fn delivery_goes_to_the_inbox_of_now() {
    let mut bench = Bench::default();
    let a = bench.add_account("a@x.example", None);
    let (message, parcels, accepted) = accept(70, &[&["a@x.example"]]);
    bench.write(&accepted);
    bench.act(&Act::Rename { account: a.id, from: name("INBOX"), to: name("Old") });
    let mut content = bench.content(b"x");
    content.id = message.id;
    let settled = settle(&parcels[0], &content, &["a@x.example"]);
    assert_eq!(bench.write(&settled), Done::Done);
    assert_eq!(bench.open(a.id, "Old").unwrap().standing.messages, 0);
    assert_eq!(bench.open(a.id, "INBOX").unwrap().standing.messages, 1);
}

impl Bench {
    /// Changes one record on the disk, as no act does.
    fn set<T: Stored>(&mut self, table: Table, key: &[u8], set: impl FnOnce(&mut T)) {
        let mut record = decode(table, key, self.map.row(table, key).unwrap().unwrap()).unwrap();
        set(&mut record);
        self.map.put(table, key, &[&encode(table, key, &record)]).unwrap();
    }
}

#[test]
fn the_last_uid_is_for_one() {
    let mut bench = Bench::default();
    let a = bench.add_account("a@x.example", None);
    let to = ["a@x.example", "a+1@x.example"];
    let (message, parcels, accepted) = accept(70, &[&to]);
    bench.write(&accepted);
    let inbox = mailbox_key::mailbox(a.inbox);
    let last = Uid(u32::MAX - 1);
    bench.set(Table::Mailbox, &inbox, |it: &mut MailboxRecord| it.standing.uid_next = last);
    let mut content = bench.content(b"x");
    content.id = message.id;
    let settled = settle(&parcels[0], &content, &to);
    assert_eq!(bench.write_unseen(&settled), Done::Gone { places: vec![1] });
    assert_eq!(bench.open(a.id, "INBOX").unwrap().standing.messages, 0);
    let settled = settle(&parcels[0], &content, &to[..1]);
    assert_eq!(bench.write_unseen(&settled), Done::Done);
    assert_eq!(bench.open(a.id, "INBOX").unwrap().standing.messages, 1);
}

#[test]
fn a_content_that_cannot_be_counted_is_delivered_to_nobody() {
    let to = ["a@x.example"];
    let damages: [fn(&mut Bench, &[u8]); 2] = [
        |bench, key| {
            let row = bench.map.0.get_mut(&(Table::Held as u8, key.to_vec())).unwrap();
            row[0] ^= 1;
        },
        |bench, key| {
            bench.set(Table::Held, key, |held: &mut HeldRecord| held.references = u32::MAX);
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let mut bench = Bench::default();
        let account = bench.add_account("a@x.example", None).id;
        let (message, parcels, accepted) = accept(70, &[&to, &to]);
        bench.write(&accepted);
        let mut content = bench.content(b"x");
        content.id = message.id;
        assert_eq!(bench.write(&settle(&parcels[0], &content, &to)), Done::Done);
        damage(&mut bench, &mailbox_key::content(content.id));
        let before = bench.map.0.clone();
        let again = settle(&parcels[1], &content, &to);
        assert_eq!(bench.write_unseen(&again), Done::Refused(Refusal::Damaged), "{number}");
        assert!(bench.map.0 == before, "{number}");
        let messages = vec![NewMessage { content, ..bench.message(b"", Flags::default()) }];
        let append = Act::Append { account, name: name("INBOX"), messages, quota: 0 };
        assert_eq!(bench.act(&append), Done::Refused(Refusal::Damaged), "{number}");
        assert!(bench.map.0 == before, "{number}");
    }
}
