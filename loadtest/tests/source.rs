//! `ringload source` against a small server of threads that does as it is told.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use ringload::{
    outcome::{Ended, Line, Source},
    tls,
};
use rustls::{ServerConnection, StreamOwned};

/// What the server does beside taking messages.
#[derive(Clone, Default)]
struct Conduct {
    /// Before each answer to a whole message.
    delay: Duration,
    /// Before the answer to the first message of all.
    stall: Duration,
    /// Every so many-th MAIL is answered by 451.
    refuses_mail: Option<u64>,
    /// Every so many-th message is answered by the end of the connection.
    drops_end: Option<u64>,
    /// Every so many-th DATA is answered by the end of the connection.
    drops_data: Option<u64>,
    /// Offered at EHLO.
    starttls: bool,
    implicit_tls: bool,
    /// What AUTH PLAIN must say.
    login: Option<&'static str>,
    /// Before each answer to RCPT.
    thinks: Duration,
    /// Takes the connection and says nothing.
    silent: bool,
}

/// A message as the server took it.
#[derive(Clone, Debug)]
struct Taken {
    id: String,
    octets: usize,
    recipients: Vec<String>,
}

struct Server {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

#[derive(Default)]
struct Counters {
    mails: AtomicU64,
    ends: AtomicU64,
    datas: AtomicU64,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Server {
    fn start(conduct: Conduct) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (list, counters) = (taken.clone(), Arc::new(Counters::default()));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (conduct, list, counters) = (conduct.clone(), list.clone(), counters.clone());
                thread::spawn(move || {
                    // A client that has gone is no fault of the server.
                    let _ = serve(client.unwrap(), &conduct, &list, &counters);
                });
            }
        });
        Server { address, taken }
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

fn secured(client: TcpStream) -> Box<dyn Stream> {
    let config = tls::server_config().unwrap();
    Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), client))
}

fn serve(
    client: TcpStream,
    conduct: &Conduct,
    list: &Mutex<Vec<Taken>>,
    counters: &Counters,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let raw = client.try_clone()?;
    let stream: Box<dyn Stream> =
        if conduct.implicit_tls { secured(client) } else { Box::new(client) };
    let mut peer = BufReader::new(stream);
    if conduct.silent {
        peer.read_to_end(&mut Vec::new())?;
        return Ok(());
    }
    let every = |count: &AtomicU64, nth: Option<u64>| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        nth.is_some_and(|nth| number.is_multiple_of(nth))
    };
    let (mut recipients, mut has_mail) = (Vec::new(), false);
    say(&mut peer, "220 test")?;
    loop {
        let mut line = String::new();
        if peer.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.strip_suffix("\r\n").expect("a command ends with CRLF");
        let word = line.split([' ', ':']).next().unwrap();
        let octets = match word {
            "EHLO" => {
                say(&mut peer, "250-test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-AUTH PLAIN")?;
                let last = if conduct.starttls { "250 STARTTLS" } else { "250 8BITMIME" };
                say(&mut peer, last)?;
                continue;
            }
            "STARTTLS" => {
                say(&mut peer, "220 go")?;
                peer = BufReader::new(secured(raw.try_clone()?));
                continue;
            }
            "AUTH" => {
                let is_right = conduct.login.is_some_and(|login| line.ends_with(login));
                say(&mut peer, if is_right { "235 ok" } else { "535 5.7.8 no" })?;
                continue;
            }
            "MAIL" => {
                recipients.clear();
                has_mail = !every(&counters.mails, conduct.refuses_mail);
                say(&mut peer, if has_mail { "250 ok" } else { "451 4.3.0 not now" })?;
                continue;
            }
            "RCPT" => {
                thread::sleep(conduct.thinks);
                if has_mail {
                    let address = line.trim_start_matches("RCPT TO:<").trim_end_matches('>');
                    recipients.push(address.to_owned());
                }
                say(&mut peer, if has_mail { "250 ok" } else { "503 MAIL first" })?;
                continue;
            }
            "DATA" if !has_mail => {
                say(&mut peer, "503 MAIL first")?;
                continue;
            }
            "DATA" => {
                if every(&counters.datas, conduct.drops_data) {
                    return raw.shutdown(std::net::Shutdown::Both);
                }
                say(&mut peer, "354 go")?;
                data(&mut peer)?
            }
            "BDAT" => {
                let size: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
                let mut octets = vec![0; size];
                peer.read_exact(&mut octets)?;
                octets
            }
            "RSET" => {
                say(&mut peer, "250 ok")?;
                continue;
            }
            "QUIT" => return say(&mut peer, "221 bye"),
            _ => panic!("no command: {line}"),
        };
        let is_first = counters.ends.load(Ordering::SeqCst) == 0;
        let drops = every(&counters.ends, conduct.drops_end);
        thread::sleep(if is_first { conduct.stall.max(conduct.delay) } else { conduct.delay });
        if drops {
            return raw.shutdown(std::net::Shutdown::Both);
        }
        let text = String::from_utf8(octets).unwrap();
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().into();
        let message = Taken { id, octets: text.len(), recipients: recipients.split_off(0) };
        list.lock().unwrap().push(message);
        has_mail = false;
        say(&mut peer, "250 taken")?;
    }
}

