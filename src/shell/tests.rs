//! Real sockets on loopback, driven by closures in the relay's place.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use smallvec::smallvec;
use socket2::SockRef;

use super::{
    accept,
    core::{self, Brain, Doors},
    lmdb, log,
    mesh::Mesh,
    ring,
    secrets::Secrets,
};
use crate::{
    config,
    relay::{ConnectionId, Input, Outbox, Output, Space, Ticket, Transport, Trouble},
    time::{Instant, Now},
};

/// A brain that is one closure.
struct Closure<F> {
    step: F,
    wake: Option<Instant>,
}

impl<F: FnMut(Now, Input, &mut Outbox) -> Option<Instant>> Brain for Closure<F> {
    fn handle(&mut self, now: Now, input: Input, out: &mut Outbox) {
        self.wake = (self.step)(now, input, out);
    }

    fn next_wake(&self) -> Option<Instant> {
        self.wake
    }
}

/// A core on a thread of its own, with one listener.
struct Running {
    address: SocketAddr,
    mesh: Arc<Mesh>,
    stop: Arc<AtomicBool>,
    drained: crossbeam::channel::Receiver<u16>,
    thread: Option<thread::JoinHandle<()>>,
    _data: tempfile::TempDir,
}

impl Running {
    fn new(mut step: impl FnMut(Input, &mut Outbox) + Send + 'static) -> Running {
        Running::waking(move |_, input, out| {
            step(input, out);
            None
        })
    }

