//! The command lines of SMTP, as a server reads them.

use std::str;

/// A command whose form is right; whether it may come now, the session knows.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    Helo,
    Ehlo,
    StartTls,
    Auth { mechanism: &'a [u8], initial: Option<&'a [u8]> },
    Mail { sender: &'a [u8], parameters: Parameters<'a> },
    Rcpt { recipient: &'a [u8], parameters: Parameters<'a> },
    Data,
    Bdat { octets: u64, last: bool },
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandFault {
    Unknown,
    /// The verb is known, what follows is not what belongs to it.
    Form,
}

impl Command<'_> {
    /// Whether it has to be the last command of a group (RFC 2920 §3.1, RFC 3207 §4, RFC 4954 §4).
    pub fn ends_group(&self) -> bool {
        !matches!(
            self,
            Command::Mail { .. } | Command::Rcpt { .. } | Command::Bdat { .. } | Command::Rset
        )
    }
}

/// Reads one line, without its end.
pub fn parse(line: &[u8]) -> Result<Command<'_>, CommandFault> {
    let line = line.trim_ascii_end();
    let (verb, rest) = match memchr::memchr(b' ', line) {
        Some(at) => line.split_at(at),
        None => (line, &[][..]),
    };
    let rest = rest.trim_ascii_start();
    let mut upper = [0; 8];
    let Some(letters) = upper.get_mut(..verb.len()) else { return Err(CommandFault::Unknown) };
    letters.copy_from_slice(verb);
    letters.make_ascii_uppercase();
    match &*letters {
        b"MAIL" => parse_path(rest, b"FROM:")
            .map(|(sender, parameters)| Command::Mail { sender, parameters }),
        b"RCPT" => parse_path(rest, b"TO:")
            .filter(|(recipient, _)| !recipient.is_empty())
            .map(|(recipient, parameters)| Command::Rcpt { recipient, parameters }),
        b"DATA" => alone(rest, Command::Data),
        b"BDAT" => parse_bdat(rest),
        b"EHLO" => (!rest.is_empty()).then_some(Command::Ehlo),
        b"HELO" => (!rest.is_empty()).then_some(Command::Helo),
        b"STARTTLS" => alone(rest, Command::StartTls),
        b"AUTH" => parse_auth(rest),
        b"RSET" => alone(rest, Command::Rset),
        b"NOOP" => Some(Command::Noop),
        b"VRFY" => Some(Command::Vrfy),
        b"HELP" => Some(Command::Help),
        b"QUIT" => alone(rest, Command::Quit),
        _ => return Err(CommandFault::Unknown),
    }
    .ok_or(CommandFault::Form)
}

/// The parameters of MAIL or RCPT (RFC 5321 §4.1.2): keyword, and the value or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let words = self.0.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
        words.map(|word| match memchr::memchr(b'=', word) {
            Some(at) => {
                (word.get(..at).unwrap_or_default(), word.get(at + 1..).unwrap_or_default())
            }
            None => (word, &[][..]),
        })
    }
}

pub fn parse_number(digits: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(digits).ok()?;
    digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn alone<'a>(rest: &[u8], command: Command<'a>) -> Option<Command<'a>> {
    rest.is_empty().then_some(command)
}

/// `FROM:<path> parameters`, with the space some clients put before the path.
fn parse_path<'a>(rest: &'a [u8], word: &[u8]) -> Option<(&'a [u8], Parameters<'a>)> {
    let (begin, rest) = rest.split_at_checked(word.len())?;
    if !begin.eq_ignore_ascii_case(word) {
        return None;
    }
    let path = rest.trim_ascii_start().strip_prefix(b"<")?;
    let end = path_end(path)?;
    let (path, behind) = path.split_at_checked(end)?;
    let parameters = behind.strip_prefix(b">")?;
    if !matches!(parameters, [] | [b' ', ..]) {
        return None;
    }
    Some((without_route(path), Parameters(parameters)))
}

/// Where the path's closing bracket stands; brackets in a quoted local part do not close it.
fn path_end(path: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    path.iter().position(|&octet| {
        let ends = octet == b'>' && !quoted;
        quoted ^= octet == b'"' && !escaped;
        escaped = octet == b'\\' && quoted && !escaped;
        ends
    })
}

