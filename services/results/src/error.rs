//! What can go wrong while results run, whose fault it is, and whether a retry helps.

use weir_bus::BusError;

/// Errors of the results service.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// Environment: the bus refused. After an append that may or may not have happened, the next
    /// [`step`](crate::ResultsService::step) restores from the bus before it goes on, so a retry repeats nothing.
    #[error("results cannot use the bus: {0}; once that is mended, retry")]
    Bus(#[from] BusError),
    /// Environment: a state entry that this version cannot read. A retry does not help.
    #[error(
        "state entry {key} of {topic}/{partition} is not one that this version of Weir reads ({detail}); \
         run the version that wrote it, or empty the topic and lose the revision numbers"
    )]
    State {
        /// State topic.
        topic: String,
        /// Its partition.
        partition: u32,
        /// Key of the entry.
        key: String,
        /// What was met.
        detail: String,
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
