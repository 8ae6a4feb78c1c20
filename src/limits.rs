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

/// Cores of one process: a queue id has eight bits for its core, and imports have one of their own.
pub const CORES_MAX: u16 = 255;

/// Whose queue ids the contents of an import have.
pub const IMPORT_CORE: u8 = 255;

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

/// Changes in one transaction; one of many messages counts as so many.
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

/// A commit does not wait any longer when nothing more came in this part of its patience. With one
/// look or two, a crowd that is complete would be taken for a flow, and made to wait each time.
pub const GATHER_LOOKS: u32 = 4;

/// Nor is it silence before so long a time: strangers do not come evenly.
pub const GATHER_SILENCE_MIN: Duration = Duration::from_micros(150);

/// A commit does not wait for more messages than these: the sync is well shared by then.
pub const GATHER_ENOUGH: usize = 32;

/// Commits after a wait in vain before one waits for more company again.
pub const GATHER_HOLD: u32 = 8;

/// How long a settled message may wait for a commit to ride along with.
pub const SETTLE_GATHER: Duration = Duration::from_millis(20);

/// Loads one core may have asked for without an answer.
pub const LOAD_IN_FLIGHT_MAX: usize = 4096;

/// Rows that one look of a core at the store reads, some 50 µs of them; what needs more is asked of
/// the thread that reads.
pub const GLANCE_ROWS: usize = 64;

/// Messages of a question that a core looks for by itself.
pub const GLANCE_MESSAGES: u32 = 8;

/// Looks in a row before a core turns to its ring again.
pub const GLANCES_IN_TURN: usize = 4;

/// A look that takes longer has waited for the disk, or for a processor.
pub const GLANCE_SLOW: Duration = Duration::from_millis(1);

/// How long a core then leaves looking to the thread that reads.
pub const GLANCE_REST: Duration = Duration::from_secs(1);

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

// ---- Mailboxes ------------------------------------------------------------------------------

/// Octets of a mailbox's whole name in UTF-8: with its account it is a key of LMDB, which has 511.
pub const MAILBOX_NAME_MAX: usize = 400;

/// Levels of a mailbox's name.
pub const MAILBOX_LEVELS_MAX: usize = 32;

/// Names of one account: mailboxes and subscriptions.
pub const FOLDERS_MAX: usize = 10_000;

/// Names in one answer of the store.
pub const FOLDERS_PAGE: usize = 256;

/// Keywords of one mailbox: a message has them as the bits of a word.
pub const KEYWORDS_MAX: usize = 64;

/// Characters of a keyword.
pub const KEYWORD_MAX: usize = 100;

/// Messages that one core has on their way to our mailboxes.
pub const LOCAL_IN_FLIGHT_MAX: usize = 64;

/// Octets of a content that are compressed together: a part is read without what is before it.
/// With the octet that says how it lies, a chunk that does not compress fills 16 rows.
pub const CONTENT_CHUNK: usize = 16 * BODY_ROW - 1;

/// Octets of a row that shares its page of LMDB with another: half of what 4096 have beside the
/// header, less the node's own 8 and 2, the key's 14 and the checksum's 4.
pub const HALF_ROW: usize = 2012;

/// Octets of an address that is a key of LMDB, which has 511.
pub const ADDRESS_KEY_MAX: usize = 480;

/// Messages that one act of IMAP or POP3 changes: everybody waits for its commit. COPY is one act
/// however many it copies, as it must be done whole or not at all (RFC 9051 §6.4.7).
pub const EDITED_AT_ONCE: usize = 1024;

/// Entries that an act on many messages has in memory together.
pub const EDITED_TOGETHER: usize = 256;

/// UIDs whose marks lie in one row.
pub const MARKS_UIDS: u32 = 1024;

/// Messages in one answer of the store.
pub const LISTED_MAX: usize = 256;

/// Runs of UIDs that one answer of the store looks through.
pub const LISTED_RUNS_MAX: usize = 4096;

/// Octets of contents in one answer of the store, its first message left aside.
pub const LISTED_OCTETS: usize = 256 * 1024;

