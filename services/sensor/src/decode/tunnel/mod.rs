//! Packets inside packets: the inner one is judged, the tunnel around it kept beside it.
//!
//! A layer that is not understood ends the descent: the packet around it is judged as it stands, and the layer is counted
//! by its kind. Tunnels over UDP are believed only where the port and every fixed bit of their header fit.

mod erspan;
mod geneve;
mod gre;
pub(super) mod mpls;
pub(super) mod pppoe;
mod teredo;
#[cfg(test)]
mod tests;
mod vxlan;

use super::ip::{self, Network};
use super::{DecodeError, link, number16};
use crate::packet::{Body, Encapsulation, OuterFragment, Packet, TunnelEnds};

/// Tunnels that are opened inside each other. Real nestings have two or three (a mirrored VXLAN over MPLS); Linux
/// refuses to nest more than this when it sends (its `IP_TUNNEL_RECURSION_LIMIT`).
const MOST_LAYERS: u8 = 5;

const IPV4: u8 = 4;
const UDP: u8 = 17;
const IPV6: u8 = 41;
const GRE: u8 = 47;

/// What came of looking into a layer.
pub(super) enum Opened {
    /// There is no tunnel.
    Plain,
    /// The packet's body is the inner packet.
    Inner(Option<DecodeError>),
    /// There is a tunnel whose content is not understood.
    Strange(DecodeError),
}

/// A tunnel's header.
struct Header {
    kind: &'static str,
    id: u32,
    /// Bytes before the inner packet.
    length: usize,
    inner: Inner,
    /// What is counted if the inner packet is not understood.
    error: DecodeError,
}

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inner {
    Ethernet,
    Ip,
    Mpls,
}

/// What a file of a protocol says to bytes where its header may stand.
enum Parsed {
    Header(Header),
    /// Something else that uses the same port.
    Other,
    /// A variant that cannot be decoded, or damage.
    Strange(DecodeError),
}

/// Whether an IP packet of this protocol may carry another one: all others pay for this test only.
#[inline]
pub(super) fn is_candidate(proto: u8, payload: &[u8]) -> bool {
    match proto {
        UDP => {
            number16(payload, 2).is_some_and(|port| matches!(port, vxlan::PORT | geneve::PORT | teredo::PORT))
                || number16(payload, 0) == Some(teredo::PORT)
        }
        IPV4 | IPV6 | GRE => true,
        _ => false,
    }
}

/// Opens what an IP packet carries.
pub(super) fn open(packet: &mut Packet, network: &Network<'_>) -> Opened {
    let (data, wire) = (network.payload, network.payload_wire);
    let parsed = match network.proto {
        IPV4 | IPV6 => Parsed::Header(of_ip(network)),
        GRE => gre::parse(data),
        UDP => udp(data, wire),
        _ => Parsed::Other,
    };
    let header = match parsed {
        Parsed::Header(header) => header,
        Parsed::Other => return Opened::Plain,
        Parsed::Strange(error) => return Opened::Strange(error),
    };
    let layer = Layer {
        kind: header.kind,
        id: header.id,
        ends: TunnelEnds::Hosts(network.src.clone(), network.dst.clone()),
        length: Some(network.length),
        fragment: network.fragment.map(|fragment| OuterFragment {
            src: network.src.clone(),
            dst: network.dst.clone(),
            proto: fragment.protocol,
            id: fragment.id,
        }),
        error: header.error,
    };
    let Some(inner) = data.get(header.length..) else { return Opened::Strange(header.error) };
    enter(packet, layer, header.inner, inner, wire.saturating_sub(header.length as u32))
}

/// IP in IP (RFC 2003), IPv6 in IPv4 (RFC 4213, `6in4` and 6to4), and both in IPv6 (RFC 2473).
fn of_ip(network: &Network<'_>) -> Header {
    let kind = match (network.proto == IPV4, matches!(network.src, weir_schemas::Host::V4(_))) {
        (true, true) => "ipip",
        (false, true) => "6in4",
        (true, false) => "4in6",
        (false, false) => "6in6",
    };
    Header { kind, id: 0, length: 0, inner: Inner::Ip, error: DecodeError::IpInIp }
}

fn udp(datagram: &[u8], wire: u32) -> Parsed {
    const UDP_HEADER: usize = 8;
    let (Some(source), Some(destination)) = (number16(datagram, 0), number16(datagram, 2)) else {
        return Parsed::Other;
    };
    let Some(data) = datagram.get(UDP_HEADER..) else { return Parsed::Other };
    let parsed = match (source, destination) {
        (_, vxlan::PORT) => vxlan::parse(data),
        (_, geneve::PORT) => geneve::parse(data),
        (teredo::PORT, _) | (_, teredo::PORT) => teredo::parse(data, wire.saturating_sub(UDP_HEADER as u32)),
        _ => Parsed::Other,
    };
    match parsed {
        Parsed::Header(header) => Parsed::Header(Header { length: header.length + UDP_HEADER, ..header }),
        other => other,
    }
}

/// A tunnel about to be entered.
pub(super) struct Layer {
    pub(super) kind: &'static str,
    pub(super) id: u32,
    pub(super) ends: TunnelEnds,
    pub(super) length: Option<u32>,
    pub(super) fragment: Option<OuterFragment>,
    pub(super) error: DecodeError,
}

/// Decodes the inner packet into `packet`, or leaves that as it was.
fn enter(packet: &mut Packet, layer: Layer, inner: Inner, data: &[u8], wire: u32) -> Opened {
    let layers = packet.tunnel.as_ref().map_or(0, |outer| outer.layers);
    if layers == MOST_LAYERS {
        return Opened::Strange(DecodeError::TunnelNesting);
    }
    let around = (packet.src_mac, packet.dst_mac, packet.vlan, packet.tunnel.take());
    let outermost = around.3.as_deref();
    packet.tunnel = Some(Box::new(Encapsulation {
        kind: layer.kind,
        ends: layer.ends,
        id: layer.id,
        length: outermost.and_then(|outer| outer.length).or(layer.length),
        fragment: outermost.and_then(|outer| outer.fragment.clone()).or(layer.fragment),
        layers: layers + 1,
    }));
    let error = match inner {
        Inner::Ethernet => link::ethernet(packet, data, wire),
        Inner::Ip => ip::decode(packet, data, wire),
        Inner::Mpls => mpls::decode(packet, data, wire),
    };
    if !matches!(packet.body, Body::Other) {
        return Opened::Inner(error);
    }
    (packet.src_mac, packet.dst_mac, packet.vlan, packet.tunnel) = around;
    Opened::Strange(error.filter(|error| *error == DecodeError::TunnelNesting).unwrap_or(layer.error))
}

/// The ends of a tunnel without an IP packet of its own: those of the tunnel around it, or of the frame.
fn ends_around(packet: &Packet) -> TunnelEnds {
    packet.tunnel.as_ref().map_or_else(
        || TunnelEnds::Macs(packet.src_mac.unwrap_or_default(), packet.dst_mac.unwrap_or_default()),
        |outer| outer.ends.clone(),
    )
}
