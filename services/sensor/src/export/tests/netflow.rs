//! `NetFlow` and IPFIX: times, counts, directions, templates, sampling, losses.

use proptest::prelude::*;
use weir_schemas::{EndReason, Outcome};

use super::build::{self, BASIC, Field, basic};
use super::*;
use crate::declared::Measured;

/// The enterprise of reverse elements.
const REVERSE: u32 = 29305;

fn measured(packets: u64, bytes: u64) -> Measured {
    Measured { packets, bytes, payload: None }
}

/// The flows of one IPFIX record with [`BASIC`] and these fields and values.
fn ipfix_flows(more: &[Field], values: &[u8]) -> Vec<DeclaredFlow> {
    let template = build::template(2, 256, &[&BASIC, more].concat());
    let data = build::set(256, &[basic(6, 10, 1000), values.to_vec()].concat());
    decode(&[build::ipfix(0, &[template, data])]).0
}

#[test]
fn v5_records_are_flows() {
    let uptime = 100_000;
    let records = [(6, 80, 0x12, 90_000, 95_000), (1, 0x0303, 0, 99_000, 99_000), (17, 53, 0, 99_500, 99_900)];
    let (flows, counters) = decode(&[build::v5(1, uptime, 0x4000 | 64, &records)]);
    assert_eq!(
        shown_all(&flows),
        [
            "192.0.2.1:1000 > 192.0.2.2:80 6 3/300",
            "192.0.2.1:0 > 192.0.2.2:0 1 3/300",
            "192.0.2.1:1000 > 192.0.2.2:53 17 3/300",
        ]
    );
    let exported = NOW + SECOND_US / 4;
    assert_eq!((flows[0].start, flows[0].end), (exported - 10 * SECOND_US, exported - 5 * SECOND_US));
    assert_eq!((flows[0].flags_fwd, flows[2].flags_fwd), (Some(0x12), None));
    assert_eq!(flows[1].icmp, Some((3, 3)));
    assert!(flows.iter().all(|flow| flow.sampling == 64 && flow.rev.is_none() && !flow.is_initiator_declared));
    assert_eq!(flows[0].src.asn, Some(64_500));
    assert_eq!(flows[0].exporter.unwrap().domain, 0x0102);
    assert_eq!((counters.flows, counters.lost), (3, 0));
}

#[test]
fn uptimes_that_wrapped_are_told_by_their_difference() {
    let (flows, _) = decode(&[build::v5(1, 2_000, 0, &[(6, 80, 2, u32::MAX - 2_999, 1_000)])]);
    let exported = NOW + SECOND_US / 4;
    assert_eq!((flows[0].start, flows[0].end), (exported - 5 * SECOND_US, exported - SECOND_US));
}

#[test]
fn v7_has_no_flags() {
    let (flows, _) = decode(&[build::v7(60_000)]);
    assert_eq!(shown_all(&flows), ["192.0.2.1:1000 > 192.0.2.2:80 6 3/300"]);
    assert_eq!((flows[0].flags_fwd, flows[0].start, flows[0].end), (None, NOW - 5 * SECOND_US, NOW - SECOND_US));
}

#[test]
fn v9_data_before_their_template_keep_their_own_header() {
    let of = [BASIC.as_slice(), &[(22, 0, 4), (21, 0, 4)]].concat();
    let times = [1_000u32.to_be_bytes(), 2_000u32.to_be_bytes()].concat();
    let data = build::set(256, &[basic(6, 10, 1000), times].concat());
    let template = build::template(0, 256, &of);
    // The template comes a minute of uptime later, in a message whose header has the same time.
    let (flows, counters) = decode(&[build::v9(1, 5_000, &[data]), build::v9(2, 65_000, &[template])]);
    assert_eq!(shown_all(&flows), ["192.0.2.1:1000 > 192.0.2.2:80 6 10/1000"]);
    assert_eq!((flows[0].start, flows[0].end), (NOW - 4 * SECOND_US, NOW - 3 * SECOND_US));
    assert_eq!((counters.held_decoded, counters.held_lost), (1, 0));
}

#[test]
fn templates_belong_to_their_exporter_and_domain() {
    let template = build::ipfix(0, &[build::template(2, 256, &BASIC)]);
    let data = build::ipfix(0, &[build::set(256, &basic(6, 1, 40))]);
    let mut other_domain = data.clone();
    other_domain[15] = 8;
    let mut exports = Exports::new();
    let mut flows = Vec::new();
    exports.datagram(sender(), NOW, &template, &mut flows);
    exports.datagram(([192, 0, 2, 253], 40_000).into(), NOW, &data, &mut flows);
    exports.datagram(sender(), NOW, &other_domain, &mut flows);
    assert!(flows.is_empty());
    exports.datagram(sender(), NOW, &data, &mut flows);
    exports.finish();
    assert_eq!((flows.len(), exports.counters().held_lost), (1, 2));
}

