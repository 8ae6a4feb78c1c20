//! The sink over real sockets: each behaviour at its step, and that it knows losses and
//! duplicates.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use ringload::outcome::{Ended, Line, Seen, Sink};

/// No wait of a test is longer; it fails then.
const PATIENCE: Duration = Duration::from_secs(20);

/// A sink that runs; it ends with the test.
struct Running {
    child: Child,
    address: SocketAddr,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn new(arguments: &[&str]) -> Running {
        let bound = ["--deadline", "60s"];
        let bound = if arguments.contains(&bound[0]) { &[][..] } else { &bound[..] };
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringload"))
            .args(["sink", "--listen", "127.0.0.1:0", "--json"])
            .args(bound)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
        Running { address: address.trim().parse().unwrap(), child, stderr }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    /// A client that has read the greeting and the answer to EHLO.
    fn greeted(&self) -> Client {
        let mut client = self.client();
        client.expect("220 ");
        client.talk(&[("EHLO test.example", "250 ")]);
        client
    }

    /// Asks it to end, unless it ends by itself; what it reports.
    fn result(mut self) -> Sink {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        self.finished()
    }

    fn finished(&mut self) -> Sink {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let mut complaints = String::new();
        self.stderr.read_to_string(&mut complaints).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Line<Sink>>(line).unwrap());
        let mut lines = lines.collect::<Vec<_>>().into_iter();
        assert!(matches!(lines.next(), Some(Line::Listening { .. })), "{text}{complaints}");
        match lines.next_back() {
            Some(Line::Result(sink)) => sink,
            other => panic!("{other:?} {complaints}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn send(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The last line of the next reply.
    fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    fn expect(&mut self, want: &str) {
        let got = self.reply();
        assert!(got.starts_with(want), "want {want:?}, got {got:?}");
    }

    fn talk(&mut self, pairs: &[(&str, &str)]) {
        for (line, want) in pairs {
            self.send(&format!("{line}\r\n"));
            self.expect(want);
        }
    }

    /// One message up to the end of its text; the answer to that is not read.
    fn message(&mut self, id: &str, recipient: &str) {
        let recipient = format!("RCPT TO:<{recipient}>");
        self.talk(&[("MAIL FROM:<a@b.example>", "250 "), (&recipient, "250 "), ("DATA", "354 ")]);
        self.send(&format!("Message-ID: {id}\r\nSubject: test\r\n\r\nText.\r\n.\r\n"));
    }

    fn take(&mut self, id: &str, recipient: &str) {
        self.message(id, recipient);
        self.expect("250 ");
    }

    /// What the client meets when it reads on.
    fn meets(&mut self) -> Met {
        match self.reader.read(&mut [0; 1]) {
            Ok(0) => Met::End,
            Ok(_) => Met::Octets,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Met::Reset,
            Err(error) => panic!("{error}"),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Met {
    Octets,
    End,
    Reset,
}

fn own(sequence: u64) -> String {
    format!("<{sequence}.run7@ringload.invalid>")
}

#[test]
fn an_injected_loss_is_missing_and_an_injected_duplicate_is_told() {
    let rules = ["--rule", "domain=lost.test forget", "--rule", "domain=twice.test twice"];
    let sink = Running::new(&rules);
    let mut client = sink.greeted();
    for (sequence, domain) in [(0, "x.test"), (1, "lost.test"), (2, "twice.test"), (3, "x.test")] {
        client.take(&own(sequence), &format!("to@{domain}"));
    }
    let result = sink.result();
    assert_eq!(result.ended, Ended::Interrupted);
    assert_eq!(result.seen, [Seen { run: "run7".into(), ids: vec![(0, 0), (2, 3)] }]);
    assert_eq!((result.messages, result.unique, result.duplicates), (4, 3, 1));
    assert_eq!(result.duplicate_ids, ["<2.run7@ringload.invalid> to@twice.test"]);
    let mut injected: Vec<_> = result.injected.iter().map(|t| (&*t.text, t.count)).collect();
    injected.sort();
    assert_eq!(injected, [("domain=lost.test forget", 1), ("domain=twice.test twice", 1)]);
}

#[test]
fn a_message_sent_twice_is_a_duplicate_whichever_core_takes_it() {
    let mut sink = Running::new(&["--cores", "2", "--expect", "3"]);
    for _ in 0..8 {
        let mut client = sink.greeted();
        client.take(&own(5), "to@x.test");
        client.take(&own(6), "to@x.test");
    }
    let mut client = sink.greeted();
    client.take(&own(6), "another@x.test");
    client.take("<foreign@elsewhere.test>", "to@x.test");
    let result = sink.finished();
    assert_eq!(result.ended, Ended::Count);
    assert_eq!((result.messages, result.unique, result.deliveries), (18, 3, 4));
    assert_eq!(result.duplicates, 14);
    assert_eq!(result.seen, [Seen { run: "run7".into(), ids: vec![(5, 6)] }]);
}

#[test]
fn each_action_is_met_at_its_step() {
    let delay = Duration::from_millis(80);
    for (step, prelude) in [
        ("connect", &[][..]),
        ("ehlo", &["EHLO a"]),
        ("mail", &["EHLO a", "MAIL FROM:<a@b>"]),
        ("rcpt", &["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"]),
        ("data", &["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"]),
        ("dot", &["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "x\r\n."]),
        ("quit", &["EHLO a", "QUIT"]),
    ] {
        for (action, want) in [
            ("drop", Some(Met::End)),
            ("reset", Some(Met::Reset)),
            ("reply=\"451 4.3.0 no\"", None),
            ("delay=80ms", None),
        ] {
            let sink = Running::new(&["--rule", &format!("step={step} {action}")]);
            let mut client = sink.client();
            if let Some((last, before)) = prelude.split_last() {
                client.expect("220 ");
                for line in before {
                    client.send(&format!("{line}\r\n"));
                    assert!(client.reply().starts_with(['2', '3']), "{line} before {step}");
                }
                client.send(&format!("{last}\r\n"));
            }
            let asked = Instant::now();
            match want {
                Some(want) => assert_eq!(client.meets(), want, "{action} at {step}"),
                None if action.starts_with("reply") => client.expect("451 4.3.0 no"),
                // The greeting may have been asked for before the client looked at its clock.
                None => {
                    assert!(client.reply().starts_with(['2', '3']), "{action} at {step}");
                    assert!(asked.elapsed() >= delay || step == "connect", "{action} at {step}");
                }
            }
            let result = sink.result();
            assert_eq!(result.injected.len(), 1, "{action} at {step}: {result:?}");
            let taken = step == "dot" && action == "delay=80ms";
            assert_eq!(result.messages, u64::from(taken), "{action} at {step}");
        }
    }
}

#[test]
fn answers_behind_a_delayed_one_wait_in_order() {
    let sink = Running::new(&["--rule", "step=mail delay=50ms"]);
    let mut client = sink.greeted();
    // More than the sink holds back before it pauses to read, which is then to go on.
    let group = format!("MAIL FROM:<a@b>\r\n{}", "RSET\r\nVRFY x\r\n".repeat(1000));
    for _ in 0..3 {
        let asked = Instant::now();
        client.send(&group);
        client.expect("250 2.1.0");
        assert!(asked.elapsed() >= Duration::from_millis(50));
        for _ in 0..1000 {
            client.expect("250 2.0.0");
            client.expect("252 ");
        }
    }
}

#[test]
fn a_stalled_message_is_never_answered_nor_counted() {
    let sink = Running::new(&["--rule", "domain=slow.test stall"]);
    let mut stalled = sink.greeted();
    stalled.message(&own(1), "to@slow.test");
    // The sink is alive, the stalled connection too: what it is sent is taken, not answered.
    stalled.send("NOOP\r\n");
    sink.greeted().take(&own(2), "to@x.test");
    stalled.reader.get_ref().set_nonblocking(true).unwrap();
    let error = stalled.reader.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let result = sink.result();
    assert_eq!(result.seen, [Seen { run: "run7".into(), ids: vec![(2, 2)] }]);
}

#[test]
fn a_sink_that_stops_reading_lets_the_client_run_full() {
    let sink = Running::new(&["--rule", "step=data stop-reading"]);
    let mut client = sink.greeted();
    client.talk(&[("MAIL FROM:<a@b>", "250 "), ("RCPT TO:<c@d>", "250 "), ("DATA", "354 ")]);
    let stream = client.reader.get_mut();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let line = [b'x'; 64 * 1024];
    // A gibibyte is more than any two socket buffers hold.
    let blocked = (0..16 * 1024).find_map(|_| stream.write_all(&line).err());
    assert_eq!(blocked.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
}

#[test]
fn limits_hold_over_all_connections() {
    let sink = Running::new(&[
        "--connections-max",
        "1",
        "--messages-per-connection-max",
        "2",
        "--rate-max",
        "1/h",
    ]);
    let mut first = sink.greeted();
    let mut second = sink.client();
    second.expect("421 4.7.0");
    assert_eq!(second.meets(), Met::End);
    first.take(&own(1), "to@x.test");
    first.talk(&[("MAIL FROM:<a@b>", "451 4.7.1"), ("QUIT", "221 ")]);
    assert_eq!(first.meets(), Met::End);
    let sink_of_two = Running::new(&["--messages-per-connection-max", "2"]);
    let mut client = sink_of_two.greeted();
    client.take(&own(1), "to@x.test");
    client.take(&own(2), "to@x.test");
    client.talk(&[("MAIL FROM:<a@b>", "421 4.7.0")]);
    assert_eq!(client.meets(), Met::End);
    assert_eq!(sink.result().injected.len(), 2);
    assert_eq!(sink_of_two.result().messages, 2);
}

#[test]
fn a_greylisted_recipient_is_taken_after_the_wait() {
    let sink = Running::new(&["--greylist", "200ms"]);
    let mut client = sink.greeted();
    client.talk(&[("MAIL FROM:<a@b>", "250 "), ("RCPT TO:<c@d>", "451 4.7.1")]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        client.send("RCPT TO:<c@d>\r\n");
        let reply = client.reply();
        if reply.starts_with("250 ") {
            break;
        }
        assert!(reply.starts_with("451 4.7.1") && Instant::now() < deadline, "{reply}");
    }
    client.talk(&[("RCPT TO:<e@d>", "451 4.7.1")]);
}

#[test]
fn a_sink_that_ends_without_what_it_expects_has_failed() {
    for (end, ended) in [("--deadline", Ended::Deadline), ("--duration", Ended::Duration)] {
        let mut sink = Running::new(&["--expect", "2", end, "100ms"]);
        assert_eq!(sink.finished().ended, ended);
        assert_eq!(sink.child.wait().unwrap().code(), Some(1));
    }
}

#[test]
fn a_port_is_not_shared_with_another_sink() {
    let sink = Running::new(&["--duration", "10s"]);
    let output = Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["sink", "--duration", "1ms", "--listen", &sink.address.to_string()])
        .output()
        .unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("cannot be listened on"), "{complaint}");
}

#[test]
fn rules_that_are_wrong_are_told_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["sink", "--rule", "step=helo drop"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("`helo` is no step; use connect, ehlo"), "{complaint}");
}

/// Another author's client: Python's smtplib, with its TLS and AUTH.
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
if mode == "implicit":
    client = smtplib.SMTP_SSL(host, port, timeout=20, context=context)
else:
    client = smtplib.SMTP(host, port, timeout=20)
    client.starttls(context=context)
    assert not client.has_extn("starttls") or client.ehlo()[0] == 250
client.login("user", "password")
text = "Message-ID: <3.tls@ringload.invalid>\r\n\r\n.dot\r\n" + "x" * 70000 + "\r\n"
refused = client.sendmail("a@b.example", ["c@d.example", "e@d.example"], text)
assert refused == {}, refused
client.quit()
"#;

#[test]
fn smtplib_speaks_tls_with_it() {
    if Command::new("python3").args(["-c", "import smtplib, ssl"]).output().is_err() {
        eprintln!("skipped: python3 is not installed, and its smtplib is the client of this test");
        return;
    }
    for mode in ["starttls", "implicit"] {
        let mut sink = Running::new(&["--tls", mode, "--auth", "--expect", "1"]);
        let (host, port) = (sink.address.ip().to_string(), sink.address.port().to_string());
        let output =
            Command::new("python3").args(["-c", SMTPLIB, &host, &port, mode]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let result = sink.finished();
        assert_eq!((result.messages, result.deliveries, result.duplicates), (1, 2, 0));
        assert_eq!(result.seen, [Seen { run: "tls".into(), ids: vec![(3, 3)] }]);
    }
}

#[test]
fn a_second_sink_does_not_share_the_port_of_the_first() {
    let sink = Running::new(&["--cores", "2"]);
    let second = Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["sink", "--deadline", "1s", "--listen", &sink.address.to_string()])
        .output()
        .unwrap();
    let complaint = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && complaint.contains("cannot be listened on"), "{complaint}");
}
