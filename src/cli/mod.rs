//! The command line: one file a command; 0 is done, 1 failed, 2 a wrong command line.

mod account;
mod alias;
mod backup;
mod check;
mod directory;
mod exchange;
mod password;
mod serve;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, Machine};

/// Runs the command that the process was started with. A wrong command line ends it with 2.
pub fn run() -> ExitCode {
    match CommandLine::parse().command {
        Command::Serve(from) => serve::run(&from),
        Command::Check(from) => check::run(&from),
        Command::Account(command) => account::run(command),
        Command::Alias(command) => alias::run(command),
        Command::Backup(command) => backup::backup(&command),
        Command::Verify(command) => backup::verify(&command),
        Command::Restore(command) => backup::restore(&command),
        Command::Export(command) => exchange::export(&command),
        Command::Import(command) => exchange::import(command),
    }
}

/// A durable mail relay on io_uring.
#[derive(Parser)]
#[command(name = "ringmail", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay until SIGTERM.
    Serve(From),
    /// Check the configuration, and say all that is wrong with it.
    Check(From),
    /// Make, change, remove and list accounts.
    #[command(subcommand)]
    Account(account::Account),
    /// Make, remove and list aliases.
    #[command(subcommand)]
    Alias(alias::Alias),
    /// Copy queue, mailboxes and accounts into a folder, while the relay serves or not.
    Backup(backup::Backup),
    /// Check every octet of a backup.
    Verify(backup::Verify),
    /// Fill an empty data_dir with a backup.
    Restore(backup::Restore),
    /// Write an account's mail as Maildir or mbox, from the store or a backup.
    Export(exchange::Export),
    /// Put mail of a Maildir or mbox into an account.
    Import(exchange::Import),
}

/// Where the configuration comes from.
#[derive(Args)]
struct From {
    /// The configuration; without it, the built-in defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("cannot read the configuration {file}: {error}; name another with --config")]
    Read { file: String, error: io::Error },
    #[error(transparent)]
    Wrong(#[from] config::Error),
}

impl From {
    fn load(&self) -> Result<Config, LoadError> {
        let file = self.name();
        let text = match &self.config {
            Some(path) => fs::read_to_string(path)
                .map_err(|error| LoadError::Read { file: file.clone(), error })?,
            None => String::new(),
        };
        Ok(Config::parse(&text, &file, &machine())?)
    }

    fn name(&self) -> String {
        let name = |path: &Path| path.display().to_string();
        self.config.as_deref().map_or_else(|| "built-in defaults".to_owned(), name)
    }
}

fn machine() -> Machine {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    Machine {
        hostname: read("/proc/sys/kernel/hostname").trim_end().to_owned(),
        // Without the file, resolv.conf(5) has a default of its own.
        resolv_conf: read("/etc/resolv.conf"),
    }
}

/// Tells a result. What was done is done, whether or not it can be told.
fn say(line: &str) {
    let mut out = io::stdout();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        eprintln!("ringmail: done, but that cannot be written to the standard output: {error}");
    }
}
