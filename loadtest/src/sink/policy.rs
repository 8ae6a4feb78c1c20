//! What one core's sessions share: what is offered, the rules, the limits and the counts.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    command::{self, Parameters},
    count::{Ledger, Tally, Trouble},
    rule::{Rule, Rules},
    transaction::Recipients,
};

/// How many triples a greylist remembers; one that is full forgets all, as a restart would.
const GREYLIST_MAX: usize = 1_000_000;
/// What a bucket may hold, as time: a rate is kept over a tenth of a second, and a slow rate's
/// bucket still holds one message.
const BUCKET_SECONDS: f64 = 0.1;

/// What a sink offers, and its limits.
#[derive(Clone, Debug)]
pub struct Offer {
    pub pipelining: bool,
    pub chunking: bool,
    pub eight_bit: bool,
    pub smtputf8: bool,
    pub starttls: bool,
    pub auth: bool,
    /// Octets of a message; 0 for any.
    pub size_max: u64,
    pub messages_per_connection_max: Option<u32>,
}

impl Offer {
    /// The answer to EHLO.
    pub fn ehlo(&self, secure: bool) -> Bytes {
        let size = format!("SIZE {}", self.size_max);
        let extensions = [
            (self.pipelining, "PIPELINING"),
            (true, size.as_str()),
            (self.eight_bit, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.chunking, "CHUNKING"),
            (self.starttls && !secure, "STARTTLS"),
            (self.auth, "AUTH PLAIN LOGIN"),
            (true, "DSN"),
        ];
        let mut reply = String::from("250-sink.ringload.invalid\r\n");
        for (_, extension) in extensions.iter().filter(|(offered, _)| *offered) {
            reply += &format!("250-{extension}\r\n");
        }
        Bytes::from(reply + "250 ENHANCEDSTATUSCODES\r\n")
    }
}

impl Offer {
    /// Whether the parameters of MAIL are among what was offered to a client that said EHLO.
    pub fn check_mail(&self, extended: bool, parameters: Parameters) -> Result<(), Trouble> {
        for (name, value) in parameters.iter() {
            let is = |keyword: &str| name.eq_ignore_ascii_case(keyword.as_bytes());
            let is_right = if is("SIZE") {
                let size = command::parse_number(value).ok_or(Trouble::Parameter)?;
                if self.size_max > 0 && size > self.size_max {
                    return Err(Trouble::TooLarge);
                }
                true
            } else if is("BODY") {
                let is_eight_bit = value.eq_ignore_ascii_case(b"8BITMIME");
                self.eight_bit && (is_eight_bit || value.eq_ignore_ascii_case(b"7BIT"))
            } else if is("SMTPUTF8") {
                self.smtputf8 && value.is_empty()
            } else if is("AUTH") {
                self.auth
            } else {
                is("RET") || is("ENVID")
            };
            if !extended || !is_right {
                return Err(Trouble::Parameter);
            }
        }
        Ok(())
    }

    /// The same for RCPT.
    pub fn allows_rcpt(&self, extended: bool, parameters: Parameters) -> bool {
        parameters.iter().all(|(name, _)| {
            let is = |keyword: &str| name.eq_ignore_ascii_case(keyword.as_bytes());
            extended && (is("NOTIFY") || is("ORCPT"))
        })
    }
}

#[derive(Debug)]
pub struct Policy {
    pub offer: Offer,
    pub ehlo_clear: Bytes,
    pub ehlo_secure: Bytes,
    pub rules: Rules,
    pub bucket: Option<Bucket>,
    pub greylist: Option<Arc<Greylist>>,
    pub ledger: Arc<Ledger>,
    pub tally: Tally,
}

impl Policy {
    pub fn new(offer: Offer, rules: Vec<Rule>, seed: u64, ledger: Arc<Ledger>) -> Policy {
        Policy {
            ehlo_clear: offer.ehlo(false),
            ehlo_secure: offer.ehlo(true),
            offer,
            rules: Rules::new(rules, seed),
            bucket: None,
            greylist: None,
            ledger,
            tally: Tally::default(),
        }
    }