    fn waking(
        step: impl FnMut(Now, Input, &mut Outbox) -> Option<Instant> + Send + 'static,
    ) -> Running {
        let data = tempfile::tempdir().unwrap();
        let mesh = Arc::new(Mesh::new(1).unwrap());
        let store = lmdb::open(data.path(), &config::Store { size_max: 1 << 20 })
            .unwrap()
            .start(mesh.clone(), 1, Box::new(|_| {}))
            .unwrap();
        let options = config::Log { level: config::Level::Error, format: config::Format::Text };
        let (log, _) = log::start(&options, std::io::sink()).unwrap();
        let (sender, drained) = crossbeam::channel::bounded(1);
        let stop = Arc::new(AtomicBool::new(false));
        let doors = Doors {
            core: 0,
            store: store.handle(),
            secrets: Secrets::start(&mesh, 1).unwrap(),
            mesh: mesh.clone(),
            log,
            clients: Arc::default(),
            drained: sender,
            stop: stop.clone(),
        };
        let listeners = accept::bind(0, "127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = listeners[0].address;
        let thread = thread::spawn(move || {
            let brain = Box::new(Closure { step, wake: None });
            ring::runtime().unwrap().block_on(core::run(brain, doors, listeners));
            store.stop();
        });
        Running { address, mesh, stop, drained, thread: Some(thread), _data: data }
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.mesh.post(0, []);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn receive(connection: ConnectionId, room: usize) -> Output {
    Output::Receive { connection, room }
}

fn send(connection: ConnectionId, bytes: impl Into<Bytes>, report: bool) -> Output {
    Output::Send { connection, pieces: smallvec![bytes.into()], report }
}

/// Sends back what comes, and reads on when that is sent.
fn echo(input: Input, out: &mut Outbox) {
    match input {
        Input::Accepted { connection, .. } => out.push(receive(connection, 4096)),
        Input::Received { connection, bytes } => out.push(send(connection, bytes, true)),
        Input::Sent { connection } => out.push(receive(connection, 4096)),
        _ => {}
    }
}

fn pattern(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[test]
fn echoes_to_many_clients() {
    let running = Running::new(echo);
    let address = running.address;
    let clients: Vec<_> = (0..16)
        .map(|number| {
            thread::spawn(move || {
                let mut client = TcpStream::connect(address).unwrap();
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut back = [0; 64];
                for turn in 0..50u8 {
                    let text = [number as u8 ^ turn; 64];
                    client.write_all(&text).unwrap();
                    client.read_exact(&mut back).unwrap();
                    assert_eq!(back, text);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn a_long_stream_comes_back_whole() {
    let running = Running::new(echo);
    let mut client = running.client();
    let mut writer = client.try_clone().unwrap();
    let text = pattern(8 << 20);
    let sent = text.clone();
    let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
    let mut back = vec![0; text.len()];
    client.read_exact(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == text);
}

/// Each read keeps to its room, whatever is waiting, and no allowance means no read.
#[test]
fn reads_keep_to_their_room() {
    let (sender, inputs) = mpsc::channel();
    let running = Running::new(move |input, out| match input {
        Input::Accepted { connection, .. } => out.push(receive(connection, 10)),
        Input::Received { connection, bytes } => {
            sender.send(bytes.clone()).unwrap();
            match bytes.len() {
                10 => out.push(receive(connection, 7)),
                7 => out.push(send(connection, "enough", false)),
                octets => panic!("{octets}"),
            }
        }
        _ => {}
    });
    let mut client = running.client();
    client.write_all(b"0123456789abcdefghijklmnop").unwrap();
    let mut reply = [0; 6];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(&inputs.recv_timeout(PATIENCE).unwrap()[..], b"0123456789");
    assert_eq!(&inputs.recv_timeout(PATIENCE).unwrap()[..], b"abcdefg");
    // Nobody reads any more: the kernel's buffers fill, and the client is made to wait.
    client.set_nonblocking(true).unwrap();
    let full = client.write_all(&pattern(32 << 20)).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    assert!(inputs.try_recv().is_err());
}

/// Octets of the peer that nobody reads must not turn our last words into a reset.
#[test]
fn the_last_reply_arrives() {
    let (sender, inputs) = mpsc::channel();
    let running = Running::new(move |input, out| match input {
        Input::Accepted { connection, .. } => out.push(receive(connection, 4)),
        Input::Received { connection, .. } => {
            out.push(send(connection, vec![b'x'; 300_000], true));
            out.push(Output::Close { connection });
        }
        Input::Sent { .. } | Input::Closed { .. } => sender.send(()).unwrap(),
        _ => {}
    });
    let mut client = running.client();
    client.write_all(&[b'q'; 100_000]).unwrap();
    let mut reply = Vec::new();
    client.read_to_end(&mut reply).unwrap();
    assert_eq!(reply.len(), 300_000);
    client.write_all(b"too late").unwrap();
    drop(client);
    drop(running);
    assert!(inputs.recv().is_err(), "no input follows a close");
}

#[test]
fn reports_come_when_all_is_sent() {
    let (sender, reports) = mpsc::channel();
    let running = Running::new(move |input, out| match input {
        Input::Accepted { connection, .. } => {
            let piece = Bytes::from(vec![b'y'; 1000]);
            for part in 0..3 {
                let pieces = (0..500).map(|_| piece.clone()).collect();
                out.push(Output::Send { connection, pieces, report: part != 1 });
            }
            out.push(Output::Send { connection, pieces: smallvec![], report: true });
        }
        Input::Sent { .. } => sender.send(()).unwrap(),
        _ => {}
    });
    let mut client = running.client();
    let mut all = vec![0; 1_500_000];
    client.read_exact(&mut all).unwrap();
    for _ in 0..3 {
        reports.recv_timeout(PATIENCE).unwrap();
    }
    drop(running);
    assert!(reports.recv().is_err());
}

#[test]
fn ends_are_told_once_and_by_their_cause() {
    let (sender, ends) = mpsc::channel();
    let running = Running::new(move |input, out| match input {
        Input::Accepted { connection, .. } => {
            out.push(send(connection, "hello", false));
            out.push(receive(connection, 100));
        }
        Input::Closed { connection, trouble } => sender.send((connection, trouble)).unwrap(),
        Input::Received { connection, .. } => out.push(receive(connection, 100)),
        _ => {}
    });
    let mut hello = [0; 5];
    let mut client = running.client();
    client.read_exact(&mut hello).unwrap();
    drop(client);
    let (first, trouble) = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!(trouble, Trouble::Ended);
    let mut client = running.client();
    client.read_exact(&mut hello).unwrap();
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let (second, trouble) = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!(trouble, Trouble::Reset);
    assert_ne!(first, second);
    drop(running);
    assert!(ends.recv().is_err());
}

/// What a peer said before it reset the connection is heard, though our send has failed.
#[test]
fn words_before_a_failed_send_are_heard() {
    let (sender, heard) = mpsc::channel();
    let (steps, step) = mpsc::channel();
    let mut connection = None;
    let running = Running::new(move |input, out| match (input, connection) {
        (Input::Accepted { connection: new, .. }, _) => {
            connection = Some(new);
            steps.send(()).unwrap();
        }
        // The test asks for this when the client has gone: the send draws a reset.
        (Input::Space(Space { free: 1 }), Some(connection)) => {
            out.push(send(connection, "354", true))
        }
        (Input::Sent { .. }, _) => steps.send(()).unwrap(),
        // And then for this: the send fails while the read succeeds.
        (Input::Drain, Some(connection)) => {
            out.push(send(connection, "QUIT", true));
            out.push(receive(connection, 100));
        }
        (Input::Received { bytes, .. }, _) => sender.send(Ok(bytes)).unwrap(),
        (Input::Closed { trouble, .. }, _) => sender.send(Err(trouble)).unwrap(),
        _ => {}
    });
    let mut client = running.client();
    client.write_all(b"552 no").unwrap();
    step.recv_timeout(PATIENCE).unwrap();
    drop(client);
    running.mesh.post(0, [Input::Space(Space { free: 1 })]);
    step.recv_timeout(PATIENCE).unwrap();
    running.mesh.post(0, [Input::Drain]);
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), Ok(Bytes::from_static(b"552 no")));
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), Err(Trouble::Reset));
    drop(running);
    assert!(heard.recv().is_err());
}

#[test]
fn an_abort_drops_what_is_under_way() {
    let (sender, inputs) = mpsc::channel();
    let mut seen = Vec::new();
    let running = Running::new(move |input, out| match input {
        Input::Accepted { connection, .. } => {
            assert!(!seen.contains(&connection), "an id is never used twice");
            seen.push(connection);
            out.push(receive(connection, 10));
            out.push(send(connection, vec![0; 64 << 20], true));
            out.push(send(connection, "", true));
        }
        Input::Received { connection, .. } => out.push(Output::Abort { connection }),
        Input::Sent { .. } | Input::Closed { .. } => sender.send(()).unwrap(),
        _ => {}
    });
    for _ in 0..3 {
        let mut client = running.client();
        client.write_all(b"go").unwrap();
        let mut all = Vec::new();
        // A reset, unless the shutdown that ends what is under way came through before it.
        if let Err(error) = client.read_to_end(&mut all) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        assert!(all.len() < 64 << 20);
    }
    drop(running);
    assert!(inputs.recv().is_err(), "no input follows an abort");
}

/// Connects as the closure says, and gives the result.
fn connect_to(remote: SocketAddr, source: Option<&str>, timeout: Duration) -> Connect {
    let (sender, results) = mpsc::channel();
    let source = source.map(|source| source.parse().unwrap());
    let running = Running::new(move |input, out| match input {
        Input::Wake => {
            out.push(Output::Connect { ticket: Ticket(7), remote, source, timeout });
        }
        Input::Connected { ticket: Ticket(7), result } => {
            if let Ok(connection) = result {
                out.push(send(connection, "EHLO", false));
                out.push(receive(connection, 100));
            }
            sender.send(result.map(|_| Bytes::new())).unwrap();
        }
        Input::Received { bytes, .. } => sender.send(Ok(bytes)).unwrap(),
        _ => {}
    });
    Connect { _running: running, results }
}

struct Connect {
    _running: Running,
    results: mpsc::Receiver<Result<Bytes, Trouble>>,
}

impl Connect {
    fn next(&self) -> Result<Bytes, Trouble> {
        self.results.recv_timeout(PATIENCE).unwrap()
    }
}

#[test]
fn connects_from_a_source_and_talks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = connect_to(listener.local_addr().unwrap(), Some("127.0.0.9"), PATIENCE);
    let (mut server, remote) = listener.accept().unwrap();
    assert_eq!(remote.ip().to_string(), "127.0.0.9");
    assert_eq!(connect.next(), Ok(Bytes::new()));
    let mut ehlo = [0; 4];
    server.read_exact(&mut ehlo).unwrap();
    server.write_all(b"250").unwrap();
    assert_eq!(connect.next(), Ok(Bytes::from_static(b"250")));
}

#[test]
fn a_failed_connect_names_its_trouble() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(connect_to(nobody, None, PATIENCE).next(), Err(Trouble::Refused));
    let foreign = connect_to(nobody, Some("192.0.2.1"), PATIENCE).next();
    assert_eq!(foreign, Err(Trouble::SourceAddress("192.0.2.1".parse().unwrap())));
}

/// A listener whose queue is full answers nothing, like a host behind a silent packet filter.
#[test]
fn a_silent_host_times_out() {
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let _taken = TcpStream::connect(address).unwrap();
    let began = std::time::Instant::now();
    let silent = connect_to(address, None, Duration::from_millis(200)).next();
    assert_eq!(silent, Err(Trouble::TimedOut));
    assert!(began.elapsed() >= Duration::from_millis(200));
}

fn query(server: SocketAddr, transport: Transport, timeout: Duration) -> Result<Bytes, Trouble> {
    let (sender, answers) = mpsc::channel();
    let _running = Running::new(move |input, out| match input {
        Input::Wake => out.push(Output::Query {
            ticket: Ticket(9),
            server,
            message: Bytes::from_static(b"\x12\x34query"),
            transport,
            timeout,
        }),
        Input::Answer { ticket: Ticket(9), result } => sender.send(result).unwrap(),
        _ => {}
    });
    answers.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_datagram_of_another_id_is_no_answer() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let mut message = [0; 100];
        let (octets, client) = server.recv_from(&mut message).unwrap();
        assert_eq!(&message[..octets], b"\x12\x34query");
        for answer in [&b"\x99\x99forged"[..], b"", b"\x12\x34answer"] {
            server.send_to(answer, client).unwrap();
        }
    });
    let answer = query(address, Transport::Datagram, PATIENCE);
    assert_eq!(answer, Ok(Bytes::from_static(b"\x12\x34answer")));
    serving.join().unwrap();
}

#[test]
fn a_query_ends_in_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let short = Duration::from_millis(100);
    assert_eq!(query(address, Transport::Datagram, short), Err(Trouble::TimedOut));
    drop(silent);
    assert_eq!(query(address, Transport::Datagram, PATIENCE), Err(Trouble::Refused));
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    assert_eq!(query(address, Transport::Stream, short), Err(Trouble::TimedOut));
}

#[test]
fn a_stream_answer_may_come_in_parts() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let body = pattern(60_000);
    let serving = thread::spawn({
        let body = body.clone();
        move || {
            let (mut client, _) = server.accept().unwrap();
            let mut message = [0; 9];
            client.read_exact(&mut message).unwrap();
            assert_eq!(&message, b"\x00\x07\x12\x34query");
            client.set_nodelay(true).unwrap();
            for part in [&[(60_000u32 >> 8) as u8][..], &[(60_000u32 & 255) as u8], &body] {
                client.write_all(part).unwrap();
                thread::yield_now();
            }
            let (mut cut, _) = server.accept().unwrap();
            cut.write_all(b"\x00\x07cut").unwrap();
        }
    });
    let answer = query(address, Transport::Stream, PATIENCE);
    assert!(answer.is_ok_and(|answer| answer == body));
    assert!(matches!(
        query(address, Transport::Stream, PATIENCE),
        Err(Trouble::Ended | Trouble::Reset)
    ));
    serving.join().unwrap();
}

