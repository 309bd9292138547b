//! Settings of a shard.

use std::time::Duration;

use weir_schemas::{Micros, SECOND_US};

/// Where a group without commit and state begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the log's first record.
    Earliest,
    /// At its end.
    Latest,
}

/// Settings of a shard.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// Topic read.
    pub input: String,
    /// Topic that the tasks' state lives in, partition by partition.
    pub state: String,
    /// Topics that the tasks write to by key.
    pub outputs: Vec<String>,
    /// Where a group without commit and state begins.
    pub start: Start,
    /// Partitions taken at most; what the group gives beyond is not read.
    pub max_partitions: Option<u32>,
    /// How long calls may fail before the process is better started again.
    pub patience: Duration,
    /// How long a commit's state may stay invisible before it counts as lost.
    pub state_patience: Duration,
    /// Records after which a commit is due without outputs, so that a restart replays little.
    pub commit_records: usize,
    /// Time after which a commit is due without outputs, so that the consumer's lag stays true.
    pub commit_interval: Duration,
    /// Least time between two commits, unless outputs are urgent: a transaction costs the same for one partition's outputs as
    /// for all of them.
    pub commit_pause: Duration,
    /// While behind: how far, in event time, a partition may run ahead of the slowest one of the group, µs. What follows
    /// merges the panes of all of them, and keeps a bounded number of panes.
    pub ahead: Option<Micros>,
    /// While ahead: how long the slowest may stand still before nobody waits for it any more.
    pub ahead_patience: Duration,
    /// Append times further back than this mean that a partition is behind, µs.
    pub behind: Micros,
    /// Records held per partition before its fetching pauses.
    pub pending: usize,
}

impl ShardSettings {
    /// The defaults for these topics.
    #[must_use]
    pub fn new(input: impl Into<String>, state: impl Into<String>, outputs: Vec<String>) -> Self {
        Self {
            input: input.into(),
            state: state.into(),
            outputs,
            start: Start::Latest,
            max_partitions: None,
            // Less than the watchdog's minute: this end can say why.
            patience: Duration::from_secs(45),
            state_patience: Duration::from_mins(1),
            commit_records: 65_536,
            commit_interval: Duration::from_secs(5),
            commit_pause: Duration::from_millis(100),
            ahead: None,
            ahead_patience: Duration::from_secs(30),
            behind: 10 * SECOND_US,
            pending: 16_384,
        }
    }
}
