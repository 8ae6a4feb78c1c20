//! A store without a server: many accounts and messages are made quickly through its acts.

use std::sync::Arc;

use bytes::Bytes;
use ringmail::{
    config,
    mail::{
        QueueId,
        mailbox::{AccountId, Act, Ask, Directory, Done, Flags, Found, MailboxName, NewMessage},
    },
    shell::{
        lmdb::{Handle, Store, open},
        mesh::Mesh,
        secrets,
    },
    store::content::{Builder, Press},
    time::Wall,
};

use super::support::binary::Home;

pub struct Direct {
    store: Store,
    handle: Handle,
    press: Press,
    /// Contents get ids in order.
    next: QueueId,
}

impl Direct {
    pub fn open(home: &Home) -> Self {
        let opened = open(&home.data(), &config::Store { size_max: 0 }).unwrap();
        let next = opened.highest_id();
        let mesh = Arc::new(Mesh::new(1).unwrap());
        let store = opened.start(mesh, 1, Box::new(|sentence| panic!("{sentence}"))).unwrap();
        Self { handle: store.handle(), store, press: Press::default(), next }
    }

    pub fn close(self) {
        self.store.stop();
    }

    /// Accounts with the password `secret`.
    pub fn add_accounts(&self, names: impl Iterator<Item = String>) {
        let password = Bytes::from(secrets::hash(b"secret").unwrap());
        for name in names {
            let (key, password) = (Bytes::from(name), password.clone());
            let added = Directory::AddAccount { key, password, quota: None };
            let done = self.handle.act(Act::Directory(added)).unwrap();
            assert_eq!(done, Done::Done);
        }
    }

    pub fn account(&self, name: &str) -> AccountId {
        match self.handle.ask(Ask::Account { key: Bytes::copy_from_slice(name.as_bytes()) }) {
            Ok(Found::Account(Some(account))) => account.id,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Puts messages into an INBOX in one transaction.
    pub fn append(&mut self, account: AccountId, messages: impl Iterator<Item = (Vec<u8>, Flags)>) {
        let messages = messages.map(|(octets, flags)| {
            self.next = QueueId::from_u64(self.next.as_u64() + 1);
            let mut builder = Builder::new(self.next);
            builder.feed(&octets, &mut self.press);
            let content = builder.finish(&mut self.press);
            let received = Wall::from_millis(1_790_000_000_000);
            NewMessage { content, flags, keywords: Vec::new(), received }
        });
        let messages = messages.collect();
        let name = MailboxName::parse("INBOX").unwrap();
        let done = self.handle.act(Act::Append { account, name, messages, quota: 0 }).unwrap();
        assert!(matches!(done, Done::Appended { .. }), "{done:?}");
    }
}
