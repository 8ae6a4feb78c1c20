//! Signals, as values for the main thread.

use std::{io, thread};

use crossbeam::channel::{Receiver, bounded};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Drain and stop.
    Terminate,
    /// The same from a terminal: nobody waits for a load balancer.
    Interrupt,
    /// Reload.
    Hangup,
}

/// Catches the signals we answer, and ignores those that would kill us for a file or a peer.
pub fn catch() -> io::Result<Receiver<Signal>> {
    for ignored in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { libc::signal(ignored, libc::SIG_IGN) };
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    // More signals than fit before they are looked at say nothing new.
    let (sender, receiver) = bounded(16);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let signal = match signal {
                SIGTERM => Signal::Terminate,
                SIGINT => Signal::Interrupt,
                _ => Signal::Hangup,
            };
            let _ = sender.try_send(signal);
        }
    })?;
    Ok(receiver)
}
