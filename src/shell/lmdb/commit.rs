//! The thread that writes the store: gathers changes, commits them with one sync, answers all.

use std::{
    iter, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use heed::RwTxn;

use super::{
    super::mesh::Mesh,
    Asker, Failure, Opened,
    clearing::Clearing,
    intake::{Intake, Job},
    tables::{Tables, Trouble},
};
use crate::{
    limits::{BATCH_BYTES_MAX, BATCH_CHANGES_MAX, BODY_ROW, CLEARED_ROWS_MAX, SPACE_CHECK},
    mail::{QueueId, mailbox::Done},
    relay::{Input, Space},
    store::{
        StoreError,
        gather::{Advice, Gather},
        mailbox::{Purged, purge},
        room::{Room, worth_telling},
        write_batch,
    },
};

type Warn = Arc<dyn Fn(String) + Send + Sync>;

/// The only one who writes.
pub struct Writer {
    tables: Arc<Tables>,
    highest: QueueId,
    mesh: Arc<Mesh>,
    intake: Arc<Intake>,
    failure: Failure,
    warn: Warn,
    gather: Gather,
    room: Room,
    /// What the cores were told last.
    told: Option<u64>,
    looked: Instant,
    clearing: Clearing,
    /// The operator was told that mail is refused for want of room.
    short: bool,
    /// Mail was written since.
    took_mail: bool,
    batch: Batch,
    /// Settles that found no room. They must succeed, so they are tried until they do.
    owed: Vec<Job>,
    /// By core.
    answers: Vec<Vec<Input>>,
}

/// What is gathered for the next commit.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    /// Of them, those that somebody waits for.
    awaited: usize,
    messages: usize,
    octets: usize,
}

impl Writer {
    pub fn new(
        opened: &Opened,
        mesh: Arc<Mesh>,
        cores: u16,
        intake: Arc<Intake>,
        failure: Failure,
        warn: Warn,
    ) -> Writer {
        Writer {
            tables: opened.tables.clone(),
            highest: opened.highest,
            mesh,
            intake,
            failure,
            warn,
            gather: Gather::default(),
            room: opened.tables.room_beside(opened.used),
            told: None,
            looked: Instant::now(),
            clearing: Clearing::new(),
            short: false,
            took_mail: false,
            batch: Batch::default(),
            owed: Vec::new(),
            answers: (0..cores).map(|_| Vec::new()).collect(),
        }
    }

    /// Commits until it is told to stop and nothing waits any more.
    pub fn run(mut self) {
        self.look_at_space();
        loop {
            self.take();
            let stopping = self.intake.stopping();
            if stopping && self.batch.jobs.is_empty() {
                break;
            }
            match self.advice(stopping) {
                Some((awaited, time)) => self.intake.sleep(awaited, time),
                None => self.commit(),
            }
            if self.looked.elapsed() >= SPACE_CHECK {
                self.settle_debts();
                self.look_at_space();
                self.tables.forget_dead_readers();
                self.clearing.look_again(false, self.mesh.watches().said());
            }
            if self.clearing.is_due() && self.batch.jobs.is_empty() {
                self.clear();
            }
        }
        self.settle_debts();
        if !self.owed.is_empty() {
            (self.warn)(format!(
                "{} attempts could not be recorded, the disk is full; \
                 their recipients will be tried again",
                self.owed.len()
            ));
        }
    }

    /// Takes what waits, as much as one transaction may hold.
    fn take(&mut self) {
        while !self.batch.is_full()
            && let Some(job) = self.intake.pop()
        {
            self.batch.push(job);
        }
    }

    /// How long to sleep, and for how many awaited changes; `None`: commit now.
    fn advice(&mut self, stopping: bool) -> Option<(usize, Duration)> {
        let until_look = SPACE_CHECK.saturating_sub(self.looked.elapsed());
        let until_look = until_look.min(self.clearing.until_due());
        let Some(oldest) = self.batch.oldest() else { return Some((0, until_look)) };
        if stopping || self.batch.is_full() {
            return None;
        }
        match self.gather.advise(self.batch.awaited, oldest.elapsed()) {
            Advice::Commit => None,
            Advice::Wait { messages, time } => Some((messages - self.batch.awaited, time)),
        }
    }