/// Wake-ups come when they are wanted, also when an earlier one is wanted later.
#[test]
fn wakes_when_wanted() {
    let (sender, wakes) = mpsc::channel();
    let mut wanted = Vec::new();
    let running = Running::waking(move |now, input, _| {
        match input {
            Input::Wake => {
                let due = wanted.iter().filter(|at| **at <= now.instant).count();
                if due > 0 || wanted.is_empty() {
                    sender.send(due).unwrap();
                }
                wanted.retain(|at| *at > now.instant);
            }
            Input::Space(Space { free: 1 }) => {
                // Later first, so that the second moves the alarm earlier.
                wanted.push(now.instant + Duration::from_millis(60));
            }
            Input::Drain => wanted.push(now.instant + Duration::from_millis(10)),
            _ => {}
        }
        wanted.iter().min().copied()
    });
    assert_eq!(wakes.recv_timeout(PATIENCE).unwrap(), 0, "the first, at start");
    running.mesh.post(0, [Input::Space(Space { free: 1 }), Input::Drain]);
    assert_eq!(wakes.recv_timeout(PATIENCE).unwrap(), 1);
    assert_eq!(wakes.recv_timeout(PATIENCE).unwrap(), 1);
}

/// An inbox that never runs dry keeps the ring neither from its connections nor from its end.
#[test]
fn a_full_inbox_leaves_turns_to_the_ring() {
    let inbox: Arc<OnceLock<Arc<Mesh>>> = Arc::default();
    let own = inbox.clone();
    let running = Running::new(move |input, out| match (input, own.get()) {
        // Each wake-up draws the next.
        (Input::Wake, Some(mesh)) => mesh.post(0, [Input::Wake]),
        (input, _) => echo(input, out),
    });
    inbox.set(running.mesh.clone()).ok().unwrap();
    running.mesh.post(0, [Input::Wake]);
    let mut client = running.client();
    let mut back = [0; 4];
    for _ in 0..20 {
        client.write_all(b"ping").unwrap();
        client.read_exact(&mut back).unwrap();
    }
}

#[test]
fn draining_is_told_to_the_main_thread() {
    let running = Running::new(|input, out| {
        if matches!(input, Input::Drain) {
            out.push(Output::Drained);
        }
    });
    running.mesh.post(0, [Input::Drain]);
    assert_eq!(running.drained.recv_timeout(PATIENCE), Ok(0));
}
