//! The rules of a sink: which step of which session is delayed, refused, dropped or falsified.
//!
//! A rule is a line of words: `[domain=PATTERN] [p=PROBABILITY] [step=STEP] [delay=DURATION]
//! [ACTION]`. At each step of a session the first rule that matches is obeyed, and only that one.

use std::{str::FromStr, time::Duration};

use bytes::Bytes;
use thiserror::Error;

use crate::{
    random::Random,
    rule::{self, WordError, keep},
};

/// A mask of rules is one word of the machine.
pub const RULES_MAX: usize = 64;
/// RFC 5321 §4.5.3.1.5, without the line's end.
const REPLY_OCTETS_MAX: usize = 510;
const WORDS: &str =
    "domain=, p=, step=, delay=, reply=, drop, reset, stall, stop-reading, forget or twice";

/// A moment of a session at which a rule can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Connect,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    /// DATA, or a BDAT that is not the last.
    Data,
    /// The end of the message: the final dot, or the last BDAT.
    Dot,
    Quit,
}

const STEPS: [(&str, Step); 9] = [
    ("connect", Step::Connect),
    ("ehlo", Step::Ehlo),
    ("starttls", Step::StartTls),
    ("auth", Step::Auth),
    ("mail", Step::Mail),
    ("rcpt", Step::Rcpt),
    ("data", Step::Data),
    ("dot", Step::Dot),
    ("quit", Step::Quit),
];

/// What is done in place of the usual answer, or with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The usual answer, after the delay.
    Usual,
    /// This reply, its line end included; 4xx and 5xx refuse the step, 421 ends the connection.
    Reply(Bytes),
    /// Ends the connection in order, without an answer.
    Drop,
    /// Breaks the connection off.
    Reset,
    /// Never answers again and reads on.
    Stall,
    /// Answers, and never reads again.
    StopReading,
    /// Answers 250 and does not count the message: an injected loss.
    Forget,
    /// Counts the message twice: an injected duplicate.
    Twice,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As written.
    pub text: String,
    pub step: Step,
    pub delay: Duration,
    pub action: Action,
    domain: Option<Pattern>,
    probability: f64,
}

/// The rules by which one recipient, or all of a transaction, can be met, one bit each.
pub type Mask = u64;

/// The rules of one core, with its draws.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Indexes of the rules that hold at each step, in order.
    by_step: [Vec<usize>; STEPS.len()],
    /// How often each was obeyed.
    obeyed: Vec<u64>,
    random: Random,
}

impl Rules {
    /// Rules beyond [`RULES_MAX`] would not be seen; the command line refuses them.
    pub fn new(rules: Vec<Rule>, seed: u64) -> Rules {
        let mut by_step: [Vec<usize>; STEPS.len()] = Default::default();
        for (index, rule) in rules.iter().enumerate().take(RULES_MAX) {
            by_step[rule.step as usize].push(index);
        }
        Rules { by_step, obeyed: vec![0; rules.len()], random: Random::new(seed), rules }
    }

    /// The rules that name the domain of this recipient.
    pub fn naming(&self, recipient: &[u8]) -> Mask {
        let domain = domain(recipient);
        self.rules.iter().take(RULES_MAX).enumerate().fold(0, |mask, (index, rule)| {
            let named = rule.domain.as_ref().is_some_and(|pattern| pattern.matches(domain));
            mask | Mask::from(named) << index
        })
    }

    /// The rule to obey at this step; `named` tells the rules that name one of the recipients.
    pub fn choose(&mut self, step: Step, named: Mask) -> Option<&Rule> {
        let index = self.by_step[step as usize].iter().copied().find(|&index| {
            let rule = &self.rules[index];
            (rule.domain.is_none() || named >> index & 1 == 1)
                && self.random.happens(rule.probability)
        })?;
        self.obeyed[index] += 1;
        Some(&self.rules[index])
    }

    /// How often each rule was obeyed, in their order.
    pub fn obeyed(&self) -> &[u64] {
        &self.obeyed
    }
}

fn domain(recipient: &[u8]) -> &[u8] {
    memchr::memrchr(b'@', recipient).and_then(|at| recipient.get(at + 1..)).unwrap_or_default()
}

/// A domain, or `*.suffix` for every domain below one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// With its dot in front where only domains below it match.
    text: String,
    below: bool,
}

impl Pattern {
    fn matches(&self, domain: &[u8]) -> bool {
        let pattern = self.text.as_bytes();
        if !self.below {
            return domain.eq_ignore_ascii_case(pattern);
        }
        domain.len() > pattern.len()
            && domain
                .get(domain.len() - pattern.len()..)
                .is_some_and(|end| end.eq_ignore_ascii_case(pattern))
    }
}

