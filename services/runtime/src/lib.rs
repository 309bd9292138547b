//! What all services do alike: configuration, logs, metrics, shutdown.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
pub mod logging;
pub mod metrics;
pub mod shutdown;

pub use config::Config;
pub use shutdown::Shutdown;
