//! Who began a declared conversation and what became of the attempt, as far as flags, state and times tell.
//!
//! Exporters or the TCP flags of all packets together, so the order of segments is lost: a SYN without ACK can still be told
//! from everything else, a SYN-ACK cannot be told from a SYN that was followed by ACKs.

use weir_schemas::{EndReason, Initiator, Micros, Outcome};

use super::ConnState;
use crate::flow::icmp::{self, ICMP, ICMPV6, Role};
use crate::flow::key::FlowKey;
use crate::flow::orientation::by_ends;
use crate::flow::services::is_well_known;
use crate::packet::tcp_flag::{ACK, FIN, RST, SYN};

const TCP: u16 = 6;
const UDP: u16 = 17;

/// A bare segment is at most this long: the longest headers of IPv4 or IPv6 and of TCP without payload.
const LONGEST_BARE: u64 = 100;

/// What is known of a conversation when its first record is due. Everything is by end of the key.
#[derive(Clone, Debug)]
pub(super) struct Facts<'a> {
    pub(super) key: &'a FlowKey,
    /// The end that the input says initiated.
    pub(super) declared: Option<usize>,
    pub(super) starts: [Option<Micros>; 2],
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
    /// All TCP flags or-ed; absent where not told.
    pub(super) flags: [Option<u8>; 2],
    /// ICMP type of the message that the end sent.
    pub(super) icmp: Option<(usize, u8)>,
    pub(super) state: Option<&'a ConnState>,
    pub(super) outcome: Option<Outcome>,
    /// The sensor is up long enough to take the first packet that it is told of for the first one there was.
    pub(super) is_warm: bool,
    /// Only some packets were looked at: flags and silence tell nothing of the rest.
    pub(super) is_sampled: bool,
    /// Silence of the other end means something: the input tells both directions.
    pub(super) tells_both: bool,
}

/// What a conversation was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) source: usize,
    pub(super) initiator: Initiator,
    pub(super) outcome: Outcome,
}

impl Verdict {
    /// Nothing is known.
    pub(super) const UNKNOWN: Self = Self { source: 0, initiator: Initiator::Address, outcome: Outcome::None };
}

