//! Every bound of the relay, in one place, with the relations between them asserted.
//!
//! A bound that an operator may set has its default in `config`; here are the ones that hold
//! whatever the configuration says. Sizes are octets, times are `Duration`s.

use std::time::Duration;

// ---- SMTP, server and client --------------------------------------------------------------

/// A command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512; SMTPUTF8, DSN's ORCPT
/// (RFC 3461 §4.2: 500 more) and AUTH's initial response (RFC 4954 §4: 12288) ask for more.
pub const COMMAND_LINE_MAX: usize = 2048;

/// A reply line of a next hop with its CRLF. RFC 5321 §4.5.3.1.5 asks for 512.
pub const REPLY_LINE_MAX: usize = 2048;

/// Lines in one reply of a next hop; a flood of continuation lines ends the connection.
pub const REPLY_LINES_MAX: usize = 128;

/// Octets gathered of one reply of several lines; more is read and forgotten. EHLO's list of
/// extensions is the longest that matters.
pub const REPLY_GATHERED_MAX: usize = 16 * 1024;

/// What is kept of a next hop's reply text for the log, the queue and reports.
pub const REPLY_TEXT_KEPT: usize = 512;

/// How long a next hop may take to answer DATA, RFC 5321 §4.5.3.2.4.
pub const DATA_INITIATION_TIMEOUT: Duration = Duration::from_secs(120);

/// Room for the commands of a transaction to begin with; a session uses it again and again.
pub const COMMANDS_ROOM: usize = 1024;
/// RFC 5322 §2.1.1: octets of a line of text without its CRLF, in the mail that we write.
pub const TEXT_LINE_MAX: usize = 998;

/// RFC 5321 §4.5.3.1.1, in octets.
pub const LOCAL_PART_MAX: usize = 64;

/// RFC 5321 §4.5.3.1.2, in octets.
pub const DOMAIN_MAX: usize = 255;

/// RFC 5321 §4.5.3.1.3 with its angle brackets: 256.
pub const PATH_MAX: usize = 256;

/// RFC 3461 §4.4: ENVID of at most 100 characters.
pub const ENVID_MAX: usize = 100;

/// RFC 3461 §4.2: ORCPT of at most 500 characters.
pub const ORCPT_MAX: usize = 500;

/// Commands without mail in one session (NOOP, RSET, VRFY, HELP, EHLO), after which it is 421.
pub const IDLE_COMMANDS_MAX: u32 = 1000;

/// Replies gathered for pipelined commands before the session is made to wait for the client.
pub const REPLY_BACKLOG_MAX: usize = 64 * 1024;

/// Octets of replies after which the kernel is asked to tell when they are with it.
pub const SENT_REPORT_EVERY: usize = 4096;

/// Octets of a BDAT chunk that is too big that are read to keep the session; a chunk beyond
/// that ends it.
pub const CHUNK_SKIP_MAX: u64 = 1024 * 1024;

/// A `Message-ID` longer than this is cut in the log.
pub const MESSAGE_ID_KEPT: usize = 256;

// ---- Connections and memory --------------------------------------------------------------

/// Room of a read while a session waits for a command: 10,000 idle sessions fit in memory.
pub const COMMAND_ROOM: usize = 1024;

/// Room of the first read of a body whose size the client did not declare.
pub const BODY_ROOM_FIRST: usize = 8 * 1024;

/// Room of a read of a large body.
pub const BODY_ROOM_MAX: usize = 64 * 1024;

/// A read of a body below this is copied behind the one before it: a client that trickles octets
/// would else keep a whole read buffer alive for each of them.
pub const BODY_PIECE_MIN: usize = 1024;

/// Part of a body held in memory before it goes to disk in parts, ahead of the commit.
pub const SPOOL_THRESHOLD: usize = 512 * 1024;

/// Octets of one message on their way to the disk before its sender is made to wait.
pub const SPOOL_IN_FLIGHT_MAX: usize = 2 * SPOOL_THRESHOLD;

/// Memory for bodies, over all cores: received and not yet committed, or kept for delivery. A
/// second or two of heavy traffic; what stays longer is read from disk when its turn comes.
pub const BODY_MEMORY_MAX: usize = 64 * 1024 * 1024;

/// A body is read from disk for delivery in parts of this size.
pub const LOAD_BODY_MAX: usize = 256 * 1024;

