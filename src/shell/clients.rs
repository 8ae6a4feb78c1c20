//! How many connections each client has open, over all cores.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Shared by the cores: the kernel spreads one client's connections over all of them, so only a
/// common count can bound them. Touched once when a connection comes and once when it goes.
#[derive(Default)]
pub struct Clients {
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Clients {
    /// Counts a connection in; returns how many its client has open now.
    pub fn enter(&self, client: IpAddr) -> usize {
        let mut open = self.lock();
        let count = open.entry(client.to_canonical()).or_default();
        *count += 1;
        *count
    }

    pub fn leave(&self, client: IpAddr) {
        let mut open = self.lock();
        let client = client.to_canonical();
        if let Some(count) = open.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&client);
            }
        }
    }

    /// A count is whole after every step: a panic elsewhere cannot leave it half-made.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