    /// Counts a message that is answered by 250, as often as a rule will have it.
    pub fn count(
        &mut self,
        now: Instant,
        times: u32,
        message_id: &[u8],
        octets: u64,
        recipients: &Recipients,
    ) {
        for _ in 0..times {
            self.tally.message(&self.ledger, now, message_id, octets, recipients.iter());
        }
    }
}

/// Lets messages through at a rate.
#[derive(Debug)]
pub struct Bucket {
    rate: f64,
    room: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// Full at first. `rate` is in messages a second.
    pub fn new(rate: f64, now: Instant) -> Bucket {
        let room = (rate * BUCKET_SECONDS).max(1.0);
        Bucket { rate, room, tokens: room, filled: now }
    }

    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + passed * self.rate).min(self.room);
        let granted = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(granted));
        granted
    }
}

/// When each triple of client, sender and recipient was first seen, by its hash.
#[derive(Debug)]
pub struct Greylist {
    wait: Duration,
    first_seen: Mutex<HashMap<u64, Instant>>,
}

impl Greylist {
    pub fn new(wait: Duration) -> Greylist {
        Greylist { wait, first_seen: Mutex::default() }
    }

    /// Whether the triple was first seen long enough ago.
    pub fn passes(&self, now: Instant, client: IpAddr, sender: &[u8], recipient: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        (client, sender, recipient).hash(&mut hasher);
        let triple = hasher.finish();
        let mut first_seen = self.first_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if first_seen.len() >= GREYLIST_MAX && !first_seen.contains_key(&triple) {
            first_seen.clear();
        }
        let since = *first_seen.entry(triple).or_insert(now);
        now.saturating_duration_since(since) >= self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_keeps_its_rate_whatever_the_pace() {
        let start = Instant::now();
        for (rate, step_millis, asked, want) in [
            (100.0, 1, 1, 1009..=1011),
            (100.0, 1, 5, 1009..=1011),
            (100.0, 50, 3, 603..=603),
            (0.5, 10, 1, 5..=6),
        ] {
            let mut bucket = Bucket::new(rate, start);
            let granted = (0..=10_000 / step_millis)
                .map(|step| start + Duration::from_millis(step * step_millis))
                .flat_map(|at| std::iter::repeat_n(at, asked))
                .filter(|at| bucket.take(*at))
                .count();
            assert!(want.contains(&granted), "{rate}/s, each {step_millis} ms: {granted}");
        }
    }

    #[test]
    fn a_triple_passes_once_it_has_waited() {
        let greylist = Greylist::new(Duration::from_secs(10));
        let (start, host) = (Instant::now(), IpAddr::from([127, 0, 0, 1]));
        for (seconds, host, sender, recipient, want) in [
            (0, host, "a@b", "c@d", false),
            (9, host, "a@b", "c@d", false),
            (10, host, "a@b", "c@d", true),
            (10, host, "a@b", "e@d", false),
            (10, host, "a@bc", "@d", false),
            (11, IpAddr::from([127, 0, 0, 2]), "a@b", "c@d", false),
            (20, host, "a@b", "e@d", true),
        ] {
            let now = start + Duration::from_secs(seconds);
            let passes = greylist.passes(now, host, sender.as_bytes(), recipient.as_bytes());
            assert_eq!(passes, want, "{sender} to {recipient} from {host} at {seconds} s");
        }
    }

    #[test]
    fn hidden_extensions_are_not_offered() {
        let offer = Offer {
            pipelining: false,
            chunking: true,
            eight_bit: false,
            smtputf8: true,
            starttls: true,
            auth: false,
            size_max: 1000,
            messages_per_connection_max: None,
        };
        let want = "250-sink.ringload.invalid\r\n250-SIZE 1000\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n\
            250-STARTTLS\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n";
        assert_eq!(offer.ehlo(false), want);
        assert_eq!(offer.ehlo(true), want.replace("250-STARTTLS\r\n", ""));
    }
}
