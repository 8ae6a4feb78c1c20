//! Messages with what a listing shows of them; other parsers' opinions; every cut; random octets.

use mail_parser::{MessageParser, PartType};

use super::*;
use crate::{
    limits::{
        BOUNDARY_MAX, HEADER_LOOKED_AT_MAX, PARTS_DEPTH_MAX, PARTS_MAX, SUMMARY_LIST_MAX,
        SUMMARY_MAX,
    },
    mail::mailbox::{Encoding, Part, PartKind, Parts, Summary},
    random::Random,
};

fn scan(message: &[u8]) -> (Summary, u32) {
    let mut scan = Scan::new();
    scan.feed(message);
    scan.finish()
}

/// Rows of a table are written with LF and mean CRLF.
fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

fn shown(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).replace("\r\n", "|")
}

fn envelope_of(header: &str) -> String {
    shown(&scan(crlf(&format!("{header}\n\n")).as_bytes()).0.envelope)
}

fn structure_of(message: &str) -> String {
    shown(&scan(crlf(message).as_bytes()).0.structure)
}

const PLAIN: &str = "Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\nFrom: Fred Foobar \
    <foobar@Blurdybloop.example>\nSubject: afternoon meeting\nTo: mooch@owatagu.example\n\
    Message-Id: <B27397-0100000@Blurdybloop.example>\nMIME-Version: 1.0\n\
    Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\n\nHello Joe,\ndo you think\n";

const MIXED: &str = "From: a@b.example\nContent-Type: multipart/mixed; boundary=\"=_x\"\n\n\
    preamble\n--=_x\nContent-Type: text/plain; charset=utf-8\n\
    Content-Transfer-Encoding: quoted-printable\n\none\ntwo\n--=_x\n\nbare\n--=_x  \n\
    Content-Type: image/png; name=\"a \\\"b\\\".png\"\nContent-ID: <1@x>\n\
    Content-Description: a picture\nContent-Transfer-Encoding: base64\nContent-MD5: Q2hlY2s=\n\
    Content-Disposition: attachment; filename=b.png\nContent-Language: en, de\n\
    Content-Location: http://x.example/\n\niVBORw0KGgo=\n\n--=_x--\nepilogue\n--=_x\nmore\n";

/// The tree of RFC 9051 §6.4.5.1.
const TREE: &str = "Content-Type: multipart/mixed; boundary=o\n\n\
    --o\nContent-Type: text/plain\n\n1\n\
    --o\nContent-Type: application/octet-stream\n\n2\n\
    --o\nContent-Type: message/rfc822\n\n\
    Subject: three\nContent-Type: multipart/mixed; boundary=i\n\n\
    --i\nContent-Type: text/plain\n\n3.1\n\
    --i\nContent-Type: application/octet-stream\n\n3.2\n--i--\n\
    --o\nContent-Type: multipart/mixed; boundary=m\n\n\
    --m\nContent-Type: image/gif\nContent-Transfer-Encoding: base64\n\n4.1\n\
    --m\nContent-Type: message/rfc822\n\n\
    Subject: four two\nContent-Type: multipart/mixed; boundary=j\n\n\
    --j\nContent-Type: text/plain\n\n4.2.1\n\
    --j\nContent-Type: multipart/alternative; boundary=k\n\n\
    --k\nContent-Type: text/plain\n\n4.2.2.1\n\
    --k\nContent-Type: text/richtext\n\n4.2.2.2\n--k--\n--j--\n--m--\n--o--\n";

const DIGEST: &str = "Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: one\n\nfirst\n\
    --d\nContent-Type: text/plain\n\ntext\n--d\n\nSubject: two\n\
    Content-Type: text/html; charset=\"x\"\n\n<p>\n--d--\n";

