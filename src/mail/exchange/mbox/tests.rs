//! Files as other programs write them, and what is written and read back.

use bytes::Bytes;

use super::*;
use crate::{
    mail::{exchange::Marks, mailbox::Keyword},
    random::Random,
    time::Wall,
};

fn marks(flags: Flags, keywords: &[&str], seconds: u64) -> Marks {
    let keyword = |text: &&str| Keyword::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    Marks {
        flags,
        keywords: keywords.iter().map(keyword).collect(),
        received: Some(Wall::from_millis(seconds * 1000)),
    }
}

fn read(pieces: &[&[u8]]) -> Vec<(String, Marks)> {
    let (mut found, mut open) = (Vec::new(), None);
    let mut each = |event: Event<'_>| match event {
        Event::Begin => assert_eq!(open.replace(String::new()), None),
        Event::Octets(octets) => {
            open.as_mut().unwrap().extend(octets.iter().map(|o| char::from(*o)))
        }
        Event::End(marks) => found.push((open.take().unwrap(), marks)),
    };
    let mut reader = Reader::default();
    pieces.iter().for_each(|piece| reader.feed(piece, &mut each));
    reader.finish(&mut each);
    assert_eq!(open, None);
    found
}

fn write(message: &[u8], marks: Marks, piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(marks, &mut out);
    message.chunks(piece).for_each(|piece| writer.feed(piece, &mut out));
    writer.finish(&mut out);
    out
}

#[test]
fn files_at_every_cut() {
    let seen = Flags::SEEN;
    let all = Flags::ALL.iter().fold(Flags::default(), |all, (flag, _)| all.with(*flag));
    let folded = format!("X-Keywords: a {}\n\tb A\n", "k".repeat(90));
    for (text, want) in [
        (
            "From a@b Mon Nov 23 09:05:00 2026\nStatus: RO\nA: b\nX-UID: 7\n\nhello\n\
             >From here\n>>From there\n> From\n\nFrom now on\n\n\
             From c  Tue Nov  3 09:05 +0100 2026\nA: b\nX-Status: ADFT\nSTATUS: R\n\nx",
            vec![
                (
                    "A: b\r\n\r\nhello\r\nFrom here\r\n>From there\r\n> From\r\n\r\n\
                     From now on\r\n",
                    marks(seen, &[], 1_795_424_700),
                ),
                ("A: b\r\n\r\nx", marks(all, &[], 1_793_693_100)),
            ],
        ),
        (
            &format!("\njunk\nFrom x Thu Jan  1 00:00:59 1970 -0001\r\n{folded}A: b\r\n\r\n\r\n"),
            vec![("A: b\r\n\r\n", marks(Flags::default(), &["a", &"k".repeat(90), "b"], 119))],
        ),
        ("From x Thu Jan 1 00:00:00 1970\n", vec![("", marks(Flags::default(), &[], 0))]),
        ("From x yesterday\nA: b\n", vec![]),
        ("", vec![]),
    ] {
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            let found = read(&[head, tail]);
            let want = want.iter().map(|(text, marks)| ((*text).to_owned(), marks.clone()));
            assert_eq!(found, Vec::from_iter(want), "{text:?} cut at {cut}");
        }
    }
}

#[test]
fn a_message_is_written() {
    let flags = Flags::SEEN.with(Flags::FLAGGED).with(Flags::ANSWERED);
    let keywords = ["$Forwarded", &"k".repeat(80)];
    let message = b"Status: RO\r\n x\r\nA: b\r\n c\r\n\r\nFrom me\r\n>From you\r\nFromage\r\nend";
    let want = format!(
        "From MAILER-DAEMON Tue Nov  3 08:05:00 2026\nA: b\n c\nStatus: RO\nX-Status: AF\n\
         X-Keywords: $Forwarded\n {}\n\n>From me\n>>From you\nFromage\nend\n\n",
        keywords[1]
    );
    for piece in 1..=message.len() {
        let written = write(message, marks(flags, &keywords, 1_793_693_100), piece);
        assert_eq!(String::from_utf8(written).unwrap(), want, "by {piece}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for seed in 0..=255 {
        let mut random = Random::from_seed([seed; 32]);
        let (mut file, mut want) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let mut message = String::new();
            for _ in 0..random.below(20) {
                message += match random.below(13) {
                    0 => "From ",
                    1 => ">",
                    2 => ">>From x Thu Jan  1 00:00:00 1970",
                    3 => "A: b",
                    4 => " ",
                    5 => "\ry",
                    6 => "From x Thu Jan  1 00:00:00 1970",
                    7 => "Mbox: ",
                    8 if seed % 8 == 0 => &LONG,
                    _ => "\r\n",
                };
            }
            message += "\r\n";
            let flags = Flags::from_bits(random.below(32) as u8).unwrap();
            let keywords: &[&str] = if random.below(2) == 0 { &[] } else { &["$Junk", "x"] };
            let marks = marks(flags, keywords, random.next_u64() % 4_000_000_000);
            file.extend(write(message.as_bytes(), marks.clone(), 1 + random.below(9) as usize));
            want.push((message, marks));
        }
        let pieces: Vec<_> = file.chunks(1 + random.below(900) as usize).collect();
        for (found, want) in read(&pieces).iter().zip(&want) {
            // What is long by repetition is shown short.
            let short = |text: &str| text.replace(&*LONG, "LONG");
            assert_eq!(short(&found.0), short(&want.0), "seed {seed}");
        }
        assert!(read(&pieces) == want, "seed {seed}");
    }
}

/// More of a line than is looked at, of an octet that means something at its start.
static LONG: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| ">".repeat(MBOX_LINE_SEEN - 5));

#[test]
fn random_octets_do_no_harm() {
    for seed in 0..100 {
        let mut random = Random::from_seed([seed; 32]);
        let mut text = b"From x Thu Jan  1 00:00:00 1970\n".to_vec();
        text.extend((0..3000).map(|_| b"\r\n\n From>:Status\0\xff"[random.below(18) as usize]));
        let whole = read(&[&text]);
        let pieces: Vec<_> = text.chunks(1 + usize::from(seed)).collect();
        assert_eq!(read(&pieces), whole, "seed {seed}");
        for line in text.split(|octet| *octet == b'\n') {
            date::from_line(line);
        }
    }
}