fn say(peer: &mut BufReader<Box<dyn Stream>>, reply: &str) -> std::io::Result<()> {
    peer.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
    peer.get_mut().flush()
}

/// A message of DATA, dots taken off.
fn data(peer: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    loop {
        let mut line = Vec::new();
        if peer.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(octets);
        }
        octets.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

fn started(address: SocketAddr, options: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["source", &address.to_string(), "--json", "--deadline", "30s", "--run", "t"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Its result, or what it said on the way out.
fn ended(child: Child) -> (ExitStatus, Result<Source, String>) {
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let result = stdout.lines().last().and_then(|line| match serde_json::from_str(line).unwrap() {
        Line::Result(source) => Some(source),
        Line::Listening { .. } | Line::Progress(_) => None,
    });
    (output.status, result.ok_or_else(|| String::from_utf8(output.stderr).unwrap()))
}

fn offered(server: &Server, options: &[&str]) -> Source {
    let (status, result) = ended(started(server.address, options));
    assert!(status.success(), "{result:?}");
    result.unwrap()
}

fn ids(taken: &[Taken]) -> BTreeSet<&str> {
    taken.iter().map(|message| message.id.as_str()).collect()
}

#[test]
fn every_manner_of_sending_brings_every_message_once() {
    let manners: &[&[&str]] = &[
        &["--pipelining", "off"],
        &["--pipelining", "on"],
        &["--pipelining", "chain"],
        &["--bdat"],
        &["--bdat", "--pipelining", "off"],
        &["--cores", "2", "--pipelining", "chain", "--messages-per-session", "7"],
    ];
    for manner in manners {
        let server = Server::start(Conduct::default());
        let load =
            ["--sessions", "5", "--messages", "300", "--size", "3KiB,9001", "--recipients", "2"];
        let source = offered(&server, &[&load[..], manner].concat());
        let taken = server.taken();
        assert_eq!(source.acknowledged, 300, "{manner:?}: {source:?}");
        assert_eq!(source.recipients_acknowledged, 600);
        assert_eq!(source.acknowledged_ids, [(0, 299)]);
        assert_eq!(source.acknowledgement.count, 300);
        assert_eq!(source.ended, Ended::Count);
        assert_eq!(source.octets, taken.iter().map(|message| message.octets as u64).sum::<u64>());
        assert!(source.troubles.is_empty(), "{manner:?}: {:?}", source.troubles);
        assert_eq!((taken.len(), ids(&taken).len()), (300, 300), "{manner:?}");
        for message in &taken {
            assert!(matches!(message.octets, 3072 | 9001), "{manner:?}: {}", message.octets);
            assert_eq!(message.recipients, ["r0@dst.example", "r1@dst.example"]);
        }
        let is_short = manner.contains(&"--messages-per-session");
        assert!(if is_short { source.connections >= 43 } else { source.connections == 5 });
    }
}

#[test]
fn the_same_seed_sends_the_same_messages() {
    let options =
        ["--messages", "50", "--sessions", "3", "--domains", "20", "--size", "1KiB,2KiB,3KiB"];
    let run = |seed: &str| {
        let server = Server::start(Conduct::default());
        offered(&server, &[&options[..], &["--seed", seed]].concat());
        let mut taken = server.taken();
        taken.sort_by(|a, b| a.id.cmp(&b.id));
        format!("{taken:?}")
    };
    let first = run("4");
    assert_eq!(first, run("4"));
    assert_ne!(first, run("5"));
}

#[test]
fn latency_holds_the_delay_of_the_server() {
    let delay = Duration::from_millis(30);
    let server = Server::start(Conduct { delay, ..Conduct::default() });
    for options in [&["--messages", "40"][..], &["--rate", "200", "--duration", "500ms"]] {
        let source = offered(&server, &[&["--sessions", "10"][..], options].concat());
        assert!(source.acknowledgement.min_us >= 30_000.0, "{:?}", source.acknowledgement);
        assert!(source.acknowledgement.p50_us >= 30_000.0);
        assert!(source.greeting.count == 10 && source.greeting.p50_us < 30_000.0 * 100.0);
    }
}

#[test]
fn an_open_loop_offers_its_rate_and_no_more() {
    for arrivals in ["even", "poisson"] {
        let server = Server::start(Conduct::default());
        let options = ["--rate", "100/s", "--duration", "2s", "--arrivals", arrivals];
        let source = offered(&server, &[&["--sessions", "20"][..], &options].concat());
        assert_eq!(source.offered_rate, Some(100.0));
        assert_eq!(source.ended, Ended::Duration);
        // Poisson: 200 give or take 14; the seed is fixed, so that this is no game of chance.
        let expected = if arrivals == "even" { 200..=200 } else { 150..=250 };
        assert!(expected.contains(&source.acknowledged), "{arrivals}: {}", source.acknowledged);
        assert!(source.seconds >= 1.5, "{arrivals}: {}", source.seconds);
        assert!(source.rate <= source.acknowledged as f64 / 1.5);
    }
}

/// A single session at 100 a second meets a stall of half a second: the 50 messages that were due
/// meanwhile waited, and their latencies say so. Counted from when they were sent they would be
/// as short as ever, and only one of them long.
#[test]
fn a_stall_shows_in_the_latency_of_all_that_were_due_meanwhile() {
    let stall = Duration::from_millis(500);
    let server = Server::start(Conduct { stall, ..Conduct::default() });
    let options = ["--sessions", "1", "--rate", "100", "--duration", "1s"];
    let source = offered(&server, &options);
    assert_eq!(source.acknowledged, 100);
    assert!(source.acknowledgement.max_us >= 490_000.0, "{:?}", source.acknowledgement);
    // The k-th waited 500 ms less 10 ms k: a quarter of all waited 250 ms or more.
    assert!(source.acknowledgement.p90_us >= 390_000.0, "{:?}", source.acknowledgement);
}

#[test]
fn refusals_are_counted_and_the_rest_goes_through() {
    let server = Server::start(Conduct { refuses_mail: Some(4), ..Conduct::default() });
    let source = offered(&server, &["--sessions", "3", "--messages", "100"]);
    assert_eq!((source.acknowledged, source.refused_temporarily), (75, 25));
    assert_eq!((source.refused_permanently, source.unknown), (0, 0));
    assert_eq!(source.troubles.len(), 1);
    assert_eq!(source.troubles[0].text, "MAIL: 451 4.3.0 not now");
    assert_eq!(source.troubles[0].count, 25);
    assert_eq!(ids(&server.taken()).len(), 75);
}

#[test]
fn a_connection_lost_after_the_message_is_unknown_and_another_is_made() {
    let server = Server::start(Conduct { drops_end: Some(10), ..Conduct::default() });
    let source = offered(&server, &["--sessions", "3", "--messages", "100"]);
    assert_eq!((source.acknowledged, source.unknown), (90, 10), "{:?}", source.troubles);
    assert!(source.connections >= 10, "{}", source.connections);
    let count: u64 = source.acknowledged_ids.iter().map(|(from, to)| to - from + 1).sum();
    assert_eq!(count, 90);
}

#[test]
fn a_connection_lost_before_the_message_sends_it_again() {
    for pipelining in ["on", "chain"] {
        let server = Server::start(Conduct { drops_data: Some(10), ..Conduct::default() });
        let options = ["--sessions", "3", "--messages", "60", "--pipelining", pipelining];
        let source = offered(&server, &options);
        // In a chain the end of one message and the next envelope meet the same fate.
        assert_eq!(source.acknowledged + source.unknown, 60, "{:?}", source.troubles);
        assert!(pipelining == "chain" || source.unknown == 0, "{:?}", source.troubles);
        let taken = server.taken();
        assert_eq!(ids(&taken).len(), taken.len(), "something came twice");
    }
}

#[test]
fn tls_and_login_either_way() {
    // "\0user\0secret" in base64.
    let login = Some("AHVzZXIAc2VjcmV0");
    for tls in ["starttls", "implicit"] {
        let conduct = Conduct {
            starttls: tls == "starttls",
            implicit_tls: tls == "implicit",
            login,
            ..Conduct::default()
        };
        let server = Server::start(conduct);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        let password = file.path().to_str().unwrap();
        let options = ["--tls", tls, "--auth", "user", "--password-file", password];
        let load = ["--messages", "20", "--sessions", "2"];
        let source = offered(&server, &[&options[..], &load].concat());
        assert_eq!(source.acknowledged, 20, "{tls}: {:?}", source.troubles);
        std::fs::write(file.path(), "wrong\n").unwrap();
        let (status, result) = ended(started(server.address, &options));
        assert_eq!(status.code(), Some(1));
        assert!(result.unwrap_err().contains("refuses the login: 535"));
    }
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let server = Server::start(Conduct::default());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let foreign = "8.8.8.8:25".parse().unwrap();
    let cases: &[(SocketAddr, &[&str], &str)] = &[
        (nobody, &[], "see whether the server listens there"),
        (foreign, &[], "--i-own-this-target"),
        (server.address, &["--tls", "starttls"], "does not offer STARTTLS"),
        (server.address, &["--size", "10"], "no room for its header"),
        (server.address, &["--size", "path:/none"], "cannot read /none"),
        (server.address, &["--auth", "a", "--password-file", "/none"], "cannot read the password"),
    ];
    for (address, options, expected) in cases {
        let (status, result) = ended(started(*address, options));
        assert_eq!(status.code(), Some(1), "{options:?}");
        let said = result.unwrap_err();
        assert!(said.contains(expected), "{options:?}: {said}");
    }
    let (status, _) = ended(started(server.address, &["--messages", "1", "--duration", "1s"]));
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_deadline_ends_a_run_that_would_not_end() {
    let server = Server::start(Conduct { silent: true, ..Conduct::default() });
    // The last --deadline would be refused as a second one: this run is started by itself.
    let child = Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["source", &server.address.to_string(), "--json", "--deadline", "300ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (status, result) = ended(child);
    assert!(status.success());
    let source = result.unwrap();
    assert_eq!((source.ended, source.acknowledged), (Ended::Deadline, 0));
    // The silence counts: a rate over less would flatter the server.
    assert!(source.seconds >= 0.3, "{source:?}");
}

#[test]
fn an_answer_that_does_not_come_is_waited_for_so_long() {
    let server = Server::start(Conduct { silent: true, ..Conduct::default() });
    let options = ["--sessions", "1", "--duration", "1s", "--answer-timeout", "100ms"];
    let source = offered(&server, &options);
    assert!(source.connections >= 2, "{source:?}");
    assert_eq!(source.troubles[0].text, "no answer in time");
    assert!(source.series.last().is_some_and(|point| point.errors > 0), "the live line shows it");
}

#[test]
fn answers_that_come_one_by_one_are_waited_for_one_by_one() {
    let server =
        Server::start(Conduct { thinks: Duration::from_millis(100), ..Conduct::default() });
    let options = ["--sessions", "1", "--messages", "1", "--recipients", "10"];
    let source = offered(&server, &[&options[..], &["--answer-timeout", "600ms"]].concat());
    assert_eq!((source.acknowledged, source.connections), (1, 1), "{source:?}");
}

#[test]
fn ctrl_c_ends_with_the_report_so_far() {
    let delay = Duration::from_millis(5);
    let server = Server::start(Conduct { delay, ..Conduct::default() });
    let child = started(server.address, &["--sessions", "2", "--duration", "20s"]);
    while server.taken().len() < 10 {
        thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let (status, result) = ended(child);
    assert!(status.success());
    let source = result.unwrap();
    assert_eq!(source.ended, Ended::Interrupted);
    assert_eq!(source.acknowledged as usize, server.taken().len(), "what was under way was ended");
}
