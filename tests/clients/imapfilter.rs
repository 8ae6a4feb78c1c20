//! imapfilter: rules of a user's that search and move mail on the server.

use super::{
    imap::Imap,
    letter::{Essence, letter},
    program::Program,
    site::Site,
};

const RULES: &str = r#"
account.INBOX:check_status()
account:create_mailbox("Lists/Rust")
account:subscribe_mailbox("Lists/Rust")
inbox = account.INBOX
rust = inbox:contain_subject("letter r") * inbox:is_unseen()
rust:move_messages(account["Lists/Rust"])
spam = inbox:contain_body("spam, spam") + inbox:contain_field("Message-ID", "s2@")
spam:delete_messages()
inbox:contain_from("ALICE"):mark_flagged()
old = inbox:is_older(10000) + inbox:is_larger(100000)
old:delete_messages()
seen = inbox:match_body("the text of k[0-9]")
seen:mark_seen()
seen:copy_messages(account["Lists/Rust"])
"#;

/// Ids and flags, sorted.
fn listed(imap: &mut Imap, folder: &str) -> Vec<String> {
    let line = |(Essence { id, .. }, flags): (Essence, std::collections::BTreeSet<String>)| {
        let flags: Vec<String> = flags.into_iter().collect();
        format!("{id} {}", flags.join(" ")).trim_end().to_owned()
    };
    imap.holding(folder).into_iter().map(line).collect()
}

#[test]
fn rules_are_followed() {
    let site = Site::start();
    let mut imap = Imap::login(&site);
    for id in ["r1", "k1", "r2", "s1", "s2", "k2"] {
        let text = if id == "s1" { "Spam, SPAM, spam" } else { "no offer" };
        site.deliver(&letter(id, &[text, &format!("the text of {id}")]));
    }
    imap.append("INBOX", "\\Seen", &letter("r3", &["read before"]));
    let account = format!(
        "options.timeout = 60\noptions.info = true\noptions.starttls = false\n\
         account = IMAP {{ server = \"{}\", port = {}, username = \"{}\", password = \"{}\" }}\n",
        site.imap.ip(),
        site.imap.port(),
        site.user,
        site.password
    );
    site.write("rules.lua", account + RULES);
    Program::find("imapfilter", "imapfilter", site.folder()).must(&["-v", "-c", "rules.lua"]);
    let inbox = ["k1 \\Flagged \\Seen", "k2 \\Flagged \\Seen", "r3 \\Flagged \\Seen"];
    assert_eq!(listed(&mut imap, "INBOX"), inbox);
    let moved = ["k1 \\Flagged \\Seen", "k2 \\Flagged \\Seen", "r1", "r2"];
    assert_eq!(listed(&mut imap, "Lists/Rust"), moved);
}
