//! `ringload report`.

use std::process::ExitCode;

/// Renders what compare wrote, as a page, a table and plots.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
