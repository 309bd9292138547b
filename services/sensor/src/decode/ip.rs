//! IPv4 (RFC 791) and IPv6 (RFC 8200): addresses, length, fragments, extension headers.

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_schemas::Host;

use super::fragments::HEAD_BYTES;
use super::tunnel::{self, Opened};
use super::{DecodeError, number16, number32, transport};
use crate::packet::{Body, Fragment, IpPacket, Packet, Quoted, TcpSegment, Transport, quirk};

const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;

/// The headers of a packet up to its transport header.
pub(super) struct Network<'a> {
    pub(super) src: Host,
    pub(super) dst: Host,
    pub(super) proto: u8,
    pub(super) length: u32,
    ttl: u8,
    id: u16,
    /// Oddities of the header that a SYN's shape holds.
    quirks: u32,
    pub(super) fragment: Option<Place>,
    /// Captured bytes after the last network header, without padding of the link layer.
    pub(super) payload: &'a [u8],
    /// Bytes after the last network header on the wire.
    pub(super) payload_wire: u32,
    error: Option<DecodeError>,
}

/// A fragment as its header describes it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) id: u32,
    offset: u16,
    more: bool,
    /// Protocol of what was cut up.
    pub(super) protocol: u8,
    /// Bytes of headers before its data.
    at: u32,
}

/// Decodes an IP packet whose frame has `wire` bytes from the IP header on.
#[inline]
pub(super) fn decode(packet: &mut Packet, data: &[u8], wire: u32) -> Option<DecodeError> {
    let network = match network(data, wire) {
        Ok(network) => network,
        Err(error) => return Some(error),
    };
    let mut error = network.error;
    let later_fragment = network.fragment.is_some_and(|fragment| fragment.offset != 0);
    let is_readable = !later_fragment && error.is_none();
    if is_readable && tunnel::is_candidate(network.proto, network.payload) {
        match tunnel::open(packet, &network) {
            Opened::Plain => {}
            Opened::Inner(error) => return error,
            Opened::Strange(strange) => error = Some(strange),
        }
    }
    let mut transport = if is_readable {
        transport::decode(network.proto, network.payload, network.payload_wire, &mut error)
    } else {
        Transport::None
    };
    if let Transport::Tcp(TcpSegment { syn: Some(shape), .. }) = &mut transport {
        shape.quirks |= network.quirks;
    }
    let fragment = network.fragment.map(|place| Box::new(fragment(place, data, network.length)));
    set_body(packet, network, fragment, transport);
    error
}

#[inline]
fn set_body(packet: &mut Packet, network: Network<'_>, fragment: Option<Box<Fragment>>, transport: Transport) {
    packet.body = Body::Ip(IpPacket {
        src: network.src,
        dst: network.dst,
        proto: network.proto,
        length: network.length,
        ttl: network.ttl,
        id: network.id,
        head: transport::head(&transport, network.payload),
        fragment,
        transport,
    });
}

/// A fragment with its part of the datagram's head.
#[cold]
fn fragment(place: Place, data: &[u8], length: u32) -> Fragment {
    let captured = data.get(place.at as usize..data.len().min(length as usize)).unwrap_or_default();
    let kept = captured.len().min(HEAD_BYTES.saturating_sub(usize::from(place.offset)));
    Fragment {
        id: place.id,
        offset: place.offset,
        more: place.more,
        protocol: place.protocol,
        length: length.saturating_sub(place.at),
        data: captured[..kept].to_vec(),
    }
}

/// Decodes what was cut up: a datagram of `wire` bytes behind the headers that each fragment has, of which `head` is known.
/// Returns its protocol behind all extension headers, its transport header, and the beginning of its payload.
pub(super) fn reassembled(src: &Host, protocol: u8, head: &[u8], wire: u32) -> (u8, Transport, Option<Box<[u8]>>) {
    let mut network = Network {
        src: src.clone(),
        dst: src.clone(),
        proto: protocol,
        length: wire,
        ttl: 0,
        id: 0,
        quirks: 0,
        fragment: None,
        payload: head,
        payload_wire: wire,
        error: None,
    };
    let overrun = if matches!(src, Host::V4(_)) { DecodeError::Ipv4 } else { DecodeError::Ipv6 };
    extension_headers(&mut network, overrun);
    let mut error = network.error;
    if error.is_some() {
        return (network.proto, Transport::None, None);
    }
    let transport = transport::decode(network.proto, network.payload, network.payload_wire, &mut error);
    let payload = transport::head(&transport, network.payload);
    (network.proto, transport, payload)
}

/// Whether an IP header that nothing announces fits the bytes it stands in.
pub(super) fn is_plausible(data: &[u8], wire: u32) -> bool {
    let length = number16(data, 2).map(u32::from);
    match data.first().map(|byte| (byte >> 4, byte & 0x0f)) {
        Some((4, words)) => words >= 5 && length.is_some_and(|length| length == 0 || (20..=wire).contains(&length)),
        Some((6, _)) => number16(data, 4).is_some_and(|payload| u32::from(payload) + 40 <= wire),
        _ => false,
    }
}

/// The packet that an ICMP error quotes, if enough of it is there.
pub(super) fn quoted(data: &[u8]) -> Option<Box<Quoted>> {
    let network = network(data, data.len() as u32).ok()?;
    let later_fragment = network.fragment.is_some_and(|fragment| fragment.offset != 0);
    let payload = if later_fragment { &[] } else { network.payload };
    let ports = transport::quoted_ports(network.proto, payload);
    Some(Box::new(Quoted {
        src: network.src,
        dst: network.dst,
        proto: network.proto,
        src_port: ports.src_port,
        dst_port: ports.dst_port,
        icmp_kind: ports.icmp_kind,
        icmp_code: ports.icmp_code,
    }))
}