/// Changes in one answer of the store. Messages that are told to have gone as it is forgotten when
/// are not counted.
pub const CHANGES_PAGE: usize = 1024;

/// Expunged messages of a mailbox of which it is kept when they went: some 40 octets each. A device
/// that was away for longer is told all that is not there, which takes it no further.
pub const EXPUNGES_REMEMBERED: u32 = 16_384;

/// Rows of deleted mailboxes and of expunged messages, their contents' with them, after which a
/// transaction that clears them away ends: eight megabytes. Rows of changes that are passed on the
/// way to the oldest marks count as well. The last content may go over it.
pub const CLEARED_ROWS_MAX: usize = 2048;

/// Rest between two such transactions when there is more to clear.
pub const CLEAR_REST: Duration = Duration::from_millis(10);

/// Aliases that lead to aliases. Mail for one that leads through more is put off, as is mail for
/// one with more addresses behind it than the next bound.
pub const ALIAS_DEPTH_MAX: usize = 8;

/// Addresses behind one alias, in all.
pub const ALIAS_TARGETS_MAX: usize = 100;

/// Parts of one message that are told apart; what is behind them belongs to the last.
pub const PARTS_MAX: usize = 1000;

/// Multiparts and messages within each other.
pub const PARTS_DEPTH_MAX: usize = 50;

/// Octets of a body that a search decodes and looks through at once.
pub const SEARCH_PIECE: usize = 16 * 1024;

/// Octets of one header that are looked at.
pub const HEADER_LOOKED_AT_MAX: usize = 256 * 1024;

// ---- Accounts -------------------------------------------------------------------------------

/// Octets of a password.
pub const PASSWORD_MAX: usize = 1024;

/// Threads that check passwords, each with 19 MiB while it does.
pub const SECRETS_THREADS_MAX: usize = 2;

/// Logins that may wait for those threads, over all cores: a few seconds of their work.
pub const SECRETS_WAITING_MAX: usize = 256;

/// Logins one core may have handed over without an answer.
pub const SECRETS_IN_FLIGHT_MAX: usize = 128;

/// Passwords remembered to be right, and how long at most.
pub const PASSWORDS_REMEMBERED_MAX: usize = 100_000;
pub const PASSWORD_REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// Clients whose failed logins are remembered, and how long after the last one at most.
pub const LOGIN_CLIENTS_MAX: usize = 100_000;
pub const LOGIN_FAILURES_REMEMBERED: Duration = Duration::from_secs(30 * 60);

/// Failed logins of one client that cost it no delay.
pub const LOGIN_FAILURES_FREE: u32 = 10;

/// How long a client waits after the first failed login too many; each further one doubles it.
pub const LOGIN_DELAY_FIRST: Duration = Duration::from_secs(1);

/// The longest time a client waits after a failed login.
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(2 * 60);

/// Octets of one request on the control socket: an alias with all its targets fits.
pub const CONTROL_LINE_MAX: u64 = 64 * 1024;

/// How long a command may take for its request, or to read a part of the answer.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a command waits for a store that a process holds that does not answer: it starts, it
/// stops, or it is another command.
pub const CONTROL_PATIENCE: Duration = Duration::from_secs(5);

/// The kernel's queue of commands not yet answered.
pub const CONTROL_BACKLOG: i32 = 16;

/// Questions to the store from threads that are no cores, the one of commands and the one of an
/// import: each waits for its answer.
pub const STORE_CALLERS_MAX: usize = 2;

/// Fields of one header that a listing is made of; those behind are left out.
pub const HEADER_FIELDS_MAX: usize = 256;

/// Characters of a multipart's boundary. RFC 2046 §5.1.1 allows 70, and some senders use more.
pub const BOUNDARY_MAX: usize = 200;

/// Octets of a string of ENVELOPE or BODYSTRUCTURE that is quoted; a longer one is a literal.
pub const QUOTED_MAX: usize = 1024;

/// Octets of one string of ENVELOPE or BODYSTRUCTURE; what is behind them is left out.
pub const SUMMARY_STRING_MAX: usize = 8 * 1024;

