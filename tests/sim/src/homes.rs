//! The accounts and aliases of a plan, and who gets what by the oracle's own reading of them.

use std::collections::BTreeSet;

use crate::{
    mail::mailbox::{Act, Directory},
    random::Random,
    store::Change,
};

/// Their domain.
pub const LOCAL: &str = "local.example";

/// A local user.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its address.
    pub key: String,
    pub password: String,
    /// Octets.
    pub quota: Option<u64>,
}

/// An alias, or a catch-all (`@domain`).
#[derive(Clone, Debug)]
pub struct Alias {
    pub key: String,
    pub targets: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Homes {
    pub accounts: Vec<Account>,
    pub aliases: Vec<Alias>,
}

/// Octets of an account whose quota is soon met.
const SMALL: u64 = 24_000;

impl Homes {
    pub fn of(random: &mut Random) -> Homes {
        if random.below(4) == 0 {
            return Homes::default();
        }
        let users = &["ann", "bob", "cy"][..1 + random.below(3) as usize];
        let accounts = users.iter().map(|user| Account {
            key: at_home(user),
            password: format!("{user}'s secret"),
            quota: (random.below(4) == 0).then_some(SMALL),
        });
        let accounts: Vec<Account> = accounts.collect();
        let mut last = || at_home(users[random.below(users.len() as u32) as usize]);
        let mut aliases = vec![
            alias("team", &[&at_home("ann"), &last(), &last(), "TEAM@local.example"]),
            alias("abroad", &["away-now@d0.example", &last(), "away-now@d0.example"]),
            alias("round", &[&at_home("about")]),
            alias("about", &[&at_home("round"), &at_home("team"), &at_home("ann+loop")]),
            alias("nowhere", &[&at_home("nowhere")]),
        ];
        if random.below(3) == 0 {
            aliases.push(Alias { key: format!("@{LOCAL}"), targets: vec![at_home("ann")] });
        }
        Homes { accounts, aliases }
    }

    /// What the operator's commands write before the first start.
    pub fn founding(&self) -> Vec<Change> {
        let text = |text: &str| bytes::Bytes::copy_from_slice(text.as_bytes());
        let accounts = self.accounts.iter().map(|account| Directory::AddAccount {
            key: text(&account.key),
            password: text(&hash_of(&account.password)),
            quota: account.quota,
        });
        let aliases = self.aliases.iter().map(|alias| Directory::AddAlias {
            key: text(&alias.key),
            targets: alias.targets.iter().map(|target| text(target)).collect(),
        });
        let acts = accounts.chain(aliases).map(Act::Directory);
        acts.map(|act| Change::Mailbox(Box::new(act))).collect()
    }

    /// A local address that somebody may write to, known or not.
    pub fn address(&self, random: &mut Random) -> String {
        const NAMES: [&str; 10] =
            ["ann", "ann", "bob", "cy", "ann+list", "bob+x+y", "team", "abroad", "round", "nobody"];
        match random.below(12) {
            0 => at_home("nowhere"),
            1 => at_home("about"),
            place => at_home(NAMES[place as usize - 2]),
        }
    }

    /// The account behind an address: its own, that without its detail, or none.
    pub fn account_of(&self, address: &str) -> Option<&Account> {
        let name = address.to_lowercase();
        let whole = self.accounts.iter().find(|account| account.key == name);
        if whole.is_some() || self.aliases.iter().any(|alias| alias.key == name) {
            return whole;
        }
        let (local, domain) = name.split_once('@')?;
        let base = format!("{}@{domain}", local.split('+').next().unwrap_or_default());
        self.accounts.iter().find(|account| account.key == base)
    }

    /// Everyone who gets the mail for an address: accounts, and addresses elsewhere. Empty: there
    /// is nobody.
    pub fn behind(&self, address: &str) -> BTreeSet<String> {
        let mut behind = BTreeSet::new();
        self.follow(address, &mut BTreeSet::new(), &mut behind);
        behind
    }

    fn follow(&self, address: &str, seen: &mut BTreeSet<String>, behind: &mut BTreeSet<String>) {
        let name = address.to_lowercase();
        if !name.ends_with(&format!("@{LOCAL}")) {
            behind.insert(address.to_owned());
            return;
        }
        if let Some(account) = self.account_of(&name) {
            behind.insert(account.key.clone());
            return;
        }
        let named = |key: &str| self.aliases.iter().find(|alias| alias.key == key);
        let Some(alias) = named(&name).or_else(|| named(&format!("@{LOCAL}"))) else { return };
        if seen.insert(alias.key.clone()) {
            alias.targets.iter().for_each(|target| self.follow(target, seen, behind));
        }
    }

    /// The one who gets the mail for an address that an envelope on disk has.
    pub fn end_of(&self, address: &str) -> String {
        match self.account_of(address) {
            Some(account) if is_local(address) => account.key.clone(),
            _ => address.to_owned(),
        }
    }
}

pub fn is_local(address: &str) -> bool {
    address.to_lowercase().ends_with(&format!("@{LOCAL}"))
}

/// What the store keeps of a password here.
pub fn hash_of(password: &str) -> String {
    format!("$sim${password}")
}

fn at_home(user: &str) -> String {
    format!("{user}@{LOCAL}")
}

fn alias(name: &str, targets: &[&str]) -> Alias {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    Alias { key: at_home(name), targets }
}
