//! What a sink has taken: the ledger of messages that all cores share, and the tally of each core.
//!
//! The ledger is exact while it grows: whoever waits for the last of a million messages must not
//! be told of one too many. It keeps hashes of 64 bits, so that two of ten million pairs are taken
//! for one in a run out of several hundred thousand.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, DefaultHasher, Hasher},
    str,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::outcome::Seen;

/// Enough that cores seldom meet at one.
const SHARDS: usize = 64;
/// How many repeated pairs are kept by name.
pub const DUPLICATES_NAMED_MAX: usize = 100;
/// How many runs of a source are told apart in one shard; further ones count as foreign mail.
const RUNS_MAX: usize = 1000;
/// A longer name is not one that a source gives its run.
const RUN_OCTETS_MAX: usize = 64;
/// What follows the run in a Message-ID of `ringload source`.
const OWN_DOMAIN: &[u8] = b"@ringload.invalid>";

/// Every Message-ID and every pair of one with a recipient, once.
#[derive(Debug)]
pub struct Ledger {
    shards: Vec<Mutex<Shard>>,
    duplicates: Mutex<Vec<String>>,
}

#[derive(Debug, Default)]
struct Shard {
    messages: HashSet<u64, BuildHasherDefault<Hashed>>,
    pairs: HashSet<u64, BuildHasherDefault<Hashed>>,
    runs: HashMap<Box<str>, Vec<u64>>,
}

/// What was new about a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Novelty {
    pub message: bool,
    pub pairs: u64,
    pub repeated_pairs: u64,
}

impl Default for Ledger {
    fn default() -> Ledger {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Ledger { shards, duplicates: Mutex::default() }
    }
}

impl Ledger {
    /// Enters one message with its recipients. All its pairs lie in the shard of the message.
    pub fn enter<'a>(
        &self,
        message_id: &[u8],
        recipients: impl Iterator<Item = &'a [u8]>,
    ) -> Novelty {
        let mut hasher = DefaultHasher::new();
        hasher.write(message_id);
        let message = hasher.finish();
        let Some(shard) = self.shards.get((message >> 32) as usize % SHARDS) else {
            return Novelty::default();
        };
        let mut shard = held(shard);
        let mut novelty = Novelty { message: shard.messages.insert(message), ..Novelty::default() };
        if novelty.message {
            shard.note_run(message_id);
        }
        for recipient in recipients {
            let mut hasher = hasher.clone();
            hasher.write(recipient);
            if shard.pairs.insert(hasher.finish()) {
                novelty.pairs += 1;
            } else {
                novelty.repeated_pairs += 1;
                self.name_duplicate(message_id, recipient);
            }
        }
        novelty
    }

    /// Up to [`DUPLICATES_NAMED_MAX`] of the pairs that came again.
    pub fn duplicates(&self) -> Vec<String> {
        held(&self.duplicates).clone()
    }

    /// By run, the sequence numbers entered, which are given back in no order.
    pub fn sequences(&self) -> HashMap<Box<str>, Vec<u64>> {
        let mut runs: HashMap<Box<str>, Vec<u64>> = HashMap::new();
        for shard in &self.shards {
            for (run, sequences) in &held(shard).runs {
                runs.entry(run.clone()).or_default().extend(sequences);
            }
        }
        runs
    }

    pub fn seen(&self) -> Vec<Seen> {
        let runs = self.sequences().into_iter();
        let mut seen: Vec<Seen> = runs
            .map(|(run, mut ids)| Seen { run: run.into(), ids: crate::meter::ranges(&mut ids) })
            .collect();
        seen.sort_by(|left, right| left.run.cmp(&right.run));
        seen
    }

    fn name_duplicate(&self, message_id: &[u8], recipient: &[u8]) {
        let mut duplicates = held(&self.duplicates);
        if duplicates.len() < DUPLICATES_NAMED_MAX {
            let (id, to) =
                (String::from_utf8_lossy(message_id), String::from_utf8_lossy(recipient));
            duplicates.push(format!("{id} {to}"));
        }
    }
}

impl Shard {
    fn note_run(&mut self, message_id: &[u8]) {
        let Some((sequence, run)) = own_id(message_id) else { return };
        if let Some(sequences) = self.runs.get_mut(run) {
            sequences.push(sequence);
        } else if self.runs.len() < RUNS_MAX {
            self.runs.insert(run.into(), vec![sequence]);
        }
    }
}

