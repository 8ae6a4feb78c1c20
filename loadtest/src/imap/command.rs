//! The commands as they travel.

use bytes::Bytes;

use super::{mailbox::Mailbox, reply::TAG_LETTER, work::Kind};
use crate::{mail::text::WORDS, random::Random};

/// RFC 7888 §5: the largest literal that LITERAL- lets go without being asked for.
pub const LITERAL_MINUS_MAX: u64 = 4096;

pub const STARTTLS: &str = "STARTTLS";
pub const CAPABILITY: &str = "CAPABILITY";
pub const LOGOUT: &str = "LOGOUT";
pub const IDLE: &str = "IDLE";
/// Ends an IDLE.
pub const DONE: Bytes = Bytes::from_static(b"DONE\r\n");
pub const LIST: &str = "LIST \"\" \"*\"";

/// What a mail reader shows of a message in its list.
pub const HEADERS: &str = "(UID FLAGS INTERNALDATE RFC822.SIZE \
                           BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])";

/// A command with its tag.
pub fn line(tag: u32, words: &str) -> Bytes {
    Bytes::from(format!("{}{tag} {words}\r\n", char::from(TAG_LETTER)))
}

pub fn login(user: &str, password: &str) -> String {
    format!("LOGIN {} {}", quoted(user), quoted(password))
}

pub fn select(mailbox: &str) -> String {
    format!("SELECT {}", quoted(mailbox))
}

/// Asks for the UIDs of the messages from this sequence number on.
pub fn learn(first: u32) -> String {
    format!("FETCH {first}:* (UID)")
}

pub fn append(mailbox: &str, size: u64, at_once: bool) -> String {
    let plus = if at_once { "+" } else { "" };
    format!("APPEND {} {{{size}{plus}}}", quoted(mailbox))
}

/// A search of a header field, of a day and of a flag, in turn by `number`.
pub fn search(number: u32, since: &str, random: &mut Random) -> String {
    match number % 3 {
        0 => format!("UID SEARCH SINCE {since}"),
        1 => {
            let word = WORDS[random.below(WORDS.len())];
            format!("UID SEARCH HEADER SUBJECT {}", quoted(word))
        }
        _ => "UID SEARCH UNSEEN".to_owned(),
    }
}

/// What a mail reader asks of messages it chooses; none where there is no message.
pub fn about_messages(kind: Kind, mailbox: &Mailbox, random: &mut Random) -> Option<String> {
    match kind {
        Kind::FetchHeaders => mailbox
            .window(random)
            .map(|(first, last)| format!("UID FETCH {first}:{last} {HEADERS}")),
        Kind::FetchBodies => {
            mailbox.one(random).map(|uid| format!("UID FETCH {uid} (UID BODY.PEEK[])"))
        }
        Kind::Store => mailbox.one(random).map(|uid| {
            let sign = if random.below(2) == 0 { '+' } else { '-' };
            format!("UID STORE {uid} {sign}FLAGS (\\Seen)")
        }),
        _ => None,
    }
}

/// A quoted string (RFC 3501 §4.3) of text that was checked to be printable.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_the_law_has_them() {
        let mut mailbox = Mailbox::default();
        mailbox.told(b"1 EXISTS");
        mailbox.told(b"OK [UIDNEXT 2]");
        assert!(mailbox.knows());
        let mut random = Random::new(0);
        let headers = "UID FETCH 1:1 (UID FLAGS INTERNALDATE RFC822.SIZE \
                       BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])";
        let mut about = |kind| about_messages(kind, &mailbox, &mut random);
        assert_eq!(about(Kind::FetchHeaders).as_deref(), Some(headers));
        assert_eq!(about(Kind::FetchBodies).as_deref(), Some("UID FETCH 1 (UID BODY.PEEK[])"));
        let stored: Vec<_> = (0..20).filter_map(|_| about(Kind::Store)).collect();
        assert!(stored.contains(&"UID STORE 1 +FLAGS (\\Seen)".to_owned()), "{stored:?}");
        assert!(stored.contains(&"UID STORE 1 -FLAGS (\\Seen)".to_owned()), "{stored:?}");

        assert_eq!(login("a\"b", "c\\ d"), r#"LOGIN "a\"b" "c\\ d""#);
        assert_eq!(&line(7, &append("IN", 3, true))[..], b"a7 APPEND \"IN\" {3+}\r\n");
        assert_eq!(append("IN", 3, false), "APPEND \"IN\" {3}");
        assert_eq!(learn(4), "FETCH 4:* (UID)");
        let searches: Vec<_> =
            (0..3).map(|number| search(number, "1-Feb-2026", &mut random)).collect();
        assert_eq!(searches[0], "UID SEARCH SINCE 1-Feb-2026");
        assert!(searches[1].starts_with("UID SEARCH HEADER SUBJECT \""));
        assert_eq!(searches[2], "UID SEARCH UNSEEN");
    }
}