const CORPUS: [&str; 12] = [
    PLAIN,
    MIXED,
    TREE,
    DIGEST,
    "",
    "\n",
    "Subject: only a header",
    "\nonly a body\n--x\n",
    // A boundary that begins with another, and one that stands in two multiparts.
    "Content-Type: multipart/mixed; boundary=a\n\n--a\n\
        Content-Type: multipart/mixed; boundary=ab\n\n--ab\n\n1.1\n--ab--\n--ab\nignored\n\
        --a\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\n2.1\n--a--\n--a\n\n3\n--a--\n",
    // Parts that end in their headers, and a message that ends in a delimiter.
    "Content-Type: multipart/mixed; boundary=a\n\n--a\n--a\nContent-Type: text/html\n--a\n\
        Content-Type: message/rfc822\n--a\nContent-Type: message/rfc822\n\nSubject: x\n--a\n\
        Content-Type: multipart/mixed; boundary=b\n--a\n\n--a--",
    // Never closed.
    "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\
        \n\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\nbody\n-\n--\n--c\nlast",
    "Content-Type: multipart/mixed; boundary=never\n\nno delimiter\n",
];

#[test]
fn envelopes() {
    const NONE: &str = "NIL NIL NIL";
    let from = "((NIL NIL \"a\" \"b.example\"))";
    let long = format!("Subject: {}", "x".repeat(1025));
    let rows: Vec<(&str, String)> = vec![
        ("", format!("(NIL NIL NIL {NONE} {NONE} NIL)")),
        (
            PLAIN.split_once("\n\n").unwrap().0,
            "(\"Mon, 7 Feb 1994 21:52:25 -0800 (PST)\" \"afternoon meeting\" \
             ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\")) \
             ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\")) \
             ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\")) \
             ((NIL NIL \"mooch\" \"owatagu.example\")) NIL NIL NIL \
             \"<B27397-0100000@Blurdybloop.example>\")"
                .into(),
        ),
        (
            "From: a@b.example\nSender: \nReply-To: c@d.example\nCc: e@f\nCc: g@h\nBcc: ,",
            format!(
                "(NIL NIL {from} {from} ((NIL NIL \"c\" \"d.example\")) NIL \
                 ((NIL NIL \"e\" \"f\")(NIL NIL \"g\" \"h\")) NIL NIL NIL)"
            ),
        ),
        (
            "SUBJECT : say \"hi\" \\ \n\t folded\nsubject: second\nIn-Reply-To: <x>\n <y>",
            format!("(NIL \"say \\\"hi\\\" \\\\ \t folded\" {NONE} {NONE} \"<x> <y>\" NIL)"),
        ),
        ("Subject: gr\u{fc}n\0", format!("(NIL {{5}}|gr\u{fc}n {NONE} {NONE} NIL NIL)")),
        (&long, format!("(NIL {{1025}}|{} {NONE} {NONE} NIL NIL)", "x".repeat(1025))),
    ];
    for (header, want) in rows {
        assert_eq!(envelope_of(header), want, "{header:?}");
    }
}

