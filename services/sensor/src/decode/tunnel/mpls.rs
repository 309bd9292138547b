//! MPLS (RFC 3032). Labels do not say what follows the last one: an IP packet that fits its frame is one, else an
//! Ethernet pseudowire (RFC 4448) is tried, with and without control word (RFC 4385).

use super::super::{link, number32};
use super::{DecodeError, Inner, Layer, Opened, ends_around, enter, ip};
use crate::packet::Packet;

const BOTTOM_OF_STACK: u32 = 0x100;

pub(in super::super) fn decode(packet: &mut Packet, mut data: &[u8], mut wire: u32) -> Option<DecodeError> {
    let label = loop {
        let Some(entry) = number32(data, 0) else {
            return Some(DecodeError::Link);
        };
        (data, wire) = (&data[4..], wire.saturating_sub(4));
        if entry & BOTTOM_OF_STACK != 0 {
            break entry >> 12;
        }
    };
    let (inner, skipped) = content(data, wire)?;
    let layer = Layer {
        kind: "mpls",
        id: label,
        ends: ends_around(packet),
        length: None,
        fragment: None,
        error: DecodeError::Mpls,
    };
    match enter(packet, layer, inner, data.get(skipped..).unwrap_or_default(), wire.saturating_sub(skipped as u32)) {
        Opened::Plain => None,
        Opened::Inner(error) => error,
        Opened::Strange(error) => Some(error),
    }
}

/// What follows the labels, and how many bytes before it. `None` for what carries no packet: a channel for maintenance
/// (RFC 5586), or nothing that was captured.
fn content(data: &[u8], wire: u32) -> Option<(Inner, usize)> {
    let behind_control_word = data.get(4..).unwrap_or_default();
    match data.first()? >> 4 {
        4 | 6 if ip::is_plausible(data, wire) => Some((Inner::Ip, 0)),
        0 if link::names_a_protocol(behind_control_word) => Some((Inner::Ethernet, 4)),
        _ if link::names_a_protocol(data) => Some((Inner::Ethernet, 0)),
        1 => None,
        // An IEEE 802.3 frame, or nothing that is known.
        0 => Some((Inner::Ethernet, 4)),
        _ => Some((Inner::Ethernet, 0)),
    }
}