/// Inbound connections of one core, whatever the descriptors allow.
pub const INBOUND_PER_CORE_MAX: usize = 65_536;

/// Outbound connections of one core.
pub const OUTBOUND_PER_CORE_MAX: usize = 4096;

/// Descriptors kept back from accepting: the store, listeners, DNS sockets, the log.
pub const DESCRIPTORS_RESERVED: usize = 128;

/// How long accepting rests when descriptors ran out all the same.
pub const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How long dialing rests when descriptors ran out.
pub const DIAL_REST: Duration = Duration::from_secs(1);

/// How often the log tells at most that descriptors are short.
pub const SHORTAGE_REST: Duration = Duration::from_secs(60);

/// The kernel's queue of connections not yet accepted, a listener.
pub const LISTEN_BACKLOG: u32 = 1024;

/// How long a start waits for a listener's address that is in use.
pub const LISTEN_PATIENCE: Duration = Duration::from_secs(3);

/// How often it looks.
pub const LISTEN_RETRY: Duration = Duration::from_millis(50);

/// How long a connection that we close may take to take our last words and close its side.
pub const LINGER: Duration = Duration::from_secs(2);

/// A message to a stalled reader: how long one write may take.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// Cores of one process: a queue id has eight bits for its core.
pub const CORES_MAX: u16 = 256;

/// Ring operations one core may have submitted and not yet seen taken (the submission queue).
pub const RING_ENTRIES: u32 = 4096;

/// Completions the ring holds until they are looked at; beyond it the kernel keeps a list.
pub const RING_COMPLETIONS: u32 = 8 * RING_ENTRIES;

/// Pieces gathered into one send; the kernel takes 1024.
pub const SEND_PIECES_MAX: usize = 256;

/// Accepts under way on each listener of a core: so many clients enter in one turn of its loop.
pub const ACCEPTS_IN_FLIGHT: usize = 4;

// ---- Store ---------------------------------------------------------------------------------

/// Body octets in one row: with the row's checksum and LMDB's 16 octets of page header, one page
/// of 4096, so that a body never needs a run of free pages.
pub const BODY_ROW: usize = 4076;

/// Octets of the checksum behind each row of a body and each record.
pub const CHECKSUM: usize = 4;

/// Changes one core may have handed to the store without an answer.
pub const STORE_IN_FLIGHT_MAX: usize = 8 * 1024;

/// Changes in one transaction.
pub const BATCH_CHANGES_MAX: usize = 2048;

/// Octets of bodies in one transaction: LMDB holds its dirty pages in memory.
pub const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a commit may wait for company when the last one had company.
pub const COMMIT_GATHER: Duration = Duration::from_millis(2);

/// No commit waits longer for company than so many of the last commits took, the time in which its
/// oldest message waited for the one before included.
pub const GATHER_COMMITS: u32 = 2;

/// Messages in one commit that show that more than one client is sending.
pub const GATHER_COMPANY: usize = 2;

/// Nothing more came for so long: a commit does not wait any longer.
pub const GATHER_SILENCE: Duration = Duration::from_millis(1);

/// A commit does not wait for more messages than these: the sync is well shared by then.
pub const GATHER_ENOUGH: usize = 32;

/// Commits after a wait in vain before one waits for more company again.
pub const GATHER_HOLD: u32 = 8;

/// How long a settled message may wait for a commit to ride along with.
pub const SETTLE_GATHER: Duration = Duration::from_millis(20);

/// Loads one core may have asked for without an answer.
pub const LOAD_IN_FLIGHT_MAX: usize = 4096;

/// Readers of the store's map at one time.
pub const STORE_READERS_MAX: u32 = 126;

/// Octets of files mapped into memory beyond which the store's pages are let go: the kernel
/// keeps them cached, but they would count as ours.
pub const MAP_RESIDENT_MAX: u64 = 32 * 1024 * 1024;

/// Rows read or written between two looks at what is mapped.
pub const MAP_RESIDENT_ROWS: u32 = 256;

/// The store's map when the disk decides: at least, whatever small disk it begins on.
pub const MAP_SIZE_MIN: u64 = 1024 * 1024 * 1024;

/// The store's map when the disk decides: at most, for an address space of 47 bits.
pub const MAP_SIZE_MAX: u64 = 16 * 1024 * 1024 * 1024 * 1024;

