//! The thread that reads the store: one short snapshot an answer, copied out of the map.

use std::sync::Arc;

use crossbeam::channel::Receiver;

use super::{super::mesh::Mesh, tables::Tables};
use crate::{
    relay::{Input, Ticket},
    store::{Load, Loaded, StoreError},
};

/// What the thread is asked.
#[derive(Debug)]
pub enum Ask {
    Load { core: u16, ticket: Ticket, load: Load },
    Stop,
}

/// Answers until it is told to stop.
pub fn run(
    asks: &Receiver<Ask>,
    tables: &Tables,
    mesh: &Mesh,
    warn: &Arc<dyn Fn(String) + Send + Sync>,
) {
    while let Ok(Ask::Load { core, ticket, load }) = asks.recv() {
        let loaded = answer(tables, &load, &**warn).unwrap_or_else(|error| {
            warn(format!(
                "the store in {} cannot be read: {error}; check the disk",
                tables.dir.display()
            ));
            Loaded::Failed(StoreError::Failed)
        });
        mesh.post(core, [Input::Loaded { ticket, loaded }]);
    }
}

fn answer(tables: &Tables, load: &Load, warn: &dyn Fn(String)) -> Result<Loaded, heed::Error> {
    // Dropped with the answer: a snapshot that stays open keeps LMDB from using pages again.
    let txn = tables.env.read_txn()?;
    load.run(&tables.reads(&txn), &mut |sentence| warn(sentence))
}
