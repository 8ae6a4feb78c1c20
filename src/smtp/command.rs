//! Parses a command line, once, at the door; what it keeps of the line it copies.
//!
//! An address of some 30 octets that sliced the read buffer would keep a whole `COMMAND_ROOM`
//! alive for as long as its parcel is in memory; copying it costs less than that memory.
//! A refused line's error is the reply itself: there is nothing else to do with it.

use bytes::Bytes;
use memchr::memchr;

use super::reply::{self, Reply};
use crate::{
    limits::{DOMAIN_MAX, ENVID_MAX, ORCPT_MAX, PATH_MAX},
    mail::{Address, BodyType, Domain, Envelope, Notify, Recipient, Ret},
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    Hello { name: Bytes, extended: bool },
    Mail(Mail),
    Rcpt(Rcpt),
    Data,
    Bdat { size: u64, last: bool },
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    pub envelope: Envelope,
    pub size: Option<u64>,
    /// Any parameter was given.
    pub extended: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rcpt {
    pub recipient: Recipient,
    /// Any parameter was given.
    pub extended: bool,
}

/// The command's name for the log; `UNKNOWN` where it is none of ours.
pub fn verb(line: &[u8]) -> &'static str {
    const VERBS: [&str; 12] = [
        "EHLO", "HELO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "VRFY", "HELP", "QUIT",
        "AUTH",
    ];
    let word = line.get(..4).unwrap_or_default();
    VERBS.into_iter().find(|v| v.as_bytes().eq_ignore_ascii_case(word)).unwrap_or("UNKNOWN")
}

/// A web client speaks: a page in somebody's browser may have been made to send mail.
pub fn is_http(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 7] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"PATCH "];
    METHODS.iter().any(|method| {
        line.get(..method.len()).is_some_and(|word| word.eq_ignore_ascii_case(method))
    })
}

/// Parses a line without its CRLF.
pub fn parse(line: &[u8]) -> Result<Command, Reply> {
    if memchr(0, line).is_some() {
        return Err(reply::NUL);
    }
    // RFC 5321 §4.1.1: trailing white space is tolerated.
    let line = line.trim_ascii_end();
    let Some((word, rest)) = line.split_first_chunk::<4>() else {
        return Err(reply::UNKNOWN_COMMAND);
    };
    let ends = rest.first().is_none_or(|b| *b == b' ');
    let argument = rest.trim_ascii_start();
    match &word.map(|b| b.to_ascii_uppercase()) {
        b"MAIL" if ends => parse_mail(argument).map(Command::Mail),
        b"RCPT" if ends => parse_rcpt(argument).map(Command::Rcpt),
        b"DATA" if ends => alone(argument, Command::Data),
        b"BDAT" if ends => parse_bdat(argument),
        b"EHLO" if ends => parse_hello(argument, true),
        b"HELO" if ends => parse_hello(argument, false),
        b"RSET" if ends => alone(argument, Command::Rset),
        b"QUIT" if ends => alone(argument, Command::Quit),
        b"NOOP" if ends => Ok(Command::Noop),
        b"HELP" if ends => Ok(Command::Help),
        b"VRFY" if ends && argument.is_empty() => Err(reply::SYNTAX_VRFY),
        b"VRFY" if ends => Ok(Command::Vrfy),
        b"EXPN" | b"ETRN" | b"TURN" | b"AUTH" | b"SEND" | b"SOML" | b"SAML" if ends => {
            Err(reply::NOT_IMPLEMENTED)
        }
        b"STAR" if rest.eq_ignore_ascii_case(b"TTLS") => Err(reply::NOT_IMPLEMENTED),
        _ => Err(reply::UNKNOWN_COMMAND),
    }
}

fn alone(argument: &[u8], command: Command) -> Result<Command, Reply> {
    if argument.is_empty() { Ok(command) } else { Err(reply::NO_ARGUMENT) }
}

/// RFC 5321 §4.1.4: a name that does not check is no reason to refuse mail, so any word does.
fn parse_hello(argument: &[u8], extended: bool) -> Result<Command, Reply> {
    let name = argument.split(|b| *b == b' ').next().unwrap_or_default();
    if name.is_empty() || name.len() > DOMAIN_MAX {
        return Err(reply::SYNTAX_HELLO);
    }
    Ok(Command::Hello { name: Bytes::copy_from_slice(name), extended })
}

