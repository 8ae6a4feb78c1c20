//! The store at work: changes gather, a commit takes its time, answers come back; reads see what
//! was committed when they began.

use super::{Event, World};
use crate::{
    disk::{Job, concerns_mailboxes},
    limits::{BATCH_CHANGES_MAX, CLEARED_ROWS_MAX},
    mail::mailbox::{Act, Done, MailboxId},
    oracle::{Checked, Committed},
    relay::{Input, Space, Ticket},
    store::{Change, Load, Loaded, StoreError, content::Unpress},
    time::Duration,
};

impl World {
    pub(super) fn hand_over(&mut self, core: u16, ticket: Ticket, change: Change) {
        self.disk.waiting.push_back(Job { core, ticket, change });
        let gathers = self.while_of(Duration::from_millis(4));
        let life = self.life;
        self.push(gathers, Event::CommitBegins { life });
    }

    pub(super) fn commit_begins(&mut self) {
        if self.disk.committing.is_some() || self.disk.waiting.is_empty() {
            return;
        }
        let limit = 1 + self.random.below(BATCH_CHANGES_MAX as u32) as usize;
        self.disk.begin(limit);
        let most = match self.disk.slow {
            true => Duration::from_secs(90),
            false => Duration::from_millis(20),
        };
        let takes = self.while_of(most);
        self.tempt(takes);
        let life = self.life;
        self.push(takes, Event::CommitEnds { life });
    }

    pub(super) fn commit_ends(&mut self) -> Checked {
        let life = self.life;
        let Some(jobs) = self.disk.committing.take() else { return Ok(()) };
        if self.disk.broken {
            self.coverage.count("disk: a commit failed for good");
            // What was written before the sync failed may be on the disk all the same. The store
            // tries no other commit behind it.
            let first = self.process.as_ref().is_some_and(|process| !process.failed);
            if first && self.dice(2) {
                self.coverage.count("disk: a commit that failed is there");
                self.write(&jobs)?;
            }
            self.answer(jobs, Err(StoreError::Failed));
            let owed = std::mem::take(&mut self.disk.owed);
            self.answer(owed, Err(StoreError::Failed));
            if let Some(process) = &mut self.process
                && !std::mem::replace(&mut process.failed, true)
            {
                // The main thread looks now and then whether the store still works.
                let notices = self.while_of(Duration::from_millis(600));
                self.push(notices, Event::Operation(super::Operation::Collapse { life }));
            }
        } else if self.disk.full || !self.disk.owed.is_empty() || self.has_no_room_for(&jobs) {
            self.refuse(jobs);
            if !self.disk.full {
                let owed = std::mem::take(&mut self.disk.owed);
                let done = self.write(&owed)?;
                self.answer(owed, Ok(done));
            }
        } else {
            let done = self.write(&jobs)?;
            self.answer(jobs, Ok(done));
        }
        self.push(Duration::ZERO, Event::CommitBegins { life });
        Ok(())
    }

    /// A large part finds no room where a small one after it does.
    fn has_no_room_for(&mut self, jobs: &[Job]) -> bool {
        let large = jobs.iter().any(|job| match &job.change {
            Change::Spool { .. } => true,
            Change::Accept(accept) => accept.spooled_rows > 0,
            Change::Mailbox(act) => matches!(**act, Act::Spool { .. } | Act::Append { .. }),
            Change::Abandon { .. } | Change::Settle(_) => false,
        });
        large && self.plan.troubles.full_disk && !self.healed && self.dice(6)
    }

