//! What can go wrong while results run, whose fault it is, and whether a retry helps.

use weir_bus::BusError;
use weir_bus::shard::Refusal;

/// Errors of the results service.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// Environment: the bus refused. After an append that may or may not have happened, the next
    /// [`step`](crate::ResultsService::step) restores from the bus before it goes on, so a retry repeats nothing.
    #[error("results cannot use the bus: {0}; once that is mended, retry")]
    Bus(#[from] BusError),
    /// Environment: the state of a partition cannot be gone on from. A retry does not help.
    #[error("{topic}/{partition}: {refusal}")]
    State {
        /// State topic.
        topic: String,
        /// Its partition.
        partition: u32,
        /// Why, and what to do.
        refusal: Refusal,
    },
    /// Environment: something else than state entries is in the state topic. A retry does not help.
    #[error("the message at {topic}/{partition}, offset {offset}, is no state entry; is it another service's topic?")]
    NoStateEntry {
        /// State topic.
        topic: String,
        /// Its partition.
        partition: u32,
        /// The message's offset.
        offset: i64,
    },
    /// Environment: fewer state partitions than findings partitions. A retry does not help.
    #[error("topic {state} has {have} partitions, but {findings} has {need}: each needs its own; add the missing ones")]
    TooFewStatePartitions {
        /// State topic.
        state: String,
        /// Findings topic.
        findings: String,
        /// Partitions of the state topic.
        have: u32,
        /// Partitions of the findings topic.
        need: u32,
    },
}
