//! Real faults on the real binary: power cuts, disks that fail or are full, next hops that stop
//! reading, name servers that are gone. Nothing acknowledged is lost, and the log says why.

// `tests/loopback` stands on the same and uses other parts of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod descriptors;
mod disk;
mod errors;
mod mounts;
mod names;
mod next_hop;
mod power;
