//! Community ID (v1) and the flow id made of it.
//!
//! Source: Community ID flow hashing specification, version 1, seed 0. Where it has no answer, this stands in: a host
//! with a name only counts as the 16 bytes of `key::name_stand_in`; ARP is protocol 0 with both ports 0x0806.

use sha1::{Digest, Sha1};
use weir_schemas::Micros;

use super::icmp::{ICMP, ICMPV6};
use super::key::{ARP, Family, FlowKey};

const ETHERTYPE_ARP: u16 = 0x0806;

/// The type that answers an ICMP type, as the specification pairs them.
pub(crate) fn counterpart(protocol: u8, kind: u8) -> Option<u8> {
    let pairs: &[(u8, u8)] = match protocol {
        ICMP => &[(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)],
        ICMPV6 => &[(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)],
        _ => &[],
    };
    let (request, reply) = *pairs.iter().find(|&&(request, reply)| kind == request || kind == reply)?;
    Some(if kind == request { reply } else { request })
}

/// The digest of a flow. `first` is its first message: who sent it, its ICMP type and code.
pub(crate) fn digest(key: &FlowKey, first: FirstMessage) -> [u8; 20] {
    let Ok(protocol) = u8::try_from(key.protocol) else {
        debug_assert_eq!(key.protocol, ARP, "no other protocol lies beyond 255");
        return hash(key, [0, 1], 0, Some([ETHERTYPE_ARP; 2]));
    };
    match protocol {
        ICMP | ICMPV6 => icmp_digest(key, protocol, first),
        // TCP and UDP; the protocols beside them that the specification gives ports are not decoded here.
        6 | 17 => hash(key, [0, 1], protocol, Some(key.ports)),
        _ => hash(key, [0, 1], protocol, None),
    }
}

/// What the digest of an ICMP flow depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstMessage {
    /// The end that sent it.
    pub(crate) sender: usize,
    /// ICMP type.
    pub(crate) kind: u8,
    /// ICMP code.
    pub(crate) code: u8,
}

fn icmp_digest(key: &FlowKey, protocol: u8, first: FirstMessage) -> [u8; 20] {
    let (from, to) = (first.sender, 1 - first.sender);
    let kind = u16::from(first.kind);
    let Some(other) = counterpart(protocol, first.kind) else {
        // One-way: never turned round.
        return hash(key, [from, to], protocol, Some([kind, u16::from(first.code)]));
    };
    let other = u16::from(other);
    if (from == 0 && key.addresses[0] != key.addresses[1]) || (key.addresses[0] == key.addresses[1] && kind < other) {
        return hash(key, [from, to], protocol, Some([kind, other]));
    }
    hash(key, [to, from], protocol, Some([other, kind]))
}

fn hash(key: &FlowKey, order: [usize; 2], protocol: u8, ports: Option<[u16; 2]>) -> [u8; 20] {
    let mut buffer = [0_u8; 40];
    // Two bytes of seed, 0.
    let mut length = 2;
    let mut put = |bytes: &[u8]| {
        buffer[length..length + bytes.len()].copy_from_slice(bytes);
        length += bytes.len();
    };
    for end in order {
        match key.families[end] {
            Family::V4 => put(&(key.addresses[end] as u32).to_be_bytes()),
            Family::V6 | Family::Name => put(&key.addresses[end].to_be_bytes()),
        }
    }
    put(&[protocol, 0]);
    for port in ports.iter().flatten() {
        put(&port.to_be_bytes());
    }
    Sha1::digest(&buffer[..length]).into()
}

/// The flow id: a hash of (sensor, community id, first time). `sensor` is [`sensor_hash`].
pub(crate) fn flow_id(sensor: u64, community_id: &[u8; 20], first_time: Micros) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&community_id[..8]);
    mix(mix(sensor ^ u64::from_be_bytes(head)) ^ first_time.cast_unsigned())
}

/// A sensor id as a number, the same on every machine.
pub(crate) fn sensor_hash(sensor: &str) -> u64 {
    let digest = Sha1::digest(sensor.as_bytes());
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head)
}

/// The finaliser of `MurmurHash3` (Austin Appleby): every input bit reaches every output bit, and no two inputs meet.
fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    value = (value ^ value >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ value >> 33
}

#[cfg(test)]
mod tests {
    use weir_schemas::{Host, flow::community_id_text};

    use super::*;

    fn with_ports(protocol: u16, from: (&str, u16), to: (&str, u16)) -> String {
        let (key, sender) = FlowKey::of_ends(protocol, (&Host::parse(from.0), from.1), (&Host::parse(to.0), to.1));
        community_id_text(&digest(&key, FirstMessage { sender, kind: 0, code: 0 }))
    }

    fn icmp(protocol: u16, from: &str, to: &str, kind: u8, code: u8) -> String {
        let (key, sender) = FlowKey::of_ends(protocol, (&Host::parse(from), 0), (&Host::parse(to), 0));
        community_id_text(&digest(&key, FirstMessage { sender, kind, code }))
    }

    /// Source: the specification's README and its reference implementation, communityid 1.4 (Python).
    #[test]
    fn equals_the_published_vectors() {
        let web = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(with_ports(6, ("128.232.110.120", 34855), ("66.35.250.204", 80)), web);
        assert_eq!(with_ports(6, ("66.35.250.204", 80), ("128.232.110.120", 34855)), web);
        assert_eq!(with_ports(17, ("192.168.1.52", 54585), ("8.8.8.8", 53)), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        let mail = (("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943), ("2607:f8b0:400c:c03::1a", 25));
        assert_eq!(with_ports(6, mail.0, mail.1), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
        assert_eq!(with_ports(46, ("10.1.24.4", 0), ("10.1.12.1", 0)), "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4=");

        let ping = "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=";
        assert_eq!(icmp(1, "192.168.0.89", "192.168.0.1", 8, 0), ping);
        assert_eq!(icmp(1, "192.168.0.1", "192.168.0.89", 0, 0), ping);
        assert_eq!(icmp(1, "10.0.0.1", "10.0.0.2", 3, 1), "1:gkoOC4ouXvyYq0Ek/WqwbLoqcxM=");
        assert_eq!(icmp(1, "10.0.0.2", "10.0.0.1", 3, 1), "1:JHjlyD5IJJjl3wHWOMj46lLWZag=");
        let (host, router) = ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea");
        assert_eq!(icmp(58, host, router, 135, 0), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=");
        assert_eq!(icmp(58, router, host, 136, 0), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=");
        let (host, router) = ("3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:507:0:1:260:97ff:fe07:69ea");
        assert_eq!(icmp(58, router, host, 3, 0), "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w=");
    }

    #[test]
    fn names_have_an_id_of_their_own() {
        let one = with_ports(6, ("client.example", 40000), ("server.example", 80));
        assert_eq!(one, with_ports(6, ("server.example", 80), ("client.example", 40000)));
        assert_ne!(one, with_ports(6, ("client.example", 40000), ("other.example", 80)));
    }
}