/// The smallest free space below which mail is refused, in octets.
pub const SPACE_FLOOR_MIN: u64 = 4 * 1024 * 1024;

/// The largest free space below which mail is refused, in octets.
pub const SPACE_FLOOR_MAX: u64 = 1024 * 1024 * 1024;

/// How often the store looks at the space that is left.
pub const SPACE_CHECK: Duration = Duration::from_millis(500);

// ---- Queue ---------------------------------------------------------------------------------

/// Recipients of one parcel, that is of one transaction with the next hop. RFC 5321 §4.5.3.1.8
/// obliges every server to take 100.
pub const PARCEL_RECIPIENTS_MAX: usize = 100;

/// Parcels of one message.
pub const PARCELS_MAX: usize = u16::MAX as usize;

/// Recipients of one message that a configuration may allow.
pub const RECIPIENTS_MAX: usize = 50_000;

/// Parcels one core holds in memory; the rest waits on disk.
pub const WINDOW_MAX: usize = 32 * 1024;

/// Parcels of one destination in memory, fresh and deferred each.
pub const WINDOW_PER_DESTINATION: usize = 4096;

/// A page of due parcels, read from disk at once.
pub const PAGE_PARCELS: usize = 512;

/// A destination's window is filled again from disk below this.
pub const WINDOW_LOW: usize = 1024;

/// How long a fresh parcel belongs to the memory it was handed to, before a scan may find it.
pub const FRESH_LEASE: Duration = Duration::from_secs(10);

/// Destinations a core remembers to be due at a time; more are found by the next scan.
pub const AGENDA_MAX: usize = 65_536;

/// How often a core looks through the destinations on disk for any it does not remember.
pub const AGENDA_PASS: Duration = Duration::from_secs(30);

/// That look may take one part in so many of the time.
pub const AGENDA_REST: u32 = 20;

/// How long a page that could not be read is left alone.
pub const PAGE_REST: Duration = Duration::from_secs(5);

/// Octets of bodies that come along with a page.
pub const PAGE_BODIES: usize = 4 * 1024 * 1024;

/// Destinations read in one step of that look.
pub const AGENDA_PAGE: usize = 256;

/// A next hop that is down is not tried again for at most this long.
pub const DESTINATION_BACKOFF_MAX: Duration = Duration::from_secs(30 * 60);

/// A report returns a whole message (RET=FULL) of up to this size, and headers up to it.
pub const REPORT_RETURN_MAX: usize = 64 * 1024;

// ---- DNS -----------------------------------------------------------------------------------

/// Names being looked up by one core at a time.
pub const DNS_IN_FLIGHT_MAX: usize = 1024;

/// Addresses tried for one delivery attempt. RFC 5321 §5.1 asks for at least two.
pub const HOSTS_MAX: usize = 16;

/// MX records looked at in one answer.
pub const MX_MAX: usize = 32;

/// CNAME links followed. RFC 1034 asks for a limit and names none.
pub const CNAME_MAX: usize = 8;

/// The EDNS payload size that passes most paths unfragmented.
pub const DNS_PAYLOAD: u16 = 1232;

/// Room for one datagram: more than we tell servers to send, as some do not listen.
pub const DATAGRAM_ROOM: usize = 4096;

/// Rounds over all servers before a look-up has failed.
pub const DNS_ROUNDS: usize = 2;

/// Next hops that may wait for answers: as many as there are parcels in memory.
pub const DNS_WAITING_MAX: usize = WINDOW_MAX;

/// How long it is remembered that no server answered, or that an answer must not be kept.
pub const DNS_UNANSWERED_TTL: Duration = Duration::from_secs(5);

/// A cache below this could lose a next hop's first answers before its last are there.
pub const DNS_CACHE_ENTRIES_MIN: usize = 4 * DNS_IN_FLIGHT_MAX;

/// Cache entries looked at to make room for one.
pub const DNS_CACHE_SWEEP: usize = 64;

/// Name servers asked in turn.
pub const DNS_SERVERS_MAX: usize = 8;

// ---- Configuration -------------------------------------------------------------------------

pub const LISTENERS_MAX: usize = 64;

/// A next hop names its route in 16 bits.
pub const ROUTES_MAX: usize = u16::MAX as usize;

/// Networks or domains in one list.
pub const CONFIG_LIST_MAX: usize = 100_000;

