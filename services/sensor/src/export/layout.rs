//! Where an export message ends: versions, counts and lengths that fit each other. It tells exports from any other payload,
//! cuts raw files into messages, and cuts messages into the sets that are decoded one by one.

/// The export protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `NetFlow` version 5.
    V5,
    /// `NetFlow` version 7 (Catalyst switches).
    V7,
    /// `NetFlow` version 9 (RFC 3954).
    V9,
    /// IPFIX (RFC 7011).
    Ipfix,
    /// sFlow version 5.
    Sflow,
}

impl Protocol {
    /// The name printed for people and put into records as their input.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V5 => "netflow5",
            Self::V7 => "netflow7",
            Self::V9 => "netflow9",
            Self::Ipfix => "ipfix",
            Self::Sflow => "sflow5",
        }
    }
}

/// UDP ports that collectors are told to listen on: nfdump's and Cisco's, IANA's for IPFIX and sFlow, those of other collectors.
pub const WELL_KNOWN_PORTS: [u16; 7] = [2055, 2056, 4739, 6343, 9555, 9995, 9996];

/// Header and record lengths, bytes, and most records of a datagram: Cisco's `NetFlow` export datagram formats.
const V5_HEADER: usize = 24;
const V5_RECORD: usize = 48;
const V5_MOST: u16 = 30;
const V7_HEADER: usize = 24;
const V7_RECORD: usize = 52;
const V7_MOST: u16 = 28;
/// RFC 3954 §5.1.
pub(super) const V9_HEADER: usize = 20;
/// RFC 7011 §3.1.
pub(super) const IPFIX_HEADER: usize = 16;
pub(super) const SET_HEADER: usize = 4;
/// The year 1996, in which `NetFlow` began: no export is older, seconds since 1970.
pub(super) const EARLIEST: u32 = 820_454_400;
/// Ids of data sets; those between the template sets' and this are reserved (RFC 3954 §5.2, RFC 7011 §3.3.2).
pub(super) const FIRST_DATA_SET: u16 = 256;

/// The protocol and length of the whole message that `bytes` begin with, if there is one.
///
/// A v9 message does not say where it ends: its sets go on until the bytes end or what follows is no set. The version of the
/// next message is a reserved set id, so messages one after another are told apart.
#[must_use]
pub fn message(bytes: &[u8]) -> Option<(Protocol, usize)> {
    match (number16(bytes, 0)?, number16(bytes, 2)?) {
        (0, 5) => sflow_length(bytes).map(|length| (Protocol::Sflow, length)),
        (5, count @ 1..=V5_MOST) => whole(bytes, V5_HEADER + usize::from(count) * V5_RECORD, Protocol::V5),
        (7, count @ 1..=V7_MOST) => whole(bytes, V7_HEADER + usize::from(count) * V7_RECORD, Protocol::V7),
        (9, 1..) => {
            let length =
                V9_HEADER + sets_length(bytes.get(V9_HEADER..)?, |id| matches!(id, 0 | 1) || id >= FIRST_DATA_SET);
            (length > V9_HEADER).then_some((Protocol::V9, length))
        }
        (10, length) => {
            let length = usize::from(length);
            let sets = bytes.get(IPFIX_HEADER..length)?;
            let fit = sets_length(sets, |id| matches!(id, 2 | 3) || id >= FIRST_DATA_SET);
            (fit > 0 && fit == sets.len()).then_some((Protocol::Ipfix, length))
        }
        _ => None,
    }
}

/// The protocol of a datagram that is one whole message, of an exporter with a clock, and nothing else.
#[must_use]
pub fn recognise(datagram: &[u8]) -> Option<Protocol> {
    let (protocol, length) = message(datagram)?;
    let seconds = match protocol {
        Protocol::V5 | Protocol::V7 | Protocol::V9 => number32(datagram, 8)?,
        Protocol::Ipfix => number32(datagram, 4)?,
        // Tells its uptime only.
        Protocol::Sflow => EARLIEST,
    };
    (length == datagram.len() && seconds >= EARLIEST).then_some(protocol)
}

/// The protocol that the version of a datagram claims, whether or not the rest fits.
#[must_use]
pub fn claimed(datagram: &[u8]) -> Option<Protocol> {
    match (number16(datagram, 0)?, number16(datagram, 2)?) {
        (0, 5) => Some(Protocol::Sflow),
        (5, _) => Some(Protocol::V5),
        (7, _) => Some(Protocol::V7),
        (9, _) => Some(Protocol::V9),
        (10, _) => Some(Protocol::Ipfix),
        _ => None,
    }
}

/// The sets of a v9 or IPFIX message without its header: id and whole set. Ends at the first that does not fit.
pub(super) fn sets(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (id, length) = (number16(bytes, 0)?, usize::from(number16(bytes, 2)?));
        if length < SET_HEADER || length > bytes.len() {
            return None;
        }
        let (set, rest) = bytes.split_at(length);
        bytes = rest;
        Some((id, set))
    })
}

