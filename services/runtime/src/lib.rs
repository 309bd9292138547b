//! What all services do alike: configuration, logs, metrics, traces, health, shutdown.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
pub mod config;
pub mod logging;
pub mod metrics;
pub mod process;
mod repeated;
pub mod shutdown;
pub mod telemetry;
pub mod trace;

pub use admin::{AdminServer, Health};
pub use config::Config;
pub use process::{Heartbeat, Watchdog};
pub use repeated::Repeated;
pub use shutdown::Shutdown;
pub use telemetry::Telemetry;
pub use trace::{TraceContext, Tracer};