#[test]
fn a_set_that_cannot_be_read_costs_itself() {
    // A template of no bytes, then one that is right.
    let wrong = build::template(0, 300, &[(8, 0, 0)]);
    let (flows, counters) =
        decode(&[build::v9(1, 0, &[build::template(0, 256, &BASIC), wrong, build::set(256, &basic(17, 2, 80))])]);
    assert_eq!(flows.len(), 1);
    assert_eq!(counters.errors, [("export_template", 1)].into());
}

#[test]
fn a_record_that_is_cut_is_counted() {
    // 21 bytes a record: a whole one, and ten bytes of another, which is more than padding.
    let data = build::set(256, &[basic(6, 1, 40), basic(6, 1, 40)[..10].to_vec()].concat());
    for datagram in [
        build::v9(1, 0, &[build::template(0, 256, &BASIC), data.clone()]),
        build::ipfix(1, &[build::template(2, 256, &BASIC), data.clone()]),
    ] {
        let (flows, counters) = decode(&[datagram]);
        assert_eq!((flows.len(), counters.errors), (1, [("export_data", 1)].into()));
    }
}

#[test]
fn damaged_lengths_make_no_flows() {
    let whole = build::v5(1, 0, 0, &[(6, 80, 2, 0, 0)]);
    for cut in 0..whole.len() {
        let (flows, counters) = decode(&[whole[..cut].to_vec()]);
        assert!(flows.is_empty());
        assert_eq!(counters.errors.values().sum::<u64>(), 1);
    }
}

#[test]
fn options_tell_the_sampling_of_what_follows() {
    let template = build::template(0, 256, &[BASIC.as_slice(), &[(48, 0, 1)]].concat());
    let data = |sampler: u8| build::set(256, &[basic(6, 1, 40), vec![sampler]].concat());
    let options = build::v9_options_template(257, &[(1, 0, 4)], &[(48, 0, 1), (50, 0, 2)]);
    let rates = build::set(257, &[0, 0, 0, 0, 3, 0, 100, 0, 0, 0, 0, 4, 1, 0, 0, 0]);
    let datagrams = [
        build::v9(1, 0, &[template, data(3)]),
        build::v9(2, 0, &[options, rates]),
        build::v9(3, 0, &[data(3), data(4)]),
    ];
    let (flows, counters) = decode(&datagrams);
    assert_eq!(flows.iter().map(|flow| flow.sampling).collect::<Vec<_>>(), [1, 100, 256]);
    assert_eq!((counters.options, counters.flows, counters.unknown_samplers), (2, 3, 1));
}

#[test]
fn options_tell_when_the_exporter_was_started() {
    let boot = (NOW / 1000 - 50_000) as u64;
    let options = build::ipfix_options_template(257, &[(143, 0, 4), (160, 0, 8)]);
    let started = build::set(257, &[vec![0; 4], boot.to_be_bytes().to_vec()].concat());
    let template = build::template(2, 256, &[BASIC.as_slice(), &[(22, 0, 4), (21, 0, 4)]].concat());
    let times = [10_000u32.to_be_bytes(), 49_000u32.to_be_bytes()].concat();
    let data = build::set(256, &[basic(6, 10, 1000), times].concat());
    let (flows, _) = decode(&[build::ipfix(0, &[options, started, template, data])]);
    assert_eq!((flows[0].start, flows[0].end), (NOW - 40 * SECOND_US, NOW - SECOND_US));
}

#[test]
fn times_come_in_every_unit() {
    let (start, end) = (NOW - 20 * SECOND_US, NOW - 8 * SECOND_US);
    let ntp = |time: Micros| ((time / SECOND_US) as u64 + 2_208_988_800) << 32;
    let of = |numbers: [u64; 2], length: usize| {
        numbers.iter().flat_map(|number| number.to_be_bytes()[8 - length..].to_vec()).collect::<Vec<_>>()
    };
    let cases: [([u16; 2], [u64; 2], usize); 7] = [
        ([150, 151], [start, end].map(|time| (time / SECOND_US) as u64), 4),
        ([152, 153], [start, end].map(|time| (time / 1000) as u64), 8),
        ([154, 155], [start, end].map(ntp), 8),
        ([156, 157], [start, end].map(ntp), 8),
        ([158, 159], [20_000_000, 8_000_000], 4),
        ([152, 161], [(start / 1000) as u64, 12_000], 8),
        ([153, 162], [(end / 1000) as u64, 12_000_000], 8),
    ];
    for (elements, numbers, length) in cases {
        let flows = ipfix_flows(&elements.map(|element| (element, 0, length as u16)), &of(numbers, length));
        assert_eq!((flows[0].start, flows[0].end), (start, end), "{elements:?}");
    }
    let unknown = ipfix_flows(&[(152, 0, 8), (153, 0, 8)], &[0; 16]);
    assert_eq!((unknown[0].start, unknown[0].end), (NOW, NOW));
}

