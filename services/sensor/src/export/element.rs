//! The information elements that flows are made of, by their numbers (IANA's registry of IPFIX entities; RFC 3954 §8 for v9,
//! which shares them), and the reverse ones of biflows (RFC 5103 §6.1).

use std::sync::LazyLock;

use netflow_parser::{FieldValue, IpfixField, V9Field};
use std::collections::HashMap;

use Element as E;

/// What a value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    OctetDelta,
    PacketDelta,
    OctetTotal,
    PacketTotal,
    PostOctetDelta,
    PostPacketDelta,
    InitiatorOctets,
    ResponderOctets,
    InitiatorPackets,
    ResponderPackets,
    SourceV4,
    DestinationV4,
    SourceV6,
    DestinationV6,
    IpVersion,
    SourcePort,
    DestinationPort,
    Protocol,
    TcpFlags,
    /// Type and code of an ICMP message in two bytes.
    IcmpTypeCode,
    IcmpType,
    IcmpCode,
    SourceMac,
    DestinationMac,
    Vlan,
    CustomerVlan,
    SourceAs,
    DestinationAs,
    EndReason,
    BiflowDirection,
    FirewallEvent,
    StartUptime,
    EndUptime,
    StartSeconds,
    EndSeconds,
    StartMilliseconds,
    EndMilliseconds,
    StartNtp,
    EndNtp,
    StartDelta,
    EndDelta,
    DurationMilliseconds,
    DurationMicroseconds,
    ObservedSeconds,
    ObservedMilliseconds,
    ObservedNtp,
    /// When the exporter was started.
    BootMilliseconds,
    /// One of so many packets is counted.
    SamplingInterval,
    /// The sampler whose interval options data tell.
    Sampler,
    /// So many packets in a row are counted…
    SampledRow,
    /// …and so many after them are not.
    SampledSpace,
    /// So many packets are counted…
    SampleSize,
    /// …of so many.
    SamplePopulation,
    SamplingProbability,
    InputInterface,
}

/// Numbers without an enterprise's.
const ELEMENTS: [(u16, Element); 68] = [
    (1, E::OctetDelta),
    (2, E::PacketDelta),
    (4, E::Protocol),
    (6, E::TcpFlags),
    (7, E::SourcePort),
    (8, E::SourceV4),
    (10, E::InputInterface),
    (11, E::DestinationPort),
    (12, E::DestinationV4),
    (16, E::SourceAs),
    (17, E::DestinationAs),
    (21, E::EndUptime),
    (22, E::StartUptime),
    (23, E::PostOctetDelta),
    (24, E::PostPacketDelta),
    (27, E::SourceV6),
    (28, E::DestinationV6),
    (32, E::IcmpTypeCode),
    (34, E::SamplingInterval),
    (48, E::Sampler),
    (50, E::SamplingInterval),
    (56, E::SourceMac),
    (58, E::Vlan),
    (60, E::IpVersion),
    (80, E::DestinationMac),
    (85, E::OctetTotal),
    (86, E::PacketTotal),
    (136, E::EndReason),
    (139, E::IcmpTypeCode),
    (150, E::StartSeconds),
    (151, E::EndSeconds),
    (152, E::StartMilliseconds),
    (153, E::EndMilliseconds),
    (154, E::StartNtp),
    (155, E::EndNtp),
    (156, E::StartNtp),
    (157, E::EndNtp),
    (158, E::StartDelta),
    (159, E::EndDelta),
    (160, E::BootMilliseconds),
    (161, E::DurationMilliseconds),
    (162, E::DurationMicroseconds),
    (176, E::IcmpType),
    (177, E::IcmpCode),
    (178, E::IcmpType),
    (179, E::IcmpCode),
    (231, E::InitiatorOctets),
    (232, E::ResponderOctets),
    (233, E::FirewallEvent),
    (239, E::BiflowDirection),
    (243, E::Vlan),
    (245, E::CustomerVlan),
    (298, E::InitiatorPackets),
    (299, E::ResponderPackets),
    (302, E::Sampler),
    (305, E::SampledRow),
    (306, E::SampledSpace),
    (309, E::SampleSize),
    (310, E::SamplePopulation),
    (311, E::SamplingProbability),
    (322, E::ObservedSeconds),
    (323, E::ObservedMilliseconds),
    (324, E::ObservedNtp),
    (325, E::ObservedNtp),
    // UDP's and TCP's own.
    (180, E::SourcePort),
    (181, E::DestinationPort),
    (182, E::SourcePort),
    (183, E::DestinationPort),
];

