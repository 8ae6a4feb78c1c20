//! mutt: a reader at a terminal, its keys pushed by a script.

use super::{
    imap::Imap,
    letter::{letter, long_letter},
    program::Program,
    site::Site,
};

/// What asks no question and keeps no file outside the site's folder.
const SETTINGS: &str = "unset ssl_starttls\nunset ssl_force_tls\nset imap_authenticators=login\n\
    set imap_check_subscribed=no\nset sort=mailbox-order\nset delete=yes\nset quit=yes\n\
    set confirmcreate=no\nset confirmappend=no\nset move=no\nset mail_check=1\n\
    set wait_key=no\nset pager_stop=yes\nset mark_old=no\nset abort_key=^X\n\
    set sleep_time=0\nunset resolve\n";

/// Writes the configuration; the root of all folders.
fn configure(site: &Site, more: &str) -> String {
    let root = format!("imap://{}@{}", site.user.replace('@', "%40"), site.imap);
    let folders = format!("set imap_pass=\"{}\"\nset folder=\"{root}\"\n", site.password);
    site.write("muttrc", format!("{SETTINGS}{folders}{more}"));
    root
}

/// Runs mutt on the inbox with these keys.
fn mutt(site: &Site, more: &str, keys: &str) {
    let root = configure(site, &format!("{more}push \"{keys}\"\n"));
    Program::find("mutt", "mutt", site.folder());
    // It speaks to a terminal only.
    let script = Program::find("script", "bsdutils", site.folder());
    let command = format!("stty rows 50 cols 132; exec mutt -n -F muttrc -f '{root}/INBOX'");
    script.must(&["--quiet", "--return", "--command", &command, "/dev/null"]);
}

/// Ids and flags, in the order of the folder.
fn listed(site: &Site, folder: &str) -> Vec<String> {
    let messages = Imap::login(site).messages(folder);
    let line = |message: super::imap::Message| {
        let id = super::letter::Essence::of(&message.octets).id;
        let flags: Vec<String> = message.flags.into_iter().collect();
        format!("{id} {}", flags.join(" ")).trim_end().to_owned()
    };
    messages.into_iter().map(line).collect()
}

#[test]
fn keys_at_a_terminal() {
    let site = Site::start();
    for id in ["1", "2", "3", "4", "5"] {
        site.deliver(&letter(id, &["grüße", &format!("the text of {id}")]));
    }
    // The first is read, the second deleted, the third flagged, the fourth saved elsewhere.
    mutt(
        &site,
        "",
        "<first-entry><display-message><exit>2<enter><delete-message>3<enter><flag-message>\
         4<enter><save-message>=Kept<enter>5<enter><copy-message>=Kept<enter><sync-mailbox><quit>",
    );
    assert_eq!(listed(&site, "INBOX"), ["1 \\Seen", "3 \\Flagged", "5"]);
    let kept = listed(&site, "Kept");
    assert_eq!(kept.iter().map(|line| &line[..1]).collect::<Vec<_>>(), ["4", "5"], "{kept:?}");

    // Another folder, a search by the server, undeleted again, and all of a pattern deleted.
    mutt(
        &site,
        "set imap_idle\nset header_cache=\"headers\"\nset message_cachedir=\"bodies\"\n",
        "<delete-message><undelete-message>1<enter><change-folder>=Kept<enter>\
         <delete-pattern>=b'text of 5'<enter><sync-mailbox>\
         <change-folder>=INBOX<enter><tag-pattern>~F<enter><tag-prefix><clear-flag>!\
         <tag-prefix><set-flag>r<check-stats><sync-mailbox><quit>",
    );
    assert_eq!(listed(&site, "Kept").len(), 1);
    assert_eq!(listed(&site, "INBOX"), ["1 \\Seen", "3 \\Answered \\Seen", "5"]);

    // With caches that know the folder from the last time.
    site.deliver(&long_letter("6", 200_000));
    mutt(
        &site,
        "set imap_qresync\nset header_cache=\"headers\"\nset message_cachedir=\"bodies\"\n",
        "<last-entry><display-message><exit><sync-mailbox><quit>",
    );
    assert_eq!(listed(&site, "INBOX"), ["1 \\Seen", "3 \\Answered \\Seen", "5", "6 \\Seen"]);
    mutt(
        &site,
        "set imap_qresync\nset header_cache=\"headers\"\nset message_cachedir=\"bodies\"\n",
        "<first-entry><delete-message><last-entry><delete-message><sync-mailbox><quit>",
    );
    assert_eq!(listed(&site, "INBOX"), ["3 \\Answered \\Seen", "5"]);
}

#[test]
fn what_is_sent_is_kept() {
    let site = Site::start();
    let mut imap = Imap::login(&site);
    // Some servers have made it with the account.
    if !imap.folders().contains(&"Sent".to_owned()) {
        imap.ask("CREATE Sent");
    }
    configure(
        &site,
        "set sendmail=/bin/true\nset record=\"=Sent\"\nset copy=yes\nset realname=Robin\n\
         set from=robin@example.org\nmy_hdr Message-ID: <sent@sender.example>\n",
    );
    let program = Program::find("mutt", "mutt", site.folder());
    program.must(&["-n", "-F", "muttrc", "-s", "grüße", "-a", "muttrc", "--", "wren@example.org"]);
    let sent = imap.messages("Sent");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].flags.contains("\\Seen"), "{:?}", sent[0].flags);
    let text = String::from_utf8_lossy(&sent[0].octets);
    assert!(text.contains("To: wren@example.org\r\n"), "{text}");
    let structure = imap.ask("FETCH 1 BODYSTRUCTURE");
    let structure = &structure[0].text;
    assert!(structure.contains("\"muttrc\"") && structure.contains("\"mixed\""), "{structure}");
}
