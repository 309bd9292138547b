//! What an ICMP or `ICMPv6` type says: request, answer, error.

use weir_schemas::Outcome;

use super::community::counterpart;

/// IP protocol number of ICMP.
pub(crate) const ICMP: u8 = 1;
/// IP protocol number of `ICMPv6`.
pub(crate) const ICMPV6: u8 = 58;

/// Who speaks first in an exchange of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Asks: its sender is the source.
    Request,
    /// Answers: its receiver is the source.
    Reply,
    /// Says neither.
    Neither,
}

/// The role of a message. Errors are answers to the packet that they quote.
pub(crate) fn role(protocol: u8, kind: u8) -> Role {
    if is_error(protocol, kind) {
        return Role::Reply;
    }
    match (protocol, kind) {
        // RFC 792, RFC 950, RFC 1256: echo, timestamp, information, mask, router discovery; then RFC 4443, RFC 2710,
        // RFC 4861, RFC 4620, RFC 6275.
        (ICMP, 8 | 13 | 15 | 17 | 10) | (ICMPV6, 128 | 130 | 133 | 135 | 139 | 144) => Role::Request,
        (ICMP, 0 | 14 | 16 | 18 | 9) | (ICMPV6, 129 | 131 | 134 | 136 | 140 | 145) => Role::Reply,
        _ => Role::Neither,
    }
}

/// Whether the message reports an error about a packet (RFC 792; RFC 4443 §2.1: types below 128).
pub(crate) fn is_error(protocol: u8, kind: u8) -> bool {
    match protocol {
        ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
        ICMPV6 => kind < 128,
        _ => false,
    }
}

/// What an error says about the attempt it quotes; `None` where the attempt may still succeed.
pub(crate) fn error_outcome(protocol: u8, kind: u8, code: u8) -> Option<Outcome> {
    match (protocol, kind, code) {
        // Code 4, fragmentation needed (RFC 1191): the sender tries again with smaller packets.
        (ICMP, 3, 0..=3 | 5..) | (ICMPV6, 1, _) => Some(Outcome::Refused),
        (ICMP, 11, _) | (ICMPV6, 3, _) => Some(Outcome::Expired),
        _ => None,
    }
}

/// The part of a flow's key that a type gives: equal for a request and its reply.
pub(crate) fn class(protocol: u8, kind: u8) -> u16 {
    counterpart(protocol, kind).map_or(0x100 | u16::from(kind), |other| u16::from(kind.min(other)))
}
