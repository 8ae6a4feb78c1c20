//! The envelope: what MAIL and RCPT said, with the parameters that travel with it.

use bytes::Bytes;

use super::Address;

/// What MAIL said (RFC 5321 §4.1.1.2). Recipients are held beside it, as they part ways.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Envelope {
    /// `None` is the null reverse-path `<>`: nothing is ever reported to it.
    pub reverse_path: Option<Address>,
    pub body_type: BodyType,
    /// RFC 6531: the client declared UTF-8 in addresses or headers.
    pub smtputf8: bool,
    /// RFC 3461 §4.3; `None`: the client did not say.
    pub ret: Option<Ret>,
    /// RFC 3461 §4.4, in xtext as received.
    pub envid: Option<Bytes>,
}

/// BODY= of RFC 6152.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BodyType {
    #[default]
    SevenBit,
    EightBitMime,
}

/// RET= of RFC 3461 §4.3: what a report returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ret {
    Full,
    Headers,
}

/// One RCPT (RFC 5321 §4.1.1.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipient {
    pub address: Address,
    pub notify: Notify,
    /// RFC 3461 §4.2, `addr-type;xtext` as received.
    pub orcpt: Option<Bytes>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub fn plain(address: Address) -> Self {
        Self { address, notify: Notify::default(), orcpt: None }
    }
}

/// NOTIFY= of RFC 3461 §4.1 as a set. Not said means failure, and delay where we please.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Notify(u8);

impl Notify {
    pub const NEVER: Notify = Notify(1);
    pub const SUCCESS: Notify = Notify(2);
    pub const FAILURE: Notify = Notify(4);
    pub const DELAY: Notify = Notify(8);

    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 15)
    }

    pub const fn bits(self) -> u8 {
        self.0
    }

    pub const fn union(self, other: Notify) -> Self {
        Self(self.0 | other.0)
    }

    /// The client gave a NOTIFY parameter.
    pub const fn is_said(self) -> bool {
        self.0 != 0
    }

    pub const fn on_success(self) -> bool {
        self.0 & Self::SUCCESS.0 != 0
    }

    pub const fn on_failure(self) -> bool {
        self.0 == 0 || self.0 & Self::FAILURE.0 != 0
    }

    pub const fn on_delay(self) -> bool {
        self.0 == 0 || self.0 & Self::DELAY.0 != 0
    }
}