/// The enterprise of reverse elements (RFC 5103 §6.1).
const REVERSE: u32 = 29305;
/// CERT's, whose YAF exports the first flags and the rest apart; reverse ones have bit 14 set.
const CERT: u32 = 6871;
const CERT_ELEMENTS: [(u16, bool, Element); 4] =
    [(14, false, E::TcpFlags), (15, false, E::TcpFlags), (16398, true, E::TcpFlags), (16399, true, E::TcpFlags)];

/// By the parser's names, which it gives each value.
static V9_FIELDS: LazyLock<HashMap<V9Field, Element>> =
    LazyLock::new(|| plain().map(|(number, element)| (V9Field::from(number), element)).collect());

/// Likewise, and whether it tells of the reverse direction.
static IPFIX_FIELDS: LazyLock<HashMap<IpfixField, (Element, bool)>> = LazyLock::new(|| {
    let forward = plain().map(|(number, element)| (IpfixField::new(number, None), (element, false)));
    let reverse = plain().map(|(number, element)| (IpfixField::new(number, Some(REVERSE)), (element, true)));
    let cert = CERT_ELEMENTS.into_iter();
    let cert = cert.map(|(number, reverse, element)| (IpfixField::new(number, Some(CERT)), (element, reverse)));
    forward.chain(reverse).chain(cert).collect()
});

fn plain() -> impl Iterator<Item = (u16, Element)> {
    ELEMENTS.into_iter()
}

/// What a v9 field means, if flows are made of it.
pub(super) fn of_v9(field: V9Field) -> Option<Element> {
    V9_FIELDS.get(&field).copied()
}

/// What an IPFIX field means, and whether it tells of the reverse direction.
pub(super) fn of_ipfix(field: IpfixField) -> Option<(Element, bool)> {
    IPFIX_FIELDS.get(&field).copied()
}

/// A value as it was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl<'a> Wire<'a> {
    /// The bytes that the parser has made a value of; `buffer` holds them. What a value is, [`Element`] decides: exporters
    /// shorten numbers to any length (RFC 7011 §6.2), and the parser has a type for some of them only.
    pub(super) fn of(value: &FieldValue, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        if value.write_be_bytes(buffer).is_err() {
            buffer.clear();
        }
        Self(buffer)
    }

    /// An unsigned number of at most eight bytes.
    pub(super) fn number(self) -> Option<u64> {
        let fits = (1..=8).contains(&self.0.len());
        fits.then(|| self.0.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A number in IEEE 754, of four or eight bytes.
    pub(super) fn float(self) -> Option<f64> {
        match self.0.len() {
            4 => self.0.first_chunk().map(|bytes| f64::from(f32::from_be_bytes(*bytes))),
            8 => self.0.first_chunk().map(|bytes| f64::from_be_bytes(*bytes)),
            _ => None,
        }
    }

    /// Exactly so many bytes.
    pub(super) fn bytes<const LENGTH: usize>(self) -> Option<[u8; LENGTH]> {
        self.0.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_one_meaning_in_each_protocol() {
        assert_eq!(V9_FIELDS.len(), ELEMENTS.len());
        assert_eq!(IPFIX_FIELDS.len(), 2 * ELEMENTS.len() + CERT_ELEMENTS.len());
    }

    #[test]
    fn numbers_have_any_length() {
        assert_eq!(Wire(&[]).number(), None);
        assert_eq!(Wire(&[7]).number(), Some(7));
        assert_eq!(Wire(&[1, 0, 0, 0, 0]).number(), Some(1 << 32));
        assert_eq!(Wire(&[0xff; 8]).number(), Some(u64::MAX));
        assert_eq!(Wire(&[0; 9]).number(), None);
        assert_eq!(Wire(&0.25f64.to_be_bytes()).float(), Some(0.25));
    }
}
