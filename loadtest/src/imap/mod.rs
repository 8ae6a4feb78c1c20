//! `ringload imap`.

use std::process::ExitCode;

mod account;
mod command;
mod mailbox;
mod message;
mod random;
mod reply;
mod session;
mod work;

/// Offers IMAP load to a server.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
