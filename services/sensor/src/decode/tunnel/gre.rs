//! GRE version 0 (RFC 2784) with key and sequence number (RFC 2890); what mirrors send in it is told apart.

use super::super::{number16, number32};
use super::{DecodeError, Header, Inner, Parsed, erspan};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;

pub(super) fn parse(data: &[u8]) -> Parsed {
    let strange = Parsed::Strange(DecodeError::Gre);
    let (Some(flags), Some(protocol)) = (number16(data, 0), number16(data, 2)) else { return strange };
    // Version 1 is PPTP's (RFC 2637), and its PPP compressed; source routes (RFC 1701) are of no use any more.
    if flags & (VERSION | ROUTING) != 0 {
        return strange;
    }
    let mut length = if flags & CHECKSUM != 0 { 8 } else { 4 };
    let mut id = 0;
    if flags & KEY != 0 {
        let Some(key) = number32(data, length) else { return strange };
        id = key;
        length += 4;
    }
    if flags & SEQUENCE != 0 {
        length += 4;
    }
    let inner = match protocol {
        0x0800 | 0x86dd => Inner::Ip,
        // Transparent Ethernet bridging; with a key it is NVGRE (RFC 7637).
        0x6558 => Inner::Ethernet,
        0x8847 | 0x8848 => Inner::Mpls,
        erspan::TYPE_1_2 => return erspan::parse_1_2(data, length, flags & SEQUENCE != 0),
        erspan::TYPE_3 => return erspan::parse_3(data, length),
        _ => return strange,
    };
    Parsed::Header(Header { kind: "gre", id, length, inner, error: DecodeError::Gre })
}
