//! The task as [`StageTask`].

use std::sync::Arc;

use weir_schemas::{CommitMetadata, Micros, StateEntry};

use super::SiteTask;
use crate::config::EngineConfig;
use crate::image::UnreadableState;
use crate::profile::Profile;
use crate::stage_task::StageTask;
use crate::task::{Checkpoint, TaskCore, TaskIdentity, newest_head};

impl StageTask for SiteTask {
    fn new(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self {
        Self::new(identity, config, profile, position)
    }

    fn restore(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        commit: &CommitMetadata,
        offset: i64,
        entries: &[StateEntry],
        log_start: i64,
    ) -> Result<Self, UnreadableState> {
        Self::restore(identity, config, profile, commit, offset, entries, log_start)
    }

    fn restore_expired(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        entries: &[StateEntry],
        log_start: i64,
    ) -> Result<Self, UnreadableState> {
        let epoch = newest_head(entries).ok_or(UnreadableState::Headless)?.epoch;
        let commit = CommitMetadata { epoch, replay_from: log_start, state_from: 0, watermark: None };
        Self::restore(identity, config, profile, &commit, log_start, entries, log_start)
    }

    fn reset(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        position: i64,
        _entries: &[StateEntry],
        epoch: u64,
    ) -> Result<Self, UnreadableState> {
        let mut task = Self::new(identity, config, profile, position);
        task.core.epoch = epoch;
        Ok(task)
    }

    fn checkpoint(&mut self, state_end: i64) -> Checkpoint {
        self.checkpoint(state_end)
    }

    fn replay_until(&self) -> Option<i64> {
        self.replay.as_ref().map(|replay| replay.until)
    }

    fn watermark(&self) -> Option<Micros> {
        self.closed_through
    }

    fn open_panes(&self) -> usize {
        self.panes.len()
    }

    fn opened_len(&self) -> usize {
        0
    }

    fn core(&self) -> &TaskCore {
        &self.core
    }

    fn core_mut(&mut self) -> &mut TaskCore {
        &mut self.core
    }
}
