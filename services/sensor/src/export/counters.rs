//! What the decoders of exports counted.

use std::collections::BTreeMap;

use super::layout::Protocol;

/// Counts since the start, over all exporters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportCounters {
    /// Datagrams, by protocol, that were whole messages.
    pub datagrams: BTreeMap<Protocol, u64>,
    /// Flow records or flow samples that became flows.
    pub flows: u64,
    /// Options data records: what exporters say of themselves, no flows.
    pub options: u64,
    /// sFlow samples that are no packets: interface counters, discards, vendors' own.
    pub other_samples: u64,
    /// Records that describe no conversation of two addresses (layer 2, translations, events without counts).
    pub other_records: u64,
    /// What exporters sent and nobody received, by the gaps of their sequence numbers: flow records of v5, v7 and IPFIX,
    /// datagrams of v9 and sFlow.
    pub lost: u64,
    /// Packets that sFlow agents say they could not sample.
    pub agent_drops: u64,
    /// Data sets that waited for their template and were decoded when it came.
    pub held_decoded: u64,
    /// Data sets whose template did not come, or came after the bound was reached.
    pub held_lost: u64,
    /// Records by a sampler whose rate was not told yet: taken as unsampled.
    pub unknown_samplers: u64,
    /// What could not be decoded, by kind.
    pub errors: BTreeMap<&'static str, u64>,
}

impl ExportCounters {
    /// Counts something that could not be decoded.
    pub(super) fn error(&mut self, kind: &'static str) {
        *self.errors.entry(kind).or_default() += 1;
    }

    /// Datagrams of all protocols.
    #[must_use]
    pub fn all_datagrams(&self) -> u64 {
        self.datagrams.values().sum()
    }
}
