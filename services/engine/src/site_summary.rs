//! What the site stage knows of one pane: partials of all input partitions, merged.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use weir_schemas::{Host, Text};

use crate::bounded::Weigh;
use crate::distinct::Distinct;
use crate::sorted::Sorted;
use crate::summary::{EvidenceSample, SeenBy, keep_heaviest};

/// What arrived at one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverTotals {
    /// Packets received.
    pub packets: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Packets received in flows in which it never sent.
    pub unsolicited_packets: u64,
    /// Who saw them.
    pub seen_by: SeenBy,
}

impl Weigh for ReceiverTotals {
    fn weight(&self) -> u64 {
        self.bytes
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

/// TCP attempts at one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponderTotals {
    /// SYN packets.
    pub syn: u64,
    /// Flows that began with a SYN.
    pub attempts: u64,
    /// Handshakes completed.
    pub completed: u64,
    /// Handshakes left half-open.
    pub half_open: u64,
    /// Attempts refused.
    pub refused: u64,
    /// Attempts without an answer.
    pub unanswered: u64,
    /// Distinct sources.
    pub sources: Distinct,
    /// Some of the flows.
    pub evidence: EvidenceSample,
    /// Who saw them.
    pub seen_by: SeenBy,
}

impl Weigh for ResponderTotals {
    fn weight(&self) -> u64 {
        self.syn.saturating_sub(self.completed)
    }

    fn heap_bytes(&self) -> usize {
        self.sources.heap_bytes() + self.evidence.heap_bytes()
    }
}

impl ResponderTotals {
    /// Adds another share.
    pub fn merge(&mut self, other: &Self) {
        self.syn += other.syn;
        self.attempts += other.attempts;
        self.completed += other.completed;
        self.half_open += other.half_open;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.sources.merge(&other.sources);
        self.evidence.merge(other.evidence.flows());
        self.seen_by.merge(other.seen_by);
    }
}

impl ReceiverTotals {
    /// Adds another share.
    pub fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.unsolicited_packets += other.unsolicited_packets;
        self.seen_by.merge(other.seen_by);
    }
}

/// All traffic of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteTotals {
    /// Packets, both directions.
    pub packets: u64,
    /// Bytes, both directions.
    pub bytes: u64,
    /// Flows that began.
    pub flows: u64,
    /// Who saw them.
    pub seen_by: SeenBy,
}

impl SiteTotals {
    /// Adds another share.
    pub fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.flows += other.flows;
        self.seen_by.merge(other.seen_by);
    }
}

/// One or more merged panes of a site-stage partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSummary {
    /// By host.
    pub receivers: Sorted<Host, ReceiverTotals>,
    /// By host and service port.
    pub responders: Sorted<(Host, u16), ResponderTotals>,
    /// By site.
    pub sites: Sorted<Text, SiteTotals>,
    /// Offset of the oldest pane's first partial.
    pub first_offset: i64,
    /// Every input partition was there.
    pub complete: bool,
    /// What makes it less than exact.
    pub degraded: BTreeSet<String>,
}

/// A responder is judged, and carried beyond its pane, with at least this many SYNs that did not complete: less is no flood's part.
pub const CARRIED_INCOMPLETE_SYN: u64 = 8;

/// As many SYNs of a pane that may be missing make its counts less than exact: a tenth of the least rate that is a flood's.
pub const RELEVANT_SYN: u64 = 20;

/// A receiver is judged, and carried beyond its pane, with at least this many bytes (an eighth of 1 Mbit/s): a window of 60 s over
/// 1 Mbit/s loses at most a tenth of the floor by it.
pub const CARRIED_BYTES: u64 = 1_250_000 / 8;

impl SiteSummary {
    /// An empty summary that merges neutrally.
    #[must_use]
    pub fn neutral() -> Self {
        Self { complete: true, first_offset: i64::MAX, ..Self::default() }
    }

    /// Adds what an older pane knows of the keys that are here already: what a judgement of the newest pane needs.
    pub fn merge_known(&mut self, older: &Self) {
        self.receivers.merge_known(&older.receivers, ReceiverTotals::merge);
        self.responders.merge_known(&older.responders, ResponderTotals::merge);
        self.sites.merge_known(&older.sites, SiteTotals::merge);
        self.first_offset = self.first_offset.min(older.first_offset);
        self.complete &= older.complete;
        self.degraded.extend(older.degraded.iter().cloned());
    }

    /// Cuts to what `bytes` of state can hold; returns how many entries left for lack of room.
    pub fn bound(&mut self, bytes: usize) -> u64 {
        let (receivers, _) = keep_heaviest(&mut self.receivers, bytes / 2);
        let (responders, _) = keep_heaviest(&mut self.responders, bytes / 3);
        let left = receivers + responders;
        if left > 0 {
            self.degraded.insert("evicted".to_owned());
        }
        left
    }
}
