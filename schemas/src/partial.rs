//! What the source stage hands to the site stage at each pane's close: mergeable integers, never verdicts.

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
    /// What it says.
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

/// What arrived at one host, as either end of its flows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiverCounts {
    /// The receiver.
    pub host: Host,
    /// Packets received.
    pub packets: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Of these, packets received in flows in which it never sent.
    pub unsolicited_packets: u64,
    /// Who saw it: index into [`PartialCounts::sensor_sets`].
    pub sensor_set: u32,
}

/// TCP attempts at one service of one responder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponderCounts {
    /// The responder.
    pub host: Host,
    /// The service port.
    pub port: u16,
    /// SYN packets seen.
    pub syn: u64,
    /// Attempts (flows that began with a SYN).
    pub attempts: u64,
    /// Attempts that completed the handshake.
    pub completed: u64,
    /// Attempts answered by a SYN-ACK that the source never acknowledged.
    pub half_open: u64,
    /// Attempts refused.
    pub refused: u64,
    /// Attempts without an answer.
    pub unanswered: u64,
    /// Hashes of distinct sources.
    pub sources: DistinctSet,
    /// Up to five flows, those with the smallest ids; none where others needed the room more.
    pub flows: Vec<PartialFlow>,
    /// Who saw it: index into [`PartialCounts::sensor_sets`].
    pub sensor_set: u32,
}

/// All traffic of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteCounts {
    /// Site name.
    pub site: Text,
    /// Packets, both directions.
    pub packets: u64,
    /// Bytes, both directions.
    pub bytes: u64,
    /// Flows that began.
    pub flows: u64,
    /// Who saw it: index into [`PartialCounts::sensor_sets`].
    pub sensor_set: u32,
}

/// What one pane of one input partition counted, by key. A record holds the keys of one partials partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartialCounts {
    /// The different sets of sensors that saw the keys below.
    pub sensor_sets: Vec<Vec<PartialSensor>>,
    /// Greatest count that may be missing of a receiver, bytes.
    pub receivers_error: u64,
    /// Greatest count that may be missing of a responder's service, SYN packets.
    pub responders_error: u64,
    /// In order of host.
    pub receivers: Vec<ReceiverCounts>,
    /// In order of host and port.
    pub responders: Vec<ResponderCounts>,
    /// In order of name.
    pub sites: Vec<SiteCounts>,
}

impl PartialCounts {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receivers.is_empty() && self.responders.is_empty() && self.sites.is_empty()
    }

    /// One record for each of `count` partitions, at least one: each key goes where `place`, which stays below their number, says.
    /// A site's key is its name.
    #[must_use]
    pub fn split(self, count: u32, place: impl Fn(&Host) -> u32) -> Vec<Self> {
        let part = || Self {
            sensor_sets: self.sensor_sets.clone(),
            receivers_error: self.receivers_error,
            responders_error: self.responders_error,
            ..Self::default()
        };
        let mut parts: Vec<Self> = (0..count.max(1)).map(|_| part()).collect();
        let last = parts.len() - 1;
        let place_of = |host: &Host| (place(host) as usize).min(last);
        for receiver in self.receivers {
            parts[place_of(&receiver.host)].receivers.push(receiver);
        }
        for responder in self.responders {
            parts[place_of(&responder.host)].responders.push(responder);
        }
        for site in self.sites {
            parts[place_of(&Host::Name(site.site.clone()))].sites.push(site);
        }
        parts
    }
}

/// What a partial says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PartialBody {
    /// Counts of one pane.
    Counts(PartialCounts),
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
