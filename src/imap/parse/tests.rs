//! Commands of real clients, malformed ones, and a second opinion.

use imap_codec::{
    CommandCodec,
    decode::Decoder,
    imap_types::{
        command::CommandBody,
        mailbox::Mailbox,
        sequence::{SeqOrUid, SequenceSet},
    },
};

use super::*;
use crate::{
    imap::command::{BodyForm, BodyItem, FetchItem, SearchKey, Section, StatusItems},
    mail::mailbox::{Flags, MailboxName, ModSeq, SpecialUse, Uid, Uids},
};

/// As clients in use send them.
pub const CORPUS: &[&str] = &[
    // Thunderbird
    "1 capability",
    "2 authenticate PLAIN AGEAYg==",
    "3 ID (\"name\" \"Thunderbird\" \"version\" \"115.3.1\")",
    "4 ENABLE UTF8=ACCEPT",
    "5 select \"INBOX\" (CONDSTORE)",
    "5 namespace",
    "6 lsub \"\" \"*\"",
    "6 list (subscribed) \"\" \"*\" return (special-use)",
    "7 list \"\" \"INBOX\"",
    "8 UID fetch 1:* (FLAGS)",
    "9 UID fetch 12,15:17 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject \
     Date Message-ID Priority X-Priority References In-Reply-To Content-Type Reply-To)])",
    "10 UID fetch 12 (UID RFC822.SIZE BODY.PEEK[])",
    "11 UID fetch 12 (UID RFC822.SIZE BODY[]<0.65536>)",
    "12 uid store 12 +FLAGS (\\Seen)",
    "13 uid store 12 +Flags (NonJunk $label1)",
    "14 uid copy 12:14 \"Trash\"",
    "15 uid move 12 \"Archives/2024\"",
    "16 getquotaroot \"INBOX\"",
    "17 STATUS \"Sent\" (UIDNEXT MESSAGES UNSEEN RECENT)",
    "18 noop",
    "19 IDLE",
    "20 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 715194045007)",
    "21 uid SEARCH UNDELETED HEADER Message-ID <a.b@c.example>",
    "22 create \"Entw&APw-rfe\"",
    "23 subscribe \"a b\"",
    "24 UID fetch 3 (BODY.PEEK[2.MIME] BODY.PEEK[2]<100.200>)",
    "25 close",
    "26 logout",
    // mbsync, offlineimap, mutt
    "1 LOGIN \"user\" \"pass\\\"word\\\\\"",
    "2 EXAMINE INBOX",
    "3 UID FETCH 1:1000 (UID FLAGS)",
    "4 UID FETCH 5 (UID FLAGS INTERNALDATE BODY.PEEK[])",
    "5 UID STORE 5 +FLAGS.SILENT (\\Deleted)",
    "6 UID SEARCH HEADER X-TUID aBcDeFgH1234",
    "7 UID EXPUNGE 5,7:9",
    "OFLM3 LIST \"\" %",
    "KKAB4 FETCH 1:* (FLAGS UID)",
    "KKAB5 UID SEARCH (SINCE 1-Feb-2020)",
    "a0001 CAPABILITY",
    "a0005 LIST \"\" \"\"",
    "a0006 FETCH 1:20 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM \
     SENDER SUBJECT TO CC MESSAGE-ID REFERENCES CONTENT-TYPE CONTENT-DESCRIPTION IN-REPLY-TO \
     REPLY-TO LINES LIST-POST X-LABEL)])",
    "a0007 UID STORE 1,3:5 +FLAGS.SILENT (\\Seen Old)",
    // K-9, Outlook, iOS Mail
    "1 ID NIL",
    "2 LIST \"\" \"*\" RETURN (SPECIAL-USE)",
    "3 UID SEARCH 1:200 NOT DELETED",
    "4 UID SEARCH UID 45:* NOT DELETED",
    "5 UID FETCH 45 (UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE)",
    "6 UID FETCH 45 (BODY.PEEK[1.2.HEADER.FIELDS.NOT (X-Y)] BODY[TEXT])",
    "quhy LSUB \"\" \"*\"",
    "g86a UID FETCH 1:* (UID FLAGS) ",
    "x1 UID FETCH 9 (UID RFC822.HEADER BODY.PEEK[1])",
    "5.122 STATUS \"Junk E-mail\" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)",
    "7.1 SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541))",
    "8 UID STORE 3 (UNCHANGEDSINCE 5) FLAGS.SILENT (\\Answered \\Seen)",
    "9 XLIST \"\" \"*\"",
    // imaplib, curl, fetchmail
    "PNFE1 LOGIN user \"pass\"",
    "PNFE2 SELECT INBOX",
    "PNFE3 SEARCH ALL",
    "PNFE4 FETCH 1 (RFC822)",
    "PNFE5 STORE 1 +FLAGS \\Deleted",
    "PNFE6 SEARCH CHARSET UTF-8 SUBJECT {3+}\r\nt\u{e9}",
    "A003 FETCH 1 BODY[]",
    "A004 SEARCH UNSEEN",
    "A005 FETCH 1:3 RFC822.SIZE",
    "A006 FETCH 2 RFC822.HEADER",
    "A007 STORE 2 +FLAGS (\\Seen \\Deleted)",
    "A008 EXPUNGE",
    "A009 CHECK",
    // The RFCs' own
    "A101 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"INBOX\" \"Drafts\" \"Sent/%\") \
     RETURN (CHILDREN STATUS (MESSAGES SIZE))",
    "A102 SEARCH RETURN (MIN COUNT SAVE) OR (FROM Smith NOT SEEN) 2,4:* SENTSINCE 1-Feb-1994",
    "A103 FETCH $ ALL",
    "A104 SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338",
    "A105 UID SEARCH YOUNGER 3600 LARGER 1000 KEYWORD $Junk UNKEYWORD NonJunk",
    "A106 FETCH 1 (BINARY.PEEK[1.2]<0.10> BINARY.SIZE[3] BINARY[])",
    "A107 CREATE MyDrafts (USE (\\Drafts))",
    "A108 UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)",
    "A109 COMPRESS DEFLATE",
    "A110 GETQUOTA \"\"",
    "A111 SETQUOTA \"\" (STORAGE 512)",
    "A112 UNSELECT",
    "A113 RENAME a/b c",
    "A114 DELETE \"x\"",
    "A115 UNSUBSCRIBE #news.comp.mail",
    "A116 COPY 2:4 MEETING",
    "A117 MOVE * Trash",
    "A118 STARTTLS",
    "A119 FETCH 2:4 FULL",
    "A120 FETCH 2 fast",
    "A121 SELECT INBOX (QRESYNC (1 2 1:9 (1,3,5 2,4,6)) CONDSTORE)",
];