// tidy: flat table
#[test]
fn addresses() {
    for (value, want) in [
        ("a@b", r#"(NIL NIL "a" "b")"#),
        ("<a@b>", r#"(NIL NIL "a" "b")"#),
        ("A B <a@b>", r#"("A B" NIL "a" "b")"#),
        ("John Q. Public <a@b>, x@y", r#"("John Q. Public" NIL "a" "b")(NIL NIL "x" "y")"#),
        (r#""A, \"B\"" <a@b>"#, r#"("A, \"B\"" NIL "a" "b")"#),
        (r#""A"  "B" c <a@b>"#, r#"("A B c" NIL "a" "b")"#),
        (r#""a b"@c"#, r#"(NIL NIL "a b" "c")"#),
        (r#"<"a\"b"@c>"#, r#"(NIL NIL "a\"b" "c")"#),
        ("a@b (Al (the) One)", r#"("Al (the) One" NIL "a" "b")"#),
        ("<a@b> (Al)", r#"("Al" NIL "a" "b")"#),
        ("(x) A (y) <(z) a . b (p) @ (q) c . d>", r#"("A" NIL "a.b" "c.d")"#),
        ("X <@r,@s.t:a@b>", r#"("X" "@r,@s.t" "a" "b")"#),
        ("a@[IPv6:2001:db8::1]", r#"(NIL NIL "a" "[IPv6:2001:db8::1]")"#),
        ("=?utf-8?q?a=2C_b?= <a@b>", r#"("=?utf-8?q?a=2C_b?=" NIL "a" "b")"#),
        (
            "G: a@b, C <c@d>; e@f",
            "(NIL NIL \"G\" NIL)(NIL NIL \"a\" \"b\")(\"C\" NIL \"c\" \"d\")(NIL NIL NIL NIL)\
             (NIL NIL \"e\" \"f\")",
        ),
        ("undisclosed-recipients:;", "(NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL)"),
        ("G: a@b", r#"(NIL NIL "G" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)"#),
        // What no RFC allows, and what comes all the same.
        ("a@b <a@b>", r#"("a@b" NIL "a" "b")"#),
        ("root", r#"(NIL NIL "root" "")"#),
        ("the list, a@b", r#"(NIL NIL "the list" "")(NIL NIL "a" "b")"#),
        ("Mailer <>", r#"("Mailer" NIL "" "")"#),
        ("<a@b", r#"(NIL NIL "a" "b")"#),
        ("a@b; c@d;", r#"(NIL NIL "a" "b")(NIL NIL "c" "d")"#),
        (",, a@b ,,", r#"(NIL NIL "a" "b")"#),
        ("a@b@c", r#"(NIL NIL "a" "b@c")"#),
        ("A <a@b> junk, \"B\" <c@d>", r#"("A" NIL "a" "b")("B" NIL "c" "d")"#),
        ("\"\" <a@b>", r#"(NIL NIL "a" "b")"#),
        ("\"open <a@b>", r#"(NIL NIL "open <a@b>" "")"#),
        (">)x@y", r#"(NIL NIL "x" "y")"#),
    ] {
        let envelope = envelope_of(&format!("To: {value}"));
        let want = format!("(NIL NIL NIL NIL NIL ({want}) NIL NIL NIL NIL)");
        assert_eq!(envelope, want, "{value:?}");
    }
    for empty in ["", ",", ";", "(only)", "\"\"", ">"] {
        let envelope = envelope_of(&format!("To: {empty}"));
        assert_eq!(envelope, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)", "{empty:?}");
    }
}

const TEXT: &str = "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\"";

#[test]
fn structures() {
    let none = "NIL NIL NIL NIL";
    let text = |size, lines| format!("({TEXT} {size} {lines} {none})");
    let blank = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";
    let one = blank.replacen("NIL NIL", "NIL \"one\"", 1);
    let two = blank.replacen("NIL NIL", "NIL \"two\"", 1);
    for (message, want) in [
        (
            PLAIN,
            format!("(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7bit\" 26 2 {none})"),
        ),
        (
            MIXED,
            format!(
                "((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"quoted-printable\" 8 1 \
                 {none}){}(\"image\" \"png\" (\"name\" \"a \\\"b\\\".png\") \"<1@x>\" \
                 \"a picture\" \"base64\" 14 \"Q2hlY2s=\" (\"attachment\" (\"filename\" \
                 \"b.png\")) (\"en\" \"de\") \"http://x.example/\") \"mixed\" (\"boundary\" \
                 \"=_x\") NIL NIL NIL)",
                text(4, 0)
            ),
        ),
        (
            DIGEST,
            format!(
                "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 21 {one} {} 2 {none}){}\
                 (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 57 {two} (\"text\" \"html\" \
                 (\"charset\" \"x\") NIL NIL \"7bit\" 3 0 {none}) 3 {none}) \"digest\" \
                 (\"boundary\" \"d\") NIL NIL NIL)",
                text(5, 0),
                text(4, 0)
            ),
        ),
        (CORPUS[11], format!("({} \"mixed\" (\"boundary\" \"never\") NIL NIL NIL)", text(14, 1))),
        ("", text(0, 0)),
    ] {
        assert_eq!(structure_of(message), want, "{message:?}");
    }
}

#[test]
fn content_types() {
    for (value, want) in [
        (
            "text/html (a comment); (b) charset = utf-8 (c)",
            "\"text\" \"html\" (\"charset\" \"utf-8\")",
        ),
        ("text / html", "\"text\" \"html\" (\"charset\" \"us-ascii\")"),
        (
            "text/plain; format=flowed",
            "\"text\" \"plain\" (\"format\" \"flowed\" \"charset\" \"us-ascii\")",
        ),
        // RFC 2045 §5.2: broken ones are plain text.
        ("text", &TEXT[..37]),
        ("/plain; charset=x", &TEXT[..37]),
        ("multipart/mixed", &TEXT[..37]),
        ("multipart/mixed; boundary=\"\"", &TEXT[..37]),
        (
            "application/pdf; name=my file.pdf; x",
            "\"application\" \"pdf\" (\"name\" \"my file.pdf\")",
        ),
        ("application/pdf; name=\"open", "\"application\" \"pdf\" (\"name\" \"open\")"),
        ("a/b; =x; ;; y; z=\"1\" junk; w=", "\"a\" \"b\" (\"z\" \"1\" \"w\" \"\")"),
        ("a/b; n*0*=utf-8''a%20; n*1=b", "\"a\" \"b\" (\"n*0*\" \"utf-8''a%20\" \"n*1\" \"b\")"),
    ] {
        let structure = structure_of(&format!("Content-Type: {value}\n\n"));
        assert!(structure.starts_with(&format!("({want} NIL")), "{value:?} gave {structure}");
    }
    for (value, name, encoding) in [
        ("8BIT", "8BIT", Encoding::EightBit),
        ("(c) Base64 (d)", "Base64", Encoding::Base64),
        ("quoted-printable;", "quoted-printable", Encoding::QuotedPrintable),
        ("binary", "binary", Encoding::Binary),
        ("x-uuencode", "x-uuencode", Encoding::Unknown),
        ("", "7bit", Encoding::SevenBit),
    ] {
        let message = format!("Content-Transfer-Encoding: {value}\r\n\r\n");
        let (summary, _) = scan(message.as_bytes());
        assert_eq!(summary.parts.iter().next().unwrap().encoding, encoding, "{value:?}");
        assert!(shown(&summary.structure).contains(&format!("NIL NIL \"{name}\" 0 0")), "{value}");
    }
}

#[test]
fn part_numbers_lead_to_parts() {
    let message = crlf(TREE);
    let (summary, header) = scan(message.as_bytes());
    let text = |at: u64, octets: u64| &message[at as usize..(at + octets) as usize];
    assert_eq!(text(0, header.into()), "Content-Type: multipart/mixed; boundary=o\r\n\r\n");
    for (numbers, want) in [
        (&[1][..], Some("1")),
        (&[2], Some("2")),
        (&[3, 1], Some("3.1")),
        (&[3, 2], Some("3.2")),
        (&[4, 1], Some("4.1")),
        (&[4, 2, 1], Some("4.2.1")),
        (&[4, 2, 2, 1], Some("4.2.2.1")),
        (&[4, 2, 2, 2], Some("4.2.2.2")),
        (&[0], None),
        (&[5], None),
        (&[u32::MAX], None),
        (&[1, 1], None),
        (&[3, 3], None),
        (&[3, 1, 1], None),
        (&[4, 2, 2, 3], None),
        (&[4, 3], None),
    ] {
        let found = locate(&summary.parts, numbers);
        let body = found.as_ref().map(|found| text(found.part.body_start(), found.part.body));
        assert_eq!(body, want, "{numbers:?}");
        assert!(found.is_none_or(|found| found.message.is_none()), "{numbers:?}");
    }
    for (numbers, subject) in [(&[3][..], "Subject: three"), (&[4, 2], "Subject: four two")] {
        let found = locate(&summary.parts, numbers).unwrap();
        let inner = found.message.unwrap();
        let header = text(inner.start, inner.header.into());
        assert!(header.starts_with(subject) && header.ends_with("\r\n\r\n"), "{header:?}");
        assert_eq!(inner.start, found.part.body_start());
        assert_eq!(u64::from(inner.header) + inner.body, found.part.body);
        assert_eq!(
            text(found.part.start, found.part.header.into()),
            "Content-Type: \
            message/rfc822\r\n\r\n"
        );
    }
    let multipart = locate(&summary.parts, &[4, 2, 2]).unwrap();
    assert_eq!((multipart.part.kind, multipart.message), (PartKind::Multipart, None));
    // Of messages that are no multiparts, embedded or not, part 1 is the body.
    let (summary, _) = scan(crlf(DIGEST).as_bytes());
    let html = locate(&summary.parts, &[3, 1]).unwrap().part;
    assert_eq!((html.kind, &*html.charset, html.body), (PartKind::Text, &b"x"[..], 3));
    assert_eq!(locate(&summary.parts, &[3, 1, 1]), None);
    let (summary, _) = scan(crlf(PLAIN).as_bytes());
    let own = locate(&summary.parts, &[]).unwrap();
    assert_eq!(own.message.as_ref(), Some(&own.part));
    assert_eq!(locate(&summary.parts, &[1]).unwrap(), Located { message: None, ..own });
    assert_eq!(locate(&summary.parts, &[2]), None);
    assert_eq!(locate(&Parts::default(), &[]), None);
}

#[test]
fn nested_boundaries() {
    // Kind and body of each part, by depth.
    let outline = |message: &str| {
        let message = crlf(message);
        let line = |part: Part| {
            let (start, body) = (part.body_start() as usize, part.body as usize);
            let leaf = matches!(part.kind, PartKind::Text | PartKind::Other);
            let text = if leaf { &message[start..start + body] } else { "+" };
            format!("{}{:?} {text:?}", " ".repeat(part.depth.into()), part.kind)
        };
        Vec::from_iter(scan(message.as_bytes()).0.parts.iter().map(line)).join("\n")
    };
    assert_eq!(
        outline(CORPUS[8]),
        "Multipart \"+\"\n Multipart \"+\"\n  Text \"1.1\"\n Multipart \"+\"\n  Text \"2.1\"\n \
         Text \"3\""
    );
    assert_eq!(
        outline(CORPUS[9]),
        "Multipart \"+\"\n Text \"\"\n Text \"\"\n Message \"+\"\n  Text \"\"\n Message \"+\"\n  \
         Text \"\"\n Multipart \"+\"\n  Text \"\"\n Text \"\""
    );
    assert_eq!(
        outline(CORPUS[10]),
        "Multipart \"+\"\n Multipart \"+\"\n  Message \"+\"\n   Text \"body\\r\\n-\\r\\n--\\r\\n\
         --c\\r\\nlast\""
    );
}

#[test]
fn bare_newlines_end_lines_too() {
    let (summary, header) = scan(MIXED.as_bytes());
    assert_eq!(header, 65);
    let body = |part: Part| {
        let start = part.body_start() as usize;
        &MIXED[start..start + part.body as usize]
    };
    let bodies = Vec::from_iter(summary.parts.iter().skip(1).map(body));
    assert_eq!(bodies, ["one\ntwo", "bare", "iVBORw0KGgo=\n"]);
}

#[test]
fn body_is_bodystructure_without_its_extensions() {
    let message = format!("Subject: gr\u{fc}n\n{}", DIGEST.replace("one", "(\u{fc}\"\\)"));
    let (summary, _) = scan(crlf(&message).as_bytes());
    let one = "(NIL {6}|(\u{fc}\"\\) NIL NIL NIL NIL NIL NIL NIL NIL)";
    let two = "(NIL \"two\" NIL NIL NIL NIL NIL NIL NIL NIL)";
    let want = format!(
        "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 24 {one} ({TEXT} 5 0) 2)({TEXT} 4 0)\
         (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 57 {two} (\"text\" \"html\" (\"charset\" \
         \"x\") NIL NIL \"7bit\" 3 0) 3) \"digest\")"
    );
    assert_eq!(shown(&plain_structure(&summary.structure)), want);
    // Of what nobody wrote nothing is expected but an end.
    for cut in 0..summary.structure.len() {
        plain_structure(&summary.structure[..cut]);
        plain_structure(&summary.structure[cut..]);
    }
    plain_structure(&b"(".repeat(1_000_000));
    plain_structure(b"({99999999999999999999}\r\n");
    plain_structure(b"(\"\\");
}

#[test]
fn cuts_do_not_matter() {
    for text in CORPUS {
        for message in [crlf(text), text.to_owned()] {
            let whole = scan(message.as_bytes());
            for cut in 0..=message.len() {
                let mut scan = Scan::new();
                scan.feed(&message.as_bytes()[..cut]);
                scan.feed(&message.as_bytes()[cut..]);
                assert_eq!(scan.finish(), whole, "{message:?} cut at {cut}");
            }
            let mut scan = Scan::new();
            message.as_bytes().chunks(1).for_each(|octet| scan.feed(octet));
            assert_eq!(scan.finish(), whole, "{message:?} by octets");
        }
    }
}

/// What a message is likely to be made of, and what breaks it.
const PIECES: [&[u8]; 34] = [
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"-",
    b"--",
    b"--a",
    b"--a--",
    b"--ab",
    b"--ab--",
    b"\r\n--a\r\n",
    b"\r\n--ab\r\n",
    b"\r\n--a--\r\n",
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n",
    b"Content-Type: multipart/digest; boundary=\"ab\"\r\n\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: text/",
    b"plain; charset=",
    b"Content-Disposition: x; y=\"",
    b"From: ",
    b"To: ",
    b"Subject: ",
    b" ",
    b"\t",
    b"a@b",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"\xFC\0",
    b":;,",
    b"x",
];

#[test]
fn random_octets_stay_within_bounds() {
    for seed in 0..=255 {
        let mut random = Random::from_seed([seed; 32]);
        for _ in 0..20 {
            let mut message = Vec::new();
            for _ in 0..random.below(60) {
                let piece = PIECES[random.below(PIECES.len() as u32) as usize];
                message.extend_from_slice(piece);
            }
            let whole = scan(&message);
            let mut scan = Scan::new();
            let mut rest = &message[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(1 + random.below(rest.len() as u32) as usize);
                scan.feed(piece);
                rest = behind;
            }
            let shown = message.escape_ascii();
            assert_eq!(scan.finish(), whole, "seed {seed}: {shown}");
            if let Err(fault) = check(&whole, &message) {
                panic!("seed {seed}: {fault}: {shown}");
            }
        }
    }
}

/// Parts lie within those around them, and the texts are what a client can read.
fn check((summary, header): &(Summary, u32), message: &[u8]) -> Result<(), String> {
    let parts = Vec::from_iter(summary.parts.iter());
    let mut around: Vec<&Part> = Vec::new();
    for part in &parts {
        around.truncate(part.depth.into());
        let (start, end) = match around.last() {
            None => (0, message.len() as u64),
            Some(outer) => (outer.body_start(), outer.body_start() + outer.body),
        };
        if around.len() != usize::from(part.depth) {
            return Err(format!("{part:?} has nothing around it"));
        }
        if part.start < start || part.body_start() + part.body > end {
            return Err(format!("{part:?} is not within {start}..{end}"));
        }
        around.push(part);
    }
    let whole = u64::from(*header) + parts[0].body;
    if parts[0].header != *header || whole != message.len() as u64 || parts.len() > PARTS_MAX {
        return Err(format!("{header}, {} of {} parts", parts[0].body, parts.len()));
    }
    readable(summary, &parts)
}

/// Another parser's opinion of what goes over the wire.
fn readable(summary: &Summary, parts: &[Part]) -> Result<(), String> {
    use imap_codec::{ResponseCodec, decode::Decoder};
    // It follows structures to a depth of its own.
    if parts.iter().any(|part| part.depth > 5) {
        return Ok(());
    }
    let plain = plain_structure(&summary.structure);
    let (envelope, structure) = (&*summary.envelope, &*summary.structure);
    let response = [
        b"* 1 FETCH (ENVELOPE ",
        envelope,
        b" BODYSTRUCTURE ",
        structure,
        b" BODY ",
        &plain,
        b")\r\n",
    ]
    .concat();
    match ResponseCodec::default().decode(&response) {
        Ok(([], _)) => Ok(()),
        other => Err(format!("{other:?} of {}", response.escape_ascii())),
    }
}

#[test]
fn the_corpus_is_what_others_read_too() {
    for text in CORPUS {
        let message = crlf(text);
        let whole = scan(message.as_bytes());
        if let Err(fault) = check(&whole, message.as_bytes()) {
            panic!("{fault}: {message:?}");
        }
    }
    // A second parser takes broken messages otherwise.
    for text in [PLAIN, MIXED, TREE, DIGEST] {
        let message = crlf(text);
        let parsed = MessageParser::new().parse(message.as_bytes()).unwrap();
        let mut theirs = Vec::new();
        leaves(&parsed, &mut theirs);
        let parts = scan(message.as_bytes()).0.parts;
        let leaf = |part: &Part| matches!(part.kind, PartKind::Text | PartKind::Other);
        let body = |part: Part| message[part.body_start() as usize..][..part.body as usize].into();
        let ours: Vec<String> = parts.iter().filter(leaf).map(body).collect();
        assert_eq!(ours, theirs, "{message:?}");
    }
}

/// The bodies of all parts that hold no others.
fn leaves(message: &mail_parser::Message<'_>, found: &mut Vec<String>) {
    for part in &message.parts {
        match &part.body {
            PartType::Multipart(_) => {}
            PartType::Message(inner) => leaves(inner, found),
            _ => {
                let body =
                    &message.raw_message[part.offset_body as usize..part.offset_end as usize];
                found.push(String::from_utf8_lossy(body).into_owned());
            }
        }
    }
}

#[test]
fn bounds_hold() {
    let part = "--a\r\n\r\nx\r\n";
    let many = format!(
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n{}--a--\r\n",
        part.repeat(PARTS_MAX + 10)
    );
    let (summary, _) = scan(many.as_bytes());
    let parts = Vec::from_iter(summary.parts.iter());
    assert_eq!(parts.len(), PARTS_MAX - 1);
    let last = parts.last().unwrap();
    assert_eq!(last.body_start() + last.body, many.len() as u64);

    let deep: String = (0..100)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n:03}\r\n\r\n--b{n:03}\r\n"))
        .collect();
    let embedded = "Content-Type: message/rfc822\r\n\r\n".repeat(100);
    for message in [&deep, &embedded] {
        let whole = scan(message.as_bytes());
        let parts = Vec::from_iter(whole.0.parts.iter());
        assert_eq!(parts.len(), PARTS_DEPTH_MAX + 1);
        assert_eq!(parts.last().unwrap().kind, PartKind::Other);
        assert_eq!(check(&whole, message.as_bytes()), Ok(()));
        plain_structure(&whole.0.structure);
    }

    // Bounds are met at the same octet however the message is cut.
    let long = format!("X: {}\r\nSubject: x\r\n\r\n", "y".repeat(HEADER_LOOKED_AT_MAX - 16));
    for message in [&many, &deep, &embedded, &long] {
        for size in [1, 7, 1000] {
            let mut cut = Scan::new();
            message.as_bytes().chunks(size).for_each(|piece| cut.feed(piece));
            assert_eq!(cut.finish(), scan(message.as_bytes()), "pieces of {size}");
        }
    }

    // What fills a header, in one line, in many, and in every part.
    let wide = format!("To: {}\r\n\r\nx", "a,".repeat(HEADER_LOOKED_AT_MAX));
    let (summary, header) = scan(wide.as_bytes());
    assert_eq!(header as usize, wide.len() - 1);
    assert!((SUMMARY_LIST_MAX..SUMMARY_LIST_MAX + 1024).contains(&summary.envelope.len()));
    let tall = format!("{}Subject: behind\r\n\r\n", "X: y\r\n".repeat(HEADER_LOOKED_AT_MAX));
    assert!(!shown(&scan(tall.as_bytes()).0.envelope).contains("behind"));
    let part = format!("--a\r\nContent-Type: a/b{}\r\n\r\n", ";x=y".repeat(20_000));
    let heavy = format!("Content-Type: multipart/mixed; boundary=a\r\n\r\n{}", part.repeat(100));
    let (summary, _) = scan(heavy.as_bytes());
    assert!(summary.structure.len() < 2 * SUMMARY_MAX, "{}", summary.structure.len());
    assert_eq!(summary.parts.iter().count(), 101);

    for (length, kind) in [(BOUNDARY_MAX, PartKind::Multipart), (BOUNDARY_MAX + 1, PartKind::Text)]
    {
        let boundary = "b".repeat(length);
        let message = format!(
            "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\r\nx"
        );
        assert_eq!(scan(message.as_bytes()).0.parts.iter().next().unwrap().kind, kind);
    }
}
