//! `ringmail alias`: local addresses that stand for others.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;

use super::{From, directory};
use crate::{
    limits::ALIAS_TARGETS_MAX,
    mail::{Address, mailbox::AddressLine},
    shell::control::{Name, Request, line_to_json, parse_address},
};

#[derive(Subcommand)]
pub(super) enum Alias {
    /// Make an address of a local domain that stands for others.
    Add {
        /// The address; @example.org is every address of the domain that is no other.
        #[arg(value_parser = Name::parse_alias)]
        address: Name,
        /// Who gets its mail, here or elsewhere.
        #[arg(required = true, num_args = 1..=ALIAS_TARGETS_MAX, value_parser = parse_address)]
        targets: Vec<Address>,
        #[command(flatten)]
        from: From,
    },
    /// Delete an alias.
    Remove {
        #[arg(value_parser = Name::parse_alias)]
        address: Name,
        #[command(flatten)]
        from: From,
    },
    /// Show all aliases.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        from: From,
    },
}

pub(super) fn run(command: Alias) -> ExitCode {
    match command {
        Alias::Add { address: name, targets, from } => {
            directory::change(&from, &Request::AddAlias { name, targets })
        }
        Alias::Remove { address: name, from } => {
            directory::change(&from, &Request::RemoveAlias { name })
        }
        Alias::List { json, from } => {
            let mut out = io::stdout().lock();
            directory::perform(&from, &Request::ListAliases, &mut |line| match json {
                true => writeln!(out, "{}", line_to_json(&line)),
                false => writeln!(out, "{}", text(&line)),
            })
        }
    }
}

fn text(line: &AddressLine) -> String {
    let targets: Vec<_> = line.targets.iter().map(|t| String::from_utf8_lossy(t)).collect();
    format!("{:<40} {}", String::from_utf8_lossy(&line.key), targets.join(" "))
}
