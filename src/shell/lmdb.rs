//! A stand-in for the store: it answers every change, and keeps nothing.

use std::{io, path::Path, sync::Arc};

use crate::{
    config,
    mail::QueueId,
    relay::{Input, Space, Ticket},
    shell::mesh::Mesh,
    store::{Change, Load, Loaded, StoreError},
};

#[derive(Debug, thiserror::Error)]
#[error("the store cannot be opened")]
pub struct OpenError;

pub struct Opened;

pub struct Store {
    mesh: Arc<Mesh>,
}

#[derive(Clone)]
pub struct Handle {
    mesh: Arc<Mesh>,
}

pub fn open(_data_dir: &Path, _options: &config::Store) -> Result<Opened, OpenError> {
    Ok(Opened)
}

impl Opened {
    pub fn highest_id(&self) -> QueueId {
        QueueId::MIN
    }

    pub fn start(
        self,
        mesh: Arc<Mesh>,
        cores: u16,
        _warn: Box<dyn Fn(String) + Send + Sync>,
    ) -> io::Result<Store> {
        for core in 0..cores {
            mesh.post(core, [Input::Space(Space { free: u64::MAX })]);
        }
        Ok(Store { mesh })
    }
}

impl Store {
    pub fn handle(&self) -> Handle {
        Handle { mesh: self.mesh.clone() }
    }

    pub fn failed(&self) -> Option<String> {
        None
    }

    pub fn stop(self) {}
}

impl Handle {
    pub fn store(&self, core: u16, ticket: Ticket, _change: Change) {
        self.mesh.post(core, [Input::Stored { ticket, result: Ok(()) }]);
    }

    pub fn load(&self, core: u16, ticket: Ticket, _load: Load) {
        let loaded = Loaded::Failed(StoreError::Failed);
        self.mesh.post(core, [Input::Loaded { ticket, loaded }]);
    }
}
