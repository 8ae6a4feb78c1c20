//! What the server says, with its response codes (RFC 2449 §8, RFC 3206).

use crate::mail::{Out, sasl::SaslError};

/// One reply line, without its CRLF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reply(&'static str);

pub(super) const OK: Reply = Reply("+OK");
pub(super) const CAPABILITIES: Reply = Reply("+OK This can be done here");
pub(super) const MECHANISMS: Reply = Reply("+OK These mechanisms are known");
pub(super) const UTF8: Reply = Reply("+OK Eight bits come as they are");
pub(super) const NAMED: Reply = Reply("+OK Now the password");
pub(super) const MARKED: Reply = Reply("+OK Goes at QUIT");
pub(super) const UNMARKED: Reply = Reply("+OK Nothing goes at QUIT");
pub(super) const TOP: Reply = Reply("+OK The top follows");
pub(super) const UNIQUE_IDS: Reply = Reply("+OK Unique ids follow");
pub(super) const BYE: Reply = Reply("+OK Bye");
pub(super) const REMOVED: Reply = Reply("+OK Removed what was marked; bye");

pub(super) const DRAINING: Reply = Reply("-ERR [SYS/TEMP] Shutting down; try again later");
pub(super) const TOO_MANY_ERRORS: Reply = Reply("-ERR Too many commands in vain; closing");
pub(super) const TOO_MANY_LOGINS: Reply =
    Reply("-ERR [AUTH] The name or the password is wrong, and this was the last try; closing");
pub(super) const WRONG_LOGIN: Reply = Reply("-ERR [AUTH] The name or the password is wrong");
pub(super) const NOT_IN_CLEAR: Reply =
    Reply("-ERR [AUTH] A password may not come in clear text from your address");
pub(super) const BUSY: Reply =
    Reply("-ERR [SYS/TEMP] Too many logins at this time; try again later");
pub(super) const STORE_FAILED: Reply = Reply("-ERR [SYS/TEMP] The store failed; try again later");
pub(super) const NOT_REMOVED: Reply =
    Reply("-ERR [SYS/TEMP] Some of what was marked may not be removed; the next login shows it");
pub(super) const DAMAGED: Reply =
    Reply("-ERR [SYS/PERM] The message is damaged on disk; ask whoever runs the server");
pub(super) const NO_MAILDROP: Reply =
    Reply("-ERR [SYS/PERM] This account has no INBOX; ask whoever runs the server");

pub(super) const UNKNOWN_COMMAND: Reply = Reply("-ERR Command not recognized; CAPA tells more");
pub(super) const LINE_TOO_LONG: Reply = Reply("-ERR Line too long");
pub(super) const NO_ARGUMENT: Reply = Reply("-ERR This command takes no argument");
pub(super) const SYNTAX_USER: Reply = Reply("-ERR Syntax: USER name");
pub(super) const SYNTAX_PASS: Reply = Reply("-ERR Syntax: PASS password");
pub(super) const SYNTAX_MESSAGE: Reply = Reply("-ERR A message is named by its number, from 1 on");
pub(super) const SYNTAX_TOP: Reply = Reply("-ERR Syntax: TOP message lines");
pub(super) const SYNTAX_AUTH: Reply = Reply("-ERR Syntax: AUTH mechanism [initial-response]");
pub(super) const NO_TLS: Reply = Reply("-ERR TLS is not offered here");
pub(super) const NO_APOP: Reply = Reply("-ERR APOP is not offered; take USER and PASS, or AUTH");
pub(super) const UNKNOWN_MECHANISM: Reply = Reply("-ERR This mechanism is not known; see CAPA");
const CANCELLED: Reply = Reply("-ERR The login was cancelled");
const NOT_BASE64: Reply = Reply("-ERR A response is sent in base64 (RFC 4648)");
const MALFORMED: Reply = Reply("-ERR The response is not what the mechanism asks for (RFC 4616)");
const NOT_ANOTHER: Reply =
    Reply("-ERR [AUTH] Nobody may act for another user; leave out the authorization identity");
pub(super) const USER_FIRST: Reply = Reply("-ERR Send USER first");
pub(super) const LOGIN_FIRST: Reply = Reply("-ERR Log in first");
pub(super) const LOGGED_IN_ALREADY: Reply = Reply("-ERR You are logged in already");
pub(super) const NO_SUCH_MESSAGE: Reply = Reply("-ERR There is no such message");
pub(super) const GONE: Reply = Reply("-ERR The message is gone; log in again for the new list");

impl Reply {
    pub(super) fn write(self, out: &mut Out) {
        out.text(self.0.as_bytes());
        out.text(b"\r\n");
    }
}

impl From<SaslError> for Reply {
    fn from(error: SaslError) -> Self {
        match error {
            SaslError::Cancelled => CANCELLED,
            SaslError::NotBase64 => NOT_BASE64,
            SaslError::Malformed => MALFORMED,
            SaslError::NotAnother => NOT_ANOTHER,
        }
    }
}