fn parsed(line: &str) -> Result<Command, (Option<Bytes>, Fault)> {
    parse(format!("{line}\r\n").into(), Dialect::default())
}

fn request_of(line: &str) -> Request {
    parsed(&format!("a {line}")).unwrap_or_else(|fault| panic!("{line}: {fault:?}")).request
}

#[test]
fn clients_are_understood() {
    for line in CORPUS.iter().filter(|line| !line.contains("XLIST")) {
        assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line));
    }
}

#[test]
fn malformed_commands() {
    for line in [
        "",
        " ",
        "a",
        "a ",
        "a  NOOP",
        "a NOOP x",
        "a WHAT",
        "a XLIST \"\" *",
        "a UID NOOP",
        "a LOGIN u",
        "a LOGIN u p x",
        "a LOGIN \"u p",
        "a LOGIN \"u\\",
        "a LOGIN {3}",
        "a LOGIN u(",
        "a AUTHENTICATE PLAIN !!",
        "a ENABLE",
        "a ID",
        "a ID (\"a\")",
        "a SELECT",
        "a SELECT \"&AC8-\"",
        "a SELECT x (WHAT)",
        "a SELECT x (QRESYNC (0 1))",
        "a SELECT x (QRESYNC (1 1 1:*))",
        "a LIST \"\"",
        "a LIST (RECURSIVEMATCH) \"\" *",
        "a LIST \"\" * RETURN (MYRIGHTS)",
        "a LIST \"\" (",
        "a STATUS x",
        "a STATUS x ()",
        "a STATUS x (WHAT)",
        "a APPEND x y",
        "a FETCH 0 FLAGS",
        "a FETCH 1",
        "a FETCH 1: FLAGS",
        "a FETCH 1, FLAGS",
        "a FETCH x FLAGS",
        "a FETCH 4294967296 FLAGS",
        "a FETCH 1 ()",
        "a FETCH 1 (FLAGS",
        "a FETCH 1 (ALL)",
        "a FETCH 1 BODY[",
        "a FETCH 1 BODY[MIME]",
        "a FETCH 1 BODY[1.]",
        "a FETCH 1 BODY[0]",
        "a FETCH 1 BODY[HEADER.FIELDS]",
        "a FETCH 1 BODY[]<0>",
        "a FETCH 1 BODY[]<0.0>",
        "a FETCH 1 BINARY[1.TEXT]",
        "a FETCH 1 FLAGS (VANISHED)",
        "a FETCH 1 FLAGS (CHANGEDSINCE)",
        "a FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
        "a STORE 1 FLAGS",
        "a STORE 1 WHAT (x)",
        "a STORE 1 +FLAGS (\\)",
        "a SEARCH",
        "a SEARCH WHAT",
        "a SEARCH OR ALL",
        "a SEARCH NOT",
        "a SEARCH (ALL",
        "a SEARCH ()",
        "a SEARCH ON 31-Apr-2020",
        "a SEARCH ON 29-Feb-2023",
        "a SEARCH RETURN ALL",
        "a SEARCH RETURN (WHAT) ALL",
        "a SEARCH TEXT \"\u{0}\"",
        "a COPY 1",
        "a UID EXPUNGE",
        "a EXPUNGE 1",
        "a COMPRESS LZ4",
        "a GETQUOTA",
    ] {
        assert!(matches!(parsed(line), Err((_, Fault::Bad(_)))), "{line:?}: {:?}", parsed(line));
    }
}

