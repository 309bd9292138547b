//! What a stage reports of itself, once a commit: the growth of its tasks' plain counters.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// None where a stage cannot tell.
    pub(crate) panes_open: Option<usize>,
    /// Bytes; none where a stage cannot tell.
    pub(crate) state_bytes: Option<usize>,
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

    /// Tells how far a partition's watermark is behind the newest append, µs.
    pub(crate) fn watermark_delay(&self, partition: u32, delay: Micros) {
        self.detector.watermark_delay(self.stage, partition.to_string(), delay as f64 / SECOND_US as f64);
    }

    /// Tells what holds now.
    pub(crate) fn levels(&self, levels: Levels) {
        self.detector.partitions_owned(self.stage, levels.partitions as f64);
        if let Some(panes) = levels.panes_open {
            self.detector.panes_open(self.stage, panes as f64);
        }
        if let Some(bytes) = levels.state_bytes {
            self.detector.state_bytes(self.stage, bytes as f64);
        }
    }
}
