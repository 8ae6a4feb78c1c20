//! The outside's side of the world: hosts are connected to, clients come, both act.

use std::net::SocketAddr;

use super::{Event, Visit, World};
use crate::{
    client::{self, Client, Fault, Manner},
    device,
    network::{Flight, Link, Moves, Outside, Parting, Pipe, Seat},
    oracle::{Checked, broken},
    peer::{self, Mood, Peer},
    relay::{Input, Ticket, Trouble},
    time::Duration,
};

impl World {
    /// How long it takes until the relay hears of a connection.
    pub(super) fn connecting_takes(&mut self, remote: SocketAddr, timeout: Duration) -> Duration {
        let host = self.plan.host_at(remote.ip());
        match host.map(|host| self.hosts[host].mood) {
            Some(Mood::Hole) => timeout,
            _ => self.while_of(Duration::from_millis(500)),
        }
    }

    pub(super) fn connect(&mut self, core: u16, ticket: Ticket, remote: SocketAddr) -> Checked {
        let host = self.plan.host_at(remote.ip());
        let refused = match host.map(|host| self.hosts[host].mood) {
            Some(Mood::Down) => Some((Trouble::Refused, "peer: refuses connections")),
            Some(Mood::Unreachable) => Some((Trouble::Unreachable, "peer: no route to it")),
            Some(Mood::Hole) => Some((Trouble::TimedOut, "peer: is never connected to")),
            Some(_) => None,
            None => return broken(format!("a connection to {remote}, where nobody is")),
        };
        if let Some((trouble, what)) = refused {
            self.coverage.count(what);
            self.undial(core, remote);
            return self.feed(core, Input::Connected { ticket, result: Err(trouble) });
        }
        let Some(host) = host else { return Ok(()) };
        let peer = Peer::new(host, self.hosts[host].offers);
        let Some(number) = self.new_link(core, remote, Outside::Peer(Box::new(peer))) else {
            return Ok(());
        };
        let greets = self.while_of(Duration::from_millis(100));
        self.push(greets, Event::Greet { link: number });
        let id = self.links[&number].id;
        self.feed(core, Input::Connected { ticket, result: Ok(id) })
    }

    pub(super) fn greet(&mut self, number: u64) -> Checked {
        self.outside_step(number, |outside, cx| {
            if let (Outside::Peer(peer), Either::Peer(cx)) = (outside, cx) {
                peer.greet(cx);
            }
            Ok(())
        })
    }

    /// A client comes.
    pub(super) fn visit(&mut self, visit: Visit) -> Checked {
        if self.process.is_none() {
            // Nobody listens: it comes again.
            self.coverage.count("client: finds nobody");
            let later = Duration::from_secs(60 + u64::from(self.random.below(600)));
            self.push(later, Event::Visit { visit: Box::new(visit) });
            return Ok(());
        }
        self.to_come -= 1;
        let client = self.client_of(&visit);
        let last = 1 + self.random.below(3) as u8;
        let ip = if visit.stranger { [203, 0, 113, last] } else { [10, 0, 0, last] };
        let remote = SocketAddr::from((ip, 40_000));
        let cores = self.process.as_ref().map_or(1, |process| process.cores.len() as u32);
        let core = self.random.below(cores) as u16;
        let listener = if visit.stranger { 0 } else { self.random.below(2) as u16 };
        self.accept(core, listener, remote, Outside::Client(Box::new(client)))
    }

    /// Somebody connects to the relay.
    pub(super) fn accept(
        &mut self,
        core: u16,
        listener: u16,
        remote: SocketAddr,
        outside: Outside,
    ) -> Checked {
        let Some(number) = self.new_link(core, remote, outside) else { return Ok(()) };
        let Some(process) = &mut self.process else { return Ok(()) };
        let count = process.clients.entry(remote.ip()).or_default();
        *count += 1;
        let of_client = *count;
        if of_client > process.options.server.connections_per_client_max {
            self.coverage.count("relay: too many connections of one client");
        }
        let connection = self.links[&number].id;
        self.feed(core, Input::Accepted { connection, listener, remote, of_client })
    }

    fn client_of(&mut self, visit: &Visit) -> Client {
        let troubled = self.plan.troubles.clients && !self.healed;
        let manner = match self.random.below(if troubled { 12 } else { 8 }) {
            0..=2 => Manner::Lockstep,
            3..=5 => Manner::Pipelined,
            6 | 7 => Manner::Hasty,
            8 => Manner::Nonsense,
            9 => Manner::Mute,
            _ => Manner::Pipelined,
        };
        let mails = !matches!(manner, Manner::Nonsense | Manner::Mute);
        let extended = self.random.below(5) > 0;
        let chunking = extended && self.dice(3);
        let mut drafts = Vec::new();
        for (shape, tries) in &visit.letters {
            self.last_token += 1;
            let mut shape = shape.clone();
            shape.ends_within_a_line &= chunking;
            let token = self.last_token;
            let mut draft = shape.draft(token, extended, &mut self.random, &mut self.oracle);
            draft.tries = *tries;
            drafts.push(draft);
        }
        let mut client = Client::new(manner, chunking, extended, drafts);
        if troubled && mails && self.dice(2) {
            let fault = match self.random.below(6) {
                0 => Fault::Close,
                1 => Fault::Reset,
                2 => Fault::Vanish,
                3 => Fault::StopReading,
                _ => Fault::Pause(self.random.below(900)),
            };
            let most = [100, 500, 3000, 40_000][self.random.below(4) as usize];
            client.fuse = Some((self.random.below(most).into(), fault));
        }
        client
    }

