//! What the engine is told at start: waiting times, and the memory it may use.

use weir_schemas::{Micros, SECOND_US};

use crate::hash::HashSeed;

/// Settings of one task. None of them changes while it runs.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// `engine.idle_after`: a sensor without a mark for this long (append clock, µs) is inactive.
    pub idle_after: Micros,
    /// `engine.max_future`: a record further ahead of its append time (µs) is a clock fault.
    pub max_future: Micros,
    /// `engine.max_skew`: a sensor further behind the furthest (µs) is let go after `idle_after`.
    pub max_skew: Micros,
    /// Key of all hashes.
    pub seed: HashSeed,
    /// Capacities, from `engine.partition_memory`.
    pub shares: Shares,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            idle_after: 30 * SECOND_US,
            max_future: 5 * SECOND_US,
            max_skew: 60 * SECOND_US,
            seed: HashSeed::default(),
            shares: Shares::of(64 << 20),
        }
    }
}

/// Open panes a partition holds; a record for one more closes the oldest first.
pub const PANE_SLOTS: usize = 12;

/// How `engine.partition_memory` is divided: entries per table, the same for ever after start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The budget, bytes.
    pub memory: usize,
    /// Sources per pane, ranked by attempts.
    pub sources: usize,
    /// (source, target, technique) per pane, ranked by distinct ports.
    pub pairs: usize,
    /// (source, service) per pane, ranked by distinct targets.
    pub sweeps: usize,
    /// (responder, port) per pane, ranked by SYN packets.
    pub responders: usize,
    /// Receivers per pane, ranked by bytes.
    pub receivers: usize,
    /// Flows per pane whose owner among several sensors is remembered.
    pub owners: usize,
    /// Baselines.
    pub baselines: usize,
    /// Open episodes.
    pub episodes: usize,
    /// Early-opened episodes not yet in the ledger.
    pub opened: usize,
    /// Bytes that one pane close may write to the state topic.
    pub state_per_close: usize,
}

impl Shares {
    /// Shares of a budget in bytes. Entry costs are worst cases: full sets, long keys, three evidence flows.
    #[must_use]
    pub fn of(memory: usize) -> Self {
        // Three quarters for the pane slots; the rest for summaries, ledgers and sensor tables.
        let per_pane = memory / 4 * 3 / PANE_SLOTS;
        let part = |thirty_seconds: usize, entry_bytes: usize| (per_pane / 32 * thirty_seconds / entry_bytes).max(16);
        Self {
            memory,
            sources: part(4, 128),
            pairs: part(8, 1_100),
            sweeps: part(6, 1_100),
            responders: part(8, 1_100),
            receivers: part(4, 128),
            owners: part(2, 96),
            baselines: (memory / 64 / 160).clamp(64, 8_192),
            episodes: (memory / 8 / 1_024).clamp(64, 8_192),
            opened: 1_024,
            state_per_close: 64 << 10,
        }
    }
}
