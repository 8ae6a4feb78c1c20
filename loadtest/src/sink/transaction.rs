//! A mail transaction as a sink needs it: who shall have the message, and what came of it.

use smallvec::SmallVec;

use super::rule::Mask;

/// RFC 5321 §4.5.3.1.8 wants at least 100; more are refused with 452.
pub const RECIPIENTS_MAX: usize = 1000;
/// Buffers of a transaction that grew beyond this are given back after it.
const KEPT_OCTETS_MAX: usize = 4096;

/// Kept from transaction to transaction for its buffers.
#[derive(Debug, Default)]
pub struct Transaction {
    sender: Vec<u8>,
    recipients: Recipients,
    named: Mask,
    /// The message began to come by BDAT.
    pub chunked: bool,
}

impl Transaction {
    pub fn begin(&mut self, sender: &[u8]) {
        self.clear();
        self.sender.extend_from_slice(sender);
    }

    pub fn clear(&mut self) {
        self.sender.clear();
        self.sender.shrink_to(KEPT_OCTETS_MAX);
        self.recipients.clear();
        self.named = 0;
        self.chunked = false;
    }

    pub fn add(&mut self, recipient: &[u8], named: Mask) {
        self.recipients.add(recipient);
        self.named |= named;
    }

    pub fn sender(&self) -> &[u8] {
        &self.sender
    }

    pub fn recipients(&self) -> &Recipients {
        &self.recipients
    }

    /// Takes the recipients out, for a message that outlives its transaction.
    pub fn take_recipients(&mut self) -> Recipients {
        std::mem::take(&mut self.recipients)
    }

    /// The rules that name one of the recipients.
    pub fn named(&self) -> Mask {
        self.named
    }
}

/// Addresses, one behind the other in one buffer.
#[derive(Debug, Default)]
pub struct Recipients {
    text: Vec<u8>,
    ends: SmallVec<[u32; 4]>,
}

impl Recipients {
    /// The domain is kept in lower case: `a@B` is `a@b`, and `A@b` may be somebody else.
    fn add(&mut self, recipient: &[u8]) {
        let at = memchr::memrchr(b'@', recipient).unwrap_or(recipient.len());
        let (local_part, domain) = recipient.split_at(at);
        self.text.extend_from_slice(local_part);
        self.text.extend(domain.iter().map(u8::to_ascii_lowercase));
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT_OCTETS_MAX);
        self.ends.clear();
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .filter_map(|(begin, &end)| self.text.get(begin as usize..end as usize))
    }
}

/// A message that was taken, on its way into the counts.
#[derive(Debug)]
pub struct Message {
    pub id: Box<[u8]>,
    pub octets: u64,
    pub recipients: Recipients,
    pub times: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_stay_apart_and_domains_lose_their_case() {
        let mut transaction = Transaction::default();
        transaction.begin(b"s@t");
        for (recipient, named) in [("A@B", 1), ("\"x@Y\"@Z", 4), ("postmaster", 0)] {
            transaction.add(recipient.as_bytes(), named);
        }
        let got: Vec<&[u8]> = transaction.recipients().iter().collect();
        assert_eq!(got, [&b"A@b"[..], b"\"x@Y\"@z", b"postmaster"]);
        assert_eq!(transaction.named(), 5);
        transaction.begin(b"");
        assert!(transaction.recipients().is_empty() && transaction.named() == 0);
        assert_eq!(transaction.sender(), b"");
    }
}
