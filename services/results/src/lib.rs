//! Results: findings in, anomalies, tables and reports out.
//!
//! [`ResultsService`] numbers and words findings over any bus. [`Episodes`] gathers what it published; the `render`
//! functions print it; [`CaptureSummary`] adds up flow records for the capture report.
//!
//! ```
//! use weir_bus::local::{LocalBus, Retention};
//! use weir_results::{
//!     CaptureSummary, Episodes, ResultsConfig, ResultsService, RunFacts, TableOptions, capture_report, json_line,
//!     render_table,
//! };
//! use weir_schemas::Severity;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut bus = LocalBus::new();
//! for topic in ["weir.findings.v1", "weir.anomalies.v1", "weir.state.results.v1"] {
//!     bus.create(topic, 1, Retention::UntilRead)?;
//! }
//! let mut results = ResultsService::restore(ResultsConfig::new("weir."), &mut bus)?;
//! let mut episodes = Episodes::new(Severity::Low);
//! loop {
//!     let step = results.step(&mut bus)?;
//!     for anomaly in &step.published {
//!         if episodes.add(anomaly) {
//!             println!("{}", json_line(anomaly));
//!         }
//!     }
//!     if step.read == 0 {
//!         break;
//!     }
//! }
//! let facts = RunFacts::default();
//! print!("{}", render_table(&episodes, &facts, &TableOptions::for_stdout()));
//! print!("{}", capture_report(&CaptureSummary::default(), &episodes, &facts));
//! assert_eq!(episodes.exit_status(), weir_results::EXIT_NOTHING_FOUND);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod attack;
pub mod ecs;
pub mod episodes;
pub mod error;
pub mod explain;
pub mod facts;
pub mod filter;
pub mod format;
pub mod ledger;
pub mod render;
pub mod service;
pub mod shard;
pub mod sink;
mod state;
pub mod summary;
pub mod task;
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
pub use filter::{Filter, FilterError};
pub use render::{TableOptions, capture_report, json_line, render_table, tail_line, verdict_line};
pub use service::{GROUP, ResultsConfig, ResultsService, Step};
pub use summary::CaptureSummary;
pub use task::{ResultsCounters, ResultsTask, TaskSettings};
