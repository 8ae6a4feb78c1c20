//! The kernel's entropy: one seed for each core's generator.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::random::Random;

/// A generator seeded by the kernel. Blocks only in the first moments after boot.
pub fn random() -> io::Result<Random> {
    let mut seed = [0; 32];
    // Requests of up to 256 octets are never cut short, getrandom(2) says.
    let octets = getrandom(&mut seed, GetRandomFlags::empty())?;
    if octets != seed.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Random::from_seed(seed))
}
