//! What the test programs share: the truth about captures, and a small deterministic source of chance.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod broker;
pub mod chance;
#[cfg(feature = "kafka")]
pub mod services;
pub mod simulation;
pub mod truth;
