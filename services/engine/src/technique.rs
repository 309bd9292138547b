//! How an attempt was made: what tells one kind of scan from another, and can be read off one record.

use serde::{Deserialize, Serialize};
use weir_schemas::{Flow, Host, Initiator, Outcome};

/// Class of an attempt; the discriminator of scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Technique {
    /// A SYN, half-open or by `connect()`.
    Tcp,
    /// A lone FIN.
    Fin,
    /// No flag at all.
    Null,
    /// FIN with PSH or URG.
    Xmas,
    /// A bare ACK answered by a RST.
    Ack,
    /// A UDP datagram.
    Udp,
    /// An ARP request.
    Arp,
    /// An ICMP echo, timestamp or mask request.
    Icmp,
}

impl Technique {
    /// The word used as discriminator.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Fin => "fin",
            Self::Null => "null",
            Self::Xmas => "xmas",
            Self::Ack => "ack",
            Self::Udp => "udp",
            Self::Arp => "arp",
            Self::Icmp => "icmp",
        }
    }

    /// The class of the attempt in `flow`, if it holds one that scans are made of.
    #[must_use]
    pub fn of(flow: &Flow) -> Option<Self> {
        const ECHO_TIMESTAMP_MASK: [u8; 3] = [8, 13, 17];
        const ECHO_V6: u8 = 128;
        if !flow.is_attempt() || !flow.initiator.is_evidence() {
            return None;
        }
        match flow.proto {
            0 => flow.link.as_ref().filter(|link| !link.gratuitous && link.op == 1).map(|_| Self::Arp),
            1 => flow.icmp_type.filter(|kind| ECHO_TIMESTAMP_MASK.contains(kind)).map(|_| Self::Icmp),
            58 => flow.icmp_type.filter(|kind| *kind == ECHO_V6).map(|_| Self::Icmp),
            6 => Some(flow.tcp.as_ref().map_or(Self::Tcp, |tcp| Self::of_first_flags(tcp.first_flags, flow.initiator))),
            17 => Some(Self::Udp),
            _ => None,
        }
    }

    fn of_first_flags(flags: u8, initiator: Initiator) -> Self {
        const FIN: u8 = 0x01;
        const SYN: u8 = 0x02;
        const PSH_URG: u8 = 0x28;
        const ACK: u8 = 0x10;
        const EVERY: u8 = 0x3f;
        if initiator != Initiator::Probe || flags & SYN != 0 {
            return Self::Tcp;
        }
        match flags & EVERY {
            0 => Self::Null,
            FIN => Self::Fin,
            flags if flags & ACK != 0 => Self::Ack,
            flags if flags & PSH_URG != 0 => Self::Xmas,
            _ => Self::Fin,
        }
    }
}

/// Whether the attempt in `flow` failed in a way that says something about its target: nobody answered, or the target refused.
/// One that expired on the way never reached it; one to a group address is answered by whoever likes.
#[must_use]
pub fn failed(flow: &Flow) -> bool {
    const PROBE_PACKETS: u64 = 3;
    let unreached = match flow.outcome {
        Outcome::HalfOpen | Outcome::Refused => true,
        // A stream of datagrams that nobody answers is one-way media, not a probe.
        Outcome::Unanswered => flow.proto != 17 || flow.fwd.packets <= PROBE_PACKETS,
        Outcome::None | Outcome::Completed | Outcome::Expired => false,
    };
    unreached && !is_group(&flow.dst.host)
}

fn is_group(host: &Host) -> bool {
    match host {
        Host::V4(address) => address.is_multicast() || address.is_broadcast() || address.is_unspecified(),
        Host::V6(address) => address.is_multicast() || address.is_unspecified(),
        Host::Name(_) => false,
    }
}
