//! What lies between: octets fly and arrive, and the relay's sockets have something for it.

use bytes::{Buf, Bytes};

use super::{Event, Visit, World};
use crate::{
    client,
    network::{Flight, Link, Outside, Parting, Seat},
    oracle::{Checked, broken},
    relay::{Input, Trouble},
    time::Duration,
    world::outside::Either,
};

/// How long a connection may lie still while the relay waits for the other side.
const STILLNESS: Duration = Duration::from_secs(25 * 60);

/// The same for one who reads mail, and may wait for more.
const STILLNESS_OF_READERS: Duration = Duration::from_secs(32 * 60);

impl World {
    /// Puts something into one direction.
    pub(super) fn fly(&mut self, number: u64, inward: bool, delay: Duration, flight: Flight) {
        let travels = self.while_of(Duration::from_millis(80));
        let now = self.now;
        let Some(link) = self.links.get_mut(&number) else { return };
        let pipe = if inward { &mut link.inward } else { &mut link.outward };
        let at = pipe.arrival(now, delay + travels);
        pipe.flying.push_back(flight);
        self.push_at(at, Event::Arrive { link: number, inward });
    }

    /// The relay's kernel sends what fits.
    pub(super) fn pump(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        if matches!(link.end, Some(Trouble::Reset)) && !link.queue.is_empty() {
            link.broken = true;
            link.queue.clear();
            link.reports.clear();
        }
        let gone = link.parted.is_some();
        let vanished = link.parted == Some(Parting::Vanish);
        let moved = link.pump();
        let flushed = link.seat == Seat::Leaving && link.queue.is_empty();
        if flushed {
            link.seat = Seat::Left;
        }
        // The other side's kernel answers octets for a socket that is gone by a reset.
        let resets = gone && !vanished && !moved.is_empty() && link.end != Some(Trouble::Reset);
        if resets {
            link.end = Some(Trouble::Reset);
            link.arrived.clear();
            link.inward.flying.clear();
            self.attend_soon(number);
        }
        for octets in moved {
            self.fly_cut(number, false, Duration::ZERO, octets);
        }
        if flushed {
            self.fly(number, false, Duration::ZERO, Flight::End(Trouble::Ended));
        }
    }

    /// Puts octets into one direction, cut anywhere.
    pub(super) fn fly_cut(
        &mut self,
        number: u64,
        inward: bool,
        delay: Duration,
        mut octets: Bytes,
    ) {
        for _ in 0..self.random.below(3) {
            let part = octets.split_to(self.random.below(octets.len() as u32 + 1) as usize);
            if !part.is_empty() {
                self.fly(number, inward, delay, Flight::Octets(part));
            }
        }
        if !octets.is_empty() {
            self.fly(number, inward, delay, Flight::Octets(octets));
        }
    }

    pub(super) fn arrive(&mut self, number: u64, inward: bool) -> Checked {
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        let pipe = if inward { &mut link.inward } else { &mut link.outward };
        let Some(flight) = pipe.flying.pop_front() else { return Ok(()) };
        if inward {
            match flight {
                Flight::Octets(octets) => link.arrived.extend_from_slice(&octets),
                Flight::End(trouble) => {
                    link.parted.get_or_insert(Parting::Close);
                    link.end.get_or_insert(trouble);
                }
            }
            self.attend_soon(number);
            return Ok(());
        }
        match flight {
            // It vanished, and takes nothing; or it is there, and reads nothing.
            Flight::Octets(_) if link.parted == Some(Parting::Vanish) || !link.reads => Ok(()),
            Flight::Octets(octets) => {
                link.unread -= octets.len();
                self.pump(number);
                self.attend_soon(number);
                self.outside_step(number, |outside, cx| match (outside, cx) {
                    (Outside::Peer(peer), Either::Peer(cx)) => peer.octets(&octets, cx),
                    (Outside::Client(client), Either::Client(cx)) => client.octets(&octets, cx),
                    (Outside::Device(device), Either::Reader(cx)) => device.octets(&octets, cx),
                    (Outside::Collector(collector), Either::Reader(cx)) => {
                        collector.octets(&octets, cx)
                    }
                    _ => Ok(()),
                })
            }
            Flight::End(_) => {
                self.part(number);
                Ok(())
            }
        }
    }

