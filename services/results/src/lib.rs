//! Results: findings in, anomalies, tables and reports out.
//!
//! [`ResultsService`] numbers and words findings over any bus. [`Episodes`] gathers what it published; the `render`
//! functions print it; [`CaptureSummary`] adds up flow records for the capture report.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod error;
pub mod explain;
pub mod format;
pub mod ledger;
pub mod service;
mod state;
pub mod text;
mod wire;

#[cfg(test)]
#[path = "../tests/support/sample.rs"]
mod sample;

pub use error::ResultsError;
pub use explain::{Explanation, explain, message};
pub use service::{ResultsConfig, ResultsCounters, ResultsService, Step};
pub use wire::DecodeFinding;
