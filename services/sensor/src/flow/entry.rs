//! What the table keeps of a flow, and of its share in one pane. Everything is by end of the key, not by direction:
//! the source may be known only later.

use weir_schemas::{EndReason, Host, Micros, Outcome, TcpFlags};

use super::application::Spoken;
use super::health::{Health, SynSeen, TtlRange, WindowRange};
use super::key::FlowKey;
use super::list::Links;
use super::observe::{Observation, SegmentSeen};
use super::opening::Opening;
use super::orientation::Evidence;
use super::sequence::Sequences;
use super::slab::NONE;
use super::tcp::{EndState, TcpTrack};
use crate::application::Facts;
use crate::packet::{Encapsulation, tcp_flag};

/// Which silence ends the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// One end has been silent so far: `unanswered_timeout`.
    Unanswered,
    /// Both ends spoke, or the flow resumed: `idle_timeout`.
    Idle,
    /// Closed by FINs or a RST: a short wait for trailing segments.
    Closing,
}

/// What sort of attempt a flow began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// None was seen.
    None,
    /// A SYN.
    Syn,
    /// A TCP probe.
    Probe,
    /// Anything else that asks for an answer.
    Request,
}

/// A flow.
#[derive(Debug)]
pub(super) struct FlowEntry {
    pub(super) key: FlowKey,
    pub(super) first_time: Micros,
    /// The table's clock at the newest packet: never goes back.
    pub(super) last_seen: Micros,
    /// When the first record must stop waiting for its outcome.
    pub(super) deadline: Micros,
    pub(super) syn_time: Micros,
    pub(super) syn_ack_time: Micros,
    /// Exported so far.
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
    pub(super) tcp: TcpTrack,
    /// Each end's first segment, until sequences are followed.
    pub(super) openings: [Option<Opening>; 2],
    /// Made once there is more than SYNs and single ACKs: a flood's flows do without.
    pub(super) sequences: Option<Box<Sequences>>,
    /// What its payload told.
    pub(super) spoken: Spoken,
    /// Both hosts, where one of them is a name.
    pub(super) names: Option<Box<[Host; 2]>>,
    /// What carried the packet that it, or its resumption, began with.
    pub(super) tunnel: Option<Box<Encapsulation>>,
    /// Place in the list of its class.
    pub(super) activity: Links,
    /// Place in the list of flows that wait for an outcome.
    pub(super) held: Links,
    /// Newest slice not yet exported, or [`NONE`].
    pub(super) newest: u32,
    pub(super) exports: u32,
    pub(super) syn_sequence: u32,
    pub(super) vlan: [u16; 4],
    pub(super) macs: [[u8; 6]; 2],
    pub(super) mac_known: [bool; 2],
    /// Ends that sent something.
    pub(super) spoke: [bool; 2],
    pub(super) class: Class,
    pub(super) evidence: Evidence,
    /// The source is decided for good.
    pub(super) fixed: bool,
    pub(super) attempt: Attempt,
    pub(super) attempt_end: u8,
    pub(super) outcome: Outcome,
    /// In the list of flows that wait for an outcome.
    pub(super) waiting: bool,
    /// Continues a flow whose first record is out: no attempt any more.
    pub(super) resumed: bool,
    /// Only bare ACKs of one end so far.
    pub(super) bare_ack_only: bool,
    pub(super) syn_ack_seen: bool,
    pub(super) closed: EndReason,
    /// Set once it has left the table and only waits for its slices to be exported.
    pub(super) ended: Option<EndReason>,
    pub(super) first_flags: u8,
    pub(super) first_sender: u8,
    /// The end that sent the packet whose tunnel is kept: not always the first, in a flow that resumed.
    pub(super) tunnel_sender: u8,
    pub(super) first_kind: (u8, u8),
    /// The end whose SYN began the flow.
    pub(super) syn_end: Option<u8>,
    pub(super) syn_count: u8,
    pub(super) syn_ack_count: u8,
}

impl FlowEntry {
    /// A flow that begins with this packet, which is not yet accounted.
    pub(super) fn new(observation: &Observation<'_>, clock: Micros) -> Self {
        let hosts = observation.hosts;
        let has_name = hosts.iter().any(|host| matches!(host, Host::Name(_)));
        Self {
            key: observation.key,
            first_time: observation.time,
            last_seen: clock,
            deadline: 0,
            syn_time: 0,
            syn_ack_time: 0,
            packets: [0; 2],
            bytes: [0; 2],
            tcp: TcpTrack::default(),
            openings: [None; 2],
            sequences: None,
            spoken: Spoken::default(),
            names: has_name.then(|| Box::new([hosts[0].clone(), hosts[1].clone()])),
            tunnel: observation.packet.tunnel.clone(),
            tunnel_sender: observation.sender as u8,
            activity: Links::NOWHERE,
            held: Links::NOWHERE,
            newest: NONE,
            exports: 0,
            syn_sequence: 0,
            vlan: observation.packet.vlan,
            macs: observation.macs.map(|mac| mac.copied().unwrap_or_default()),
            mac_known: observation.macs.map(|mac| mac.is_some()),
            spoke: [false; 2],
            class: Class::Unanswered,
            evidence: Evidence::NOTHING,
            fixed: false,
            attempt: Attempt::None,
            attempt_end: 0,
            outcome: Outcome::None,
            waiting: false,
            resumed: false,
            bare_ack_only: observation.is_bare_ack(),
            syn_ack_seen: false,
            closed: EndReason::Active,
            ended: None,
            first_flags: 0,
            first_sender: observation.sender as u8,
            first_kind: observation.kind,
            syn_end: None,
            syn_count: 0,
            syn_ack_count: 0,
        }
    }

