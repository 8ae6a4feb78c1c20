//! `ringload compare`.

use std::process::ExitCode;

/// Runs servers in turn against the same source and sink.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
