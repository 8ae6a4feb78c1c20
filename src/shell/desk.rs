//! A connection's desk: where the relay's orders for it lie until its task takes them up.

use std::task::Waker;

use smallvec::SmallVec;

use crate::{limits::SEND_PIECES_MAX, relay::Pieces};

#[derive(Default)]
pub struct Desk {
    /// Octets the relay allows to read; 0: it has not asked.
    room: usize,
    /// To be sent, in order; none is empty.
    queue: Pieces,
    /// Octets ever put into the queue.
    queued: u64,
    /// Octets of those that are with the kernel.
    sent: u64,
    /// `Sent` is due when that many octets are with the kernel.
    reports: SmallVec<[u64; 1]>,
    ending: Ending,
    task: Option<Waker>,
    /// The task is at work, and will look again before it rests.
    attended: bool,
}

/// What the relay has said about the connection's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ending {
    #[default]
    Open,
    /// Close when all is sent.
    Close,
    /// Close now.
    Abort,
}

/// The orders, as the relay gives them.
impl Desk {
    pub fn receive(&mut self, room: usize) {
        // The end of the stream could not be told from a read of no octets.
        self.room = room.max(1);
        self.call();
    }

    pub fn send(&mut self, pieces: Pieces, report: bool) {
        if self.queue.is_empty() {
            self.queue = pieces;
            self.queue.retain(|piece| !piece.is_empty());
            self.queued += octets(&self.queue);
        } else {
            self.queued += octets(&pieces);
            self.queue.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
        }
        if report {
            self.reports.push(self.queued);
        }
        self.call();
    }

    pub fn end(&mut self, ending: Ending) {
        self.ending = ending;
        self.call();
    }

    /// Wakes the task, if it rests.
    fn call(&mut self) {
        if !self.attended
            && let Some(task) = &self.task
        {
            // Until the task comes, further orders need not wake it again.
            self.attended = true;
            task.wake_by_ref();
        }
    }
}

/// The other side: what the task does at the desk.
impl Desk {
    pub fn attend(&mut self, task: &Waker) {
        if !self.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            self.task = Some(task.clone());
        }
        self.attended = true;
    }

    pub fn rest(&mut self) {
        self.attended = false;
    }

    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// Takes the allowance for one read.
    pub fn take_room(&mut self) -> Option<usize> {
        let room = std::mem::take(&mut self.room);
        (room > 0).then_some(room)
    }

    /// Takes what one send may carry; `None`: there is nothing to send.
    pub fn take_pieces(&mut self) -> Option<Pieces> {
        match self.queue.len() {
            0 => None,
            1..=SEND_PIECES_MAX => Some(std::mem::take(&mut self.queue)),
            _ => Some(self.queue.drain(..SEND_PIECES_MAX).collect()),
        }
    }

    /// The relay waits for no read.
    pub fn is_silent(&self) -> bool {
        self.room == 0
    }

    pub fn count_sent(&mut self, octets: usize) {
        self.sent += octets as u64;
    }

    /// Takes the next report that is due.
    pub fn take_report(&mut self) -> bool {
        let due = self.reports.first().is_some_and(|&mark| mark <= self.sent);
        if due {
            self.reports.remove(0);
        }
        due
    }

    /// Forgets what was to be sent: nobody takes it any more.
    pub fn discard(&mut self) {
        self.queue = Pieces::new();
        self.reports.clear();
    }
}

fn octets(pieces: &Pieces) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use bytes::Bytes;
    use smallvec::smallvec;

    use super::*;

    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn piece(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn orders_wake_a_resting_task_once() {
        let calls = Arc::new(Calls::default());
        let waker = Waker::from(calls.clone());
        let count = || calls.0.load(Ordering::Relaxed);
        let mut desk = Desk::default();
        desk.receive(1);
        assert_eq!(count(), 0, "no task yet: its first look sees the order");
        desk.attend(&waker);
        desk.receive(1);
        assert_eq!(count(), 0, "the task is at the desk");
        desk.rest();
        desk.receive(1);
        desk.end(Ending::Close);
        assert_eq!(count(), 1);
    }

    #[test]
    fn reports_fall_due_in_order() {
        let mut desk = Desk::default();
        desk.send(smallvec![piece("ab"), piece(""), piece("c")], true);
        desk.send(smallvec![piece("d")], false);
        desk.send(smallvec![], true);
        assert_eq!(desk.take_pieces().unwrap().len(), 3);
        desk.count_sent(2);
        assert!(!desk.take_report());
        desk.count_sent(1);
        assert!(desk.take_report() && !desk.take_report());
        desk.count_sent(1);
        assert!(desk.take_report() && !desk.take_report());
    }

    #[test]
    fn a_long_queue_leaves_in_parts() {
        let mut desk = Desk::default();
        for _ in 0..=SEND_PIECES_MAX {
            desk.send(smallvec![piece("x")], false);
        }
        assert_eq!(desk.take_pieces().map(|pieces| pieces.len()), Some(SEND_PIECES_MAX));
        assert_eq!(desk.take_pieces().map(|pieces| pieces.len()), Some(1));
        assert!(desk.take_pieces().is_none());
    }

    #[test]
    fn an_allowance_serves_one_read() {
        let mut desk = Desk::default();
        desk.receive(0);
        assert_eq!(desk.take_room(), Some(1));
        assert_eq!(desk.take_room(), None);
    }
}
