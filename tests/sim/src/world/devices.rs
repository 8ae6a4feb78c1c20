//! The readers of mail: devices and collectors come and go, logins are judged, and who waits for
//! news gets them.

use std::net::SocketAddr;

use super::{Event, World};
use crate::{
    client::Fault,
    collector::Collector,
    device::{Device, Manner},
    homes::hash_of,
    limits::SECRETS_IN_FLIGHT_MAX,
    mail::mailbox::{MailboxId, ModSeq, Verdict},
    network::{Link, Outside, Seat},
    oracle::{Checked, broken},
    relay::{Input, Ticket},
    time::Duration,
};

/// Numbers of the listeners, as the plan's configuration has them.
const IMAP: u16 = 2;
const POP3: u16 = 3;

/// Who waits for news has them within this time when nothing else happens.
const NEWS: Duration = Duration::from_secs(60);

impl World {
    /// The operator has made the accounts; each gets its devices.
    pub(super) fn found(&mut self) -> Checked {
        let changes = self.plan.homes.founding();
        self.disk.write(&changes);
        let keys: Vec<String> =
            self.plan.homes.accounts.iter().map(|account| account.key.clone()).collect();
        self.oracle.boxes.found(&keys, &self.disk, self.now)?;
        for number in 0..self.plan.devices {
            let accounts = &self.plan.homes.accounts;
            let account = accounts[number as usize % accounts.len()].clone();
            const MANNERS: [Manner; 4] =
                [Manner::Plain, Manner::Condstore, Manner::Qresync, Manner::Qresync];
            let manner = MANNERS[self.random.below(4) as usize];
            let device = Device::new(&account.key, &account.password, account.quota, manner);
            let at = self.plan.span.mul_f64(self.random.fraction() / 4.0);
            self.to_come += 1;
            self.push(at, Event::Device { device: Box::new(device) });
        }
        let accounts = self.plan.homes.accounts.clone();
        for account in accounts.iter().cycle().take(self.plan.collectors as usize) {
            let collector = Collector::new(&account.key, &account.password);
            let at = self.plan.span.mul_f64(self.random.fraction() / 4.0);
            self.to_come += 1;
            self.push(at, Event::Collector { collector: Box::new(collector) });
        }
        Ok(())
    }

    pub(super) fn device_comes(&mut self, mut device: Box<Device>) -> Checked {
        self.to_come -= 1;
        if self.process.is_none() {
            self.coverage.count("device: finds nobody");
            self.device_goes(device);
            return Ok(());
        }
        let deeds = self.random.below(30);
        let fuse = self.fuse([100, 1000, 1000, 30_000]);
        device.connect(self.healed, deeds, fuse);
        self.reader_comes(IMAP, Outside::Device(device))
    }

    pub(super) fn collector_comes(&mut self, mut collector: Box<Collector>) -> Checked {
        self.to_come -= 1;
        if self.process.is_none() {
            self.coverage.count("collector: finds nobody");
            self.collector_goes(collector);
            return Ok(());
        }
        let batches = self.random.below(8);
        let fuse = self.fuse([60, 100, 200, 300]);
        collector.connect(self.healed, batches, fuse);
        self.reader_comes(POP3, Outside::Collector(collector))
    }

    fn reader_comes(&mut self, listener: u16, reader: Outside) -> Checked {
        let remote = SocketAddr::from(([10, 0, 1, 1 + self.random.below(4) as u8], 40_000));
        let cores = self.process.as_ref().map_or(1, |process| process.cores.len() as u32);
        let core = self.random.below(cores) as u16;
        self.accept(core, listener, remote, reader)
    }

    /// What ends a reader's words in their midst, and behind how many octets: one of these at most.
    fn fuse(&mut self, most: [u32; 4]) -> Option<(u64, Fault)> {
        if !self.plan.troubles.clients || self.healed || !self.dice(2) {
            return None;
        }
        let fault = match self.random.below(6) {
            0 => Fault::Close,
            1 | 2 => Fault::Reset,
            3 => Fault::Vanish,
            4 => Fault::StopReading,
            _ => Fault::Pause(self.random.below(900)),
        };
        let most = most[self.random.below(4) as usize];
        Some((self.random.below(most).into(), fault))
    }

    /// A device has lost its connection, or has ended it. It comes again.
    pub(super) fn device_goes(&mut self, device: Box<Device>) {
        if device.finished {
            return;
        }
        let later = self.until_next_visit();
        self.push(later, Event::Device { device });
    }

    fn collector_goes(&mut self, collector: Box<Collector>) {
        if collector.finished {
            return;
        }
        let later = self.until_next_visit();
        self.push(later, Event::Collector { collector });
    }

    fn until_next_visit(&mut self) -> Duration {
        let soon = self.dice(3);
        let most = match (self.healed, soon) {
            (true, _) => Duration::from_secs(600),
            (false, true) => Duration::from_secs(60),
            (false, false) => Duration::from_micros(self.plan.span.as_micros() as u64 / 5),
        };
        self.to_come += 1;
        Duration::from_secs(1) + self.while_of(most)
    }

    /// Takes the reader from a link that is over.
    pub(super) fn release(&mut self, link: &mut Link) {
        match std::mem::replace(&mut link.outside, Outside::Nobody) {
            Outside::Device(device) => self.device_goes(device),
            Outside::Collector(collector) => self.collector_goes(collector),
            other => link.outside = other,
        }
    }

    /// A password is checked beside the cores, which takes its time.
    pub(super) fn authenticate(
        &mut self,
        core: u16,
        ticket: Ticket,
        password: &[u8],
        hash: Option<&[u8]>,
    ) -> Checked {
        if let Some(process) = &mut self.process {
            let secrets = &mut process.cores[usize::from(core)].secrets;
            *secrets += 1;
            if *secrets > SECRETS_IN_FLIGHT_MAX {
                return broken(format!("core {core} has too many logins under way"));
            }
        }
        let right = hash == Some(hash_of(&String::from_utf8_lossy(password)).as_bytes());
        let verdict = match right {
            _ if !self.healed && self.dice(20) => Verdict::Busy,
            true => Verdict::Granted,
            false => Verdict::Refused,
        };
        let life = self.life;
        let takes = Duration::from_millis(20) + self.while_of(Duration::from_millis(400));
        let input = Input::Authenticated { ticket, verdict };
        self.push(takes, Event::Input { life, core, input });
        Ok(())
    }

    pub(super) fn watch(&mut self, core: u16, mailbox: MailboxId, told: Option<ModSeq>) -> Checked {
        self.say(format_args!("{core}> watch {mailbox:?} {told:?}"));
        if let Some(process) = &mut self.process {
            process.watch(core, mailbox, told);
        }
        Ok(())
    }

    /// Who has waited for news for long has them all.
    pub(super) fn check_news(&mut self) -> Checked {
        if self.plan.troubles.failed_loads || self.disk.slow {
            return Ok(());
        }
        for (number, link) in &self.links {
            let Outside::Device(device) = &link.outside else { continue };
            let quiet = link.unread == 0 && link.reads && link.queue.is_empty();
            if link.seat != Seat::Taken || link.parted.is_some() || !quiet {
                continue;
            }
            let Some((mailbox, count, since)) = device.idling() else { continue };
            let Some((changed, sight)) = self.oracle.boxes.sight(mailbox) else { continue };
            let waited = self.now.since(since.max(changed).max(link.active));
            if waited > NEWS && count != sight.len() {
                return broken(format!(
                    "the device of link {number} waits for news of {mailbox:?}, counts {count}, \
                     and there are {}",
                    sight.len()
                ));
            }
        }
        Ok(())
    }
}
