//! The rules of a zone: which queries are answered late, wrongly or not at all.
//!
//! A rule is a line of words: `[name=PATTERN] [type=TYPE] [p=PROBABILITY] [delay=TIME] [ACTION]`.
//! The first rule that matches a query is obeyed, and only that one.

use std::{str::FromStr, time::Duration};

use thiserror::Error;

use super::name::{Kind, Name, NameError, ancestry};
use crate::{
    random::Random,
    rule::{self, WordError, keep},
};

/// What is done in place of the usual answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The usual answer, after the delay.
    Usual,
    NxDomain,
    ServFail,
    Refused,
    /// Over UDP no records and the TC bit, so that the asker comes back over TCP.
    Truncate,
    Silence,
    /// The name is there, a record of the type is not.
    Empty,
    /// The usual answer under the id of another query.
    WrongId,
    /// The header of an answer, and noise behind it.
    Garbage,
}

const ACTIONS: &[(&str, Action)] = &[
    ("nxdomain", Action::NxDomain),
    ("servfail", Action::ServFail),
    ("refused", Action::Refused),
    ("truncate", Action::Truncate),
    ("silence", Action::Silence),
    ("empty", Action::Empty),
    ("wrong-id", Action::WrongId),
    ("garbage", Action::Garbage),
];

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As written.
    pub text: String,
    pub action: Action,
    pub delay: Duration,
    pattern: Pattern,
    kind: Option<Kind>,
    probability: f64,
}

/// Which names a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    All,
    This(Name),
    /// `*.suffix`: every name below this one.
    Below(Name),
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    #[error(
        "`{0}` is no word of a rule: use name=, type=, p=, delay=, nxdomain, servfail, refused, \
         truncate, silence, empty, wrong-id or garbage"
    )]
    Unknown(String),
    #[error("the rule does nothing: add delay= or an action such as servfail or silence")]
    Idle,
    #[error("`{0}` is no type: use one such as MX, A or TYPE65")]
    Type(String),
    #[error("what never answers has no delay: leave delay= or silence out")]
    SilentDelay,
    #[error(transparent)]
    Word(#[from] WordError),
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Rule {
    pub fn matches(&self, name: &Name, kind: Kind) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
            && match &self.pattern {
                Pattern::All => true,
                Pattern::This(this) => this == name,
                Pattern::Below(suffix) => {
                    ancestry(name.octets()).skip(1).any(|above| above == suffix.octets())
                }
            }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        let (mut pattern, mut kind, mut probability) = (None, None, None);
        let (mut delay, mut action) = (None, None);
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(("name", value)) => keep(&mut pattern, Pattern::parse(value)?, word)?,
                Some(("type", value)) => {
                    let read = Kind::parse(value).ok_or_else(|| RuleError::Type(value.into()))?;
                    keep(&mut kind, read, word)?;
                }
                Some(("p", value)) => keep(&mut probability, rule::probability(value)?, word)?,
                Some(("delay", value)) => keep(&mut delay, rule::delay(value)?, word)?,
                _ => {
                    let known = ACTIONS.iter().find(|(name, _)| *name == word);
                    let (_, read) = known.ok_or_else(|| RuleError::Unknown(word.into()))?;
                    keep(&mut action, *read, word)?;
                }
            }
        }
        match (action, delay) {
            (None, None) => return Err(RuleError::Idle),
            (Some(Action::Silence), Some(_)) => return Err(RuleError::SilentDelay),
            _ => {}
        }
        Ok(Rule {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            action: action.unwrap_or(Action::Usual),
            delay: delay.unwrap_or_default(),
            pattern: pattern.unwrap_or(Pattern::All),
            kind,
            probability: probability.unwrap_or(1.0),
        })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, RuleError> {
        Ok(match text.strip_prefix("*.") {
            _ if text == "*" => Pattern::All,
            Some(suffix) => Pattern::Below(Name::parse(suffix)?),
            None => Pattern::This(Name::parse(text)?),
        })
    }
}

/// The rules of one core, with its draws and its counts.
pub struct Rules {
    rules: Vec<Rule>,
    /// How often each was obeyed.
    obeyed: Vec<u64>,
    random: Random,
}

