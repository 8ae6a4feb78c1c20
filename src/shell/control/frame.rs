//! The frames of an import behind its request: kind (1), length (4), octets.

use std::io::{self, Read, Write};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    limits::{IMPORT_FRAME_MAX, KEYWORDS_MAX},
    mail::{
        exchange::Marks,
        mailbox::{Flags, Keyword, MailboxName},
    },
    time::Wall,
};

/// One frame.
#[derive(PartialEq, Debug)]
pub enum Frame<'a> {
    Folder(MailboxName),
    Octets(&'a [u8]),
    End(Marks),
    Finish,
}

/// Writes one frame; octets that are too many for one go in several.
pub fn write(out: &mut impl Write, frame: &Frame<'_>) -> io::Result<()> {
    match frame {
        Frame::Folder(name) => put(out, b'F', name.as_str().as_bytes()),
        Frame::Octets(octets) => {
            octets.chunks(IMPORT_FRAME_MAX).try_for_each(|piece| put(out, b'O', piece))
        }
        Frame::End(marks) => {
            let keyword = |keyword: &Keyword| String::from_utf8_lossy(keyword.as_bytes()).into();
            let keywords: Vec<Value> = marks.keywords.iter().map(keyword).collect();
            let received = marks.received.map(|wall| wall.as_millis());
            let flags = marks.flags.bits();
            let text = json!({ "flags": flags, "keywords": keywords, "received": received });
            put(out, b'E', text.to_string().as_bytes())
        }
        Frame::Finish => put(out, b'Z', b""),
    }
}

fn put(out: &mut impl Write, kind: u8, octets: &[u8]) -> io::Result<()> {
    out.write_all(&[kind])?;
    out.write_all(&u32::try_from(octets.len()).unwrap_or(u32::MAX).to_le_bytes())?;
    out.write_all(octets)
}

/// Reads one frame; its octets lie in `room`.
pub fn read<'a>(from: &mut impl Read, room: &'a mut Vec<u8>) -> io::Result<Frame<'a>> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > IMPORT_FRAME_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    room.resize(length, 0);
    from.read_exact(room)?;
    let frame = match kind {
        b'F' => std::str::from_utf8(room).ok().and_then(|text| MailboxName::parse(text).ok()),
        b'O' => return Ok(Frame::Octets(room)),
        b'E' => return read_marks(room).map(Frame::End).ok_or(io::ErrorKind::InvalidData.into()),
        b'Z' if room.is_empty() => return Ok(Frame::Finish),
        _ => None,
    };
    frame.map(Frame::Folder).ok_or(io::ErrorKind::InvalidData.into())
}

fn read_marks(text: &[u8]) -> Option<Marks> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let keywords = value["keywords"].as_array()?;
    let keyword =
        |value: &Value| Keyword::parse(Bytes::copy_from_slice(value.as_str()?.as_bytes())).ok();
    if keywords.len() > KEYWORDS_MAX {
        return None;
    }
    let received = match &value["received"] {
        Value::Null => None,
        number => Some(Wall::from_millis(number.as_u64()?)),
    };
    Some(Marks {
        flags: Flags::from_bits(u8::try_from(value["flags"].as_u64()?).ok()?)?,
        keywords: keywords.iter().map(keyword).collect::<Option<_>>()?,
        received,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_nonsense_does_not() {
        let marks = Marks {
            flags: Flags::SEEN.with(Flags::DRAFT),
            keywords: vec![Keyword::parse("$Forwarded".into()).unwrap()],
            received: Some(Wall::from_millis(7)),
        };
        let mut room = Vec::new();
        for frame in [
            Frame::Folder(MailboxName::parse("Entw\u{fc}rfe/a").unwrap()),
            Frame::Octets(b"text\r\n"),
            Frame::End(marks),
            Frame::End(Marks::default()),
            Frame::Finish,
        ] {
            let mut octets = Vec::new();
            write(&mut octets, &frame).unwrap();
            assert_eq!(read(&mut &octets[..], &mut room).unwrap(), frame);
            assert!(read(&mut &octets[..octets.len() - 1], &mut room).is_err());
        }
        let mut octets = Vec::new();
        write(&mut octets, &Frame::Octets(&[b'a'; IMPORT_FRAME_MAX + 1])).unwrap();
        let mut rest = &octets[..];
        for length in [IMPORT_FRAME_MAX, 1] {
            let Frame::Octets(piece) = read(&mut rest, &mut room).unwrap() else { panic!() };
            assert_eq!(piece.len(), length);
        }
        for nonsense in [
            &b"O\xff\xff\xff\xff"[..],
            b"X\0\0\0\0",
            b"Z\x01\0\0\0a",
            b"F\x02\0\0\0a\0",
            b"E\x02\0\0\0{}",
        ] {
            assert!(read(&mut &nonsense[..], &mut room).is_err(), "{nonsense:?}");
        }
    }
}