/// A whole number that has no bound of its own.
pub const CONFIG_NUMBER_MAX: usize = u32::MAX as usize;

/// A time; ten years. Instants and factors stay far from overflow.
pub const CONFIG_TIME_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

/// A size: 64 TiB, less than the addresses of a process.
pub const CONFIG_SIZE_MAX: u64 = 64 << 40;

// ---- Shell ---------------------------------------------------------------------------------

/// Log lines that may wait for the terminal or the journal; more are counted and dropped.
pub const LOG_QUEUE: usize = 64 * 1024;

/// How long the log waits for more lines before it writes: a core wakes it once in that time.
pub const LOG_GATHER: Duration = Duration::from_millis(20);

/// Inputs taken from an inbox before the ring has its turn.
pub const INBOX_TURN: usize = 256;

/// The shortest sleep before a wake-up: what is due already waits for it, and none can spin.
pub const WAKE_MIN: Duration = Duration::from_millis(1);

/// How often the main thread looks whether the store still works.
pub const SUPERVISE: Duration = Duration::from_millis(500);

/// Octets of log lines written at once.
pub const LOG_PART: usize = 64 * 1024;

/// How long the end of the process waits for whoever reads the log.
pub const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// Inputs that may wait for one core from other threads.
pub const INBOX_MAX: usize = 32 * 1024;

/// The part of an inbox kept for answers of the store and the operator's signals; what other
/// cores hand over may fill the rest.
pub const INBOX_RESERVED: usize = STORE_IN_FLIGHT_MAX + LOAD_IN_FLIGHT_MAX + 1024;

const _: () = assert!(PATH_MAX < COMMAND_LINE_MAX);
const _: () = assert!(REPLY_LINE_MAX < REPLY_GATHERED_MAX && REPLY_TEXT_KEPT < REPLY_GATHERED_MAX);
const _: () = assert!(LOCAL_PART_MAX + 1 + DOMAIN_MAX < COMMAND_LINE_MAX);
const _: () = assert!(ORCPT_MAX + PATH_MAX + 64 < COMMAND_LINE_MAX);
const _: () = assert!(COMMAND_ROOM <= BODY_ROOM_FIRST && BODY_ROOM_FIRST <= BODY_ROOM_MAX);
const _: () = assert!(BODY_PIECE_MIN <= BODY_ROOM_FIRST && BODY_ROW <= BODY_ROOM_MAX);
const _: () = assert!(SPOOL_THRESHOLD <= SPOOL_IN_FLIGHT_MAX);
const _: () = assert!(SPOOL_IN_FLIGHT_MAX < BODY_MEMORY_MAX);
const _: () = assert!(BODY_ROW + CHECKSUM + 16 == 4096);
const _: () = assert!(GATHER_COMPANY <= GATHER_ENOUGH && GATHER_ENOUGH <= BATCH_CHANGES_MAX);
const _: () = assert!(SPOOL_THRESHOLD <= BATCH_BYTES_MAX);
const _: () = assert!(MAP_SIZE_MIN <= MAP_SIZE_MAX);
const _: () = assert!(RECIPIENTS_MAX <= PARCELS_MAX);
const _: () = assert!(PAGE_PARCELS <= WINDOW_LOW && WINDOW_LOW < WINDOW_PER_DESTINATION);
const _: () = assert!(WINDOW_PER_DESTINATION < WINDOW_MAX);
const _: () = assert!(GATHER_SILENCE.as_micros() < COMMIT_GATHER.as_micros());
const _: () = assert!(COMMIT_GATHER.as_micros() < SETTLE_GATHER.as_micros());
const _: () = assert!(1 + 2 * MX_MAX < DNS_IN_FLIGHT_MAX);
const _: () = assert!(DNS_CACHE_SWEEP < DNS_CACHE_ENTRIES_MIN);
const _: () = assert!(INBOX_RESERVED < INBOX_MAX);
const _: () = assert!(DNS_PAYLOAD as usize <= DATAGRAM_ROOM);
const _: () = assert!(SEND_PIECES_MAX <= 1024);
const _: () = assert!(RING_ENTRIES.is_power_of_two() && RING_COMPLETIONS <= 65_536);
const _: () = assert!(LINGER.as_micros() < WRITE_TIMEOUT.as_micros());
const _: () = assert!(SPACE_FLOOR_MIN < SPACE_FLOOR_MAX);
