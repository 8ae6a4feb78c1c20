//! Parses a command line, once, at the door; what it keeps of the line it copies.
//!
//! A refused line's error is the reply itself: there is nothing else to do with it.

use bytes::Bytes;

use super::reply::{self, Reply};
use crate::mail::sasl::Mechanism;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Capa,
    Utf8,
    User {
        name: Bytes,
    },
    Pass {
        password: Bytes,
    },
    /// AUTH alone, as clients asked for the mechanisms before there was CAPA.
    Mechanisms,
    /// The initial response still in base64.
    Auth {
        mechanism: Mechanism,
        initial: Option<Bytes>,
    },
    Stat,
    List(Option<u32>),
    Uidl(Option<u32>),
    Retr(u32),
    Top {
        message: u32,
        lines: u32,
    },
    Dele(u32),
    Noop,
    Rset,
    Quit,
}

/// Parses a line without its end (RFC 1939 §3).
pub(super) fn parse(line: &[u8]) -> Result<Command, Reply> {
    let end = line.iter().position(|octet| *octet == b' ').unwrap_or(line.len());
    let (verb, rest) = line.split_at(end);
    let argument = rest.trim_ascii();
    let is = |name: &str| verb.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("RETR") => number(argument).map(Command::Retr).ok_or(reply::SYNTAX_MESSAGE),
        () if is("DELE") => number(argument).map(Command::Dele).ok_or(reply::SYNTAX_MESSAGE),
        () if is("LIST") => optional(argument).map(Command::List),
        () if is("UIDL") => optional(argument).map(Command::Uidl),
        () if is("TOP") => top(argument),
        () if is("STAT") => alone(argument, Command::Stat),
        () if is("NOOP") => alone(argument, Command::Noop),
        () if is("RSET") => alone(argument, Command::Rset),
        () if is("QUIT") => alone(argument, Command::Quit),
        () if is("CAPA") => alone(argument, Command::Capa),
        () if is("UTF8") => alone(argument, Command::Utf8),
        () if is("USER") && argument.is_empty() => Err(reply::SYNTAX_USER),
        () if is("USER") => Ok(Command::User { name: Bytes::copy_from_slice(argument) }),
        () if is("PASS") => pass(rest),
        () if is("AUTH") => auth(argument),
        () if is("STLS") => Err(reply::NO_TLS),
        () if is("APOP") => Err(reply::NO_APOP),
        () => Err(reply::UNKNOWN_COMMAND),
    }
}

fn alone(argument: &[u8], command: Command) -> Result<Command, Reply> {
    if argument.is_empty() { Ok(command) } else { Err(reply::NO_ARGUMENT) }
}

/// RFC 1939 §7: PASS has one argument, so the spaces in it belong to the password.
fn pass(rest: &[u8]) -> Result<Command, Reply> {
    match rest.strip_prefix(b" ") {
        None | Some([]) => Err(reply::SYNTAX_PASS),
        Some(password) => Ok(Command::Pass { password: Bytes::copy_from_slice(password) }),
    }
}

/// RFC 5034 §4.
fn auth(argument: &[u8]) -> Result<Command, Reply> {
    let mut words = words(argument);
    let Some(name) = words.next() else {
        return Ok(Command::Mechanisms);
    };
    let initial = words.next().map(Bytes::copy_from_slice);
    if words.next().is_some() {
        return Err(reply::SYNTAX_AUTH);
    }
    let mechanism = Mechanism::parse(name).ok_or(reply::UNKNOWN_MECHANISM)?;
    Ok(Command::Auth { mechanism, initial })
}

fn top(argument: &[u8]) -> Result<Command, Reply> {
    let mut numbers = words(argument).map(number);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Some(message)), Some(Some(lines)), None) => Ok(Command::Top { message, lines }),
        _ => Err(reply::SYNTAX_TOP),
    }
}

fn optional(argument: &[u8]) -> Result<Option<u32>, Reply> {
    match argument {
        b"" => Ok(None),
        text => number(text).map(Some).ok_or(reply::SYNTAX_MESSAGE),
    }
}

/// One too large for any message is still a number.
fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |octet: &u8| u32::from(*octet - b'0');
    Some(text.iter().fold(0, |n: u32, octet| n.saturating_mul(10).saturating_add(digit(octet))))
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|octet| *octet == b' ').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let user = |name: &'static str| Ok(Command::User { name: name.into() });
        let pass = |password: &'static str| Ok(Command::Pass { password: password.into() });
        let auth = |mechanism, initial: Option<&'static str>| {
            Ok(Command::Auth { mechanism, initial: initial.map(Bytes::from) })
        };
        for (line, want) in [
            ("stat", Ok(Command::Stat)),
            ("STAT ", Ok(Command::Stat)),
            ("STAT 1", Err(reply::NO_ARGUMENT)),
            ("STATS", Err(reply::UNKNOWN_COMMAND)),
            (" STAT", Err(reply::UNKNOWN_COMMAND)),
            ("", Err(reply::UNKNOWN_COMMAND)),
            ("USER  a@b ", user("a@b")),
            ("USER", Err(reply::SYNTAX_USER)),
            ("PASS a b ", pass("a b ")),
            ("PASS  ", pass(" ")),
            ("PASS ", Err(reply::SYNTAX_PASS)),
            ("AUTH", Ok(Command::Mechanisms)),
            ("AUTH plain", auth(Mechanism::Plain, None)),
            ("AUTH LOGIN =", auth(Mechanism::Login, Some("="))),
            ("AUTH PLAIN a b", Err(reply::SYNTAX_AUTH)),
            ("AUTH CRAM-MD5", Err(reply::UNKNOWN_MECHANISM)),
            ("LIST", Ok(Command::List(None))),
            ("LIST 007", Ok(Command::List(Some(7)))),
            ("LIST -1", Err(reply::SYNTAX_MESSAGE)),
            ("UIDL 99999999999", Ok(Command::Uidl(Some(u32::MAX)))),
            ("RETR", Err(reply::SYNTAX_MESSAGE)),
            ("RETR 1 2", Err(reply::SYNTAX_MESSAGE)),
            ("TOP 1  0", Ok(Command::Top { message: 1, lines: 0 })),
            ("TOP 1", Err(reply::SYNTAX_TOP)),
            ("TOP 1 2 3", Err(reply::SYNTAX_TOP)),
            ("APOP a b", Err(reply::NO_APOP)),
            ("STLS", Err(reply::NO_TLS)),
        ] {
            assert_eq!(parse(line.as_bytes()), want, "{line:?}");
        }
    }
}
