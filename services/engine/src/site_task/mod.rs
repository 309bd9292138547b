//! The site stage of one partials partition: partials of all input partitions in; findings about targets and sites out.
//!
//! A pane closes when every input partition has said that it closed it. Of a (partition, pane) the first complete set counts,
//! later ones are late. A pane that waits over 60 s of append clock for a marker closes without it and says so.

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_schemas::partial::{PartialBody, PartialSensor};
use weir_schemas::{CommitMetadata, Micros, PANE_US, Partial, SECOND_US, StateEntry, Text};

use crate::baseline::{ALERTED_WEIGHT, BaselineKey, BaselineView, Baselines, Change, ExportedBaseline};
use crate::config::{EngineConfig, SITE_PANE_SLOTS};
use crate::counters::Counters;
use crate::detectors::{Level, SiteView, Stage};
use crate::image::{Table, UnreadableState};
use crate::profile::Profile;
use crate::sensors::{AppendClock, MASK_BITS};
use crate::site_pane::SitePane;
use crate::site_summary::SiteSummary;
use crate::summary::{SeenBy, window_of};
use crate::task::{
    Checkpoint, CoreHead, Firing, Outbox, TaskCore, TaskIdentity, decode, detectors_of, restore, unreadable,
};

/// How long a pane waits for a partition's marker, append clock.
const MARKER_PATIENCE: Micros = 60 * SECOND_US;

/// Panes whose summaries are kept: what a window of 60 s needs.
const SUMMARY_PANES: i64 = Level::Minute.panes();

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    closed_through: Micros,
    ended: bool,
}

/// What the log said so far of the input partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Inputs {
    clock: AppendClock,
    expected: u32,
    progress: BTreeMap<u32, Progress>,
    /// Pane → clock time at which the first partition had closed it.
    waiting: BTreeMap<Micros, Micros>,
    sensor_names: Vec<Text>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    offset: i64,
    inputs: Inputs,
}

struct OpenPane {
    pane: SitePane,
    origin: Origin,
}

#[derive(Serialize, Deserialize)]
struct Head {
    core: CoreHead,
    closed_through: Option<Micros>,
    inputs: Inputs,
    replay: Origin,
}

struct Replay {
    until: i64,
    inputs_then: Inputs,
}

/// The task.
pub struct SiteTask {
    core: TaskCore,
    inputs: Inputs,
    panes: BTreeMap<Micros, OpenPane>,
    closed_through: Option<Micros>,
    summaries: BTreeMap<Micros, SiteSummary>,
    baselines: Baselines,
    replay: Option<Replay>,
    /// Entries the newest closed pane had: room for the next. No count depends on it.
    expected: (usize, usize),
}

impl SiteTask {
    /// A task without history that will read from `position` on.
    #[must_use]
    pub fn new(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self {
        let baselines = Baselines::new(config.shares.baselines);
        Self {
            core: TaskCore::new(identity, config, profile, position),
            inputs: Inputs::default(),
            panes: BTreeMap::new(),
            closed_through: None,
            summaries: BTreeMap::new(),
            baselines,
            replay: None,
            expected: (0, 0),
        }
    }

    /// The task as it stood at a commit; see [`crate::SourceTask::restore`].
    pub fn restore(
        identity: TaskIdentity,
        config: EngineConfig,
        profile: Arc<Profile>,
        commit: &CommitMetadata,
        _offset: i64,
        entries: &[StateEntry],
        _log_start: i64,
    ) -> Result<Self, UnreadableState> {
        let restored = restore::<Head>(*commit, entries)?;
        let head = restored.head;
        let mut task = Self::new(identity, config, profile, head.replay.offset);
        for (slot, body) in restored.image.table(Table::Summary) {
            let (start, summary): (Micros, SiteSummary) = decode(Table::Summary, slot, body)?;
            task.summaries.insert(start, summary);
        }
        for (slot, body) in restored.image.table(Table::Baseline) {
            task.baselines.load(slot, body).map_err(|_| unreadable(Table::Baseline, slot))?;
        }
        let position = head.core.position;
        let open_until = head.closed_through.unwrap_or_default() + PANE_US;
        task.core.resume(head.core, restored.image, restored.commit, open_until)?;
        task.closed_through = head.closed_through;
        task.inputs = head.replay.inputs;
        // Panes that closed between the origin and the commit wait for nothing any more.
        task.inputs.waiting.retain(|pane, _| head.closed_through.is_none_or(|closed| *pane > closed));
        if position > head.replay.offset {
            task.replay = Some(Replay { until: position, inputs_then: head.inputs });
        }
        Ok(task)
    }

    /// Next input offset the task wants.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.core.position
    }