impl Rules {
    pub fn new(rules: Vec<Rule>, seed: u64) -> Rules {
        Rules { obeyed: vec![0; rules.len()], random: Random::new(seed), rules }
    }

    /// What to do with this query, and how much later.
    pub fn choose(&mut self, name: &Name, kind: Kind) -> (Action, Duration) {
        let random = &mut self.random;
        let chosen = self
            .rules
            .iter()
            .zip(&mut self.obeyed)
            .find(|(rule, _)| rule.matches(name, kind) && random.happens(rule.probability));
        let Some((rule, obeyed)) = chosen else { return (Action::Usual, Duration::ZERO) };
        *obeyed += 1;
        (rule.action, rule.delay)
    }

    /// The rules as they were written, and how often each was obeyed.
    pub fn obeyed(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rules.iter().map(|rule| rule.text.as_str()).zip(self.obeyed.iter().copied())
    }

    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn rules_match_names_and_types() {
        for (text, name, kind, matches) in [
            ("servfail", "d1.test", Kind::MX, true),
            ("name=* servfail", "d1.test", Kind::MX, true),
            ("name=D1.test servfail", "d1.test", Kind::A, true),
            ("name=d1.test servfail", "mx0.d1.test", Kind::A, false),
            ("name=d1.test type=mx servfail", "d1.test", Kind::A, false),
            ("name=*.test servfail", "mx0.d1.test", Kind::A, true),
            ("name=*.test servfail", "test", Kind::A, false),
            ("name=*.d1.test servfail", "mx0.d11.test", Kind::A, false),
        ] {
            let name = Name::parse(name).expect(name);
            assert_eq!(rule(text).matches(&name, kind), matches, "{text} on {name}");
        }
    }

    #[test]
    fn actions_and_delays_are_read() {
        for (text, action, delay) in [
            ("nxdomain", Action::NxDomain, 0),
            ("truncate", Action::Truncate, 0),
            ("delay=50ms", Action::Usual, 50),
            ("delay=2s wrong-id", Action::WrongId, 2000),
            ("garbage p=1 delay=1ms", Action::Garbage, 1),
        ] {
            let rule = rule(text);
            assert_eq!((rule.action, rule.delay.as_millis()), (action, delay), "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (text, error) in [
            ("", RuleError::Idle),
            ("name=d1.test", RuleError::Idle),
            ("name=d1.test explode", RuleError::Unknown("explode".into())),
            ("domain=d1.test servfail", RuleError::Unknown("domain=d1.test".into())),
            ("servfail refused", WordError::Again("refused".into()).into()),
            ("p=0.1 p=0.2 empty", WordError::Again("p=0.2".into()).into()),
            ("type=HUH empty", RuleError::Type("HUH".into())),
            ("p=0 empty", WordError::Probability("0".into()).into()),
            ("p=1.5 empty", WordError::Probability("1.5".into()).into()),
            ("p=NaN empty", WordError::Probability("NaN".into()).into()),
            ("delay=2h", WordError::Delay("2h".into()).into()),
            ("delay=soon", WordError::Delay("soon".into()).into()),
            ("delay=1s silence", RuleError::SilentDelay),
            ("name=a..b empty", RuleError::Name(NameError::EmptyLabel("a..b".into()))),
        ] {
            assert_eq!(text.parse::<Rule>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_is_obeyed_and_counted() {
        let texts = ["name=d1.test p=0.25 servfail", "name=*.test delay=5ms empty", "silence"];
        let mut rules = Rules::new(texts.map(rule).to_vec(), 7);
        let name = Name::parse("d1.test").expect("a name");
        for _ in 0..1000 {
            rules.choose(&name, Kind::MX);
        }
        let outside = rules.choose(&Name::root(), Kind::A);
        assert_eq!(outside, (Action::Silence, Duration::ZERO));
        let counts: Vec<u64> = rules.obeyed().map(|(_, count)| count).collect();
        assert_eq!((counts[0] + counts[1], counts[2]), (1000, 1));
        assert!((200..300).contains(&counts[0]), "a quarter of 1000, about: {}", counts[0]);
    }
}
