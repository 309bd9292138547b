//! From a host to its key, and from a key to its partition: the same as any Kafka client in Java would choose.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use weir_schemas::Host;

/// IPv6 prefix length that keys are cut to unless configured (`sensor.ipv6_key_prefix`): one subnet, one partition.
pub const DEFAULT_IPV6_PREFIX: u8 = 64;

/// MurmurHash2 as Kafka's default partitioner computes it.
/// Source: Apache Kafka, `org.apache.kafka.common.utils.Utils.murmur2` (seed, constants, little-endian words).
#[must_use]
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;

    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut mixed = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        mixed = mixed.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed;
    }

    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }

    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^= hash >> 15;
    hash as i32
}

/// The partition of a key among `count`: `(murmur2(key) & 0x7fffffff) % count`; 0 where `count` is 0.
#[must_use]
pub fn partition_of(key: &str, count: u32) -> u32 {
    partition_of_bytes(key.as_bytes(), count)
}

/// The key of a host: its address as RFC 5952 text, IPv6 cut to its first `ipv6_prefix` bits; a name as it is.
#[must_use]
pub fn key_of(host: &Host, ipv6_prefix: u8) -> String {
    match host {
        Host::V4(address) => address.to_string(),
        Host::V6(address) => cut_to_prefix(*address, ipv6_prefix).to_string(),
        Host::Name(name) => name.to_string(),
    }
}

/// The partition of [`key_of`] the same host, without allocating.
#[must_use]
pub fn partition_of_host(host: &Host, ipv6_prefix: u8, count: u32) -> u32 {
    let mut text = AddressText::default();
    match host {
        Host::V4(address) => text.push_ipv4(*address),
        Host::V6(address) => {
            let written = write!(text, "{}", cut_to_prefix(*address, ipv6_prefix));
            debug_assert!(written.is_ok(), "every address fits its buffer");
        }
        Host::Name(name) => return partition_of(name, count),
    }
    partition_of_bytes(text.as_bytes(), count)
}

fn partition_of_bytes(key: &[u8], count: u32) -> u32 {
    let positive = murmur2(key).cast_unsigned() & 0x7fff_ffff;
    positive.checked_rem(count).unwrap_or(0)
}

