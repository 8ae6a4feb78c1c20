//! What the commands on accounts and aliases have in common: a request is done, its end told.

use std::process::ExitCode;

use super::{From, password};
use crate::shell::control::{self, Request, Tell};

/// Goes on with the password's hash.
pub(super) fn with_password(
    source: &password::Source,
    go_on: impl FnOnce(String) -> ExitCode,
) -> ExitCode {
    match source.hash() {
        Ok(hash) => go_on(hash),
        Err(error) => fail(&error),
    }
}

pub(super) fn change(from: &From, request: &Request) -> ExitCode {
    // A change has no lines to tell.
    perform(from, request, &mut |_| Ok(()))
}

pub(super) fn perform(from: &From, request: &Request, tell: Tell) -> ExitCode {
    let config = match from.load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match control::perform(&config, request, tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("ringmail: {error}");
    ExitCode::FAILURE
}
