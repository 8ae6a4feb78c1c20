//! Maildir: a message's flags in the name of its file, a folder in that of its directory.
//!
//! Directories are named as Maildir++ has it: one level, each beginning with a dot, levels divided
//! by dots, in modified UTF-7. A dot within a level is written `\2e`, a backslash `\5c`, as
//! Dovecot's listescape does. A name may come out longer than a file system takes.

use crate::{
    mail::{
        exchange::Marks,
        mailbox::{ContentId, Flags, Keyword, MailboxName, Uid},
        utf7,
    },
    time::Wall,
};

/// Each flag with its letter, in the order of the letters, as file names have them.
const LETTERS: [(char, Flags); 5] = [
    ('D', Flags::DRAFT),
    ('F', Flags::FLAGGED),
    ('R', Flags::ANSWERED),
    ('S', Flags::SEEN),
    ('T', Flags::DELETED),
];

/// `P`: passed on to somebody else. To IMAP that is a keyword.
const PASSED: (char, &str) = ('P', "$Forwarded");

/// The name of a message's file in `cur`. It is unique within its folder. Of the keywords only
/// `$Forwarded` has a place in it.
pub fn file_name(received: Wall, content: ContentId, uid: Uid, marks: &Marks) -> String {
    let seconds = received.as_millis() / 1000;
    let is_passed =
        |keyword: &Keyword| keyword.as_bytes().eq_ignore_ascii_case(PASSED.1.as_bytes());
    let passed = marks.keywords.iter().any(is_passed).then_some(PASSED.0);
    let flags = LETTERS.iter().filter(|(_, flag)| marks.flags.contains(*flag));
    let mut letters = Vec::from_iter(flags.map(|(letter, _)| *letter).chain(passed));
    letters.sort_unstable();
    let letters = String::from_iter(letters);
    format!("{seconds}.{content}_{}.ringmail:2,{letters}", uid.0)
}

/// What the name of a file says. In `new` it ends without flags.
pub fn marks(file_name: &[u8]) -> Marks {
    let digits = file_name.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let seconds = std::str::from_utf8(&file_name[..digits]).ok();
    let seconds = seconds.and_then(|text| text.parse::<u64>().ok());
    let seconds = seconds.filter(|_| file_name.get(digits) == Some(&b'.'));
    let mut marks = Marks {
        received: seconds.map(|seconds| Wall::from_millis(seconds.saturating_mul(1000))),
        ..Marks::default()
    };
    let info = memchr::memmem::rfind(file_name, b":2,").map_or(&b""[..], |at| &file_name[at + 3..]);
    for octet in info.iter().take_while(|octet| octet.is_ascii_alphabetic()) {
        let letter = char::from(*octet);
        let known = LETTERS.iter().find(|(known, _)| *known == letter);
        marks.flags = known.map_or(marks.flags, |(_, flag)| marks.flags.with(*flag));
        if letter == PASSED.0 && marks.keywords.is_empty() {
            marks.keywords.extend(Keyword::parse(PASSED.1.into()));
        }
    }
    marks
}

/// The directory of a folder below that of INBOX, which itself has none: its name is empty.
pub fn directory(name: &MailboxName) -> String {
    if name.is_inbox() {
        return String::new();
    }
    let mut directory = String::with_capacity(name.as_str().len() + 1);
    for level in name.as_str().split('/') {
        let escaped = level.replace('\\', "\\5c").replace('.', "\\2e");
        directory.push('.');
        directory.push_str(&utf7::encode(&escaped));
    }
    directory
}

/// The folder of a directory; `None` where it is none of a folder.
pub fn folder(directory: &str) -> Option<MailboxName> {
    if directory.is_empty() {
        return Some(MailboxName::inbox());
    }
    let levels = directory.strip_prefix('.')?.split('.');
    let names = levels.map(|level| utf7::decode(level.as_bytes()).map(|name| unescaped(&name)));
    MailboxName::parse(&names.collect::<Option<Vec<_>>>()?.join("/")).ok()
}

/// A backslash without two hexadecimal digits of what is escaped is one that somebody else wrote.
fn unescaped(level: &str) -> String {
    level.replace("\\2e", ".").replace("\\2E", ".").replace("\\5c", "\\").replace("\\5C", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        let all = Flags::ALL.iter().fold(Flags::default(), |all, (flag, _)| all.with(*flag));
        let passed = vec![Keyword::parse("$forwarded".into()).unwrap()];
        for (flags, keywords, name) in [
            (Flags::default(), vec![], "1795424700.0000000000009_17.ringmail:2,"),
            (Flags::SEEN, vec![], "1795424700.0000000000009_17.ringmail:2,S"),
            (all, passed, "1795424700.0000000000009_17.ringmail:2,DFPRST"),
        ] {
            let received = Wall::from_millis(1_795_424_700_000);
            let written = Marks { flags, keywords, received: Some(received) };
            assert_eq!(file_name(received, ContentId::from_u64(9), Uid(17), &written), name);
            assert_eq!(marks(name.as_bytes()), written);
        }
        for (name, flags, seconds) in [
            (
                &b"1795424700.M1P2.host,S=3,W=4:2,RSabc"[..],
                Flags::SEEN.with(Flags::ANSWERED),
                Some(1_795_424_700),
            ),
            (b"1795424700.M1P2.host", Flags::default(), Some(1_795_424_700)),
            (b"odd:2,S:2,F", Flags::FLAGGED, None),
            (b"99999999999999999999999.x:2,T,S", Flags::DELETED, None),
            (b"\xff:2,\xff", Flags::default(), None),
            (b"", Flags::default(), None),
        ] {
            let found = marks(name);
            assert_eq!((found.flags, found.keywords), (flags, vec![]), "{}", name.escape_ascii());
            assert_eq!(found.received.map(|wall| wall.as_millis() / 1000), seconds);
        }
    }

    #[test]
    fn directories() {
        for (name, written) in [
            ("INBOX", ""),
            ("INBOX/Work", ".INBOX.Work"),
            ("Entw\u{fc}rfe/a b", ".Entw&APw-rfe.a b"),
            ("R&D/v1.2", ".R&-D.v1\\2e2"),
            ("..", ".\\2e\\2e"),
            ("a\\2eb", ".a\\5c2eb"),
        ] {
            let name = MailboxName::parse(name).unwrap();
            assert_eq!(directory(&name), written);
            assert_eq!(folder(written), Some(name), "{written}");
        }
        for (written, name) in [
            (".Archive.2026", Some("Archive/2026")),
            (".a\\b", Some("a\\b")),
            ("cur", None),
            (".", None),
            ("..", None),
            (".a..b", None),
            (".a.", None),
            (".&AC8-", None),
        ] {
            assert_eq!(folder(written).as_ref().map(MailboxName::as_str), name, "{written}");
        }
    }
}