    /// One transaction, one sync, one post to each core.
    fn commit(&mut self) {
        let mut batch = mem::take(&mut self.batch);
        let began = Instant::now();
        if self.failure.sentence().is_some() {
            self.answer_all(&mut batch.jobs, StoreError::Failed);
        } else if !self.owed.is_empty() {
            self.refuse(&mut batch.jobs);
            self.settle_debts();
        } else if batch.cost() > 0 && !self.room.takes(batch.cost()) {
            // Deletes need pages too: the last ones are not spent on mail.
            self.refuse_mail(batch);
            return;
        } else {
            match self.write(&batch.jobs) {
                Ok(done) => {
                    self.answer_each(&mut batch.jobs, done);
                    self.took_mail |= batch.awaited > 0;
                    self.gather.committed(batch.awaited, began.elapsed());
                }
                Err(Trouble::Full) => {
                    self.refuse(&mut batch.jobs);
                    self.settle_debts();
                    self.look_at_space();
                }
                Err(Trouble::Fatal(sentence)) => self.fail(&mut batch.jobs, sentence),
            }
        }
        self.batch.jobs = batch.jobs;
    }

    /// Gives what came of each.
    fn write(&mut self, jobs: &[Job]) -> Result<Vec<Done>, Trouble> {
        let trouble = |error| self.tables.trouble(error);
        let mut txn = self.tables.env.write_txn().map_err(trouble)?;
        let watches = self.mesh.watches();
        let changes = jobs.iter().map(|job| &job.change);
        let written =
            write_batch(changes, self.highest, &mut self.tables.rows(&mut txn)).map_err(trouble)?;
        let purged = match self.clearing.is_due() {
            true => Some(self.purge(&mut txn).map_err(trouble)?),
            false => None,
        };
        let used = self.tables.used(&txn).map_err(trouble)?;
        txn.commit().map_err(trouble)?;
        (self.highest, self.room.used) = (written.highest, used);
        match purged {
            Some(purged) => self.clearing.cleared(purged),
            None => self.clearing.look_again(!written.touched.is_empty(), watches.said()),
        }
        // With the answers: one bell for all that a core is told of a commit.
        for mailbox in written.touched {
            for core in watches.ring(mailbox) {
                self.answers[usize::from(core)].push(Input::MailboxChanged { mailbox });
            }
        }
        Ok(written.done)
    }

    /// One step of clearing away, in a transaction of its own as no commit comes.
    fn clear(&mut self) {
        if self.failure.sentence().is_some() {
            return self.clearing.put_off();
        }
        let trouble = |error| self.tables.trouble(error);
        let cleared = self.tables.env.write_txn().map_err(trouble).and_then(|mut txn| {
            let purged = self.purge(&mut txn).map_err(trouble)?;
            let used = self.tables.used(&txn).map_err(trouble)?;
            // One that has changed nothing needs no sync.
            match purged.rows {
                0 => txn.abort(),
                _ => txn.commit().map_err(trouble)?,
            }
            Ok((purged, used))
        });
        match cleared {
            Ok((purged, used)) => {
                self.clearing.cleared(purged);
                self.room.used = used;
            }
            Err(Trouble::Full) => self.clearing.put_off(),
            Err(Trouble::Fatal(sentence)) => self.fail(&mut Vec::new(), sentence),
        }
    }

    fn purge(&self, txn: &mut RwTxn<'_>) -> Result<Purged, heed::Error> {
        let told = |mailbox| self.mesh.watches().told(mailbox);
        purge(&mut self.tables.rows(txn), &told, CLEARED_ROWS_MAX)
    }

    /// Tells those who wait that there is no room; what must succeed is owed from now on.
    fn refuse(&mut self, jobs: &mut Vec<Job>) {
        let (mut refused, owed) =
            mem::take(jobs).into_iter().partition::<Vec<_>, _>(|job| job.change.is_awaited());
        self.owed.extend(owed);
        self.answer_all(&mut refused, StoreError::Full);
        self.tell_short();
    }

    /// Tells those who bring mail that there is no room. What needs none to speak of is left for
    /// the next commit: deletes, by which users make room.
    fn refuse_mail(&mut self, batch: Batch) {
        let (rest, mut mail) =
            batch.jobs.into_iter().partition::<Vec<_>, _>(|job| job.change.may_use_reserve());
        rest.into_iter().for_each(|job| self.batch.push(job));
        self.answer_all(&mut mail, StoreError::Full);
        self.tell_short();
    }

