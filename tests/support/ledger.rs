//! The account of a proof: what was acknowledged must arrive, whole, and nothing else may.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

use super::{
    eventually_within,
    sink::{Mail, Sink},
    source::{Load, is_whole},
};

#[derive(Default)]
pub struct Ledger {
    /// Given out to clients, acknowledged or not.
    begun: HashSet<String>,
    acknowledged: HashSet<String>,
    /// How often each has come.
    arrived: HashMap<String, usize>,
}

impl Ledger {
    /// Takes down what clients were told. They must have ended.
    pub fn enter(&mut self, load: &Load) {
        self.begun.extend(load.begun());
        self.acknowledged.extend(load.acknowledged());
    }

    /// Takes what has come to the sink, and looks at every octet of it.
    pub fn receive(&mut self, sink: &Sink) {
        sink.take().iter().for_each(|mail| self.count(mail));
    }

    fn count(&mut self, mail: &Mail) {
        let (_, sent) = mail.split_trace();
        assert!(is_whole(sent), "a message that nobody sent like this:\n{}", mail.text());
        let id = mail.field("X-Test-Id").unwrap_or_default();
        *self.arrived.entry(id).or_default() += 1;
    }

    /// Waits until all that was acknowledged is here.
    pub fn settle(&mut self, sink: &Sink, patience: Duration) {
        let what = format!("all of {} acknowledged messages", self.acknowledged.len());
        eventually_within(patience, &what, || {
            self.receive(sink);
            let arrived = &self.arrived;
            self.acknowledged.iter().all(|id| arrived.contains_key(id)).then_some(())
        });
        for id in self.arrived.keys() {
            assert!(self.begun.contains(id), "{id} was never sent");
        }
    }

    /// Acknowledged and not here.
    pub fn missing(&self) -> usize {
        self.acknowledged.iter().filter(|id| !self.arrived.contains_key(*id)).count()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copies: usize = self.arrived.values().sum();
        let (acknowledged, arrived) = (self.acknowledged.len(), self.arrived.len());
        let lost = self.missing();
        write!(f, "{acknowledged} acknowledged, {arrived} arrived, {copies} copies, {lost} lost")
    }
}
