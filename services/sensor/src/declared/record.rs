//! From a share of a declared flow to a flow record.

use weir_schemas::flow::{VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::{Counts, EndReason, Flow, Micros, Outcome, Tcp, TcpFlags, pane_start};

use super::conversation::Conversation;
use super::part::Part;
use super::share::Volume;
use super::verdict::{Verdict, closed_by};
use crate::flow::FlowConfig;
use crate::flow::community::flow_id;
use crate::flow::icmp::{ICMP, ICMPV6};
use crate::packet::tcp_flag;

const TCP: u8 = 6;

/// What a record needs beside the flow itself.
pub(super) struct Context<'a> {
    pub(super) config: &'a FlowConfig,
    pub(super) sensor_hash: u64,
    /// Time of the share's first packet.
    pub(super) time: Micros,
    /// Attempt, outcome, flags and application belong to the first share.
    pub(super) is_first_share: bool,
    pub(super) is_last_share: bool,
}

/// The record of a share. The conversation's totals include it, its exports do not.
pub(super) fn record(
    context: &Context<'_>,
    part: &Part,
    verdict: Verdict,
    conversation: &Conversation,
    shares: [Option<(Volume, Micros)>; 2],
) -> Flow {
    let flow = &part.flow;
    let (source, responder) = (verdict.source, 1 - verdict.source);
    let is_turned = source != part.sender;
    let (src, dst) = if is_turned { (&flow.dst, &flow.src) } else { (&flow.src, &flow.dst) };
    let counts = |end: usize| {
        let volume = shares[end].map_or(Volume::default(), |(volume, _)| volume);
        Counts {
            packets: volume.packets,
            bytes: volume.bytes,
            payload: volume.payload,
            total_packets: conversation.packets[end],
            total_bytes: conversation.bytes[end],
            fragments: 0,
        }
    };
    let vantage = |end: usize, bit: u8| if conversation.packets[end] > 0 { bit } else { 0 };
    let last_time = shares.iter().flatten().map(|(_, last)| *last).max().unwrap_or(context.time);
    let is_icmp = matches!(flow.proto, ICMP | ICMPV6);
    let icmp = flow.icmp.filter(|_| is_icmp);
    let end_reason = if context.is_last_share {
        flow.end_reason.unwrap_or_else(|| closed_by(part.flags, verdict.outcome))
    } else {
        EndReason::Active
    };
    Flow {
        sensor: context.config.sensor.clone(),
        site: context.config.site.clone(),
        boot: context.config.boot,
        seq: 0,
        input: context.config.input.clone(),
        sampling: flow.sampling.max(1),
        event_time: context.time,
        first_time: context.time,
        // A flow that gave up all it held at once stays in one pane.
        last_time: last_time.min(pane_start(context.time) + weir_schemas::PANE_US - 1),
        clock_offset_us: 0,
        src: src.clone(),
        dst: dst.clone(),
        proto: flow.proto,
        icmp_type: icmp.map(|(kind, _)| kind),
        icmp_code: icmp.map(|(_, code)| code),
        vlan: flow.vlan.clone(),
        tunnel: None,
        initiator: verdict.initiator,
        vantage: vantage(source, VANTAGE_FORWARD) | vantage(responder, VANTAGE_REVERSE),
        outcome: if context.is_first_share { verdict.outcome } else { Outcome::None },
        fwd: counts(source),
        rev: counts(responder),
        flow_id: flow_id(context.sensor_hash, &conversation.community_id, conversation.first_time),
        community_id: conversation.community_id,
        export_index: conversation.exports,
        end_reason,
        capture_drops: 0,
        tcp: tcp(context, part, verdict),
        link: None,
        app: flow.app.clone().filter(|_| context.is_first_share),
        timing: None,
        labels: flow.labels.clone(),
    }
}

/// The TCP block, where flags or state were told: the flags stand in the first share, one packet each at least.
fn tcp(context: &Context<'_>, part: &Part, verdict: Verdict) -> Option<Box<Tcp>> {
    let told = part.flow.state.is_some() || part.flags.iter().any(Option::is_some);
    if part.flow.proto != TCP || !told {
        return None;
    }
    let (source, responder) = (verdict.source, 1 - verdict.source);
    let counts = |end: usize| match part.flags[end] {
        Some(flags) if context.is_first_share => flag_counts(flags, part.directions[end].packets()),
        _ => TcpFlags::default(),
    };
    let flags = part.flags[source].unwrap_or_default();
    let first_flags = match verdict.initiator {
        weir_schemas::Initiator::Probe => flags,
        _ => flags & tcp_flag::SYN,
    };
    let told = part.flow.state.as_ref();
    Some(Box::new(Tcp {
        fwd: counts(source),
        rev: counts(responder),
        first_flags,
        state: told.map_or_else(|| state_word(part.flags, verdict).into(), |told| told.state.clone()),
        history: told.map_or_else(String::new, |told| told.history.chars().take(16).collect()),
        ..Tcp::default()
    }))
}

/// Where one flag alone was set, every packet had it; else one packet at least had each.
fn flag_counts(flags: u8, packets: u64) -> TcpFlags {
    let all = u32::try_from(packets).unwrap_or(u32::MAX);
    let count = |bit: u8| if flags == bit { all } else { u32::from(flags & bit != 0) };
    // Of SYN and ACK together it is not known whether they stood in one segment: a SYN there was.
    TcpFlags {
        syn: count(tcp_flag::SYN),
        syn_ack: 0,
        ack: count(tcp_flag::ACK),
        fin: count(tcp_flag::FIN),
        rst: count(tcp_flag::RST),
        psh: count(tcp_flag::PSH),
        urg: count(tcp_flag::URG),
    }
}

/// Zeek's word for what flags and outcome tell.
fn state_word(flags: [Option<u8>; 2], verdict: Verdict) -> &'static str {
    let of = |end: usize, bit: u8| flags[end].is_some_and(|flags| flags & bit != 0);
    let (source, responder) = (verdict.source, 1 - verdict.source);
    match verdict.outcome {
        Outcome::Unanswered => "S0",
        Outcome::Refused => "REJ",
        Outcome::Completed | Outcome::HalfOpen if of(source, tcp_flag::RST) => "RSTO",
        Outcome::Completed if of(responder, tcp_flag::RST) => "RSTR",
        Outcome::Completed if of(source, tcp_flag::FIN) && of(responder, tcp_flag::FIN) => "SF",
        Outcome::Completed => "S1",
        Outcome::HalfOpen | Outcome::None | Outcome::Expired => "OTH",
    }
}
