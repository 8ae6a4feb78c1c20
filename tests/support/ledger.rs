//! The account of a proof: what was acknowledged must arrive, whole, and nothing else may.

use std::{
    collections::{HashMap, HashSet},
    fmt, thread,
    time::{Duration, Instant},
};

use super::{
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
        let deadline = Instant::now() + patience;
        loop {
            self.receive(sink);
            let missing: Vec<&String> = self.missing().collect();
            if missing.is_empty() {
                break;
            }
            let first = &missing[..missing.len().min(20)];
            assert!(Instant::now() < deadline, "{self}; after {patience:?} not here: {first:?}");
            thread::sleep(Duration::from_millis(10));
        }
        for id in self.arrived.keys() {
            assert!(self.begun.contains(id), "{id} was never sent");
        }
    }

    /// Acknowledged and not here.
    fn missing(&self) -> impl Iterator<Item = &String> {
        self.acknowledged.iter().filter(|id| !self.arrived.contains_key(*id))
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copies: usize = self.arrived.values().sum();
        let (acknowledged, arrived) = (self.acknowledged.len(), self.arrived.len());
        let lost = self.missing().count();
        write!(f, "{acknowledged} acknowledged, {arrived} arrived, {copies} copies, {lost} lost")
    }
}
