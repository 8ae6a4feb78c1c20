//! The one impure room: ring, sockets, LMDB, clocks, entropy, threads, signals, log.

pub mod mesh;

use crate::config::Config;

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("this build cannot serve yet")]
    NotBuilt,
}

pub fn serve(config: Config) -> Result<(), ServeError> {
    let _ = config;
    Err(ServeError::NotBuilt)
}
