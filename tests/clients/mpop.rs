//! mpop: POP3 with its commands pipelined.

use super::{
    letter::{letter, long_letter},
    maildir,
    program::Program,
    site::Site,
};

/// One visit: the ids of what it has brought so far.
fn visit(site: &Site, keep: &str) -> Vec<String> {
    let folder = site.folder().display();
    let text = format!(
        "account robin\nhost {}\nport {}\nuser {}\npassword {}\ntls off\nauth plain\n\
         pipelining on\nkeep {keep}\ndelivery maildir {folder}/mail\nreceived_header off\n\
         uidls_file {folder}/ids\n",
        site.pop3.ip(),
        site.pop3.port(),
        site.user,
        site.password
    );
    site.write("mpoprc", text);
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(site.folder().join("mail").join(part)).unwrap();
    }
    let mpop = Program::find("mpop", "mpop", site.folder());
    mpop.must(&["--debug", "--file=./mpoprc", "robin"]);
    let files = maildir::files(&site.folder().join("mail"));
    let mut ids: Vec<String> = files.iter().map(|file| file.essence().id).collect();
    ids.sort();
    ids
}

#[test]
fn mail_is_fetched_once() {
    let site = Site::start();
    for id in ["1", "2", "3", "4"] {
        site.deliver(&letter(id, &["grüße", ".a dot", "."]));
    }
    assert_eq!(visit(&site, "on"), ["1", "2", "3", "4"]);
    site.deliver(&long_letter("5", 300_000));
    assert_eq!(visit(&site, "on"), ["1", "2", "3", "4", "5"]);
    // What it has fetched it removes now, and fetches nothing twice.
    assert_eq!(visit(&site, "off"), ["1", "2", "3", "4", "5"]);
    assert_eq!(super::imap::Imap::login(&site).count("INBOX"), 0);
}
