//! `ringload zone`.

use std::process::ExitCode;

/// Answers DNS queries for made-up zones.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
