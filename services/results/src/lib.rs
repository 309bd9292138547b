//! Results: findings in, anomalies, tables and reports out.
//!
//! [`ResultsService`] numbers and words findings over any bus. [`Episodes`] gathers what it published; the `render`
//! functions print it; [`CaptureSummary`] adds up flow records for the capture report.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod episodes;
pub mod error;
pub mod explain;
pub mod facts;
pub mod format;
pub mod ledger;
pub mod render;
pub mod service;
mod state;
pub mod summary;
pub mod text;
mod wire;

#[cfg(test)]
#[path = "../tests/support/sample.rs"]
mod sample;

#[cfg(test)]
#[path = "../tests/support/flows.rs"]
mod flows;

pub use episodes::{EXIT_FOUND, EXIT_NOTHING_FOUND, Episode, Episodes};
pub use error::ResultsError;
pub use explain::{Explanation, explain, message};
pub use facts::{CannotJudge, RunFacts};
pub use render::{TableOptions, capture_report, json_line, render_table, verdict_line};
pub use service::{ResultsConfig, ResultsCounters, ResultsService, Step};
pub use summary::CaptureSummary;
