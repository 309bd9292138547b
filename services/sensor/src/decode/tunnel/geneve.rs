//! Geneve (RFC 8926). Options are passed over: none changes what the inner packet is.

use super::{DecodeError, Header, Inner, Parsed};

/// IANA's port, the receiver's.
pub(super) const PORT: u16 = 6081;

pub(super) fn parse(data: &[u8]) -> Parsed {
    let Some(&[version_length, flags, type_high, type_low, a, b, c, reserved]) = data.first_chunk::<8>() else {
        return Parsed::Other;
    };
    // Version 0; O and C may be set, the six bits beside them may not.
    if version_length & 0xc0 != 0 || flags & 0x3f != 0 || reserved != 0 {
        return Parsed::Other;
    }
    let inner = match u16::from_be_bytes([type_high, type_low]) {
        0x6558 => Inner::Ethernet,
        0x0800 | 0x86dd => Inner::Ip,
        _ => return Parsed::Other,
    };
    let length = 8 + usize::from(version_length & 0x3f) * 4;
    let id = u32::from_be_bytes([0, a, b, c]);
    Parsed::Header(Header { kind: "geneve", id, length, inner, error: DecodeError::Geneve })
}
