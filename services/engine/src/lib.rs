//! Pure detection: records in, findings out, checkpoints as values. No I/O, clock, thread, randomness or hash order reaches
//! its output, so that a replay from any checkpoint gives the same findings.
#![forbid(unsafe_code)]
#![deny(clippy::iter_over_hash_type)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod baseline;
pub mod bounded;
pub mod config;
pub mod counters;
pub mod detectors;
pub mod distinct;
pub mod episode;
pub mod fit;
pub mod hash;
pub mod image;
pub mod judgement;
pub mod pane;
mod partials;
pub mod profile;
mod recovery;
pub mod sensors;
pub mod site_pane;
pub mod site_summary;
pub mod site_task;
pub mod sorted;
pub mod source_task;
pub mod stage_task;
pub mod summary;
pub mod task;
pub mod technique;

pub use config::EngineConfig;
pub use counters::Counters;
pub use profile::Profile;
pub use site_task::SiteTask;
pub use source_task::SourceTask;
pub use stage_task::StageTask;
pub use task::{Checkpoint, Outbox, TaskIdentity};
