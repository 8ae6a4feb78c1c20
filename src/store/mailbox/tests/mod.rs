//! Acts and asks against a map for a disk: every row is looked at after every act.

mod aliases;
mod audit;
mod damage;
mod deliveries;
mod life;
mod names;
mod pages;

use std::{collections::BTreeMap, convert::Infallible};

use bytes::Bytes;

use super::act;
use crate::{
    mail::{
        QueueId,
        mailbox::{
            Account, AccountId, Act, Ask, Directory, Done, Flags, Found, Listed, MailboxId,
            MailboxName, NewContent, NewMessage, Opened, Uid, Uids, Want,
        },
    },
    store::{
        Reads, Rows, Table,
        content::Unpress,
        content::{Builder, Press},
    },
    time::Wall,
};

/// A disk in memory.
#[derive(Clone, Default)]
struct Map(BTreeMap<(u8, Vec<u8>), Vec<u8>>);

impl Reads for Map {
    type Error = Infallible;

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Infallible> {
        Ok(self.0.get(&(table as u8, key.to_vec())).map(Vec::as_slice))
    }

    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, Infallible> {
        let next = self.0.range((table as u8, from.to_vec())..).next();
        Ok(next.filter(|((of, _), _)| *of == table as u8).map(|((_, key), _)| key.as_slice()))
    }

    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Infallible> {
        for ((of, key), value) in self.0.range((table as u8, from.to_vec())..) {
            if *of != table as u8 || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}

impl Rows for Map {
    fn put(&mut self, table: Table, key: &[u8], value: &[&[u8]]) -> Result<(), Infallible> {
        self.0.insert((table as u8, key.to_vec()), value.concat());
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Infallible> {
        self.0.remove(&(table as u8, key.to_vec()));
        Ok(())
    }

    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), Infallible> {
        self.0.retain(|(of, key), _| *of != table as u8 || !key.starts_with(prefix));
        Ok(())
    }

    fn any_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<bool, Infallible> {
        let next = self.key_from(table, prefix)?;
        Ok(next.is_some_and(|key| key.starts_with(prefix)))
    }
}

/// The disk, and ids for contents.
#[derive(Default)]
struct Bench {
    map: Map,
    content: u64,
    touched: Vec<MailboxId>,
}

impl Bench {
    /// With an account `a@x.example`.
    fn with_account() -> (Bench, AccountId) {
        let mut bench = Bench::default();
        let account = bench.add_account("a@x.example", None).id;
        (bench, account)
    }

    fn add_account(&mut self, key: &'static str, quota: Option<u64>) -> Account {
        let (key, password) = (Bytes::from_static(key.as_bytes()), Bytes::from_static(b"hash"));
        let added = Directory::AddAccount { key: key.clone(), password, quota };
        assert_eq!(self.act(&Act::Directory(added)), Done::Done);
        *self.account(key).unwrap()
    }

    fn account(&self, key: Bytes) -> Option<Box<Account>> {
        match self.ask(&Ask::Account { key }) {
            Found::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    fn act(&mut self, doing: &Act) -> Done {
        let Ok(done) = act(doing, &mut self.map, &mut self.touched);
        done
    }

    fn ask(&self, ask: &Ask) -> Found {
        let Ok(found) = super::ask(ask, &self.map, &mut Unpress::default(), &mut |told| {
            panic!("{ask:?}: {told}")
        });
        found.unwrap()
    }

    fn content(&mut self, octets: &[u8]) -> NewContent {
        self.content += 1;
        let mut press = Press::default();
        let mut builder = Builder::new(QueueId::from_u64(self.content));
        builder.feed(octets, &mut press);
        builder.finish(&mut press)
    }

    fn message(&mut self, octets: &[u8], flags: Flags) -> NewMessage {
        let content = self.content(octets);
        NewMessage { content, flags, keywords: Vec::new(), received: Wall::from_millis(5) }
    }

    /// Puts short messages into a mailbox; their UIDs.
    fn fill(&mut self, account: AccountId, to: &str, count: usize) -> Vec<Uid> {
        let messages = (0..count).map(|n| {
            let text = format!("Subject: {n}\r\n\r\nhello\r\n");
            self.message(text.as_bytes(), Flags::default())
        });
        let messages = messages.collect();
        match self.act(&Act::Append { account, name: name(to), messages, quota: 0 }) {
            Done::Appended { uids, .. } => uids,
            other => panic!("{other:?}"),
        }
    }

    fn open(&self, account: AccountId, text: &str) -> Option<Box<Opened>> {
        match self.ask(&Ask::Open { account, name: name(text) }) {
            Found::Open(opened) => opened,
            other => panic!("{other:?}"),
        }
    }

    fn mailbox(&self, account: AccountId, text: &str) -> MailboxId {
        self.open(account, text).unwrap().standing.mailbox
    }

    /// All messages of a set, page by page.
    fn messages(&self, mailbox: MailboxId, uids: &Uids, want: Want) -> Vec<Listed> {
        let (mut all, mut uids) = (Vec::new(), uids.clone());
        loop {
            let ask = Ask::Messages { mailbox, uids: uids.clone(), want };
            let Found::Messages { messages, rest } = self.ask(&ask) else { panic!("{ask:?}") };
            all.extend(messages);
            let Some(rest) = rest else { return all };
            uids = uids.from(rest);
        }
    }
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn set(uids: &[u32]) -> Uids {
    uids.iter().map(|uid| Uid(*uid)).collect()
}

fn all() -> Uids {
    let mut all = Uids::default();
    all.insert_run(Uid(1)..=Uid(u32::MAX));
    all
}
