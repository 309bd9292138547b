//! What the source stage hands to the site stage at each pane's close: mergeable integers, never verdicts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::host::{Host, Text};
use crate::time::Micros;

/// One record of `weir.partials.v1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// Version of this shape.
    pub v: u32,
    /// Input partition it was made from.
    pub partition: u32,
    /// How many partitions the input topic had.
    pub partition_count: u32,
    /// Start of the pane, µs; for a marker, of the newest closed pane.
    pub pane: Micros,
    /// Hash of the profile's rules, so that the site stage notices another profile upstream.
    pub rules_hash: u64,
    /// The counts.
    pub body: PartialBody,
}

/// A set of hashes: exact while small, HyperLogLog registers beyond; the engine's `distinct` says how many and how large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DistinctSet {
    /// The hashes themselves, sorted.
    Exact(Vec<u64>),
    /// One byte per register.
    Registers(Vec<u8>),
}

/// An evidence flow on its way to the site stage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartialFlow {
    /// Hash of (sensor, community id, first time).
    pub flow_id: u64,
    /// Digest inside the Community ID.
    pub community_id: [u8; 20],
    /// Source.
    pub src: Host,
    /// Source port.
    pub src_port: u16,
    /// Responder.
    pub dst: Host,
    /// Responder port.
    pub dst_port: u16,
    /// IP protocol number.
    pub proto: u8,
    /// Time of the first packet, µs.
    pub first_time: Micros,
    /// Packets of this record, both directions.
    pub packets: u64,
    /// Bytes of this record, both directions.
    pub bytes: u64,
    /// Wire number of [`crate::Outcome`].
    pub outcome: u8,
}

/// A sensor's share in a partial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartialSensor {
    /// Sensor id.
    pub id: Text,
    /// Vantage bits, or-ed.
    pub vantage: u8,
    /// Records lost so far.
    pub loss: u64,
}

/// The counts of one key in one pane of one input partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PartialBody {
    /// What arrived at one host, as either end of its flows.
    Receiver {
        /// The receiver.
        host: Host,
        /// Packets received.
        packets: u64,
        /// Bytes received.
        bytes: u64,
        /// Of these, packets received in flows in which it never sent.
        unsolicited_packets: u64,
        /// Greatest count that eviction may have hidden, bytes.
        error: u64,
        /// Sensors that saw it.
        sensors: Arc<[PartialSensor]>,
    },
    /// TCP attempts at one service of one responder.
    Responder {
        /// The responder.
        host: Host,
        /// The service port.
        port: u16,
        /// SYN packets seen.
        syn: u64,
        /// Attempts (flows that began with a SYN).
        attempts: u64,
        /// Attempts that completed the handshake.
        completed: u64,
        /// Attempts answered by a SYN-ACK that the source never acknowledged.
        half_open: u64,
        /// Attempts refused.
        refused: u64,
        /// Attempts without an answer.
        unanswered: u64,
        /// Greatest count that eviction may have hidden, SYN packets.
        error: u64,
        /// Hashes of distinct sources.
        sources: DistinctSet,
        /// Up to five flows, those with the smallest ids.
        flows: Vec<PartialFlow>,
        /// Sensors that saw it.
        sensors: Arc<[PartialSensor]>,
    },
    /// All traffic of a site.
    Site {
        /// Site name.
        site: Text,
        /// Packets, both directions.
        packets: u64,
        /// Bytes, both directions.
        bytes: u64,
        /// Flows that began.
        flows: u64,
        /// Sensors that saw it.
        sensors: Arc<[PartialSensor]>,
    },
    /// Cumulative: the source stage has closed this partition through `pane`.
    Marker {
        /// The input ended there: nothing will follow.
        ended: bool,
        /// The pane was complete: no forced close, no known loss.
        complete: bool,
        /// What made it less than exact.
        degraded: Vec<String>,
        /// Of the sensors whose ends it has read, the greatest boot, µs: ends of the same generation belong together, in
        /// whatever order the partitions' markers come.
        #[serde(default)]
        generation: Micros,
    },
}
