//! What a sensor publishes to `weir.flows.v1`: flow records and marks.

use serde::Serialize;

use crate::app::App;
use crate::host::{Host, Text};
use crate::tcp::{Response, SynOptions, Ttl, WindowSize};
use crate::time::Micros;
use crate::timing::Timing;

/// One record of `weir.flows.v1`.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A conversation's share in one pane.
    Flow(Box<Flow>),
    /// A sensor's promise that everything before `t` has been sent.
    Mark(Box<Mark>),
}

/// How the source of a flow was decided, strongest evidence first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Initiator {
    /// The input says who initiated.
    Declared = 0,
    /// The sender of a SYN without ACK.
    Syn = 1,
    /// The receiver of a SYN-ACK: names the source, but is no attempt.
    SynAck = 2,
    /// The sender of a TCP segment with neither ACK nor RST, or of a bare ACK first answered by a RST.
    Probe = 3,
    /// A message whose type says so (ARP, ICMP, DNS), or the sender of the first packet seen by a warmed-up sensor; for UDP not
    /// one that goes from a service port to another port: that is what an answer looks like.
    FirstPacket = 4,
    /// The end opposite the well-known port, else the end with the higher port.
    Port = 5,
    /// The smaller address: a convention, no evidence.
    #[default]
    Address = 6,
}

impl Initiator {
    /// Whether a detector whose verdict depends on direction may use the flow (rules 0–4 of the orientation).
    #[must_use]
    pub fn is_evidence(self) -> bool {
        self <= Self::FirstPacket
    }

    /// The value with this wire number.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        Some(match value {
            0 => Self::Declared,
            1 => Self::Syn,
            2 => Self::SynAck,
            3 => Self::Probe,
            4 => Self::FirstPacket,
            5 => Self::Port,
            6 => Self::Address,
            _ => return None,
        })
    }

    /// The name printed for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Probe => "probe",
            Self::FirstPacket => "first_packet",
            Self::Port => "port",
            Self::Address => "address",
        }
    }
}

/// What became of the attempt that a flow's first record holds. Any value but `None` means the record is an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Not an attempt: a later record of a flow, or a flow whose beginning was not seen.
    #[default]
    None = 0,
    /// TCP: SYN, SYN-ACK and the source's ACK; else: the responder answered.
    Completed = 1,
    /// TCP: the SYN was answered by a SYN-ACK, and the source never acknowledged it.
    HalfOpen = 2,
    /// A RST, or an ICMP unreachable that quotes the attempt.
    Refused = 3,
    /// No answer within `sensor.unanswered_timeout`.
    Unanswered = 4,
    /// An ICMP time exceeded that quotes the attempt: it never reached its target (traceroute, a routing loop).
    Expired = 5,
}

impl Outcome {
    /// The value with this wire number.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        Some(match value {
            0 => Self::None,
            1 => Self::Completed,
            2 => Self::HalfOpen,
            3 => Self::Refused,
            4 => Self::Unanswered,
            5 => Self::Expired,
            _ => return None,
        })
    }

    /// The name printed for people; empty for [`Outcome::None`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Completed => "completed",
            Self::HalfOpen => "half_open",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Expired => "expired",
        }
    }
}

/// Why a record was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EndReason {
    /// The pane ended; the flow goes on.
    #[default]
    Active = 0,
    /// No packet for `sensor.idle_timeout`.
    Idle = 1,
    /// Both ends sent FIN.
    Fin = 2,
    /// A RST.
    Rst = 3,
    /// The first packet got no answer in time.
    Unanswered = 4,
    /// The flow table was full.
    Evicted = 5,
    /// Later evidence named the other end as source.
    Reoriented = 6,
    /// The sensor stopped or the file ended.
    Shutdown = 7,
}

impl EndReason {
    /// The value with this wire number.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        Some(match value {
            0 => Self::Active,
            1 => Self::Idle,
            2 => Self::Fin,
            3 => Self::Rst,
            4 => Self::Unanswered,
            5 => Self::Evicted,
            6 => Self::Reoriented,
            7 => Self::Shutdown,
            _ => return None,
        })
    }

    /// The name printed for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Unanswered => "unanswered",
            Self::Evicted => "evicted",
            Self::Reoriented => "reoriented",
            Self::Shutdown => "shutdown",
        }
    }
}

/// One end of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Address or name; what keys and scopes are made of.
    pub host: Host,
    /// Transport port; 0 where the protocol has none or a fragment hid it.
    pub port: u16,
    /// Link-layer address, where the capture had one.
    pub mac: Option<[u8; 6]>,
    /// A name beside the address, where the input had both.
    pub name: Option<Text>,
    /// ISO 3166-1 alpha-2 code.
    pub country: Option<Text>,
    /// Autonomous system number.
    pub asn: Option<u32>,
}

