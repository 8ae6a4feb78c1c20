//! `ringload source`.

use std::process::ExitCode;

/// Offers SMTP load to a server.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
