//! Errors of the detector service.

use weir_bus::BusError;
use weir_engine::image::UnreadableState;

/// Why the detector stopped.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// Environment: the bus refused.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Environment: the state topic does not fit the commit.
    #[error("{topic}/{partition}: {source}")]
    State {
        /// Input topic.
        topic: String,
        /// Input partition.
        partition: u32,
        /// What does not fit.
        source: UnreadableState,
    },
}
