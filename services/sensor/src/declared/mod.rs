//! Flows that somebody else measured: exporters, collectors and logs. Their readers produce [`DeclaredFlow`]s.

mod conversation;
mod part;
mod record;
#[cfg(test)]
mod sensor_tests;
mod share;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub use table::DeclaredTable;

use std::net::IpAddr;

use crate::packet::tcp_flag::{ACK, SYN};
use weir_schemas::{App, End, EndReason, Micros, Outcome, Text};

/// Who measured a flow. Halves of a conversation are joined only within one exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exporter {
    /// Address the export came from.
    pub address: IpAddr,
    /// Observation domain (IPFIX), source id (v9), engine (v5, v7) or agent's data source (sFlow).
    pub domain: u32,
}

/// What was counted in one direction. Sampled packets as counted: readers of records apply [`DeclaredFlow::sampling`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Packets; 0 beside bytes where they are not told.
    pub packets: u64,
    /// IP bytes, headers included.
    pub bytes: u64,
    /// Transport payload bytes, where the input has them.
    pub payload: Option<u64>,
}

/// A TCP connection's state in Zeek's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnState {
    /// `conn_state`: `S0`, `SF`, `REJ`, …
    pub state: Text,
    /// `history`: letters, upper case for the originator.
    pub history: Text,
}

/// A flow as its input tells it: one conversation, one of its halves, or what of either was exported so far.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredFlow {
    /// Who measured it; absent where the input says nothing of it.
    pub exporter: Option<Exporter>,
    /// Time of the first packet.
    pub start: Micros,
    /// Time of the last packet; an `end` before `start` counts as `start`.
    pub end: Micros,
    /// Sender of the forward direction.
    pub src: End,
    /// Receiver of the forward direction.
    pub dst: End,
    /// IP protocol number; 1 and 58 are ICMP.
    pub proto: u8,
    /// ICMP type and code.
    pub icmp: Option<(u8, u8)>,
    /// From `src` to `dst`.
    pub fwd: Measured,
    /// From `dst` to `src`; absent where the input measures each direction by itself, and the other half may follow.
    pub rev: Option<Measured>,
    /// The input says that `src` initiated: Zeek's originator, a biflow's initiator (RFC 5103), an agent's own word.
    pub is_initiator_declared: bool,
    /// The input tells each connection once, from its beginning to its end.
    pub is_whole: bool,
    /// All TCP flags that the forward packets had, or-ed, as on the wire (low byte);
    /// 0 where the input has no flags: exporters that do not look at them say so.
    pub flags_fwd: Option<u8>,
    /// Likewise of the reverse packets.
    pub flags_rev: Option<u8>,
    /// TCP state, where the input tells it.
    pub state: Option<ConnState>,
    /// What became of the attempt, where the input says so itself (a firewall's verdict); else state and flags tell.
    pub outcome: Option<Outcome>,
    /// Packets that one counted packet stands for; 1 = unsampled, or already multiplied by the exporter.
    pub sampling: u32,
    /// VLAN ids, outermost first.
    pub vlan: Vec<u16>,
    /// Why the exporter sent it; `Active` where the flow goes on.
    pub end_reason: Option<EndReason>,
    /// What the payload told.
    pub app: Option<Box<App>>,
    /// Names and values kept for evaluation.
    pub labels: Vec<(Text, Text)>,
}

impl DeclaredFlow {
    /// A flow of one direction with nothing known but its ends and times.
    #[must_use]
    pub fn new(src: End, dst: End, proto: u8, start: Micros, end: Micros) -> Self {
        Self {
            exporter: None,
            start,
            end,
            src,
            dst,
            proto,
            icmp: None,
            fwd: Measured::default(),
            rev: None,
            is_initiator_declared: false,
            is_whole: false,
            flags_fwd: None,
            flags_rev: None,
            state: None,
            outcome: None,
            sampling: 1,
            vlan: Vec::new(),
            end_reason: None,
            app: None,
            labels: Vec::new(),
        }
    }

    /// An attempt that nobody answered.
    fn is_bare_attempt(&self) -> bool {
        let is_answered = self.rev.is_some_and(|rev| rev.packets > 0);
        let is_syn_only = self.flags_fwd.is_some_and(|flags| flags & (SYN | ACK) == SYN);
        let is_unanswered = self.outcome == Some(Outcome::Unanswered);
        let is_s0 = self.proto == 6 && self.state.as_ref().is_some_and(|state| &*state.state == "S0");
        !is_answered && (is_syn_only || is_unanswered || is_s0)
    }
}
