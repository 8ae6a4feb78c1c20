//! The ring between real sockets: what is sent comes back, whatever the cut, and every end is told.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::*;

/// No test takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Both ends in one service: what the listener's side hears it says again; what the client's side
/// hears is kept. The first octet told to the server's side chooses how it ends.
#[derive(Default)]
struct Echo {
    clients: Vec<Id>,
    heard: Vec<u8>,
    wanted: usize,
    ends: Vec<String>,
    events: Vec<&'static str>,
    to_send: Vec<u8>,
    target: Option<SocketAddr>,
    server_tls: Option<Arc<ServerConfig>>,
    client_tls: Option<Arc<ClientConfig>>,
    /// The server's side is closed as soon as its handshake began, with something to say.
    hangs_up: bool,
    began: Option<Instant>,
}

impl Service for Echo {
    fn started(&mut self, desk: &mut Desk) {
        self.began = Some(desk.now());
        if let Some(target) = self.target {
            self.clients.push(desk.connect(target, None).unwrap());
        }
    }

    fn accepted(&mut self, desk: &mut Desk, id: Id, _listener: usize, _peer: SocketAddr) {
        if let Some(config) = &self.server_tls {
            desk.secure(id, Tls::Server(config.clone()));
        }
        if self.hangs_up {
            desk.send(id, &b"idle"[..]);
            desk.close(id);
        }
    }

    fn connected(&mut self, desk: &mut Desk, id: Id) {
        self.events.push("connected");
        match &self.client_tls {
            Some(config) => {
                let name = ServerName::try_from("localhost").unwrap();
                desk.secure(id, Tls::Client(config.clone(), name));
            }
            None => desk.send(id, self.to_send.clone()),
        }
    }

    fn secured(&mut self, desk: &mut Desk, id: Id) {
        if self.clients.contains(&id) {
            self.events.push("secured");
            desk.send(id, self.to_send.clone());
        }
    }

    fn received(&mut self, desk: &mut Desk, id: Id, octets: &[u8]) {
        if self.clients.contains(&id) {
            self.heard.extend_from_slice(octets);
            if self.heard.len() >= self.wanted {
                desk.stop();
            }
            return;
        }
        match octets[0] {
            b'R' => desk.reset(id),
            b'C' => {
                desk.send(id, &b"bye"[..]);
                desk.close(id);
            }
            b'P' => {
                desk.send(id, &b"paused"[..]);
                desk.pause(id);
                desk.wake_at(desk.now() + Duration::from_millis(20), id, 7);
            }
            // The peer is gone before it is looked for, or it is looked for again.
            b'L' => {
                desk.send(id, &b"paused"[..]);
                desk.pause(id);
                desk.wake_at(desk.now(), id, 8);
            }
            _ => desk.send(id, octets.to_vec()),
        }
    }

    fn woken(&mut self, desk: &mut Desk, id: Id, tag: u32) {
        if tag == 8 {
            return match desk.has_peer_left(id) {
                true => desk.stop(),
                false => desk.wake_at(desk.now() + Duration::from_millis(1), id, 8),
            };
        }
        assert_eq!(tag, 7);
        self.events.push("woken");
        desk.resume(id);
    }

    fn closed(&mut self, desk: &mut Desk, id: Id, why: Closed) {
        if self.clients.contains(&id) || self.target.is_none() {
            self.ends.push(match why {
                Closed::Ended => "ended".into(),
                Closed::Failed(error) => format!("{:?}", error.kind()),
                Closed::Tls(_) => "tls".into(),
            });
            desk.stop();
        }
    }

