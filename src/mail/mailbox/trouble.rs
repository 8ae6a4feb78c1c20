//! Why a session's question has no answer.

/// What is said of a store that does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreTrouble {
    #[error("the store is full; delete some mail or try again later")]
    Full,
    #[error("the store failed; try again later")]
    Failed,
    #[error("some of it is damaged on disk; ask the operator for the log")]
    Damaged,
}
