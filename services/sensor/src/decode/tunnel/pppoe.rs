//! PPP over Ethernet, session stage (RFC 2516 §4).

use super::super::number16;
use super::{DecodeError, Inner, Layer, Opened, ends_around, enter};
use crate::packet::Packet;

const IPV4: u16 = 0x0021;
const IPV6: u16 = 0x0057;
const MPLS: u16 = 0x0281;
/// PPP numbers from here on belong to protocols that set up the link (RFC 1661 §2).
const FIRST_CONTROL: u16 = 0x8000;
/// Version 1, type 1, code 0: session data.
const SESSION: u16 = 0x1100;

pub(in super::super) fn decode(packet: &mut Packet, data: &[u8], wire: u32) -> Option<DecodeError> {
    let (Some(session_data), Some(id), Some(protocol)) = (number16(data, 0), number16(data, 2), number16(data, 6))
    else {
        return Some(DecodeError::Link);
    };
    let inner = match protocol {
        _ if session_data != SESSION => return Some(DecodeError::Pppoe),
        IPV4 | IPV6 => Inner::Ip,
        MPLS => Inner::Mpls,
        FIRST_CONTROL.. => return None,
        _ => return Some(DecodeError::Pppoe),
    };
    let layer = Layer {
        kind: "pppoe",
        id: u32::from(id),
        ends: ends_around(packet),
        length: None,
        fragment: None,
        error: DecodeError::Pppoe,
    };
    match enter(packet, layer, inner, &data[8..], wire.saturating_sub(8)) {
        Opened::Plain => None,
        Opened::Inner(error) => error,
        Opened::Strange(error) => Some(error),
    }
}
