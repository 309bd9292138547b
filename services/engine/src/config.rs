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

/// Open panes a site-stage partition holds: a source stage may close all of its panes at once, and another be that far behind.
pub const SITE_PANE_SLOTS: usize = 2 * PANE_SLOTS;

/// How `engine.partition_memory` is divided: bytes per table (entries where it says so), fixed at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The budget, bytes.
    pub memory: usize,
    /// Sources per pane, ranked by attempts; bytes.
    pub sources: usize,
    /// (source, target, technique) per pane, ranked by distinct ports; bytes.
    pub pairs: usize,
    /// (source, service) per pane, ranked by distinct targets; bytes.
    pub sweeps: usize,
    /// (responder, port) per pane, ranked by SYN packets; bytes.
    pub responders: usize,
    /// Receivers per pane, ranked by bytes received; bytes.
    pub receivers: usize,
    /// Receivers per pane of the site stage, ranked by bytes received; bytes.
    pub site_receivers: usize,
    /// (responder, port) per pane of the site stage, ranked by SYN packets without handshake; bytes.
    pub site_responders: usize,
    /// Flows per pane whose owner among several sensors is remembered; entries.
    pub owners: usize,
    /// Baselines; entries.
    pub baselines: usize,
    /// Open episodes; entries.
    pub episodes: usize,
    /// Early-opened episodes not yet in the ledger; entries.
    pub opened: usize,
    /// Bytes that one pane close may write to the state topic.
    pub state_per_close: usize,
    /// Bytes of partials that one pane close may send: three eighths for receivers, the rest for responders.
    pub partials_per_close: usize,
}

impl Shares {
    /// Shares of a budget in bytes: three quarters for the pane slots, the rest for summaries, ledgers and sensor tables.
    #[must_use]
    pub fn of(memory: usize) -> Self {
        const OWNER_BYTES: usize = 96;
        let per_pane = memory / 4 * 3 / PANE_SLOTS;
        let part = |thirty_seconds: usize| per_pane / 32 * thirty_seconds;
        Self {
            memory,
            sources: part(4),
            pairs: part(6),
            sweeps: part(4),
            responders: part(13),
            receivers: part(4),
            site_receivers: part(14) * PANE_SLOTS / SITE_PANE_SLOTS,
            site_responders: part(16) * PANE_SLOTS / SITE_PANE_SLOTS,
            owners: (part(1) / OWNER_BYTES).max(16),
            baselines: (memory / 64 / 160).clamp(64, 8_192),
            episodes: (memory / 8 / 1_024).clamp(64, 8_192),
            opened: (memory / 64 / 1_024).clamp(16, 1_024),
            state_per_close: 64 << 10,
            partials_per_close: 96 << 10,
        }
    }

    /// The division as one line for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let kib = |bytes: usize| bytes / 1_024;
        format!(
            "{} KiB per partition: {PANE_SLOTS} panes of {} KiB (sources {}, pairs {}, sweeps {}, responders {}, receivers {} KiB; \
             {} flow owners; site stage: receivers {}, responders {} KiB), {} episodes, {} baselines, {} early episodes, {} KiB of state and {} KiB of partials per pane close",
            kib(self.memory),
            kib(self.memory / 4 * 3 / PANE_SLOTS),
            kib(self.sources),
            kib(self.pairs),
            kib(self.sweeps),
            kib(self.responders),
            kib(self.receivers),
            self.owners,
            kib(self.site_receivers),
            kib(self.site_responders),
            self.episodes,
            self.baselines,
            self.opened,
            kib(self.state_per_close),
            kib(self.partials_per_close),
        )
    }
}