    fn datagram(&mut self, desk: &mut Desk, socket: usize, from: SocketAddr, octets: &[u8]) {
        desk.reply(socket, from, octets.to_vec());
        if octets == b"stop" {
            self.events.push("stop");
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        let overdue = self.began.is_some_and(|began| desk.now() - began > DEADLINE);
        if overdue || self.events.last() == Some(&"stop") {
            desk.stop();
        }
    }
}

fn own_listener() -> (Sockets, SocketAddr) {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (Sockets { listeners: vec![listener], ..Sockets::default() }, address)
}

/// A server's thread, to be met by blocking sockets; it ends with its first connection.
fn echo() -> (SocketAddr, JoinHandle<Echo>) {
    let (sockets, address) = own_listener();
    (address, thread::spawn(|| run(Echo::default(), sockets).unwrap()))
}

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[test]
fn a_megabyte_comes_back_whole() {
    let (sockets, address) = own_listener();
    let to_send: Vec<u8> = (0..1u32 << 20).map(|n| (n / 3) as u8 | 0x80).collect();
    let wanted = to_send.len();
    let echo = Echo { to_send: to_send.clone(), wanted, target: Some(address), ..Echo::default() };
    let echo = run(echo, sockets).unwrap();
    assert!(echo.heard == to_send);
    assert_eq!(echo.events, ["connected"]);
}

#[test]
fn tls_carries_the_same_octets() {
    let (sockets, address) = own_listener();
    let to_send = vec![b'x'; 300_000];
    let echo = Echo {
        wanted: to_send.len(),
        to_send: to_send.clone(),
        target: Some(address),
        server_tls: Some(crate::tls::server_config().unwrap()),
        client_tls: Some(crate::tls::client_config(None).unwrap()),
        ..Echo::default()
    };
    let echo = run(echo, sockets).unwrap();
    assert!(echo.heard == to_send);
    assert_eq!(echo.events, ["connected", "secured"]);
}

#[test]
fn octets_that_are_no_tls_end_the_connection() {
    let (sockets, address) = own_listener();
    let server_tls = Some(crate::tls::server_config().unwrap());
    let thread = thread::spawn(|| run(Echo { server_tls, ..Echo::default() }, sockets).unwrap());
    let mut stream = dial(address);
    stream.write_all(b"EHLO somebody\r\n").unwrap();
    assert_eq!(thread.join().unwrap().ends, ["tls"]);
}

#[test]
fn a_close_within_a_handshake_is_a_close() {
    let (sockets, address) = own_listener();
    let server_tls = Some(crate::tls::server_config().unwrap());
    let echo = Echo { server_tls, hangs_up: true, ..Echo::default() };
    let _thread = thread::spawn(|| run(echo, sockets).unwrap());
    let mut octets = Vec::new();
    let mut stream = dial(address);
    stream.set_read_timeout(Some(DEADLINE / 4)).unwrap();
    stream.read_to_end(&mut octets).unwrap();
    assert!(!octets.windows(4).any(|piece| piece == b"idle"), "said in clear");
}

#[test]
fn a_refused_connect_is_told() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let echo = Echo { target: Some(address), wanted: 1, ..Echo::default() };
    let echo = run(echo, Sockets::default()).unwrap();
    assert_eq!(echo.ends, ["ConnectionRefused"]);
}

#[test]
fn a_close_lets_the_last_words_out() {
    let (address, _thread) = echo();
    let mut stream = dial(address);
    stream.write_all(b"C").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bye");
}

#[test]
fn a_close_is_heard_by_one_that_has_said_all() {
    let (address, _thread) = echo();
    let mut stream = dial(address);
    stream.write_all(b"C").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bye");
}

#[test]
fn a_reset_is_a_reset() {
    let (address, _thread) = echo();
    let mut stream = dial(address);
    stream.write_all(b"R").unwrap();
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn an_end_by_the_peer_is_told() {
    let (address, thread) = echo();
    drop(dial(address));
    assert_eq!(thread.join().unwrap().ends, ["ended"]);
}

#[test]
fn what_comes_in_a_pause_is_told_after_it() {
    let (address, thread) = echo();
    let mut stream = dial(address);
    stream.write_all(b"P").unwrap();
    for (heard, said) in [(&b"paused"[..], &b"late"[..]), (b"late", b"")] {
        let mut octets = vec![0; heard.len()];
        stream.read_exact(&mut octets).unwrap();
        assert_eq!(octets, heard);
        stream.write_all(said).unwrap();
    }
    drop(stream);
    assert_eq!(thread.join().unwrap().events, ["woken"]);
}

#[test]
fn a_paused_connection_knows_on_demand_that_its_peer_left() {
    let (address, thread) = echo();
    let mut stream = dial(address);
    stream.write_all(b"L").unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    stream.write_all(b"unread").unwrap();
    drop(stream);
    let echo = thread.join().unwrap();
    assert!(echo.began.is_some_and(|began| began.elapsed() < DEADLINE) && echo.ends.is_empty());
}

#[test]
fn a_resumed_connection_is_read_at_once() {
    let (address, _thread) = echo();
    let mut stream = dial(address);
    let mut round = || {
        let began = Instant::now();
        let mut octets = [0; 6];
        stream.write_all(b"P").unwrap();
        stream.read_exact(&mut octets).unwrap();
        stream.write_all(b"again!").unwrap();
        stream.read_exact(&mut octets).unwrap();
        began.elapsed()
    };
    // From the second one on a round begins where a tick ended the last, had it waited for that.
    round();
    let fastest = (0..5).map(|_| round()).min();
    assert!(fastest.is_some_and(|time| time < TICK * 4 / 5), "{fastest:?}");
}

#[test]
fn datagrams_are_answered() {
    let socket = listen_datagrams("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let sockets = Sockets { datagrams: vec![socket], ..Sockets::default() };
    let thread = thread::spawn(|| run(Echo::default(), sockets).unwrap());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    for word in [&b"one"[..], b"two", b"stop"] {
        client.send_to(word, address).unwrap();
        let mut octets = [0; 16];
        let (count, from) = client.recv_from(&mut octets).unwrap();
        assert_eq!((&octets[..count], from), (word, address));
    }
    thread.join().unwrap();
}
