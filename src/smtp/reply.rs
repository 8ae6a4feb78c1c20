//! What the server says: each reply a constant with its RFC 3463 status.

use bytes::{BufMut, Bytes, BytesMut};

/// One reply line, without its CRLF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply(&'static str);

pub const OK: Reply = Reply("250 2.0.0 Ok");
pub const SENDER_OK: Reply = Reply("250 2.1.0 Ok");
pub const RECIPIENT_OK: Reply = Reply("250 2.1.5 Ok");
pub const CHUNK_OK: Reply = Reply("250 2.0.0 Chunk taken");
pub const BYE: Reply = Reply("221 2.0.0 Bye");
pub const HELP: Reply =
    Reply("214 2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 5321");
// RFC 5321 §7.3: a server that does not verify says so.
pub const CANNOT_VERIFY: Reply = Reply("252 2.5.2 Cannot verify; send mail and see");
pub const START_MAIL: Reply = Reply("354 End data with <CR><LF>.<CR><LF>");

// RFC 5321 §3.8: 421 is the one reply that may come unasked.
pub const DRAINING: Reply = Reply("421 4.3.2 Shutting down; try again later");
pub const TIMED_OUT: Reply = Reply("421 4.4.2 Timed out waiting for you; closing");
pub const TOO_MANY_ERRORS: Reply = Reply("421 4.7.0 Too many errors; closing");
pub const TOO_MANY_COMMANDS: Reply = Reply("421 4.7.0 Too many commands without mail; closing");
pub const TOO_MANY_CONNECTIONS: Reply = Reply("421 4.3.2 Too many connections; try again later");
pub const TOO_MANY_FROM_CLIENT: Reply =
    Reply("421 4.7.0 Too many connections from your address; try again later");

pub const STORE_FAILED: Reply = Reply("451 4.3.0 The store failed; try again later");
pub const STORE_FULL: Reply = Reply("452 4.3.1 Insufficient storage; try again later");
// RFC 5321 §4.5.3.1.10: 452, and the client sends the rest in another transaction.
pub const TOO_MANY_RECIPIENTS: Reply =
    Reply("452 4.5.3 Too many recipients; send the rest separately");

pub const NO_ROUTING: Reply =
    Reply("550 5.7.1 Relaying denied: routing in the local part (@, % or !) is not for strangers");

pub const UNKNOWN_COMMAND: Reply = Reply("500 5.5.1 Command not recognized; try HELP");
pub const BARE_NEWLINE: Reply = Reply("500 5.5.2 Only CRLF ends a line; closing");
pub const NOT_HTTP: Reply = Reply("500 5.5.1 This is SMTP, not HTTP; closing");
pub const NUL: Reply = Reply("500 5.5.2 A command holds no NUL");
pub const LINE_TOO_LONG: Reply = Reply("500 5.5.6 Command line too long");
pub const SYNTAX_HELLO: Reply = Reply("501 5.5.4 Syntax: EHLO or HELO, then your host name");
pub const SYNTAX_MAIL: Reply = Reply("501 5.5.4 Syntax: MAIL FROM:<address> [parameters]");
pub const SYNTAX_RCPT: Reply = Reply("501 5.5.4 Syntax: RCPT TO:<address> [parameters]");
pub const SYNTAX_BDAT: Reply = Reply("501 5.5.4 Syntax: BDAT size [LAST]; closing");
pub const SYNTAX_VRFY: Reply = Reply("501 5.5.4 Syntax: VRFY address");
pub const NO_ARGUMENT: Reply = Reply("501 5.5.4 This command takes no argument");
pub const BAD_SENDER: Reply = Reply("501 5.1.7 Bad sender address syntax");
pub const BAD_RECIPIENT: Reply = Reply("501 5.1.3 Bad recipient address syntax");
pub const DUPLICATE_PARAMETER: Reply = Reply("501 5.5.4 A parameter is given twice");
pub const BAD_SIZE: Reply = Reply("501 5.5.4 SIZE takes a number of octets");
pub const BAD_BODY: Reply = Reply("501 5.5.4 BODY takes 7BIT or 8BITMIME");
pub const BAD_SMTPUTF8: Reply = Reply("501 5.5.4 SMTPUTF8 takes no value");
pub const BAD_RET: Reply = Reply("501 5.5.4 RET takes FULL or HDRS");
pub const BAD_ENVID: Reply = Reply("501 5.5.4 ENVID takes up to 100 characters of xtext");
pub const BAD_NOTIFY: Reply =
    Reply("501 5.5.4 NOTIFY takes NEVER, or a list of SUCCESS, FAILURE, DELAY");
pub const BAD_ORCPT: Reply =
    Reply("501 5.5.4 ORCPT takes address-type;xtext of up to 500 characters");
pub const NOT_IMPLEMENTED: Reply = Reply("502 5.5.1 Command not offered");
pub const HELLO_FIRST: Reply = Reply("503 5.5.1 Send EHLO or HELO first");
pub const MAIL_FIRST: Reply = Reply("503 5.5.1 Send MAIL first");
pub const MAIL_ALREADY: Reply = Reply("503 5.5.1 A transaction is open; RSET ends it");
pub const CHUNKS_OPEN: Reply = Reply("503 5.5.1 BDAT has begun; end it with LAST or RSET");
pub const AUTHENTICATION_REQUIRED: Reply = Reply("530 5.7.0 Authentication required");
pub const NO_SUCH_MAILBOX: Reply = Reply("550 5.1.1 No such mailbox here");
pub const BARE_NEWLINE_IN_BODY: Reply = Reply("550 5.6.0 bare CR/LF not allowed");
pub const RELAYING_DENIED: Reply = Reply("550 5.7.1 Relaying denied");
pub const TOO_BIG: Reply = Reply("552 5.3.4 Message exceeds the size limit");
pub const MAILBOX_FULL: Reply = Reply("552 5.2.2 Mailbox full");
pub const NEEDS_SMTPUTF8: Reply = Reply("553 5.6.7 A UTF-8 address needs SMTPUTF8");
pub const LOOP: Reply = Reply("554 5.4.6 Too many hops; this message is in a loop");
pub const NO_RECIPIENTS: Reply = Reply("554 5.5.1 No valid recipients");
pub const UNKNOWN_PARAMETER: Reply = Reply("555 5.5.4 Parameter not recognized");
pub const NOT_EXTENDED: Reply = Reply("555 5.5.4 Parameters need EHLO instead of HELO");

impl Reply {
    /// With its code, without its CRLF.
    pub const fn text(self) -> &'static str {
        self.0
    }

    /// A 5xx: the client is at fault.
    pub fn is_permanent(self) -> bool {
        self.0.starts_with('5')
    }

    pub fn to_bytes(self) -> Bytes {
        Bytes::from_static(self.0.as_bytes())
    }

    pub fn write(self, out: &mut BytesMut) {
        out.reserve(self.0.len() + 2);
        out.put_slice(self.0.as_bytes());
        out.put_slice(b"\r\n");
    }
}
