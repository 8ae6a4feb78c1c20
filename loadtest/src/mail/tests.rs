//! Whole messages: their exact size, their Message-ID, their recipients, on either carriage.

use std::collections::BTreeSet;

use super::*;

fn brief(sizes: Sizes, carriage: Carriage, recipients: Recipients) -> Brief {
    Brief {
        sizes,
        carriage,
        run: "t1".into(),
        seed: 5,
        sender: "sender@src.example".into(),
        recipients,
        date: "2026-11-23T10:00:00Z".parse().unwrap(),
    }
}

fn written(composer: &Composer, sequence: u64) -> Vec<u8> {
    let mut out = BytesMut::new();
    let body = composer.message(sequence).write_head(&mut out);
    [&out[..], &body[..]].concat()
}

/// As a server takes it from DATA.
fn unstuffed(wire: &[u8]) -> Vec<u8> {
    let lines = wire.split_inclusive(|&octet| octet == b'\n');
    lines.flat_map(|line| line.strip_prefix(b".").unwrap_or(line)).copied().collect()
}

#[test]
fn messages_have_their_exact_size_whoever_they_are_for() {
    let list = || Sizes::List(vec![(1024, 1.0), (4096, 1.0), (70_001, 1.0)]);
    let cases = [
        (list(), Recipients::address("one@dst.example".into())),
        (list(), Recipients::domain(3, "dst.example".into())),
        (list(), Recipients::domain(50, "dst.example".into())),
        (list(), Recipients::zipf(1, 1, 1.0)),
        (list(), Recipients::zipf(8, 100_000, 0.5)),
        (Sizes::Mix, Recipients::zipf(1, 1000, 1.0)),
    ];
    for (sizes, recipients) in cases {
        let composer = Composer::new(brief(sizes, Carriage::Data, recipients)).unwrap();
        for sequence in (0..40).chain([9_999, 1_000_000, u64::MAX]) {
            let message = unstuffed(&written(&composer, sequence));
            assert_eq!(message.len() as u64, composer.message(sequence).size());
            assert!(message.ends_with(b"\r\n"));
            let head = format!("Message-ID: <{sequence}.t1@ringload.invalid>\r\nTo: ");
            assert!(message.starts_with(head.as_bytes()));
            let text = String::from_utf8(message).unwrap();
            for field in ["\r\nSubject: ", "\r\nDate: Mon, ", "\r\nFrom: <sender@src.example>"] {
                assert!(text.contains(field), "{field} is missing");
            }
            assert!(text.split("\r\n").all(|line| line.len() <= wire::LINE_MAX));
        }
    }
}

#[test]
fn both_carriages_carry_the_same_message() {
    let sizes = Sizes::List(vec![(65_536, 1.0)]);
    let recipients = Recipients::zipf(2, 50, 1.0);
    let data = Composer::new(brief(sizes.clone(), Carriage::Data, recipients.clone())).unwrap();
    let chunk = Composer::new(brief(sizes, Carriage::Chunk, recipients)).unwrap();
    let mut stuffed = 0;
    for sequence in 0..20 {
        let (data, chunk) = (written(&data, sequence), written(&chunk, sequence));
        assert_eq!(unstuffed(&data), chunk);
        stuffed += data.len() - chunk.len();
    }
    assert!(stuffed > 0, "no line began with a dot: nothing was tried");
}

#[test]
fn a_message_without_room_for_its_header_is_refused_and_the_size_named_works() {
    let compose = |size| {
        let recipients = Recipients::domain(1, "dst.example".into());
        Composer::new(brief(Sizes::List(vec![(size, 1.0)]), Carriage::Data, recipients))
    };
    let Err(MailError::TooSmall { least, .. }) = compose(100) else { panic!("100 is too small") };
    assert!(least < 400, "{least}");
    assert_eq!(unstuffed(&written(&compose(least).unwrap(), 1)).len() as u64, least);
}

#[test]
fn a_file_keeps_its_fields_and_gets_the_id_of_the_run() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "A: b\nMessage-ID: <x@y>\n\n.dot\nh\u{e9}\n").unwrap();
    let recipients = Recipients::domain(1, "dst.example".into());
    let sizes = Sizes::Files(file.path().into());
    let composer = Composer::new(brief(sizes, Carriage::Data, recipients)).unwrap();
    let expected =
        "Message-ID: <12.t1@ringload.invalid>\r\nA: b\r\n\r\n..dot\r\nh\u{e9}\r\n".as_bytes();
    assert_eq!(written(&composer, 12), expected);
    assert_eq!(composer.message(12).size(), expected.len() as u64 - 1);
    assert!(composer.is_eight_bit());
}

#[test]
fn recipients_repeat_by_the_seed_and_spread_over_the_domains() {
    let composer = |seed| {
        let recipients = Recipients::zipf(2, 10, 1.0);
        let brief = brief(Sizes::List(vec![(4096, 1.0)]), Carriage::Data, recipients);
        Composer::new(Brief { seed, ..brief }).unwrap()
    };
    let drawn = |composer: &Composer| -> Vec<BytesMut> {
        let pairs = (0..200).flat_map(|sequence| [(sequence, 0), (sequence, 1)]);
        let address = |(sequence, index)| {
            let mut out = BytesMut::new();
            composer.write_recipient(sequence, index, &mut out);
            out
        };
        pairs.map(address).collect()
    };
    let first = drawn(&composer(1));
    assert_eq!(first, drawn(&composer(1)));
    assert_ne!(first, drawn(&composer(2)));
    let distinct: BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 20, "two local parts at ten domains: {distinct:?}");
}
