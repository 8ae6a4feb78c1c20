//! `ringload imap`.

use std::process::ExitCode;

/// Offers IMAP load to a server.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
