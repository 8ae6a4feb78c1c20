//! `ringload sink`.

use std::process::ExitCode;

/// Takes mail and discards it, with the behaviours asked for.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
