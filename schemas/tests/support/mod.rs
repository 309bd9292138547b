//! What the codec tests share: arbitrary records, and each record's value as `apache-avro` sees it.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod arbitrary;
pub mod arbitrary_finding;
pub mod arbitrary_flow;
pub mod model;
pub mod model_flow;
