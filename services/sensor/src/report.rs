//! What the sensor reports of itself, once a step: the growth of plain counters.

use std::collections::BTreeMap;

use weir_runtime::metrics::SensorMetrics;
use weir_schemas::{EndReason, Flow, Micros, SECOND_US};

use crate::packet::InputCounters;

/// End reasons there are; their wire numbers count from 0.
const END_REASONS: usize = 8;

/// Instruments, and what they have been told.
pub(crate) struct Reporter {
    metrics: SensorMetrics,
    packets: u64,
    bytes: u64,
    drops: u64,
    decode_errors: BTreeMap<&'static str, u64>,
    applications: BTreeMap<&'static str, u64>,
    /// Records published since the last report, by the wire number of their end reason.
    published: [u64; END_REASONS],
}

impl Reporter {
    /// A reporter that has told nothing.
    pub(crate) fn new(metrics: SensorMetrics) -> Self {
        let (decode_errors, applications) = (BTreeMap::new(), BTreeMap::new());
        Self { metrics, packets: 0, bytes: 0, drops: 0, decode_errors, applications, published: [0; END_REASONS] }
    }

    /// Notes a record that is sent.
    #[inline]
    pub(crate) fn note(&mut self, flow: &Flow) {
        self.published[flow.end_reason as usize % END_REASONS] += 1;
    }

    /// Tells how many flows have been found to speak what.
    pub(crate) fn report_applications(&mut self, applications: &BTreeMap<&'static str, u64>) {
        for (name, count) in applications {
            let flows = grown(self.applications.entry(name).or_default(), *count);
            if flows > 0 {
                self.metrics.applications(*name, flows);
            }
        }
    }

    /// Tells what has grown. `mark_delay` is the newest event time minus the last mark's, µs.
    pub(crate) fn report(
        &mut self,
        input: &InputCounters,
        fragment_errors: impl Iterator<Item = (&'static str, u64)>,
        active: u64,
        mark_delay: Option<Micros>,
    ) {
        self.metrics.packets(grown(&mut self.packets, input.packets));
        self.metrics.bytes(grown(&mut self.bytes, input.bytes));
        let drops = grown(&mut self.drops, input.drops);
        if drops > 0 {
            self.metrics.drops("capture", drops);
        }
        let errors_by_kind = input.decode_errors.iter().map(|(kind, count)| (*kind, *count));
        for (kind, count) in errors_by_kind.chain(fragment_errors) {
            let errors = grown(self.decode_errors.entry(kind).or_default(), count);
            if errors > 0 {
                self.metrics.decode_errors(kind, errors);
            }
        }
        for (number, count) in self.published.iter_mut().enumerate() {
            let reason = EndReason::from_wire(number as i32).filter(|_| *count > 0);
            if let Some(reason) = reason {
                self.metrics.flows_exported(reason.name(), std::mem::take(count));
            }
        }
        self.metrics.flows_active(active as f64);
        if let Some(delay) = mark_delay {
            self.metrics.mark_delay(delay as f64 / SECOND_US as f64);
        }
    }
}

/// By how much a counter has grown since it was told last.
fn grown(told: &mut u64, now: u64) -> u64 {
    now.saturating_sub(std::mem::replace(told, now))
}
