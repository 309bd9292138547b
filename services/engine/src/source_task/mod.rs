//! The source stage of one partition: records in; findings about sources and pairs, and partials for the site stage, out.
//!
//! Open panes are rebuilt from the log, closed panes live on as summaries, everything else changes at pane close only. That is
//! what makes a replay from any checkpoint exact (DESIGN §5).

mod closing;
mod early;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use weir_schemas::partial::PartialBody;
use weir_schemas::{Counts, Flow, Mark, Micros, PANE_US, Partial, Record, SECOND_US, pane_start};

use crate::config::PANE_SLOTS;
use crate::counters::Counters;
use crate::episode::{Episode, EpisodeKey};
use crate::pane::{Expected, Halves, Pane, PaneRules, leaves_out};
use crate::recovery::{OpenPane, Origin, Replay, end_replay, is_exact};
use crate::sensors::{Sensors, Sequence, WatermarkChange};
use crate::summary::SourceSummary;
use crate::task::TaskCore;

/// Where RFC 3339's four digits end, µs since 1970 UTC.
const YEAR_10000: Micros = 253_402_300_800 * SECOND_US;

/// Packets or bytes of one record beyond which they are no measurement: 17 TB in 10 s, which no link carries. A million such
/// records still add up within 64 bits.
const MOST_PER_PANE: u64 = 1 << 44;

/// The task.
pub struct SourceTask {
    core: TaskCore,
    pane_rules: PaneRules,
    sensors: Sensors,
    panes: BTreeMap<Micros, OpenPane<Pane, Sensors>>,
    closed_through: Option<Micros>,
    ended: bool,
    summaries: BTreeMap<Micros, SourceSummary>,
    five_minutes: BTreeMap<Micros, SourceSummary>,
    opened: BTreeMap<EpisodeKey, (u32, Episode)>,
    replay: Option<Replay<Sensors>>,
    expected: Expected,
    /// What made the panes closed since the last marker less than exact; empty between records.
    degraded_since_marker: BTreeSet<String>,
}

impl SourceTask {
    /// Takes a record.
    pub fn apply(&mut self, offset: i64, append_time: Micros, record: &Record) {
        self.begin(offset);
        let change = self.sensors.advance(append_time, &self.core.config);
        self.react(change);
        match record {
            Record::Flow(flow) => self.apply_flow(offset, append_time, flow),
            Record::Mark(mark) => self.apply_mark(append_time, mark),
        }
        self.finish(offset);
    }

    /// Takes an offset whose record could not be decoded; the caller dead-letters it.
    pub fn apply_dead(&mut self, offset: i64, append_time: Micros) {
        self.begin(offset);
        let change = self.sensors.advance(append_time, &self.core.config);
        self.react(change);
        self.count(|counters| counters.dead += 1);
        self.finish(offset);
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
        // The last record of the replay may be missing from the log.
        end_replay(&mut self.replay, &mut self.sensors, offset);
        self.core.position = offset + 1;
    }

    fn finish(&mut self, offset: i64) {
        end_replay(&mut self.replay, &mut self.sensors, offset + 1);
    }

    fn count(&mut self, count: impl FnOnce(&mut Counters)) {
        if self.replay.is_none() {
            count(&mut self.core.counters);
        }
    }

    fn apply_mark(&mut self, append_time: Micros, mark: &Mark) {
        let config = &self.core.config;
        let sequence = self.sensors.sequence(&mark.sensor, &mark.site, mark.boot, mark.seq, config);
        if sequence == Sequence::Duplicate {
            return self.count(|counters| counters.duplicate += 1);
        }
        // An `end` promises nothing about its time.
        if !mark.end && mark.t > append_time.saturating_add(config.max_future) {
            return self.count(|counters| counters.clock_fault += 1);
        }
        self.count(|counters| counters.mark += 1);
        let change = self.sensors.mark(mark, &self.core.config);
        self.react(change);
        if self.ended && self.replay.is_none() && self.sensors.any_active(&self.core.config) {
            self.ended = false;
            self.mark_closed(false);
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
        let origin = opens.then(|| self.origin(offset));
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

    fn origin(&self, offset: i64) -> Origin<Sensors> {
        Origin { offset, inputs: self.sensors.clone(), is_exact: is_exact(self.replay.as_ref()) }
    }

    /// Opens a pane; one too many closes the oldest first.
    fn open(&mut self, start: Micros, origin: Origin<Sensors>) {
        let pane = Pane::new(origin.offset, &self.core.config.shares, self.core.config.seed, self.expected);
        self.panes.insert(start, OpenPane { pane, origin, lacks: false });
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
            let newest = self.panes.last_key_value().map(|(start, _)| *start);
            if let Some(through) = newest.max(self.sensors.ended_through()) {
                self.close_through(through);
            }
            let through = self.closed_through.unwrap_or_default();
            self.core.end_episodes(through);
            self.close_opened(through);
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

    fn envelope(&self, pane: Micros, body: PartialBody) -> Partial {
        let (partition, partition_count) = (self.core.identity.partition, self.core.identity.partition_count);
        Partial { v: 1, partition, partition_count, pane, rules_hash: self.core.profile.rules_hash(), body }
    }

    fn mark_closed(&mut self, ended: bool) {
        let pane = self.closed_through.unwrap_or_default();
        let degraded: Vec<String> = std::mem::take(&mut self.degraded_since_marker).into_iter().collect();
        let complete = degraded.iter().all(|why| !leaves_out(why));
        let generation = self.sensors.generation();
        let marker = PartialBody::Marker { ended, complete, degraded, generation };
        let marker = self.envelope(pane, marker);
        self.core.outbox.partials.push(marker);
    }
}

fn exceeds_any_link(counts: &Counts, sampling: u32) -> bool {
    let scaled = |count: u64| count.saturating_mul(u64::from(sampling.max(1)));
    scaled(counts.packets) > MOST_PER_PANE || scaled(counts.bytes) > MOST_PER_PANE
}
