//! What the operator asks of accounts and aliases, and the answer: one line of JSON each.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::secrets;
use crate::{
    limits::{ALIAS_TARGETS_MAX, CONFIG_SIZE_MAX},
    mail::{
        Address, AddressError, Domain,
        mailbox::{Account, AddressLine},
    },
};

/// What can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// `password` is a hash in the PHC format.
    AddAccount {
        name: Name,
        password: String,
        quota: Option<u64>,
    },
    SetPassword {
        name: Name,
        password: String,
    },
    /// `None`: what the configuration says.
    SetQuota {
        name: Name,
        quota: Option<u64>,
    },
    RemoveAccount {
        name: Name,
    },
    ListAccounts,
    AddAlias {
        name: Name,
        targets: Vec<Address>,
    },
    RemoveAlias {
        name: Name,
    },
    ListAliases,
    /// What follows is mail for this account, in frames.
    Import {
        name: Name,
    },
}

/// A local address, or `@domain`: every address of the domain that is no other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    text: String,
    key: Bytes,
    domain: Domain,
}

/// One answer of several; the last one is `Done` or `Failed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Line(AddressLine),
    Done,
    Failed(String),
}

#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("{text} is no address: {error}")]
    Address { text: String, error: AddressError },
    #[error("{0} has no domain by name; an account is local-part@example.org")]
    Literal(String),
    #[error("an alias has 1 to {ALIAS_TARGETS_MAX} targets")]
    Targets,
    #[error("the request on the control socket is not understood; is this the server's version?")]
    Form,
}

impl Name {
    /// An account's address, or an alias's.
    pub fn parse(text: &str) -> Result<Name, RequestError> {
        let address = parse_address(text)?;
        let literal = || RequestError::Literal(text.to_owned());
        let key = Account::key(&address).ok_or_else(literal)?;
        let domain = address.domain().ok_or_else(literal)?;
        Ok(Name { text: text.to_owned(), key, domain })
    }

    /// An alias's address, or `@domain`.
    pub fn parse_alias(text: &str) -> Result<Name, RequestError> {
        let Some(domain) = text.strip_prefix('@') else { return Name::parse(text) };
        let wrong = |error| RequestError::Address { text: text.to_owned(), error };
        let domain = Domain::parse(domain).map_err(wrong)?;
        let name = domain.name().ok_or_else(|| RequestError::Literal(text.to_owned()))?;
        Ok(Name { text: text.to_owned(), key: format!("@{name}").into(), domain })
    }

    /// In the store.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

pub fn parse_address(text: &str) -> Result<Address, RequestError> {
    Address::parse(Bytes::copy_from_slice(text.as_bytes()))
        .map_err(|error| RequestError::Address { text: text.to_owned(), error })
}

impl Request {
    pub fn to_json(&self) -> Value {
        match self {
            Request::AddAccount { name, password, quota } => json!({
                "do": "add account", "address": name.text, "password": password, "quota": quota,
            }),
            Request::SetPassword { name, password } => json!({
                "do": "set password", "address": name.text, "password": password,
            }),
            Request::SetQuota { name, quota } => {
                json!({ "do": "set quota", "address": name.text, "quota": quota })
            }
            Request::RemoveAccount { name } => {
                json!({ "do": "remove account", "address": name.text })
            }
            Request::ListAccounts => json!({ "do": "list accounts" }),
            Request::AddAlias { name, targets } => {
                let targets: Vec<&str> = targets.iter().map(Address::as_str).collect();
                json!({ "do": "add alias", "address": name.text, "targets": targets })
            }
            Request::RemoveAlias { name } => json!({ "do": "remove alias", "address": name.text }),
            Request::ListAliases => json!({ "do": "list aliases" }),
            Request::Import { name } => json!({ "do": "import", "address": name.text }),
        }
    }

    pub fn of_json(line: &[u8]) -> Result<Request, RequestError> {
        let value: Value = serde_json::from_slice(line).map_err(|_| RequestError::Form)?;
        let text = |key| value[key].as_str().ok_or(RequestError::Form);
        let name = || Name::parse(text("address")?);
        let alias = || Name::parse_alias(text("address")?);
        let password = || {
            let hash = text("password")?;
            secrets::is_hash(hash).then(|| hash.to_owned()).ok_or(RequestError::Form)
        };
        let quota = || match &value["quota"] {
            Value::Null => Ok(None),
            number => number
                .as_u64()
                .filter(|octets| *octets <= CONFIG_SIZE_MAX)
                .map(Some)
                .ok_or(RequestError::Form),
        };
        Ok(match text("do")? {
            "add account" => {
                Request::AddAccount { name: name()?, password: password()?, quota: quota()? }
            }
            "set password" => Request::SetPassword { name: name()?, password: password()? },
            "set quota" => Request::SetQuota { name: name()?, quota: quota()? },
            "remove account" => Request::RemoveAccount { name: name()? },
            "list accounts" => Request::ListAccounts,
            "add alias" => {
                Request::AddAlias { name: alias()?, targets: read_targets(&value["targets"])? }
            }
            "remove alias" => Request::RemoveAlias { name: alias()? },
            "list aliases" => Request::ListAliases,
            "import" => Request::Import { name: name()? },
            _ => return Err(RequestError::Form),
        })
    }
}

fn read_targets(value: &Value) -> Result<Vec<Address>, RequestError> {
    let targets = value.as_array().ok_or(RequestError::Form)?;
    if !(1..=ALIAS_TARGETS_MAX).contains(&targets.len()) {
        return Err(RequestError::Targets);
    }
    let parse = |target: &Value| parse_address(target.as_str().ok_or(RequestError::Form)?);
    targets.iter().map(parse).collect()
}

impl Answer {
    pub fn to_json(&self) -> Value {
        match self {
            Answer::Line(line) => line_to_json(line),
            Answer::Done => json!({ "done": true }),
            Answer::Failed(sentence) => json!({ "error": sentence }),
        }
    }