    /// Counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// What waits to be published.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.core.outbox
    }

    /// Whether the task still refills panes from before its commit.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// The learnt baselines, in key order.
    #[must_use]
    pub fn export_baselines(&self) -> Vec<ExportedBaseline> {
        self.baselines.export()
    }

    /// Takes baselines learnt elsewhere; rows of unknown scope are left out, and their number returned.
    pub fn import_baselines(&mut self, rows: &[ExportedBaseline]) -> usize {
        let mut unknown = 0;
        for row in rows {
            match self.baselines.import(row) {
                Some(change) => self.write_baseline(change),
                None => unknown += 1,
            }
        }
        unknown
    }

    fn write_baseline(&mut self, change: Change) {
        if let Some(emptied) = change.emptied {
            self.core.image.put(Table::Baseline, emptied, Vec::new());
        }
        self.core.image.put(Table::Baseline, change.slot, change.body);
    }

    /// Takes a partial.
    pub fn apply(&mut self, offset: i64, append_time: Micros, partial: &Partial) {
        self.core.position = offset + 1;
        let caught_up = self.replay.as_ref().is_some_and(|replay| offset >= replay.until);
        if caught_up && let Some(replay) = self.replay.take() {
            debug_assert_eq!(self.inputs, replay.inputs_then, "a replay must leave the inputs as the commit had them");
            self.inputs = replay.inputs_then;
        }
        self.inputs.clock.advance(append_time);
        self.inputs.expected = self.inputs.expected.max(partial.partition_count);
        if let PartialBody::Marker { ended, complete, degraded } = &partial.body {
            self.count(|counters| counters.mark += 1);
            self.note_degraded(partial, *complete, degraded);
            self.take_marker(partial, *ended);
        } else {
            self.take_counts(offset, partial);
        }
        self.close_forced();
    }

    /// Takes an offset whose partial could not be decoded; the caller dead-letters it.
    pub fn apply_dead(&mut self, offset: i64, append_time: Micros) {
        self.core.position = offset + 1;
        self.inputs.clock.advance(append_time);
        self.count(|counters| counters.dead += 1);
        self.close_forced();
    }

    fn count(&mut self, count: impl FnOnce(&mut Counters)) {
        if self.replay.is_none() {
            count(&mut self.core.counters);
        }
    }

    /// What made the marked panes of one input partition less than exact holds for what is made of them here.
    fn note_degraded(&mut self, partial: &Partial, complete: bool, degraded: &[String]) {
        let before =
            self.inputs.progress.get(&partial.partition).map_or(Micros::MIN, |progress| progress.closed_through);
        if degraded.is_empty() || before >= partial.pane {
            return;
        }
        for (_, open) in self.panes.range_mut((Bound::Excluded(before), Bound::Included(partial.pane))) {
            for why in degraded {
                open.pane.degrade(why);
            }
            if !complete {
                open.pane.force();
            }
        }
    }

    fn take_marker(&mut self, partial: &Partial, ended: bool) {
        let progress =
            self.inputs.progress.entry(partial.partition).or_insert(Progress { closed_through: Micros::MIN, ended });
        progress.closed_through = progress.closed_through.max(partial.pane);
        progress.ended = ended;
        let now = self.inputs.clock.now();
        if self.closed_through.is_none_or(|closed| partial.pane > closed) {
            let known_later = self.inputs.waiting.range(partial.pane..).next().is_some();
            if !known_later {
                self.inputs.waiting.insert(partial.pane, now);
            }
        }
        if self.replay.is_some() {
            return;
        }
        if let Some(through) = self.agreed() {
            self.close_through(through, false);
        }
        let all_ended = self.inputs.progress.len() as u32 >= self.inputs.expected
            && self.inputs.progress.values().all(|progress| progress.ended);
        if all_ended {
            if let Some(newest) = self.panes.last_key_value().map(|(start, _)| *start) {
                self.close_through(newest, false);
            }
            self.core.close_episodes(None);
            self.inputs.waiting.clear();
        }
    }

    /// The newest pane that every input partition has closed. One that has ended counts as it stands: its sensors may start
    /// again, and others hear of it first.
    fn agreed(&self) -> Option<Micros> {
        if (self.inputs.progress.len() as u32) < self.inputs.expected {
            return None;
        }
        self.inputs.progress.values().map(|progress| progress.closed_through).min()
    }

    /// Closes panes whose markers have been waited for too long.
    fn close_forced(&mut self) {
        if self.replay.is_some() {
            return;
        }
        let deadline = self.inputs.clock.now() - MARKER_PATIENCE;
        let overdue = self.inputs.waiting.iter().rev().find(|(_, since)| **since <= deadline).map(|(pane, _)| *pane);
        if let Some(pane) = overdue {
            self.close_through(pane, true);
        }
        while self.panes.len() > SITE_PANE_SLOTS {
            let Some(oldest) = self.panes.first_key_value().map(|(start, _)| *start) else { break };
            self.close_through(oldest, true);
        }
    }

    fn take_counts(&mut self, offset: i64, partial: &Partial) {
        let set_complete = self
            .inputs
            .progress
            .get(&partial.partition)
            .is_some_and(|progress| partial.pane <= progress.closed_through);
        let is_late = set_complete || self.closed_through.is_some_and(|closed| partial.pane <= closed);
        let opens = !is_late && !self.panes.contains_key(&partial.pane);
        let origin = opens.then(|| Origin { offset, inputs: self.inputs.clone() });
        // Every partial names its sensors, also one that comes too late: a replay meets as late what was counted then.
        let seen_by = self.inputs.seen_by(sensors_of(&partial.body));
        if is_late {
            return self.count(|counters| counters.late += 1);
        }
        if let Some(origin) = origin {
            let pane = SitePane::new(offset, &self.core.config.shares, self.core.config.seed, self.expected);
            self.panes.insert(partial.pane, OpenPane { pane, origin });
        }
        self.count(|counters| counters.counted += 1);
        let rules_differ = partial.rules_hash != self.core.profile.rules_hash();
        let Some(open) = self.panes.get_mut(&partial.pane) else { return };
        if rules_differ {
            open.pane.degrade("rules_changed");
        }
        open.pane.add(&partial.body, seen_by);
    }

    fn is_live(&self) -> bool {
        !self.summaries.is_empty() || !self.core.episodes.is_empty()
    }

    fn close_through(&mut self, through: Micros, forced: bool) {
        loop {
            let first_open = self.panes.first_key_value().map(|(start, _)| *start);
            let next = match (self.closed_through, first_open) {
                (Some(closed), _) if self.is_live() => closed + PANE_US,
                (_, Some(first)) => first,
                (_, None) => break,
            };
            if next > through {
                break;
            }
            self.close_pane(next, forced);
            self.closed_through = Some(next);
        }
        if self.closed_through.is_none_or(|closed| closed < through) {
            self.closed_through = Some(through);
        }
        while let Some((pane, _)) = self.inputs.waiting.first_key_value().filter(|(pane, _)| **pane <= through) {
            let pane = *pane;
            self.inputs.waiting.remove(&pane);
        }
    }

    fn close_pane(&mut self, start: Micros, forced: bool) {
        let mut room = self.core.config.shares.state_per_close;
        let Some(OpenPane { mut pane, .. }) = self.panes.remove(&start) else {
            self.core.close_episodes(Some(start));
            self.core.image.pane_closed();
            self.forget_summaries(start);
            return;
        };
        // A partition that has ended is waited for like any other, but what it never sent is not missing.
        let missing = if forced { self.missing(start) } else { Vec::new() };
        if !missing.is_empty() {
            self.core.counters.panes_forced += 1;
            pane.force();
        }
        for partition in missing {
            pane.degrade(&format!("missing_partition_{partition}"));
        }
        self.core.counters.panes_closed += 1;
        let seed = self.core.config.seed;
        self.expected = pane.expected();
        let closed = pane.close(|host| BaselineKey::host_learns_at(host, start, seed));
        let mut newest = closed.summary;
        self.core.counters.evicted += closed.evicted + newest.bound(room / 2);
        let mut merged = newest.clone();
        let oldest = start - (SUMMARY_PANES - 1) * PANE_US;
        for (_, summary) in self.summaries.range(oldest..start) {
            merged.merge_known(summary);
        }
        let firings = self.judge(start, &newest, &merged);
        let alerted: BTreeSet<BaselineKey> = firings.iter().filter_map(baseline_key_of).collect();
        let is_complete = newest.complete;
        let sites: Vec<(BaselineKey, u64)> =
            newest.sites.iter().map(|(site, totals)| (BaselineKey::site(site), totals.bytes)).collect();
        room = room.saturating_sub(self.keep_summary(start, newest));
        self.core.settle(start, firings, &[], &mut room);
        self.core.close_episodes(Some(start));
        if is_complete {
            let hosts = closed.learning.iter().map(|(host, bytes)| (BaselineKey::target(host), *bytes));
            self.learn(start, sites.into_iter().chain(hosts), &alerted, room);
        }
        self.core.image.pane_closed();
        self.forget_summaries(start);
    }

    /// Input partitions that have not closed `pane`.
    fn missing(&self, pane: Micros) -> Vec<u32> {
        let has_closed = |partition: &u32| {
            self.inputs
                .progress
                .get(partition)
                .is_some_and(|progress| progress.ended || progress.closed_through >= pane)
        };
        (0..self.inputs.expected).filter(|partition| !has_closed(partition)).collect()
    }

    fn keep_summary(&mut self, start: Micros, summary: SiteSummary) -> usize {
        let slot = (start / PANE_US).rem_euclid(SUMMARY_PANES) as u32;
        // Plain values: encoding into memory has no way to fail.
        let body = postcard::to_stdvec(&(start, &summary)).unwrap_or_default();
        let size = body.len();
        self.core.image.put(Table::Summary, slot, body);
        self.summaries.insert(start, summary);
        size
    }

    fn forget_summaries(&mut self, start: Micros) {
        let oldest = start - (SUMMARY_PANES - 2) * PANE_US;
        while let Some((old, _)) = self.summaries.first_key_value().filter(|(old, _)| **old < oldest) {
            let old = *old;
            self.summaries.remove(&old);
            self.core.image.put(Table::Summary, (old / PANE_US).rem_euclid(SUMMARY_PANES) as u32, Vec::new());
        }
    }

    fn judge(&mut self, start: Micros, newest: &SiteSummary, merged: &SiteSummary) -> Vec<Firing> {
        let inputs = &self.inputs;
        let sensors = |seen_by: SeenBy| inputs.named(seen_by);
        let view = SiteView {
            level: Level::Minute,
            window: window_of(start, Level::Minute.panes()),
            pane: start,
            newest,
            merged,
            baselines: &BaselineView(&self.baselines),
            sensors: &sensors,
        };
        let mut firings = Vec::new();
        for detector in detectors_of(Stage::Site) {
            firings.extend(self.core.judge(detector, |rules, verdicts| detector.judge_site(&view, rules, verdicts)));
        }
        firings
    }

    /// Teaches the baselines this pane's bytes per second: sites always, a receiver at the pane its hash names.
    fn learn(
        &mut self,
        start: Micros,
        samples: impl Iterator<Item = (BaselineKey, u64)>,
        alerted: &BTreeSet<BaselineKey>,
        mut room: usize,
    ) {
        let pane_seconds = (PANE_US / SECOND_US) as f64;
        for (key, bytes) in samples {
            let weight = if alerted.contains(&key) { ALERTED_WEIGHT } else { 1.0 };
            match self.baselines.learn(&key, bytes as f64 / pane_seconds, weight, start, room) {
                Ok(Some(change)) => {
                    room = room.saturating_sub(change.body.len() + 16);
                    self.write_baseline(change);
                }
                Ok(None) => {}
                Err(_) => self.core.counters.deferred += 1,
            }
        }
    }

    /// Closes a commit that will begin at `state_end` of the state partition; see [`crate::SourceTask::checkpoint`].
    pub fn checkpoint(&mut self, state_end: i64) -> Checkpoint {
        self.core.epoch += 1;
        let oldest = self.panes.values().map(|open| &open.origin).min_by_key(|origin| origin.offset);
        let replay =
            oldest.cloned().unwrap_or_else(|| Origin { offset: self.core.position, inputs: self.inputs.clone() });
        let replay_from = replay.offset;
        let head =
            Head { core: self.core.head(), closed_through: self.closed_through, inputs: self.inputs.clone(), replay };
        self.core.checkpoint(&head, replay_from, state_end, self.closed_through)
    }
}

