//! The hex dumps of `-x`, `-xx`, `-X` and `-XX`.

use crate::decode::LinkType;

/// A dump holds no more than the longest packet.
const MOST_BYTES: usize = 262_144;

/// Appends the bytes of a dump line such as `\t0x0010:  c0a8 be82 0016  ...`; false if the line is none.
pub(super) fn append(line: &str, bytes: &mut Vec<u8>) -> bool {
    let Some((address, groups)) = line.trim_start().split_once(':') else {
        return false;
    };
    let Some(address) = address.strip_prefix("0x") else {
        return false;
    };
    if !line.starts_with([' ', '\t']) || usize::from_str_radix(address, 16) != Ok(bytes.len()) {
        // A dump that does not go on where it stopped is not continued with wrong bytes.
        return usize::from_str_radix(address, 16).is_ok();
    }
    // Two spaces separate the bytes from their characters, which may look like bytes as well.
    let groups = groups.trim_start().split("  ").next().unwrap_or_default();
    for group in groups.split_whitespace() {
        for pair in group.as_bytes().chunks(2) {
            let byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
            match byte {
                Some(byte) if bytes.len() < MOST_BYTES => bytes.push(byte),
                _ => return true,
            }
        }
    }
    true
}

/// With what header the dump begins and how long the frame was: `-x` and `-X` leave the link layer out. `None` where
/// there is no dump, or one that is neither Ethernet nor IP, whose text says more.
pub(super) fn layout(bytes: &[u8], text: &str) -> Option<(LinkType, u32)> {
    let captured = bytes.len() as u32;
    let ether_type = bytes.get(12..14).map(|field| u16::from_be_bytes([field[0], field[1]]));
    let inner_version = bytes.get(14).map(|byte| byte >> 4);
    let ethernet = match ether_type {
        Some(0x0800) => inner_version == Some(4),
        Some(0x86dd) => inner_version == Some(6),
        Some(0x0806 | 0x8100 | 0x88a8) => true,
        _ => false,
    };
    let (length, is_ip) = match bytes.first().map(|byte| byte >> 4) {
        Some(4) if bytes.len() >= 20 && bytes[0] & 0x0f >= 5 && text.contains("IP") => {
            (u32::from(u16::from_be_bytes([bytes[2], bytes[3]])), true)
        }
        Some(6) if bytes.len() >= 40 && text.contains("IP6") => {
            (40 + u32::from(u16::from_be_bytes([bytes[4], bytes[5]])), true)
        }
        _ => (0, false),
    };
    // A hardware address may begin like an IP header: then length and checksum decide.
    if is_ip && (!ethernet || length == captured || has_right_checksum(bytes)) {
        return Some((LinkType::RawIp, length.max(captured)));
    }
    ethernet.then_some((LinkType::Ethernet, captured))
}

/// Puts an empty Ethernet header before an ARP message that `-x` printed without one.
pub(super) fn complete_arp(bytes: &mut Vec<u8>) {
    if bytes.starts_with(&[0, 1, 8, 0, 6, 4]) {
        bytes.splice(0..0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 6]);
    }
}

/// Whether the bytes begin with an IPv4 header whose ones' complement sum is right (RFC 1071).
fn has_right_checksum(bytes: &[u8]) -> bool {
    let Some(first) = bytes.first().filter(|first| **first >> 4 == 4) else {
        return false;
    };
    let header = bytes.get(..usize::from(first & 0x0f) * 4).unwrap_or_default();
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dump as `-x` or `-xx` prints it.
    fn dump(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            assert!(append(line, &mut bytes), "{line}");
        }
        bytes
    }

    #[test]
    fn characters_of_a_dump_are_no_bytes() {
        let bytes =
            dump(&["\t0x0000:  4512 00a0 ed8e 4000 4006 99c5 c0a8 731e  abcd....@.@.....", "\t0x0010:  c0a8  .."]);
        assert_eq!(bytes.len(), 18);
        assert_eq!((bytes[0], bytes[17]), (0x45, 0xa8));
        assert!(!append("    10.0.0.1.80 > 10.0.0.2.99: UDP", &mut Vec::new()));
    }

    #[test]
    fn an_address_that_looks_like_an_ether_type_stays_an_address() {
        // 8.6.210.108 > 10.10.10.10 with six bytes of padding: bytes 12 and 13 are 08 06, as of ARP.
        let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 8, 6, 210, 108, 10, 10, 10, 10];
        let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes.resize(46, 0);
        assert_eq!(layout(&bytes, "IP 8.6.210.108.21 > 10.10.10.10.1"), Some((LinkType::RawIp, 46)));
    }
}
