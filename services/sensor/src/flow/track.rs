//! What a packet does to its flow: evidence, attempt, outcome, TCP state, counts.

use weir_schemas::{EndReason, Flow, Micros, Outcome, PANE_US, pane_start};

use super::entry::{Attempt, Slice};
use super::observe::{Content, Observation};
use super::orientation::{Evidence, Rank};
use super::sequence::Findings;
use super::services::is_well_known;
use super::slab::NONE;
use super::table::FlowTable;
use super::tcp::{EndState, TcpTrack};
use crate::packet::tcp_flag::{ACK, RST, SYN};

/// What a segment brought: handshake round trips that it completed, and what it is to the sequences of its flow.
#[derive(Default)]
struct Noted {
    syn: Option<u32>,
    ack: Option<u32>,
    findings: Findings,
    is_duplicate: bool,
}

impl FlowTable {
    /// Whether the packet belongs to a new flow, and why the old one then ends.
    pub(super) fn superseded(&self, id: u32, observation: &Observation<'_>) -> Option<EndReason> {
        let entry = self.flows.get(id);
        let sender = observation.sender;
        if let Content::Segment { sequence, .. } = observation.content
            && observation.is_syn()
        {
            if is_syn_again((entry.syn_end, entry.syn_sequence), &entry.tcp, sender, sequence) {
                return None;
            }
            if entry.closed != EndReason::Active {
                return Some(entry.closed);
            }
            let other_spoke = entry.spoke[1 - sender];
            return match entry.syn_end {
                Some(end) if usize::from(end) != sender => None,
                Some(_) if sequence == entry.syn_sequence => None,
                Some(_) if !other_spoke || matches!(entry.outcome, Outcome::Refused | Outcome::Expired) => {
                    Some(EndReason::Unanswered)
                }
                Some(_) => None,
                // The SYN-ACK came first: two captures merged, or packets out of order.
                None if entry.syn_ack_seen && !entry.spoke[sender] && entry.exports == 0 => None,
                None if !other_spoke => Some(EndReason::Unanswered),
                None => Some(EndReason::Reoriented),
            };
        }
        let evidence = observation.evidence();
        let contrary = entry.fixed && evidence.rank < entry.evidence.rank && evidence.source != entry.evidence.source;
        contrary.then_some(EndReason::Reoriented)
    }

    /// Adds a packet to its flow.
    pub(super) fn track(&mut self, id: u32, observation: &Observation<'_>, out: &mut Vec<Flow>) {
        let was_waiting = self.flows.get(id).waiting;
        self.note_attempt(id, observation);
        if self.flows.get(id).waiting {
            self.note_outcome(id, observation);
        }
        let noted = self.note_segment(id, observation);

        let pane = pane_start(observation.time);
        let slice_id = self.slice_of(id, pane, observation.time);
        let sender = observation.sender;
        let entry = self.flows.get_mut(id);
        entry.spoke[sender] = true;
        for end in 0..2 {
            if let (false, Some(mac)) = (entry.mac_known[end], observation.macs[end]) {
                entry.macs[end] = *mac;
                entry.mac_known[end] = true;
            }
        }
        let settled = was_waiting && !entry.waiting;
        let (ends, history_length) = (entry.tcp.ends, entry.tcp.history_length);

        let slice = self.slices.get_mut(slice_id);
        if let Some(segment) = &observation.segment {
            slice.add_segment(sender, segment);
        }
        if noted.is_duplicate {
            slice.health_mut().duplicate_frame += 1;
        } else if noted.findings != Findings::default() {
            slice.health_mut().add(sender, &noted.findings);
        }
        slice.add(sender, observation.packets, observation.bytes, observation.payload);
        slice.fragments[sender] += observation.fragments;
        slice.last_time = slice.last_time.max(observation.time);
        slice.ends = ends;
        slice.history_length = history_length;
        slice.syn_rtt = noted.syn.or(slice.syn_rtt);
        slice.ack_rtt = noted.ack.or(slice.ack_rtt);

        if observation.time < slice.event_time {
            slice.event_time = observation.time;
            self.note_disorder(pane, observation.time);
        }
        if !observation.head.is_empty() {
            self.read_payload(id, slice_id, observation);
        }
        if settled || pane + PANE_US <= self.clock {
            self.release(id, out);
        }
    }

