//! A new password: typed twice, or read from standard input.

use std::io::{self, BufRead, Read};

use clap::Args;

use crate::{
    limits::PASSWORD_MAX,
    shell::{
        secrets::{self, HashError},
        terminal,
    },
};

/// Where a password comes from.
#[derive(Args)]
pub(super) struct Source {
    /// Read the password from the first line of standard input; else it is asked for.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PasswordError {
    #[error("the password is empty; write one")]
    Empty,
    #[error("the password has more than {PASSWORD_MAX} octets; take a shorter one")]
    Long,
    #[error("the password holds a NUL, which no login can send; leave it out")]
    Nul,
    #[error("the two passwords differ; try again")]
    Differ,
    #[error("standard input is no terminal to ask for a password on; use --password-stdin")]
    NoTerminal,
    #[error("the password cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl Source {
    /// The password's hash, in the PHC format.
    pub(super) fn hash(&self) -> Result<String, PasswordError> {
        let mut password = match self.password_stdin {
            true => read_line()?,
            false => ask_twice()?,
        };
        check(&password)?;
        let hash = secrets::hash(&password);
        secrets::wipe(&mut password);
        Ok(hash?)
    }
}

fn read_line() -> Result<Vec<u8>, PasswordError> {
    let mut line = Vec::new();
    io::stdin().lock().take(PASSWORD_MAX as u64 + 2).read_until(b'\n', &mut line)?;
    Ok(without_end(line))
}

fn ask_twice() -> Result<Vec<u8>, PasswordError> {
    let ask = |question| {
        let line = terminal::ask_hidden(question)?.ok_or(PasswordError::NoTerminal)?;
        Ok::<_, PasswordError>(without_end(line))
    };
    let password = ask("password: ")?;
    match ask("again: ")? == password {
        true => Ok(password),
        false => Err(PasswordError::Differ),
    }
}

fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    if line.ends_with(b"\n") {
        line.pop();
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    line
}

fn check(password: &[u8]) -> Result<(), PasswordError> {
    match password {
        [] => Err(PasswordError::Empty),
        _ if password.len() > PASSWORD_MAX => Err(PasswordError::Long),
        // RFC 4616 §2: PLAIN separates with it.
        _ if password.contains(&0) => Err(PasswordError::Nul),
        _ => Ok(()),
    }
}
