//! Teredo (RFC 4380): IPv6 in UDP, behind an authentication and an origin indication where there are any.

use super::{DecodeError, Header, Inner, Parsed, ip, number16};

/// Port of servers and relays; clients talk from any.
pub(super) const PORT: u16 = 3544;

const AUTHENTICATION: u16 = 1;
const ORIGIN: u16 = 0;

pub(super) fn parse(data: &[u8], wire: u32) -> Parsed {
    let mut length = 0;
    if number16(data, 0) == Some(AUTHENTICATION) {
        // Lengths of client id and of authentication value, then nonce (8) and confirmation (1): §5.1.1.
        let Some(&[_, _, client, value]) = data.first_chunk::<4>() else { return Parsed::Other };
        length = 4 + usize::from(client) + usize::from(value) + 9;
    }
    if number16(data, length) == Some(ORIGIN) {
        length += 8;
    }
    let inner = data.get(length..).unwrap_or_default();
    let is_ipv6 = inner.first().is_some_and(|byte| byte >> 4 == 6);
    if !is_ipv6 || !ip::is_plausible(inner, wire.saturating_sub(length as u32)) {
        return Parsed::Other;
    }
    Parsed::Header(Header { kind: "teredo", id: 0, length, inner: Inner::Ip, error: DecodeError::Teredo })
}
