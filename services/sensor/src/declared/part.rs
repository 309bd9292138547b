//! A declared flow, or two joined halves, on its way out.

use weir_schemas::{End, Host, Micros};

use super::share::Direction;
use super::verdict::{Facts, Verdict};
use super::{DeclaredFlow, Measured};
use crate::flow::key::FlowKey;

/// A declared flow of which records are to come. Arrays are by end of the key.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) flow: Box<DeclaredFlow>,
    /// The number of its conversation.
    pub(super) conversation: u64,
    /// The end that is `flow.src`.
    pub(super) sender: usize,
    pub(super) directions: [Direction; 2],
    /// TCP flags; absent where not told.
    pub(super) flags: [Option<u8>; 2],
    /// Who began, and the outcome; known once its first record is due.
    pub(super) verdict: Option<Verdict>,
    starts: [Option<Micros>; 2],
}

impl Part {
    pub(super) fn new(conversation: u64, sender: usize, flow: Box<DeclaredFlow>) -> Self {
        let mut part = Self {
            conversation,
            sender,
            directions: [Direction::silent(); 2],
            flags: [None; 2],
            verdict: None,
            starts: [None; 2],
            flow,
        };
        let (fwd, rev) = (part.flow.fwd, part.flow.rev.unwrap_or_default());
        let is_silent = [fwd, rev].iter().all(|measured| measured.packets == 0 && measured.bytes == 0);
        // Whoever tells of a flow has seen a packet of it.
        let fwd = if is_silent { Measured { packets: 1, ..fwd } } else { fwd };
        let (start, end) = (part.flow.start, part.flow.end);
        let (flags_fwd, flags_rev) = (part.flow.flags_fwd, part.flow.flags_rev);
        part.fill(sender, (start, end), fwd, flags_fwd);
        part.fill(1 - sender, (start, end), rev, flags_rev);
        part
    }

    /// Adds the other half, sent by `sender`.
    pub(super) fn join(&mut self, other: DeclaredFlow, sender: usize) {
        self.fill(sender, (other.start, other.end), other.fwd, other.flags_fwd);
        let half = &mut *self.flow;
        half.rev = Some(other.fwd);
        half.end = half.end.max(other.end);
        half.outcome = half.outcome.or(other.outcome);
        half.app = half.app.take().or(other.app);
        half.end_reason = half.end_reason.max(other.end_reason);
        for label in other.labels {
            if !half.labels.contains(&label) {
                half.labels.push(label);
            }
        }
        complete(&mut half.src, other.dst);
        complete(&mut half.dst, other.src);
        if other.is_initiator_declared && !half.is_initiator_declared {
            half.is_initiator_declared = true;
            std::mem::swap(&mut half.src, &mut half.dst);
            self.sender = sender;
        }
    }

    /// The time of what is to be sent next.
    pub(super) fn next(&self) -> Option<Micros> {
        self.directions.iter().filter_map(Direction::next).min()
    }

    /// What tells who began and how it went.
    pub(super) fn facts<'a>(&'a self, key: &'a FlowKey, is_warm: bool, tells_both: bool) -> Facts<'a> {
        let flow = &self.flow;
        Facts {
            key,
            declared: flow.is_initiator_declared.then_some(self.sender),
            starts: self.starts,
            packets: self.directions.each_ref().map(Direction::packets),
            bytes: self.directions.each_ref().map(Direction::bytes),
            flags: self.flags,
            icmp: flow.icmp.map(|(kind, _)| (self.sender, kind)),
            state: flow.state.as_ref(),
            outcome: flow.outcome,
            is_warm,
            is_sampled: flow.sampling > 1,
            tells_both,
        }
    }

    fn fill(&mut self, end: usize, (start, stop): (Micros, Micros), measured: Measured, flags: Option<u8>) {
        if measured.packets > 0 || measured.bytes > 0 {
            self.starts[end] = Some(start);
        }
        self.flags[end] = flags.filter(|flags| self.flow.proto == TCP && *flags != 0);
        let payload = measured.payload.unwrap_or_else(|| {
            let is_v6 = matches!(self.flow.src.host, Host::V6(_));
            least_payload(measured, self.flow.proto, is_v6)
        });
        self.directions[end] = Direction::new(start, stop, measured, payload);
    }
}

const TCP: u8 = 6;

/// The payload there must be at least: what the longest usual headers leave. TCP's are up to 60 bytes (RFC 9293 §3.1).
fn least_payload(measured: Measured, protocol: u8, is_v6: bool) -> u64 {
    let network = if is_v6 { 40 } else { 20 };
    let transport = match protocol {
        TCP => 60,
        _ => 8,
    };
    if measured.packets == 0 {
        return 0;
    }
    measured.bytes.saturating_sub(measured.packets.saturating_mul(network + transport))
}

/// Takes over what only the other half knows of an end.
fn complete(end: &mut End, other: End) {
    end.mac = end.mac.or(other.mac);
    end.name = end.name.take().or(other.name);
    end.country = end.country.take().or(other.country);
    end.asn = end.asn.or(other.asn);
}
