//! The two clocks, read once for every input.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::time::{Instant, Now, Wall};

pub fn now() -> Now {
    let steady = clock_gettime(ClockId::Monotonic);
    let wall = clock_gettime(ClockId::Realtime);
    Now {
        instant: Instant::from_micros(parts(steady, 1_000_000)),
        wall: Wall::from_millis(parts(wall, 1_000)),
    }
}

/// The time in units of which `per_second` make a second; 0 before the clock's start.
fn parts(time: Timespec, per_second: u64) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * per_second + nanos / (1_000_000_000 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_second() {
        let time = Timespec { tv_sec: 3, tv_nsec: 250_999_999 };
        assert_eq!(parts(time, 1_000_000), 3_250_999);
        assert_eq!(parts(time, 1_000), 3_250);
        assert_eq!(parts(Timespec { tv_sec: -1, tv_nsec: 0 }, 1_000), 0);
    }

    #[test]
    fn the_clocks_go_forward() {
        let first = now();
        let second = now();
        assert!(second.instant >= first.instant);
        // 2025-01-01: the wall clock counts from 1970.
        assert!(first.wall > Wall::from_millis(1_735_689_600_000));
    }
}
