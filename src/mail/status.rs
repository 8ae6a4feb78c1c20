//! Enhanced status codes of RFC 3463: class, subject, detail.

use std::fmt;

/// `class.subject.detail`; the class is 2, 4 or 5.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Status {
    pub class: u8,
    pub subject: u16,
    pub detail: u16,
}

impl Status {
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// The status at the start of a reply's text, where its class agrees with the reply code
    /// (RFC 2034 §4); `X.0.0` of the code's class otherwise.
    pub fn of_reply(code: u16, text: &[u8]) -> Self {
        let class = match code / 100 {
            2 | 3 => 2,
            4 => 4,
            _ => 5,
        };
        Self::parse(text).filter(|status| status.class == class).unwrap_or(Self::new(class, 0, 0))
    }

    /// Parses `d.ddd.ddd` at the start of `text`, ended by a space or the end.
    fn parse(text: &[u8]) -> Option<Self> {
        let word = text.split(|&b| b == b' ').next()?;
        let mut parts = std::str::from_utf8(word).ok()?.split('.');
        let class = parts.next()?.parse().ok().filter(|c| matches!(c, 2 | 4 | 5))?;
        let number = |part: Option<&str>| -> Option<u16> {
            part.filter(|p| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))?
                .parse()
                .ok()
        };
        let (subject, detail) = (number(parts.next())?, number(parts.next())?);
        parts.next().is_none().then_some(Self { class, subject, detail })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn read_from_replies() {
        for (code, text, want) in [
            (250, "2.1.5 Ok", "2.1.5"),
            (250, "Ok", "2.0.0"),
            (550, "5.1.1 no such user", "5.1.1"),
            (450, "5.1.1 liar", "4.0.0"),
            (421, "4.3.2", "4.3.2"),
            (554, "5.7.1234 long", "5.0.0"),
            (554, "5.7", "5.0.0"),
            (354, "go ahead", "2.0.0"),
        ] {
            assert_eq!(Status::of_reply(code, text.as_bytes()).to_string(), want, "{code} {text}");
        }
    }
}
