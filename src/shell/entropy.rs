//! The kernel's entropy: one seed for each core's generator, and keys.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::random::Random;

/// A generator seeded by the kernel. Blocks only in the first moments after boot.
pub fn random() -> io::Result<Random> {
    octets().map(Random::from_seed)
}

/// Octets that nobody can guess, for keys.
pub fn octets<const N: usize>() -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    // Requests of up to 256 octets are never cut short, getrandom(2) says.
    if getrandom(&mut octets, GetRandomFlags::empty())? != N {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(octets)
}
