//! ERSPAN types I, II and III (draft-foschiano-erspan-03): mirrored Ethernet frames in GRE.

use super::super::number32;
use super::{DecodeError, Header, Inner, Parsed};

/// GRE protocol of types I and II.
pub(super) const TYPE_1_2: u16 = 0x88be;
/// GRE protocol of type III.
pub(super) const TYPE_3: u16 = 0x22eb;

/// Type I has no header of its own and comes without a GRE sequence number, type II has both (§4.1, §4.2).
pub(super) fn parse_1_2(data: &[u8], at: usize, has_sequence: bool) -> Parsed {
    if !has_sequence {
        return frame(0, at);
    }
    match number32(data, at) {
        Some(word) if word >> 28 == 1 => frame(word & 0x3ff, at + 8),
        _ => Parsed::Strange(DecodeError::Erspan),
    }
}

/// Type III: twelve bytes, and eight more if the last bit says so (§4.3). Its frame type must be Ethernet.
pub(super) fn parse_3(data: &[u8], at: usize) -> Parsed {
    let (Some(word), Some(last)) = (number32(data, at), number32(data, at + 8)) else {
        return Parsed::Strange(DecodeError::Erspan);
    };
    let frame_type = last >> 10 & 0x1f;
    if word >> 28 != 2 || frame_type != 0 {
        return Parsed::Strange(DecodeError::Erspan);
    }
    let platform = if last & 1 != 0 { 8 } else { 0 };
    frame(word & 0x3ff, at + 12 + platform)
}

fn frame(session: u32, length: usize) -> Parsed {
    Parsed::Header(Header { kind: "erspan", id: session, length, inner: Inner::Ethernet, error: DecodeError::Erspan })
}
