//! The records of the store.
