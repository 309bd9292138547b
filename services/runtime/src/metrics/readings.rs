//! A gauge whose points can be taken back: a partition that moved away must not show its last lag for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;

/// What holds now, by labels. Clones share it; when the last one goes, its points go with it.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    by_labels: Arc<Mutex<HashMap<Vec<KeyValue>, f64>>>,
}

impl Readings {
    /// What an exporter asks when it collects.
    pub(super) fn observer(&self) -> impl Fn(&dyn AsyncInstrument<f64>) + Send + Sync + 'static {
        let by_labels = Arc::downgrade(&self.by_labels);
        move |instrument| {
            let Some(by_labels) = by_labels.upgrade() else {
                return;
            };
            for (labels, value) in by_labels.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                instrument.observe(*value, labels);
            }
        }
    }

    /// The point with these labels is `value` now.
    pub(super) fn set(&self, value: f64, labels: &[KeyValue]) {
        self.by_labels.lock().unwrap_or_else(PoisonError::into_inner).insert(labels.to_vec(), value);
    }

    /// Takes back every point that carries all of these labels.
    pub(super) fn forget(&self, labels: &[KeyValue]) {
        let mut by_labels = self.by_labels.lock().unwrap_or_else(PoisonError::into_inner);
        by_labels.retain(|of_point, _| !labels.iter().all(|label| of_point.contains(label)));
    }
}