/// RFC 3030 §2.
fn parse_bdat(argument: &[u8]) -> Result<Command, Reply> {
    let mut words = argument.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let size = words.next().and_then(number).ok_or(reply::SYNTAX_BDAT)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"LAST") => true,
        Some(_) => return Err(reply::SYNTAX_BDAT),
    };
    if words.next().is_some() {
        return Err(reply::SYNTAX_BDAT);
    }
    Ok(Command::Bdat { size, last })
}

fn parse_mail(argument: &[u8]) -> Result<Mail, Reply> {
    let (path, parameters) = split_path(argument, b"FROM:").ok_or(reply::SYNTAX_MAIL)?;
    let mut envelope = Envelope {
        // RFC 5321 §4.5.5: the null reverse-path.
        reverse_path: match path {
            b"" => None,
            path => Some(parse_path(path, false).ok_or(reply::BAD_SENDER)?),
        },
        ..Envelope::default()
    };
    let (mut size, mut body, mut extended) = (None, None, false);
    for parameter in parameters_of(parameters) {
        let (key, value) = parameter;
        extended = true;
        if key.eq_ignore_ascii_case(b"SIZE") {
            once(&mut size, value.and_then(number), reply::BAD_SIZE)?;
        } else if key.eq_ignore_ascii_case(b"BODY") {
            once(&mut body, value.and_then(body_type), reply::BAD_BODY)?;
        } else if key.eq_ignore_ascii_case(b"SMTPUTF8") {
            if value.is_some() {
                return Err(reply::BAD_SMTPUTF8);
            }
            if std::mem::replace(&mut envelope.smtputf8, true) {
                return Err(reply::DUPLICATE_PARAMETER);
            }
        } else if key.eq_ignore_ascii_case(b"RET") {
            once(&mut envelope.ret, value.and_then(ret), reply::BAD_RET)?;
        } else if key.eq_ignore_ascii_case(b"ENVID") {
            let value = value.filter(|v| v.len() <= ENVID_MAX && is_xtext(v));
            once(&mut envelope.envid, value.map(Bytes::copy_from_slice), reply::BAD_ENVID)?;
        } else {
            return Err(reply::UNKNOWN_PARAMETER);
        }
    }
    envelope.body_type = body.unwrap_or_default();
    // RFC 6531 §3.5.
    if !envelope.smtputf8 && envelope.reverse_path.as_ref().is_some_and(Address::needs_smtputf8) {
        return Err(reply::NEEDS_SMTPUTF8);
    }
    Ok(Mail { envelope, size, extended })
}

fn parse_rcpt(argument: &[u8]) -> Result<Rcpt, Reply> {
    let (path, parameters) = split_path(argument, b"TO:").ok_or(reply::SYNTAX_RCPT)?;
    let address = parse_path(path, true).ok_or(reply::BAD_RECIPIENT)?;
    let (mut notify, mut orcpt, mut extended) = (None, None, false);
    for (key, value) in parameters_of(parameters) {
        extended = true;
        if key.eq_ignore_ascii_case(b"NOTIFY") {
            once(&mut notify, value.and_then(notify_of), reply::BAD_NOTIFY)?;
        } else if key.eq_ignore_ascii_case(b"ORCPT") {
            let value = value.filter(|v| is_orcpt(v));
            once(&mut orcpt, value.map(Bytes::copy_from_slice), reply::BAD_ORCPT)?;
        } else {
            return Err(reply::UNKNOWN_PARAMETER);
        }
    }
    let notify = notify.unwrap_or_default();
    Ok(Rcpt { recipient: Recipient { address, notify, orcpt }, extended })
}

/// Cuts `FROM:<path> parameters` into the path without its brackets and the parameters.
fn split_path<'a>(argument: &'a [u8], keyword: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (found, rest) = argument.split_at_checked(keyword.len())?;
    if !found.eq_ignore_ascii_case(keyword) {
        return None;
    }
    // RFC 5321 §3.3 allows no space behind the colon, many a device sends one, and it means
    // nothing else.
    let rest = rest.trim_ascii_start().strip_prefix(b"<")?;
    let end = path_end(rest)?;
    let parameters = &rest[end + 1..];
    (parameters.first().is_none_or(|b| *b == b' ')).then_some((&rest[..end], parameters))
}

