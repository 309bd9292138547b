//! The finer parts of a flow's TCP block: response times, TTLs, windows, SYN options.

use serde::Serialize;

/// Response times of one record: request segment with payload → first payload of the answer, at the tap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Response {
    /// Answers measured.
    pub n: u32,
    /// Sum of the times, µs.
    pub sum_us: u64,
    /// Longest time, µs.
    pub max_us: u32,
}

/// TTL or hop limit of one direction's packets in one record; all zero where no packet was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ttl {
    /// Least, hops.
    pub min: u8,
    /// Greatest, hops.
    pub max: u8,
    /// Sum over the direction's packets, hops.
    pub sum: u64,
    /// How often a packet's value differed from the one before.
    pub changes: u32,
}

/// Advertised windows of one direction in one record, unscaled as on the wire; all zero where no packet was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WindowSize {
    /// Least, units of the header field.
    pub min: u16,
    /// Greatest, likewise.
    pub max: u16,
    /// Sum over the direction's segments, likewise.
    pub sum: u64,
    /// Sum of squares, likewise squared.
    pub sumsq: u128,
}

/// TCP options of one end's SYN or SYN-ACK (RFC 9293 §3.2, RFC 7323, RFC 2018): what fingerprints its stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SynOptions {
    /// Maximum segment size, bytes, where offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mss: Option<u16>,
    /// Window scale shift, bits, where offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<u8>,
    /// SACK permitted.
    pub sack: bool,
    /// Timestamps offered.
    pub ts: bool,
    /// Option kinds in wire order, one octet each, at most 40.
    pub order: Vec<u8>,
    /// Oddities by name, comma-separated in the order of p0f's signature field (`df`, `id+`, `seq-`, …).
    pub quirks: String,
    /// TTL it was most likely sent with: 32, 64, 128 or 255 hops; 0 where it is not known.
    pub ttl_class: u8,
    /// Window, unscaled as on the wire.
    pub window: u16,
    /// The stack it looks like; empty where none fits. A hint: whoever sends can imitate.
    pub stack: String,
}