#[inline]
fn network(data: &[u8], wire: u32) -> Result<Network<'_>, DecodeError> {
    match data.first().map(|byte| byte >> 4) {
        Some(4) => version4(data, wire),
        Some(6) => version6(data, wire),
        Some(_) => Err(DecodeError::IpVersion),
        None => Err(DecodeError::Link),
    }
}

#[inline]
fn version4(data: &[u8], wire: u32) -> Result<Network<'_>, DecodeError> {
    let header = data.first_chunk::<20>().ok_or(DecodeError::Ipv4)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header_length < 20 {
        return Err(DecodeError::Ipv4);
    }
    let total_length = u32::from(u16::from_be_bytes([header[2], header[3]]));
    // Segmentation offload leaves the field 0 in packets captured before they are cut up.
    let length = if total_length == 0 { wire } else { total_length };
    let flags_offset = u16::from_be_bytes([header[6], header[7]]);
    let id = u16::from_be_bytes([header[4], header[5]]);
    let (more, offset) = (flags_offset & 0x2000 != 0, (flags_offset & 0x1fff) * 8);
    let is_fragment = more || offset != 0;
    let place = Place { id: u32::from(id), offset, more, protocol: header[9], at: header_length as u32 };
    let end = data.len().min(length as usize);
    let mut network = Network {
        src: Host::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
        dst: Host::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
        proto: header[9],
        length,
        ttl: header[8],
        id,
        quirks: quirks4(header[1], header[6], id),
        fragment: is_fragment.then_some(place),
        payload: data.get(header_length..end).unwrap_or_default(),
        payload_wire: length.saturating_sub(header_length as u32),
        error: (length < header_length as u32).then_some(DecodeError::Ipv4),
    };
    if network.proto == AUTHENTICATION && offset == 0 {
        extension_headers(&mut network, DecodeError::Ipv4);
    }
    Ok(network)
}

#[inline]
fn quirks4(service: u8, flags: u8, id: u16) -> u32 {
    let mut quirks = if service & 3 != 0 { quirk::ECN } else { 0 };
    if flags & 0x80 != 0 {
        quirks |= quirk::RESERVED;
    }
    match (flags & 0x40 != 0, id) {
        (true, 0) => quirks |= quirk::DONT_FRAGMENT,
        (true, _) => quirks |= quirk::DONT_FRAGMENT | quirk::ID_SET,
        (false, 0) => quirks |= quirk::ID_ZERO,
        (false, _) => {}
    }
    quirks
}

#[inline]
fn quirks6(first: [u8; 4]) -> u32 {
    let word = u32::from_be_bytes(first);
    let ecn = if word & 0x0030_0000 != 0 { quirk::ECN } else { 0 };
    if word & 0x000f_ffff != 0 { ecn | quirk::FLOW_LABEL } else { ecn }
}

#[inline]
fn version6(data: &[u8], wire: u32) -> Result<Network<'_>, DecodeError> {
    let header = data.first_chunk::<40>().ok_or(DecodeError::Ipv6)?;
    let payload_length = u32::from(u16::from_be_bytes([header[4], header[5]]));
    // 0 stands for a jumbogram (RFC 2675) or for segmentation offload, unless there is no payload at all.
    let unsized_payload = payload_length == 0 && header[6] != NO_NEXT_HEADER;
    let length = if unsized_payload { wire.max(40) } else { 40 + payload_length };
    let address = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&header[at..at + 16]);
        Host::V6(Ipv6Addr::from(bytes))
    };
    let mut network = Network {
        src: address(8),
        dst: address(24),
        proto: header[6],
        length,
        ttl: header[7],
        id: 0,
        quirks: quirks6([header[0], header[1], header[2], header[3]]),
        fragment: None,
        payload: &data[40..data.len().min(length as usize)],
        payload_wire: length - 40,
        error: None,
    };
    extension_headers(&mut network, DecodeError::Ipv6);
    Ok(network)
}

/// Passes over extension headers (RFC 8200 §4); ends at the first header that is none, at a later fragment, or where the
/// capture was cut. Every turn shortens the payload, so it ends.
#[inline]
fn extension_headers(network: &mut Network<'_>, overrun: DecodeError) {
    loop {
        let length = match network.proto {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
            0 | 43 | 60 | 135 | 139 | 140 if overrun == DecodeError::Ipv6 => {
                network.payload.get(1).map(|units| (usize::from(*units) + 1) * 8)
            }
            44 if overrun == DecodeError::Ipv6 => Some(8),
            // RFC 4302 §2.2: in units of four bytes, minus 2.
            AUTHENTICATION => network.payload.get(1).map(|units| (usize::from(*units) + 2) * 4),
            _ => return,
        };
        let runs_over = length.is_none_or(|length| length as u32 > network.payload_wire);
        if network.payload_wire < 2 || (length.is_some() && runs_over) {
            network.error = Some(overrun);
            return;
        }
        let (Some(length), Some(next)) = (length, network.payload.first().copied()) else {
            network.payload = &[];
            return;
        };
        if network.proto == 44 {
            let (Some(offset), Some(id)) = (number16(network.payload, 2), number32(network.payload, 4)) else {
                network.payload = &[];
                return;
            };
            let at = network.length - network.payload_wire + 8;
            let place = Place { id, offset: offset & 0xfff8, more: offset & 1 != 0, protocol: next, at };
            // An atomic fragment is a whole packet (RFC 6946).
            network.fragment = (place.offset != 0 || place.more).then_some(place);
        }
        network.proto = next;
        network.payload = network.payload.get(length..).unwrap_or_default();
        network.payload_wire -= length as u32;
        if network.fragment.is_some_and(|fragment| fragment.offset != 0) {
            return;
        }
    }
}
