//! The ring itself: entries go in with what they are about, completions come out.

use std::{io, time::Instant};

use io_uring::{IoUring, cqueue, squeue, types};

use super::RingError;

/// Entries handed over in one system call, at most; more go in several.
const ENTRIES: u32 = 4096;
/// Completions that may wait to be seen; the kernel keeps the rest, at a price.
const COMPLETIONS: u32 = 16384;

/// What a completion is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    Accept(u32),
    Connect(u32),
    Receive(u32),
    Send(u32),
    DatagramIn(u32),
    DatagramOut(u32),
    /// A close or a cancellation: nobody asks how it went.
    Nothing,
}

impl About {
    pub fn pack(self) -> u64 {
        let (kind, index) = match self {
            About::Accept(index) => (1, index),
            About::Connect(index) => (2, index),
            About::Receive(index) => (3, index),
            About::Send(index) => (4, index),
            About::DatagramIn(index) => (5, index),
            About::DatagramOut(index) => (6, index),
            About::Nothing => (0, 0),
        };
        kind << 32 | u64::from(index)
    }

    fn unpack(word: u64) -> About {
        let index = word as u32;
        match word >> 32 {
            1 => About::Accept(index),
            2 => About::Connect(index),
            3 => About::Receive(index),
            4 => About::Send(index),
            5 => About::DatagramIn(index),
            6 => About::DatagramOut(index),
            _ => About::Nothing,
        }
    }
}

/// What the kernel says of one entry.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    pub about: About,
    /// Octets or a descriptor; or, below zero, the negated error number.
    pub result: i32,
    /// The buffer that the kernel chose, if it took one.
    pub buffer: Option<u16>,
    /// The same entry will complete again.
    pub more: bool,
}

impl Completion {
    pub fn outcome(&self) -> io::Result<u32> {
        u32::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

pub struct Kernel {
    ring: IoUring,
    /// Entries that will complete and have not.
    under_way: usize,
}

impl Kernel {
    pub fn new() -> Result<Kernel, RingError> {
        // DEFER_TASKRUN: the kernel does its share of the work when this thread asks for
        // completions, and interrupts it at no other time.
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(ENTRIES)
            .map_err(RingError::Setup)?;
        Ok(Kernel { ring, under_way: 0 })
    }

    pub fn submitter(&self) -> io_uring::Submitter<'_> {
        self.ring.submitter()
    }

    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Hands `entry` over with the next [`Kernel::wait`].
    ///
    /// # Safety
    ///
    /// What `entry` points to stays where it is, and its descriptor stays open, until the
    /// completion about `about` that has no `more`.
    pub unsafe fn push(&mut self, entry: squeue::Entry, about: About) {
        let entry = entry.user_data(about.pack());
        self.under_way += 1;
        // SAFETY: the caller's promise.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            // Full: an error here is met again, and told, by the next wait.
            let _ = self.ring.submit();
        }
    }

    /// Hands over what was pushed and waits for a completion, until `deadline`.
    pub fn wait(&mut self, deadline: Instant, into: &mut Vec<Completion>) -> io::Result<()> {
        let time = deadline.saturating_duration_since(Instant::now());
        let time = types::Timespec::new().sec(time.as_secs()).nsec(time.subsec_nanos());
        let args = types::SubmitArgs::new().timespec(&time);
        match self.ring.submitter().submit_with_args(1, &args) {
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                // EBUSY: completions must be taken first.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY) => {}
                _ => return Err(error),
            },
        }
        for entry in self.ring.completion() {
            let more = cqueue::more(entry.flags());
            self.under_way -= usize::from(!more);
            into.push(Completion {
                about: About::unpack(entry.user_data()),
                result: entry.result(),
                buffer: cqueue::buffer_select(entry.flags()),
                more,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_completion_is_about_survives_the_kernel() {
        for about in [
            About::Accept(0),
            About::Connect(7),
            About::Receive(u32::MAX),
            About::Send(1),
            About::DatagramIn(2),
            About::DatagramOut(3),
            About::Nothing,
        ] {
            assert_eq!(About::unpack(about.pack()), about);
        }
    }
}