/// Octets after which a list of addresses or parameters in ENVELOPE or BODYSTRUCTURE ends.
pub const SUMMARY_LIST_MAX: usize = 64 * 1024;

/// Octets of what the headers of one message give to its listing, after which the headers of
/// its further parts are not looked at.
pub const SUMMARY_MAX: usize = 1024 * 1024;

/// Octets of a line of an mbox file that are looked at; what is behind them is only carried.
pub const MBOX_LINE_SEEN: usize = 1024;

// ---- Backup ---------------------------------------------------------------------------------

/// Octets of rows after which a block of a backup ends.
pub const BACKUP_BLOCK: usize = 256 * 1024;

/// Octets of a block's payload, and of what it unpacks to: its last row may be long.
pub const BACKUP_BLOCK_MAX: usize = 16 * 1024 * 1024;

/// Octets after which a segment ends; the unit that reaches them is still in it.
pub const BACKUP_SEGMENT: u64 = 64 * 1024 * 1024;

/// Segments below half that size; when there are more they are put together.
pub const BACKUP_SMALL_MAX: usize = 32;

/// Octets of a segment that wait for their sync: few, as the server's commits wait behind them.
pub const BACKUP_UNSYNCED: u64 = 1024 * 1024;

/// How long a backup copies contents before it rests for so many times as long, where a server
/// is at work.
pub const BACKUP_TURN: Duration = Duration::from_millis(20);
pub const BACKUP_REST: u32 = 3;

/// Octets of rows that a restore puts in one transaction.
pub const RESTORED_TOGETHER: usize = 4 * 1024 * 1024;

/// What a restore adds to a UIDVALIDITY, some times over: more than there are mailboxes made in
/// the years of an installation.
pub const RESTORED_VALIDITY: u32 = 1 << 20;

/// Octets of a message that are read at once to be exported or imported.
pub const EXPORT_PIECE: usize = 4 * CONTENT_CHUNK;

/// Octets of a folder's name as that of a file; with what is put behind it a file system takes it.
pub const EXPORT_NAME_MAX: usize = 200;

/// Messages imported in one transaction.
pub const IMPORT_TOGETHER: usize = 64;

/// How long a server that takes an import waits for more of it.
pub const IMPORT_PATIENCE: Duration = Duration::from_secs(60);

/// Octets that a command hands over at once to a server that imports.
pub const IMPORT_FRAME_MAX: usize = 512 * 1024;

/// Ids of contents or bodies that one look at the store brings.
pub const BACKUP_PAGE: usize = 1024;

// ---- IMAP and POP3 --------------------------------------------------------------------------

/// One line of a command, its literals left aside. RFC 7162 §4 asks for 8192 octets; clients send
/// long sets of UIDs.
pub const IMAP_LINE_MAX: usize = 64 * 1024;

/// Octets of one command with its literals, what APPEND brings left aside.
pub const IMAP_COMMAND_MAX: usize = 128 * 1024;

/// Octets of commands before login.
pub const IMAP_COMMAND_STRANGER_MAX: usize = 8 * 1024;

/// Octets of a literal's header at the end of its line: a number of 20 digits and what is around
/// it.
pub const IMAP_LITERAL_HEADER_MAX: usize = 26;

/// Octets of one command that are read over because it will not be carried out, its literals with
/// them; a client that sends more is let go.
pub const IMAP_SKIP_MAX: u64 = 64 * 1024 * 1024;

/// The same before login.
pub const IMAP_SKIP_STRANGER_MAX: u64 = 128 * 1024;

/// Fields of one ID command, RFC 2971 §3.3.
pub const ID_FIELDS_MAX: usize = 30;

/// Words of a list in one command that has no bound of its own: header fields, capabilities.
pub const IMAP_WORDS_MAX: usize = 500;

/// Ranges in one set of sequence numbers or UIDs.
pub const IMAP_SET_MAX: usize = 16 * 1024;

/// How long a client may take for each step of its login.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client that has logged in may be silent. RFC 9051 §5.4: 30 minutes at least.
pub const IMAP_IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Octets of a client's compressed commands that are inflated in one step.
pub const INFLATED_ROOM: usize = 16 * 1024;

