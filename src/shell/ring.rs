//! The ring: how it is set up, and one sentence for each reason why it may not be.

use std::{fs, io, mem};

use crate::limits::{RING_COMPLETIONS, RING_ENTRIES};

/// Why io_uring is not to be had, and what to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RingError {
    #[error(
        "io_uring is switched off on this machine (kernel.io_uring_disabled=2); run \
         `sysctl -w kernel.io_uring_disabled=0` to allow it"
    )]
    Disabled,
    #[error(
        "io_uring is kept for privileged processes on this machine (kernel.io_uring_disabled=1); \
         run `sysctl -w kernel.io_uring_disabled=0`, or put this user's group into \
         kernel.io_uring_group"
    )]
    Restricted,
    #[error(
        "io_uring is forbidden to this process by a seccomp filter, as container runtimes set \
         it; allow io_uring_setup, io_uring_enter and io_uring_register in the profile (Docker: \
         --security-opt seccomp=FILE)"
    )]
    Seccomp,
    #[error(
        "this kernel has no io_uring, or a seccomp filter hides it; Linux 6.1 or newer with \
         CONFIG_IO_URING is needed"
    )]
    Missing,
    #[error("this kernel's io_uring is too old; Linux 6.1 or newer is needed")]
    Old,
    #[error(
        "there is no memory for io_uring; raise the limit of locked memory (`ulimit -l`, \
         LimitMEMLOCK= of systemd) or that of the control group"
    )]
    Memory,
    #[error(
        "there are no descriptors for io_uring; raise the limit of open files (`ulimit -n`, \
         LimitNOFILE= of systemd)"
    )]
    Descriptors,
    #[error("io_uring cannot be set up: system error {0}; look it up in io_uring_setup(2)")]
    System(i32),
}

const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

/// Sets a small ring up and drops it, so that a refusal is told at start and in one sentence.
pub fn check() -> Result<(), RingError> {
    flags().build(8).map(drop).map_err(|error| refusal(&error))
}

/// A runtime around the ring of the calling thread.
pub fn runtime() -> Result<tokio_uring::Runtime, RingError> {
    let mut flags = flags();
    flags.setup_cqsize(RING_COMPLETIONS);
    let mut builder = tokio_uring::builder();
    builder.entries(RING_ENTRIES).uring_builder(&flags);
    tokio_uring::Runtime::new(&builder).map_err(|error| refusal(&error))
}

/// Runs `work` on this thread's ring, and leaves the ring to the end of the process.
pub fn run_to_end(runtime: tokio_uring::Runtime, work: impl Future<Output = ()>) {
    runtime.block_on(async {
        work.await;
        // Waiting hands the kernel what was asked for last. It cannot fail in a way that matters.
        let _ = tokio_uring::no_op().await;
    });
    // Dropped, tokio-uring 0.5 frees the memory of what is under way before it cancels it: the
    // kernel would write a client's address, or its octets, into what another thread, the store's
    // for one, has allocated since. So it stays; the process ends soon.
    mem::forget(runtime);
}

/// Measured: 13 to 18 % less CPU a round trip than without them. DEFER_TASKRUN, the third of
/// the family, hangs under tokio-uring 0.5.
fn flags() -> io_uring::Builder {
    let mut flags = tokio_uring::uring_builder();
    flags.setup_coop_taskrun().setup_single_issuer();
    flags
}

fn refusal(error: &io::Error) -> RingError {
    let sysctl = fs::read_to_string(DISABLED).unwrap_or_default();
    explain(error.raw_os_error().unwrap_or(0), &sysctl)
}

/// What `errno` of io_uring_setup(2) means where kernel.io_uring_disabled reads `sysctl`.
fn explain(errno: i32, sysctl: &str) -> RingError {
    match (errno, sysctl.trim()) {
        (libc::EPERM, "2") => RingError::Disabled,
        (libc::EPERM, "1") => RingError::Restricted,
        (libc::EPERM | libc::EACCES, _) => RingError::Seccomp,
        (libc::ENOSYS, _) => RingError::Missing,
        // The flags came with 5.19 and 6.0; an older kernel calls them invalid.
        (libc::EINVAL, _) => RingError::Old,
        (libc::ENOMEM, _) => RingError::Memory,
        (libc::EMFILE | libc::ENFILE, _) => RingError::Descriptors,
        (errno, _) => RingError::System(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::OwnedFd, rc::Rc};

    use super::{super::operation, *};

    #[test]
    fn each_refusal_has_its_sentence() {
        for (errno, sysctl, want) in [
            (libc::EPERM, "2\n", "kernel.io_uring_disabled=2"),
            (libc::EPERM, "1\n", "kernel.io_uring_disabled=1"),
            (libc::EPERM, "0\n", "seccomp"),
            (libc::EPERM, "", "seccomp"),
            (libc::ENOSYS, "", "Linux 6.1"),
            (libc::EINVAL, "0\n", "too old"),
            (libc::ENOMEM, "0\n", "LimitMEMLOCK"),
            (libc::EMFILE, "0\n", "LimitNOFILE"),
            (libc::EIO, "0\n", "system error 5"),
        ] {
            let sentence = explain(errno, sysctl).to_string();
            assert!(sentence.contains(want), "errno {errno}, {sysctl:?}: {sentence}");
        }
    }

    #[test]
    fn what_the_kernel_may_still_write_to_outlives_the_work() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Rc::new(OwnedFd::from(listener));
        let held = Rc::downgrade(&socket);
        run_to_end(runtime().unwrap(), async move {
            tokio_uring::spawn(async move { operation::accept(&socket).await.0 });
            tokio_uring::no_op().await.unwrap();
        });
        assert!(held.upgrade().is_some(), "an accept under way has lost its memory");
    }

    #[test]
    fn this_machine_has_a_ring() {
        check().unwrap();
        runtime().unwrap().block_on(async { tokio_uring::no_op().await.unwrap() });
    }
}
