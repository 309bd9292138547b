//! The names that tcpdump prints for IP protocols.

/// The protocol number of a line whose text after the addresses begins with `rest`, if it names one.
pub(super) fn number(rest: &str) -> Option<u8> {
    let word = rest.split([' ', ',', ':', '(']).next().unwrap_or_default();
    if let Some(number) = word.strip_prefix("ip-proto-") {
        return number.parse().ok();
    }
    let word = word.to_ascii_lowercase();
    PROTOCOLS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}

/// IANA's assigned internet protocol numbers.
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("egp", 8),
    ("igrp", 9),
    ("udp", 17),
    ("ip6", 41),
    ("rsvp", 46),
    ("rsvpv1", 46),
    ("gre", 47),
    ("grev0", 47),
    ("grev1", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("eigrp", 88),
    ("ospf", 89),
    ("ospfv2", 89),
    ("ospfv3", 89),
    ("pim", 103),
    ("pimv1", 103),
    ("pimv2", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("vrrpv2", 112),
    ("vrrpv3", 112),
    ("carpv2", 112),
    ("pgm", 113),
    ("l2tpv3", 115),
    ("sctp", 132),
    ("udplite", 136),
];
