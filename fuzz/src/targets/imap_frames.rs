//! Octets of an IMAP client as commands, literals and messages: cuts do not matter, and memory is
//! bounded.

use bytes::Bytes;
use ringmail::{
    imap::{
        command::Request,
        frame::{Dialect, Frame, Frames},
    },
    limits::IMAP_COMMAND_MAX,
};

use super::octets::{cut, seed_of};

pub fn run(input: &[u8]) {
    let [first, octets @ ..] = input else { return };
    let dialect = Dialect { utf8: first & 1 > 0, stranger: first & 2 > 0, line: false };
    let whole = read(&[octets], dialect);
    assert_eq!(whole, read(&cut(octets, seed_of(input)), dialect), "cuts matter");
    assert_eq!(whole, read(&octets.chunks(1).collect::<Vec<_>>(), dialect), "cuts matter");
}

/// Frames as text, the octets of each message put together.
fn read(pieces: &[&[u8]], mut dialect: Dialect) -> Vec<String> {
    let (mut frames, mut told, mut message) = (Frames::default(), Vec::new(), Vec::new());
    let mut rest = Bytes::new();
    let mut announced = 0;
    let mut fed = 0;
    for piece in pieces {
        assert!(rest.is_empty(), "octets are left over");
        rest = Bytes::copy_from_slice(piece);
        fed += piece.len();
        while let Some(frame) = frames.next(&mut rest, dialect) {
            dialect.line = false;
            match &frame {
                Frame::Octets(octets) => {
                    assert!(!octets.is_empty(), "a piece of nothing");
                    message.extend_from_slice(octets);
                    assert!(message.len() as u64 <= announced, "more than was announced");
                    continue;
                }
                Frame::MessageEnd => {
                    assert_eq!(message.len() as u64, announced, "less than was announced");
                    told.push(format!("{}", message.escape_ascii()));
                    message.clear();
                    continue;
                }
                Frame::Message { size, .. } => {
                    announced = *size;
                    // As if it were too big, or its mailbox not there.
                    if size % 3 == 0 {
                        frames.refuse_message();
                    }
                }
                Frame::Command(command) => {
                    dialect.line =
                        matches!(command.request, Request::Idle | Request::Authenticate { .. });
                }
                _ => {}
            }
            told.push(format!("{frame:?}"));
            if matches!(frame, Frame::Fatal { .. }) {
                // A second word of the end would be one too many.
                assert_eq!(frames.next(&mut rest, dialect), None);
                return told;
            }
        }
        let memory = frames.memory();
        assert!(memory <= 2 * IMAP_COMMAND_MAX + 1024, "{memory} octets are held");
        assert!(memory <= 4 * fed + 1024, "{memory} octets are held of {fed}");
    }
    told
}
