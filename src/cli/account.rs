//! `ringmail account`: local users.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;

use super::{From, directory, password};
use crate::{
    config,
    mail::mailbox::AddressLine,
    shell::control::{Name, Request, line_to_json},
};

#[derive(Subcommand)]
pub(super) enum Account {
    /// Make an account of a local domain, which can log in and gets mail.
    Add {
        #[arg(value_parser = Name::parse)]
        address: Name,
        #[command(flatten)]
        password: password::Source,
        /// What its mail may sum up to: a size like 2GiB, "default" or "none".
        #[arg(long, value_name = "SIZE", default_value = "default", value_parser = parse_quota)]
        quota: Quota,
        #[command(flatten)]
        from: From,
    },
    /// Change an account's password.
    Passwd {
        #[arg(value_parser = Name::parse)]
        address: Name,
        #[command(flatten)]
        password: password::Source,
        #[command(flatten)]
        from: From,
    },
    /// Change what an account's mail may sum up to.
    Quota {
        #[arg(value_parser = Name::parse)]
        address: Name,
        /// A size like 2GiB, "default" for local.mailbox_quota, or "none".
        #[arg(value_name = "SIZE", value_parser = parse_quota)]
        quota: Quota,
        #[command(flatten)]
        from: From,
    },
    /// Delete an account with all its mail.
    Remove {
        #[arg(value_parser = Name::parse)]
        address: Name,
        #[command(flatten)]
        from: From,
    },
    /// Show all accounts.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        from: From,
    },
}

/// Octets; 0: no limit, `None`: what the configuration says.
#[derive(Clone, Copy)]
pub(super) struct Quota(Option<u64>);

pub(super) fn run(command: Account) -> ExitCode {
    match command {
        Account::Add { address: name, password, quota: Quota(quota), from } => {
            directory::with_password(&password, |password| {
                directory::change(&from, &Request::AddAccount { name, password, quota })
            })
        }
        Account::Passwd { address: name, password, from } => {
            directory::with_password(&password, |password| {
                directory::change(&from, &Request::SetPassword { name, password })
            })
        }
        Account::Quota { address: name, quota: Quota(quota), from } => {
            directory::change(&from, &Request::SetQuota { name, quota })
        }
        Account::Remove { address: name, from } => {
            directory::change(&from, &Request::RemoveAccount { name })
        }
        Account::List { json, from } => {
            let mut out = io::stdout().lock();
            directory::perform(&from, &Request::ListAccounts, &mut |line| match json {
                true => writeln!(out, "{}", line_to_json(&line)),
                false => writeln!(out, "{}", text(&line)),
            })
        }
    }
}

fn parse_quota(text: &str) -> Result<Quota, String> {
    match text {
        "default" => Ok(Quota(None)),
        "none" => Ok(Quota(Some(0))),
        size => config::parse_size(size)
            .map(|octets| Quota(Some(octets)))
            .ok_or_else(|| "expected a size like 512MiB or 2GiB, \"default\" or \"none\"".into()),
    }
}

fn text(line: &AddressLine) -> String {
    let address = String::from_utf8_lossy(&line.key);
    let (quota, octets, messages) = line.account.unwrap_or_default();
    let quota = match quota {
        None => "default".to_owned(),
        Some(0) => "none".to_owned(),
        Some(octets) => config::size_text(octets),
    };
    let used = rounded(octets);
    format!("{address:<40} {messages:>9} messages {used:>9} of {quota}")
}

/// A size for people: three digits and a unit.
fn rounded(octets: u64) -> String {
    let (mut size, mut unit) = (octets as f64, "B");
    for larger in ["KiB", "MiB", "GiB"] {
        if size >= 1000.0 {
            (size, unit) = (size / 1024.0, larger);
        }
    }
    let digits = usize::from(unit != "B" && size < 10.0);
    format!("{size:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (octets, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0KiB"),
            (1024, "1.0KiB"),
            (20 * 1024, "20KiB"),
            (2 << 30, "2.0GiB"),
            (u64::MAX, "17179869184GiB"),
        ] {
            assert_eq!(rounded(octets), text, "{octets}");
        }
    }

    #[test]
    fn quotas() {
        for (text, quota) in [
            ("default", Some(None)),
            ("none", Some(Some(0))),
            ("0", Some(Some(0))),
            ("2GiB", Some(Some(2 << 30))),
            ("2GB", None),
            ("99999999999GiB", None),
            ("", None),
        ] {
            assert_eq!(parse_quota(text).ok().map(|quota| quota.0), quota, "{text}");
        }
    }
}
