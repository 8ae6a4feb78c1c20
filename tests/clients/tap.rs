//! A tap: stands between a client and the server and keeps what they say, for the test that fails.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What a trace keeps of one read; a message's octets are not what a reader looks for.
const SHOWN_OCTETS: usize = 1_500;

type Trace = Arc<Mutex<String>>;

pub struct Tap {
    /// Where clients are to connect.
    pub address: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    trace: Trace,
}

impl Tap {
    /// Its threads end with their connections; the one that accepts ends with the process.
    pub fn on(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let trace = Trace::default();
        let kept = Arc::clone(&trace);
        let server = Arc::new(Mutex::new(server));
        let now = Arc::clone(&server);
        thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let Ok(client) = client else { return };
                let address = *now.lock().unwrap();
                let Ok(server) = TcpStream::connect(address) else { continue };
                join(format!("{number} C: "), &client, &server, &kept);
                join(format!("{number} S: "), &server, &client, &kept);
            }
        });
        Self { address, server, trace }
    }

    /// The server listens elsewhere from now on.
    pub fn turn_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = server;
    }

    /// All that was said so far.
    pub fn trace(&self) -> String {
        self.trace.lock().unwrap().clone()
    }
}

/// Carries one direction; `who` is in front of each line.
fn join(who: String, from: &TcpStream, to: &TcpStream, trace: &Trace) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let trace = Arc::clone(trace);
    thread::spawn(move || {
        let mut octets = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut octets) {
            note(&trace, &who, &octets[..length]);
            if to.write_all(&octets[..length]).is_err() {
                break;
            }
        }
        note(&trace, &who, b"(closed)");
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn note(trace: &Trace, who: &str, octets: &[u8]) {
    let shown = &octets[..octets.len().min(SHOWN_OCTETS)];
    let mut trace = trace.lock().unwrap();
    for line in shown.split_inclusive(|&octet| octet == b'\n') {
        let line = String::from_utf8_lossy(line);
        trace.push_str(&format!("{who}{}\n", line.trim_end().escape_debug()));
    }
    if shown.len() < octets.len() {
        trace.push_str(&format!("{who}… {} octets more\n", octets.len() - shown.len()));
    }
}
