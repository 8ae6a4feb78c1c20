//! The shapes of machine-readable output: what every command prints with `--json`, one object a
//! line, and what `compare` writes to its file and `report` reads.
//!
//! Times are seconds where a field says `seconds`, else microseconds (`_us`); sizes are octets;
//! rates are events a second. Fields are only ever added.

use serde::{Deserialize, Serialize};

/// One line of `--json` output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line<R> {
    /// First, from what listens: where.
    Listening {
        addresses: Vec<String>,
    },
    Progress(Progress),
    Result(R),
}

/// How far a run is. `done` counts acknowledged messages (source), distinct messages taken
/// (sink), queries (zone) or commands (imap).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Since the start of the run.
    pub seconds: f64,
    pub done: u64,
    pub errors: u64,
    /// Since the previous line.
    pub rate: f64,
    /// Since the previous line.
    pub p50_us: f64,
    /// Since the previous line.
    pub p99_us: f64,
}

/// A latency distribution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub count: u64,
    pub min_us: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p99_9_us: f64,
    pub p99_99_us: f64,
    pub max_us: f64,
    /// Pairs of percentile (0 to 100) and microseconds, ascending, dense towards 100.
    pub curve: Vec<(f64, f64)>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All that was asked for is done.
    Count,
    Duration,
    /// `--deadline` came first.
    Deadline,
    Interrupted,
}

/// How often one reply or failure was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub text: String,
    pub count: u64,
}

/// A set of sequence numbers as inclusive ranges, ascending.
pub type Ranges = Vec<(u64, u64)>;

/// What `ringload source` did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The words of the command line.
    pub command: Vec<String>,
    pub version: String,
    pub target: String,
    /// Names the run in each Message-ID: `<SEQUENCE.RUN@ringload.invalid>`.
    pub run: String,
    pub ended: Ended,
    /// From the first connection to the last answer.
    pub seconds: f64,
    /// Acknowledged by 250 after the message.
    pub acknowledged: u64,
    pub recipients_acknowledged: u64,
    pub refused_temporarily: u64,
    pub refused_permanently: u64,
    /// The connection ended before the answer: the message may or may not have been taken.
    pub unknown: u64,
    /// Octets of acknowledged messages.
    pub octets: u64,
    /// Acknowledged messages a second.
    pub rate: f64,
    /// From the end of the message (or, open loop, from the moment it was due) to its 250.
    pub acknowledgement: Latency,
    /// From connect to greeting.
    pub greeting: Latency,
    pub connections: u64,
    /// The rate asked for, when the loop is open.
    pub offered_rate: Option<f64>,
    pub troubles: Vec<Trouble>,
    /// Sequence numbers of the acknowledged messages.
    pub acknowledged_ids: Ranges,
    pub series: Vec<Progress>,
    /// User and system time of this process.
    pub cpu_seconds: f64,
}

/// What `ringload sink` saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sink {
    pub command: Vec<String>,
    pub version: String,
    pub ended: Ended,
    /// From the first message to the last.
    pub seconds: f64,
    /// When the last message came, since the start of the run.
    pub last_seconds: Option<f64>,
    /// Transactions answered by 250.
    pub messages: u64,
    /// Distinct Message-IDs among them.
    pub unique: u64,
    /// Pairs of Message-ID and recipient that came more than once: the surplus.
    pub duplicates: u64,
    /// Distinct pairs of Message-ID and recipient.
    pub deliveries: u64,
    pub without_id: u64,
    pub octets: u64,
    pub connections: u64,
    pub rate: f64,
    /// Replies the sink's own rules made it give, and connections they ended.
    pub injected: Vec<Trouble>,
    /// What was wrong with what clients sent.
    pub troubles: Vec<Trouble>,
    /// By run, the sequence numbers seen at least once.
    pub seen: Vec<Seen>,
    /// Up to 100 of the Message-IDs that came more than once, with the recipient.
    pub duplicate_ids: Vec<String>,
    pub series: Vec<Progress>,
    pub cpu_seconds: f64,
}

/// The messages of one source's run, as a sink saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub run: String,
    pub ids: Ranges,
}