/// Octets of them after which other clients have their turn.
pub const INFLATED_AT_ONCE: usize = 4 * INFLATED_ROOM;

/// Messages in one APPEND (RFC 3502).
pub const APPEND_MESSAGES_MAX: usize = 1000;

/// Keys in one SEARCH, and how deep they may lie within each other.
pub const SEARCH_KEYS_MAX: usize = 1000;
pub const SEARCH_DEPTH_MAX: usize = 50;

/// Items of one FETCH.
pub const FETCH_ITEMS_MAX: usize = 200;

/// Patterns of one LIST.
pub const LIST_PATTERNS_MAX: usize = 100;

/// A POP3 client's line with its CRLF. RFC 2449 §4 asks for 255; the base64 of a SASL response is
/// longer.
pub const POP3_LINE_MAX: usize = 2048;

/// Messages that one POP3 session lists, the oldest ones: a session holds four octets for each.
pub const POP3_MESSAGES_MAX: u32 = 100_000;

/// Commands before a login, and after it those that are none, before the session ends.
pub const POP3_VAIN_MAX: u32 = 100;

/// Failed logins, after which a POP3 session ends.
pub const POP3_LOGINS_MAX: u32 = 3;

/// How long a POP3 client may be silent: RFC 1939 §3 asks for ten minutes at least.
pub const POP3_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Octets put out that a POP3 client has not taken yet, beyond which it gets no more: one part of
/// a message is on its way while the next is being read.
pub const POP3_BACKLOG_MAX: usize = 2 * CONTENT_CHUNK;

/// Octets of a message below which they are copied behind the text of a reply.
pub const SLICE_MIN: usize = 512;

/// Octets put out that a client may leave untaken before its command waits for it.
pub const IMAP_UNSENT_MAX: usize = 256 * 1024;

/// Commands in a row that cannot be understood, after which it is BYE.
pub const IMAP_ERRORS_MAX: u32 = 20;

/// Failed logins of one connection.
pub const LOGIN_FAILURES_MAX: u32 = 3;

/// Octets of a pattern of LIST in UTF-8, and of its reference: twice what a name has.
pub const LIST_PATTERN_MAX: usize = 2 * MAILBOX_NAME_MAX;

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
pub const INBOX_RESERVED: usize =
    STORE_IN_FLIGHT_MAX + LOAD_IN_FLIGHT_MAX + SECRETS_IN_FLIGHT_MAX + 1024;

const _: () = assert!(PATH_MAX < COMMAND_LINE_MAX);
const _: () = assert!(COMMAND_ROOM < IMAP_UNSENT_MAX && LISTED_OCTETS <= IMAP_UNSENT_MAX);
const _: () = assert!(8 + MAILBOX_NAME_MAX < 511 && KEYWORDS_MAX <= 64);
const _: () = assert!(4 * (LOCAL_PART_MAX + 1 + DOMAIN_MAX) < POP3_LINE_MAX);
const _: () = assert!(CONTENT_CHUNK <= LISTED_OCTETS && SLICE_MIN < CONTENT_CHUNK);
const _: () = assert!(QUOTED_MAX <= SUMMARY_STRING_MAX && SUMMARY_STRING_MAX <= SUMMARY_LIST_MAX);
const _: () = assert!(SUMMARY_LIST_MAX < SUMMARY_MAX && BOUNDARY_MAX < SUMMARY_STRING_MAX);
const _: () = assert!(PARTS_DEPTH_MAX < u8::MAX as usize && PARTS_DEPTH_MAX < PARTS_MAX);
const _: () = assert!(LOCAL_PART_MAX + 1 + DOMAIN_MAX <= ADDRESS_KEY_MAX && ADDRESS_KEY_MAX < 511);
const _: () = assert!(HALF_ROW < BODY_ROW && MARKS_UIDS.is_multiple_of(u64::BITS));
const _: () =
    assert!(IMAP_LINE_MAX <= IMAP_COMMAND_MAX && IMAP_COMMAND_STRANGER_MAX <= IMAP_LINE_MAX);
