//! The threads of a run, each with a ring and a service of its own, and what ends the run.

use std::{
    io,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use thiserror::Error;

use crate::{
    outcome::Ended,
    progress::Interrupt,
    ring::{self, RingError, Service, Sockets},
};

/// Why a run's threads have no result.
#[derive(Debug, Error)]
pub enum CrewError {
    #[error("a thread cannot be started: {0}; ask for fewer by --cores")]
    Thread(io::Error),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("a thread panicked; the message above is a defect of ringload to report")]
    Panicked,
}

/// Threads that run until their services stop; each leaves a `T`.
pub struct Crew<T> {
    threads: Vec<JoinHandle<Result<T, RingError>>>,
}

impl<T: Send + 'static> Crew<T> {
    /// A thread for each service; `rest` makes of it, when it has stopped, what the thread leaves.
    pub fn start<S: Service + Send + 'static>(
        name: &str,
        services: impl IntoIterator<Item = (S, Sockets)>,
        rest: fn(S) -> T,
    ) -> Result<Crew<T>, CrewError> {
        let start = |(number, (service, sockets))| {
            thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || ring::run(service, sockets).map(rest))
                .map_err(CrewError::Thread)
        };
        let threads = services.into_iter().enumerate().map(start).collect::<Result<_, _>>()?;
        Ok(Crew { threads })
    }

    /// While nobody has told the threads to stop: the fault of one that has ended nevertheless.
    pub fn check(&mut self) -> Result<(), CrewError> {
        match self.threads.iter().position(JoinHandle::is_finished) {
            Some(place) => left(self.threads.swap_remove(place)).map(drop),
            None => Ok(()),
        }
    }

    /// What the threads leave, once all of them have stopped.
    pub fn join(&mut self) -> Result<Vec<T>, CrewError> {
        self.threads.drain(..).map(left).collect()
    }
}

fn left<T>(thread: JoinHandle<Result<T, RingError>>) -> Result<T, CrewError> {
    Ok(thread.join().map_err(|_| CrewError::Panicked)??)
}

/// What ends a run, whichever comes first.
pub struct Until {
    pub interrupt: Interrupt,
    /// So much is done.
    pub count: Option<u64>,
    /// What was asked for took so long.
    pub time: Option<Instant>,
    pub deadline: Instant,
}

impl Until {
    /// Why the run is over, if it is.
    pub fn over(&self, done: u64) -> Option<Ended> {
        let now = Instant::now();
        if self.count.is_some_and(|count| done >= count) {
            Some(Ended::Count)
        } else if self.time.is_some_and(|time| now >= time) {
            Some(Ended::Duration)
        } else if self.interrupt.asked() {
            Some(Ended::Interrupted)
        } else if now >= self.deadline {
            Some(Ended::Deadline)
        } else {
            None
        }
    }

    /// How long it may take until the clock ends the run.
    pub fn left(&self) -> Duration {
        let end = self.time.map_or(self.deadline, |time| time.min(self.deadline));
        end.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bound_that_is_met_ends_the_run() {
        let (past, future) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        for (count, time, deadline, done, over) in [
            (None, None, future, u64::MAX, None),
            (Some(3), Some(future), future, 2, None),
            (Some(3), Some(future), future, 3, Some(Ended::Count)),
            (Some(3), Some(past), past, 2, Some(Ended::Duration)),
            (None, Some(future), past, 0, Some(Ended::Deadline)),
        ] {
            let interrupt = Interrupt::install().expect("signals can be caught");
            let until = Until { interrupt, count, time, deadline };
            assert_eq!(until.over(done), over);
            assert_eq!(until.left().is_zero(), time == Some(past) || deadline == past);
        }
    }

    /// Stops at once, or never begins.
    struct Stops(bool);

    impl Service for Stops {
        fn started(&mut self, desk: &mut ring::Desk) {
            assert!(self.0, "this one panics, as it is told to");
            desk.stop();
        }
    }

    #[test]
    fn what_threads_leave_comes_in_their_order_and_a_panic_is_told() {
        let crew = |stops: &[bool]| {
            let services = stops.iter().map(|&stops| (Stops(stops), Sockets::default()));
            Crew::start("test", services.collect::<Vec<_>>(), |service| service.0).unwrap()
        };
        assert_eq!(crew(&[true, true]).join().unwrap(), [true, true]);
        assert!(matches!(crew(&[true, false]).join(), Err(CrewError::Panicked)));
    }
}