#[test]
fn meanings() {
    let name = |text| MailboxName::parse(text).unwrap();
    let body = |part: &[u32], section, peek, partial| {
        let (form, part) = (BodyForm::Body, part.to_vec());
        FetchItem::Body(BodyItem { form, part, section, peek, partial })
    };
    let Request::Fetch(fetch) =
        request_of("UID FETCH 7,*:3 (BODY.PEEK[1.2.HEADER.FIELDS (A \"b\")]<5.6> BODY[3] UID)")
    else {
        panic!("FETCH is something else");
    };
    let names = vec!["A".into(), "b".into()];
    assert_eq!(fetch.set, Set::Ranges(vec![(Some(7), Some(7)), (None, Some(3))]));
    assert_eq!(
        fetch.items,
        [
            body(&[1, 2], Section::Fields { names, not: false }, true, Some((5, 6))),
            body(&[3], Section::Whole, false, None),
            FetchItem::Uid,
        ]
    );
    let text = |text: &str| SearchKey::Text(text.into());
    let not = |key| SearchKey::Not(Box::new(key));
    for (line, want) in [
        ("ALL", SearchKey::All),
        ("(ALL)", SearchKey::All),
        ("UNSEEN", not(SearchKey::Flag(Flags::SEEN))),
        ("OLD", not(SearchKey::Recent)),
        ("ON 2-Jan-1970", SearchKey::On(1)),
        ("BEFORE \"31-Dec-1969\"", SearchKey::Before(-1)),
        ("SINCE 29-Feb-2024", SearchKey::Since(19_782)),
        ("FROM x", SearchKey::Header { field: "from".into(), text: "x".into() }),
        ("HEADER X-Y \"\"", SearchKey::Header { field: "x-y".into(), text: "".into() }),
        ("MODSEQ 5", SearchKey::ModSeq(ModSeq(5))),
        ("$", SearchKey::Sequence(Set::Saved)),
        ("1 TEXT a", SearchKey::And(vec![SearchKey::Sequence(Set::one(Uid(1))), text("a")])),
        ("OR TEXT a TEXT b", SearchKey::Or(Box::new((text("a"), text("b"))))),
    ] {
        let Request::Search(search) = request_of(&format!("SEARCH {line}")) else {
            panic!("SEARCH is something else");
        };
        assert_eq!(search.key, want, "{line}");
    }
    let latin = Bytes::from_static(b"a SEARCH CHARSET iso-8859-1 TEXT \"t\xe9\"\r\n");
    let Ok(Command { request: Request::Search(search), .. }) = parse(latin, Dialect::default())
    else {
        panic!("SEARCH is something else");
    };
    assert_eq!((search.key, &search.charset[..]), (text("té"), &b"ISO-8859-1"[..]));
    let create = |text, special_use| Request::Create { name: name(text), special_use };
    assert_eq!(request_of("CREATE a/b/"), create("a/b", None));
    assert_eq!(request_of("CREATE a (USE (\\sent))"), create("a", Some(SpecialUse::Sent)));
    assert_eq!(request_of("DELETE &APw-"), Request::Delete { name: name("ü") });
    let items = StatusItems { messages: true, size: true, ..StatusItems::default() };
    assert_eq!(request_of("STATUS x (MESSAGES SIZE)"), Request::Status { name: name("x"), items });
    let utf8 = Dialect { utf8: true, ..Dialect::default() };
    let plain = parse("a DELETE \"&APw-\"\r\n".into(), utf8).map(|command| command.request);
    assert_eq!(plain, Ok(Request::Delete { name: name("&APw-") }));
    let initial = Some(Bytes::new());
    let mechanism = "EXTERNAL".into();
    let want = Request::Authenticate { mechanism, initial };
    assert_eq!(request_of("AUTHENTICATE external ="), want);
}

