//! Finds a part by the numbers that IMAP names it with.

use crate::mail::mailbox::{Part, PartKind, Parts, PartsIter};

/// What part numbers lead to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located {
    /// The part: its header is `MIME`, its body is what the numbers alone mean. Without numbers
    /// it is the message itself.
    pub part: Part,
    /// What `HEADER` and `TEXT` are of: the message itself, or the one embedded in the part.
    pub message: Option<Part>,
}

/// The part with these numbers (RFC 9051 §6.4.5.1); `None` where there is none.
pub fn locate(parts: &Parts, numbers: &[u32]) -> Option<Located> {
    let mut walk = parts.iter();
    let mut part = walk.next()?;
    let mut is_message = true;
    for number in numbers {
        if !is_message && part.kind == PartKind::Message {
            part = walk.next()?;
            is_message = true;
        }
        if part.kind == PartKind::Multipart {
            part = child(&mut walk, part.depth, *number)?;
        } else if !is_message || *number != 1 {
            // Every message has a part 1: its body, where it is no multipart.
            return None;
        }
        is_message = false;
    }
    let message = match part.kind {
        _ if is_message => Some(part.clone()),
        PartKind::Message => walk.next(),
        PartKind::Multipart | PartKind::Text | PartKind::Other => None,
    };
    Some(Located { part, message })
}

/// Of the multipart that `walk` has just passed.
fn child(walk: &mut PartsIter, depth: u8, number: u32) -> Option<Part> {
    let nth = usize::try_from(number.checked_sub(1)?).ok()?;
    walk.take_while(|part| part.depth > depth).filter(|part| part.depth == depth + 1).nth(nth)
}
