//! `ringmail export` and `ringmail import`: mailboxes to and from mbox and Maildir.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use super::{From, say};
use crate::{
    config::Config,
    mail::mailbox::MailboxName,
    shell::{
        backup::{self, Wanted},
        control::{Name, with_inlet},
        exchange::{self, Format},
        lmdb::Source,
    },
};

#[derive(Args)]
pub(super) struct Export {
    #[command(flatten)]
    what: What,
    /// Take it out of the backup in this folder instead of the store.
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    /// Where it goes; nothing may be there yet. A directory, but for one mailbox as mbox: a file.
    path: PathBuf,
    #[command(flatten)]
    from: From,
}

#[derive(Args)]
pub(super) struct Import {
    #[command(flatten)]
    what: What,
    /// A Maildir, an mbox file, or a directory of files whose names end with .mbox.
    path: PathBuf,
    #[command(flatten)]
    from: From,
}

#[derive(Args)]
struct What {
    /// Whose mail it is.
    #[arg(long, value_name = "ADDRESS", value_parser = Name::parse)]
    account: Name,
    /// One mailbox; without it, all of them, by their names.
    #[arg(long, value_name = "NAME", value_parser = MailboxName::parse)]
    mailbox: Option<MailboxName>,
    #[arg(long, value_enum)]
    format: Written,
}

#[derive(Clone, Copy, ValueEnum)]
enum Written {
    Maildir,
    Mbox,
}

pub(super) fn export(command: &Export) -> ExitCode {
    run(&command.from, |config| {
        let What { account, mailbox, format } = &command.what;
        let wanted = Wanted { key: account.key().clone(), mailbox: mailbox.clone() };
        let source = match &command.backup {
            Some(dir) => backup::account(dir, &wanted, &scratch(&command.path))?,
            None => Source::open(&config.data_dir, &config.store)?,
        };
        let to = (format.as_format(), &*command.path);
        let exported = exchange::export(&source, &wanted, to, &mut warn)?;
        let path = command.path.display();
        say(&format!("{path}: {} messages of {} mailboxes", exported.messages, exported.mailboxes));
        if exported.damaged > 0 {
            return Err(format!(
                "{} messages could not be read and were left out",
                exported.damaged
            )
            .into());
        }
        Ok(())
    })
}

pub(super) fn import(command: Import) -> ExitCode {
    let Import { what: What { account, mailbox, format }, path, from } = command;
    run(&from, |config| {
        let text = account.as_str().to_owned();
        let imported = with_inlet(config, account, &mut |inlet| {
            exchange::import((format.as_format(), &path), mailbox.as_ref(), inlet, &mut warn)
        })??;
        say(&format!("{text}: {} messages in {} mailboxes", imported.messages, imported.mailboxes));
        Ok(())
    })
}

fn run(from: &From, go_on: impl FnOnce(&Config) -> Result<(), Box<dyn Error>>) -> ExitCode {
    let config = match from.load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match go_on(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmail: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A place beside `path` for what is needed meanwhile.
fn scratch(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

fn warn(sentence: String) {
    eprintln!("ringmail: {sentence}");
}

impl Written {
    fn as_format(self) -> Format {
        match self {
            Written::Maildir => Format::Maildir,
            Written::Mbox => Format::Mbox,
        }
    }
}
