//! Who is the source of a conversation: the rules of orientation, strongest first.

use weir_schemas::Initiator;

use super::key::FlowKey;
use super::services::is_well_known;

/// How strong an indication is. Rule 4 has two ranks: a message that says so beats having been first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Rank {
    /// Rule 1.
    Syn,
    /// Rule 2.
    SynAck,
    /// Rule 3.
    Probe,
    /// Rule 4: ARP, ICMP or DNS says who asks.
    Message,
    /// Rule 4: the sender of the first packet, once the sensor is warm.
    First,
    /// Nothing seen: rules 5 to 7 decide.
    Nothing,
}

/// What a packet says about who is the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) rank: Rank,
    /// The end that is the source.
    pub(super) source: usize,
}

impl Evidence {
    pub(super) const NOTHING: Self = Self { rank: Rank::Nothing, source: 0 };

    /// The source end, and the rule that named it.
    pub(super) fn decide(self, key: &FlowKey) -> (usize, Initiator) {
        match self.rank {
            Rank::Syn => (self.source, Initiator::Syn),
            Rank::SynAck => (self.source, Initiator::SynAck),
            Rank::Probe => (self.source, Initiator::Probe),
            Rank::Message | Rank::First => (self.source, Initiator::FirstPacket),
            Rank::Nothing => by_ends(key),
        }
    }
}

/// Rules 5 to 7: pure functions of the ends, so that sensors without evidence agree.
pub(crate) fn by_ends(key: &FlowKey) -> (usize, Initiator) {
    // An ICMP key's ports are no ports.
    if !matches!(key.protocol, 6 | 17 | 132) {
        return (0, Initiator::Address);
    }
    match (is_well_known(key.ports[0]), is_well_known(key.ports[1])) {
        (true, false) => return (1, Initiator::Port),
        (false, true) => return (0, Initiator::Port),
        _ => {}
    }
    match key.ports[0].cmp(&key.ports[1]) {
        std::cmp::Ordering::Greater => (0, Initiator::Port),
        std::cmp::Ordering::Less => (1, Initiator::Port),
        std::cmp::Ordering::Equal => (0, Initiator::Address),
    }
}
