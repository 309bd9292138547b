//! A gauge that several owners share: each says what it has, the instrument shows the sum.
//!
//! Shards of one stage run in threads of their own. With a plain gauge the last one to report would hide the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::UpDownCounter;

/// One owner's part of a shared sum. Clones are the same owner; when the last one goes, its part goes with it.
#[derive(Clone, Debug)]
pub struct Level {
    part: Arc<Part>,
}

#[derive(Debug)]
struct Part {
    sum: UpDownCounter<f64>,
    by_labels: Mutex<HashMap<Vec<KeyValue>, f64>>,
}

impl Level {
    /// A part of what `sum` shows, nothing yet.
    pub(super) fn over(sum: UpDownCounter<f64>) -> Self {
        Self { part: Arc::new(Part { sum, by_labels: Mutex::default() }) }
    }

    /// This owner has `value` now.
    pub(super) fn set(&self, value: f64, labels: &[KeyValue]) {
        let mut by_labels = self.part.by_labels.lock().unwrap_or_else(PoisonError::into_inner);
        let before = by_labels.insert(labels.to_vec(), value).unwrap_or(0.0);
        self.part.sum.add(value - before, labels);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let by_labels = self.by_labels.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (labels, value) in by_labels.drain() {
            self.sum.add(-value, &labels);
        }
    }
}
