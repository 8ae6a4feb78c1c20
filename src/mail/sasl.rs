//! SASL as IMAP and POP3 speak it (RFC 4422): PLAIN (RFC 4616) and LOGIN.

use bytes::Bytes;
use data_encoding::BASE64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    Plain,
    /// A name and a password, each asked for: never a standard, but some clients know no other.
    Login,
}

/// What the client's next line answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exchange {
    Plain,
    Name,
    Password { user: Bytes },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SaslError {
    #[error("the login was cancelled")]
    Cancelled,
    #[error("a response is sent in base64 (RFC 4648)")]
    NotBase64,
    #[error("the response is not what the mechanism asks for (RFC 4616)")]
    Malformed,
    #[error("nobody may act for another user; leave out the authorization identity")]
    NotAnother,
}

/// What comes of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answered {
    Ask(Exchange),
    Credentials { user: Bytes, password: Bytes },
}

impl Mechanism {
    pub const ALL: [(Mechanism, &str); 2] =
        [(Mechanism::Plain, "PLAIN"), (Mechanism::Login, "LOGIN")];

    pub fn parse(name: &[u8]) -> Option<Self> {
        let named = |(_, known): &&(Mechanism, &str)| known.as_bytes().eq_ignore_ascii_case(name);
        Self::ALL.iter().find(named).map(|(mechanism, _)| *mechanism)
    }

    pub fn begin(self) -> Exchange {
        match self {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Login => Exchange::Name,
        }
    }
}

impl Exchange {
    /// The line that asks for the answer.
    pub fn challenge(&self) -> &'static [u8] {
        match self {
            Exchange::Plain => b"+ \r\n",
            // `Username:` and `Password:`, which the clients that speak LOGIN look for.
            Exchange::Name => b"+ VXNlcm5hbWU6\r\n",
            Exchange::Password { .. } => b"+ UGFzc3dvcmQ6\r\n",
        }
    }

    /// Takes a line of the client.
    pub fn answer(self, line: &[u8]) -> Result<Answered, SaslError> {
        if line == b"*" {
            return Err(SaslError::Cancelled);
        }
        self.take(BASE64.decode(line).map_err(|_| SaslError::NotBase64)?.into())
    }

    /// Takes an answer out of its base64.
    pub fn take(self, octets: Bytes) -> Result<Answered, SaslError> {
        match self {
            Exchange::Plain => plain(&octets),
            Exchange::Name => Ok(Answered::Ask(Exchange::Password { user: octets })),
            Exchange::Password { user } => Ok(Answered::Credentials { user, password: octets }),
        }
    }

    /// Takes the initial response, where `=` is an empty one (RFC 5034 §4, RFC 4959 §3).
    pub fn answer_initial(self, initial: &[u8]) -> Result<Answered, SaslError> {
        self.answer(if initial == b"=" { b"" } else { initial })
    }
}

/// RFC 4616 §2: `[authzid] NUL authcid NUL passwd`.
fn plain(octets: &Bytes) -> Result<Answered, SaslError> {
    let mut fields = octets.split(|octet| *octet == 0).map(|field| octets.slice_ref(field));
    let (Some(other), Some(user), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(SaslError::Malformed);
    };
    if !other.is_empty() && other != user {
        return Err(SaslError::NotAnother);
    }
    Ok(Answered::Credentials { user, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let credentials = |user: &'static str, password: &'static str| {
            Ok(Answered::Credentials { user: user.into(), password: password.into() })
        };
        let asked = |user: &'static str| {
            Ok(Answered::Ask(Exchange::Password { user: Bytes::from_static(user.as_bytes()) }))
        };
        let password = Exchange::Password { user: "u".into() };
        for (exchange, text, want) in [
            (Exchange::Plain, "\0u@d\0p w", credentials("u@d", "p w")),
            (Exchange::Plain, "u\0u\0p", credentials("u", "p")),
            (Exchange::Plain, "a\0u\0p", Err(SaslError::NotAnother)),
            (Exchange::Plain, "u\0p", Err(SaslError::Malformed)),
            (Exchange::Plain, "\0u\0p\0", Err(SaslError::Malformed)),
            (Exchange::Plain, "", Err(SaslError::Malformed)),
            (Exchange::Name, "u", asked("u")),
            (password.clone(), "p", credentials("u", "p")),
        ] {
            let line = BASE64.encode(text.as_bytes());
            assert_eq!(exchange.answer(line.as_bytes()), want, "{text:?}");
        }
        assert_eq!(Exchange::Plain.answer(b"*"), Err(SaslError::Cancelled));
        assert_eq!(Exchange::Plain.answer(b"AA="), Err(SaslError::NotBase64));
        assert_eq!(Exchange::Name.answer_initial(b"="), asked(""));
        assert_eq!(Exchange::Name.answer(b"="), Err(SaslError::NotBase64));
    }
}
