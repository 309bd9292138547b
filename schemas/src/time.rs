//! Event time and the pane grid that sensor and engine share.

/// Microseconds since 1970-01-01 00:00:00 UTC.
pub type Micros = i64;

/// One second in [`Micros`].
pub const SECOND_US: Micros = 1_000_000;

/// Length of a pane: 10 s. The sensor cuts records on this grid, the engine adds records to panes of it.
pub const PANE_US: Micros = 10 * SECOND_US;

/// Start of the pane that holds `time`.
#[must_use]
pub fn pane_start(time: Micros) -> Micros {
    time.div_euclid(PANE_US) * PANE_US
}

/// End (exclusive) of the pane that holds `time`.
#[must_use]
pub fn pane_end(time: Micros) -> Micros {
    pane_start(time) + PANE_US
}
