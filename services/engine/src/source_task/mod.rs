//! The source stage of one partition: records in; findings about sources and pairs, and partials for the site stage, out.
//!
//! Open panes are rebuilt from the log, closed panes live on as summaries, everything else changes at pane close only. That is
//! what makes a replay from any checkpoint exact (DESIGN §5).

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_schemas::partial::PartialBody;
use weir_schemas::{
    CommitMetadata, Counts, EpisodeState, Flow, Host, Micros, PANE_US, Partial, Record, SECOND_US, StateEntry, pane_start,
};

use crate::config::{EngineConfig, PANE_SLOTS};
use crate::counters::Counters;
use crate::detectors::{Detector, Level, SourceView, Stage};
use crate::episode::{Episode, EpisodeKey, NotAdopted};
use crate::image::{Table, UnreadableState};
use crate::judgement::{Judgement, Verdicts};
use crate::pane::{Expected, Halves, Pane, PaneRules};
use crate::profile::Profile;
use crate::sensors::{Sensors, Sequence, WatermarkChange};
use crate::summary::{PairKey, SeenBy, SourceSummary, Told, window_of};
use crate::task::{Checkpoint, CoreHead, Firing, Outbox, TaskCore, TaskIdentity, decode, detectors_of, restore};

/// Panes whose summaries are kept: what a window of 5 min needs.
const SUMMARY_PANES: i64 = Level::FiveMinutes.panes();

/// Five-minute summaries kept: what a window of 1 h needs.
const FIVE_MINUTE_SUMMARIES: i64 = Level::Hour.panes() / Level::FiveMinutes.panes();

/// Parts of what a pane close may write: three eighths for its summary, three for the five minutes', a quarter for ledgers.
const EIGHTHS_PER_SUMMARY: usize = 3;

/// Where RFC 3339's four digits end, µs since 1970 UTC.
const YEAR_10000: Micros = 253_402_300_800 * SECOND_US;

/// Packets or bytes of one record beyond which they are no measurement: 17 TB in 10 s, which no link carries. A million such
/// records still add up within 64 bits.
const MOST_PER_PANE: u64 = 1 << 44;

/// The sensor table as it stood before a pane's first record, so that a replay from there decides alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    offset: i64,
    sensors: Sensors,
}

struct OpenPane {
    pane: Pane,
    origin: Origin,
}

#[derive(Serialize, Deserialize)]
struct Head {
    core: CoreHead,
    closed_through: Option<Micros>,
    ended: bool,
    sensors: Sensors,
    replay: Origin,
}

/// Replaying: records below `until` only refill panes.
struct Replay {
    until: i64,
    sensors_then: Sensors,
}

/// The task.
pub struct SourceTask {
    core: TaskCore,
    pane_rules: PaneRules,
    sensors: Sensors,
    panes: BTreeMap<Micros, OpenPane>,
    closed_through: Option<Micros>,
    ended: bool,
    summaries: BTreeMap<Micros, SourceSummary>,
    five_minutes: BTreeMap<Micros, SourceSummary>,
    opened: BTreeMap<EpisodeKey, (u32, Episode)>,
    replay: Option<Replay>,
    expected: Expected,
    /// What made the panes closed since the last marker less than exact; empty between records.
    degraded_since_marker: BTreeSet<String>,
}

impl SourceTask {
    /// A task without history that will read from `position` on.
    #[must_use]
    pub fn new(identity: TaskIdentity, config: EngineConfig, profile: Arc<Profile>, position: i64) -> Self {
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

    /// The task as it stood at a commit. `entries` are the state partition's, from the commit's `state_from` until its head;
    /// the caller must feed it records from [`Self::position`] on.
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
            let (start, summary): (Micros, SourceSummary) = decode(Table::Summary, slot, body)?;
            task.summaries.insert(start, summary);
        }
        for (slot, body) in restored.image.table(Table::FiveMinutes) {
            let (start, summary): (Micros, SourceSummary) = decode(Table::FiveMinutes, slot, body)?;
            task.five_minutes.insert(start, summary);
        }
        for (slot, body) in restored.image.table(Table::Opened) {
            let episode: Episode = decode(Table::Opened, slot, body)?;
            task.opened.insert(episode.key.clone(), (slot, episode));
        }
        let position = head.core.position;
        let open_until = head.sensors.watermark().unwrap_or_default() + PANE_US;
        task.core.resume(head.core, restored.image, restored.commit, open_until)?;
        task.closed_through = head.closed_through;
        task.ended = head.ended;
        task.sensors = head.replay.sensors;
        if position > head.replay.offset {
            task.replay = Some(Replay { until: position, sensors_then: head.sensors });
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

    /// The task's watermark.
    #[must_use]
    pub fn watermark(&self) -> Option<Micros> {
        self.sensors.watermark()
    }

    /// Open panes.
    #[must_use]
    pub fn open_panes(&self) -> usize {
        self.panes.len()
    }

    /// Bytes of state held for the state topic.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.core.image.bytes()
    }

