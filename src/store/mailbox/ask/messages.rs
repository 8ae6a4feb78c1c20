//! Messages of a mailbox in pages, those too that were expunged and are still looked at.

use crate::{
    limits::{LISTED_MAX, LISTED_OCTETS, LISTED_RUNS_MAX},
    mail::mailbox::{Content, ContentId, Entry, Found, Listed, MailboxId, Uid, Uids, Want},
    store::{
        Reads, Table,
        content::Unpress,
        mailbox::{
            held, key,
            record::HeldRecord,
            row::{Fault, Step, entries, ghosts},
        },
    },
};

/// One page of the messages of a set.
pub fn messages<R: Reads>(
    reads: &R,
    mailbox: MailboxId,
    uids: &Uids,
    want: Want,
    unpress: &mut Unpress,
    warn: &mut dyn FnMut(String),
) -> Step<Found, R::Error> {
    let (found, mut next) = page(reads, mailbox, uids, warn).map_err(Fault::Rows)?;
    let mut messages: Vec<Listed> = Vec::with_capacity(found.len());
    let mut octets = 0;
    for entry in found {
        if octets >= LISTED_OCTETS {
            next = Some(entry.uid);
            break;
        }
        let summary = match want.summary {
            true => told(held::summary(reads, entry.content), warn)?.flatten(),
            false => None,
        };
        let extent = told(extent(reads, entry.content, want.content), warn)?.flatten();
        let shown = extent.as_ref().map_or(0, |(_, octets)| *octets);
        let texts = summary.as_ref().map_or(0, |summary| {
            summary.envelope.len() + summary.structure.len() + summary.parts.as_bytes().len()
        });
        // The page stays below the limit, its first message left aside. What is for the next one
        // is not read for this one.
        if !messages.is_empty() && octets + shown + texts > LISTED_OCTETS {
            next = Some(entry.uid);
            break;
        }
        let read = extent
            .map(|(held, octets)| held::part(reads, entry.content, &held, (0, octets), unpress));
        // What is damaged is told, and is not there.
        let content = told(read.transpose(), warn)?.flatten();
        octets += shown + texts;
        messages.push(Listed { entry, summary, content });
    }
    Ok(Found::Messages { messages, rest: next })
}

/// Entries and ghosts of a set in the order of their UIDs, and the UID to go on from.
fn page<R: Reads>(
    reads: &R,
    mailbox: MailboxId,
    uids: &Uids,
    warn: &mut dyn FnMut(String),
) -> Result<(Vec<Entry>, Option<Uid>), R::Error> {
    let mut found = Vec::new();
    let Some(first) = uids.first() else { return Ok((found, None)) };
    // Most mailboxes have no ghosts: one look for the whole set tells.
    let mut ghost = next_ghost(reads, mailbox, first)?;
    for (count, run) in uids.runs().enumerate() {
        if found.len() >= LISTED_MAX || count >= LISTED_RUNS_MAX {
            return Ok((found, Some(*run.start())));
        }
        let (room, before) = (LISTED_MAX - found.len(), found.len());
        let mut next = entries(reads, mailbox, run.clone(), room, &mut found, warn)?;
        if ghost.is_some_and(|uid| uid < *run.start()) {
            ghost = next_ghost(reads, mailbox, *run.start())?;
        }
        if ghost.is_some_and(|uid| uid <= *run.end()) {
            let next_ghost = ghosts(reads, mailbox, run.clone(), room, &mut found, warn)?;
            found[before..].sort_unstable_by_key(|entry| entry.uid);
            // What lies behind the first that is left out is found by the next page.
            next = [next, next_ghost].into_iter().flatten().min();
            let full = found.get(LISTED_MAX).map(|entry| entry.uid);
            next = [next, full].into_iter().flatten().min();
            if let Some(next) = next {
                let kept = found[before..].partition_point(|entry| entry.uid < next);
                found.truncate(before + kept);
            }
        }
        if next.is_some() {
            return Ok((found, next));
        }
    }
    Ok((found, None))
}

fn next_ghost<R: Reads>(reads: &R, mailbox: MailboxId, from: Uid) -> Result<Option<Uid>, R::Error> {
    let found = reads.key_from(Table::Ghost, &key::message(mailbox, from))?;
    let found = found.and_then(key::read_message).filter(|(of, _)| *of == mailbox);
    Ok(found.map(|(_, uid)| uid))
}

/// How much of a content an answer shows, from its beginning.
fn extent<R: Reads>(
    reads: &R,
    content: ContentId,
    want: Content,
) -> Step<Option<(HeldRecord, usize)>, R::Error> {
    if want == Content::None {
        return Ok(None);
    }
    let Some(held) = held::held(reads, content)? else { return Ok(None) };
    let (octets, at_most) = match want {
        Content::None => return Ok(None),
        // A message without an empty line is all header.
        Content::Header => (u64::from(held.header), LISTED_OCTETS),
        Content::Whole { at_most } => (held.size, at_most),
    };
    let octets = usize::try_from(octets).ok().filter(|octets| *octets <= at_most);
    Ok(octets.map(|octets| (held, octets)))
}

fn told<T, E>(found: Step<T, E>, warn: &mut dyn FnMut(String)) -> Step<Option<T>, E> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Fault::Damaged(sentence)) => {
            warn(sentence);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}
