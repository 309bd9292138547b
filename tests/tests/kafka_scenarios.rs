//! What goes wrong around the services, one scenario after the other: each ends as the table of offsets (DESIGN §5) says, with
//! a clear line, nothing lost, and nothing twice in the anomalies.
#![cfg(feature = "kafka")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
#[path = "../end_to_end/weir.rs"]
mod weir;

#[path = "kafka_scenarios/support.rs"]
mod support;

#[path = "kafka_scenarios/metrics.rs"]
mod metrics;
#[path = "kafka_scenarios/offsets.rs"]
mod offsets;
#[path = "kafka_scenarios/outage.rs"]
mod outage;
#[path = "kafka_scenarios/partitions.rs"]
mod partitions;
#[path = "kafka_scenarios/poison.rs"]
mod poison;
#[path = "kafka_scenarios/refused.rs"]
mod refused;
#[path = "kafka_scenarios/sinks.rs"]
mod sinks;