#[test]
fn reverse_elements_make_a_biflow() {
    let fields = [(2, REVERSE, 8), (1, REVERSE, 8), (6, 0, 1), (6, REVERSE, 2), (239, 0, 1), (136, 0, 1)];
    let values = |direction: u8| {
        [7u64.to_be_bytes().to_vec(), 700u64.to_be_bytes().to_vec(), vec![0x02, 0, 0x12, direction, 3]].concat()
    };
    let cases = [
        (0, "192.0.2.1:1000 > 192.0.2.2:80 6 10/1000 7/700", false, (0x02, 0x12)),
        (1, "192.0.2.1:1000 > 192.0.2.2:80 6 10/1000 7/700", true, (0x02, 0x12)),
        (2, "192.0.2.2:80 > 192.0.2.1:1000 6 7/700 10/1000", true, (0x12, 0x02)),
    ];
    for (direction, text, is_declared, (forward, reverse)) in cases {
        let flows = ipfix_flows(&fields, &values(direction));
        assert_eq!(shown(&flows[0]), text);
        assert_eq!(flows[0].is_initiator_declared, is_declared);
        assert_eq!((flows[0].flags_fwd, flows[0].flags_rev), (Some(forward), Some(reverse)));
        assert_eq!(flows[0].end_reason, Some(EndReason::Fin));
    }
}

#[test]
fn firewalls_name_the_initiator_and_what_they_deny() {
    let template = build::template(0, 256, &[&BASIC[..5], &[(231, 0, 4), (232, 0, 4), (233, 0, 1)]].concat());
    let record = |octets: [u32; 2], event: u8| {
        let counts = octets.iter().flat_map(|octets| octets.to_be_bytes()).collect::<Vec<_>>();
        [basic(6, 0, 0)[..13].to_vec(), counts, vec![event]].concat()
    };
    // Created (counts nothing yet), deleted, denied.
    let records = [record([0, 0], 1), record([500, 900], 2), record([0, 0], 3)].concat();
    let (flows, counters) = decode(&[build::v9(1, 0, &[template, build::set(256, &records)])]);
    assert_eq!(
        shown_all(&flows),
        ["192.0.2.1:1000 > 192.0.2.2:80 6 1/500 1/900", "192.0.2.1:1000 > 192.0.2.2:80 6 1/0 0/0"]
    );
    assert!(flows.iter().all(|flow| flow.is_initiator_declared));
    assert_eq!((flows[0].outcome, flows[1].outcome), (None, Some(Outcome::Refused)));
    assert_eq!(counters.other_records, 1);
}

#[test]
fn totals_count_once() {
    let of: Vec<Field> = [&BASIC[..5], &[(86, 0, 8), (85, 0, 8), (152, 0, 8), (153, 0, 8)]].concat();
    let template = build::template(2, 256, &of);
    let record = |packets: u64, end: u64| {
        let start = NOW as u64 / 1000 - 60_000;
        let numbers = [packets, packets * 100, start, start + end];
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
        build::set(256, &[basic(6, 0, 0)[..13].to_vec(), numbers].concat())
    };
    let (flows, _) = decode(&[build::ipfix(0, &[template, record(10, 1000), record(25, 9000), record(25, 9000)])]);
    assert_eq!(flows.iter().map(|flow| flow.fwd).collect::<Vec<_>>(), [measured(10, 1000), measured(15, 1500)]);
    assert_eq!(flows[1].start, flows[0].end);
}

#[test]
fn variable_lengths_and_shortened_numbers_are_read() {
    // A name of 3 bytes and one of 300 in the long form, then octets in 5 bytes (RFC 7011 §6.2, §7).
    let fields: Vec<Field> = [&BASIC[..5], &[(96, 0, 65_535), (95, 9, 65_535), (1, 0, 5), (2, 0, 3)]].concat();
    let template = build::template(2, 256, &fields);
    let record = [
        basic(6, 0, 0)[..13].to_vec(),
        vec![3, b'd', b'n', b's', 255, 1, 44],
        vec![7; 300],
        vec![1, 0, 0, 0, 0, 0, 0, 9],
    ]
    .concat();
    let (flows, counters) =
        decode(&[build::ipfix(0, &[template, build::set(256, &[record.clone(), record].concat())])]);
    assert_eq!(flows.iter().map(|flow| flow.fwd).collect::<Vec<_>>(), [measured(9, 1 << 32); 2]);
    assert!(counters.errors.is_empty());
}

