//! What a peer offers in its reply to EHLO.

use crate::{
    oracle::{Checked, broken},
    random::Random,
};

/// What EHLO offers.
#[derive(Clone, Copy, Debug)]
pub struct Offers {
    pub extended: bool,
    pub pipelining: bool,
    pub chunking: bool,
    pub eight_bit: bool,
    pub dsn: bool,
    pub smtputf8: bool,
    pub size: Option<u64>,
    pub recipients_max: Option<u32>,
    /// RFC 9422: it says so.
    pub announces_limits: bool,
}
impl Offers {
    pub fn of(random: &mut Random) -> Offers {
        let mut mostly = || random.below(4) > 0;
        let (extended, pipelining, chunking) = (mostly(), mostly(), mostly());
        let (eight_bit, dsn, smtputf8) = (mostly(), !mostly(), mostly());
        let size = [None, None, Some(0), Some(100_000), Some(9000)][random.below(5) as usize];
        let recipients_max = (random.below(8) == 0).then(|| 1 + random.below(3));
        let announces_limits = random.below(2) == 0;
        Offers {
            announces_limits,
            extended,
            pipelining,
            chunking,
            eight_bit,
            dsn,
            smtputf8,
            size,
            recipients_max,
        }
    }

    pub(super) fn lines(&self) -> String {
        let mut lines = vec!["peer.sim.example at your service".to_owned()];
        for (offered, name) in [
            (self.pipelining, "PIPELINING"),
            (self.chunking, "CHUNKING"),
            (self.eight_bit, "8BITMIME"),
            (self.dsn, "DSN"),
            (self.smtputf8, "SMTPUTF8"),
        ] {
            if offered {
                lines.push(name.to_owned());
            }
        }
        lines.extend(self.size.map(|size| format!("SIZE {size}")));
        let announced = self.recipients_max.filter(|_| self.announces_limits);
        lines.extend(announced.map(|max| format!("LIMITS RCPTMAX={max}")));
        let last = lines.len() - 1;
        let line = |(at, line): (usize, &String)| {
            format!("250{}{line}\r\n", if at == last { ' ' } else { '-' })
        };
        lines.iter().enumerate().map(line).collect()
    }

    /// Nothing is said that was not offered; `more`: something stands behind the command.
    pub(super) fn check(&self, verb: &str, text: &str, more: bool) -> Checked {
        let told = || text.escape_debug();
        // Only chunks carry more than their command.
        if !self.pipelining && verb != "BDAT" && more {
            return broken(format!("`{}` was pipelined, which was not offered", told()));
        }
        for word in text.split_whitespace().skip(2) {
            let offered = match word.split('=').next().unwrap_or_default() {
                "SIZE" => self.size.is_some(),
                "BODY" => self.eight_bit,
                "SMTPUTF8" => self.smtputf8,
                "RET" | "ENVID" | "NOTIFY" | "ORCPT" => self.dsn,
                _ => false,
            };
            if (verb == "MAIL" || verb == "RCPT") && !offered {
                return broken(format!("`{}` has a parameter that was not offered", told()));
            }
        }
        Ok(())
    }
}