    /// Notes who seems to be the source, and whether this is an attempt.
    fn note_attempt(&mut self, id: u32, observation: &Observation<'_>) {
        let clock = self.clock;
        let is_warm = clock >= self.warm_from;
        let sender = observation.sender;
        let entry = self.flows.get_mut(id);
        let is_first = entry.spoke == [false; 2];
        let evidence = observation.evidence();
        let known_before = entry.fixed;

        if !entry.fixed && evidence.rank < entry.evidence.rank {
            entry.evidence = evidence;
        }
        let may_be_first = !entry.fixed && entry.evidence.rank == Rank::Nothing && is_first && is_warm;
        let only_first = observation.source_if_first().filter(|_| may_be_first);
        if let Some(source) = only_first {
            entry.evidence = Evidence { rank: Rank::First, source };
        }
        if entry.bare_ack_only && !(observation.is_bare_ack() && sender == usize::from(entry.first_sender)) {
            entry.bare_ack_only = false;
            let prober = 1 - sender;
            let is_reset = matches!(observation.content, Content::Segment { flags, .. } if flags & RST != 0);
            let is_probe = is_reset
                && !entry.fixed
                && !entry.spoke[sender]
                && entry.spoke[prober]
                && entry.waiting
                && !is_well_known(entry.key.ports[prober]);
            if is_probe {
                entry.evidence = Evidence { rank: Rank::Probe, source: prober };
                entry.attempt = Attempt::Probe;
                entry.attempt_end = prober as u8;
            }
        }

        if entry.resumed || entry.exports > 0 || entry.attempt != Attempt::None {
            return;
        }
        let attempt = match (observation.content, evidence.rank) {
            (_, Rank::Syn) => Attempt::Syn,
            (_, Rank::Probe) if is_first => Attempt::Probe,
            (Content::Request, _) => Attempt::Request,
            (Content::Plain, _) if only_first.is_some() && !known_before => Attempt::Request,
            _ => Attempt::None,
        };
        entry.attempt = attempt;
        entry.attempt_end = sender as u8;
        // A flow that keeps the source of an older one names the evidence of its own attempt.
        if attempt != Attempt::None && entry.fixed && evidence.source == entry.evidence.source {
            entry.evidence.rank = evidence.rank;
        }
        let awaits_reset = is_first && entry.bare_ack_only && !entry.fixed;
        if (attempt != Attempt::None || awaits_reset) && !entry.waiting {
            entry.waiting = true;
            entry.deadline = clock + self.config.unanswered_timeout;
            self.held.push_back(&mut self.flows, id, |entry| &mut entry.held);
        }
    }

    /// Notes what the packet says about the outcome of a waiting flow's attempt.
    fn note_outcome(&mut self, id: u32, observation: &Observation<'_>) {
        let entry = self.flows.get_mut(id);
        let from_source = observation.sender == usize::from(entry.attempt_end);
        let outcome = match (entry.attempt, observation.content) {
            (Attempt::None, _) => (!entry.bare_ack_only).then_some(Outcome::None),
            (Attempt::Syn, Content::Segment { flags, .. }) if from_source => {
                if flags & RST != 0 {
                    entry.syn_ack_seen.then_some(Outcome::HalfOpen)
                } else {
                    (flags & (ACK | SYN) == ACK).then_some(Outcome::Completed)
                }
            }
            (_, _) if from_source => None,
            (Attempt::Syn, Content::Error(outcome)) => outcome.filter(|_| !entry.syn_ack_seen),
            (_, Content::Error(outcome)) => outcome,
            (Attempt::Syn, Content::Segment { flags, .. }) if flags & RST != 0 => {
                Some(if entry.syn_ack_seen { Outcome::HalfOpen } else { Outcome::Refused })
            }
            (Attempt::Syn, Content::Segment { flags, .. }) => {
                entry.syn_ack_seen |= flags & ACK != 0;
                None
            }
            (Attempt::Syn, _) => None,
            (Attempt::Probe, Content::Segment { flags, .. }) if flags & RST != 0 => Some(Outcome::Refused),
            (Attempt::Probe | Attempt::Request, _) => Some(Outcome::Completed),
        };
        if let Some(outcome) = outcome {
            self.settle(id, outcome);
        }
    }

