//! The site stage of one partials partition: partials of all input partitions in; findings about targets and sites out.
//!
//! A pane closes when every input partition has said that it closed it. Of a (partition, pane) the first complete set counts,
//! later ones are late. A pane that waits over 60 s of append clock for a marker closes without it and says so.

mod partitions;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use weir_schemas::partial::{PartialBody, PartialCounts};
use weir_schemas::{Micros, PANE_US, Partial, SECOND_US};

use crate::baseline::{ALERTED_WEIGHT, BaselineKey, BaselineView, Baselines, Change, ExportedBaseline};
use crate::config::SITE_PANE_SLOTS;
use crate::counters::Counters;
use crate::detectors::{Level, SiteView, Stage};
use crate::image::Table;
use crate::recovery::{OpenPane, Origin, Replay, end_replay, is_exact};
use crate::site_pane::SitePane;
use crate::site_summary::SiteSummary;
use crate::summary::{SeenBy, window_of};
use crate::task::{Firing, TaskCore, detectors_of};
use partitions::{Partitions, Remark};

/// How long a pane waits for a partition's marker, append clock.
const MARKER_PATIENCE: Micros = 60 * SECOND_US;

/// Panes whose summaries are kept: what a window of 60 s needs.
const SUMMARY_PANES: i64 = Level::Minute.panes();

/// The task.
pub struct SiteTask {
    core: TaskCore,
    inputs: Partitions,
    panes: BTreeMap<Micros, OpenPane<SitePane, Partitions>>,
    closed_through: Option<Micros>,
    summaries: BTreeMap<Micros, SiteSummary>,
    baselines: Baselines,
    replay: Option<Replay<Partitions>>,
    /// Entries the newest closed pane had: room for the next. No count depends on it.
    expected: (usize, usize),
}

impl SiteTask {
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
        self.begin(offset);
        self.inputs.clock.advance(append_time);
        self.inputs.expected = self.inputs.expected.max(partial.partition_count);
        if let PartialBody::Marker { ended, complete, degraded, generation } = &partial.body {
            self.count(|counters| counters.mark += 1);
            self.take_remark(partial, *complete, degraded);
            self.take_marker(partial, ended.then_some(*generation));
        }
        if let PartialBody::Counts(counts) = &partial.body {
            self.take_counts(offset, partial, counts);
        }
        self.close_forced();
        self.finish(offset);
    }

    /// Takes an offset whose partial could not be decoded; the caller dead-letters it.
    pub fn apply_dead(&mut self, offset: i64, append_time: Micros) {
        self.begin(offset);
        self.inputs.clock.advance(append_time);
        self.count(|counters| counters.dead += 1);
        self.close_forced();
        self.finish(offset);
    }

    fn begin(&mut self, offset: i64) {
        // The last record of the replay may be missing from the log.
        end_replay(&mut self.replay, &mut self.inputs, offset);
        self.core.position = offset + 1;
    }

    fn finish(&mut self, offset: i64) {
        end_replay(&mut self.replay, &mut self.inputs, offset + 1);
    }

    fn count(&mut self, count: impl FnOnce(&mut Counters)) {
        if self.replay.is_none() {
            count(&mut self.core.counters);
        }
    }

    /// What made the marked panes of one partition less than exact holds for what is made of them here.
    fn take_remark(&mut self, partial: &Partial, complete: bool, degraded: &[String]) {
        let before = self.inputs.closed_through(partial.partition);
        let is_closed = self.closed_through.is_some_and(|closed| partial.pane <= closed);
        if degraded.is_empty() || before >= partial.pane || is_closed {
            return;
        }
        let remark = self.inputs.remark(before, partial.pane, complete, degraded);
        for (_, open) in self.panes.iter_mut().filter(|(pane, _)| remark.is_about(**pane)) {
            heed(&remark, &mut open.pane);
        }
    }

    /// Takes a marker; `ended_in` is the generation of an end.
    fn take_marker(&mut self, partial: &Partial, ended_in: Option<Micros>) {
        self.inputs.advance(partial.partition, partial.pane, ended_in.is_some());
        if self.closed_through.is_none_or(|closed| partial.pane > closed) {
            self.inputs.wait_for(partial.pane);
        }
        let all_ended_through =
            ended_in.and_then(|generation| self.inputs.end(partial.partition, generation, partial.pane));
        if self.replay.is_some() {
            return;
        }
        if let Some(through) = self.inputs.agreed() {
            self.close_through(through, false);
        }
        if let Some(through) = all_ended_through {
            self.close_through(through, false);
            self.core.end_episodes(through);
        }
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

    fn take_counts(&mut self, offset: i64, partial: &Partial, counts: &PartialCounts) {
        let set_complete = partial.pane <= self.inputs.closed_through(partial.partition);
        let is_late = set_complete || self.closed_through.is_some_and(|closed| partial.pane <= closed);
        let opens = !is_late && !self.panes.contains_key(&partial.pane);
        let origin = opens.then(|| self.origin(offset));
        // Every partial names its sensors, also one that comes too late: a replay meets as late what was counted then.
        let seen_by: Vec<SeenBy> = counts.sensor_sets.iter().map(|sensors| self.inputs.seen_by(sensors)).collect();
        if is_late {
            return self.count(|counters| counters.late += 1);
        }
        if let Some(origin) = origin {
            self.open(partial.pane, origin);
        }
        self.count(|counters| counters.counted += 1);
        let rules_differ = partial.rules_hash != self.core.profile.rules_hash();
        let Some(open) = self.panes.get_mut(&partial.pane) else { return };
        if rules_differ {
            open.pane.degrade("rules_changed");
        }
        open.pane.add(counts, &seen_by);
    }

    fn origin(&self, offset: i64) -> Origin<Partitions> {
        Origin { offset, inputs: self.inputs.clone(), is_exact: is_exact(self.replay.as_ref()) }
    }

    fn open(&mut self, start: Micros, origin: Origin<Partitions>) {
        let mut pane = SitePane::new(origin.offset, &self.core.config.shares, self.core.config.seed, self.expected);
        for remark in self.inputs.remarks_about(start) {
            heed(remark, &mut pane);
        }
        self.panes.insert(start, OpenPane { pane, origin, lacks: false });
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
        self.inputs.forget_closed(self.closed_through);
    }

    fn close_pane(&mut self, start: Micros, forced: bool) {
        let mut room = self.core.config.shares.state_per_close;
        let Some(OpenPane { mut pane, .. }) = self.panes.remove(&start) else {
            self.core.close_episodes(start);
            self.core.image.pane_closed();
            self.forget_summaries(start);
            return;
        };
        // A partition that has ended is waited for like any other, but what it never sent is not missing.
        let missing = if forced { self.inputs.missing(start) } else { Vec::new() };
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
        self.core.close_episodes(start);
        if is_complete && !self.core.has_passed(start) {
            let hosts = closed.learning.iter().map(|(host, bytes)| (BaselineKey::target(host), *bytes));
            self.learn(start, sites.into_iter().chain(hosts), &alerted, room);
        }
        self.core.image.pane_closed();
        self.forget_summaries(start);
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
}

fn heed(remark: &Remark, pane: &mut SitePane) {
    for why in &remark.degraded {
        pane.degrade(why);
    }
    if !remark.complete {
        pane.force();
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
