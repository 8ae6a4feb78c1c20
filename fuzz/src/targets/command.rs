//! Command lines: whatever is sent, cuts do not matter, and what a command holds is well-formed.

use bytes::Bytes;
use ringmail::{
    limits::{COMMAND_LINE_MAX, DOMAIN_MAX, ENVID_MAX, ORCPT_MAX},
    smtp::{
        command::{self, Command},
        line::{LineError, Lines},
    },
};

use super::octets::{cut, seed_of};

type Line = Result<Vec<u8>, LineError>;

pub fn run(input: &[u8]) {
    let whole = lines(&[input]);
    assert_eq!(whole, lines(&cut(input, seed_of(input))), "cuts matter");
    assert_eq!(whole, lines(&input.chunks(1).collect::<Vec<_>>()), "cuts matter");
    for line in whole.iter().flatten() {
        assert!(line.len() + 2 <= COMMAND_LINE_MAX, "an overlong line");
        assert!(!line.iter().any(|b| matches!(b, b'\r' | b'\n')), "a line within a line");
        parse(line);
    }
    // What the session never sees, as its lines have no CR, LF.
    parse(input);
}

/// All lines, up to the first that makes what follows unknown.
fn lines(pieces: &[&[u8]]) -> Vec<Line> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        let mut rest = Bytes::copy_from_slice(piece);
        while let Some(line) = lines.next(&mut rest, <[u8]>::to_vec) {
            let is_last = line == Err(LineError::BareNewline);
            found.push(line);
            if is_last {
                return found;
            }
        }
        assert!(rest.is_empty(), "the start of a line is left behind");
    }
    found
}

fn parse(line: &[u8]) {
    let verb = command::verb(line);
    let _ = command::is_http(line);
    let reply_or = command::parse(line);
    assert_eq!(reply_or, command::parse(&[line, b" "].concat()), "white space at the end counts");
    let command = match reply_or {
        Ok(command) => command,
        Err(reply) => {
            assert!(reply.is_permanent(), "a command that is refused for now: {}", reply.text());
            return;
        }
    };
    assert_eq!(verb, name_of(&command), "the log names another command");
    match command {
        Command::Hello { name, .. } => {
            assert!((1..=DOMAIN_MAX).contains(&name.len()) && !name.contains(&b' '));
        }
        Command::Mail(mail) => {
            assert!(mail.envelope.envid.is_none_or(|envid| is_parameter(&envid, ENVID_MAX)));
            assert!(mail.size.is_none() || mail.extended);
        }
        Command::Rcpt(rcpt) => {
            assert!(rcpt.recipient.orcpt.is_none_or(|orcpt| is_parameter(&orcpt, ORCPT_MAX)));
            assert!(!rcpt.recipient.notify.is_said() || rcpt.extended);
        }
        _ => {}
    }
}

/// It is written into commands and reports as it came.
fn is_parameter(text: &[u8], most: usize) -> bool {
    (1..=most).contains(&text.len())
        && std::str::from_utf8(text).is_ok_and(|text| !text.contains(char::is_control))
        && !text.contains(&b' ')
}

pub fn name_of(command: &Command) -> &'static str {
    match command {
        Command::Hello { extended: true, .. } => "EHLO",
        Command::Hello { .. } => "HELO",
        Command::Mail(_) => "MAIL",
        Command::Rcpt(_) => "RCPT",
        Command::Data => "DATA",
        Command::Bdat { .. } => "BDAT",
        Command::Rset => "RSET",
        Command::Noop => "NOOP",
        Command::Vrfy => "VRFY",
        Command::Help => "HELP",
        Command::Quit => "QUIT",
    }
}
