//! What the tasks of both stages have in common, for those who feed them: how they begin, how they are watched, how they commit.

use std::sync::Arc;

use weir_schemas::{CommitMetadata, Micros, StateEntry};

use crate::config::EngineConfig;
use crate::counters::Counters;
use crate::image::UnreadableState;
use crate::profile::Profile;
use crate::task::{Checkpoint, Outbox, TaskCore, TaskIdentity};

/// One partition's work. Entries are those of its state partition, in log order. Whoever makes a task feeds it the records from
/// [`StageTask::position`] on.
pub trait StageTask: Sized {
    /// A task without a past, which reads from `position` on.
    fn new(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self;

    /// The task as it stood at a commit of `offset`. `entries` are those from the commit's `state_from` until its head.
    /// `log_start` is the first offset still in the input's log: where it is later than `replay_from`, the panes that have
    /// lost records close with `complete = false` and the word [`crate::task::RETENTION`].
    ///
    /// # Errors
    /// The entries do not fit the commit or cannot be read: see [`UnreadableState::needs_action`].
    fn restore(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        commit: &CommitMetadata,
        offset: i64,
        entries: &[StateEntry],
        log_start: i64,
    ) -> Result<Self, UnreadableState>;

    /// The task as it stood at the newest head among `entries`, which are all of the state partition: the group's commit has
    /// expired.
    ///
    /// # Errors
    /// As [`StageTask::restore`]; also where there is no head.
    fn restore_expired(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        entries: &[StateEntry],
        log_start: i64,
    ) -> Result<Self, UnreadableState>;

    /// A task that reads from `position` on and keeps of its past what outlives a reset: counters and baselines, which learn
    /// nothing from panes that had been closed before. Findings of those say [`crate::task::REPLAYED`]. No commit so far had a
    /// number above `epoch`. `entries` are all that is known of the state partition; what cannot be read of them is left out.
    ///
    /// # Errors
    /// [`UnreadableState::HashSeed`].
    fn reset(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        position: i64,
        entries: &[StateEntry],
        epoch: u64,
    ) -> Result<Self, UnreadableState>;

    /// Closes a commit whose entries will stand at or after `state_end` of the state partition. What it returns must be
    /// appended atomically, and again as it is if that fails. Not while [`StageTask::is_replaying`].
    fn checkpoint(&mut self, state_end: i64) -> Checkpoint;

    /// Below this input offset records only refill the panes that were open at the commit; none when that is done.
    fn replay_until(&self) -> Option<i64>;

    /// How far the task has come in event time, µs; none before it knows.
    fn watermark(&self) -> Option<Micros>;

    /// Panes that take records.
    fn open_panes(&self) -> usize;

    /// Episodes opened early, in panes still open.
    fn opened_len(&self) -> usize;

    /// What is the same in both stages.
    #[doc(hidden)]
    fn core(&self) -> &TaskCore;

    /// What is the same in both stages.
    #[doc(hidden)]
    fn core_mut(&mut self) -> &mut TaskCore;

    /// Next input offset the task wants.
    fn position(&self) -> i64 {
        self.core().position
    }

    /// What it counted, restarts included.
    fn counters(&self) -> &Counters {
        &self.core().counters
    }

    /// What waits to be published.
    fn outbox(&self) -> &Outbox {
        &self.core().outbox
    }

    /// Whether it still refills panes from before its commit.
    fn is_replaying(&self) -> bool {
        self.replay_until().is_some()
    }

    /// Bytes of state held for the state topic.
    fn state_bytes(&self) -> usize {
        self.core().image.bytes()
    }

    /// The input has this many partitions now; it is said to whoever reads the outputs from the next one on.
    fn set_partition_count(&mut self, count: u32) {
        self.core_mut().identity.partition_count = count;
    }
}
