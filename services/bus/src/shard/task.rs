//! What a shard needs of the work it does for a partition, and what it gives it to begin with.

use weir_schemas::{CommitMetadata, Micros, StateEntry};

use crate::{Delivery, Message};

/// A partition of the input, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Input topic.
    pub topic: String,
    /// Partition of it.
    pub partition: u32,
    /// Partitions of it.
    pub partition_count: u32,
}

/// Why what a group committed is not gone on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// The commit's metadata is none of ours: somebody set the group's offset.
    Operator,
    /// The state that the commit names did not appear, or cannot be read.
    StateLost,
    /// The state is newer than the commit: the offsets topic lost a write.
    OffsetLost,
}

impl ResetCause {
    /// As logs and metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::StateLost => "state_lost",
            Self::OffsetLost => "offset_lost",
        }
    }
}

/// What is known of a partition's past: the rows of the table of offsets. Entries are in log order.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovery {
    /// Nothing is: begin here.
    First {
        /// Next offset.
        position: i64,
    },
    /// Commit and state agree.
    Resume {
        /// The commit's metadata.
        commit: CommitMetadata,
        /// The commit's offset.
        offset: i64,
        /// State from `state_from` on, the commit's head the last one.
        entries: Vec<StateEntry>,
        /// First offset still in the input's log: later than `replay_from` where retention overtook the task.
        log_start: i64,
    },
    /// The group's commit expired; its state is there, up to its newest head.
    Expired {
        /// All of the state partition, a head the last one.
        entries: Vec<StateEntry>,
        /// First offset still in the input's log.
        log_start: i64,
    },
    /// Go on at `position` with no past but what outlives a reset.
    Reset {
        /// Next offset.
        position: i64,
        /// What there is of the state partition; none where it cannot be read.
        entries: Vec<StateEntry>,
        /// No commit had a greater number.
        epoch: u64,
        /// What led here.
        cause: ResetCause,
    },
}

/// Why a task cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Environment: somebody must act, and until then every start ends alike.
    #[error("{0}")]
    Environment(String),
    /// Environment: the state is damaged; it counts as lost.
    #[error("{0}")]
    Unreadable(String),
}

/// How soon a task's outputs should be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// There are none.
    Nothing,
    /// With the next commit, which is due now.
    Outputs,
    /// Before another record is taken.
    AtOnce,
}

/// One commit of one partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sealed {
    /// Outputs, then state, the head the last.
    pub messages: Vec<Message>,
    /// Next input offset.
    pub offset: i64,
    /// The commit's metadata.
    pub metadata: String,
}

/// Partitions of the topics that a task writes to, by name.
pub type PartitionCounts = std::collections::BTreeMap<String, u32>;

/// The work for one partition: a pure function of what it began with and what it was given.
pub trait Task: Sized {
    /// What all tasks of a shard share.
    type Settings;

    /// The task that goes on from `recovery`.
    fn recover(settings: &Self::Settings, place: Place, recovery: Recovery) -> Result<Self, Refusal>;

    /// Next input offset that it wants.
    fn position(&self) -> i64;

    /// Takes the next record. Whatever it holds: what is of no use goes to the dead letters among the outputs.
    fn take(&mut self, delivery: Delivery);

    /// Whether it still rebuilds what it had before its commit: it has nothing to commit until it is done.
    fn is_replaying(&self) -> bool;

    /// Whether there are outputs to commit.
    fn due(&self) -> Due;

    /// How far it has come in event time, where it knows.
    fn watermark(&self) -> Option<Micros>;

    /// The input has this many partitions now.
    fn set_partition_count(&mut self, count: u32);

    /// Closes a commit whose entries will stand at or after `state_end` of the state partition. It must be published as it is,
    /// as often as it takes, before the next one.
    fn seal(&mut self, state_end: i64, counts: &PartitionCounts) -> Sealed;
}
