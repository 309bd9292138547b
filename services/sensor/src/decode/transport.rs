//! TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792) and its IPv6 form (RFC 4443).

use super::options::{self, Options};
use super::{DecodeError, ip, number16, number32};
use crate::packet::{IcmpMessage, MOST_HEAD, TcpSegment, Transport, UdpDatagram, tcp_flag};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// A header cut by the capture is [`Transport::None`]; one that the packet itself is too short for is an error as well.
#[inline]
pub(super) fn decode(proto: u8, data: &[u8], wire: u32, error: &mut Option<DecodeError>) -> Transport {
    let (least, kind) = match proto {
        TCP => (20, DecodeError::Tcp),
        UDP => (8, DecodeError::Udp),
        ICMP => (8, DecodeError::Icmp),
        ICMPV6 => (4, DecodeError::Icmp),
        _ => return Transport::None,
    };
    if wire < least {
        *error = Some(kind);
    }
    let transport = match proto {
        TCP => tcp(data, wire, error),
        UDP => udp(data, wire),
        ICMP => icmp(data, wire),
        _ => icmpv6(data, wire),
    };
    transport.unwrap_or(Transport::None)
}

/// Flags lie at byte 13: a shorter capture says nothing about the segment. The window may be cut off.
#[inline]
fn tcp(data: &[u8], wire: u32, error: &mut Option<DecodeError>) -> Option<Transport> {
    let header = data.first_chunk::<14>()?;
    let header_length = u32::from(header[12] >> 4) * 4;
    if header_length < 20 || header_length > wire {
        *error = Some(DecodeError::Tcp);
    }
    let flags = header[13];
    let (seq, ack) = (number32(data, 4)?, number32(data, 8)?);
    let captured = data.get(20..(header_length as usize).max(20));
    let (mut syn, mut read) = (None, Options::default());
    if let Some(captured) = captured {
        if flags & tcp_flag::SYN != 0 {
            syn = Some(options::shape_of(flags, seq, ack, number16(data, 18).unwrap_or(0)));
        }
        read = options::read(captured, syn.as_mut());
    }
    Some(Transport::Tcp(TcpSegment {
        src_port: u16::from_be_bytes([header[0], header[1]]),
        dst_port: u16::from_be_bytes([header[2], header[3]]),
        seq,
        ack,
        flags,
        window: number16(data, 14).unwrap_or(0),
        payload: wire.saturating_sub(header_length.max(20)),
        checksum: number16(data, 16).unwrap_or(0),
        timestamp: read.timestamp,
        bad_options: read.is_damaged,
        syn,
    }))
}

/// The beginning of the payload behind a header that was captured whole.
#[inline]
pub(super) fn head(transport: &Transport, data: &[u8]) -> Option<Box<[u8]>> {
    let (header, payload) = match transport {
        Transport::Tcp(tcp) if tcp.payload > 0 && tcp.flags & tcp_flag::RST == 0 => {
            (usize::from(*data.get(12)? >> 4).max(5) * 4, tcp.payload)
        }
        Transport::Udp(udp) if udp.payload > 0 => (8, udp.payload),
        _ => return None,
    };
    let captured = data.get(header..).filter(|captured| !captured.is_empty())?;
    Some(captured[..captured.len().min(payload as usize).min(MOST_HEAD)].into())
}

#[inline]
fn udp(data: &[u8], wire: u32) -> Option<Transport> {
    let (src_port, dst_port) = (number16(data, 0)?, number16(data, 2)?);
    // 0 is a jumbogram (RFC 2675) or offload; more than the packet is a first fragment.
    let length = match number16(data, 4) {
        Some(length) if length >= 8 => u32::from(length).min(wire),
        _ => wire,
    };
    let payload = length.saturating_sub(8);
    // QR is the first bit after the identification; a whole header has 12 bytes (RFC 1035 §4.1.1).
    let is_response = (payload >= 12 && data.len() >= 20).then(|| data[10] & 0x80 != 0);
    // A server answers from its port and is asked at it; anything else at that port (a flood of random bytes) is no DNS.
    let dns_response = is_response.filter(|&response| if response { src_port == 53 } else { dst_port == 53 });
    Some(Transport::Udp(UdpDatagram { src_port, dst_port, payload, dns_response }))
}

fn icmp(data: &[u8], wire: u32) -> Option<Transport> {
    let (kind, code) = (*data.first()?, *data.get(1)?);
    // Echo, timestamp, information and mask requests and replies carry an identifier.
    let id = if matches!(kind, 0 | 8 | 13..=18) { number16(data, 4).unwrap_or(0) } else { 0 };
    let is_error = matches!(kind, 3 | 4 | 5 | 11 | 12);
    let quoted = if is_error { data.get(8..).and_then(ip::quoted) } else { None };
    Some(Transport::Icmp(IcmpMessage { kind, code, id, payload: wire.saturating_sub(8), quoted }))
}

fn icmpv6(data: &[u8], wire: u32) -> Option<Transport> {
    let (kind, code) = (*data.first()?, *data.get(1)?);
    let id = if matches!(kind, 128 | 129) { number16(data, 4).unwrap_or(0) } else { 0 };
    let quoted = if (1..=4).contains(&kind) { data.get(8..).and_then(ip::quoted) } else { None };
    Some(Transport::Icmp(IcmpMessage { kind, code, id, payload: wire.saturating_sub(8), quoted }))
}

/// The ports of a quoted packet: errors quote eight bytes of transport header at least (RFC 792).
#[derive(Default)]
pub(super) struct QuotedPorts {
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) icmp_kind: u8,
    pub(super) icmp_code: u8,
}

pub(super) fn quoted_ports(proto: u8, data: &[u8]) -> QuotedPorts {
    match proto {
        TCP | UDP => number32(data, 0).map_or_else(QuotedPorts::default, |ports| QuotedPorts {
            src_port: (ports >> 16) as u16,
            dst_port: ports as u16,
            ..QuotedPorts::default()
        }),
        ICMP | ICMPV6 => QuotedPorts {
            src_port: number16(data, 4).unwrap_or(0),
            icmp_kind: data.first().copied().unwrap_or(0),
            icmp_code: data.get(1).copied().unwrap_or(0),
            ..QuotedPorts::default()
        },
        _ => QuotedPorts::default(),
    }
}
