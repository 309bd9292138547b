//! Verdicts as they are compared: canonical, without what results adds, and with the trace they belong to.

use std::collections::BTreeMap;

use weir_bus::{Delivery, Value};
use weir_runtime::TraceContext;
use weir_schemas::{Anomaly, Finding, canonical};

/// An anomaly as told by some way through the services.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict {
    /// Id of the episode.
    pub id: String,
    /// Number of the revision, from 1.
    pub revision: u32,
    /// All of it, in canonical form.
    pub canonical: String,
}

impl Verdict {
    /// An anomaly's.
    pub fn of(anomaly: &Anomaly) -> Self {
        Self { id: anomaly.id.clone(), revision: anomaly.revision, canonical: canonical(anomaly) }
    }

    /// The anomalies of JSON lines, sorted.
    ///
    /// # Panics
    /// When a line is none.
    pub fn of_lines(lines: &str) -> Vec<Self> {
        let mut verdicts: Vec<Self> = lines.lines().map(|line| Self::of(&anomaly_of(line))).collect();
        verdicts.sort();
        verdicts
    }
}

fn anomaly_of(line: &str) -> Anomaly {
    match serde_json::from_str(line) {
        Ok(anomaly) => anomaly,
        Err(error) => panic!("{line:?} is no anomaly: {error}"),
    }
}

/// A finding in canonical form without what results adds to it: the number of the revision and the words.
pub fn canonical_of(finding: &Finding) -> String {
    canonical(&Finding { revision: 0, message: String::new(), ..finding.clone() })
}

/// The trace that a message belongs to.
///
/// # Panics
/// When it names none.
pub fn trace_of(delivery: &Delivery) -> String {
    match TraceContext::of_headers(&delivery.headers) {
        Some(context) => context.trace_id(),
        None => panic!("no trace in {delivery:?}"),
    }
}

/// Anomalies of each id by revision, checked for numbers that are there once each and without a gap.
///
/// # Panics
/// When a revision is there twice, or missing.
pub fn accounts_of(read: &[(u32, Delivery)]) -> Vec<Verdict> {
    let mut by_id = BTreeMap::<String, Vec<u32>>::new();
    let mut verdicts = Vec::new();
    for (_, delivery) in read {
        let Value::Anomaly(anomaly) = &delivery.value else { continue };
        by_id.entry(anomaly.id.clone()).or_default().push(anomaly.revision);
        verdicts.push(Verdict::of(anomaly));
    }
    for (id, revisions) in &by_id {
        let expected: Vec<u32> = (1..).take(revisions.len()).collect();
        assert_eq!(revisions, &expected, "revisions of {id}");
    }
    verdicts.sort();
    verdicts
}