impl FromStr for Pattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Pattern, RuleError> {
        let (rest, below) = text.strip_prefix('*').map_or((text, false), |rest| (rest, true));
        let name = if below { rest.strip_prefix('.').unwrap_or_default() } else { rest };
        let is_name = !name.is_empty()
            && name.split('.').all(|label| !label.is_empty())
            && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet));
        if !is_name {
            return Err(RuleError::Domain(text.into()));
        }
        Ok(Pattern { text: rest.into(), below })
    }
}

#[derive(Debug, Error, PartialEq)]
pub enum RuleError {
    #[error("`{0}` is no word of a rule; use {WORDS}")]
    Unknown(String),
    #[error("`{0}` is no step; use connect, ehlo, starttls, auth, mail, rcpt, data, dot or quit")]
    Step(String),
    #[error("`{0}` is no reply; use a code from 200 to 599, a space and printable text, in quotes")]
    Reply(String),
    #[error("`{0}` is no domain; use a name as example.org, or *.example.org for all below it")]
    Domain(String),
    #[error("`{0}` and `{1}` cannot both be done; write two rules, the first that matches holds")]
    TwoActions(String, String),
    #[error("the rule does nothing; add delay=, reply= or a word such as drop, stall or forget")]
    NoAction,
    #[error("only rcpt, data and dot have recipients; choose one of them or leave out domain=")]
    NoRecipients,
    #[error("`{0}` is about a counted message; leave out step= or write step=dot")]
    OnlyAtDot(String),
    #[error("a quote is not closed; end the reply with \"")]
    Quote,
    #[error(transparent)]
    Word(#[from] WordError),
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        let (mut domain, mut probability, mut step, mut delay) = (None, None, None, None);
        let mut action: Option<(String, Action)> = None;
        for word in words(text)? {
            match word.split_once('=') {
                Some(("domain", value)) => keep(&mut domain, value.parse()?, word)?,
                Some(("p", value)) => keep(&mut probability, rule::probability(value)?, word)?,
                Some(("step", value)) => keep(&mut step, parse_step(value)?, word)?,
                Some(("delay", value)) => keep(&mut delay, rule::delay(value)?, word)?,
                _ => {
                    let parsed = parse_action(word)?;
                    if let Some((first, _)) = action {
                        return Err(RuleError::TwoActions(first, word.into()));
                    }
                    action = Some((word.into(), parsed));
                }
            }
        }
        let step = step.unwrap_or(Step::Dot);
        if domain.is_some() && !matches!(step, Step::Rcpt | Step::Data | Step::Dot) {
            return Err(RuleError::NoRecipients);
        }
        let action = match action {
            Some((word, Action::Forget | Action::Twice)) if step != Step::Dot => {
                return Err(RuleError::OnlyAtDot(word));
            }
            Some((_, action)) => action,
            None if delay.is_some() => Action::Usual,
            None => return Err(RuleError::NoAction),
        };
        Ok(Rule {
            text: text.trim().into(),
            step,
            delay: delay.unwrap_or_default(),
            action,
            domain,
            probability: probability.unwrap_or(1.0),
        })
    }
}

/// The words between spaces; spaces within quotes do not part them.
fn words(text: &str) -> Result<Vec<&str>, RuleError> {
    if text.matches('"').count() % 2 == 1 {
        return Err(RuleError::Quote);
    }
    let mut quoted = false;
    let words = text.split(|letter: char| {
        quoted ^= letter == '"';
        letter.is_whitespace() && !quoted
    });
    Ok(words.filter(|word| !word.is_empty()).collect())
}

fn parse_step(value: &str) -> Result<Step, RuleError> {
    let step = STEPS.iter().find(|(name, _)| *name == value).map(|(_, step)| *step);
    step.ok_or_else(|| RuleError::Step(value.into()))
}

fn parse_action(word: &str) -> Result<Action, RuleError> {
    match word {
        "drop" => Ok(Action::Drop),
        "reset" => Ok(Action::Reset),
        "stall" => Ok(Action::Stall),
        "stop-reading" => Ok(Action::StopReading),
        "forget" => Ok(Action::Forget),
        "twice" => Ok(Action::Twice),
        _ => match word.strip_prefix("reply=") {
            Some(value) => parse_reply(value),
            None => Err(RuleError::Unknown(word.into())),
        },
    }
}

