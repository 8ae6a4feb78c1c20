//! Reports: each for the right sender, about the right recipients, and never about a report.

use super::{Checked, End, Letter, broken, letter};
use crate::{
    coverage::Coverage, mail::QueueId, plan::HOSTNAME, relay::event::AttemptStatus, store::Accept,
    time::Duration,
};

/// The id in a report's Message-ID.
pub fn id_of(content: &[u8]) -> Option<QueueId> {
    let id = letter::field(content, b"Message-ID: <")?;
    std::str::from_utf8(id).ok()?.strip_suffix(&format!("@{HOSTNAME}>"))?.parse().ok()
}

/// Checks the report that was committed with a settlement of `letter`, and counts whom it tells.
pub fn check(
    letter: &mut Letter,
    report: &Accept,
    body: &[u8],
    warn_after: Duration,
    coverage: &mut Coverage,
) -> Checked {
    let (of, id) = (letter.id, report.message.id);
    let Some(sender) = &letter.sender else {
        return broken(format!("a report on {of}, which has the null reverse-path"));
    };
    if report.message.envelope.reverse_path.is_some() {
        return broken(format!("the report {id} has a reverse-path"));
    }
    let to: Vec<String> = report.parcels.iter().flat_map(letter::names).collect();
    if to != [sender.clone()] {
        return broken(format!("the report {id} on {of} goes to {to:?}, not to {sender}"));
    }
    let text = String::from_utf8_lossy(body);
    let envid = letter.envid.as_ref().map(|envid| format!("Original-Envelope-Id: {envid}"));
    for wanted in [
        format!("To: <{sender}>"),
        format!("Reporting-MTA: dns; {HOSTNAME}"),
        format!("X-Ringmail-Queue-ID: {of}"),
    ]
    .into_iter()
    .chain(envid)
    {
        if !text.lines().any(|line| line == wanted) {
            return broken(format!("the report {id} on {of} lacks `{wanted}`"));
        }
    }
    if id_of(body) != Some(id) {
        return broken(format!("the report {id} has another Message-ID"));
    }
    let told = told(&text);
    if told.is_empty() {
        return broken(format!("the report {id} on {of} tells of nobody"));
    }
    for (recipient, action, status) in told {
        count(letter, id, warn_after, (&recipient, &action, &status), coverage)?;
    }
    Ok(())
}

fn count(
    letter: &mut Letter,
    id: QueueId,
    warn_after: Duration,
    (recipient, action, status): (&str, &str, &str),
    coverage: &mut Coverage,
) -> Checked {
    let of = letter.id;
    let Some(fate) = letter.fates.get_mut(recipient) else {
        return broken(format!("the report {id} on {of} tells of {recipient}, a stranger"));
    };
    let decided = fate.decided.map(|decided| decided.status);
    let class = status.as_bytes().first().copied().unwrap_or(b' ');
    let right = match action {
        "failed" => {
            fate.told_failure += 1;
            coverage.count("relay: a report of failure");
            match fate.end {
                Some(End::Failed) => class == b'5' && fate.notify.on_failure(),
                Some(End::Expired) => class != b'2' && fate.notify.on_failure(),
                _ => false,
            }
        }
        "delayed" => {
            fate.told_delay += 1;
            coverage.count("relay: a report of delay");
            let at = fate.decided.map(|decided| decided.at).unwrap_or_default();
            fate.told_delay == 1
                && !warn_after.is_zero()
                && at.since(letter.arrived) >= warn_after
                && decided == Some(AttemptStatus::Deferred)
                && class == b'4'
                && fate.notify.on_delay()
        }
        "relayed" => {
            fate.told_success += 1;
            coverage.count("relay: a report of success");
            fate.end == Some(End::Delivered) && class == b'2' && fate.notify.on_success()
        }
        "delivered" => {
            fate.told_success += 1;
            coverage.count("relay: a report of delivery to a mailbox");
            fate.here && class == b'2' && fate.notify.on_success()
        }
        _ => false,
    };
    match right {
        true => Ok(()),
        false => broken(format!(
            "the report {id} says {action} {status} of {recipient} of {of}; decided {decided:?}, \
             ended {:?}, told of failure {} and delay {} times, {:?}",
            fate.end, fate.told_failure, fate.told_delay, fate.notify
        )),
    }
}

/// Recipient, action and status of each recipient's group of fields (RFC 3464 §2.3).
fn told(text: &str) -> Vec<(String, String, String)> {
    let mut told: Vec<(String, String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with("Content-Description: The message concerned") {
            break;
        }
        let Some((name, value)) = line.split_once(": ") else { continue };
        match (name, told.last_mut()) {
            ("Final-Recipient", _) => {
                let address = value.split_once("; ").map_or(value, |(_, address)| address);
                told.push((address.to_owned(), String::new(), String::new()));
            }
            ("Action", Some(last)) => last.1 = value.to_owned(),
            ("Status", Some(last)) => last.2 = value.to_owned(),
            _ => {}
        }
    }
    told
}
