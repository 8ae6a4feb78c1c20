//! The thread that reads the store: one short snapshot an answer, copied out of the map.

use std::sync::Arc;

use crossbeam::channel::Receiver;

use super::{super::mesh::Mesh, Asker, tables::Tables};
use crate::{
    relay::Input,
    store::{Load, Loaded, StoreError, content::Unpress},
};

/// What the thread is asked.
#[derive(Debug)]
pub enum Ask {
    Load { asker: Asker<Loaded>, load: Load },
    Stop,
}

/// Answers until it is told to stop.
pub fn run(
    asks: &Receiver<Ask>,
    tables: &Tables,
    mesh: &Mesh,
    warn: &Arc<dyn Fn(String) + Send + Sync>,
) {
    let mut unpress = Unpress::default();
    while let Ok(Ask::Load { asker, load }) = asks.recv() {
        let loaded = answer(tables, &load, &mut unpress, &**warn).unwrap_or_else(|error| {
            warn(format!(
                "the store in {} cannot be read: {error}; check the disk",
                tables.dir.display()
            ));
            Loaded::Failed(StoreError::Failed)
        });
        match asker {
            Asker::Core(core, ticket) => mesh.post(core, [Input::Loaded { ticket, loaded }]),
            // One that has gone needs no answer.
            Asker::Caller(answer) => drop(answer.try_send(loaded)),
        }
    }
}

fn answer(
    tables: &Tables,
    load: &Load,
    unpress: &mut Unpress,
    warn: &dyn Fn(String),
) -> Result<Loaded, heed::Error> {
    // Dropped with the answer: a snapshot that stays open keeps LMDB from using pages again.
    let txn = tables.env.read_txn()?;
    load.run(&tables.reads(&txn), unpress, &mut |sentence| warn(sentence))
}
