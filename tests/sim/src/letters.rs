//! The mail of a run: who writes to whom, how long, and with which wishes about reports.

use crate::{
    client::Draft,
    homes::LOCAL,
    mail::Notify,
    oracle::{Oracle, Submission},
    plan::{Kind, Plan},
    random::Random,
};

/// What a message is made of, whatever its token.
#[derive(Clone, Debug)]
pub struct Shape {
    /// `None`: the null reverse-path.
    pub sender: Option<String>,
    /// Domain or whole address, mark, and what RCPT says of reports.
    pub recipients: Vec<(String, &'static str, Notify)>,
    pub octets: usize,
    pub ends_within_a_line: bool,
    pub envid: bool,
    pub full: Option<bool>,
    pub smtputf8: bool,
}

impl Shape {
    pub fn of(plan: &Plan, stranger: bool, random: &mut Random) -> Shape {
        let mut domain = || match random.below(3) {
            0 => plan.domains[0].name.clone(),
            _ => plan.domains[random.below(plan.domains.len() as u32) as usize].name.clone(),
        };
        let deliverable: Vec<&str> = plan
            .domains
            .iter()
            .filter(|domain| matches!(domain.kind, Kind::Mx | Kind::Implicit | Kind::Routed))
            .map(|domain| domain.name.as_str())
            .collect();
        let domains: Vec<String> = (0..12).map(|_| domain()).collect();
        let sender = match random.below(12) {
            0 => None,
            1 => Some(domains[11].clone()),
            2 if !plan.homes.accounts.is_empty() => Some(plan.homes.accounts[0].key.clone()),
            3 => Some(format!("nobody@{LOCAL}")),
            _ => Some(deliverable[random.below(deliverable.len() as u32) as usize].to_owned()),
        };
        let count = [1, 1, 1, 2, 3, 11][random.below(6) as usize];
        let mut recipients: Vec<_> =
            (0..count).map(|at| recipient(&domains[at], stranger, random)).collect();
        // Those of ours have whole addresses.
        if !plan.homes.accounts.is_empty() && random.below(2) == 0 {
            for recipient in &mut recipients {
                if random.below(3) > 0 {
                    recipient.0 = plan.homes.address(random);
                }
            }
        }
        let octets = match random.below(20) {
            0 => 70_000,
            1 | 2 => 8_000 + random.below(30_000),
            _ => 100 + random.below(3000),
        };
        Shape {
            sender,
            recipients,
            octets: octets as usize,
            ends_within_a_line: random.below(8) == 0,
            envid: random.below(5) == 0,
            full: [None, Some(true), Some(false)][random.below(3) as usize],
            smtputf8: random.below(25) == 0,
        }
    }

    /// A draft with a token of its own, told to the oracle. `extended`: the client says EHLO, so
    /// parameters can be given.
    pub fn draft(
        &self,
        token: u32,
        manner_allows: bool,
        random: &mut Random,
        oracle: &mut Oracle,
    ) -> Draft {
        let notify = |notify: Notify| if manner_allows { notify } else { Notify::default() };
        let draft = Draft {
            token,
            sender: self.sender.as_ref().map(|domain| match domain.contains('@') {
                true => domain.clone(),
                false => format!("s{token}@{domain}"),
            }),
            recipients: self
                .recipients
                .iter()
                .enumerate()
                .map(|(at, (domain, mark, wish))| {
                    let address = match domain.contains('@') {
                        true => domain.clone(),
                        false => format!("u{token}x{at}{mark}@{domain}"),
                    };
                    (address, notify(*wish))
                })
                .collect(),
            content: content(token, self.octets, self.ends_within_a_line, random),
            envid: (self.envid && manner_allows).then(|| format!("env{token}")),
            full: self.full.filter(|_| manner_allows),
            smtputf8: self.smtputf8 && manner_allows,
            extended: manner_allows,
            shape: self.clone(),
            tries: 0,
        };
        oracle.submissions.insert(
            token,
            Submission {
                sender: draft.sender.clone(),
                recipients: draft.recipients.clone(),
                content: draft.content.clone(),
                envid: draft.envid.clone(),
                full: draft.full,
                smtputf8: draft.smtputf8,
                sent: false,
                refused: false,
                accepted: None,
            },
        );
        draft
    }
}

fn recipient(domain: &str, stranger: bool, random: &mut Random) -> (String, &'static str, Notify) {
    let mark = match random.below(12) {
        0 => "-later",
        1 => "-never",
        _ => "-now",
    };
    let notify = match random.below(8) {
        0 => Notify::NEVER,
        1 => Notify::SUCCESS.union(Notify::FAILURE).union(Notify::DELAY),
        2 => Notify::SUCCESS,
        3 => Notify::FAILURE,
        _ => Notify::default(),
    };
    // Strangers are let through to one domain only.
    // (What they write to us is let through as well.)
    let domain = if stranger && random.below(3) > 0 { "d0.example" } else { domain };
    (domain.to_owned(), mark, notify)
}

fn content(token: u32, octets: usize, ends_within_a_line: bool, random: &mut Random) -> Vec<u8> {
    let mut content = format!(
        "X-Sim: {token}\r\nFrom: <s{token}@client.example>\r\nSubject: number {token}\r\n\r\n"
    )
    .into_bytes();
    while content.len() < octets {
        let start = [".", "..", ". ", "", "From ", "a"][random.below(6) as usize];
        content.extend_from_slice(start.as_bytes());
        let letter = b'a' + random.below(26) as u8;
        content.resize(content.len() + random.below(70) as usize, letter);
        content.extend_from_slice(b"\r\n");
    }
    if ends_within_a_line {
        content.extend_from_slice(b"the end");
    }
    content
}

/// What an address asks for by its local part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    None,
    /// Is put off each time.
    Always,
    /// Is refused each time.
    Never,
}

/// The mark of an address.
pub fn mark_of(address: &str) -> Mark {
    match address.split('@').next().unwrap_or_default() {
        local if local.ends_with("-later") => Mark::Always,
        local if local.ends_with("-never") => Mark::Never,
        _ => Mark::None,
    }
}