impl Inputs {
    fn seen_by(&mut self, sensors: &[PartialSensor]) -> SeenBy {
        let mut seen_by = SeenBy::default();
        for sensor in sensors {
            let bit = match self.sensor_names.iter().position(|name| *name == sensor.id) {
                Some(bit) => bit,
                None if self.sensor_names.len() < MASK_BITS => {
                    self.sensor_names.push(sensor.id.clone());
                    self.sensor_names.len() - 1
                }
                None => MASK_BITS - 1,
            };
            seen_by.forward |= u64::from(sensor.vantage & 1) << bit;
            seen_by.reverse |= u64::from((sensor.vantage >> 1) & 1) << bit;
        }
        seen_by
    }

    fn named(&self, seen_by: SeenBy) -> Vec<(Text, u8, u64)> {
        let mut named: Vec<(Text, u8, u64)> = Vec::new();
        for (bit, id) in self.sensor_names.iter().enumerate() {
            let vantage = ((seen_by.forward >> bit) & 1) as u8 | (((seen_by.reverse >> bit) & 1) as u8) << 1;
            if vantage != 0 {
                named.push((id.clone(), vantage, 0));
            }
        }
        named.sort();
        named
    }
}

fn sensors_of(body: &PartialBody) -> &[PartialSensor] {
    match body {
        PartialBody::Receiver { sensors, .. }
        | PartialBody::Responder { sensors, .. }
        | PartialBody::Site { sensors, .. } => sensors,
        PartialBody::Marker { .. } => &[],
    }
}

fn baseline_key_of(firing: &Firing) -> Option<BaselineKey> {
    let judgement = &firing.judgement;
    judgement.normal?;
    match (&judgement.site, &judgement.target) {
        (Some(site), _) => Some(BaselineKey::site(site)),
        (None, Some(target)) => Some(BaselineKey::target(target)),
        (None, None) => None,
    }
}
