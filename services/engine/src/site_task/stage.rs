//! How the task begins, by the table of offsets, and how it commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_schemas::{CommitMetadata, Micros, PANE_US, StateEntry};

use super::SiteTask;
use super::partitions::Partitions;
use crate::baseline::Baselines;
use crate::config::EngineConfig;
use crate::image::{Table, UnreadableState};
use crate::profile::Profile;
use crate::recovery::{Head, Past, Refill, committed, decode, newest, notes_of, remains, unreadable};
use crate::site_summary::SiteSummary;
use crate::stage_task::StageTask;
use crate::task::{Checkpoint, RETENTION, TaskCore, TaskIdentity};

impl SiteTask {
    /// Goes on from what a commit left behind.
    fn go_on(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        past: Past<Partitions>,
        log_start: i64,
    ) -> Result<Self, UnreadableState> {
        let Past { image, head, epoch } = past;
        let Refill { position, inputs, replay, lacking } = head.refill(log_start);
        let mut task = Self::new(identity, config, profile, position);
        for (slot, body) in image.table(Table::Summary) {
            let (start, summary): (Micros, SiteSummary) = decode(Table::Summary, slot, body)?;
            task.summaries.insert(start, summary);
        }
        for (slot, body) in image.table(Table::Baseline) {
            task.baselines.load(slot, body).map_err(|_| unreadable(Table::Baseline, slot))?;
        }
        let open_until = head.closed_through.unwrap_or_default() + PANE_US;
        task.core.resume(head.core, image, epoch, open_until)?;
        task.closed_through = head.closed_through;
        task.inputs = inputs;
        // What panes that closed between the origin and the commit waited for, or were told of, is of no use any more.
        task.inputs.forget_closed(head.closed_through);
        task.replay = replay;
        for start in lacking {
            task.open_lacking(start);
        }
        Ok(task)
    }

    /// Opens a pane that was open at the commit, and of which retention took partials.
    fn open_lacking(&mut self, start: Micros) {
        let origin = self.origin(self.core.position);
        self.open(start, origin);
        if let Some(open) = self.panes.get_mut(&start) {
            open.pane.degrade(RETENTION);
            open.pane.force();
            open.lacks = true;
        }
    }
}

impl StageTask for SiteTask {
    fn new(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self {
        let baselines = Baselines::new(config.shares.baselines);
        Self {
            core: TaskCore::new(identity, config, profile, position),
            inputs: Partitions::default(),
            panes: BTreeMap::new(),
            closed_through: None,
            summaries: BTreeMap::new(),
            baselines,
            replay: None,
            expected: (0, 0),
        }
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
        Self::go_on(identity, config, profile, committed(commit, offset, entries)?, log_start)
    }

    fn restore_expired(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        entries: &[StateEntry],
        log_start: i64,
    ) -> Result<Self, UnreadableState> {
        Self::go_on(identity, config, profile, newest(entries)?, log_start)
    }

    fn reset(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        position: i64,
        entries: &[StateEntry],
        epoch: u64,
    ) -> Result<Self, UnreadableState> {
        let mut task = Self::new(identity, config, profile, position);
        task.core.begin_again(remains::<Partitions>(entries, &[Table::Baseline], epoch))?;
        let slots: Vec<(u32, Vec<u8>)> =
            task.core.image.table(Table::Baseline).map(|(slot, body)| (slot, body.to_vec())).collect();
        for (slot, body) in slots {
            if task.baselines.load(slot, &body).is_err() {
                task.core.image.put(Table::Baseline, slot, Vec::new());
            }
        }
        Ok(task)
    }

    fn checkpoint(&mut self, state_end: i64) -> Checkpoint {
        debug_assert!(self.replay.is_none(), "the panes are not what the commit would say they are");
        let oldest = self.panes.values().map(|open| &open.origin).min_by_key(|origin| origin.offset).cloned();
        let replay = oldest.unwrap_or_else(|| self.origin(self.core.position));
        let (closed_through, inputs) = (self.closed_through, self.inputs.clone());
        let open = notes_of(self.panes.iter());
        let watermark = self.watermark();
        self.core.checkpoint(state_end, watermark, |core| Head {
            core,
            closed_through,
            ended: false,
            inputs,
            replay,
            open,
        })
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