fn whole(bytes: &[u8], length: usize, protocol: Protocol) -> Option<(Protocol, usize)> {
    (bytes.len() >= length).then_some((protocol, length))
}

/// How many bytes of sets with such ids `bytes` begin with.
fn sets_length(bytes: &[u8], is_set: impl Fn(u16) -> bool) -> usize {
    sets(bytes).take_while(|(id, _)| is_set(*id)).map(|(_, set)| set.len()).sum()
}

/// sFlow version 5: header, then as many samples as it says, each of the length it says.
fn sflow_length(bytes: &[u8]) -> Option<usize> {
    let address = match number32(bytes, 4)? {
        1 => 4,
        2 => 16,
        _ => return None,
    };
    let samples = number32(bytes, 8 + address + 12)?;
    let mut at = 8 + address + 16;
    for _ in 0..samples {
        let length = usize::try_from(number32(bytes, at + 4)?).ok()?;
        at = at.checked_add(8)?.checked_add(length)?;
        if at > bytes.len() {
            return None;
        }
    }
    (samples > 0).then_some(at)
}

/// The big-endian number at `at`, if it is there.
pub(super) fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?).map(|two| u16::from_be_bytes([two[0], two[1]]))
}

/// The big-endian number at `at`, if it is there.
pub(super) fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v5(count: u16) -> Vec<u8> {
        let mut bytes = vec![0; V5_HEADER + usize::from(count) * V5_RECORD];
        bytes[1] = 5;
        bytes[2..4].copy_from_slice(&count.to_be_bytes());
        bytes[8] = 0x60;
        bytes
    }

    fn v9(sets: &[(u16, usize)]) -> Vec<u8> {
        let mut bytes = vec![0; V9_HEADER];
        bytes[1] = 9;
        bytes[3] = 1;
        bytes[8] = 0x60;
        for (id, length) in sets {
            bytes.extend(id.to_be_bytes());
            bytes.extend((*length as u16).to_be_bytes());
            bytes.resize(bytes.len() + length - SET_HEADER, 0);
        }
        bytes
    }

    #[test]
    fn lengths_have_to_fit_exactly() {
        for (bytes, protocol) in [(v5(30), Protocol::V5), (v9(&[(0, 20), (300, 44)]), Protocol::V9)] {
            assert_eq!(recognise(&bytes), Some(protocol));
            assert_eq!(recognise(&bytes[..bytes.len() - 1]), None);
            assert_eq!(recognise(&[bytes, vec![0]].concat()), None);
        }
        let mut without_clock = v5(1);
        without_clock[8] = 0;
        assert_eq!(recognise(&without_clock), None);
        assert_eq!(recognise(&v5(0)), None);
        assert_eq!(recognise(&v5(31)), None);
        assert_eq!(recognise(&v9(&[])), None);
        assert_eq!(recognise(&v9(&[(2, 8)])), None);
    }

    #[test]
    fn messages_one_after_another_are_told_apart() {
        let messages = [v9(&[(0, 20)]), v9(&[(256, 12), (257, 8)]), v5(2), v9(&[(1, 16)]), v5(1)];
        let bytes = messages.concat();
        let mut rest = bytes.as_slice();
        for expected in &messages {
            let (_, length) = message(rest).unwrap();
            assert_eq!(&rest[..length], expected.as_slice());
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }

    /// A DNS message with any header, one question and some answers.
    fn dns() -> impl Strategy<Value = Vec<u8>> {
        let name = proptest::collection::vec("[a-z0-9-]{1,20}", 1..5);
        (any::<[u8; 4]>(), name, 0..4u16, any::<[u8; 4]>()).prop_map(|(head, labels, answers, address)| {
            let mut bytes = head.to_vec();
            bytes.extend([0, 1]);
            bytes.extend(answers.to_be_bytes());
            bytes.extend([0; 4]);
            for label in labels {
                bytes.push(label.len() as u8);
                bytes.extend(label.as_bytes());
            }
            bytes.extend([0, 0, 1, 0, 1]);
            for _ in 0..answers {
                bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                bytes.extend(address);
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn random_bytes_are_no_export(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
            prop_assert_eq!(recognise(&bytes), None);
        }

        /// Also where version and count are what an export's are, which a DNS id and flags may be.
        #[test]
        fn dns_is_no_export(
            mut bytes in dns(),
            version in prop_oneof![Just(0u8), Just(5), Just(7), Just(9), Just(10)],
            second in prop_oneof![Just(5u8), 0..31u8],
        ) {
            prop_assert_eq!(recognise(&bytes), None);
            bytes[..4].copy_from_slice(&[0, version, 0, second]);
            prop_assert_eq!(recognise(&bytes), None);
        }

        #[test]
        fn no_length_is_beyond_the_bytes(bytes in proptest::collection::vec(0..12u8, 0..300)) {
            if let Some((_, length)) = message(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
