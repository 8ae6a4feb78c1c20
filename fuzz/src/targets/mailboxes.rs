//! Mailboxes on a disk in memory, by the store's own code, and one account that reads them.

use std::{cell::RefCell, sync::LazyLock};

use bytes::Bytes;
use ringmail::{
    mail::{
        QueueId,
        mailbox::{
            Account, AccountId, Act, Ask, Directory, Done, FlagChange, Flags, Found, How,
            MailboxId, MailboxName, NewContent, NewMessage, StoreTrouble, Verdict,
        },
    },
    store::{
        content::{Builder, Press, Unpress},
        mailbox,
    },
    time::Wall,
};

use super::disk::Disk;

pub const USER: &str = "ann@example.org";
pub const PASSWORD: &str = "secret";

/// Messages that come in turn.
const MESSAGES: [&[u8]; 4] = [
    b"From: Bob <bob@x.example>\r\nTo: ann@example.org\r\nSubject: one\r\n\r\nHello\r\n.dot\r\n",
    b"Subject: two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
      --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
      R3LDvMOfZQ==\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nwithin\r\n\
      --b\r\nContent-Transfer-Encoding: x-odd\r\n\r\nodd\r\n--b--\r\n",
    b"Subject: \0three\r\n\r\nlines\nthat end\rbadly and \0 not at all",
    b"Subject: four\r\n\r\n",
];

/// The last is long and does not come with a page: it is read in parts.
const LONG_ONE: usize = 3;
const LINES: usize = 15_500;

/// The disk that everything starts from.
static START: LazyLock<Disk> = LazyLock::new(|| {
    let mut mailboxes = Mailboxes::default();
    let (key, password) = (Bytes::from_static(USER.as_bytes()), PASSWORD.into());
    let account = Directory::AddAccount { key, password, quota: Some(2 << 20) };
    assert_eq!(mailboxes.change(&Act::Directory(account)).0, Done::Done);
    for _ in 0..AT_FIRST {
        mailboxes.deliver();
    }
    mailboxes.disk
});

/// Messages that are there from the start.
const AT_FIRST: usize = 3;

#[derive(Default)]
pub struct Mailboxes {
    disk: Disk,
    press: Press,
    unpress: RefCell<Unpress>,
    contents: u64,
    came: usize,
    /// What the next question or change meets.
    pub trouble: Option<StoreTrouble>,
    /// Nobody's password is checked.
    pub busy: bool,
}

impl Mailboxes {
    /// With some messages in the INBOX.
    pub fn new() -> Self {
        let (contents, came) = (AT_FIRST as u64, AT_FIRST);
        Self { disk: START.clone(), contents, came, ..Self::default() }
    }

    pub fn ask(&mut self, ask: &Ask) -> Result<Found, StoreTrouble> {
        match self.trouble.take() {
            Some(trouble) => Err(trouble),
            None => Ok(self.find(ask)),
        }
    }

    /// What was done, and the mailboxes in which something changed.
    pub fn act(&mut self, act: &Act) -> (Result<Done, StoreTrouble>, Vec<MailboxId>) {
        match self.trouble.take() {
            Some(trouble) => (Err(trouble), Vec::new()),
            None => {
                let (done, touched) = self.change(act);
                (Ok(done), touched)
            }
        }
    }

    pub fn verdict(&self, password: &[u8], account: Option<&Account>) -> Verdict {
        match account {
            _ if self.busy => Verdict::Busy,
            Some(account) if account.password == password => Verdict::Granted,
            _ => Verdict::Refused,
        }
    }

    /// The content that a client has sent.
    pub fn content(&mut self, octets: &[u8]) -> NewContent {
        self.contents += 1;
        let mut builder = Builder::new(QueueId::from_u64(self.contents));
        builder.feed(octets, &mut self.press);
        builder.finish(&mut self.press)
    }

    /// Mail comes in.
    pub fn deliver(&mut self) -> Vec<MailboxId> {
        let mut octets = MESSAGES[self.came % MESSAGES.len()].to_vec();
        if self.came % MESSAGES.len() == LONG_ONE {
            octets.extend(b"and a line of it\r\n".repeat(LINES));
        }
        self.came += 1;
        let content = self.content(&octets);
        let flags = if self.came == 2 { Flags::FLAGGED } else { Flags::default() };
        let received = Wall::from_millis(1_795_435_200_000);
        let message = NewMessage { content, flags, keywords: Vec::new(), received };
        let (account, name) = (self.account(), inbox());
        self.change(&Act::Append { account, name, messages: vec![message], quota: 0 }).1
    }

    /// Another session of the account does something to every message of the INBOX, or to it.
    pub fn other(&mut self, what: u8) -> Vec<MailboxId> {
        let (account, name) = (self.account(), inbox());
        let Found::Open(Some(opened)) = self.find(&Ask::Open { account, name: name.clone() })
        else {
            return Vec::new();
        };
        let (mailbox, uids) = (opened.standing.mailbox, opened.uids);
        let act = match what {
            b'f' => {
                let change = FlagChange {
                    how: How::Add,
                    flags: Flags::ANSWERED,
                    keywords: Vec::new(),
                    unchanged_since: None,
                };
                Act::Flag { mailbox, uids, change }
            }
            b'x' => {
                let first = uids.first().into_iter().collect();
                Act::Remove { mailbox, uids: first }
            }
            _ => return Vec::new(),
        };
        self.change(&act).1
    }

    /// Another session deletes a mailbox that is not the INBOX.
    pub fn delete(&mut self, name: &str) -> Vec<MailboxId> {
        let account = self.account();
        let Ok(name) = MailboxName::parse(name) else { return Vec::new() };
        self.change(&Act::Delete { account, name }).1
    }

    fn account(&self) -> AccountId {
        let key = Bytes::from_static(USER.as_bytes());
        match self.find(&Ask::Account { key }) {
            Found::Account(Some(account)) => account.id,
            other => panic!("{other:?}"),
        }
    }

    fn find(&self, ask: &Ask) -> Found {
        let mut warn = |told| panic!("{ask:?}: {told}");
        let unpress = &mut self.unpress.borrow_mut();
        let Ok(found) = mailbox::ask(ask, &self.disk, unpress, &mut warn);
        found.unwrap_or_else(|| panic!("{ask:?} has no answer"))
    }

    fn change(&mut self, act: &Act) -> (Done, Vec<MailboxId>) {
        let mut touched = Vec::new();
        let Ok(done) = mailbox::act(act, &mut self.disk, &mut touched);
        assert_ne!(
            done,
            Done::Refused(ringmail::mail::mailbox::Refusal::Damaged),
            "{act:?} finds rows that nobody damaged"
        );
        (done, touched)
    }
}

fn inbox() -> MailboxName {
    MailboxName::parse("INBOX").expect("a name")
}