    /// A link with its seat; `None`: there is no relay.
    fn new_link(&mut self, core: u16, remote: SocketAddr, outside: Outside) -> Option<u64> {
        self.last_link += 1;
        let number = self.last_link;
        let window = [300, 4000, 65_536][self.random.below(3) as usize];
        let id = self.process.as_mut()?.cores[usize::from(core)].admit(number);
        let link = Link {
            core,
            id,
            remote,
            outside,
            seat: Seat::Taken,
            room: None,
            arrived: bytes::BytesMut::new(),
            end: None,
            broken: false,
            queue: Default::default(),
            queued: 0,
            sent: 0,
            reports: Default::default(),
            unread: 0,
            window,
            outward: Pipe::default(),
            inward: Pipe::default(),
            reads: true,
            parted: None,
            put: 0,
            heard: 0,
            active: self.now,
            line: Vec::new(),
        };
        self.links.insert(number, link);
        Some(number)
    }

    pub(super) fn outside_step(
        &mut self,
        number: u64,
        step: impl FnOnce(&mut Outside, Either<'_, '_>) -> Checked,
    ) -> Checked {
        let healed = self.healed;
        let transactions_max = self.transactions_max();
        let Some(mut link) = self.links.remove(&number) else { return Ok(()) };
        if link.parted.is_some() {
            self.links.insert(number, link);
            return Ok(());
        }
        let mut moves = Moves::after(link.put);
        let live = link.seat == Seat::Taken;
        let rate = if self.plan.troubles.peers && !healed { self.plan.troubles.rate } else { 0.0 };
        let host = match &link.outside {
            Outside::Peer(peer) => Some(&self.hosts[peer.host]),
            Outside::Client(_) | Outside::Device(_) | Outside::Collector(_) | Outside::Nobody => {
                None
            }
        };
        let stepped = match host {
            Some(host) => {
                let mut cx = peer::Cx {
                    random: &mut self.random,
                    oracle: &mut self.oracle,
                    coverage: &mut self.coverage,
                    moves: &mut moves,
                    domains: &host.domains,
                    mood: host.mood,
                    rate,
                    link: number,
                    live,
                    transactions_max,
                };
                step(&mut link.outside, Either::Peer(&mut cx))
            }
            None if matches!(link.outside, Outside::Device(_) | Outside::Collector(_)) => {
                let disk = &self.disk;
                let mut cx = device::Cx {
                    random: &mut self.random,
                    oracle: &mut self.oracle,
                    coverage: &mut self.coverage,
                    moves: &mut moves,
                    now: self.now,
                    excused: disk.unreadable || disk.broken || disk.slow,
                    token: &mut self.last_token,
                };
                step(&mut link.outside, Either::Reader(&mut cx))
            }
            None => {
                let mut cx = client::Cx {
                    random: &mut self.random,
                    oracle: &mut self.oracle,
                    coverage: &mut self.coverage,
                    moves: &mut moves,
                };
                step(&mut link.outside, Either::Client(&mut cx))
            }
        };
        let peer = !link.is_of_client();
        self.links.insert(number, link);
        self.make_moves(number, moves);
        if peer {
            // Between the next hop's 250 and our record of it, for one.
            self.tempt(Duration::from_millis(100));
        }
        stepped
    }

    fn transactions_max(&self) -> u32 {
        let site = self.plan.config.sites.first();
        site.map_or(u32::MAX, |site| site.shape.messages_per_connection)
    }

    fn make_moves(&mut self, number: u64, moves: Moves) {
        if let Some(link) = self.links.get_mut(&number) {
            link.reads &= !moves.stops_reading;
        }
        for (delay, octets) in moves.sends {
            if let Some(link) = self.links.get_mut(&number) {
                link.put += octets.len() as u64;
            }
            self.fly_cut(number, true, delay, octets);
        }
        if let Some(parting) = moves.parting {
            if let Some(link) = self.links.get_mut(&number) {
                // One that closes is there until its last words have gone out.
                link.parted = Some(parting).filter(|parting| *parting != Parting::Close);
                if let Outside::Client(client) = &mut link.outside {
                    let drafts = client.left();
                    drafts.into_iter().for_each(|draft| self.send_again(draft));
                }
            }
            if let Some(mut link) = self.links.remove(&number) {
                self.release(&mut link);
                self.links.insert(number, link);
            }
            match parting {
                Parting::Close => {
                    self.fly(number, true, Duration::ZERO, Flight::End(Trouble::Ended));
                }
                Parting::Reset => {
                    let lost = self.dice(2);
                    if let Some(link) = self.links.get_mut(&number)
                        && lost
                    {
                        link.inward.flying.clear();
                    }
                    self.fly(number, true, Duration::ZERO, Flight::End(Trouble::Reset));
                }
                Parting::Vanish => {}
            }
        }
        for draft in moves.again {
            self.send_again(draft);
        }
    }
}

/// What a step of an outside end may look at.
pub(super) enum Either<'a, 'b> {
    Peer(&'a mut peer::Cx<'b>),
    Client(&'a mut client::Cx<'b>),
    Reader(&'a mut device::Cx<'b>),
}
