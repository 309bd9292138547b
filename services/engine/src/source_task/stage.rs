//! How the task begins, by the table of offsets, and how it commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_schemas::{CommitMetadata, Micros, PANE_US, StateEntry};

use super::SourceTask;
use crate::config::EngineConfig;
use crate::detectors::Stage;
use crate::episode::Episode;
use crate::image::{Table, UnreadableState};
use crate::pane::{Expected, PaneRules};
use crate::profile::Profile;
use crate::recovery::{Head, Past, Refill, committed, decode, newest, notes_of, remains};
use crate::sensors::Sensors;
use crate::stage_task::StageTask;
use crate::summary::SourceSummary;
use crate::task::{Checkpoint, RETENTION, TaskCore, TaskIdentity, detectors_of};

impl SourceTask {
    /// Goes on from what a commit left behind.
    fn go_on(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        past: Past<Sensors>,
        log_start: i64,
    ) -> Result<Self, UnreadableState> {
        let Past { image, head, epoch } = past;
        let Refill { position, inputs, replay, lacking } = head.refill(log_start);
        let mut task = Self::new(identity, config, profile, position);
        for (slot, body) in image.table(Table::Summary) {
            let (start, summary): (Micros, SourceSummary) = decode(Table::Summary, slot, body)?;
            task.summaries.insert(start, summary);
        }
        for (slot, body) in image.table(Table::FiveMinutes) {
            let (start, summary): (Micros, SourceSummary) = decode(Table::FiveMinutes, slot, body)?;
            task.five_minutes.insert(start, summary);
        }
        for (slot, body) in image.table(Table::Opened) {
            let episode: Episode = decode(Table::Opened, slot, body)?;
            task.opened.insert(episode.key.clone(), (slot, episode));
        }
        let open_until = head.inputs.watermark().unwrap_or_default() + PANE_US;
        task.core.resume(head.core, image, epoch, open_until)?;
        task.closed_through = head.closed_through;
        task.ended = head.ended;
        task.sensors = inputs;
        task.replay = replay;
        for start in lacking {
            task.open_lacking(start);
        }
        Ok(task)
    }

    /// Opens a pane that was open at the commit, and of which retention took records.
    fn open_lacking(&mut self, start: Micros) {
        let origin = self.origin(self.core.position);
        self.open(start, origin);
        if let Some(open) = self.panes.get_mut(&start) {
            open.pane.degraded.insert(RETENTION.to_owned());
            open.lacks = true;
        }
    }
}

impl StageTask for SourceTask {
    fn new(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self {
        let mut pane_rules = PaneRules::default();
        for detector in detectors_of(Stage::Source) {
            detector.prepare(profile.rules_of(detector), &mut pane_rules);
        }
        Self {
            core: TaskCore::new(identity, config, profile, position),
            pane_rules,
            sensors: Sensors::default(),
            panes: BTreeMap::new(),
            closed_through: None,
            ended: false,
            summaries: BTreeMap::new(),
            five_minutes: BTreeMap::new(),
            opened: BTreeMap::new(),
            replay: None,
            expected: Expected::default(),
            degraded_since_marker: BTreeSet::new(),
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
        task.core.begin_again(remains::<Sensors>(entries, &[], epoch))?;
        Ok(task)
    }

    fn checkpoint(&mut self, state_end: i64) -> Checkpoint {
        debug_assert!(self.replay.is_none(), "the panes are not what the commit would say they are");
        let oldest = self.panes.values().map(|open| &open.origin).min_by_key(|origin| origin.offset).cloned();
        let replay = oldest.unwrap_or_else(|| self.origin(self.core.position));
        let (closed_through, inputs) = (self.closed_through, self.sensors.clone());
        let open = notes_of(self.panes.iter());
        let watermark = self.watermark();
        self.core.checkpoint(state_end, watermark, |core| Head {
            core,
            closed_through,
            ended: self.ended,
            inputs,
            replay,
            open,
        })
    }

    fn replay_until(&self) -> Option<i64> {
        self.replay.as_ref().map(|replay| replay.until)
    }

    fn watermark(&self) -> Option<Micros> {
        self.sensors.watermark()
    }

    fn open_panes(&self) -> usize {
        self.panes.len()
    }

    fn opened_len(&self) -> usize {
        self.opened.len()
    }

    fn core(&self) -> &TaskCore {
        &self.core
    }

    fn core_mut(&mut self) -> &mut TaskCore {
        &mut self.core
    }
}
