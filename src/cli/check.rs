//! `ringmail check`: checks the configuration without running it.

use std::process::ExitCode;

use super::{From, say};

pub(super) fn run(from: &From) -> ExitCode {
    match from.load() {
        Ok(_) => {
            say(&format!("{}: ok", from.name()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