const _: () = assert!(IMAP_LITERAL_HEADER_MAX < IMAP_COMMAND_STRANGER_MAX);
const _: () = assert!(REPLY_LINE_MAX < REPLY_GATHERED_MAX && REPLY_TEXT_KEPT < REPLY_GATHERED_MAX);
const _: () = assert!(LOCAL_PART_MAX + 1 + DOMAIN_MAX < COMMAND_LINE_MAX);
const _: () = assert!(ORCPT_MAX + PATH_MAX + 64 < COMMAND_LINE_MAX);
const _: () = assert!(COMMAND_ROOM <= BODY_ROOM_FIRST && BODY_ROOM_FIRST <= BODY_ROOM_MAX);
const _: () = assert!(BODY_PIECE_MIN <= BODY_ROOM_FIRST && BODY_ROW <= BODY_ROOM_MAX);
const _: () = assert!(SPOOL_THRESHOLD <= SPOOL_IN_FLIGHT_MAX);
const _: () = assert!(SPOOL_IN_FLIGHT_MAX < BODY_MEMORY_MAX);
const _: () = assert!(BODY_ROW + CHECKSUM + 16 == 4096);
const _: () = assert!(EDITED_AT_ONCE <= BATCH_CHANGES_MAX);
const _: () = assert!(GATHER_COMPANY <= GATHER_ENOUGH && GATHER_ENOUGH <= BATCH_CHANGES_MAX);
const _: () = assert!(SPOOL_THRESHOLD <= BATCH_BYTES_MAX);
const _: () = assert!(MAP_SIZE_MIN <= MAP_SIZE_MAX);
const _: () = assert!(RECIPIENTS_MAX <= PARCELS_MAX);
const _: () = assert!(PAGE_PARCELS <= WINDOW_LOW && WINDOW_LOW < WINDOW_PER_DESTINATION);
const _: () = assert!(WINDOW_PER_DESTINATION < WINDOW_MAX);
const _: () =
    assert!(GATHER_SILENCE_MIN.as_micros() * (GATHER_LOOKS as u128) < COMMIT_GATHER.as_micros());
const _: () = assert!(COMMIT_GATHER.as_micros() < SETTLE_GATHER.as_micros());
const _: () = assert!(1 + 2 * MX_MAX < DNS_IN_FLIGHT_MAX);
const _: () = assert!(DNS_CACHE_SWEEP < DNS_CACHE_ENTRIES_MIN);
const _: () = assert!(
    (ALIAS_TARGETS_MAX + 2) * (LOCAL_PART_MAX + DOMAIN_MAX + 8) < CONTROL_LINE_MAX as usize
);
const _: () = assert!(INBOX_RESERVED < INBOX_MAX);
const _: () = assert!(SECRETS_IN_FLIGHT_MAX <= SECRETS_WAITING_MAX);
const _: () = assert!(LOGIN_DELAY_FIRST.as_micros() < LOGIN_DELAY_MAX.as_micros());
const _: () = assert!(LOGIN_DELAY_MAX.as_micros() < LOGIN_FAILURES_REMEMBERED.as_micros() / 2);
const _: () = assert!(DNS_PAYLOAD as usize <= DATAGRAM_ROOM);
const _: () = assert!(SEND_PIECES_MAX <= 1024);
const _: () = assert!(RING_ENTRIES.is_power_of_two() && RING_COMPLETIONS <= 65_536);
const _: () = assert!(LINGER.as_micros() < WRITE_TIMEOUT.as_micros());
const _: () = assert!(SPACE_FLOOR_MIN < SPACE_FLOOR_MAX);
const _: () = assert!(CORES_MAX <= IMPORT_CORE as u16);
const _: () = assert!(KEYWORDS_MAX * (KEYWORD_MAX + 8) + 100 < IMPORT_FRAME_MAX);
const _: () = assert!(BACKUP_BLOCK + 4 * SUMMARY_MAX < BACKUP_BLOCK_MAX);
const _: () = assert!((BACKUP_BLOCK as u64) < BACKUP_UNSYNCED && BACKUP_UNSYNCED < BACKUP_SEGMENT);
