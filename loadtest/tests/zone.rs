//! `ringload zone` over real sockets: both ways in, pipelining, rules, the counts at the end.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// No answer of a test takes this long, and no test waits longer.
const PATIENCE: Duration = Duration::from_secs(20);
const DELAY: Duration = Duration::from_millis(150);

const A: u8 = 1;
const MX: u8 = 15;

const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;

/// A running server, ended with the test that started it.
struct Zone {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Zone {
    fn start(arguments: &[&str]) -> Zone {
        let mut child = zone(&["--listen", "127.0.0.1:0", "--json", "--deadline", "60s"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ringload starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output"));
        let first = line(&mut lines).expect("a first line");
        assert_eq!(first["kind"], "listening");
        let address = first["addresses"][0].as_str().expect("an address");
        Zone { child, lines, address: address.parse().expect(address) }
    }

    fn datagrams(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(self.address).expect("a peer");
        socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        socket
    }

    fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        stream
    }

    /// Interrupts it, and takes its result.
    fn result(mut self) -> Value {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("a signal");
        let found =
            std::iter::from_fn(|| line(&mut self.lines)).find(|line| line["kind"] == "result");
        assert!(self.child.wait().expect("its end").success());
        found.expect("a result")
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn zone(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.arg("zone").args(arguments);
    command
}

fn line(lines: &mut impl BufRead) -> Option<Value> {
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    (!line.is_empty()).then(|| serde_json::from_str(&line).expect("JSON"))
}

/// A query with this id for a name of letters and dots.
fn query(id: u8, name: &str, kind: u8) -> Vec<u8> {
    let mut octets = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.extend_from_slice(&[0, 0, kind, 0, 1]);
    octets
}

/// What matters of a response: its id, its code, whether it is cut, how many answers it has.
fn head(octets: &[u8]) -> (u8, u8, bool, u8) {
    (octets[1], octets[3] & 0xF, octets[2] & 2 != 0, octets[7])
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut octets = [0; 4096];
    let count = socket.recv(&mut octets).expect("an answer in time");
    octets[..count].to_vec()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("an answer in time");
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).expect("the rest of it");
    octets
}

#[test]
fn both_ways_answer_and_the_result_counts() {
    let server = Zone::start(&["--domains", "10000000", "--mx", "2", "--cores", "2"]);
    let socket = server.datagrams();
    socket.send(b"no query").expect("sent");
    socket.send(&query(1, "d9999999.test", MX)).expect("sent");
    assert_eq!(head(&receive(&socket)), (1, NO_ERROR, false, 2));
    socket.send(&query(2, "d10000000.test", MX)).expect("sent");
    assert_eq!(head(&receive(&socket)), (2, NAME_ERROR, false, 0));
    let mut stream = server.stream();
    stream.write_all(&framed(&query(3, "d9999999.test", MX))).expect("sent");
    assert_eq!(head(&read_frame(&mut stream)), (3, NO_ERROR, false, 2));
    let result = server.result();
    assert_eq!(result["ended"], "interrupted");
    assert_eq!(result["queries"], 3);
    let asked =
        |name: &str, count: u64| serde_json::json!({ "name": name, "type": "MX", "count": count });
    let names = serde_json::json!([asked("d9999999.test", 2), asked("d10000000.test", 1)]);
    assert_eq!(result["names"], names);
    assert_eq!(result["troubles"][0]["count"], 1);
}

#[test]
fn streams_take_queries_in_any_cut_and_answer_each() {
    const QUERIES: u8 = 200;
    let server = Zone::start(&[]);
    let mut stream = server.stream();
    stream.set_nodelay(true).expect("an option");
    let octets: Vec<u8> = (0..QUERIES).flat_map(|id| framed(&query(id, "d1.test", MX))).collect();
    for part in octets.chunks(37) {
        stream.write_all(part).expect("sent");
    }
    for id in 0..QUERIES {
        assert_eq!(head(&read_frame(&mut stream)), (id, NO_ERROR, false, 1));
    }
    assert_eq!(server.result()["queries"], QUERIES);
}

/// The queries wait in the kernel while the answers do, and then go on where they stopped.
#[test]
fn a_client_that_reads_late_gets_all_its_answers() {
    const QUERIES: usize = 6000;
    let server = Zone::start(&["--mx", "100"]);
    let mut stream = server.stream();
    stream.set_write_timeout(Some(PATIENCE)).expect("a deadline");
    stream.write_all(&framed(&query(1, "d1.test", MX)).repeat(QUERIES)).expect("sent");
    for _ in 0..QUERIES {
        assert_eq!(head(&read_frame(&mut stream)), (1, NO_ERROR, false, 100));
    }
    assert_eq!(server.result()["queries"], QUERIES);
}

#[test]
fn a_stream_of_what_is_no_query_is_reset() {
    let server = Zone::start(&[]);
    let mut stream = server.stream();
    stream.write_all(&[0xFF; 70_000]).ok();
    let mut rest = [0; 64];
    let ended = stream.read(&mut rest).map_err(|error| error.kind());
    // WouldBlock is what a deadline of the socket gives: nothing came, and it did not end.
    assert!(ended != Err(ErrorKind::WouldBlock) && matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let socket = server.datagrams();
    socket.send(&query(1, "d1.test", A)).expect("sent");
    assert_eq!(head(&receive(&socket)), (1, NO_ERROR, false, 1));
}

#[test]
fn a_delayed_answer_holds_up_no_other() {
    let rule = format!("name=d1.test delay={}ms", DELAY.as_millis());
    let server = Zone::start(&["--rule", &rule]);
    let (socket, mut stream) = (server.datagrams(), server.stream());
    let began = Instant::now();
    for (id, name) in [(1, "d1.test"), (2, "d2.test")] {
        socket.send(&query(id, name, A)).expect("sent");
        stream.write_all(&framed(&query(id, name, A))).expect("sent");
    }
    let mut ids = [head(&receive(&socket)).0, head(&receive(&socket)).0];
    assert!(began.elapsed() >= DELAY, "{:?}", began.elapsed());
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    let mut ids = [head(&read_frame(&mut stream)).0, head(&read_frame(&mut stream)).0];
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    assert_eq!(server.result()["injected"][0]["count"], 2);
}

#[test]
fn an_answer_an_hour_late_holds_up_no_other() {
    let server = Zone::start(&["--rule", "name=d1.test delay=1h"]);
    let (socket, mut stream) = (server.datagrams(), server.stream());
    for (id, name) in [(1, "d1.test"), (2, "d2.test")] {
        socket.send(&query(id, name, A)).expect("sent");
        stream.write_all(&framed(&query(id, name, A))).expect("sent");
    }
    assert_eq!(head(&receive(&socket)), (2, NO_ERROR, false, 1));
    assert_eq!(head(&read_frame(&mut stream)), (2, NO_ERROR, false, 1));
}

#[test]
fn rules_hold_on_the_wire() {
    let server = Zone::start(&[
        "--rule",
        "name=d1.test silence",
        "--rule",
        "name=d2.test truncate",
        "--rule",
        "name=*.d3.test type=A servfail",
    ]);
    let (socket, mut stream) = (server.datagrams(), server.stream());
    socket.send(&query(1, "d1.test", A)).expect("sent");
    socket.send(&query(2, "d2.test", A)).expect("sent");
    assert_eq!(head(&receive(&socket)), (2, NO_ERROR, true, 0), "nothing came for the first");
    stream.write_all(&framed(&query(3, "d2.test", A))).expect("sent");
    assert_eq!(head(&read_frame(&mut stream)), (3, NO_ERROR, false, 1));
    socket.send(&query(4, "mx0.d3.test", A)).expect("sent");
    assert_eq!(head(&receive(&socket)), (4, SERVER_FAILURE, false, 0));
    let injected = server.result()["injected"].to_string();
    for rule in ["d1.test silence", "d2.test truncate", "d3.test type=A servfail"] {
        assert!(injected.contains(rule), "{injected}");
    }
}

#[test]
fn a_port_in_use_is_not_shared_in_silence() {
    let server = Zone::start(&[]);
    let address = server.address.to_string();
    let second = zone(&["--listen", &address, "--duration", "1s"]).output().expect("a second one");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains(&format!("{address} cannot be listened on")), "{said}");
}

#[test]
fn a_fault_in_a_zone_file_names_its_line() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "; fine\nx.test A 192.0.2.1\nx.test MX ten y.test\n")
        .expect("text");
    let path = file.path().to_str().expect("a path");
    let run = zone(&["--listen", "127.0.0.1:0", "--zone", path]).output().expect("a run");
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("line 3: `ten` is no number from 0 to 65535"), "{said}");
}

#[test]
fn dig_understands_the_answers() {
    if Command::new("dig").arg("-v").output().is_err() {
        eprintln!("dig is not installed (Debian has it in bind9-dnsutils): nothing was tested");
        return;
    }
    let server = Zone::start(&["--mx", "3", "--address", "127.0.0.1", "--address", "::1"]);
    let port = server.address.port().to_string();
    for (arguments, lines) in [
        (&["d1.test", "MX"][..], &["10 mx0.d1.test.", "20 mx1.d1.test.", "30 mx2.d1.test."][..]),
        (&["+tcp", "+noedns", "d1.test", "TXT"], &["\"v=spf1 mx -all\""]),
        (&["mx1.d1.test", "A"], &["127.0.0.1"]),
        (&["mx0.d1.test", "AAAA"], &["::1"]),
        (&["nobody.test", "A"], &[]),
    ] {
        let mut dig = Command::new("dig");
        dig.args(["+short", "+time=20", "+tries=1", "@127.0.0.1", "-p", &port]).args(arguments);
        let output = dig.output().expect("dig");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut answers: Vec<&str> = text.lines().collect();
        answers.sort_unstable();
        assert!(output.status.success());
        assert_eq!(answers, lines, "{arguments:?}");
    }
}
