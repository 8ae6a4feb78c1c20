//! fetchmail: takes mail away, by IMAP and by POP3, and leaves it there when asked to.

use std::fs;

use super::{
    imap::Imap,
    letter::{letter, long_letter},
    program::Program,
    site::Site,
    support::{PATIENCE, eventually_within},
};

const ARGUMENTS: [&str; 5] = ["-v", "-v", "--nosyslog", "--fetchmailrc", "fetchmailrc"];

/// Its status for "there was no mail".
const NO_MAIL: i32 = 1;

struct Fetchmail<'a> {
    program: Program,
    site: &'a Site,
    protocol: &'static str,
}

impl<'a> Fetchmail<'a> {
    fn new(site: &'a Site, protocol: &'static str) -> Self {
        let program = Program::find("fetchmail", "fetchmail", site.folder());
        Self { program, site, protocol }
    }

    /// One poll with these options: the ids that came.
    fn poll(&self, server: &str, user: &str) -> Vec<String> {
        self.configure(server, user);
        let run = self.program.run(&ARGUMENTS);
        let fetched = self.fetched();
        let expected = if fetched.is_empty() { NO_MAIL } else { 0 };
        run.assert(run.status.code() == Some(expected), "the wrong end");
        let texts = fs::read_to_string(self.site.folder().join("fetched")).unwrap();
        for text in texts.split("Message-ID: ").skip(1) {
            run.assert(text.contains("\n.a dot\n") && text.contains("grüße"), "a text is torn");
        }
        fetched
    }

    fn configure(&self, server: &str, user: &str) {
        let address = if self.protocol == "imap" { self.site.imap } else { self.site.pop3 };
        let text = format!(
            "set idfile \"{0}/ids\"\nset pidfile \"{0}/pid\"\nset no bouncemail\n\
             poll {1} service {2} proto {3} {server}\n  user \"{4}\" password \"{5}\" \
             sslproto '' no rewrite {user}\n  mda \"cat >>{0}/fetched\"\n",
            self.site.folder().display(),
            address.ip(),
            address.port(),
            self.protocol,
            self.site.user,
            self.site.password,
        );
        self.site.write("fetchmailrc", text);
        self.site.write("fetched", "");
    }

    /// The ids that have come.
    fn fetched(&self) -> Vec<String> {
        let texts = fs::read_to_string(self.site.folder().join("fetched")).unwrap();
        let id = |line: &str| {
            line.strip_prefix("Message-ID: <")?.strip_suffix("@sender.example>").map(str::to_owned)
        };
        texts.lines().filter_map(id).collect()
    }

    fn count(&self) -> u32 {
        Imap::login(self.site).count("INBOX")
    }
}

fn fill(site: &Site, ids: &[&str]) {
    for id in ids {
        site.deliver(&letter(id, &["grüße", ".a dot", "."]));
    }
}

#[test]
fn by_imap() {
    let site = Site::start();
    let fetchmail = Fetchmail::new(&site, "imap");
    fill(&site, &["1", "2"]);
    assert_eq!(fetchmail.poll("", "keep"), ["1", "2"]);
    assert!(fetchmail.poll("", "keep").is_empty());
    fill(&site, &["3"]);
    assert_eq!(fetchmail.poll("", "keep"), ["3"]);
    assert_eq!(fetchmail.count(), 3);
    // What is flushed was seen before.
    fill(&site, &["4"]);
    assert_eq!(fetchmail.poll("", "no keep flush expunge 1"), ["4"]);
    assert_eq!(fetchmail.count(), 0);

    let mut imap = Imap::login(&site);
    imap.ask("CREATE Lists");
    imap.append("Lists", "\\Seen", &letter("5", &["grüße", ".a dot"]));
    assert_eq!(fetchmail.poll("", "fetchall no keep folder \"Lists\""), ["5"]);
    assert_eq!(imap.count("Lists"), 0);
}

#[test]
fn mail_that_comes_while_it_idles() {
    let site = Site::start();
    let fetchmail = Fetchmail::new(&site, "imap");
    fill(&site, &["1"]);
    fetchmail.configure("", "keep idle");
    let mut arguments = ARGUMENTS.to_vec();
    arguments.push("--nodetach");
    let running = fetchmail.program.start(&arguments);
    for (number, id) in ["1", "2", "3"].into_iter().enumerate() {
        if number > 0 {
            // Each comes while it listens for the next.
            eventually_within(PATIENCE * 4, "an IDLE", || {
                (running.text().matches("IDLE\n").count() >= number).then_some(())
            });
            fill(&site, &[id]);
        }
        eventually_within(PATIENCE * 4, "the message at fetchmail", || {
            (fetchmail.fetched().last()? == id).then_some(())
        });
    }
    running.send_sigterm();
    running.wait();
    assert_eq!(fetchmail.fetched(), ["1", "2", "3"]);
}

#[test]
fn by_pop3() {
    let site = Site::start();
    let fetchmail = Fetchmail::new(&site, "pop3");
    fill(&site, &["1", "2"]);
    // Which it has seen it knows by UIDL.
    assert_eq!(fetchmail.poll("uidl", "keep"), ["1", "2"]);
    assert!(fetchmail.poll("uidl", "keep").is_empty());
    fill(&site, &["3"]);
    assert_eq!(fetchmail.poll("uidl", "keep"), ["3"]);
    assert_eq!(fetchmail.count(), 3);
    let mut long = long_letter("4", 200_000);
    long.extend_from_slice("\r\n.a dot\r\n".as_bytes());
    site.deliver(&long);
    assert_eq!(fetchmail.poll("", "fetchall no keep"), ["1", "2", "3", "4"]);
    assert_eq!(fetchmail.count(), 0);
}
