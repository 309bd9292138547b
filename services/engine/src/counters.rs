//! What a task counted since it began. Travels in the head, so a restart goes on counting where the commit left off.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::judgement::Judged;

/// Counters of one task. The first seven are the fates of a record (DESIGN §5.12): their sum is what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Could not be decoded, or contradicts itself.
    pub dead: u64,
    /// Sequence number seen before.
    pub duplicate: u64,
    /// Ahead of its append time by more than `engine.max_future`.
    pub clock_fault: u64,
    /// Marks.
    pub mark: u64,
    /// Its pane had closed.
    pub late: u64,
    /// Another sensor counts both its halves.
    pub overlap: u64,
    /// Added to a pane.
    pub counted: u64,
    /// Records missing between sensor and detector.
    pub lost: u64,
    /// Panes closed with records in them.
    pub panes_closed: u64,
    /// Panes closed before the watermark for lack of a slot, or before all input partitions had closed them.
    pub panes_forced: u64,
    /// Table entries that left for lack of room.
    pub evicted: u64,
    /// Ledger changes that did not fit into what a pane close may write.
    pub deferred: u64,
    /// Firings that opened nothing because the ledger was full.
    pub episodes_refused: u64,
    /// Findings by state.
    pub findings: BTreeMap<String, u64>,
    /// Verdicts by detector.
    pub judged: BTreeMap<String, Judged>,
}

impl Counters {
    /// Records read: the sum of their fates.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.dead + self.duplicate + self.clock_fault + self.mark + self.late + self.overlap + self.counted
    }

    /// Adds another task's counters.
    pub fn add(&mut self, other: &Self) {
        self.dead += other.dead;
        self.duplicate += other.duplicate;
        self.clock_fault += other.clock_fault;
        self.mark += other.mark;
        self.late += other.late;
        self.overlap += other.overlap;
        self.counted += other.counted;
        self.lost += other.lost;
        self.panes_closed += other.panes_closed;
        self.panes_forced += other.panes_forced;
        self.evicted += other.evicted;
        self.deferred += other.deferred;
        self.episodes_refused += other.episodes_refused;
        for (state, count) in &other.findings {
            *self.findings.entry(state.clone()).or_default() += count;
        }
        for (detector, judged) in &other.judged {
            let mine = self.judged.entry(detector.clone()).or_default();
            mine.fired += judged.fired;
            mine.quiet += judged.quiet;
            for (reason, count) in &judged.cannot_judge {
                *mine.cannot_judge.entry(reason.clone()).or_default() += count;
            }
        }
    }
}