/// The index of the closing bracket; one inside a quoted string is part of it.
fn path_end(text: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn parse_path(path: &[u8], bare_postmaster: bool) -> Option<Address> {
    if path.len() + 2 > PATH_MAX {
        return None;
    }
    let mailbox = Bytes::copy_from_slice(without_route(path)?);
    if bare_postmaster && memchr(b'@', &mailbox).is_none() {
        return Address::postmaster(mailbox);
    }
    Address::parse(mailbox).ok()
}

/// RFC 5321 §4.1.1.3 and appendix C: a source route is read over, so that it leads nowhere but
/// to the mailbox at its end.
fn without_route(path: &[u8]) -> Option<&[u8]> {
    if path.first() != Some(&b'@') {
        return Some(path);
    }
    // The colon behind the route; those of an address literal lie inside its brackets.
    let mut literal = false;
    let colon = path.iter().position(|b| match b {
        b'[' | b']' => {
            literal = *b == b'[';
            false
        }
        b => *b == b':' && !literal,
    })?;
    let route = std::str::from_utf8(&path[..colon]).ok()?;
    let hosts_are_good =
        route.split(',').all(|hop| hop.strip_prefix('@').is_some_and(|h| Domain::parse(h).is_ok()));
    hosts_are_good.then_some(&path[colon + 1..])
}

fn parameters_of(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    text.split(|b| *b == b' ').filter(|word| !word.is_empty()).map(|word| {
        match memchr(b'=', word) {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        }
    })
}

/// Sets `slot` to a value that parsed; a second one is refused.
fn once<T>(slot: &mut Option<T>, value: Option<T>, bad: Reply) -> Result<(), Reply> {
    let value = value.ok_or(bad)?;
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(reply::DUPLICATE_PARAMETER),
    }
}

/// RFC 1870 §5: up to 20 digits; what overflows is too big for anybody.
fn number(text: &[u8]) -> Option<u64> {
    if !(1..=20).contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0'))))
}

fn body_type(text: &[u8]) -> Option<BodyType> {
    match text {
        text if text.eq_ignore_ascii_case(b"7BIT") => Some(BodyType::SevenBit),
        text if text.eq_ignore_ascii_case(b"8BITMIME") => Some(BodyType::EightBitMime),
        _ => None,
    }
}

fn ret(text: &[u8]) -> Option<Ret> {
    match text {
        text if text.eq_ignore_ascii_case(b"FULL") => Some(Ret::Full),
        text if text.eq_ignore_ascii_case(b"HDRS") => Some(Ret::Headers),
        _ => None,
    }
}

/// RFC 3461 §4.1: NEVER stands alone.
fn notify_of(text: &[u8]) -> Option<Notify> {
    if text.eq_ignore_ascii_case(b"NEVER") {
        return Some(Notify::NEVER);
    }
    text.split(|b| *b == b',').try_fold(Notify::default(), |all, word| {
        let one = match word {
            word if word.eq_ignore_ascii_case(b"SUCCESS") => Notify::SUCCESS,
            word if word.eq_ignore_ascii_case(b"FAILURE") => Notify::FAILURE,
            word if word.eq_ignore_ascii_case(b"DELAY") => Notify::DELAY,
            _ => return None,
        };
        Some(all.union(one))
    })
}

/// RFC 3461 §4.2 `addr-type ";" xtext`; of RFC 6533 §3's type `utf-8` also in UTF-8 itself.
fn is_orcpt(text: &[u8]) -> bool {
    let Some(at) = memchr(b';', text).filter(|_| text.len() <= ORCPT_MAX) else {
        return false;
    };
    let (kind, address) = (&text[..at], &text[at + 1..]);
    let kind_is_good =
        !kind.is_empty() && kind.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b));
    let address_is_good = if kind.eq_ignore_ascii_case(b"utf-8") && !address.is_ascii() {
        std::str::from_utf8(address).is_ok_and(|a| !a.contains(char::is_control))
            && address.iter().all(|b| *b > 32)
    } else {
        is_xtext(address)
    };
    kind_is_good && !address.is_empty() && address_is_good
}

/// RFC 3461 §4 `xtext`. An escape may only hide a printable character: a CR or LF would come
/// out in the header of a report.
fn is_xtext(text: &[u8]) -> bool {
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        rest = match (byte, behind) {
            (b'+', [high, low, behind @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) if (32..=126).contains(&(high << 4 | low)) => behind,
                _ => return false,
            },
            (b'+' | b'=', _) => return false,
            (33..=126, _) => behind,
            _ => return false,
        };
    }
    !text.is_empty()
}

