//! The process as its supervisor sees it: how it ends, and that it ends when it hangs.

pub mod exit;
mod watchdog;

pub use watchdog::{DEFAULT_PATIENCE, Heartbeat, Watchdog};