    /// No room: who waits is told so, what must succeed is owed.
    fn refuse(&mut self, jobs: Vec<Job>) {
        let (refused, owed): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| job.change.is_awaited());
        if !refused.is_empty() {
            self.coverage.count("disk: no room for mail");
        }
        if !owed.is_empty() {
            self.coverage.count("disk: no room for a settlement");
        }
        self.disk.owed.extend(owed);
        self.answer(refused, Err(StoreError::Full));
    }

    /// There is room again.
    pub(super) fn pay_debts(&mut self) -> Checked {
        let owed = std::mem::take(&mut self.disk.owed);
        let done = self.write(&owed)?;
        self.answer(owed, Ok(done));
        Ok(())
    }

    /// One transaction: it is on stable storage now.
    pub(super) fn write(&mut self, jobs: &[Job]) -> Checked<Vec<Done>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        self.say(format_args!("disk: {} changes committed", jobs.len()));
        let mut all = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while let Some(first) = rest.first() {
            // What changes mailboxes is looked at one by one.
            let plain = rest.iter().take_while(|job| !concerns_mailboxes(&job.change)).count();
            let (part, behind) = rest.split_at(plain.max(1));
            rest = behind;
            let before = self.oracle.before(&first.change, &self.disk)?;
            let written = self.disk.write(part.iter().map(|job| &job.change));
            for (job, done) in part.iter().zip(&written.done) {
                let disk = &self.disk;
                let committed = Committed {
                    change: &job.change,
                    done,
                    touched: &written.touched,
                    inboxes: &before,
                    at: self.now,
                };
                self.oracle.committed(committed, disk, &mut self.coverage)?;
            }
            for mailbox in written.touched {
                self.tell_changed(mailbox);
            }
            all.extend(written.done);
        }
        if self.dice(3) {
            self.clear();
        }
        Ok(all)
    }

    /// The cores whose sessions look at a mailbox hear that it has changed.
    fn tell_changed(&mut self, mailbox: MailboxId) {
        let life = self.life;
        let Some(process) = &self.process else { return };
        let watches = process.watches.get(&mailbox);
        let cores: Vec<u16> = watches.into_iter().flatten().map(|(core, _)| *core).collect();
        for core in cores {
            self.coverage.count("mailbox: a core hears of a change");
            let most = if self.dice(8) { 200 } else { 2 };
            let delay = self.while_of(Duration::from_millis(most));
            self.push(delay, Event::Input { life, core, input: Input::MailboxChanged { mailbox } });
        }
    }

    /// A step of clearing away, as it rides along with a commit.
    pub(super) fn clear(&mut self) {
        let Some(process) = &self.process else { return };
        let told = |mailbox| process.watches.get(&mailbox)?.values().min().copied();
        let limit = 1 + self.random.below(CLEARED_ROWS_MAX as u32) as usize;
        let purged = self.disk.purge(&told, limit);
        if purged.rows > 0 {
            self.coverage.count("mailbox: what is gone is cleared away");
        }
    }

    fn answer(&mut self, jobs: Vec<Job>, done: Result<Vec<Done>, StoreError>) {
        let life = self.life;
        // The thread that commits may lose its processor before it tells; but it tells in order.
        let most = if self.dice(8) { 200 } else { 2 };
        let delay = self.while_of(Duration::from_millis(most));
        self.tempt(delay);
        self.disk.told = self.disk.told.max(self.now + delay);
        let told = self.disk.told;
        let results: Vec<_> = match done {
            Ok(done) => done.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); jobs.len()],
        };
        for (Job { core, ticket, change }, result) in jobs.into_iter().zip(results) {
            let input = Input::Stored { ticket, result, change };
            self.push_at(told, Event::Input { life, core, input });
        }
    }

    pub(super) fn load(&mut self, core: u16, ticket: Ticket, load: &Load) {
        let loaded = if self.disk.unreadable && self.dice(2) {
            self.coverage.count("disk: a read failed");
            Loaded::Failed(StoreError::Failed)
        } else {
            let mut warned = None;
            let Ok(loaded) = load
                .run(&self.disk, &mut Unpress::default(), &mut |sentence| warned = Some(sentence));
            if let Some(sentence) = warned {
                self.say(format_args!("disk: {sentence}"));
            }
            loaded
        };
        match &loaded {
            Loaded::Agenda { next: Some(_), .. } => {
                self.coverage.count("disk: a look of several steps");
            }
            Loaded::Page { parcels, next_due: Some(_) } if !parcels.is_empty() => {
                self.coverage.count("disk: a page with more behind it");
            }
            Loaded::Page { parcels, .. } if !parcels.is_empty() => {
                self.coverage.count("disk: a page");
            }
            Loaded::Body { .. } => self.coverage.count("disk: part of a body"),
            _ => {}
        }
        let life = self.life;
        let delay = self.while_of(Duration::from_millis(30));
        self.push(delay, Event::Input { life, core, input: Input::Loaded { ticket, loaded } });
    }

    pub(super) fn tell_space(&mut self) {
        let (life, free) = (self.life, self.disk.free());
        let cores = self.process.as_ref().map_or(0, |process| process.cores.len() as u16);
        for core in 0..cores {
            let input = Input::Space(Space { free });
            self.push(Duration::ZERO, Event::Input { life, core, input });
        }
    }
}