/// Upper case only, as the grammar wants it.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(line: &str) -> Result<Mail, Reply> {
        match parse(line.as_bytes()) {
            Ok(Command::Mail(mail)) => Ok(mail),
            Ok(other) => panic!("{line}: {other:?}"),
            Err(reply) => Err(reply),
        }
    }

    fn rcpt(line: &str) -> Result<Recipient, Reply> {
        match parse(line.as_bytes()) {
            Ok(Command::Rcpt(rcpt)) => Ok(rcpt.recipient),
            Ok(other) => panic!("{line}: {other:?}"),
            Err(reply) => Err(reply),
        }
    }

    #[test]
    fn plain_commands() {
        for (line, want) in [
            ("DATA", Ok(Command::Data)),
            ("data  ", Ok(Command::Data)),
            ("DATA x", Err(reply::NO_ARGUMENT)),
            ("RSET", Ok(Command::Rset)),
            ("QUIT now", Err(reply::NO_ARGUMENT)),
            ("NOOP what ever", Ok(Command::Noop)),
            ("VRFY", Err(reply::SYNTAX_VRFY)),
            ("VRFY a", Ok(Command::Vrfy)),
            ("HELP MAIL", Ok(Command::Help)),
            ("BDAT 10", Ok(Command::Bdat { size: 10, last: false })),
            ("bdat 0 last", Ok(Command::Bdat { size: 0, last: true })),
            ("BDAT 99999999999999999999", Ok(Command::Bdat { size: u64::MAX, last: false })),
            ("BDAT", Err(reply::SYNTAX_BDAT)),
            ("BDAT -1", Err(reply::SYNTAX_BDAT)),
            ("BDAT +1", Err(reply::SYNTAX_BDAT)),
            ("BDAT 1 LATE", Err(reply::SYNTAX_BDAT)),
            ("BDAT 1 LAST 2", Err(reply::SYNTAX_BDAT)),
            ("EHLO", Err(reply::SYNTAX_HELLO)),
            ("AUTH PLAIN AGEAYg==", Err(reply::NOT_IMPLEMENTED)),
            ("StartTLS", Err(reply::NOT_IMPLEMENTED)),
            ("STARTTLSX", Err(reply::UNKNOWN_COMMAND)),
            ("EXPN list", Err(reply::NOT_IMPLEMENTED)),
            ("DATAX", Err(reply::UNKNOWN_COMMAND)),
            ("", Err(reply::UNKNOWN_COMMAND)),
            ("NOOP\0", Err(reply::NUL)),
        ] {
            assert_eq!(parse(line.as_bytes()), want, "{line}");
        }
    }

    #[test]
    fn mail_with_every_parameter() {
        let got =
            mail("mail from:<A@b.example> size=1000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb")
                .unwrap();
        assert_eq!(got.size, Some(1000));
        assert_eq!(
            got.envelope,
            Envelope {
                reverse_path: Address::parse("A@b.example".into()).ok(),
                body_type: BodyType::EightBitMime,
                smtputf8: true,
                ret: Some(Ret::Headers),
                envid: Some("a+2Bb".into()),
            }
        );
    }

    #[test]
    fn mail_paths() {
        let long_path = format!("MAIL FROM:<a@{}b.example>", "b.".repeat(125));
        for (line, want) in [
            ("MAIL FROM:<>", Ok("")),
            ("MAIL FROM: <a@b>", Ok("a@b")),
            ("MAIL FROM:<@x.example,@[IPv6:::1]:a@b>", Ok("a@b")),
            ("MAIL FROM:<\"a>b\"@c>", Ok("\"a>b\"@c")),
            ("MAIL FROM:<\"a\\\">b\"@c>", Ok("\"a\\\">b\"@c")),
            ("MAIL FROM:<@x..example:a@b>", Err(reply::BAD_SENDER)),
            ("MAIL FROM:<@x.example>", Err(reply::BAD_SENDER)),
            ("MAIL FROM:<postmaster>", Err(reply::BAD_SENDER)),
            ("MAIL FROM:<a@b", Err(reply::SYNTAX_MAIL)),
            ("MAIL FROM:a@b", Err(reply::SYNTAX_MAIL)),
            ("MAIL FROM <a@b>", Err(reply::SYNTAX_MAIL)),
            ("MAIL FROM:<a@b>SIZE=1", Err(reply::SYNTAX_MAIL)),
            ("MAIL", Err(reply::SYNTAX_MAIL)),
            ("MAIL FROM:<jörg@b>", Err(reply::NEEDS_SMTPUTF8)),
            ("MAIL FROM:<jörg@b> SMTPUTF8", Ok("jörg@b")),
            (&long_path, Err(reply::BAD_SENDER)),
        ] {
            let path = mail(line)
                .map(|m| m.envelope.reverse_path.map(|a| a.to_string()).unwrap_or_default());
            assert_eq!(path.as_deref(), want.as_ref().map(|s| *s), "{line}");
        }
    }

    #[test]
    fn mail_parameters_refused() {
        let long = format!("ENVID={}", "x".repeat(101));
        for (parameters, want) in [
            ("SIZE", reply::BAD_SIZE),
            ("SIZE=", reply::BAD_SIZE),
            ("SIZE=1x", reply::BAD_SIZE),
            ("SIZE=123456789012345678901", reply::BAD_SIZE),
            ("SIZE=1 size=1", reply::DUPLICATE_PARAMETER),
            ("BODY=BINARYMIME", reply::BAD_BODY),
            ("SMTPUTF8=yes", reply::BAD_SMTPUTF8),
            ("SMTPUTF8 SMTPUTF8", reply::DUPLICATE_PARAMETER),
            ("RET=ALL", reply::BAD_RET),
            ("ENVID=", reply::BAD_ENVID),
            ("ENVID=a+0D+0Ab", reply::BAD_ENVID),
            ("ENVID=a+2b", reply::BAD_ENVID),
            ("ENVID=a=b", reply::BAD_ENVID),
            (&long, reply::BAD_ENVID),
            ("AUTH=<>", reply::UNKNOWN_PARAMETER),
            ("NOTIFY=NEVER", reply::UNKNOWN_PARAMETER),
            ("=x", reply::UNKNOWN_PARAMETER),
        ] {
            assert_eq!(mail(&format!("MAIL FROM:<a@b> {parameters}")), Err(want), "{parameters}");
        }
    }

    #[test]
    fn recipients() {
        let all = Notify::SUCCESS.union(Notify::FAILURE).union(Notify::DELAY);
        for (line, notify, orcpt) in [
            ("RCPT TO:<a@b>", Notify::default(), None),
            ("RCPT TO:<Postmaster>", Notify::default(), None),
            ("RCPT TO:<a@b> NOTIFY=NEVER", Notify::NEVER, None),
            ("RCPT TO:<a@b> notify=success,FAILURE,delay", all, None),
            (
                "RCPT TO:<a@b> ORCPT=rfc822;c+2Bd@e NOTIFY=DELAY",
                Notify::DELAY,
                Some("rfc822;c+2Bd@e"),
            ),
            ("RCPT TO:<a@b> ORCPT=utf-8;jörg@e", Notify::default(), Some("utf-8;jörg@e")),
        ] {
            let got = rcpt(line).unwrap_or_else(|e| panic!("{line}: {e:?}"));
            assert_eq!((got.notify, got.orcpt), (notify, orcpt.map(Bytes::from)), "{line}");
        }
        for (line, want) in [
            ("RCPT TO:<>", reply::BAD_RECIPIENT),
            ("RCPT TO:<nobody>", reply::BAD_RECIPIENT),
            ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", reply::BAD_NOTIFY),
            ("RCPT TO:<a@b> NOTIFY=", reply::BAD_NOTIFY),
            ("RCPT TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", reply::DUPLICATE_PARAMETER),
            ("RCPT TO:<a@b> ORCPT=a@b", reply::BAD_ORCPT),
            ("RCPT TO:<a@b> ORCPT=;a@b", reply::BAD_ORCPT),
            ("RCPT TO:<a@b> ORCPT=rfc822;", reply::BAD_ORCPT),
            ("RCPT TO:<a@b> ORCPT=rfc822;jörg@e", reply::BAD_ORCPT),
            ("RCPT TO:<a@b> SIZE=1", reply::UNKNOWN_PARAMETER),
        ] {
            assert_eq!(rcpt(line), Err(want), "{line}");
        }
    }
}
