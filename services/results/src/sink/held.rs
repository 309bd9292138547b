//! Anomalies between reading and delivery: in the order read, some of them waiting for others of their window.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_schemas::finding::Window;
use weir_schemas::{Anomaly, Micros};

struct Waiting {
    partition: u32,
    offset: i64,
    arrived: Duration,
    anomaly: Anomaly,
}

/// What was read and not delivered.
#[derive(Default)]
pub(super) struct Held {
    waiting: Vec<Waiting>,
}

impl Held {
    pub(super) fn push(&mut self, partition: u32, offset: i64, arrived: Duration, anomaly: Anomaly) {
        self.waiting.push(Waiting { partition, offset, arrived, anomaly });
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Least offset held of a partition: no position may pass it.
    pub(super) fn first(&self, partition: u32) -> Option<i64> {
        self.waiting.iter().filter(|held| held.partition == partition).map(|held| held.offset).min()
    }

    pub(super) fn forget(&mut self, partition: u32) {
        self.waiting.retain(|held| held.partition != partition);
    }

    /// Indices, in order, of those whose window has had no newcomer for `gather`.
    pub(super) fn due(&self, now: Duration, gather: Duration) -> Vec<usize> {
        let newest = self.newest_by_window();
        let is_due = |held: &Waiting| newest[&key_of(held.anomaly.window)] + gather <= now;
        (0..self.waiting.len()).filter(|index| is_due(&self.waiting[*index])).collect()
    }

    /// When the first window will be due; none if nothing is held.
    pub(super) fn next_due(&self, gather: Duration) -> Option<Duration> {
        self.newest_by_window().into_values().min().map(|newest| newest + gather)
    }

    pub(super) fn anomalies(&self, indices: &[usize]) -> Vec<&Anomaly> {
        indices.iter().map(|index| &self.waiting[*index].anomaly).collect()
    }

    /// Removes those at `indices`, which are in order.
    pub(super) fn remove(&mut self, indices: &[usize]) {
        let mut removed = indices.iter().copied().peekable();
        let mut index = 0;
        self.waiting.retain(|_| {
            let is_removed = removed.next_if_eq(&index).is_some();
            index += 1;
            !is_removed
        });
    }

    fn newest_by_window(&self) -> BTreeMap<(Micros, Micros), Duration> {
        let mut newest: BTreeMap<(Micros, Micros), Duration> = BTreeMap::new();
        for held in &self.waiting {
            let arrived = newest.entry(key_of(held.anomaly.window)).or_default();
            *arrived = held.arrived.max(*arrived);
        }
        newest
    }
}

fn key_of(window: Window) -> (Micros, Micros) {
    (window.start, window.end)
}