    /// Decides the source for good.
    pub(super) fn fix_source(&mut self) -> (usize, weir_schemas::Initiator) {
        let (source, initiator) = self.evidence.decide(&self.key);
        self.evidence.source = source;
        self.fixed = true;
        (source, initiator)
    }

    /// What an attempt without a verdict has come to by now.
    pub(super) fn outcome_at_deadline(&self) -> Outcome {
        match self.attempt {
            Attempt::None => Outcome::None,
            Attempt::Syn if self.syn_ack_seen => Outcome::HalfOpen,
            _ => Outcome::Unanswered,
        }
    }
}

/// A flow's share in one pane.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) flow: u32,
    /// The flow's next older slice, or [`NONE`].
    pub(super) older: u32,
    /// Place in its pane's list.
    pub(super) place: Links,
    /// Start of its pane.
    pub(super) pane: Micros,
    pub(super) event_time: Micros,
    pub(super) last_time: Micros,
    pub(super) bytes: [u64; 2],
    pub(super) payload: [u64; 2],
    pub(super) packets: [u32; 2],
    /// Of the packets.
    pub(super) fragments: [u32; 2],
    pub(super) flags: [TcpFlags; 2],
    pub(super) ttls: [TtlRange; 2],
    pub(super) windows: [WindowRange; 2],
    /// Each end's SYN or SYN-ACK.
    pub(super) syns: [Option<Box<SynSeen>>; 2],
    pub(super) health: Option<Box<Health>>,
    /// What its payload told.
    pub(super) facts: Option<Box<Facts>>,
    pub(super) syn_rtt: Option<u32>,
    pub(super) ack_rtt: Option<u32>,
    /// The ends' states after its newest packet.
    pub(super) ends: [EndState; 2],
    pub(super) history_length: u8,
    /// Exportable, and only waiting for older panes.
    pub(super) ready: bool,
}

impl Slice {
    pub(super) fn new(flow: u32, older: u32, pane: Micros, time: Micros) -> Self {
        Self {
            flow,
            older,
            place: Links::NOWHERE,
            pane,
            event_time: time,
            last_time: time,
            bytes: [0; 2],
            payload: [0; 2],
            packets: [0; 2],
            fragments: [0; 2],
            flags: [TcpFlags::default(); 2],
            ttls: [TtlRange::default(); 2],
            windows: [WindowRange::default(); 2],
            syns: [None, None],
            health: None,
            facts: None,
            syn_rtt: None,
            ack_rtt: None,
            ends: [EndState::Inactive; 2],
            history_length: 0,
            ready: false,
        }
    }

    /// Adds packets sent by `end`.
    pub(super) fn add(&mut self, end: usize, packets: u32, bytes: u32, payload: u32) {
        self.packets[end] += packets;
        self.bytes[end] += u64::from(bytes);
        self.payload[end] += u64::from(payload);
    }

    /// Adds what the headers of a segment sent by `end` say, before the packet itself is counted.
    #[inline]
    pub(super) fn add_segment(&mut self, end: usize, segment: &SegmentSeen<'_>) {
        let is_first = self.packets[end] == 0;
        self.ttls[end].add(segment.ttl, is_first);
        self.windows[end].add(segment.tcp.window, is_first);
        self.add_flags(end, segment.tcp.flags);
        if let Some(shape) = segment.tcp.syn {
            let seen = SynSeen { shape, ttl: segment.ttl, window: segment.tcp.window };
            self.syns[end].get_or_insert_with(|| Box::new(seen));
        }
        if segment.tcp.bad_options {
            self.health_mut().option_errors += 1;
        }
    }

    /// The part that is rare enough to be made when it is needed.
    pub(super) fn health_mut(&mut self) -> &mut Health {
        self.health.get_or_insert_default()
    }

    /// Counts the flags of a segment sent by `end`.
    fn add_flags(&mut self, end: usize, flags: u8) {
        let set = |bit: u8| u32::from(flags & bit != 0);
        let counts = &mut self.flags[end];
        let (syn, ack) = (set(tcp_flag::SYN), set(tcp_flag::ACK));
        counts.syn += syn & (1 - ack);
        counts.syn_ack += syn & ack;
        counts.ack += ack;
        counts.fin += set(tcp_flag::FIN);
        counts.rst += set(tcp_flag::RST);
        counts.psh += set(tcp_flag::PSH);
        counts.urg += set(tcp_flag::URG);
    }
}
