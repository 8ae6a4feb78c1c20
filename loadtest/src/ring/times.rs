//! What is to be told when: wake-ups of connections and alarms, the earliest first.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use super::Id;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wake {
    Connection(Id, u32),
    Alarm(u32),
}

#[derive(Default)]
pub struct Times {
    heap: BinaryHeap<Reverse<(Instant, u64, Wake)>>,
    asked: u64,
}

impl Times {
    pub fn ask(&mut self, at: Instant, wake: Wake) {
        // The count keeps those of one time in the order they were asked for.
        self.asked += 1;
        self.heap.push(Reverse((at, self.asked, wake)));
    }

    /// The next one whose time has come, if one has.
    pub fn due(&mut self, now: Instant) -> Option<Wake> {
        let Reverse((at, _, wake)) = *self.heap.peek()?;
        (at <= now).then(|| {
            self.heap.pop();
            wake
        })
    }

    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_come_in_order_and_those_of_one_time_as_they_were_asked_for() {
        let start = Instant::now();
        let mut times = Times::default();
        for (millis, tag) in [(3, 9), (1, 5), (2, 1), (1, 4)] {
            times.ask(start + Duration::from_millis(millis), Wake::Alarm(tag));
        }
        assert_eq!(times.due(start), None);
        assert_eq!(times.next(), Some(start + Duration::from_millis(1)));
        let now = start + Duration::from_millis(2);
        let due: Vec<Wake> = std::iter::from_fn(|| times.due(now)).collect();
        assert_eq!(due, [5, 4, 1].map(Wake::Alarm));
        assert_eq!(times.next(), Some(start + Duration::from_millis(3)));
    }
}
