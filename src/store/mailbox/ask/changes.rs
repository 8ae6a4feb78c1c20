//! What happened in a mailbox since a MODSEQ, in pages.

use super::record;
use crate::{
    limits::CHANGES_PAGE,
    mail::mailbox::{Changes, Entry, MailboxId, ModSeq, Standing, Uid, Uids},
    store::{
        Reads, Table,
        mailbox::{
            key,
            marks::{Kind, Reach, marked},
            record::decode,
            row::{Fault, Step, damage, read},
        },
        record::RecordError,
    },
};

/// One row of `Changed`.
struct Row {
    modseq: ModSeq,
    uid: Uid,
    gone: bool,
}

/// One page of changes behind a MODSEQ, or behind a message of it where a page ended there.
pub fn changes<R: Reads>(
    reads: &R,
    mailbox: MailboxId,
    (since, after): (ModSeq, Option<Uid>),
    warn: &mut dyn FnMut(String),
) -> Step<Option<Changes>, R::Error> {
    let Some(record) = record(reads, mailbox)? else { return Ok(None) };
    let standing = record.standing;
    let mut changes = Changes {
        upto: standing.highest_modseq,
        within: None,
        more: false,
        standing,
        changed: Vec::new(),
        gone: Uids::default(),
    };
    if since >= changes.upto && after.is_none() {
        return Ok(Some(changes));
    }
    let (rows, next) = page(reads, mailbox, (since, after), warn)?;
    // What is forgotten is made up for once, by the page that leads beyond it.
    let upto = record.forgotten.upto;
    let mut made_up = (since, after.unwrap_or(Uid(u32::MAX))) < upto;
    if let (Some(next), Some(last)) = (next, rows.last()) {
        made_up &= (last.modseq, last.uid) >= upto;
        changes.more = true;
        changes.upto = last.modseq;
        changes.within = (next == last.modseq).then_some(last.uid);
    }
    if made_up {
        changes.gone = absent(reads, &changes.standing, warn)?;
    }
    for row in rows {
        if row.gone {
            if !made_up {
                changes.gone.insert(row.uid);
            }
            continue;
        }
        let key = key::message(mailbox, row.uid);
        match read::<Entry, R>(reads, Table::Entry, &key) {
            Ok(Some(entry)) if entry.modseq == row.modseq => changes.changed.push(entry),
            Ok(_) => {
                let key = key::change(mailbox, row.modseq, row.uid);
                warn(damage(Table::Changed, &key, RecordError::Field("MODSEQ")));
            }
            Err(Fault::Damaged(sentence)) => warn(sentence),
            Err(other) => return Err(other),
        }
    }
    changes.changed.sort_unstable_by_key(|entry| entry.uid);
    Ok(Some(changes))
}

/// All that was in a mailbox and is not any more (RFC 7162 §5.1).
fn absent<R: Reads>(
    reads: &R,
    standing: &Standing,
    warn: &mut dyn FnMut(String),
) -> Step<Uids, R::Error> {
    let mut ever = Uids::default();
    ever.insert_run(Uid(1)..=Uid(standing.uid_next.0 - 1));
    let mut damaged = false;
    let mut warn = |sentence| {
        damaged = true;
        warn(sentence);
    };
    let [mut present] = marked(reads, standing, [(Kind::Present, Reach::All)], &mut warn)?;
    if damaged {
        // A message that cannot be read is there: who has a copy of it must not drop that.
        let first = key::message(standing.mailbox, Uid(0));
        let walked = reads.walk(Table::Entry, &first, &mut |key, _| {
            let Some((of, uid)) = key::read_message(key) else { return false };
            if of == standing.mailbox {
                present.insert(uid);
            }
            of == standing.mailbox
        });
        walked.map_err(Fault::Rows)?;
    }
    Ok(ever.difference(&present))
}

/// At most `CHANGES_PAGE` rows, and the MODSEQ of the one behind them.
fn page<R: Reads>(
    reads: &R,
    mailbox: MailboxId,
    (since, after): (ModSeq, Option<Uid>),
    warn: &mut dyn FnMut(String),
) -> Step<(Vec<Row>, Option<ModSeq>), R::Error> {
    let last_told = key::change(mailbox, since, after.unwrap_or(Uid(u32::MAX)));
    let mut rows: Vec<Row> = Vec::new();
    let mut next = None;
    let walked = reads.walk(Table::Changed, &key::after(&last_told), &mut |key, value| {
        let Some((of, modseq, uid)) = key::read_change(key) else { return false };
        if of != mailbox {
            return false;
        }
        if rows.len() >= CHANGES_PAGE {
            next = Some(modseq);
            return false;
        }
        let gone = !value.is_empty();
        match if gone { decode(Table::Changed, key, value) } else { Ok(()) } {
            Ok(()) => rows.push(Row { modseq, uid, gone }),
            Err(error) => warn(damage(Table::Changed, key, error)),
        }
        true
    });
    walked.map_err(Fault::Rows)?;
    Ok((rows, next))
}
