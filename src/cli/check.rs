//! `ringmail check`: checks the configuration without running it.

use std::process::ExitCode;

use super::From;

pub(super) fn run(from: &From) -> ExitCode {
    match from.load() {
        Ok(_) => {
            println!("{}: ok", from.name());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