impl End {
    /// An end with nothing known but host and port.
    #[must_use]
    pub fn new(host: Host, port: u16) -> Self {
        Self { host, port, mac: None, name: None, country: None, asn: None }
    }
}

/// Counters of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Packets in this record.
    pub packets: u64,
    /// IP bytes in this record.
    pub bytes: u64,
    /// Transport payload bytes in this record.
    pub payload: u64,
    /// Packets of the flow so far, this record included.
    pub total_packets: u64,
    /// IP bytes of the flow so far, this record included.
    pub total_bytes: u64,
    /// IP fragments among the packets in this record: of its datagrams, or of the tunnel's packets around them.
    pub fragments: u64,
}

/// The outer addresses of a tunnel whose inner flow the record describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tunnel {
    /// `vxlan`, `gre`, …
    pub kind: Text,
    /// Outer source.
    pub outer_src: Host,
    /// Outer destination.
    pub outer_dst: Host,
    /// VNI, key or label, 0 where there is none.
    pub id: u32,
}

/// TCP flag counts of one direction, packets each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpFlags {
    /// SYN without ACK.
    pub syn: u32,
    /// SYN with ACK.
    pub syn_ack: u32,
    /// ACK set (SYN-ACK included).
    pub ack: u32,
    /// FIN set.
    pub fin: u32,
    /// RST set.
    pub rst: u32,
    /// PSH set.
    pub psh: u32,
    /// URG set.
    pub urg: u32,
}

/// The TCP block of a flow record.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tcp {
    /// Flag counts, source → responder, of this record.
    pub fwd: TcpFlags,
    /// Flag counts, responder → source, of this record.
    pub rev: TcpFlags,
    /// Flags of the flow's first segment as on the wire (RFC 9293 §3.1, low byte; ECE and CWR included).
    pub first_flags: u8,
    /// Connection state after this record, in Zeek's `conn_state` words (`S0`, `S1`, `SF`, `REJ`, …, `OTH`).
    pub state: Text,
    /// Zeek's history letters of the flow so far, upper case for the source, at most 16.
    pub history: String,
    /// SYN → SYN-ACK at the tap, µs; on the record that saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syn_rtt_us: Option<u32>,
    /// SYN-ACK → ACK at the tap, µs; on the record that saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_rtt_us: Option<u32>,
    /// Response times, of this record.
    pub response: Response,
    /// Segments sent again after a timeout, both directions, of this record.
    pub retrans: u32,
    /// Segments sent again after three duplicate ACKs, likewise.
    pub fast_retrans: u32,
    /// Segments that arrived behind a later one, likewise.
    pub out_of_order: u32,
    /// Duplicate ACKs, likewise.
    pub dup_ack: u32,
    /// Segments that advertised a window of zero, likewise.
    pub zero_window: u32,
    /// Probes of a zero window, likewise.
    pub window_probe: u32,
    /// Keep-alives, likewise.
    pub keepalive: u32,
    /// ACKs of data the capture never held: what it lost, likewise.
    pub ack_unseen: u32,
    /// Frames captured twice, likewise.
    pub duplicate_frame: u32,
    /// TTLs, source → responder.
    pub fwd_ttl: Ttl,
    /// TTLs, responder → source.
    pub rev_ttl: Ttl,
    /// Windows, source → responder.
    pub fwd_window: WindowSize,
    /// Windows, responder → source.
    pub rev_window: WindowSize,
    /// Options of the source's SYN; on the record that saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fwd_syn_options: Option<Box<SynOptions>>,
    /// Options of the responder's SYN-ACK; on the record that saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev_syn_options: Option<Box<SynOptions>>,
    /// Segments whose timestamp option went back, both directions, of this record.
    pub ts_backwards: u32,
    /// Segments sent again though they had been acknowledged, likewise.
    pub spurious_retrans: u32,
    /// Segments with options that contradict themselves, likewise.
    pub option_errors: u32,
}

/// The link block: an ARP record. `src` is the request's sender, `dst` its target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// ARP operation of the first packet: 1 request, 2 reply.
    pub op: u16,
    /// Sender hardware address of the request.
    pub sender_mac: [u8; 6],
    /// Hardware address the target answered with; zero while unanswered.
    pub target_mac: [u8; 6],
    /// Sender and target protocol address are the same.
    pub gratuitous: bool,
}