    /// Follows the TCP state and its sequences, and measures the handshake.
    fn note_segment(&mut self, id: u32, observation: &Observation<'_>) -> Noted {
        let mut noted = Noted::default();
        let Some(segment) = &observation.segment else { return noted };
        let (flags, sequence) = (segment.tcp.flags, segment.tcp.seq);
        let (sender, time) = (observation.sender, observation.time);
        let entry = self.flows.get_mut(id);
        if entry.spoke == [false; 2] {
            entry.first_flags = flags;
        }
        let Some(findings) = entry.follow(sender, segment, time) else {
            noted.is_duplicate = true;
            return noted;
        };
        noted.findings = findings;
        entry.tcp.segment(sender, flags, observation.payload);

        // A round trip over something sent twice is ambiguous (Karn and Partridge, 1987): it is not measured.
        let from_source = entry.syn_end == Some(sender as u8);
        match (flags & SYN != 0, flags & ACK != 0) {
            (true, false) if flags & RST == 0 => {
                if entry.syn_end.is_none() {
                    entry.syn_end = Some(sender as u8);
                    entry.syn_sequence = sequence;
                    entry.syn_time = time;
                }
                if entry.syn_end == Some(sender as u8) {
                    entry.syn_count = entry.syn_count.saturating_add(1);
                }
            }
            (true, true) if flags & RST == 0 && !from_source => {
                entry.syn_ack_seen = true;
                entry.syn_ack_count = entry.syn_ack_count.saturating_add(1);
                entry.syn_ack_time = time;
                if entry.syn_count == 1 && entry.syn_ack_count == 1 {
                    noted.syn = elapsed(entry.syn_time, time);
                }
            }
            (false, true) if flags & RST == 0 && from_source && entry.syn_ack_count > 0 => {
                if entry.syn_ack_count == 1 {
                    noted.ack = elapsed(entry.syn_ack_time, time);
                }
                // Only the first ACK counts.
                entry.syn_ack_count = u8::MAX;
            }
            _ => {}
        }

        if entry.closed == EndReason::Active {
            if flags & RST != 0 {
                entry.closed = EndReason::Rst;
            } else if entry.tcp.both_closed() {
                entry.closed = EndReason::Fin;
            }
        }
        noted
    }

    /// The flow's slice in `pane`, made if there is none.
    fn slice_of(&mut self, id: u32, pane: Micros, time: Micros) -> u32 {
        let newest = self.flows.get(id).newest;
        let mut newer = NONE;
        let mut place = newest;
        while place != NONE {
            let slice = self.slices.get(place);
            if slice.pane == pane && !slice.ready {
                return place;
            }
            if slice.pane < pane {
                break;
            }
            newer = place;
            place = slice.older;
        }

        let slice = self.slices.insert(Slice::new(id, place, pane, time));
        if newer == NONE {
            self.flows.get_mut(id).newest = slice;
        } else {
            self.slices.get_mut(newer).older = slice;
        }
        self.next_due = self.next_due.min(pane + PANE_US);
        let unsent = self.panes.entry(pane).or_default();
        let disordered = unsent.list.tail() != NONE && self.slices.get(unsent.list.tail()).event_time > time;
        unsent.length += 1;
        unsent.list.push_back(&mut self.slices, slice, |slice| &mut slice.place);
        if disordered {
            self.note_disorder(pane, time);
        }
        slice
    }

    /// The pane's first slice is no longer its earliest.
    fn note_disorder(&mut self, pane: Micros, time: Micros) {
        if let Some(pane) = self.panes.get_mut(&pane) {
            pane.disordered = Some(pane.disordered.map_or(time, |earliest| earliest.min(time)));
        }
    }
}

/// Whether a SYN is one sent before that was never accepted: nobody heard it, or a RST came and the sender insists (Windows
/// tries up to five times). It is the same attempt.
pub(super) fn is_syn_again(syn: (Option<u8>, u32), track: &TcpTrack, sender: usize, sequence: u32) -> bool {
    syn == (Some(sender as u8), sequence) && track.ends[sender] == EndState::SynSent
}

fn elapsed(from: Micros, to: Micros) -> Option<u32> {
    u32::try_from(to - from).ok()
}