#[test]
fn every_protocol_and_both_families_are_kept() {
    let fields: Vec<Field> = [BASIC.as_slice(), &[(27, 0, 16), (28, 0, 16), (60, 0, 1)]].concat();
    let v6 = |last: u8| [vec![0x20, 1, 0x0d, 0xb8], vec![0; 11], vec![last]].concat();
    for protocol in 0..=255 {
        let template = build::template(2, 256, &fields);
        let record = |version: u8| [basic(protocol, 1, 60), v6(1), v6(2), vec![version]].concat();
        let data = build::set(256, &[record(4), record(6)].concat());
        let (flows, _) = decode(&[build::ipfix(0, &[template, data])]);
        let ports = if matches!(protocol, 1 | 58) { (0, 0) } else { (1000, 80) };
        let expected = [
            format!("192.0.2.1:{} > 192.0.2.2:{} {protocol} 1/60", ports.0, ports.1),
            format!("2001:db8::1:{} > 2001:db8::2:{} {protocol} 1/60", ports.0, ports.1),
        ];
        assert_eq!(shown_all(&flows), expected);
    }
}

#[test]
fn icmp_has_its_type_and_code_wherever_they_stand() {
    let cases = [
        (vec![], vec![], (0, 80)),
        (vec![(32, 0, 2)], vec![8, 0], (8, 0)),
        (vec![(176, 0, 1), (177, 0, 1)], vec![3, 1], (3, 1)),
        (vec![(32, 0, 2), (139, 0, 2)], vec![3, 13, 0, 0], (3, 13)),
    ];
    for (fields, values, icmp) in cases {
        let template = build::template(0, 256, &[BASIC.as_slice(), &fields].concat());
        let data = build::set(256, &[basic(1, 1, 84), values].concat());
        let (flows, _) = decode(&[build::v9(1, 0, &[template, data])]);
        assert_eq!((flows[0].icmp, flows[0].src.port, flows[0].dst.port), (Some(icmp), 0, 0));
    }
}

#[test]
fn losses_are_told_by_what_each_protocol_numbers() {
    let v5 = |sequence| build::v5(sequence, 0, 0, &[(6, 80, 2, 0, 0), (6, 81, 2, 0, 0)]);
    let (_, counters) = decode(&[v5(10), v5(12), v5(20)]);
    assert_eq!(counters.lost, 6);

    let template = |sequence| build::v9(sequence, 0, &[build::template(0, 256, &BASIC)]);
    let (_, counters) = decode(&[template(1), template(2), template(5)]);
    assert_eq!(counters.lost, 2);

    let data = || build::set(256, &[basic(6, 1, 40), basic(6, 1, 40)].concat());
    let ipfix = [
        build::ipfix(100, &[build::template(2, 256, &BASIC), data()]),
        build::ipfix(102, &[data(), data()]),
        build::ipfix(109, &[data()]),
    ];
    let mut exports = Exports::new();
    for datagram in ipfix {
        assert!(exports.datagram(sender(), NOW, &datagram, &mut Vec::new()));
    }
    assert_eq!(exports.counters().lost, 3);
    assert_eq!(exports.lost_by_exporter().map(|(by, lost)| (by.domain, lost)).collect::<Vec<_>>(), [(7, 3)]);
}

proptest! {
    /// Nothing that is sent panics, and what comes out is what records say: bytes come in packets.
    #[test]
    fn any_fields_of_any_length_are_read(
        fields in proptest::collection::vec((0..400u16, prop_oneof![Just(0u32), Just(REVERSE), Just(6871), any::<u32>()], 1..20u16), 1..30),
        values in proptest::collection::vec(any::<u8>(), 0..1200),
    ) {
        let template = build::template(2, 256, &[BASIC.as_slice(), &fields].concat());
        let v9_fields: Vec<Field> = fields.iter().map(|(element, _, length)| (*element, 0, *length)).collect();
        let v9_template = build::template(0, 256, &[BASIC.as_slice(), &v9_fields].concat());
        let data = build::set(256, &[basic(6, 1, 40), values].concat());
        let (flows, _) = decode(&[
            build::ipfix(0, &[template, data.clone()]),
            build::v9(0, 5, &[v9_template, data]),
        ]);
        for flow in flows {
            prop_assert!(flow.start <= flow.end && flow.sampling > 0);
            prop_assert!(flow.fwd.packets > 0 || flow.fwd.bytes == 0);
        }
    }
}
