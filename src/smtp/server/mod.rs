//! The server's session: octets in, replies and effects out.

pub mod policy;
