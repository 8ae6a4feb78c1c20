//! The queue's policy, pure: what is due when, which destination may have how much.

pub mod retry;
