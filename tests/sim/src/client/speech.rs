//! How a client puts its words: commands, bodies, nonsense, and the fuse that cuts them short.

use super::{Client, Cx, Draft, Fault};
use crate::{mail::Notify, network::Parting, time::Duration};

impl Client {
    pub(super) fn nonsense(&mut self, cx: &mut Cx<'_>) {
        const LINES: [&[u8]; 10] = [
            b"HELO\r\n",
            b"EHLO x\r\nEHLO y\r\n",
            b"MAIL FROM:<a@b\r\n",
            b"RCPT TO:<a@b.example>\r\n",
            b"DATA\r\n",
            b"BDAT 10\r\n0123456789",
            b"NOOP\r\n",
            b"\x00\xff\r\n",
            b"VRFY x\r\n",
            b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<x@local.example>\r\nRSET\r\n",
        ];
        cx.coverage.count("client: talks nonsense");
        self.over = true;
        for _ in 0..1 + cx.random.below(40) {
            let line = LINES[cx.random.below(LINES.len() as u32) as usize];
            self.say(line, cx);
        }
        if cx.random.below(2) == 0 {
            self.say(&[b'x'; 5000], cx);
        }
    }

    /// Says what makes the message whole.
    pub(super) fn say_last(&mut self, octets: &[u8], token: u32, cx: &mut Cx<'_>) {
        let whole = self.fuse.is_none_or(|(at, fault)| {
            self.said + octets.len() as u64 <= at
                || matches!(fault, Fault::Pause(_) | Fault::StopReading)
        });
        if let (true, Some(submission)) = (whole, cx.oracle.submissions.get_mut(&token)) {
            submission.sent = true;
        }
        self.say(octets, cx);
    }

    pub(super) fn say(&mut self, octets: &[u8], cx: &mut Cx<'_>) {
        let from = self.said;
        self.said += octets.len() as u64;
        let Some((at, fault)) = self.fuse.filter(|(at, _)| *at < self.said) else {
            return cx.moves.send(Duration::ZERO, octets);
        };
        let cut = at.saturating_sub(from) as usize;
        if from <= at {
            cx.moves.send(Duration::ZERO, &octets[..cut]);
            cx.coverage.count(match fault {
                Fault::Close => "client: closes in the midst",
                Fault::Reset => "client: resets in the midst",
                Fault::Vanish => "client: vanishes",
                Fault::StopReading => "client: stops reading",
                Fault::Pause(_) => "client: pauses",
            });
        }
        match fault {
            Fault::Close => cx.moves.part(Parting::Close),
            Fault::Reset => cx.moves.part(Parting::Reset),
            Fault::Vanish => cx.moves.part(Parting::Vanish),
            Fault::StopReading => {
                cx.moves.stop_reading();
                cx.moves.send(Duration::ZERO, &octets[cut..]);
            }
            Fault::Pause(seconds) if from <= at => {
                let pause = Duration::from_secs(seconds.into());
                cx.moves.send(pause, &octets[cut..]);
            }
            Fault::Pause(_) => cx.moves.send(Duration::ZERO, octets),
        }
        if matches!(fault, Fault::Close | Fault::Reset | Fault::Vanish) {
            self.over = true;
        }
    }
}

pub(super) fn mail_command(draft: &Draft, extended: bool) -> String {
    let mut line = format!("MAIL FROM:<{}>", draft.sender.as_deref().unwrap_or(""));
    if extended {
        line += &draft.envid.as_ref().map_or(String::new(), |id| format!(" ENVID={id}"));
        line += match draft.full {
            None => "",
            Some(true) => " RET=FULL",
            Some(false) => " RET=HDRS",
        };
        line += if draft.smtputf8 { " SMTPUTF8" } else { "" };
    }
    line + "\r\n"
}

pub(super) fn rcpt_command((address, notify): &(String, Notify), extended: bool) -> String {
    let mut words = Vec::new();
    for (set, word) in [
        (Notify::NEVER, "NEVER"),
        (Notify::SUCCESS, "SUCCESS"),
        (Notify::FAILURE, "FAILURE"),
        (Notify::DELAY, "DELAY"),
    ] {
        if notify.bits() & set.bits() != 0 {
            words.push(word);
        }
    }
    match extended && !words.is_empty() {
        true => format!("RCPT TO:<{address}> NOTIFY={}\r\n", words.join(",")),
        false => format!("RCPT TO:<{address}>\r\n"),
    }
}

pub(super) fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(content.len() + 16);
    for line in content.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
    }
    octets
}