#[test]
fn bounds() {
    let too_big = |line: String| {
        let parsed = parsed(&line);
        assert!(matches!(parsed, Err((_, Fault::TooBig(_)))), "{}: {parsed:?}", &line[..20]);
    };
    use crate::limits::*;
    too_big(format!("a FETCH {}1 FLAGS", "1,".repeat(IMAP_SET_MAX)));
    too_big(format!("a FETCH 1 ({}UID)", "UID ".repeat(FETCH_ITEMS_MAX)));
    too_big(format!("a SEARCH {}ALL", "ALL ".repeat(SEARCH_KEYS_MAX)));
    too_big(format!("a SEARCH {}ALL", "NOT ".repeat(SEARCH_DEPTH_MAX + 1)));
    too_big(format!("a SEARCH {}ALL", "(".repeat(10_000)));
    too_big(format!("a LIST \"\" ({}x)", "x ".repeat(LIST_PATTERNS_MAX)));
    too_big(format!("a LIST \"\" {}", "*%".repeat(LIST_PATTERN_MAX)));
    let keywords: String = (0..KEYWORDS_MAX).map(|number| format!("k{number} ")).collect();
    too_big(format!("a STORE 1 FLAGS ({keywords}x)"));
    assert!(parsed(&format!("a STORE 1 FLAGS ({keywords}K1)")).is_ok());
    assert!(parsed(&format!("a SEARCH {}ALL", "NOT ".repeat(SEARCH_DEPTH_MAX))).is_ok());
}