    /// What waits to be published.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.core.outbox
    }

    /// Takes a record.
    pub fn apply(&mut self, offset: i64, append_time: Micros, record: &Record) {
        self.begin(offset);
        let change = self.sensors.advance(append_time, &self.core.config);
        self.react(change);
        match record {
            Record::Flow(flow) => self.apply_flow(offset, append_time, flow),
            Record::Mark(mark) => {
                let config = &self.core.config;
                let sequence = self.sensors.sequence(&mark.sensor, &mark.site, mark.boot, mark.seq, config);
                // An `end` promises nothing about its time.
                let is_ahead = !mark.end && mark.t > append_time.saturating_add(config.max_future);
                if sequence == Sequence::Duplicate {
                    self.count(|counters| counters.duplicate += 1);
                } else if is_ahead {
                    self.count(|counters| counters.clock_fault += 1);
                } else {
                    self.count(|counters| counters.mark += 1);
                    let change = self.sensors.mark(mark, &self.core.config);
                    self.react(change);
                    if self.ended && self.replay.is_none() && self.sensors.any_active(&self.core.config) {
                        self.ended = false;
                        self.mark_closed(false);
                    }
                }
            }
        }
    }

    /// Takes an offset whose record could not be decoded; the caller dead-letters it.
    pub fn apply_dead(&mut self, offset: i64, append_time: Micros) {
        self.begin(offset);
        let change = self.sensors.advance(append_time, &self.core.config);
        self.react(change);
        self.count(|counters| counters.dead += 1);
    }

    /// Whether a record contradicts itself, so that it must be dead-lettered: its last packet lies in another pane than its
    /// first, or before it; its times are none that RFC 3339 can write; its counts are more than a pane can hold.
    #[must_use]
    pub fn is_dead(flow: &Flow) -> bool {
        let is_writable = flow.first_time >= 0 && flow.last_time < YEAR_10000;
        let is_in_order = flow.first_time <= flow.event_time && flow.event_time <= flow.last_time;
        !is_writable
            || !is_in_order
            || pane_start(flow.last_time) != pane_start(flow.event_time)
            || [&flow.fwd, &flow.rev].into_iter().any(|counts| exceeds_any_link(counts, flow.sampling))
    }

    fn begin(&mut self, offset: i64) {
        self.core.position = offset + 1;
        let caught_up = self.replay.as_ref().is_some_and(|replay| offset >= replay.until);
        if caught_up && let Some(replay) = self.replay.take() {
            debug_assert_eq!(
                self.sensors, replay.sensors_then,
                "a replay must leave the sensor table as the commit had it"
            );
            self.sensors = replay.sensors_then;
        }
    }

    fn count(&mut self, count: impl FnOnce(&mut Counters)) {
        if self.replay.is_none() {
            count(&mut self.core.counters);
        }
    }

    fn apply_flow(&mut self, offset: i64, append_time: Micros, flow: &Flow) {
        if Self::is_dead(flow) {
            self.count(|counters| counters.dead += 1);
            return;
        }
        let start = pane_start(flow.event_time);
        let is_late = self.closed_through.is_some_and(|closed| start <= closed);
        // Taken before this record's sequence number is: a replay begins with this record.
        let opens = !is_late && !self.panes.contains_key(&start);
        let origin = opens.then(|| Origin { offset, sensors: self.sensors.clone() });
        match self.sensors.sequence(&flow.sensor, &flow.site, flow.boot, flow.seq, &self.core.config) {
            Sequence::Duplicate => return self.count(|counters| counters.duplicate += 1),
            Sequence::Fresh { lost } => self.count(|counters| counters.lost += lost),
        }
        if flow.event_time > append_time.saturating_add(self.core.config.max_future) {
            return self.count(|counters| counters.clock_fault += 1);
        }
        if is_late {
            return self.count(|counters| counters.late += 1);
        }
        if let Some(origin) = origin {
            self.open(start, origin);
            if self.closed_through.is_some_and(|closed| start <= closed) {
                // A thirteenth pane closed the oldest, which was this one.
                return self.count(|counters| counters.late += 1);
            }
        }
        let mask = self.sensors.mask_of(&flow.sensor);
        let Some(open) = self.panes.get_mut(&start) else { return };
        let halves = if self.sensors.is_contested(&flow.site) { open.pane.own(flow, mask) } else { Halves::BOTH };
        if !halves.forward && !halves.reverse {
            return self.count(|counters| counters.overlap += 1);
        }
        let grown = open.pane.add(flow, halves, mask, &self.pane_rules);
        self.count(|counters| counters.counted += 1);
        if let Some(key) = grown
            && self.replay.is_none()
        {
            self.fire_early(start, &key);
        }
    }

    /// Opens a pane; one too many closes the oldest first.
    fn open(&mut self, start: Micros, origin: Origin) {
        let offset = origin.offset;
        let pane = Pane::new(offset, &self.core.config.shares, self.core.config.seed, self.expected);
        self.panes.insert(start, OpenPane { pane, origin });
        if self.panes.len() <= PANE_SLOTS || self.replay.is_some() {
            return;
        }
        if let Some(mut oldest) = self.panes.first_entry() {
            oldest.get_mut().pane.degraded.insert("forced".to_owned());
            let through = *oldest.key();
            self.core.counters.panes_forced += 1;
            self.close_through(through);
            self.mark_closed(self.ended);
        }
    }

    fn react(&mut self, change: WatermarkChange) {
        if self.replay.is_some() {
            return;
        }
        if change.moved
            && let Some(watermark) = self.sensors.watermark()
        {
            let before = self.closed_through;
            // The newest pane that ends at or before the watermark.
            self.close_through(pane_start(watermark) - PANE_US);
            if self.closed_through != before {
                self.mark_closed(false);
            }
        }
        if change.all_ended {
            if let Some(newest) = self.panes.last_key_value().map(|(start, _)| *start) {
                self.close_through(newest);
            }
            self.core.close_episodes(None);
            self.close_opened();
            self.ended = true;
            self.mark_closed(true);
        }
    }

    /// Something is left that a pane close without records must slide or close.
    fn is_live(&self) -> bool {
        !self.summaries.is_empty()
            || !self.five_minutes.is_empty()
            || !self.core.episodes.is_empty()
            || !self.opened.is_empty()
    }

    /// Closes every pane up to `through`, in order; empty stretches are skipped.
    fn close_through(&mut self, through: Micros) {
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
            self.close_pane(next);
            self.closed_through = Some(next);
        }
        if self.closed_through.is_none_or(|closed| closed < through) {
            self.closed_through = Some(through);
        }
    }

    fn close_pane(&mut self, start: Micros) {
        let mut room = self.core.config.shares.state_per_close;
        let closing = self.panes.remove(&start).map(|open| open.pane);
        let summary_bytes = room / 8 * EIGHTHS_PER_SUMMARY;
        // Partials follow the findings of the pane in the outbox's other list, so that they can be made on the way.
        let newest = match closing {
            Some(pane) => {
                self.expected = pane.expected();
                self.degraded_since_marker.extend(pane.degraded.iter().cloned());
                self.core.counters.evicted += pane.evicted();
                self.core.counters.panes_closed += 1;
                let envelope = self.envelope(start);
                let sensors = |seen_by: SeenBy| self.sensors.named(seen_by.forward, seen_by.reverse);
                let partials = &mut self.core.outbox.partials;
                partials.reserve(self.expected.partials());
                let mut summary = pane.close(&sensors, |body| partials.push(envelope(body)));
                summary.thin_lone_entries();
                self.core.counters.evicted += summary.bound(summary_bytes);
                self.summaries.insert(start, summary.clone());
                summary
            }
            None => SourceSummary::neutral(),
        };
        let mut named = self.named();
        let windows = self.windows_up_to_five_minutes(start, &newest);
        let mut firings = self.judge(start, &newest, &windows, &mut named);
        let told: BTreeSet<Told> = firings.iter().filter_map(|firing| told_by(&firing.judgement)).collect();
        room = room.saturating_sub(self.keep_summary(start, &told));
        room = room.saturating_sub(self.close_five_minutes(start, &told, summary_bytes));
        let windows = self.windows_of_an_hour(start);
        firings.extend(self.judge(start, &newest, &windows, &mut named));
        self.adopt_opened(start, &mut room);
        // What opened early in a pane still open is told already.
        firings.retain(|firing| !self.opened.contains_key(&EpisodeKey::of(firing.detector, &firing.judgement)));
        let early: Vec<EpisodeKey> = self.opened.keys().cloned().collect();
        self.core.settle(start, firings, &early, &mut room);
        self.core.close_episodes(Some(start));
        self.core.image.pane_closed();
        self.forget_summaries(start);
    }

    /// Writes the pane's summary, with what was told of it, into its slot; returns the bytes it takes.
    fn keep_summary(&mut self, start: Micros, told: &BTreeSet<Told>) -> usize {
        let Some(summary) = self.summaries.get_mut(&start) else { return 0 };
        summary.told.clone_from(told);
        let slot = (start / PANE_US).rem_euclid(SUMMARY_PANES) as u32;
        // Plain values: encoding into memory has no way to fail.
        let body = postcard::to_stdvec(&(start, &*summary)).unwrap_or_default();
        let size = body.len();
        self.core.image.put(Table::Summary, slot, body);
        size
    }

    /// At the end of each five minutes, their panes become one summary; returns the bytes it takes.
    fn close_five_minutes(&mut self, start: Micros, told: &BTreeSet<Told>, bytes: usize) -> usize {
        if !ends_step(start, Level::Hour) {
            return 0;
        }
        let panes = self.summaries.range(start - (SUMMARY_PANES - 1) * PANE_US..=start).map(|(_, summary)| summary);
        let mut summary = merge_of(panes.clone());
        summary.leave_out(&panes.flat_map(|pane| &pane.told).chain(told).cloned().collect());
        if summary.first_offset == i64::MAX {
            return 0;
        }
        self.core.counters.evicted += summary.bound(bytes);
        let slot = (start / PANE_US / SUMMARY_PANES).rem_euclid(FIVE_MINUTE_SUMMARIES) as u32;
        let body = postcard::to_stdvec(&(start, &summary)).unwrap_or_default();
        let size = body.len();
        self.core.image.put(Table::FiveMinutes, slot, body);
        self.five_minutes.insert(start, summary);
        size
    }

    fn forget_summaries(&mut self, start: Micros) {
        let oldest_pane = start - (SUMMARY_PANES - 2) * PANE_US;
        while let Some((old, _)) = self.summaries.first_key_value().filter(|(old, _)| **old < oldest_pane) {
            let old = *old;
            self.summaries.remove(&old);
            self.core.image.put(Table::Summary, (old / PANE_US).rem_euclid(SUMMARY_PANES) as u32, Vec::new());
        }
        let oldest_five = start - (Level::Hour.panes() - 1 - SUMMARY_PANES) * PANE_US;
        while let Some((old, _)) = self.five_minutes.first_key_value().filter(|(old, _)| **old < oldest_five) {
            let old = *old;
            self.five_minutes.remove(&old);
            let slot = (old / PANE_US / SUMMARY_PANES).rem_euclid(FIVE_MINUTE_SUMMARIES) as u32;
            self.core.image.put(Table::FiveMinutes, slot, Vec::new());
        }
    }

    /// The windows of 60 s and 5 min that end with this pane: newest step, and all of it.
    fn windows_up_to_five_minutes(&self, start: Micros, newest: &SourceSummary) -> Vec<JudgedWindow> {
        let mut windows = Vec::new();
        let last = |panes: i64| self.summaries.range(start - (panes - 1) * PANE_US..=start).map(|(_, summary)| summary);
        if newest.first_offset != i64::MAX {
            let mut merged = newest.clone();
            let older = start - (Level::Minute.panes() - 1) * PANE_US..start;
            for (_, summary) in self.summaries.range(older) {
                merged.merge_known(summary);
            }
            windows.push(JudgedWindow { level: Level::Minute, step: None, merged });
        }
        if ends_step(start, Level::FiveMinutes) {
            let step = merge_of(last(Level::FiveMinutes.step_panes()));
            if step.first_offset != i64::MAX {
                let merged = merge_of(last(Level::FiveMinutes.panes()));
                windows.push(JudgedWindow { level: Level::FiveMinutes, step: Some(step), merged });
            }
        }
        windows
    }

    /// The window of 1 h that ends with this pane.
    fn windows_of_an_hour(&self, start: Micros) -> Vec<JudgedWindow> {
        let Some(step) = self.five_minutes.get(&start).filter(|_| ends_step(start, Level::Hour)) else {
            return Vec::new();
        };
        let first = start - (Level::Hour.panes() - SUMMARY_PANES) * PANE_US;
        let merged = merge_of(self.five_minutes.range(first..=start).map(|(_, summary)| summary));
        vec![JudgedWindow { level: Level::Hour, step: Some(step.clone()), merged }]
    }

    /// Sources whose activity a scan detector has named already.
    fn named(&self) -> BTreeSet<Host> {
        let open = self.core.episodes.iter().map(|episode| &episode.key).chain(self.opened.keys());
        open.filter(|key| names_a_scan(&key.detector)).filter_map(|key| key.source.clone()).collect()
    }

    fn judge(
        &mut self,
        start: Micros,
        pane: &SourceSummary,
        windows: &[JudgedWindow],
        named: &mut BTreeSet<Host>,
    ) -> Vec<Firing> {
        let mut firings = Vec::new();
        if windows.is_empty() {
            return firings;
        }
        let sensors = |seen_by: SeenBy| self.sensors.named(seen_by.forward, seen_by.reverse);
        for detector in detectors_of(Stage::Source) {
            for JudgedWindow { level, step, merged } in windows {
                if !detector.entry().windows.contains(level) {
                    continue;
                }
                let window = window_of(start, level.panes());
                let newest = step.as_ref().unwrap_or(pane);
                let view = SourceView { level: *level, window, newest, merged, named, sensors: &sensors };
                firings
                    .extend(self.core.judge(detector, |rules, verdicts| detector.judge_source(&view, rules, verdicts)));
            }
            if names_a_scan(detector.entry().id) {
                named.extend(firings.iter().filter_map(|firing| firing.judgement.source.clone()));
            }
        }
        firings
    }

    /// A pair's pane crossed a threshold by itself, and no episode of it is open: say so now (DESIGN §5.9).
    fn fire_early(&mut self, start: Micros, key: &PairKey) {
        for detector in detectors_of(Stage::Source) {
            let Some(open) = self.panes.get(&start) else { return };
            let Some(counts) = open.pane.pair(key) else { return };
            if detector.crosses_early(counts, self.core.profile.rules_of(detector)) {
                self.open_early(detector, start, key);
            }
        }
    }

    fn open_early(&mut self, detector: &'static dyn Detector, start: Micros, key: &PairKey) {
        let Some(open) = self.panes.get(&start) else { return };
        let Some(counts) = open.pane.pair(key) else { return };
        let nothing = SourceSummary {
            first_offset: open.pane.first_offset,
            degraded: open.pane.degraded.clone(),
            ..SourceSummary::neutral()
        };
        let sensors = |seen_by: SeenBy| self.sensors.named(seen_by.forward, seen_by.reverse);
        let view = SourceView {
            level: Level::Pane,
            window: window_of(start, 1),
            newest: &nothing,
            merged: &nothing,
            named: &BTreeSet::new(),
            sensors: &sensors,
        };
        let mut verdicts = Verdicts::default();
        detector.judge_early(key, counts, &view, self.core.profile.rules_of(detector), &mut verdicts);
        for judgement in verdicts.firings {
            let episode_key = EpisodeKey::of(detector.entry(), &judgement);
            let known = self.opened.contains_key(&episode_key) || self.core.episodes.get(&episode_key).is_some();
            let opened_of_source =
                |key: &&EpisodeKey| key.detector == episode_key.detector && key.source == episode_key.source;
            let of_source = self.core.episodes.of_source(&episode_key.detector, &episode_key.source)
                + self.opened.keys().filter(opened_of_source).count();
            let has_room = self.opened.len() < self.core.config.shares.opened
                && of_source < crate::episode::EPISODES_PER_SOURCE
                && self.core.episodes.len() + self.opened.len() < self.core.config.shares.episodes;
            if known || !has_room {
                continue;
            }
            let taken: BTreeSet<u32> = self.opened.values().map(|(slot, _)| *slot).collect();
            let slot = (0..=taken.len() as u32).find(|slot| !taken.contains(slot)).unwrap_or_default();
            let episode = Episode::open(episode_key.clone(), judgement.clone(), start);
            let Ok(body) = postcard::to_stdvec(&episode) else { continue };
            self.core.image.put(Table::Opened, slot, body);
            self.core.emit(detector.entry(), &episode, &judgement, EpisodeState::Opened);
            self.core.counters.judged.entry(detector.entry().id.to_owned()).or_default().fired += 1;
            self.core.outbox.urgent = true;
            self.opened.insert(episode_key, (slot, episode));
        }
    }

    /// Episodes that opened early in the pane now closing, or before, enter the ledger as far as there is room.
    fn adopt_opened(&mut self, start: Micros, room: &mut usize) {
        let due: Vec<EpisodeKey> =
            self.opened.values().filter(|(_, episode)| episode.start <= start).map(|(_, e)| e.key.clone()).collect();
        for key in due {
            let Some((slot, episode)) = self.opened.remove(&key) else { continue };
            let mut changes = Vec::new();
            match self.core.episodes.adopt(episode, room, &mut changes) {
                Ok(()) => self.core.image.put(Table::Opened, slot, Vec::new()),
                Err(NotAdopted::NoRoom(episode)) => {
                    self.core.counters.deferred += 1;
                    self.opened.insert(key, (slot, *episode));
                }
                Err(NotAdopted::Full(episode)) => {
                    self.core.image.put(Table::Opened, slot, Vec::new());
                    self.core.counters.episodes_refused += 1;
                    self.core.publish_closed(&episode);
                }
            }
            for (slot, body) in changes {
                self.core.image.put(Table::Episode, slot, body);
            }
        }
    }

    /// The input has ended: what opened early and found no room in the ledger closes as well.
    fn close_opened(&mut self) {
        for (slot, episode) in std::mem::take(&mut self.opened).into_values() {
            self.core.image.put(Table::Opened, slot, Vec::new());
            self.core.publish_closed(&episode);
        }
    }

    /// What wraps a pane's partials.
    fn envelope(&self, pane: Micros) -> impl Fn(PartialBody) -> Partial + use<> {
        let (partition, partition_count) = (self.core.identity.partition, self.core.identity.partition_count);
        let rules_hash = self.core.profile.rules_hash();
        move |body| Partial { v: 1, partition, partition_count, pane, rules_hash, body }
    }

    fn mark_closed(&mut self, ended: bool) {
        let pane = self.closed_through.unwrap_or_default();
        let degraded: Vec<String> = std::mem::take(&mut self.degraded_since_marker).into_iter().collect();
        let complete = !degraded.iter().any(|why| why == "forced");
        let marker = PartialBody::Marker { ended, complete, degraded };
        let marker = self.envelope(pane)(marker);
        self.core.outbox.partials.push(marker);
    }

    /// Closes a commit that will begin at `state_end` of the state partition. What it returns must be appended atomically, and
    /// again as it is if that fails.
    pub fn checkpoint(&mut self, state_end: i64) -> Checkpoint {
        self.core.epoch += 1;
        let oldest = self.panes.values().map(|open| &open.origin).min_by_key(|origin| origin.offset);
        let replay =
            oldest.cloned().unwrap_or_else(|| Origin { offset: self.core.position, sensors: self.sensors.clone() });
        let replay_from = replay.offset;
        let head = Head {
            core: self.core.head(),
            closed_through: self.closed_through,
            ended: self.ended,
            sensors: self.sensors.clone(),
            replay,
        };
        self.core.checkpoint(&head, replay_from, state_end, self.sensors.watermark())
    }

    /// Whether the task still refills panes from before its commit. A checkpoint must wait until it does not.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }
}