/// Sequence and run of a Message-ID that `ringload source` made: `<SEQUENCE.RUN@ringload.invalid>`.
fn own_id(message_id: &[u8]) -> Option<(u64, &str)> {
    let name = message_id.strip_prefix(b"<")?.strip_suffix(OWN_DOMAIN)?;
    let (sequence, run) = name.split_at_checked(memchr::memchr(b'.', name)?)?;
    let run = str::from_utf8(run.strip_prefix(b".")?).ok()?;
    let fits = !run.is_empty() && run.len() <= RUN_OCTETS_MAX;
    super::command::parse_number(sequence).filter(|_| fits).map(|sequence| (sequence, run))
}

/// No holder of these locks can leave a shard half written, so a panic elsewhere spoils nothing.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, octets: &[u8]) {
        for &octet in octets {
            self.0 = self.0.rotate_left(8) ^ u64::from(octet);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What was wrong with what a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    BeforeGreeting,
    BehindGroupEnd,
    PipelinedUnoffered,
    ClearBehindStartTls,
    BareLfInCommand,
    BareLfInMessage,
    LineTooLong,
    TextLineTooLong,
    UnknownCommand,
    Form,
    Sequence,
    Parameter,
    TooManyRecipients,
    TooLarge,
    EndedInTransaction,
    Idle,
    Failed,
    Tls,
}

pub const TROUBLES: [(Trouble, &str); 18] = [
    (Trouble::BeforeGreeting, "octets sent before the greeting"),
    (Trouble::BehindGroupEnd, "octets sent behind a command that has to end its group (RFC 2920)"),
    (Trouble::PipelinedUnoffered, "commands pipelined though PIPELINING was not offered"),
    (Trouble::ClearBehindStartTls, "octets in clear behind STARTTLS, which were dropped"),
    (Trouble::BareLfInCommand, "a command ended in a bare LF"),
    (Trouble::BareLfInMessage, "a message with a bare LF"),
    (Trouble::LineTooLong, "a command line that is too long"),
    (Trouble::TextLineTooLong, "a message with a line over 1000 octets"),
    (Trouble::UnknownCommand, "an unknown command"),
    (Trouble::Form, "a command of the wrong form"),
    (Trouble::Sequence, "a command out of sequence"),
    (Trouble::Parameter, "a parameter that was not offered or has a wrong value"),
    (Trouble::TooManyRecipients, "more than 1000 recipients in a transaction"),
    (Trouble::TooLarge, "a message over the size that was offered"),
    (Trouble::EndedInTransaction, "a connection ended within a transaction"),
    (Trouble::Idle, "a connection idle for too long"),
    (Trouble::Failed, "a connection failed"),
    (Trouble::Tls, "a TLS handshake or session failed"),
];

/// Why the sink refused something on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Connections,
    Messages,
    Rate,
    Greylist,
}

pub const LIMITS: [(Limit, &str); 4] = [
    (Limit::Connections, "421 at connect: --connections-max"),
    (Limit::Messages, "421 at mail: --messages-per-connection-max"),
    (Limit::Rate, "451 at mail: --rate-max"),
    (Limit::Greylist, "451 at rcpt: --greylist"),
];

/// The counts of one core since its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Transactions answered by 250.
    pub messages: u64,
    pub unique: u64,
    pub without_id: u64,
    /// Pairs of Message-ID and recipient.
    pub deliveries: u64,
    pub duplicates: u64,
    pub octets: u64,
    pub connections: u64,
    /// When the first and the last message were taken.
    pub span: Option<(Instant, Instant)>,
    pub troubles: [u64; TROUBLES.len()],
    pub limits: [u64; LIMITS.len()],
}

impl Tally {
    /// Messages that are known to be different ones. Those without Message-ID cannot be told
    /// apart, and each counts.
    pub fn distinct(&self) -> u64 {
        self.unique + self.without_id
    }

    pub fn errors(&self) -> u64 {
        self.troubles.iter().sum()
    }

    pub fn trouble(&mut self, trouble: Trouble) {
        self.troubles[trouble as usize] += 1;
    }

    pub fn limit(&mut self, limit: Limit) {
        self.limits[limit as usize] += 1;
    }

