//! A toy authoritative DNS server: a table of records, over UDP and TCP.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, MX, SOA},
    },
};

use super::{DNS_PORT, fresh_address};

const TTL: u32 = 60;

/// What a name has.
#[derive(Clone, Debug)]
pub enum Data {
    Mx(u16, &'static str),
    Address(IpAddr),
    Alias(&'static str),
    /// The name exists and has nothing of use.
    Nothing,
}

/// The records, and what else the server does.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    pub records: Vec<(&'static str, Data)>,
    /// Names answered over UDP with the truncation bit and nothing else.
    pub truncated: Vec<&'static str>,
    /// Names answered with SERVFAIL.
    pub broken: Vec<&'static str>,
    /// Nothing is answered; questions are still counted.
    pub silent: bool,
}

impl Zone {
    pub fn new(records: &[(&'static str, Data)]) -> Self {
        Self { records: records.to_vec(), ..Self::default() }
    }
}

/// Runs until dropped.
pub struct Dns {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    zone: Mutex<Zone>,
    /// Questions by name, type and transport.
    asked: Mutex<HashMap<(String, RecordType, Transport), usize>>,
    stopping: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    Datagram,
    Stream,
}

impl Dns {
    pub fn start(zone: Zone) -> Self {
        let address = SocketAddr::new(fresh_address(), DNS_PORT);
        let state = Arc::new(State {
            zone: Mutex::new(zone),
            asked: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let (socket, listener) =
            (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
        let (by_datagram, by_stream) = (Arc::clone(&state), Arc::clone(&state));
        thread::spawn(move || serve_datagrams(&socket, &by_datagram));
        thread::spawn(move || serve_streams(&listener, &by_stream));
        Self { address, state }
    }

    pub fn set(&self, zone: Zone) {
        *self.state.zone.lock().unwrap() = zone;
    }

    /// Questions of all kinds.
    pub fn total(&self) -> usize {
        self.state.asked.lock().unwrap().values().sum()
    }

    pub fn asked(&self, name: &str, kind: RecordType, transport: Transport) -> usize {
        let key = (name.to_owned(), kind, transport);
        self.state.asked.lock().unwrap().get(&key).copied().unwrap_or_default()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve_datagrams(socket: &UdpSocket, state: &State) {
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 4096];
    while !state.stopping.load(Ordering::SeqCst) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(answer) = state.answer(&buffer[..length], Transport::Datagram) {
            let _ = socket.send_to(&answer, client);
        }
    }
}

fn serve_streams(listener: &TcpListener, state: &State) {
    for stream in listener.incoming() {
        if state.stopping.load(Ordering::SeqCst) {
            return;
        }
        // A client that goes away early has only itself to blame.
        let _ = stream.and_then(|stream| serve_stream(stream, state));
    }
}

/// RFC 7766 §8: two octets of length before each message.
fn serve_stream(mut stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question)?;
    if let Some(answer) = state.answer(&question, Transport::Stream) {
        stream.write_all(&(answer.len() as u16).to_be_bytes())?;
        stream.write_all(&answer)?;
    }
    Ok(())
}

impl State {
    fn answer(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let asked = query.name.to_ascii().to_lowercase().trim_end_matches('.').to_owned();
        let key = (asked.clone(), query.query_type, transport);
        *self.asked.lock().unwrap().entry(key).or_default() += 1;
        let zone = self.zone.lock().unwrap().clone();
        if zone.silent {
            return None;
        }
        let id = question.metadata.id;
        let mut answer = Message::new(id, MessageType::Response, question.metadata.op_code);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        if zone.broken.contains(&asked.as_str()) {
            answer.metadata.response_code = ResponseCode::ServFail;
        } else if zone.truncated.contains(&asked.as_str()) && transport == Transport::Datagram {
            answer.metadata.truncation = true;
        } else {
            zone.fill(&mut answer, query.name, &asked, query.query_type);
        }
        answer.to_vec().ok()
    }
}

impl Zone {
    fn fill(&self, answer: &mut Message, owner: Name, asked: &str, kind: RecordType) {
        let known = self.records.iter().filter(|(name, _)| *name == asked);
        let mut exists = false;
        for (_, data) in known {
            exists = true;
            let data = match (data, kind) {
                (Data::Mx(preference, host), RecordType::MX) => {
                    RData::MX(MX::new(*preference, name(host)))
                }
                (Data::Address(IpAddr::V4(ip)), RecordType::A) => RData::A((*ip).into()),
                (Data::Address(IpAddr::V6(ip)), RecordType::AAAA) => RData::AAAA((*ip).into()),
                (Data::Alias(target), _) => {
                    let alias = RData::CNAME(CNAME(name(target)));
                    answer.add_answer(Record::from_rdata(owner.clone(), TTL, alias));
                    return self.fill(answer, name(target), target, kind);
                }
                _ => continue,
            };
            answer.add_answer(Record::from_rdata(owner.clone(), TTL, data));
        }
        if !exists {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        if answer.answers.is_empty() {
            // RFC 2308 §3: how long a no may be kept.
            let soa = SOA::new(name("ns.example"), name("root.example"), 1, 60, 60, 60, TTL);
            answer.add_authority(Record::from_rdata(name("example"), TTL, RData::SOA(soa)));
        }
    }
}

/// A name of the table; `.` is the root.
fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}