/// What `ringload compare` found: written by `--out`, read by `report`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub version: String,
    pub command: Vec<String>,
    /// RFC 3339, UTC.
    pub began: String,
    pub seconds: f64,
    pub machine: Machine,
    /// Octets of a message, or the name of the mix.
    pub size: String,
    pub messages: u64,
    pub sessions: u64,
    pub rounds: u64,
    pub tls: String,
    pub servers: Vec<Server>,
    /// What was left out, and why: a peer that is not installed, say.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: u64,
    pub memory: u64,
    pub kernel: String,
    pub distribution: String,
    pub filesystem: String,
    pub disk: String,
    /// fdatasync of one page just written, on the disk of the queues.
    pub sync: Latency,
}

/// One server (or the direct line from source to sink) with all its rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Server {
    pub name: String,
    /// `smtp`, `imap`, or `direct` for source to sink with no server between.
    pub protocol: String,
    pub version: String,
    /// One sentence: what its 250 promises, as configured here.
    pub promise: String,
    /// The commands that ran for this server, exactly.
    pub commands: Vec<Vec<String>>,
    /// Its configuration files, name and text.
    pub files: Vec<(String, String)>,
    /// Rounds as fast as answers come, in the order they ran.
    pub closed: Vec<Round>,
    /// Rounds at a fixed rate, for latencies.
    pub open: Vec<Round>,
    /// By number of cores.
    pub by_cores: Vec<Point>,
    /// By messages already in the queue.
    pub by_backlog: Vec<Point>,
    /// From rounds under a tracer, which slows the server: a message's share, by call.
    pub syscalls: Vec<(String, f64)>,
    /// For IMAP: rate and latency by command.
    pub imap: Vec<ImapCommand>,
    /// Why this server has no figures, where it has none.
    pub failed: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Cores, or messages queued.
    pub at: f64,
    pub round: Round,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// Messages acknowledged to the source, a second.
    pub accepted_rate: f64,
    /// Messages that reached the sink, a second, until the last had come.
    pub relayed_rate: f64,
    pub offered_rate: Option<f64>,
    pub messages: u64,
    pub acknowledgement: Latency,
    /// Of the server's whole process tree.
    pub cpu_us_per_message: f64,
    /// Written to the disk by the whole machine meanwhile.
    pub octets_written_per_message: f64,
    /// Anonymous and shared memory of the tree, at its highest.
    pub memory_own_peak: u64,
    /// Resident, at its highest: mapped files count too, shared pages once a process.
    pub memory_resident_peak: u64,
    /// Acknowledged and never seen by the sink.
    pub lost: u64,
    pub duplicates: u64,
    pub errors: Vec<Trouble>,
    /// What the source saw.
    pub accepted: Vec<Progress>,
    /// What the sink saw.
    pub relayed: Vec<Progress>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ImapCommand {
    /// `login`, `select`, `fetch-headers`, `fetch-bodies`, `append`, `store`, `search`, `idle`.
    pub name: String,
    pub count: u64,
    pub errors: u64,
    pub rate: f64,
    pub latency: Latency,
    pub cpu_us: f64,
}

/// What `ringload imap` did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Imap {
    pub command: Vec<String>,
    pub version: String,
    pub target: String,
    pub ended: Ended,
    pub seconds: f64,
    pub accounts: u64,
    pub sessions: u64,
    pub commands: Vec<ImapCommand>,
    pub troubles: Vec<Trouble>,
    pub series: Vec<Progress>,
}

/// What `ringload zone` was asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Zone {
    pub command: Vec<String>,
    pub version: String,
    pub ended: Ended,
    pub seconds: f64,
    pub queries: u64,
    pub rate: f64,
    /// By name and type, the most asked first, up to 1,000.
    pub names: Vec<Asked>,
    /// Queries for names and types that `names` does not list.
    pub others: u64,
    /// The rules, and how often each was obeyed.
    pub injected: Vec<Trouble>,
    /// What came and was no query.
    pub troubles: Vec<Trouble>,
    pub series: Vec<Progress>,
    /// User and system time of this process.
    pub cpu_seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub count: u64,
}
