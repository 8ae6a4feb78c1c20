//! One thread of the name server: datagrams and streams in, answers out, some of them later.

use std::{
    collections::HashMap,
    mem,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use slab::Slab;

use super::answer::{Answer, Responder, Way};
use crate::ring::{Closed, Desk, Id, Service};

/// A query has one question and few options: more than this is not from a resolver.
const STREAM_QUERY_OCTETS_MAX: usize = 4096;
/// Answers that a client of a stream leaves unread before its queries are left unread too.
const STREAM_UNSENT_OCTETS_MAX: usize = 1 << 20;
/// RFC 7766 §6.2.3: a stream without queries is closed after seconds, not minutes.
const STREAM_IDLE: Duration = Duration::from_secs(30);
/// Streams of one thread.
const STREAMS_MAX: usize = 10_000;
/// Answers of one thread that wait for their delay; more queries get none.
const DELAYED_MAX: usize = 100_000;

/// What the threads tell while they run.
#[derive(Default)]
pub struct Figures {
    pub queries: AtomicU64,
    pub faults: AtomicU64,
    pub ended: AtomicBool,
}

/// Serves the listener and the datagram socket of its thread.
pub struct Server {
    pub responder: Responder,
    /// Queries of which the delayed answer had no room.
    pub crowded_out: u64,
    figures: Arc<Figures>,
    /// The queries and faults that the figures have.
    told: (u64, u64),
    streams: HashMap<Id, Stream>,
    delayed: Slab<(Asker, Bytes)>,
}

/// Where an answer goes.
#[derive(Clone, Copy)]
enum Asker {
    Datagram { socket: usize, from: SocketAddr },
    Stream(Id),
}

struct Stream {
    /// The beginning of a query whose end has not come.
    partial: Vec<u8>,
    unsent: usize,
    paused: bool,
    active: Instant,
}

impl Stream {
    fn new(now: Instant) -> Stream {
        Stream { partial: Vec::new(), unsent: 0, paused: false, active: now }
    }
}

impl Server {
    pub fn new(responder: Responder, figures: Arc<Figures>) -> Server {
        Server {
            responder,
            crowded_out: 0,
            figures,
            told: (0, 0),
            streams: HashMap::new(),
            delayed: Slab::new(),
        }
    }

    fn query(&mut self, desk: &mut Desk, asker: Asker, octets: &[u8]) {
        let way = match asker {
            Asker::Datagram { .. } => Way::Datagram,
            Asker::Stream(_) => Way::Stream,
        };
        let answer = self.responder.answer(octets, way);
        let Some(Answer { octets, delay }) = answer else { return };
        let octets = match way {
            Way::Datagram => Bytes::from(octets),
            Way::Stream => framed(&octets),
        };
        if delay.is_zero() {
            self.send(desk, asker, octets);
        } else if self.delayed.len() < DELAYED_MAX {
            let place = self.delayed.insert((asker, octets));
            desk.alarm_at(desk.now() + delay, place as u32);
        } else {
            self.crowded_out += 1;
        }
    }

    fn send(&mut self, desk: &mut Desk, asker: Asker, octets: Bytes) {
        match asker {
            Asker::Datagram { socket, from } => desk.reply(socket, from, octets),
            Asker::Stream(id) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.unsent += octets.len();
                    desk.send(id, octets);
                }
            }
        }
    }

    fn tell(&mut self) {
        let now = (self.responder.asks.total(), self.responder.faulty);
        let (queries, faults) = mem::replace(&mut self.told, now);
        self.figures.queries.fetch_add(now.0 - queries, Ordering::Relaxed);
        self.figures.faults.fetch_add(now.1 - faults, Ordering::Relaxed);
    }
}

impl Service for Server {
    fn accepted(&mut self, desk: &mut Desk, id: Id, _listener: usize, _peer: SocketAddr) {
        if self.streams.len() >= STREAMS_MAX {
            return desk.reset(id);
        }
        self.streams.insert(id, Stream::new(desk.now()));
        desk.wake_at(desk.now() + STREAM_IDLE, id, 0);
    }

    fn received(&mut self, desk: &mut Desk, id: Id, octets: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.active = desk.now();
        let mut whole = mem::take(&mut stream.partial);
        whole.extend_from_slice(octets);
        let mut rest = whole.as_slice();
        while let Some((query, after)) = frame(rest) {
            if query.len() > STREAM_QUERY_OCTETS_MAX {
                self.streams.remove(&id);
                return desk.reset(id);
            }
            self.query(desk, Asker::Stream(id), query);
            rest = after;
        }
        let begun = whole.len() - rest.len();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        whole.drain(..begun);
        stream.partial = whole;
        if stream.unsent > STREAM_UNSENT_OCTETS_MAX && !stream.paused {
            stream.paused = true;
            desk.pause(id);
        }
    }

    fn sent(&mut self, desk: &mut Desk, id: Id) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.unsent = 0;
        if mem::take(&mut stream.paused) {
            desk.resume(id);
        }
    }

    fn closed(&mut self, _desk: &mut Desk, id: Id, _why: Closed) {
        self.streams.remove(&id);
    }

    fn woken(&mut self, desk: &mut Desk, id: Id, _tag: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let due = stream.active + STREAM_IDLE;
        if desk.now() < due {
            return desk.wake_at(due, id, 0);
        }
        self.streams.remove(&id);
        desk.close(id);
    }

    fn alarm(&mut self, desk: &mut Desk, tag: u32) {
        if let Some((asker, octets)) = self.delayed.try_remove(tag as usize) {
            self.send(desk, asker, octets);
        }
    }

    fn datagram(&mut self, desk: &mut Desk, socket: usize, from: SocketAddr, octets: &[u8]) {
        self.query(desk, Asker::Datagram { socket, from }, octets);
    }

    fn tick(&mut self, desk: &mut Desk) {
        self.tell();
        if self.figures.ended.load(Ordering::Relaxed) {
            desk.stop();
        }
    }
}

/// RFC 1035 §4.2.2: the first whole message of a stream, and what is behind it.
fn frame(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// A message behind its length.
fn framed(message: &[u8]) -> Bytes {
    let mut octets = Vec::with_capacity(2 + message.len());
    // No answer is longer than `STREAM_OCTETS_MAX`.
    octets.extend_from_slice(&(message.len() as u16).to_be_bytes());
    octets.extend_from_slice(message);
    Bytes::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_at_every_cut() {
        let stream = [framed(b"one").as_ref(), &framed(b""), &framed(b"three")].concat();
        for cut in 0..=stream.len() {
            let (mut found, mut buffer) = (Vec::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                buffer.extend_from_slice(part);
                let mut rest = buffer.as_slice();
                while let Some((message, after)) = frame(rest) {
                    found.push(message.to_vec());
                    rest = after;
                }
                buffer = rest.to_vec();
            }
            assert_eq!(found, [&b"one"[..], b"", b"three"], "cut at {cut}");
            assert!(buffer.is_empty());
        }
    }
}
