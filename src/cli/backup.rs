//! `ringmail backup`, `verify` and `restore`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{From, say};
use crate::{
    config::Config,
    shell::backup::{self, BackupError},
    store::backup::End,
};

#[derive(Args)]
pub(super) struct Backup {
    /// The folder of the backup; a second run into it copies only what is new.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    from: From,
}

/// It needs no configuration, and takes one as all commands do.
#[derive(Args)]
pub(super) struct Verify {
    /// The folder of the backup.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    from: From,
}

#[derive(Args)]
pub(super) struct Restore {
    /// The folder of the backup.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    from: From,
}

pub(super) fn backup(command: &Backup) -> ExitCode {
    run(&command.from, |config| {
        let made = backup::make(config, &command.dir, &mut warn)?;
        say(&format!(
            "{}: {}; new: {} with {} octets",
            command.dir.display(),
            text(&made.end),
            made.new,
            made.new_octets
        ));
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn verify(command: &Verify) -> ExitCode {
    run(&command.from, |_| {
        let verified = backup::verify(&command.dir, &mut warn)?;
        let dir = command.dir.display();
        if verified.faults > 0 {
            eprintln!(
                "ringmail: the backup in {dir} is no good: {} faults; make a new one in another \
                 folder",
                verified.faults
            );
            return Ok(ExitCode::FAILURE);
        }
        say(&format!("{dir}: ok, {} in files of {} octets", text(&verified.end), verified.octets));
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn restore(command: &Restore) -> ExitCode {
    run(&command.from, |config| {
        let restored = backup::restore(config, &command.dir)?;
        say(&format!("{}: restored, {}", config.data_dir.display(), text(&restored.end)));
        Ok(ExitCode::SUCCESS)
    })
}

fn run(from: &From, go_on: impl FnOnce(&Config) -> Result<ExitCode, BackupError>) -> ExitCode {
    let config = match from.load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    go_on(&config).unwrap_or_else(|error| {
        eprintln!("ringmail: {error}");
        ExitCode::FAILURE
    })
}

fn warn(sentence: String) {
    eprintln!("ringmail: {sentence}");
}

fn text(end: &End) -> String {
    let End { contents, bodies, octets, .. } = end;
    format!("{contents} messages in mailboxes and {bodies} in the queue, {octets} octets")
}
