//! What a request does to the store: the same for a server that is asked and for a command alone.

use std::{collections::HashSet, io};

use super::request::{Name, Request};
use crate::{
    mail::{
        Address, Domain,
        mailbox::{Act, AddressLine, Ask, Directory, Done, Found, Refusal},
    },
    shell::lmdb,
    store::StoreError,
};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{address} is not local; write \"{domain}\" into local.domains and restart first")]
    NotLocal { address: String, domain: String },
    #[error("{0} is taken by an account or an alias; see `ringmail account list` and `alias list`")]
    Exists(String),
    #[error("there is no account {0}; see `ringmail account list`")]
    NoAccount(String),
    #[error("there is no alias {0}; see `ringmail alias list`")]
    NoAlias(String),
    #[error("{0}: {1}")]
    Refused(String, Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("another import is under way; wait for its end")]
    Busy,
    #[error("an import cannot be begun like this; is this the server's version?")]
    Import,
    #[error("the answer cannot be written: {0}")]
    Tell(#[from] io::Error),
}

/// Takes one line of a list.
pub type Tell<'a> = &'a mut dyn FnMut(AddressLine) -> io::Result<()>;

/// Does what is asked; when it returns, it is on stable storage. New names are of `local` domains.
pub fn execute(
    request: &Request,
    store: &lmdb::Handle,
    local: &HashSet<Domain>,
    tell: Tell,
) -> Result<(), Failure> {
    let change = |name: &Name, change| settle(name, store.act(Act::Directory(change))?);
    let octets = |text: &String| text.clone().into();
    match request {
        Request::AddAccount { name, password, quota } => {
            check_local(name, local)?;
            let (key, password) = (name.key().clone(), octets(password));
            change(name, Directory::AddAccount { key, password, quota: *quota })
        }
        Request::SetPassword { name, password } => {
            let (key, password) = (name.key().clone(), octets(password));
            change(name, Directory::SetPassword { key, password })
        }
        Request::SetQuota { name, quota } => {
            change(name, Directory::SetQuota { key: name.key().clone(), quota: *quota })
        }
        Request::RemoveAccount { name } => {
            change(name, Directory::RemoveAccount { key: name.key().clone() })
        }
        Request::AddAlias { name, targets } => {
            check_local(name, local)?;
            let targets = targets.iter().map(Address::as_bytes).cloned().collect();
            change(name, Directory::AddAlias { key: name.key().clone(), targets })
        }
        Request::RemoveAlias { name } => {
            change(name, Directory::RemoveAlias { key: name.key().clone() }).map_err(of_alias)
        }
        Request::ListAccounts => list(store, true, tell),
        Request::ListAliases => list(store, false, tell),
        // It is no single step.
        Request::Import { .. } => Err(Failure::Import),
    }
}

fn check_local(name: &Name, local: &HashSet<Domain>) -> Result<(), Failure> {
    if local.contains(name.domain()) {
        return Ok(());
    }
    let (address, domain) = (name.as_str().to_owned(), name.domain().to_string());
    Err(Failure::NotLocal { address, domain })
}

fn settle(name: &Name, done: Done) -> Result<(), Failure> {
    let name = || name.as_str().to_owned();
    match done {
        Done::Refused(Refusal::Exists) => Err(Failure::Exists(name())),
        Done::Refused(Refusal::NoAddress) => Err(Failure::NoAccount(name())),
        Done::Refused(refusal) => Err(Failure::Refused(name(), refusal)),
        _ => Ok(()),
    }
}

fn of_alias(failure: Failure) -> Failure {
    match failure {
        Failure::NoAccount(name) => Failure::NoAlias(name),
        other => other,
    }
}

/// Tells all accounts or all aliases, page by page.
fn list(store: &lmdb::Handle, accounts: bool, tell: Tell) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let Found::Accounts { lines, more } = store.ask(Ask::Accounts { after })? else {
            return Err(StoreError::Failed.into());
        };
        after = lines.last().map(|line| line.key.clone());
        let wanted = |line: &AddressLine| line.account.is_some() == accounts;
        lines.into_iter().filter(wanted).try_for_each(&mut *tell)?;
        if !more || after.is_none() {
            return Ok(());
        }
    }
}
