//! Who gets the mail for a local address: accounts, aliases, subaddresses, catch-alls.

use std::collections::HashSet;

use bytes::Bytes;

use super::{
    directory::address as look_up,
    key,
    record::{AccountRecord, AddressRecord},
    row::{Fault, Step, read},
};
use crate::{
    limits::{ALIAS_DEPTH_MAX, ALIAS_TARGETS_MAX},
    mail::{
        Address, Domain,
        mailbox::{Account, AccountId, Resolved},
    },
    store::{Reads, Table},
};

/// Finds everyone behind an address, aliases of aliases too: all of them, or nobody is answered.
/// A target of an alias that leads nowhere here is left out and told. `quota` is what holds for an
/// account without one, `size` what the message takes.
pub fn resolve<R: Reads>(
    reads: &R,
    address: &Address,
    domains: &HashSet<Domain>,
    (quota, size): (u64, u64),
    warn: &mut dyn FnMut(String),
) -> Step<Resolved, R::Error> {
    let mut search = Search {
        reads,
        quota,
        size,
        seen: HashSet::new(),
        to: Vec::new(),
        room: false,
        nowhere: None,
    };
    // A stack with the next one on top, so that addresses come out in the order of the lists.
    let mut next = vec![(address.clone(), 0)];
    let mut looked_at = 0;
    while let Some((target, depth)) = next.pop() {
        looked_at += 1;
        // The first is asked about because its domain is local.
        let local = depth == 0 || target.domain().is_some_and(|domain| domains.contains(&domain));
        let targets = match local {
            true => search.local(target)?,
            false => search.elsewhere(target),
        };
        // A part of them would be mail that is lost for the others, and nobody would be told.
        let too_deep = depth == ALIAS_DEPTH_MAX && !targets.is_empty();
        if too_deep || looked_at > LOOKED_AT_MAX || search.to.len() > ALIAS_TARGETS_MAX {
            return Err(Fault::Damaged(too_far(address)));
        }
        let targets = targets.into_iter().rev().filter_map(|text| Address::parse(text).ok());
        next.extend(targets.map(|target| (target, depth + 1)));
    }
    if let (false, Some(nowhere)) = (search.to.is_empty(), &search.nowhere) {
        let (alias, nowhere) = (address.as_str(), nowhere.as_str());
        warn(format!(
            "the alias {alias} leads to {nowhere} among others, which is nobody here and gets \
             nothing: give it an account, or take it out of the alias"
        ));
    }
    Ok(match search {
        Search { to, .. } if to.is_empty() => Resolved::Unknown,
        Search { room: false, .. } => Resolved::Full,
        Search { to, .. } => Resolved::To(to),
    })
}

/// Addresses that one question looks at, however aliases lead to each other.
const LOOKED_AT_MAX: usize = ALIAS_DEPTH_MAX * ALIAS_TARGETS_MAX;

struct Search<'a, R> {
    reads: &'a R,
    quota: u64,
    size: u64,
    seen: HashSet<Seen>,
    to: Vec<Address>,
    /// Someone can take the mail.
    room: bool,
    /// One that is nobody here.
    nowhere: Option<Address>,
}

/// Why an alias is not answered.
fn too_far(alias: &Address) -> String {
    format!(
        "the alias {} leads through more than {ALIAS_DEPTH_MAX} aliases or to more than \
         {ALIAS_TARGETS_MAX} addresses, and gets no mail: divide it, or name them in it",
        alias.as_str()
    )
}

/// What was found before: nobody gets the mail twice, and no alias is followed twice.
#[derive(PartialEq, Eq, Hash)]
enum Seen {
    Alias(Bytes),
    Account(AccountId),
    Elsewhere(Bytes),
}

impl<R: Reads> Search<'_, R> {
    /// Gives the targets of an alias; an account is put down.
    fn local(&mut self, address: Address) -> Step<Vec<Bytes>, R::Error> {
        let Some((key, record)) = nearest(self.reads, &address)? else {
            self.nowhere = Some(address);
            return Ok(Vec::new());
        };
        match record {
            AddressRecord::Alias { targets } => {
                Ok(if self.seen.insert(Seen::Alias(key)) { targets } else { Vec::new() })
            }
            AddressRecord::Account { id, .. } => {
                let account =
                    read::<AccountRecord, R>(self.reads, Table::Account, &key::account(id));
                if let Some(account) = account?
                    && self.seen.insert(Seen::Account(id))
                {
                    let limit = account.quota.unwrap_or(self.quota);
                    let then = account.octets.saturating_add(self.size);
                    self.room |= limit == 0 || account.octets < limit && then <= limit;
                    self.to.push(address);
                }
                Ok(Vec::new())
            }
        }
    }

    fn elsewhere(&mut self, address: Address) -> Vec<Bytes> {
        let key = Account::key(&address).unwrap_or_else(|| address.as_bytes().clone());
        if self.seen.insert(Seen::Elsewhere(key)) {
            self.room = true;
            self.to.push(address);
        }
        Vec::new()
    }
}

/// The record that is nearest to an address: its own, the one without `+detail`, the catch-all.
pub(super) fn nearest<R: Reads>(
    reads: &R,
    address: &Address,
) -> Step<Option<(Bytes, AddressRecord)>, R::Error> {
    let Some(key) = Account::key(address) else { return Ok(None) };
    if let Some(record) = look_up(reads, &key)? {
        return Ok(Some((key, record)));
    }
    let Some(at) = key.iter().rposition(|octet| *octet == b'@') else { return Ok(None) };
    let plus = key[..at].iter().position(|octet| *octet == b'+').filter(|plus| *plus > 0);
    if let Some(plus) = plus {
        let base = Bytes::from([&key[..plus], &key[at..]].concat());
        if let Some(record) = look_up(reads, &base)? {
            return Ok(Some((base, record)));
        }
    }
    let catch_all = key.slice(at..);
    Ok(look_up(reads, &catch_all)?.map(|record| (catch_all, record)))
}
