//! The thread that writes the store: gathers changes, commits them with one sync, answers all.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::mesh::Mesh,
    Failure, Opened,
    intake::{Intake, Job},
    tables::{Tables, Trouble},
};
use crate::{
    limits::{BATCH_BYTES_MAX, BATCH_CHANGES_MAX, BODY_ROW, SPACE_CHECK},
    mail::QueueId,
    relay::{Input, Space},
    store::{
        StoreError,
        gather::{Advice, Gather},
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
            self.answer(&mut batch.jobs, Err(StoreError::Failed));
        } else if !self.owed.is_empty() || !self.room.takes(batch.cost()) {
            // Deletes need pages too: the last ones are not spent on mail.
            self.refuse(&mut batch.jobs);
            self.settle_debts();
        } else {
            match self.write(&batch.jobs) {
                Ok(()) => {
                    self.answer(&mut batch.jobs, Ok(()));
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

    fn write(&mut self, jobs: &[Job]) -> Result<(), Trouble> {
        let trouble = |error| self.tables.trouble(error);
        let mut txn = self.tables.env.write_txn().map_err(trouble)?;
        let changes = jobs.iter().map(|job| &job.change);
        let highest =
            write_batch(changes, self.highest, &mut self.tables.rows(&mut txn)).map_err(trouble)?;
        let used = self.tables.used(&txn).map_err(trouble)?;
        txn.commit().map_err(trouble)?;
        (self.highest, self.room.used) = (highest, used);
        Ok(())
    }

    /// Tells those who wait that there is no room; what must succeed is owed from now on.
    fn refuse(&mut self, jobs: &mut Vec<Job>) {
        let (mut refused, owed) =
            mem::take(jobs).into_iter().partition::<Vec<_>, _>(|job| job.change.is_awaited());
        self.owed.extend(owed);
        self.answer(&mut refused, Err(StoreError::Full));
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
                Ok(()) => {
                    self.answer(&mut owed, Ok(()));
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
        self.answer(jobs, Err(StoreError::Failed));
    }

    fn answer(&mut self, jobs: &mut Vec<Job>, result: Result<(), StoreError>) {
        for Job { core, ticket, change, .. } in jobs.drain(..) {
            self.answers[usize::from(core)].push(Input::Stored { ticket, result, change });
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
        self.octets += job.change.octets();
        self.jobs.push(job);
    }

    fn is_full(&self) -> bool {
        self.jobs.len() >= BATCH_CHANGES_MAX || self.octets >= BATCH_BYTES_MAX
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
            .filter(|job| job.change.is_awaited())
            .map(|job| (job.change.octets().div_ceil(BODY_ROW) as u64 + 1) * PAGE)
            .sum()
    }
}