fn cut_to_prefix(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let host_bits = 128_u32.saturating_sub(u32::from(prefix));
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

/// A text buffer on the stack. The longest address text is 45 bytes: an IPv4 address mapped into a full IPv6 one.
struct AddressText {
    bytes: [u8; 45],
    length: usize,
}

impl AddressText {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Appends dotted decimals: at most 15 bytes into 45. By hand, because every flow record passes here: it takes two
    /// thirds of the time of the formatter.
    fn push_ipv4(&mut self, address: Ipv4Addr) {
        for (index, octet) in address.octets().into_iter().enumerate() {
            if index > 0 {
                self.push_byte(b'.');
            }
            if octet >= 100 {
                self.push_byte(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.push_byte(b'0' + octet / 10 % 10);
            }
            self.push_byte(b'0' + octet % 10);
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }
}

impl Default for AddressText {
    fn default() -> Self {
        Self { bytes: [0; 45], length: 0 }
    }
}

impl std::fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn murmur2_is_kafkas() {
        // Source: Apache Kafka, UtilsTest.testMurmur2.
        let cases: [(&str, i32); 7] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn hash_and_partition_are_those_of_the_java_client() {
        // Computed with `Utils.murmur2` and `Utils.toPositive(…) % 48` of kafka-clients 4.3.1 on OpenJDK 17.
        let table: [(&str, i32, u32); 42] = [
            ("a", -1_563_381_124, 28),
            ("ab", 316_155_434, 26),
            ("abcd", -1_323_649_548, 20),
            ("abcde", 461_995_741, 13),
            ("0.0.0.0", -1_148_315_034, 38),
            ("10.0.0.1", 808_591_810, 34),
            ("10.0.0.2", -925_625_546, 6),
            ("10.255.255.254", -201_716_084, 12),
            ("127.0.0.1", 1_937_383_612, 28),
            ("169.254.0.1", 1_036_720_446, 30),
            ("172.16.0.1", -1_666_014_801, 47),
            ("192.0.2.7", 280_731_734, 38),
            ("192.168.1.1", 487_338_465, 33),
            ("192.168.100.200", -1_409_594_086, 10),
            ("198.51.100.23", -1_448_127_881, 39),
            ("203.0.113.5", 1_983_068_862, 30),
            ("224.0.0.251", -260_680_188, 20),
            ("239.255.255.250", -972_111_207, 41),
            ("255.255.255.255", -2_100_509_899, 37),
            ("8.8.8.8", -1_793_400_687, 17),
            ("1.1.1.1", -1_393_986_850, 46),
            ("::", -1_783_246_006, 10),
            ("::1", 1_029_396_713, 41),
            ("2001:db8::", -481_642_828, 4),
            ("2001:db8:0:1::", 1_737_214_235, 11),
            ("2001:db8:1:2::", -826_975_981, 19),
            ("2001:db8:ffff:ffff::", -1_459_412_894, 18),
            ("fe80::", 1_448_171_222, 38),
            ("fd00:1234:5678:9abc::", -403_982_773, 43),
            ("2001:db8:0:1:2:3:4:5", -891_378_708, 44),
            ("::ffff:192.0.2.128", 435_804_440, 8),
            ("ff02::1", -441_815_047, 25),
            ("fileserver.example", 496_745_942, 38),
            ("client-0", -365_021_670, 26),
            ("site-a", 957_450_203, 11),
            ("grüße.example", -59_545_323, 5),
            ("主机", 1_169_093_489, 17),
            ("🚀", 761_778_625, 1),
            ("192.0.2.0/24", 2_140_152_374, 38),
            ("episode/17", -1_627_317_639, 41),
            ("head/0", 1_386_090_916, 4),
            ("summary/1023", -1_787_697_722, 6),
        ];
        for (key, hash, partition) in table {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
            assert_eq!(partition_of(key, 48), partition, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_still_names_a_partition() {
        // -973932308 & 0x7fffffff = 1173551340; 1173551340 % 48 = 12.
        assert_eq!(partition_of("21", 48), 12);
        assert_eq!(partition_of("21", 1), 0);
        assert_eq!(partition_of("21", 0), 0);
    }

    #[test]
    fn keys_are_rfc_5952_text() {
        let cases = [
            ("192.0.2.7", 64, "192.0.2.7"),
            ("2001:DB8:0:1:2:3:4:5", 64, "2001:db8:0:1::"),
            ("2001:db8:0:1:2:3:4:5", 128, "2001:db8:0:1:2:3:4:5"),
            ("2001:db8:0:1:2:3:4:5", 0, "::"),
            ("2001:db8:0:1ff:2:3:4:5", 56, "2001:db8:0:100::"),
            ("2001:db8::1", 255, "2001:db8::1"),
            ("fileserver.example", 64, "fileserver.example"),
        ];
        for (host, prefix, expected) in cases {
            assert_eq!(key_of(&Host::parse(host), prefix), expected, "{host}/{prefix}");
        }
    }

    fn any_host() -> impl Strategy<Value = Host> {
        prop_oneof![
            any::<u32>().prop_map(|bits| Host::V4(bits.into())),
            any::<u128>().prop_map(|bits| Host::V6(bits.into())),
            // IPv4-mapped addresses have the longest text.
            any::<u32>().prop_map(|bits| Host::V6((0xffff_0000_0000 | u128::from(bits)).into())),
            ".*".prop_map(|name| Host::Name(name.into())),
        ]
    }

    proptest! {
        #[test]
        fn host_and_key_agree(host in any_host(), prefix in any::<u8>(), count in 1_u32..100) {
            let partition = partition_of_host(&host, prefix, count);
            prop_assert!(partition < count);
            prop_assert_eq!(partition, partition_of(&key_of(&host, prefix), count));
        }

        #[test]
        fn hosts_of_a_subnet_share_a_partition(network in any::<u64>(), one: u64, other: u64, count in 1_u32..100) {
            let host = |interface: u64| Host::V6((u128::from(network) << 64 | u128::from(interface)).into());
            prop_assert_eq!(
                partition_of_host(&host(one), DEFAULT_IPV6_PREFIX, count),
                partition_of_host(&host(other), DEFAULT_IPV6_PREFIX, count)
            );
        }
    }
}
