//! Reports to the sender: delivery status notifications of RFC 3464 in a multipart/report of
//! RFC 6522, composed whole, as values in and octets out.

mod lines;
mod original;
mod status_part;
mod words;

use bytes::Bytes;

use self::lines::Lines;
use super::{
    Address, BodyType, Envelope, Message, Notify, QueueId, Recipient, Verdict, date::Date,
};
use crate::time::Wall;

/// What the report tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It will never arrive.
    Failed,
    /// It is still being tried.
    Delayed,
    /// It has arrived, or is with a server that will not report.
    Delivered,
}

/// RFC 3464 §2.3.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Failed,
    Delayed,
    /// In the recipient's mailbox here.
    Delivered,
    /// Handed to a server that does not offer DSN: nothing more will be heard of it.
    Relayed,
}

/// One recipient the report is about.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    pub recipient: &'a Recipient,
    pub verdict: &'a Verdict,
    pub action: Action,
    /// The name of the host that spoke the verdict.
    pub remote: Option<&'a str>,
}

/// Everything a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub kind: Kind,
    /// The message reported on.
    pub message: &'a Message,
    /// Ours.
    pub hostname: &'a str,
    pub report_id: QueueId,
    pub now: Wall,
    /// When the message is given up.
    pub expires: Wall,
    pub recipients: &'a [Reported<'a>],
    /// The start of the body as stored, in the message's wire form.
    pub original: &'a [Bytes],
    pub original_is_whole: bool,
}

/// A report, ready to be accepted like any other message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// From the null reverse-path, so that no report is ever made about a report.
    pub envelope: Envelope,
    /// In the form `Wire::Stuffed`.
    pub body: Bytes,
}

/// Whether the sender is to hear of this. RFC 3461 §4.1; RFC 5321 §6.1: never at `<>`.
pub fn wants_report(reverse_path: Option<&Address>, notify: Notify, kind: Kind) -> bool {
    reverse_path.is_some()
        && match kind {
            Kind::Failed => notify.on_failure(),
            Kind::Delayed => notify.on_delay(),
            Kind::Delivered => notify.on_success(),
        }
}

/// The Message-ID of a report of this host.
pub fn message_id(report: QueueId, hostname: &str) -> String {
    format!("<{report}@{hostname}>")
}

/// `None` for a message with the null reverse-path: there is nobody to tell.
pub fn compose(request: &Request) -> Option<Report> {
    let sender = request.message.envelope.reverse_path.as_ref()?;
    let parts = Parts::of(request);
    let mut out = Lines::with_capacity(parts.len() + 2048);
    let boundary = parts.boundary(request.report_id);
    header(&mut out, request, sender, (parts.is_eight_bit(), &boundary));
    parts.write(&mut out, &boundary);
    // RFC 6152 §3 is about the whole message: the sender's address may be all that is UTF-8.
    let body_type = if out.is_eight_bit() { BodyType::EightBitMime } else { BodyType::SevenBit };
    let envelope = Envelope { body_type, smtputf8: is_global(request), ..Envelope::default() };
    Some(Report { envelope, body: out.into_stuffed() })
}

/// The three parts of a report, each a text of CRLF lines.
struct Parts {
    words: Lines,
    status: Lines,
    original: Lines,
    status_type: &'static str,
    original_type: &'static str,
}

impl Parts {
    fn of(request: &Request) -> Self {
        let global = is_global(request);
        let whole = original::is_returned_whole(request);
        // RFC 6533 §4 and §5: UTF-8 in addresses or header fields needs the global types.
        let (status_type, original_type) = match (global, whole) {
            (false, false) => ("message/delivery-status", "text/rfc822-headers"),
            (false, true) => ("message/delivery-status", "message/rfc822"),
            (true, false) => ("message/global-delivery-status", "message/global-headers"),
            (true, true) => ("message/global-delivery-status", "message/global"),
        };
        Self {
            words: words::compose(request),
            status: status_part::compose(request, global),
            original: original::compose(request, whole),
            status_type,
            original_type,
        }
    }

    fn len(&self) -> usize {
        self.words.len() + self.status.len() + self.original.len()
    }

    fn is_eight_bit(&self) -> bool {
        [&self.words, &self.status, &self.original].iter().any(|part| part.is_eight_bit())
    }

    /// RFC 2046 §5.1.1: no line of a part may begin with it. Who wrote the original may have
    /// guessed the report's id, which is a time for the most part.
    ///
    /// So a number follows, the first that follows it nowhere: one pass, whatever was written.
    fn boundary(&self, report: QueueId) -> String {
        let stem = format!("=_{report}.");
        let mut taken: Vec<u32> = [&self.words, &self.status, &self.original]
            .iter()
            .flat_map(|part| part.numbers_behind(&stem))
            .collect();
        taken.sort_unstable();
        taken.dedup();
        let free = (0..).zip(&taken).find(|(number, taken)| number != *taken);
        let number = free.map_or(taken.len(), |(number, _)| number as usize);
        format!("{stem}{number}=")
    }

    fn write(&self, out: &mut Lines, boundary: &str) {
        for (description, content_type, part) in [
            ("Notification", "text/plain; charset=utf-8", &self.words),
            ("Delivery report", self.status_type, &self.status),
            ("The message concerned", self.original_type, &self.original),
        ] {
            out.line(&format!("--{boundary}"));
            out.line(&format!("Content-Description: {description}"));
            out.line(&format!("Content-Type: {content_type}"));
            out.line(&format!("Content-Transfer-Encoding: {}", encoding(part.is_eight_bit())));
            out.line("");
            out.append(part);
            out.line("");
        }
        out.line(&format!("--{boundary}--"));
    }
}

fn header(
    out: &mut Lines,
    request: &Request,
    sender: &Address,
    (eight_bit, boundary): (bool, &str),
) {
    let host = request.hostname;
    let subject = match request.kind {
        Kind::Failed => "Undelivered Mail Returned to Sender",
        Kind::Delayed => "Delayed Mail (still being retried)",
        Kind::Delivered => "Successful Mail Delivery Report",
    };
    out.line(&format!("Date: {}", Date::of(request.now)));
    out.line(&format!("From: Mail Delivery System <MAILER-DAEMON@{host}>"));
    out.line(&format!("To: <{sender}>"));
    out.line(&format!("Subject: {subject}"));
    out.line(&format!("Message-ID: {}", message_id(request.report_id, host)));
    // RFC 3834 §5: no vacation notice answers this.
    out.line("Auto-Submitted: auto-replied");
    out.line("MIME-Version: 1.0");
    // RFC 6522 §3.
    out.line("Content-Type: multipart/report; report-type=delivery-status;");
    out.line(&format!("\tboundary=\"{boundary}\""));
    out.line(&format!("Content-Transfer-Encoding: {}", encoding(eight_bit)));
    out.line("");
    out.line("This is a report about your mail, in three parts (RFC 3464).");
    out.line("");
}

fn encoding(eight_bit: bool) -> &'static str {
    if eight_bit { "8bit" } else { "7bit" }
}

/// The sender's side spoke SMTPUTF8, or an address in the report needs it.
fn is_global(request: &Request) -> bool {
    let envelope = &request.message.envelope;
    envelope.smtputf8
        || envelope.reverse_path.as_ref().is_some_and(Address::needs_smtputf8)
        || request.recipients.iter().any(|r| r.recipient.address.needs_smtputf8())
}

#[cfg(test)]
mod tests;