fn exceeds_any_link(counts: &Counts, sampling: u32) -> bool {
    let scaled = |count: u64| count.saturating_mul(u64::from(sampling.max(1)));
    scaled(counts.packets) > MOST_PER_PANE || scaled(counts.bytes) > MOST_PER_PANE
}

/// A window to be judged.
struct JudgedWindow {
    level: Level,
    /// Its newest step; the newest pane itself where there is none.
    step: Option<SourceSummary>,
    merged: SourceSummary,
}

/// The activity that a judgement tells.
fn told_by(judgement: &Judgement) -> Option<Told> {
    Some((judgement.source.clone()?, judgement.target.clone(), judgement.discriminator.clone()))
}

fn names_a_scan(detector: &str) -> bool {
    matches!(detector, "port_scan" | "host_sweep")
}

/// Whether a window of `level` ends with the pane that starts at `start`.
fn ends_step(start: Micros, level: Level) -> bool {
    (start / PANE_US + 1).rem_euclid(level.step_panes()) == 0
}

/// What windows longer than a minute need of their parts.
fn merge_of<'a>(parts: impl Iterator<Item = &'a SourceSummary>) -> SourceSummary {
    let mut merged = SourceSummary::neutral();
    for part in parts {
        merged.merge_long(part);
    }
    merged
}
