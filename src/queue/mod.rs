//! The queue's policy, pure: what is due when, which destination may have how much.
//!
//! Disk is truth and memory a bounded window over it. [`schedule`] holds the window and knows
//! which pages of the disk to read next; [`destination`] is one next hop's part of the window with
//! its connections; [`agenda`] remembers when what is on disk is due; [`retry`] says when an
//! attempt is repeated and when a message is given up; [`shaping`] how much a next hop may have.

pub mod agenda;
pub mod destination;
pub mod retry;
pub mod schedule;
pub mod shaping;
mod shelf;

pub use destination::{Destination, Down, Queued};
pub use schedule::{Admission, Place, Schedule};

#[cfg(test)]
mod tests;