    pub fn of_json(line: &[u8]) -> Option<Answer> {
        let value: Value = serde_json::from_slice(line).ok()?;
        if let Some(sentence) = value["error"].as_str() {
            return Some(Answer::Failed(sentence.to_owned()));
        }
        match value["done"].as_bool() {
            Some(true) => Some(Answer::Done),
            _ => line_of_json(&value).map(Answer::Line),
        }
    }
}

/// `quota` is `null` where the configuration's holds, and 0 where there is no limit.
pub fn line_to_json(line: &AddressLine) -> Value {
    let text = |octets: &Bytes| String::from_utf8_lossy(octets).into_owned();
    let address = text(&line.key);
    match line.account {
        Some((quota, octets, messages)) => {
            json!({ "address": address, "quota": quota, "octets": octets, "messages": messages })
        }
        None => {
            let targets: Vec<String> = line.targets.iter().map(text).collect();
            json!({ "address": address, "targets": targets })
        }
    }
}

fn line_of_json(value: &Value) -> Option<AddressLine> {
    let octets = |value: &Value| value.as_str().map(|text| Bytes::copy_from_slice(text.as_bytes()));
    let key = octets(&value["address"])?;
    match value["targets"].as_array() {
        Some(targets) => {
            let targets = targets.iter().map(octets).collect::<Option<_>>()?;
            Some(AddressLine { key, targets, account: None })
        }
        None => {
            let number = |name: &str| value[name].as_u64();
            let account = Some((number("quota"), number("octets")?, number("messages")?));
            Some(AddressLine { key, targets: Vec::new(), account })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA";

    #[test]
    fn requests_survive_the_socket() {
        let name = || Name::parse("Ann@Example.org").unwrap();
        let password = HASH.to_owned();
        let targets = vec![parse_address("b@x.example").unwrap(), name_address("c+d@y.example")];
        for request in [
            Request::AddAccount { name: name(), password: password.clone(), quota: None },
            Request::AddAccount { name: name(), password: password.clone(), quota: Some(0) },
            Request::SetPassword { name: name(), password },
            Request::SetQuota { name: name(), quota: Some(5 << 30) },
            Request::SetQuota { name: name(), quota: None },
            Request::RemoveAccount { name: name() },
            Request::ListAccounts,
            Request::AddAlias { name: name(), targets: targets.clone() },
            Request::AddAlias { name: Name::parse_alias("@x.example").unwrap(), targets },
            Request::RemoveAlias { name: name() },
            Request::ListAliases,
            Request::Import { name: name() },
        ] {
            let line = request.to_json().to_string();
            assert!(!line.contains('\n'));
            assert_eq!(Request::of_json(line.as_bytes()).ok(), Some(request), "{line}");
        }
    }

    fn name_address(text: &str) -> Address {
        parse_address(text).unwrap()
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let targets = vec!["a@x.example"; ALIAS_TARGETS_MAX + 1];
        let too_many = json!({ "do": "add alias", "address": "b@x.example", "targets": targets });
        for line in [
            "",
            "{}",
            "[]",
            "\"add account\"",
            r#"{"do":"dance"}"#,
            r#"{"do":"add account","address":"a@x.example"}"#,
            r#"{"do":"add account","address":"a@x.example","password":"secret"}"#,
            r#"{"do":"set quota","address":"a@x.example","quota":-1}"#,
            r#"{"do":"set quota","address":"a@x.example","quota":18446744073709551615}"#,
            r#"{"do":"remove account","address":"@x.example"}"#,
            r#"{"do":"remove account","address":"a@[192.0.2.1]"}"#,
            r#"{"do":"remove account","address":["a@x.example"]}"#,
            r#"{"do":"add alias","address":"a@x.example","targets":[]}"#,
            r#"{"do":"add alias","address":"a@x.example","targets":["b"]}"#,
            r#"{"do":"add alias","address":"@[192.0.2.1]","targets":["b@x.example"]}"#,
            &too_many.to_string(),
        ] {
            assert!(Request::of_json(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn answers_survive_the_socket() {
        let key = Bytes::from_static(b"ann@example.org");
        let account = |quota| AddressLine {
            key: key.clone(),
            targets: vec![],
            account: Some((quota, 12, 3)),
        };
        let targets = vec![Bytes::from_static(b"b@x.example")];
        for answer in [
            Answer::Line(account(None)),
            Answer::Line(account(Some(0))),
            Answer::Line(AddressLine { key: key.clone(), targets, account: None }),
            Answer::Done,
            Answer::Failed("it \"failed\"".into()),
        ] {
            let line = answer.to_json().to_string();
            assert_eq!(Answer::of_json(line.as_bytes()), Some(answer), "{line}");
        }
        for line in ["", "{}", "7", r#"{"address":"a@b"}"#, r#"{"address":"a@b","targets":[7]}"#] {
            assert_eq!(Answer::of_json(line.as_bytes()), None, "{line}");
        }
    }
}