    /// Tries what is owed, in smaller transactions where a large one finds no room.
    fn settle_debts(&mut self) {
        let mut size = self.owed.len().min(BATCH_CHANGES_MAX);
        while size > 0 && !self.owed.is_empty() {
            size = size.min(self.owed.len());
            let mut owed = mem::take(&mut self.owed);
            let written = self.write(&owed[..size]);
            let rest = owed.split_off(size);
            match written {
                Ok(done) => {
                    self.answer_each(&mut owed, done);
                    self.owed = rest;
                }
                Err(Trouble::Full) => {
                    owed.extend(rest);
                    self.owed = owed;
                    size /= 2;
                }
                Err(Trouble::Fatal(sentence)) => {
                    owed.extend(rest);
                    return self.fail(&mut owed, sentence);
                }
            }
        }
    }

    /// Nothing can be stored any more: what the disk holds is the truth, and only a new start
    /// reads it.
    fn fail(&mut self, jobs: &mut Vec<Job>, sentence: String) {
        (self.warn)(sentence.clone());
        self.failure.tell(sentence);
        jobs.append(&mut self.owed);
        self.answer_all(jobs, StoreError::Failed);
    }

    fn answer_each(&mut self, jobs: &mut Vec<Job>, done: Vec<Done>) {
        self.answer(jobs, done.into_iter().map(Ok));
    }

    fn answer_all(&mut self, jobs: &mut Vec<Job>, error: StoreError) {
        self.answer(jobs, iter::repeat(Err(error)));
    }

    fn answer(
        &mut self,
        jobs: &mut Vec<Job>,
        results: impl Iterator<Item = Result<Done, StoreError>>,
    ) {
        for (Job { asker, change, .. }, result) in jobs.drain(..).zip(results) {
            match asker {
                Asker::Core(core, ticket) => {
                    let stored = Input::Stored { ticket, result, change };
                    self.answers[usize::from(core)].push(stored);
                }
                // One that has gone needs no answer.
                Asker::Caller(answer) => drop(answer.try_send(result)),
            }
        }
        for (core, answers) in (0..).zip(&mut self.answers) {
            if !answers.is_empty() {
                self.mesh.post(core, answers.drain(..));
            }
        }
    }

    fn tell_short(&mut self) {
        self.took_mail = false;
        if !mem::replace(&mut self.short, true) {
            (self.warn)(format!(
                "the store in {} has no room: mail is refused with 452 until there is some; \
                 free space on its disk or raise store.size_max",
                self.tables.dir.display()
            ));
        }
    }

    /// Measures the room, and tells the cores where it differs.
    fn look_at_space(&mut self) {
        self.looked = Instant::now();
        self.room = self.tables.room_beside(self.room.used);
        let free = self.room.free();
        if free == 0 {
            self.tell_short();
        } else if self.short && self.took_mail && self.owed.is_empty() {
            // A disk may show room that it does not have, and a settlement needs little: only mail
            // that was taken proves it.
            self.short = false;
            let dir = self.tables.dir.display();
            (self.warn)(format!("the store in {dir} has room again: mail is taken"));
        }
        if self.told.is_none_or(|told| worth_telling(told, free)) {
            self.told = Some(free);
            for core in (0..).take(self.answers.len()) {
                self.mesh.post(core, [Input::Space(Space { free })]);
            }
        }
    }
}

impl Batch {
    fn push(&mut self, job: Job) {
        self.awaited += usize::from(job.change.is_awaited());
        self.messages += job.change.messages();
        self.octets += job.change.octets();
        self.jobs.push(job);
    }

    fn is_full(&self) -> bool {
        self.messages >= BATCH_CHANGES_MAX || self.octets >= BATCH_BYTES_MAX
    }

    /// Since when the oldest waits: of the awaited ones, or of all where there are none.
    fn oldest(&self) -> Option<Instant> {
        let awaited = self.jobs.iter().find(|job| job.change.is_awaited());
        awaited.or(self.jobs.first()).map(|job| job.since)
    }

    /// Octets of pages that the mail in it takes: its bodies' rows, and a page for the rest.
    fn cost(&self) -> u64 {
        const PAGE: u64 = 4096;
        self.jobs
            .iter()
            .filter(|job| !job.change.may_use_reserve())
            .map(|job| (job.change.octets().div_ceil(BODY_ROW) as u64 + 1) * PAGE)
            .sum()
    }
}
