//! What a sink says.

pub const GREETING: &[u8] = b"220 sink.ringload.invalid ESMTP\r\n";
pub const HELO: &[u8] = b"250 sink.ringload.invalid\r\n";
pub const OK: &[u8] = b"250 2.0.0 Ok\r\n";
pub const SENDER_OK: &[u8] = b"250 2.1.0 Ok\r\n";
pub const RECIPIENT_OK: &[u8] = b"250 2.1.5 Ok\r\n";
pub const TAKEN: &[u8] = b"250 2.0.0 Ok: taken and discarded\r\n";
pub const GO_AHEAD: &[u8] = b"354 End data with <CR><LF>.<CR><LF>\r\n";
pub const VRFY: &[u8] = b"252 2.1.5 Send some mail and see\r\n";
pub const HELP: &[u8] = b"214 2.0.0 This server takes mail and discards it\r\n";
pub const BYE: &[u8] = b"221 2.0.0 Bye\r\n";
pub const START_TLS: &[u8] = b"220 2.0.0 Ready to start TLS\r\n";
pub const AUTH_PLAIN: &[u8] = b"334 \r\n";
pub const AUTH_NAME: &[u8] = b"334 VXNlcm5hbWU6\r\n";
pub const AUTH_PASSWORD: &[u8] = b"334 UGFzc3dvcmQ6\r\n";
pub const AUTH_OK: &[u8] = b"235 2.7.0 Authenticated\r\n";
pub const AUTH_CANCELLED: &[u8] = b"501 5.7.0 Authentication cancelled\r\n";
pub const AUTH_UNKNOWN: &[u8] = b"504 5.5.4 Unknown mechanism; use PLAIN or LOGIN\r\n";
pub const TOO_MANY_CONNECTIONS: &[u8] = b"421 4.7.0 Too many connections, try later\r\n";
pub const TOO_MANY_MESSAGES: &[u8] = b"421 4.7.0 Enough messages for this connection\r\n";
pub const TOO_FAST: &[u8] = b"451 4.7.1 Too many messages, try later\r\n";
pub const GREYLISTED: &[u8] = b"451 4.7.1 Greylisted, try later\r\n";
pub const TOO_MANY_RECIPIENTS: &[u8] = b"452 4.5.3 Too many recipients\r\n";
pub const TOO_LARGE: &[u8] = b"552 5.3.4 Message too large\r\n";
pub const IDLE: &[u8] = b"421 4.4.2 Idle for too long\r\n";
pub const UNKNOWN: &[u8] = b"500 5.5.2 Unknown command\r\n";
pub const LINE_TOO_LONG: &[u8] = b"500 5.5.6 Line too long\r\n";
pub const WRONG_FORM: &[u8] = b"501 5.5.4 Wrong form\r\n";
pub const NOT_OFFERED: &[u8] = b"502 5.5.1 Not offered here\r\n";
pub const OUT_OF_SEQUENCE: &[u8] = b"503 5.5.1 Out of sequence\r\n";
pub const NO_RECIPIENTS: &[u8] = b"554 5.5.1 No valid recipients\r\n";
pub const WRONG_PARAMETER: &[u8] =
    b"555 5.5.4 A parameter that was not offered or has a wrong value\r\n";
