//! What a stage reports of itself, once a commit: the growth of its tasks' plain counters.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_bus::shard::{Restored, Row};
use weir_engine::{Counters, Outbox};
use weir_runtime::metrics::{DetectorMetrics, EngineMetrics};
use weir_schemas::{Micros, SECOND_US, Severity};

/// Instruments of one stage.
pub(crate) struct Reporter {
    stage: &'static str,
    detector: DetectorMetrics,
    engine: EngineMetrics,
}

/// Findings by detector and severity.
pub(crate) type FindingCounts = BTreeMap<(String, Severity), u64>;

/// The findings that a commit will publish.
pub(crate) fn count_findings(outbox: &Outbox) -> FindingCounts {
    let mut counts = FindingCounts::new();
    for finding in &outbox.findings {
        *counts.entry((finding.detector.clone(), finding.severity)).or_default() += 1;
    }
    counts
}

/// What holds at one moment, over all partitions of a stage.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Levels {
    pub(crate) partitions: usize,
    pub(crate) panes_open: usize,
    /// Bytes.
    pub(crate) state_bytes: usize,
}

impl Reporter {
    pub(crate) fn new(stage: &'static str, detector: DetectorMetrics, engine: EngineMetrics) -> Self {
        Self { stage, detector, engine }
    }

    /// Tells of a commit that succeeded: `told` is what was told of the task before, and becomes what it counted.
    pub(crate) fn commit(&self, told: &mut Counters, now: &Counters, findings: &FindingCounts, took: Duration) {
        self.detector.commits(self.stage, 1);
        self.detector.commit_duration(self.stage, took);
        for (result, told, now) in [
            ("counted", told.counted, now.counted),
            ("overlap", told.overlap, now.overlap),
            ("late", told.late, now.late),
            ("clock_fault", told.clock_fault, now.clock_fault),
            ("duplicate", told.duplicate, now.duplicate),
            ("dead", told.dead, now.dead),
            ("mark", told.mark, now.mark),
        ] {
            if now > told {
                self.detector.records(self.stage, result, now - told);
            }
        }
        if now.panes_closed > told.panes_closed {
            self.detector.panes_closed(self.stage, now.panes_closed - told.panes_closed);
        }
        if now.evicted > told.evicted {
            self.detector.evicted(self.stage, now.evicted - told.evicted);
        }
        self.judged(told, now);
        for ((detector, severity), count) in findings {
            self.engine.findings(detector.clone(), severity.name(), *count);
        }
        told.clone_from(now);
    }

    fn judged(&self, told: &Counters, now: &Counters) {
        for (detector, judged) in &now.judged {
            let before = told.judged.get(detector);
            let cannot = |judged: &weir_engine::judgement::Judged| judged.cannot_judge.values().sum::<u64>();
            for (result, now, told) in [
                ("fired", judged.fired, before.map_or(0, |before| before.fired)),
                ("quiet", judged.quiet, before.map_or(0, |before| before.quiet)),
                ("cannot_judge", cannot(judged), before.map_or(0, cannot)),
            ] {
                if now > told {
                    self.engine.judged(detector.clone(), result, now - told);
                }
            }
        }
    }

    /// Tells of a transaction that did or did not take place.
    pub(crate) fn transaction(&self, outcome: &'static str) {
        self.detector.transactions(self.stage, outcome, 1);
    }

    /// Tells how a partition's task went on.
    pub(crate) fn restored(&self, restored: &Restored) {
        self.detector.recoveries(self.stage, restored.row.name(), 1);
        if restored.row != Row::First {
            self.detector.restores(self.stage, 1);
            self.detector.restore_duration(self.stage, "state", restored.took);
        }
        self.detector.replay_margin(self.stage, restored.partition.to_string(), restored.margin as f64);
    }

    /// Tells that a restored task has all it had before its commit; `took` counts from its assignment.
    pub(crate) fn caught_up(&self, replayed: u64, took: Duration) {
        self.detector.restore_duration(self.stage, "replay", took);
        self.detector.replayed_records(self.stage, replayed);
    }

    /// Tells how many partitions nobody reads because this member may take no more.
    pub(crate) fn refused(&self, partitions: usize) {
        self.detector.partitions_refused(self.stage, partitions as f64);
    }

    /// Tells how far behind its end a partition is: records, and µs.
    pub(crate) fn lag(&self, partition: u32, records: i64, behind: Micros) {
        self.detector.consumer_lag(self.stage, partition.to_string(), records as f64);
        let seconds = behind.max(0) as f64 / SECOND_US as f64;
        self.detector.consumer_time_lag(self.stage, partition.to_string(), seconds);
    }

    /// A partition is no longer this member's to tell of.
    pub(crate) fn forget(&self, partition: u32) {
        self.detector.forget_partition(self.stage, partition);
    }

    /// Tells how far a partition's watermark is behind the newest append, µs.
    pub(crate) fn watermark_delay(&self, partition: u32, delay: Micros) {
        self.detector.watermark_delay(self.stage, partition.to_string(), delay as f64 / SECOND_US as f64);
    }

    /// Tells what holds now.
    pub(crate) fn levels(&self, levels: Levels) {
        self.detector.partitions_owned(self.stage, levels.partitions as f64);
        self.detector.panes_open(self.stage, levels.panes_open as f64);
        self.detector.state_bytes(self.stage, levels.state_bytes as f64);
    }
}
