//! The commands for operators against a real broker: topics as they must be, a capture as flow records, anomalies on a
//! terminal.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "kafka_commands/support.rs"]
mod support;

#[path = "kafka_commands/sensor.rs"]
mod sensor;
#[path = "kafka_commands/tail.rs"]
mod tail;
#[path = "kafka_commands/topics.rs"]
mod topics;

// Tests of other commands use the rest of these.
#[allow(dead_code)]
#[path = "../../services/weir/tests/command/fixture.rs"]
mod fixture;
#[allow(dead_code)]
#[path = "../end_to_end/weir.rs"]
mod weir;
