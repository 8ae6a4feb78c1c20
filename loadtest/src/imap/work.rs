//! What sessions do: the kinds of commands, and in which order or mix they come.

use thiserror::Error;

use crate::random::Random;

/// Words of one `--work` list.
const WORDS_MAX: usize = 1000;
/// The largest weight of one word.
const WEIGHT_MAX: u32 = 1_000_000;

/// A command that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Login,
    List,
    Select,
    FetchHeaders,
    FetchBodies,
    Append,
    Store,
    Search,
    Idle,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Login,
        Kind::List,
        Kind::Select,
        Kind::FetchHeaders,
        Kind::FetchBodies,
        Kind::Append,
        Kind::Store,
        Kind::Search,
        Kind::Idle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Login => "login",
            Kind::List => "list",
            Kind::Select => "select",
            Kind::FetchHeaders => "fetch-headers",
            Kind::FetchBodies => "fetch-bodies",
            Kind::Append => "append",
            Kind::Store => "store",
            Kind::Search => "search",
            Kind::Idle => "idle",
        }
    }

    /// Whether a mailbox has to be selected first.
    pub fn needs_mailbox(self) -> bool {
        self.needs_messages() || matches!(self, Kind::Search | Kind::Idle)
    }

    /// Whether there has to be a message in it.
    pub fn needs_messages(self) -> bool {
        matches!(self, Kind::FetchHeaders | Kind::FetchBodies | Kind::Store)
    }
}

/// A checked `--work` list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// One after the other, then from the first again.
    Turns(Vec<Kind>),
    /// By chance, weighted.
    Mix(Vec<(Kind, u32)>),
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum WorkError {
    #[error(
        "{0:?} is no work: write login, list, select, fetch-headers, fetch-bodies, append, store, \
         search or idle"
    )]
    Kind(String),
    #[error("{0:?} is no weight: write a whole number from 1 to {WEIGHT_MAX} after the star")]
    Weight(String),
    #[error("the work has more than {WORDS_MAX} words: give weights, as in `append*50`")]
    Long,
}

impl Work {
    /// Reads `select,fetch-headers*5,append`: with a weight anywhere it is a mix.
    pub fn parse(text: &str) -> Result<Self, WorkError> {
        let words = text.split(',').map(|word| weighed(word.trim())).collect::<Result<Vec<_>, _>>();
        let words = words?;
        if words.len() > WORDS_MAX {
            return Err(WorkError::Long);
        }
        if words.iter().all(|(_, weight)| weight.is_none()) {
            return Ok(Work::Turns(words.into_iter().map(|(kind, _)| kind).collect()));
        }
        Ok(Work::Mix(words.into_iter().map(|(kind, weight)| (kind, weight.unwrap_or(1))).collect()))
    }

    /// The kinds that come up, each once, in the order of `Kind::ALL`.
    pub fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.has(*kind)).collect()
    }

    pub fn has(&self, kind: Kind) -> bool {
        match self {
            Work::Turns(kinds) => kinds.contains(&kind),
            Work::Mix(kinds) => kinds.iter().any(|(known, _)| *known == kind),
        }
    }

    /// The command that comes next for a session whose last turn was `turn`.
    pub fn next(&self, turn: &mut usize, random: &mut Random) -> Kind {
        let chosen = match self {
            Work::Turns(kinds) => {
                let place = *turn % kinds.len().max(1);
                *turn = place + 1;
                kinds.get(place).copied()
            }
            Work::Mix(kinds) => {
                let total: usize = kinds.iter().map(|(_, weight)| *weight as usize).sum();
                let mut left = random.below(total);
                kinds.iter().find_map(|(kind, weight)| {
                    let within = left < *weight as usize;
                    left = left.saturating_sub(*weight as usize);
                    within.then_some(*kind)
                })
            }
        };
        // A list has at least one word, as `split` gives at least one.
        chosen.unwrap_or(Kind::Login)
    }
}

fn weighed(word: &str) -> Result<(Kind, Option<u32>), WorkError> {
    let (name, weight) = match word.split_once('*') {
        Some((name, weight)) => (name, Some(weight)),
        None => (word, None),
    };
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or_else(|| WorkError::Kind(name.to_owned()))?;
    let weight = weight.map(|digits| match digits.parse() {
        Ok(weight @ 1..=WEIGHT_MAX) => Ok(weight),
        _ => Err(WorkError::Weight(digits.to_owned())),
    });
    Ok((kind, weight.transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        use Kind::{Append, FetchHeaders, Login, Select};
        let table = [
            ("login", Ok(Work::Turns(vec![Login]))),
            ("select, append", Ok(Work::Turns(vec![Select, Append]))),
            ("select,fetch-headers*5", Ok(Work::Mix(vec![(Select, 1), (FetchHeaders, 5)]))),
            ("", Err(WorkError::Kind("".into()))),
            ("select,", Err(WorkError::Kind("".into()))),
            ("Noop", Err(WorkError::Kind("Noop".into()))),
            ("append*0", Err(WorkError::Weight("0".into()))),
            ("append*-1", Err(WorkError::Weight("-1".into()))),
            ("append*x*y", Err(WorkError::Weight("x*y".into()))),
        ];
        for (text, wanted) in table {
            assert_eq!(Work::parse(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn turns_come_in_order_and_mixes_by_weight() {
        let mut random = Random::new(1);
        let turns = Work::parse("login,select,append").unwrap();
        let mut turn = 0;
        let names: Vec<_> = (0..4).map(|_| turns.next(&mut turn, &mut random).name()).collect();
        assert_eq!(names, ["login", "select", "append", "login"]);

        let mix = Work::parse("select,append*9").unwrap();
        let appends =
            (0..1000).filter(|_| mix.next(&mut turn, &mut random) == Kind::Append).count();
        assert!((850..950).contains(&appends), "{appends}");
        assert_eq!(mix.kinds(), [Kind::Select, Kind::Append]);
    }
}
