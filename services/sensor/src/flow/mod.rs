//! From packets to flow records: a bounded table of conversations, cut on the pane grid.
//!
//! - Each packet counts in the record of its own pane. A record is exported once its pane or its flow has ended, records
//!   of a pane before those of the next. A record without packets is never made, so a flow that falls silent after its
//!   last record ends without another one.
//! - A flow's first record waits for the outcome of the attempt that it holds, at most `unanswered_timeout` after the
//!   attempt. A source's ACK after its SYN completes the handshake even where the SYN-ACK was not captured.
//! - `fin`: both ends sent a FIN. `rst`: one end sent a RST. Such a flow waits one second for trailing segments.
//! - `unanswered`: `unanswered_timeout` of silence in a flow in which one end never spoke. If it then speaks again within
//!   `idle_timeout` (a SYN sent again, say), the same flow goes on: same `flow_id`, no second attempt, and from then on
//!   only `idle_timeout` ends it.
//! - A new SYN begins a new flow if the old one is closed, refused, unanswered with another sequence number, or began
//!   without a SYN. A SYN sent again does not, whether after silence or after a RST.
//! - An end that was idle or closed and resumes within ten minutes keeps its source, in a new flow; it holds an attempt
//!   only if a SYN, a probe or a request is seen in it.

mod application;
pub(crate) mod community;
mod entry;
mod export;
mod fragments;
mod frames;
mod health;
pub(crate) mod icmp;
pub(crate) mod key;
mod list;
mod memory;
mod observe;
mod opening;
pub(crate) mod orientation;
mod sequence;
pub(crate) mod services;
mod slab;
mod stack;
mod table;
mod tcp;
mod track;

#[cfg(test)]
mod tests;

pub use crate::decode::fragments::FragmentCounters;
pub use table::FlowTable;

use weir_schemas::{Micros, SECOND_US, Text};

/// What the table is told about itself and its bounds.
#[derive(Clone, Debug)]
pub struct FlowConfig {
    /// Sensor id.
    pub sensor: Text,
    /// Site name.
    pub site: Text,
    /// Start time of the sensor, µs.
    pub boot: Micros,
    /// What is read: `pcap`, `pcapng`, `tcpdump`, …
    pub input: Text,
    /// Packets that one packet stands for.
    pub sampling: u32,
    /// Most flows kept at once; the longest idle is evicted. At least 1.
    pub flow_table: usize,
    /// Silence that ends a flow.
    pub idle_timeout: Micros,
    /// Bytes that fragments may take which wait for the rest of their datagram; 0: they count without ports.
    pub fragment_memory: usize,
    /// How long a first packet may wait for its answer.
    pub unanswered_timeout: Micros,
    /// Event time from which the sender of a first packet counts as the source.
    pub warm_up: Micros,
    /// Whether records tell host names, URLs and other texts of the payload.
    pub names: bool,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            sensor: "file".into(),
            site: "local".into(),
            boot: 0,
            input: "pcap".into(),
            sampling: 1,
            flow_table: 1_048_576,
            idle_timeout: 60 * SECOND_US,
            fragment_memory: 4 << 20,
            unanswered_timeout: 3 * SECOND_US,
            warm_up: 5 * SECOND_US,
            names: true,
        }
    }
}

/// What the table has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Packets taken into flows.
    pub packets: u64,
    /// Their IP (or ARP) bytes.
    pub bytes: u64,
    /// Packets that carry neither IP nor ARP.
    pub other: u64,
    /// Flows begun.
    pub flows: u64,
    /// Flows in the table now.
    pub active: u64,
    /// Records exported.
    pub exported: u64,
    /// Flows ended, by the wire number of their `EndReason`.
    pub ended: [u64; 8],
    /// Flows evicted because the table was full.
    pub evicted: u64,
    /// IP fragments, and what became of them.
    pub fragments: FragmentCounters,
    /// First records exported before their outcome was known, because the table was full.
    pub forced: u64,
}

impl FlowCounters {
    /// Both tables' counts together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut ended = self.ended;
        for (sum, more) in ended.iter_mut().zip(other.ended) {
            *sum += more;
        }
        Self {
            packets: self.packets + other.packets,
            bytes: self.bytes.saturating_add(other.bytes),
            other: self.other + other.other,
            flows: self.flows + other.flows,
            active: self.active + other.active,
            exported: self.exported + other.exported,
            ended,
            evicted: self.evicted + other.evicted,
            forced: self.forced + other.forced,
            fragments: if self.fragments.fragments > 0 { self.fragments } else { other.fragments },
        }
    }
}