/// imap-codec and we: the lines that both accept, and how many.
#[test]
fn a_second_opinion() {
    let mut both = 0;
    for line in CORPUS {
        let text = format!("{line}\r\n");
        let Ok((_, theirs)) = CommandCodec::default().decode(text.as_bytes()) else { continue };
        let Ok(ours) = parsed(line) else { panic!("{line} is refused by us alone") };
        both += 1;
        assert_eq!(ours.tag, theirs.tag.inner().as_bytes(), "{line}");
        let (sets, names) = opinion(&ours.request);
        let (their_sets, their_names) = their_opinion(&theirs.body);
        assert_eq!(sets, their_sets, "{line}");
        assert_eq!(names, their_names, "{line}");
    }
    assert!(both >= 60, "only {both} lines are understood by both");
}

/// The messages meant among a thousand, and the names, of the commands that have some.
fn opinion(request: &Request) -> (Option<Uids>, Vec<String>) {
    let mut view = Uids::default();
    view.insert_run(Uid(1)..=Uid(1000));
    let meant = |set: &Set| Some(set.resolve_uids(&view, &Uids::default()));
    match request {
        Request::Fetch(fetch) => (meant(&fetch.set), vec![]),
        Request::Store(store) => (meant(&store.set), vec![]),
        Request::Copy { set, to, .. } => (meant(set), vec![to.to_string()]),
        Request::UidExpunge { set } => (meant(set), vec![]),
        Request::Select(select) => (None, vec![select.name.to_string()]),
        Request::Rename { from, to } => (None, vec![from.to_string(), to.to_string()]),
        Request::Create { name, .. }
        | Request::Delete { name }
        | Request::Subscribe { name }
        | Request::Unsubscribe { name }
        | Request::Status { name, .. } => (None, vec![name.to_string()]),
        _ => (None, vec![]),
    }
}

fn their_opinion(body: &CommandBody) -> (Option<Uids>, Vec<String>) {
    let number = |number: &SeqOrUid| match number {
        SeqOrUid::Value(number) => Some(number.get()),
        SeqOrUid::Asterisk => None,
    };
    let meant = |set: &SequenceSet| {
        let ranges = set.0.as_ref().iter().map(|sequence| match sequence {
            imap_codec::imap_types::sequence::Sequence::Single(one) => (number(one), number(one)),
            imap_codec::imap_types::sequence::Sequence::Range(one, other) => {
                (number(one), number(other))
            }
        });
        let mut view = Uids::default();
        view.insert_run(Uid(1)..=Uid(1000));
        Some(Set::Ranges(ranges.collect()).resolve_uids(&view, &Uids::default()))
    };
    let named = |mailbox: &Mailbox| match mailbox {
        Mailbox::Inbox => "INBOX".to_string(),
        Mailbox::Other(other) => {
            let octets: &[u8] = other.as_ref();
            crate::mail::utf7::decode(octets).unwrap()
        }
    };
    match body {
        CommandBody::Fetch { sequence_set, .. } | CommandBody::Store { sequence_set, .. } => {
            (meant(sequence_set), vec![])
        }
        CommandBody::Copy { sequence_set, mailbox, .. }
        | CommandBody::Move { sequence_set, mailbox, .. } => {
            (meant(sequence_set), vec![named(mailbox)])
        }
        CommandBody::ExpungeUid { sequence_set } => (meant(sequence_set), vec![]),
        CommandBody::Rename { from, to } => (None, vec![named(from), named(to)]),
        CommandBody::Select { mailbox, .. }
        | CommandBody::Examine { mailbox, .. }
        | CommandBody::Create { mailbox }
        | CommandBody::Delete { mailbox }
        | CommandBody::Subscribe { mailbox }
        | CommandBody::Unsubscribe { mailbox }
        | CommandBody::Status { mailbox, .. } => (None, vec![named(mailbox)]),
        _ => (None, vec![]),
    }
}