    /// The outside hears that the relay is gone. A client sends another time what it was not told
    /// 250 for.
    fn part(&mut self, number: u64) {
        let Some(mut link) = self.links.remove(&number) else { return };
        if link.seat == Seat::Taken {
            // A half-closed connection: the relay's end lives.
            link.parted.get_or_insert(Parting::Close);
            self.links.insert(number, link);
            return;
        }
        if let Outside::Client(client) = &mut link.outside {
            for draft in client.left() {
                self.send_again(draft);
            }
        }
        self.release(&mut link);
    }

    pub(super) fn send_again(&mut self, draft: client::Draft) {
        if draft.tries >= 4 {
            return;
        }
        self.to_come += 1;
        let later = Duration::from_secs(60 + u64::from(self.random.below(1800)));
        let letters = vec![(draft.shape, draft.tries + 1)];
        let visit = Box::new(Visit { stranger: false, letters });
        self.push(later, Event::Visit { visit });
    }

    pub(super) fn attend_soon(&mut self, number: u64) {
        if !self.links.get(&number).is_some_and(Link::has_news) {
            return;
        }
        let delay = self.while_of(Duration::from_micros(300));
        self.push(delay, Event::Attend { link: number });
    }

    pub(super) fn touch(&mut self, number: u64) {
        let now = self.now;
        if let Some(link) = self.links.get_mut(&number) {
            link.active = now;
        }
    }

    /// Gives the relay one thing that its socket has for it.
    pub(super) fn attend(&mut self, number: u64) -> Checked {
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        if link.seat != Seat::Taken || self.process.is_none() {
            return Ok(());
        }
        let (core, connection) = (link.core, link.id);
        if link.reports.front().is_some_and(|mark| *mark <= link.sent) {
            link.reports.pop_front();
            self.touch(number);
            self.attend_soon(number);
            return self.feed(core, Input::Sent { connection });
        }
        match link.room {
            Some(room) if !link.arrived.is_empty() => {
                let most = room.min(link.arrived.len());
                let less = self.random.below(2 * most as u32) as usize + 1;
                let bytes = link.arrived.copy_to_bytes(most.min(less));
                link.room = None;
                link.heard += bytes.len() as u64;
                let heard = link.heard;
                self.oracle.heard(number, heard);
                self.touch(number);
                self.feed(core, Input::Received { connection, bytes })
            }
            Some(_) => match link.end {
                Some(trouble) => self.tell_closed(number, trouble),
                None => Ok(()),
            },
            None => match link.end {
                Some(trouble) if link.broken => self.tell_closed(number, trouble),
                _ => Ok(()),
            },
        }
    }

    fn tell_closed(&mut self, number: u64, trouble: Trouble) -> Checked {
        self.vacate(number);
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        let (core, connection) = (link.core, link.id);
        // The other side is gone: what is queued for it has nowhere to go.
        link.seat = Seat::Left;
        link.queue.clear();
        self.part(number);
        self.feed(core, Input::Closed { connection, trouble })
    }

    /// No connection lies still for longer than any timeout allows.
    pub(super) fn check_stillness(&mut self) -> Checked {
        let Some(process) = &self.process else { return Ok(()) };
        let busy = |link: &Link| {
            // The store may take its time, and a client waits for it.
            link.is_of_client() && process.cores[usize::from(link.core)].stores > 0
        };
        let stillness = |link: &Link| match link.outside {
            Outside::Device(_) | Outside::Collector(_) | Outside::Nobody => STILLNESS_OF_READERS,
            _ => STILLNESS,
        };
        let still = self.links.values().find(|link| {
            link.seat == Seat::Taken && self.now.since(link.active) > stillness(link) && !busy(link)
        });
        if let Some(link) = still {
            let since = self.now.since(link.active);
            return broken(format!("{:?} with {} lies still for {since:?}", link.id, link.remote));
        }
        // Those of which both ends are gone, and of which nobody will hear.
        let over = |link: &Link| link.seat == Seat::Left && link.parted.is_some();
        let gone: Vec<u64> =
            self.links.iter().filter(|(_, link)| over(link)).map(|(number, _)| *number).collect();
        gone.iter().for_each(|number| drop(self.links.remove(number)));
        Ok(())
    }

    /// Nobody is connected to the relay.
    pub(super) fn is_quiet(&self) -> bool {
        self.links.values().all(|link| link.seat != Seat::Taken)
    }
}
