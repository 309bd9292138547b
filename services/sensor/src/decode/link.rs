//! Link layers: down to the first IP or ARP header.

use super::tunnel::{mpls, pppoe};
use super::{DecodeError, arp, ip, number16, number32};
use crate::packet::Packet;

/// How the frames of an interface begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// Ethernet.
    Ethernet,
    /// An IP header at once; its version says which.
    RawIp,
    /// BSD loopback: an address family of four bytes in either byte order.
    Loopback,
    /// Linux cooked capture v1.
    LinuxCooked,
    /// Linux cooked capture v2.
    LinuxCooked2,
}

impl LinkType {
    /// The link type with this number in the registry <https://www.tcpdump.org/linktypes.html>, if it can be decoded.
    /// 12 and 14 are what `DLT_RAW` is on BSD systems.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            0 | 108 => Some(Self::Loopback),
            1 => Some(Self::Ethernet),
            12 | 14 | 101 | 228 | 229 => Some(Self::RawIp),
            113 => Some(Self::LinuxCooked),
            276 => Some(Self::LinuxCooked2),
            _ => None,
        }
    }

    /// The registry's name of common link types, to name the ones that cannot be decoded.
    #[must_use]
    pub fn name_of(number: u32) -> &'static str {
        match number {
            0 => "NULL",
            1 => "ETHERNET",
            6 => "IEEE802_5",
            9 => "PPP",
            10 => "FDDI",
            11 => "ATM_RFC1483",
            50 => "PPP_HDLC",
            51 => "PPP_ETHER",
            105 => "IEEE802_11",
            107 => "FRELAY",
            127 => "IEEE802_11_RADIOTAP",
            129 => "ARCNET_LINUX",
            147..=162 => "USER",
            187 => "BLUETOOTH_HCI_H4",
            189 => "USB_LINUX",
            192 => "PPI",
            195 => "IEEE802_15_4_WITHFCS",
            220 => "USB_LINUX_MMAPPED",
            249 => "USBPCAP",
            _ => "not known",
        }
    }
}

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

pub(super) fn decode(link: LinkType, packet: &mut Packet, data: &[u8], wire_length: u32) -> Option<DecodeError> {
    match link {
        LinkType::Ethernet => ethernet(packet, data, wire_length),
        LinkType::RawIp => ip::decode(packet, data, wire_length),
        LinkType::Loopback => loopback(packet, data, wire_length),
        LinkType::LinuxCooked => cooked(packet, data, wire_length, 16, 14, 4),
        LinkType::LinuxCooked2 => cooked(packet, data, wire_length, 20, 0, 10),
    }
}

/// An Ethernet frame, on a wire or in a tunnel.
#[inline]
pub(super) fn ethernet(packet: &mut Packet, data: &[u8], wire: u32) -> Option<DecodeError> {
    let Some(header) = data.first_chunk::<14>() else {
        return Some(DecodeError::Link);
    };
    packet.dst_mac = header.first_chunk().copied();
    packet.src_mac = header[6..].first_chunk().copied();
    let ether_type = u16::from_be_bytes([header[12], header[13]]);
    payload(packet, ether_type, &data[14..], wire.saturating_sub(14))
}

/// What follows an Ethernet type.
fn payload(packet: &mut Packet, mut ether_type: u16, mut data: &[u8], mut wire: u32) -> Option<DecodeError> {
    loop {
        match ether_type {
            IPV4 | IPV6 => return ip::decode(packet, data, wire),
            ARP => return arp::decode(packet, data),
            // IEEE 802.1Q, 802.1ad and the two types in use before it.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let (Some(control), Some(inner)) = (number16(data, 0), number16(data, 2)) else {
                    return Some(DecodeError::Link);
                };
                // Id 0 is a priority tag: it names no VLAN (IEEE 802.1Q §9.6).
                let id = control & 0x0fff;
                // Behind those of the frame around a tunnel, if there is one.
                if let Some(free) = packet.vlan.iter_mut().find(|place| **place == 0) {
                    *free = id;
                }
                (ether_type, data, wire) = (inner, &data[4..], wire.saturating_sub(4));
            }
            0x8847 | 0x8848 => return mpls::decode(packet, data, wire),
            0x8864 => return pppoe::decode(packet, data, wire),
            // IEEE 802.3: a length, then LLC. SNAP with organisation 0 holds an Ethernet type (RFC 1042).
            0..=1500 => {
                let Some([0xaa, 0xaa, 3, 0, 0, 0, high, low]) = data.first_chunk::<8>() else {
                    return None;
                };
                let inner = u16::from_be_bytes([*high, *low]);
                if inner <= 1500 {
                    return None;
                }
                (ether_type, data, wire) = (inner, &data[8..], wire.saturating_sub(8));
            }
            _ => return None,
        }
    }
}

/// Whether the Ethernet type of a frame that nothing announces is one that bridges carry.
pub(super) fn names_a_protocol(frame: &[u8]) -> bool {
    let known =
        |number| matches!(number, IPV4 | IPV6 | ARP | 0x8100 | 0x88a8 | 0x9100 | 0x8847 | 0x8848 | 0x8863 | 0x8864);
    number16(frame, 12).is_some_and(known)
}

fn loopback(packet: &mut Packet, data: &[u8], wire: u32) -> Option<DecodeError> {
    let Some(family) = number32(data, 0) else {
        return Some(DecodeError::Link);
    };
    // The byte order is the capturing host's, which the file need not share; families are small numbers.
    let family = if family > 0xffff { family.swap_bytes() } else { family };
    match family {
        // AF_INET; AF_INET6 of Linux, the BSDs and macOS.
        2 | 10 | 24 | 28 | 30 => ip::decode(packet, &data[4..], wire.saturating_sub(4)),
        _ => None,
    }
}

/// Linux cooked headers: `header` bytes, the protocol at `protocol_at`; the hardware type lies two bytes before the
/// address length in v1, in v2 at 8. The sender's address has at most eight bytes.
fn cooked(
    packet: &mut Packet,
    data: &[u8],
    wire: u32,
    header: usize,
    protocol_at: usize,
    address_length_at: usize,
) -> Option<DecodeError> {
    if data.len() < header {
        return Some(DecodeError::Link);
    }
    let (address_length, address) = if header == 16 {
        (number16(data, address_length_at), &data[6..14])
    } else {
        (data.get(11).map(|length| u16::from(*length)), &data[12..20])
    };
    if address_length == Some(6) {
        packet.src_mac = address.first_chunk().copied();
    }
    let protocol = number16(data, protocol_at)?;
    payload(packet, protocol, &data[header..], wire.saturating_sub(header as u32))
}