/// Vantage bit: the sensor saw source → responder packets.
pub const VANTAGE_FORWARD: u8 = 1;
/// Vantage bit: the sensor saw responder → source packets.
pub const VANTAGE_REVERSE: u8 = 2;

/// A conversation's share in one pane.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Sensor id.
    pub sensor: Text,
    /// Site name.
    pub site: Text,
    /// Start time of the sensor process, µs: the greatest is the current one.
    pub boot: Micros,
    /// Runs per (sensor, boot, partition) from 1.
    pub seq: u64,
    /// What the sensor read: `pcap`, `pcapng`, `tcpdump`, …
    pub input: Text,
    /// Packets that one counted packet stands for; 1 = unsampled.
    pub sampling: u32,
    /// Time of this record's first packet; names its pane.
    pub event_time: Micros,
    /// Time of the flow's first packet in its first record, else as `event_time`: never before this record's pane.
    pub first_time: Micros,
    /// Time of this record's last packet.
    pub last_time: Micros,
    /// Sensor clock minus reference clock, µs, where known.
    pub clock_offset_us: i64,
    /// The initiator.
    pub src: End,
    /// The responder.
    pub dst: End,
    /// IP protocol number; 0 for ARP.
    pub proto: u8,
    /// ICMP type of the first message.
    pub icmp_type: Option<u8>,
    /// ICMP code of the first message.
    pub icmp_code: Option<u8>,
    /// VLAN ids, outermost first.
    pub vlan: Vec<u16>,
    /// Outer addresses, where the flow was tunnelled.
    pub tunnel: Option<Box<Tunnel>>,
    /// How the source was decided.
    pub initiator: Initiator,
    /// Bits: [`VANTAGE_FORWARD`], [`VANTAGE_REVERSE`].
    pub vantage: u8,
    /// The attempt that this record holds, and what became of it.
    pub outcome: Outcome,
    /// Source → responder.
    pub fwd: Counts,
    /// Responder → source.
    pub rev: Counts,
    /// Hash of (sensor, community id, first time).
    pub flow_id: u64,
    /// SHA-1 digest inside the Community ID (v1); [`Flow::community_id_text`] prints it.
    pub community_id: [u8; 20],
    /// Index of this record in its flow, from 0.
    pub export_index: u32,
    /// Why this record was exported.
    pub end_reason: EndReason,
    /// Packets the capture lost since the sensor's previous record, as far as it was told.
    pub capture_drops: u64,
    /// Present on TCP flows.
    pub tcp: Option<Box<Tcp>>,
    /// Present on ARP records.
    pub link: Option<Box<Link>>,
    /// Present where the payload told the application.
    pub app: Option<Box<App>>,
    /// Present where the sensor measures packet timing and sizes.
    pub timing: Option<Box<Timing>>,
    /// Labels of the input, name and value, kept for evaluation; never read by a detector.
    pub labels: Vec<(Text, Text)>,
}

/// A sensor's health, as its marks report it. All counters are since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkStatus {
    /// Packets read.
    pub packets: u64,
    /// Packets lost before the sensor read them.
    pub drops: u64,
    /// Packets that could not be decoded.
    pub decode_errors: u64,
    /// Share of the flow table in use, parts per thousand.
    pub table_fill: u32,
    /// Bytes spooled to disk and not yet sent.
    pub spool_bytes: u64,
}

/// "All my records with event time before `t` stand before this offset", written to every partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Sensor id.
    pub sensor: Text,
    /// Site name.
    pub site: Text,
    /// Start time of the sensor process, µs.
    pub boot: Micros,
    /// Runs per (sensor, boot, partition) from 1, shared with flow records.
    pub seq: u64,
    /// The least event time not yet sent.
    pub t: Micros,
    /// The sensor has ended: nothing will follow.
    pub end: bool,
    /// Health counters.
    pub status: MarkStatus,
}

impl Flow {
    /// The Community ID (v1) text: `1:` and the digest in base64.
    /// Source: Community ID flow hashing specification, version 1.
    #[must_use]
    pub fn community_id_text(&self) -> String {
        crate::flow::community_id_text(&self.community_id)
    }

    /// Whether this record holds an attempt.
    #[must_use]
    pub fn is_attempt(&self) -> bool {
        self.outcome != Outcome::None
    }
}

/// The Community ID (v1) text of a digest.
#[must_use]
pub fn community_id_text(digest: &[u8; 20]) -> String {
    use base64::Engine as _;
    format!("1:{}", base64::engine::general_purpose::STANDARD.encode(digest))
}
