//! What happens when a pane closes: partials for the site stage, a summary, verdicts over the windows that end with it.

use std::collections::BTreeSet;

use weir_schemas::{Host, Micros, PANE_US, PartialBody};

use super::SourceTask;
use crate::detectors::{Level, SourceView, Stage};
use crate::episode::EpisodeKey;
use crate::image::Table;
use crate::judgement::Judgement;
use crate::summary::{SeenBy, SourceSummary, Told, window_of};
use crate::task::{Firing, detectors_of};

/// Panes whose summaries are kept: what a window of 5 min needs.
const SUMMARY_PANES: i64 = Level::FiveMinutes.panes();

/// Five-minute summaries kept: what a window of 1 h needs.
const FIVE_MINUTE_SUMMARIES: i64 = Level::Hour.panes() / Level::FiveMinutes.panes();

/// Parts of what a pane close may write: three eighths for its summary, three for the five minutes', a quarter for ledgers.
const EIGHTHS_PER_SUMMARY: usize = 3;

impl SourceTask {
    pub(super) fn close_pane(&mut self, start: Micros) {
        let mut room = self.core.config.shares.state_per_close;
        let closing = self.panes.remove(&start).map(|open| open.pane);
        let summary_bytes = room / 8 * EIGHTHS_PER_SUMMARY;
        let newest = match closing {
            Some(pane) => {
                self.expected = pane.expected();
                self.degraded_since_marker.extend(pane.degraded.iter().cloned());
                self.core.counters.evicted += pane.evicted();
                self.core.counters.panes_closed += 1;
                let sensors = |seen_by: SeenBy| self.sensors.named(seen_by.forward, seen_by.reverse);
                let partial_bytes = self.core.config.shares.partials_per_close;
                let partitions = self.core.identity.partition_count;
                let (mut summary, told) = pane.close(partial_bytes, partitions, &sensors);
                self.core.counters.evicted += told.left_out;
                let partial = self.envelope(start, PartialBody::Counts(told.counts));
                self.core.outbox.partials.push(partial);
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
        self.core.close_episodes(start);
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
