//! `ringmail serve`: runs the relay.

use std::process::ExitCode;

use super::From;
use crate::shell;

pub(super) fn run(from: &From) -> ExitCode {
    let config = match from.load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match shell::serve(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmail: {error}");
            ExitCode::FAILURE
        }
    }
}
