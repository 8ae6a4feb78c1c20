//! Whom messages are for: one address, one domain, or many domains by Zipf's law.

use bytes::{BufMut, BytesMut};

use super::{digits, write_decimal};
use crate::random::{Alias, Random};

/// A message to more recipients does not list them in its To field.
const LISTED_MAX: u32 = 8;
/// What stands there instead (RFC 5322 §3.4, a group).
const UNDISCLOSED: &[u8] = b"undisclosed-recipients:;";
/// Between the addresses of a To field, each on a line of its own.
const FOLD: &[u8] = b",\r\n ";

/// The recipients of every message of a run.
#[derive(Clone, Debug)]
pub struct Recipients {
    /// Of one message.
    count: u32,
    to: To,
}

#[derive(Clone, Debug)]
enum To {
    Address(String),
    /// `r0@DOMAIN`, `r1@DOMAIN` and so on.
    Domain(String),
    /// `r0@dN.test` and so on, N drawn for each.
    Drawn {
        domains: usize,
        rank: Alias,
    },
}

impl Recipients {
    pub fn address(address: String) -> Recipients {
        Recipients { count: 1, to: To::Address(address) }
    }

    pub fn domain(count: u32, domain: String) -> Recipients {
        Recipients { count, to: To::Domain(domain) }
    }

    /// `d0.test` is the most frequent of `domains`, at least one.
    pub fn zipf(count: u32, domains: usize, exponent: f64) -> Recipients {
        Recipients { count, to: To::Drawn { domains, rank: Alias::zipf(domains, exponent) } }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// Appends the address of one recipient of a message.
    pub fn write(&self, seed: u64, sequence: u64, index: u32, out: &mut BytesMut) {
        if let To::Address(address) = &self.to {
            return out.put_slice(address.as_bytes());
        }
        out.put_u8(b'r');
        write_decimal(index.into(), out);
        match &self.to {
            To::Address(_) => {}
            To::Domain(domain) => {
                out.put_u8(b'@');
                out.put_slice(domain.as_bytes());
            }
            To::Drawn { rank, .. } => {
                let number = sequence.wrapping_mul(self.count.into()) + u64::from(index);
                out.put_slice(b"@d");
                write_decimal(rank.pick(&mut Random::of(seed, number)) as u64, out);
                out.put_slice(b".test");
            }
        }
    }

    /// Appends the value of the To field with its line end.
    pub(super) fn write_field(&self, seed: u64, sequence: u64, out: &mut BytesMut) {
        if self.count > LISTED_MAX {
            out.put_slice(UNDISCLOSED);
        } else {
            for index in 0..self.count {
                if index > 0 {
                    out.put_slice(FOLD);
                }
                out.put_u8(b'<');
                self.write(seed, sequence, index, out);
                out.put_u8(b'>');
            }
        }
        out.put_slice(b"\r\n");
    }

    /// Of the shortest and the longest value that `write_field` appends.
    pub(super) fn field_lengths(&self) -> (usize, usize) {
        if self.count > LISTED_MAX {
            return (UNDISCLOSED.len() + 2, UNDISCLOSED.len() + 2);
        }
        let count = self.count as usize;
        let folds = (count - 1) * FOLD.len() + 2;
        // LISTED_MAX keeps the index in the local part to one digit.
        let (shortest, longest) = match &self.to {
            To::Address(address) => (address.len(), address.len()),
            To::Domain(domain) => ("r0@".len() + domain.len(), "r0@".len() + domain.len()),
            To::Drawn { domains, .. } => {
                let rest = "r0@d.test".len();
                (rest + 1, rest + digits(*domains as u64 - 1))
            }
        };
        ((shortest + 2) * count + folds, (longest + 2) * count + folds)
    }
}
