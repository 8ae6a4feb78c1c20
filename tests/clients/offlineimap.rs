//! OfflineIMAP: a copy of all folders in Maildirs, both ways, over COMPRESS where it is offered.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    imap::{Holdings, Imap},
    letter::{letter, long_letter},
    maildir,
    program::Program,
    site::Site,
};

fn configure(site: &Site) -> Program {
    let (host, port) = (site.imap.ip(), site.imap.port());
    let folder = site.folder().display();
    let text = format!(
        "[general]\nmetadata = {folder}/offlineimap\naccounts = robin\nui = basic\n\
         socktimeout = 30\n\n\
         [Account robin]\nlocalrepository = here\nremoterepository = there\n\n\
         [Repository here]\ntype = Maildir\nlocalfolders = {folder}/mail\nsep = /\n\n\
         [Repository there]\ntype = IMAP\nremotehost = {host}\nremoteport = {port}\n\
         remoteuser = {}\nremotepass = {}\nssl = no\nstarttls = no\n\
         auth_mechanisms = PLAIN, LOGIN\nmaxconnections = 2\n",
        site.user, site.password
    );
    site.write("offlineimaprc", text);
    Program::find("offlineimap", "offlineimap3", site.folder())
}

fn mail(site: &Site) -> PathBuf {
    site.folder().join("mail")
}

/// One run that must bring both sides together.
fn agree(site: &Site, offlineimap: &Program, after: &str) -> Holdings {
    let run = offlineimap.must(&["-o", "-c", "offlineimaprc"]);
    let quiet = !run.err.contains("ERROR") && !run.text().contains("ERROR");
    run.assert(quiet, "it met an error");
    let here = maildir::holdings(&mail(site));
    assert_eq!(here, Imap::login(site).holdings(), "here and there after {after}");
    here
}

#[test]
fn a_copy_is_kept_both_ways() {
    let site = Site::start();
    let offlineimap = configure(&site);
    let mut imap = Imap::login(&site);
    for id in ["one", "two", "three"] {
        site.deliver(&letter(id, &["grüße", ".a dot", "the end"]));
    }
    imap.append("INBOX", "\\Seen \\Answered", &long_letter("four", 200_000));
    imap.ask("CREATE Archive/2026");
    imap.append("Archive/2026", "\\Flagged", &letter("old", &[]));
    let holdings = agree(&site, &offlineimap, "the first run");
    assert_eq!(holdings["INBOX"].len(), 4);
    assert_eq!(holdings["Archive/2026"].len(), 1);

    // Here a deletion, a flag and a new message; there as well.
    let inbox = mail(&site).join("INBOX");
    let seen = BTreeSet::from(["\\Seen".to_owned()]);
    for file in maildir::files(&inbox) {
        match &*file.essence().id {
            "one" => std::fs::remove_file(&file.path).unwrap(),
            "two" => file.set_flags(&seen),
            _ => {}
        }
    }
    maildir::add(&inbox, "1.here.example", &letter("five", &["a new one"]));
    imap.ask("SELECT INBOX");
    imap.ask("STORE 3 +FLAGS (\\Flagged)");
    imap.ask("STORE 4 +FLAGS (\\Deleted)");
    imap.ask("EXPUNGE");
    imap.append("INBOX", "", &letter("six", &["another"]));
    let holdings = agree(&site, &offlineimap, "changes on both sides");
    let inbox: Vec<(&str, Vec<&str>)> = holdings["INBOX"]
        .iter()
        .map(|(essence, flags)| (&*essence.id, flags.iter().map(|flag| &**flag).collect()))
        .collect();
    let expected =
        [("five", vec![]), ("six", vec![]), ("three", vec!["\\Flagged"]), ("two", vec!["\\Seen"])];
    assert_eq!(inbox, expected);
    assert_eq!(agree(&site, &offlineimap, "a run with nothing to do"), holdings);
}