    /// Counts a message that was answered by 250 and enters it.
    pub fn message<'a>(
        &mut self,
        ledger: &Ledger,
        at: Instant,
        message_id: &[u8],
        octets: u64,
        recipients: impl Iterator<Item = &'a [u8]>,
    ) {
        self.messages += 1;
        self.octets += octets;
        self.span = Some((self.span.map_or(at, |(first, _)| first), at));
        if message_id.is_empty() {
            self.without_id += 1;
            return;
        }
        let novelty = ledger.enter(message_id, recipients);
        self.unique += u64::from(novelty.message);
        self.deliveries += novelty.pairs;
        self.duplicates += novelty.repeated_pairs;
    }

    pub fn merge(&mut self, other: &Tally) {
        self.messages += other.messages;
        self.unique += other.unique;
        self.without_id += other.without_id;
        self.deliveries += other.deliveries;
        self.duplicates += other.duplicates;
        self.octets += other.octets;
        self.connections += other.connections;
        self.span = match (self.span, other.span) {
            (Some(ours), Some(theirs)) => Some((ours.0.min(theirs.0), ours.1.max(theirs.1))),
            (ours, theirs) => ours.or(theirs),
        };
        self.troubles.iter_mut().zip(other.troubles).for_each(|(ours, theirs)| *ours += theirs);
        self.limits.iter_mut().zip(other.limits).for_each(|(ours, theirs)| *ours += theirs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(ledger: &Ledger, id: &str, recipients: &[&str]) -> (bool, u64, u64) {
        let novelty = ledger.enter(id.as_bytes(), recipients.iter().map(|text| text.as_bytes()));
        (novelty.message, novelty.pairs, novelty.repeated_pairs)
    }

    #[test]
    fn a_message_is_new_once_and_so_is_each_of_its_pairs() {
        let ledger = Ledger::default();
        for (id, recipients, want) in [
            ("<1.r@ringload.invalid>", &["a@x", "b@x"][..], (true, 2, 0)),
            ("<1.r@ringload.invalid>", &["c@x"], (false, 1, 0)),
            ("<1.r@ringload.invalid>", &["b@x", "d@x"], (false, 1, 1)),
            ("<2.r@ringload.invalid>", &["b@x"], (true, 1, 0)),
            ("<foreign@id>", &["b@x"], (true, 1, 0)),
            ("<foreign@id>", &["b@x"], (false, 0, 1)),
        ] {
            assert_eq!(enter(&ledger, id, recipients), want, "{id} {recipients:?}");
        }
        assert_eq!(ledger.duplicates(), ["<1.r@ringload.invalid> b@x", "<foreign@id> b@x"]);
    }

    #[test]
    fn the_sequence_numbers_of_each_run_are_known() {
        let ledger = Ledger::default();
        for sequence in [0, 1, 2, 7, 7, 9] {
            enter(&ledger, &format!("<{sequence}.r@ringload.invalid>"), &["a@x"]);
        }
        enter(&ledger, "<3.s@ringload.invalid>", &["a@x"]);
        enter(&ledger, "<3.s@example.org>", &["a@x"]);
        let mut runs: Vec<_> = ledger.sequences().into_iter().collect();
        runs.sort();
        runs.iter_mut().for_each(|(_, sequences)| sequences.sort());
        assert_eq!(runs, [("r".into(), vec![0, 1, 2, 7, 9]), ("s".into(), vec![3])]);
    }

    #[test]
    fn only_the_sources_own_ids_are_sequence_numbers() {
        for (id, want) in [
            ("<17.ab3@ringload.invalid>", Some((17, "ab3"))),
            ("<17.a.b@ringload.invalid>", Some((17, "a.b"))),
            ("<17@ringload.invalid>", None),
            ("<17.@ringload.invalid>", None),
            ("<.r@ringload.invalid>", None),
            ("<x.r@ringload.invalid>", None),
            ("<99999999999999999999.r@ringload.invalid>", None),
            ("17.r@ringload.invalid", None),
            ("", None),
        ] {
            assert_eq!(own_id(id.as_bytes()), want, "{id}");
        }
    }

    #[test]
    fn names_of_runs_and_duplicates_are_bounded() {
        let ledger = Ledger::default();
        for _ in 0..=DUPLICATES_NAMED_MAX + 1 {
            enter(&ledger, "<a@b>", &["a@x"]);
        }
        assert_eq!(ledger.duplicates().len(), DUPLICATES_NAMED_MAX);
        let long = format!("<1.{}@ringload.invalid>", "r".repeat(RUN_OCTETS_MAX + 1));
        enter(&ledger, &long, &["a@x"]);
        assert!(ledger.sequences().is_empty());
    }

    #[test]
    fn tables_are_in_the_order_of_their_enums() {
        assert!(
            TROUBLES.iter().enumerate().all(|(index, (trouble, _))| *trouble as usize == index)
        );
        assert!(LIMITS.iter().enumerate().all(|(index, (limit, _))| *limit as usize == index));
    }
}