/// RFC 5321 §4.1.1.3: a source route is to be ignored.
fn without_route(path: &[u8]) -> &[u8] {
    if !path.starts_with(b"@") {
        return path;
    }
    memchr::memchr(b':', path).and_then(|at| path.get(at + 1..)).unwrap_or(path)
}

fn parse_bdat(rest: &[u8]) -> Option<Command<'static>> {
    let mut words = rest.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
    let octets = parse_number(words.next()?)?;
    let last = match words.next() {
        Some(word) if word.eq_ignore_ascii_case(b"LAST") => true,
        Some(_) => return None,
        None => false,
    };
    words.next().is_none().then_some(Command::Bdat { octets, last })
}

fn parse_auth(rest: &[u8]) -> Option<Command<'_>> {
    let mut words = rest.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
    let (mechanism, initial) = (words.next()?, words.next());
    words.next().is_none().then_some(Command::Auth { mechanism, initial })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(sender: &'static str, parameters: &'static str) -> Command<'static> {
        let (sender, parameters) = (sender.as_bytes(), Parameters(parameters.as_bytes()));
        Command::Mail { sender, parameters }
    }

    fn rcpt(recipient: &'static str) -> Command<'static> {
        Command::Rcpt { recipient: recipient.as_bytes(), parameters: Parameters(b"") }
    }

    #[test]
    fn commands_are_read() {
        let auth = |mechanism: &'static str, initial: Option<&'static str>| Command::Auth {
            mechanism: mechanism.as_bytes(),
            initial: initial.map(str::as_bytes),
        };
        for (line, want) in [
            ("EHLO a.example", Ok(Command::Ehlo)),
            ("helo a", Ok(Command::Helo)),
            ("MAIL FROM:<>", Ok(mail("", ""))),
            ("mail from:<a@b> SIZE=5 BODY=8BITMIME", Ok(mail("a@b", " SIZE=5 BODY=8BITMIME"))),
            ("MAIL FROM: <a@b>", Ok(mail("a@b", ""))),
            ("RCPT TO:<\"a>\\\" b\"@c>", Ok(rcpt("\"a>\\\" b\"@c"))),
            ("RCPT TO:<@x,@y:a@b>", Ok(rcpt("a@b"))),
            ("DATA ", Ok(Command::Data)),
            ("BDAT 10", Ok(Command::Bdat { octets: 10, last: false })),
            ("bdat 0 last", Ok(Command::Bdat { octets: 0, last: true })),
            ("AUTH PLAIN AGEAYg==", Ok(auth("PLAIN", Some("AGEAYg==")))),
            ("AUTH LOGIN", Ok(auth("LOGIN", None))),
            ("NOOP anything", Ok(Command::Noop)),
            ("starttls", Ok(Command::StartTls)),
            ("", Err(CommandFault::Unknown)),
            ("GET / HTTP/1.1", Err(CommandFault::Unknown)),
            ("STARTTLSES", Err(CommandFault::Unknown)),
            ("EHLO", Err(CommandFault::Form)),
            ("MAIL", Err(CommandFault::Form)),
            ("MAIL FROM:a@b", Err(CommandFault::Form)),
            ("MAIL FROM:<a@b", Err(CommandFault::Form)),
            ("MAIL FROM:<a@b>SIZE=1", Err(CommandFault::Form)),
            ("RCPT TO:<>", Err(CommandFault::Form)),
            ("DATA now", Err(CommandFault::Form)),
            ("BDAT -1", Err(CommandFault::Form)),
            ("BDAT 99999999999999999999", Err(CommandFault::Form)),
            ("BDAT 1 LAST 2", Err(CommandFault::Form)),
        ] {
            assert_eq!(parse(line.as_bytes()), want, "{line}");
        }
    }

    #[test]
    fn parameters_are_pairs() {
        let pairs: Vec<_> = Parameters(b" SIZE=5  SMTPUTF8 ENVID=a=b").iter().collect();
        let want: [(&[u8], &[u8]); 3] = [(b"SIZE", b"5"), (b"SMTPUTF8", b""), (b"ENVID", b"a=b")];
        assert_eq!(pairs, want);
    }
}
