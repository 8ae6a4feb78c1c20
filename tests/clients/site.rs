//! A site: a server with accounts, and a folder for what its clients keep.

use std::{cell::RefCell, fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, thread};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use super::{
    dovecot::Dovecot,
    imap::Imap,
    support::{
        binary::{Home, Ringmail},
        eventually,
        source::Client,
    },
    tap::Tap,
};

/// The order of fields is the order of their end.
pub struct Site {
    pub imap: SocketAddr,
    pub pop3: SocketAddr,
    /// Whose mail comes in.
    pub user: &'static str,
    pub other_user: &'static str,
    /// Of both.
    pub password: &'static str,
    server: RefCell<Server>,
    taps: [Tap; 2],
    folder: TempDir,
}

enum Server {
    Ringmail { ringmail: Ringmail, home: Home },
    Dovecot(Dovecot),
}

impl Site {
    pub fn start() -> Self {
        let [user, other_user] = ["robin@example.org", "wren@example.org"];
        let password = "open-sesame";
        let folder = tempfile::tempdir().unwrap();
        let server = match std::env::var_os("RINGMAIL_CLIENTS_DOVECOT") {
            Some(_) => Server::Dovecot(Dovecot::start(user, password)),
            None => Server::ringmail([user, other_user], password),
        };
        let taps = server.listeners().map(Tap::on);
        let server = RefCell::new(server);
        let [imap, pop3] = [taps[0].address, taps[1].address];
        Self { imap, pop3, user, other_user, password, server, taps, folder }
    }

    /// What clients keep, and their home.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file for a client, closed to others: some refuse to read a password elsewhere.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A message comes in from outside; it is in the inbox when this returns.
    pub fn deliver(&self, message: &[u8]) {
        let mut imap = Imap::login(self);
        let before = imap.count("INBOX");
        match &*self.server.borrow() {
            Server::Ringmail { ringmail, .. } => {
                let to = format!("<{}>", self.user);
                let reply = Client::connect(ringmail.smtp)
                    .send("<alice@sender.example>", &[&to], message)
                    .unwrap();
                assert!(reply.starts_with("250"), "{reply}");
            }
            Server::Dovecot(dovecot) => dovecot.deliver(message),
        }
        eventually("the message in the inbox", || (imap.count("INBOX") > before).then_some(()));
    }

    /// How many lines went over the wire of IMAP.
    pub fn lines(&self) -> usize {
        self.taps[0].trace().lines().count()
    }

    /// SIGKILL, and a new start. Dovecot, which is here to compare with, is left alone.
    pub fn crash(&self) {
        self.start_again(|_| ());
    }

    /// The same accounts on a new disk; `false` where Dovecot is left alone.
    pub fn lose_the_disk(&self) -> bool {
        self.start_again(|home| {
            fs::remove_dir_all(home.data()).unwrap();
            add_accounts(home, [self.user, self.other_user], self.password);
        })
    }

    fn start_again(&self, meanwhile: impl FnOnce(&Home)) -> bool {
        let mut server = self.server.borrow_mut();
        let Server::Ringmail { ringmail, home } = &mut *server else { return false };
        kill_process(ringmail.pid(), Signal::KILL).unwrap();
        eventually("the server is gone", || (!ringmail.is_running()).then_some(()));
        meanwhile(home);
        *ringmail = home.start();
        for (tap, listener) in self.taps.iter().zip(server.listeners()) {
            tap.turn_to(listener);
        }
        true
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if thread::panicking() {
            for (protocol, tap) in ["IMAP", "POP3"].iter().zip(&self.taps) {
                eprintln!("{protocol} as it was spoken:\n{}", tap.trace());
            }
        }
    }
}

impl Server {
    fn ringmail(users: [&str; 2], password: &str) -> Self {
        let home = Home::with_config(|data| {
            let listeners: String = ["smtp", "imap", "pop3"]
                .map(|protocol| {
                    format!(
                        "[[listener]]\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:0\"\n\
                         tls = \"none\"\n"
                    )
                })
                .concat();
            format!(
                "hostname = \"mail.test.example\"\ndata_dir = {data}\ncores = 2\n{listeners}\
                 [local]\ndomains = [\"example.org\"]\n"
            )
        });
        add_accounts(&home, users, password);
        Self::Ringmail { ringmail: home.start(), home }
    }

    /// Of IMAP and POP3.
    fn listeners(&self) -> [SocketAddr; 2] {
        match self {
            Self::Ringmail { ringmail, .. } => ["imap", "pop3"].map(|protocol| {
                let told = format!("{protocol} on ");
                ringmail.wait_for_log(&told, 1);
                let log = ringmail.log();
                let (_, rest) = log.split_once(&told).unwrap();
                rest.split_whitespace().next().unwrap().parse().unwrap()
            }),
            Self::Dovecot(dovecot) => [dovecot.imap, dovecot.pop3],
        }
    }
}

fn add_accounts(home: &Home, users: [&str; 2], password: &str) {
    for user in users {
        let output = home.command(&["account", "add", user, "--password-stdin"], password);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
