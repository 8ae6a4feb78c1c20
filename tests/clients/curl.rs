//! curl: one command a call, for scripts.

use super::{letter::letter, program::Program, site::Site};

struct Curl<'a> {
    program: Program,
    site: &'a Site,
}

impl Curl<'_> {
    fn new(site: &Site) -> Curl<'_> {
        Curl { program: Program::find("curl", "curl", site.folder()), site }
    }

    /// What it is called with: options, and the path of the URL behind the server.
    fn arguments(&self, protocol: &str, path: &str, options: &[&str]) -> Vec<String> {
        let server = if protocol == "pop3" { self.site.pop3 } else { self.site.imap };
        let user = format!("{}:{}", self.site.user, self.site.password);
        let fixed = ["--silent", "--show-error", "--max-time", "60", "--user", &user];
        let mut arguments: Vec<String> = fixed.iter().map(|word| (*word).to_owned()).collect();
        arguments.extend(options.iter().map(|word| (*word).to_owned()));
        arguments.push(format!("{protocol}://{server}/{path}"));
        arguments
    }

    fn imap(&self, path: &str, options: &[&str]) -> String {
        self.program.must(&self.arguments("imap", path, options)).text()
    }

    fn pop3(&self, path: &str, options: &[&str]) -> String {
        self.program.must(&self.arguments("pop3", path, options)).text()
    }
}

#[test]
fn imap_from_a_script() {
    let site = Site::start();
    let curl = Curl::new(&site);
    site.deliver(&letter("first", &["one line", ".a dot"]));
    assert!(curl.imap("", &[]).contains("INBOX"));
    curl.imap("", &["-X", "CREATE \"My Projects/2026\""]);
    let listed = curl.imap("", &[]);
    assert!(listed.contains("My Projects/2026"), "{listed}");

    let message = letter("second", &["more than seven bits: grüße", "", "the end"]);
    site.write("second.eml", &message);
    curl.imap("My%20Projects/2026", &["-T", "second.eml"]);
    let path = |part: &str| format!("My%20Projects%2F2026;UID=1{part}");
    assert_eq!(curl.imap(&path(""), &[]).as_bytes(), message);
    let text = String::from_utf8(message).unwrap();
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(curl.imap(&path(";SECTION=TEXT"), &[]), body);
    assert_eq!(curl.imap(&path(";SECTION=HEADER"), &[]), format!("{header}\r\n\r\n"));
    let subject = curl.imap(&path(";SECTION=HEADER.FIELDS%20(SUBJECT)"), &[]);
    assert_eq!(subject, "Subject: letter second\r\n\r\n");
    assert_eq!(curl.imap(&path(";SECTION=TEXT;PARTIAL=5.6"), &[]), body[5..11]);
    assert!(curl.imap("INBOX;MAILINDEX=1", &[]).ends_with("\r\n\r\none line\r\n.a dot\r\n"));

    let folder = "My%20Projects%2F2026";
    curl.imap(folder, &["-X", "UID STORE 1 +FLAGS (\\Flagged Urgent)"]);
    assert_eq!(curl.imap(&format!("{folder}?FLAGGED"), &[]).trim_end(), "* SEARCH 1");
    assert_eq!(curl.imap(&format!("{folder}?KEYWORD%20Urgent"), &[]).trim_end(), "* SEARCH 1");
    assert_eq!(curl.imap(&format!("{folder}?UNFLAGGED"), &[]).trim_end(), "* SEARCH");
    let flags = curl.imap(folder, &["-X", "FETCH 1 FLAGS"]);
    assert!(flags.contains("Urgent") && flags.contains("\\Seen"), "{flags}");
    let status = curl.imap("", &["-X", "STATUS INBOX (MESSAGES UIDNEXT)"]);
    assert!(status.contains("(MESSAGES 1 UIDNEXT 2)"), "{status}");

    curl.imap(folder, &["-X", "STORE 1 +FLAGS.SILENT (\\Deleted)"]);
    assert_eq!(curl.imap(folder, &["-X", "EXPUNGE"]).trim_end(), "* 1 EXPUNGE");
    curl.imap("", &["-X", "DELETE \"My Projects/2026\""]);
    assert!(!curl.imap("", &[]).contains("2026"));
}

#[test]
fn each_way_to_log_in() {
    let site = Site::start();
    let curl = Curl::new(&site);
    for (protocol, way) in
        [("imap", "PLAIN"), ("imap", "LOGIN"), ("pop3", "PLAIN"), ("pop3", "LOGIN")]
    {
        let way = format!("AUTH={way}");
        for options in [&["--login-options", &way][..], &["--login-options", &way, "--sasl-ir"]] {
            curl.program.must(&curl.arguments(protocol, "", options));
        }
    }
    let wrong = format!("{}:wrong", site.user);
    for protocol in ["imap", "pop3"] {
        let run = curl.program.run(&curl.arguments(protocol, "", &["--user", &wrong]));
        run.assert(run.status.code() == Some(67), "a wrong password must be refused");
    }
}

#[test]
fn pop3_from_a_script() {
    let site = Site::start();
    let curl = Curl::new(&site);
    for (id, line) in [("first", "one line"), ("second", ".a dot"), ("third", "..")] {
        site.deliver(&letter(id, &[line, "."]));
    }
    let listed = curl.pop3("", &[]);
    let sizes: Vec<usize> =
        listed.lines().map(|line| line.split_once(' ').unwrap().1.parse().unwrap()).collect();
    assert_eq!(sizes.len(), 3, "{listed}");
    let second = curl.pop3("2", &[]);
    assert!(second.ends_with("\r\n\r\n.a dot\r\n.\r\n"), "{second}");
    assert_eq!(second.len(), sizes[1]);

    let ids = curl.pop3("", &["-X", "UIDL"]);
    assert_eq!(ids.lines().count(), 3, "{ids}");
    let top = curl.pop3("", &["-X", "TOP 3 1"]);
    assert!(top.contains("Subject: letter third") && top.ends_with("\r\n\r\n..\r\n"), "{top}");

    curl.pop3("", &["-X", "DELE 2", "--head"]);
    let left = curl.pop3("", &["-X", "UIDL"]);
    let ids: Vec<&str> = ids.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    let left: Vec<&str> = left.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(left, [ids[0], ids[2]]);
}
