//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use weir_schemas::Host;

use super::DecodeError;
use crate::packet::{ArpPacket, Body, Packet};

/// Bytes of an ARP message for IPv4 over Ethernet.
const LENGTH: u32 = 28;

pub(super) fn decode(packet: &mut Packet, data: &[u8]) -> Option<DecodeError> {
    let Some(message) = data.first_chunk::<28>() else {
        return Some(DecodeError::Arp);
    };
    let [_, hardware, 0x08, 0x00, 6, 4, op_high, op_low, ..] = *message else {
        // Other hardware or protocol addresses: a frame of no interest, not an error.
        return None;
    };
    if hardware != 1 && hardware != 6 {
        return None;
    }
    let mac = |at: usize| [0, 1, 2, 3, 4, 5].map(|n| message[at + n]);
    let address = |at: usize| Host::V4(Ipv4Addr::from([0, 1, 2, 3].map(|n| message[at + n])));
    packet.body = Body::Arp(ArpPacket {
        op: u16::from_be_bytes([op_high, op_low]),
        sender_mac: mac(8),
        sender: address(14),
        target_mac: mac(18),
        target: address(24),
        length: LENGTH,
    });
    None
}