fn parse_reply(value: &str) -> Result<Action, RuleError> {
    let text = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let code = text.split_once(' ').and_then(|(code, _)| code.parse::<u16>().ok());
    let is_reply = code.is_some_and(|code| (200..600).contains(&code))
        && text.len() <= REPLY_OCTETS_MAX
        && text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic() && octet != b'"');
    if !is_reply {
        return Err(RuleError::Reply(value.into()));
    }
    Ok(Action::Reply(Bytes::from(format!("{text}\r\n"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn rules_are_read() {
        let reply = |text: &'static str| Action::Reply(Bytes::from_static(text.as_bytes()));
        for (text, step, millis, action, domain, probability) in [
            ("drop", Step::Dot, 0, Action::Drop, None, 1.0),
            ("delay=20ms", Step::Dot, 20, Action::Usual, None, 1.0),
            ("delay=1s step=mail reset", Step::Mail, 1000, Action::Reset, None, 1.0),
            ("p=0.25 twice", Step::Dot, 0, Action::Twice, None, 0.25),
            (
                " domain=a.example  step=rcpt stall ",
                Step::Rcpt,
                0,
                Action::Stall,
                Some("a.example"),
                1.0,
            ),
            (
                "domain=*.b stop-reading step=data",
                Step::Data,
                0,
                Action::StopReading,
                Some(".b"),
                1.0,
            ),
            (
                "reply=\"451 4.3.0 try later\"",
                Step::Dot,
                0,
                reply("451 4.3.0 try later\r\n"),
                None,
                1.0,
            ),
            (
                "step=connect reply=\"554 no  mail\"",
                Step::Connect,
                0,
                reply("554 no  mail\r\n"),
                None,
                1.0,
            ),
        ] {
            let rule = rule(text);
            assert_eq!(rule.text, text.trim());
            assert_eq!(rule.step, step, "{text}");
            assert_eq!(rule.delay, Duration::from_millis(millis), "{text}");
            assert_eq!(rule.action, action, "{text}");
            assert_eq!(rule.domain.as_ref().map(|pattern| pattern.text.as_str()), domain, "{text}");
            assert_eq!(rule.probability, probability, "{text}");
        }
    }

    #[test]
    fn faults_are_named() {
        for (text, want) in [
            ("", "the rule does nothing"),
            ("step=mail", "the rule does nothing"),
            ("explode", "`explode` is no word of a rule; use domain=, p="),
            ("colour=red", "`colour=red` is no word"),
            ("step=helo drop", "`helo` is no step; use connect, ehlo"),
            ("p=0 drop", "`0` is no probability"),
            ("p=1.5 drop", "`1.5` is no probability"),
            ("p=NaN drop", "`NaN` is no probability"),
            ("delay=soon", "`soon` is no delay"),
            ("delay=2h", "`2h` is no delay"),
            ("reply=451", "`451` is no reply"),
            ("reply=\"100 early\"", "is no reply"),
            ("reply=\"451 a", "a quote is not closed"),
            ("domain=*x step=rcpt drop", "`*x` is no domain"),
            ("domain=a..b step=rcpt drop", "`a..b` is no domain"),
            ("domain=a step=mail drop", "only rcpt, data and dot have recipients"),
            ("domain=a step=quit drop", "only rcpt, data and dot have recipients"),
            ("step=rcpt forget", "`forget` is about a counted message"),
            ("drop reset", "`drop` and `reset` cannot both be done"),
            ("p=0.5 p=0.1 drop", "`p=0.1` says what another word has said"),
        ] {
            let error = text.parse::<Rule>().expect_err(text).to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn the_first_match_wins_at_its_step() {
        let lines =
            ["domain=a.test step=rcpt drop", "domain=*.test step=rcpt stall", "reset", "drop"];
        let mut rules = Rules::new(lines.map(rule).to_vec(), 1);
        for (recipient, step, want) in [
            ("x@a.test", Step::Rcpt, Some(Action::Drop)),
            ("x@A.Test", Step::Rcpt, Some(Action::Drop)),
            ("x@b.test", Step::Rcpt, Some(Action::Stall)),
            ("x@test", Step::Rcpt, None),
            ("x@ba.test.org", Step::Rcpt, None),
            ("postmaster", Step::Rcpt, None),
            ("x@a.test", Step::Dot, Some(Action::Reset)),
            ("x@a.test", Step::Mail, None),
        ] {
            let named = rules.naming(recipient.as_bytes());
            let got = rules.choose(step, named).map(|rule| rule.action.clone());
            assert_eq!(got, want, "{recipient} at {step:?}");
        }
        assert_eq!(rules.obeyed(), [2, 1, 1, 0]);
    }
}
