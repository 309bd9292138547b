//! Frames to packets: link, network and transport headers, as far as they were captured.
//!
//! Written by hand for speed; etherparse is its oracle in the property tests. Lengths come from the IP header, never from
//! the captured bytes, so a snap length costs headers at most.

mod arp;
pub(crate) mod fragments;
mod ip;
mod link;
mod options;
#[cfg(test)]
mod oracle_tests;
mod transport;
mod tunnel;

pub use link::LinkType;
use weir_schemas::Micros;

use crate::packet::Packet;

/// What is wrong with a frame, beyond being cut by the snap length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The interface has a link type that cannot be decoded.
    LinkType,
    /// The link-layer header does not fit into the frame.
    Link,
    /// An IPv4 header that does not fit, or whose lengths contradict each other.
    Ipv4,
    /// An IPv6 header that does not fit, or extension headers that run over its end.
    Ipv6,
    /// An IP packet of a version that is neither 4 nor 6.
    IpVersion,
    /// A TCP header that does not fit.
    Tcp,
    /// A UDP header that does not fit.
    Udp,
    /// An ICMP header that does not fit.
    Icmp,
    /// An ARP message that does not fit.
    Arp,
    /// VXLAN whose inner frame carries no packet that can be decoded.
    Vxlan,
    /// Likewise Geneve.
    Geneve,
    /// GRE of another version, with source routes, or around something that cannot be decoded.
    Gre,
    /// ERSPAN of another type, or around something that cannot be decoded.
    Erspan,
    /// IP in IP around something that is none.
    IpInIp,
    /// Teredo around something that cannot be decoded.
    Teredo,
    /// PPP over Ethernet with a protocol that cannot be decoded.
    Pppoe,
    /// MPLS labels before something that is neither IP nor Ethernet.
    Mpls,
    /// More tunnels inside each other than are opened.
    TunnelNesting,
    /// A line of text that looks like a packet and cannot be understood.
    Text,
}

impl DecodeError {
    /// The label of the counter.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::LinkType => "link_type",
            Self::Link => "link",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::IpVersion => "ip_version",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Arp => "arp",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::IpInIp => "ip_in_ip",
            Self::Teredo => "teredo",
            Self::Pppoe => "pppoe",
            Self::Mpls => "mpls",
            Self::TunnelNesting => "tunnel_nesting",
            Self::Text => "text",
        }
    }
}

/// Decodes one frame of `wire_length` bytes of which `captured` are at hand. A frame with an error still gives what was
/// decoded before it; a frame of which nothing could be decoded is [`Body::Other`](crate::packet::Body::Other).
#[must_use]
pub fn decode_frame(
    link: LinkType,
    time: Micros,
    captured: &[u8],
    wire_length: u32,
) -> (Box<Packet>, Option<DecodeError>) {
    // Decoded where it stays: it passes many hands on its way to the flow table, and to move it took a seventh of the time.
    let mut packet = Box::new(Packet::unread(time));
    let error = link::decode(link, &mut packet, captured, wire_length);
    (packet, error)
}

/// The big-endian number at `at`, if it was captured.
#[inline]
fn number16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The big-endian number at `at`, if it was captured.
#[inline]
fn number32(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at + 4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
