//! The accounts that sessions log in to.

use thiserror::Error;

/// Accounts of one run.
const ACCOUNTS_MAX: usize = 1_000_000;

/// A user and a password that a quoted string can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub user: String,
    pub password: String,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum AccountError {
    #[error("there is no account: give at least one by --accounts or --accounts-file")]
    None,
    #[error("there are more than {ACCOUNTS_MAX} accounts: split the run")]
    Many,
    #[error(
        "line {0} of the accounts is not `user password`: write both, with one space between them"
    )]
    Line(usize),
    #[error(
        "user or password of {0:?} has a letter that is not printable ASCII: choose other test \
         accounts"
    )]
    Letters(String),
    #[error("the pattern {0:?} gives all accounts the same user: write %d where the number goes")]
    Pattern(String),
}

/// The accounts 1 to `count`, `%d` standing for the number.
pub fn numbered(count: usize, pattern: &str, password: &str) -> Result<Vec<Account>, AccountError> {
    if count > 1 && !pattern.contains("%d") {
        return Err(AccountError::Pattern(pattern.to_owned()));
    }
    if count > ACCOUNTS_MAX {
        return Err(AccountError::Many);
    }
    let users = (1..=count).map(|number| pattern.replace("%d", &number.to_string()));
    checked(users.map(|user| Account { user, password: password.to_owned() }).collect())
}

/// Lines of `user password`; empty ones, and those that begin with `#`, are passed over.
pub fn listed(text: &str) -> Result<Vec<Account>, AccountError> {
    let mut accounts = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, password) = line.split_once(' ').ok_or(AccountError::Line(index + 1))?;
        if user.is_empty() || password.is_empty() {
            return Err(AccountError::Line(index + 1));
        }
        accounts.push(Account { user: user.to_owned(), password: password.to_owned() });
    }
    checked(accounts)
}

fn checked(accounts: Vec<Account>) -> Result<Vec<Account>, AccountError> {
    let fits = |text: &str| text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    match accounts.iter().find(|account| !fits(&account.user) || !fits(&account.password)) {
        Some(account) => Err(AccountError::Letters(account.user.clone())),
        None if accounts.is_empty() => Err(AccountError::None),
        None if accounts.len() > ACCOUNTS_MAX => Err(AccountError::Many),
        None => Ok(accounts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(accounts: Result<Vec<Account>, AccountError>) -> Result<String, AccountError> {
        Ok(accounts?
            .iter()
            .map(|account| format!("{}:{}", account.user, account.password))
            .collect::<Vec<_>>()
            .join(" "))
    }

    #[test]
    fn accounts_are_numbered_or_listed() {
        let table = [
            (numbered(2, "u%d@a", "p"), Ok("u1@a:p u2@a:p".to_owned())),
            (numbered(1, "u", "p"), Ok("u:p".to_owned())),
            (numbered(0, "u%d", "p"), Err(AccountError::None)),
            (numbered(2, "u", "p"), Err(AccountError::Pattern("u".into()))),
            (numbered(1, "ü", "p"), Err(AccountError::Letters("ü".into()))),
            (listed("# mine\n\na b\nc d e\n"), Ok("a:b c:d e".to_owned())),
            (listed("a b\nc\n"), Err(AccountError::Line(2))),
            (listed("a \n"), Err(AccountError::Line(1))),
            (listed("\n"), Err(AccountError::None)),
            (listed("a p\u{7}\n"), Err(AccountError::Letters("a".into()))),
        ];
        for (accounts, wanted) in table {
            assert_eq!(users(accounts), wanted);
        }
    }
}