impl Facts<'_> {
    /// Source, evidence and outcome.
    pub(super) fn verdict(&self) -> Verdict {
        let (source, initiator) = self.source();
        let outcome = if initiator.is_evidence() { self.outcome_of(source, initiator) } else { Outcome::None };
        Verdict { source, initiator, outcome }
    }

    fn source(&self) -> (usize, Initiator) {
        if let Some(end) = self.declared {
            return (end, Initiator::Declared);
        }
        let found = match self.key.protocol {
            TCP => self.source_by_flags(),
            _ => self.source_by_message(),
        };
        found.unwrap_or_else(|| by_ends(self.key))
    }

    fn source_by_flags(&self) -> Option<(usize, Initiator)> {
        let is_syn = |flags: u8| flags & (SYN | ACK) == SYN;
        match self.flags {
            [Some(low), Some(high)] if is_syn(low) && is_syn(high) => {
                return Some((self.earlier().unwrap_or(0), Initiator::Syn));
            }
            [Some(low), _] if is_syn(low) => return Some((0, Initiator::Syn)),
            [_, Some(high)] if is_syn(high) => return Some((1, Initiator::Syn)),
            // Of two ends that sent a SYN, the one that came first cannot have answered.
            [Some(low), Some(high)] if low & high & SYN != 0 => return Some((self.earlier()?, Initiator::Syn)),
            _ => {}
        }
        (0..2).find(|end| self.is_probe(*end)).map(|end| (end, Initiator::Probe))
    }

    /// Rule 3: segments with neither ACK nor RST, or a bare ACK that was answered by a RST.
    fn is_probe(&self, end: usize) -> bool {
        let Some(flags) = self.flags[end] else { return false };
        if flags & (SYN | ACK | RST) == 0 {
            return true;
        }
        let is_bare = flags == ACK && self.bytes[end] <= self.packets[end].saturating_mul(LONGEST_BARE);
        let is_reset = self.flags[1 - end].is_some_and(|other| other & (SYN | ACK | RST) == RST);
        is_bare && is_reset && !is_well_known(self.key.ports[end])
    }

    fn source_by_message(&self) -> Option<(usize, Initiator)> {
        if let Some((sender, kind)) = self.icmp {
            match icmp::role(self.key.protocol as u8, kind) {
                Role::Request => return Some((sender, Initiator::FirstPacket)),
                // An error names the source of a packet that is not told of here.
                Role::Reply if !icmp::is_error(self.key.protocol as u8, kind) => {
                    return Some((1 - sender, Initiator::FirstPacket));
                }
                Role::Reply | Role::Neither => {}
            }
            return None;
        }
        let first = if self.is_warm { self.earlier() } else { None }?;
        // What goes from a service's port to another port is an answer whose request was not told of.
        let is_answer = self.key.protocol == UDP
            && is_well_known(self.key.ports[first])
            && !is_well_known(self.key.ports[1 - first]);
        (!is_answer).then_some((first, Initiator::FirstPacket))
    }

    /// The end that began to send before the other one did, if the times tell.
    fn earlier(&self) -> Option<usize> {
        match self.starts {
            [Some(low), Some(high)] if low < high => Some(0),
            [Some(low), Some(high)] if high < low => Some(1),
            [Some(_), None] => Some(0),
            [None, Some(_)] => Some(1),
            _ => None,
        }
    }

    fn outcome_of(&self, source: usize, initiator: Initiator) -> Outcome {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        if let Some(state) = self.state.filter(|_| self.key.protocol == TCP) {
            return of_state(state);
        }
        if self.is_sampled {
            return Outcome::None;
        }
        let has_asked = self.packets[source] > 0;
        let has_answered = self.packets[1 - source] > 0;
        match self.key.protocol {
            _ if !has_asked => Outcome::None,
            TCP => self.outcome_by_flags(source, initiator),
            protocol if is_icmp(protocol) && !self.is_icmp_request(source) => Outcome::None,
            _ if has_answered => Outcome::Completed,
            _ if self.tells_both => Outcome::Unanswered,
            _ => Outcome::None,
        }
    }

    fn is_icmp_request(&self, source: usize) -> bool {
        match self.icmp {
            Some((sender, kind)) => sender == source && icmp::role(self.key.protocol as u8, kind) == Role::Request,
            // Declared by an input that tells no types.
            None => self.declared.is_some(),
        }
    }

    fn outcome_by_flags(&self, source: usize, initiator: Initiator) -> Outcome {
        let has_answered = self.packets[1 - source] > 0;
        let asked = self.flags[source];
        let answer = self.flags[1 - source].filter(|_| has_answered);
        let (Some(asked), Some(answer)) = (asked, if has_answered { answer } else { Some(0) }) else {
            return self.outcome_by_packets(source, asked);
        };
        let is_reset = answer & (SYN | RST) == RST;
        if initiator == Initiator::Probe {
            return match (has_answered, is_reset) {
                (false, _) => Outcome::Unanswered,
                (true, true) => Outcome::Refused,
                (true, false) => Outcome::Completed,
            };
        }
        match (asked & SYN != 0, asked & ACK != 0) {
            // Its beginning was not seen.
            (false, _) => Outcome::None,
            _ if has_answered && is_reset => Outcome::Refused,
            (true, true) => Outcome::Completed,
            (true, false) if answer & SYN != 0 => Outcome::HalfOpen,
            (true, false) if !has_answered => Outcome::Unanswered,
            // It answered with neither SYN nor RST.
            (true, false) => Outcome::None,
        }
    }

    /// TCP without the flags of an end that sent: a handshake takes two packets of the source, a refusal one.
    fn outcome_by_packets(&self, source: usize, asked: Option<u8>) -> Outcome {
        let is_beginning = asked.is_some_and(|flags| flags & SYN != 0) || self.declared == Some(source);
        match (self.packets[source], self.packets[1 - source]) {
            _ if !is_beginning => Outcome::None,
            (_, 0) if self.tells_both => Outcome::Unanswered,
            (2.., 1..) if asked.is_none_or(|flags| flags & ACK != 0) => Outcome::Completed,
            _ => Outcome::None,
        }
    }
}

fn is_icmp(protocol: u16) -> bool {
    protocol == u16::from(ICMP) || protocol == u16::from(ICMPV6)
}

/// What Zeek's words say of the attempt. Source: Zeek, `base/protocols/conn/main.zeek`.
fn of_state(state: &ConnState) -> Outcome {
    let sent = |letters: &[char]| state.history.contains(letters);
    // A scanner that answers the SYN-ACK with a RST, or not at all: nothing of it that acknowledges.
    let is_half_open = sent(&['S']) && sent(&['h']) && !sent(&['A', 'D', 'F']);
    match &*state.state {
        "S0" | "SH" | "RSTOS0" => Outcome::Unanswered,
        "REJ" => Outcome::Refused,
        "S1" | "RSTO" | "RSTR" if is_half_open => Outcome::HalfOpen,
        "S1" | "S2" | "S3" | "SF" | "RSTO" | "RSTR" => Outcome::Completed,
        _ => Outcome::None,
    }
}

/// Why a conversation ended, as far as its flags or its outcome tell.
pub(super) fn closed_by(flags: [Option<u8>; 2], outcome: Outcome) -> EndReason {
    let flags = flags.map(Option::unwrap_or_default);
    match outcome {
        _ if (flags[0] | flags[1]) & RST != 0 => EndReason::Rst,
        _ if flags[0] & flags[1] & FIN != 0 => EndReason::Fin,
        Outcome::Unanswered => EndReason::Unanswered,
        _ => EndReason::Active,
    }
}
