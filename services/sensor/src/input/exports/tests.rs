//! Exports as inputs: in captures among other traffic and alone, and raw.

use proptest::prelude::*;
use weir_schemas::{Host, SECOND_US};

use super::super::{InputKind, InputOptions, Observed};
use super::*;
use crate::export::tests::EXPORTED;
use crate::export::tests::build;

const NOW: Micros = EXPORTED as Micros * SECOND_US;

/// A classic pcap of Ethernet frames, a millisecond apart.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for number in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend(u32::to_le_bytes(number));
    }
    for (number, frame) in frames.iter().enumerate() {
        let length = frame.len() as u32;
        for field in [EXPORTED, number as u32 * 1000, length, length] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(frame);
    }
    bytes
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([192, 0, 2, 254], [192, 0, 2, 253], 64)
        .udp(40_000, port);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    // What Ethernet pads with.
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A v5 datagram of one UDP flow to `port` that began `age` ms before its export.
fn export(sequence: u32, port: u16, age: u32) -> Vec<u8> {
    build::v5(sequence, 10_000_000, 0, &[(17, port, 0, 10_000_000 - age, 10_000_000)])
}

/// What an input brings, what it says, and its counters.
fn read(bytes: &[u8], kind: InputKind) -> (Vec<Observed>, Vec<String>, InputCounters) {
    let options = InputOptions { kind, ..InputOptions::default() };
    let stream = Box::new(io::Cursor::new(bytes.to_vec()));
    let mut input = super::super::opening::open_stream("test", stream, None, &options).unwrap();
    let mut counters = InputCounters::default();
    let observed: Vec<_> = std::iter::from_fn(|| input.next(&mut counters)).collect();
    let warnings = input.take_warnings().into_iter().map(|warning| warning.message).collect();
    (observed, warnings, counters)
}

/// The destination ports of flows.
fn ports(observed: &[Observed]) -> Vec<u16> {
    let port = |observed: &Observed| match observed {
        Observed::Flow(flow) => flow.dst.port,
        Observed::Packet(packet) => panic!("a packet: {packet:?}"),
    };
    observed.iter().map(port).collect()
}

#[test]
fn a_capture_of_nothing_but_exports_is_flows_in_order_of_their_start() {
    let datagrams = [export(0, 1, 1000), export(1, 2, 60_000), export(2, 3, 500), export(3, 4, 1_000_000)];
    let frames: Vec<_> = datagrams.iter().map(|datagram| udp(9_990, datagram)).collect();
    let (observed, warnings, counters) = read(&pcap(&frames), InputKind::ByContent);
    assert_eq!(ports(&observed), [4, 2, 1, 3]);
    // Packets are those that exporters tell of, not the frames that their datagrams came in.
    assert_eq!((counters.packets, warnings), (0, Vec::new()));
}

#[test]
fn a_capture_of_a_network_with_exports_is_packets_unless_exports_are_asked_for() {
    let frames =
        [udp(2055, &export(0, 1, 1000)), udp(53, &[7; 40]), udp(9_990, &export(1, 2, 2000)), udp(6343, &[1, 2, 3])];
    let bytes = pcap(&frames);
    let (observed, ..) = read(&bytes, InputKind::ByContent);
    assert_eq!(observed.iter().filter(|one| matches!(one, Observed::Packet(_))).count(), 4);
    let (observed, ..) = read(&pcap(&frames[..1]), InputKind::Packets);
    assert!(matches!(observed[..], [Observed::Packet(_)]));

    let (observed, warnings, counters) = read(&bytes, InputKind::Exports);
    assert_eq!(ports(&observed), [2, 1]);
    assert_eq!(warnings, ["1 packets are no exports and were left out; read them with --input packets"]);
    assert_eq!(counters.decode_errors, [("export_version", 1)].into());
}

#[test]
fn what_was_cut_off_is_told() {
    let whole = udp(2055, &export(0, 1, 1000));
    let mut bytes = pcap(&[whole.clone(), whole.clone()]);
    // The second record's captured length: the end is cut off as by a snap length.
    let second = 24 + 16 + whole.len();
    bytes[second + 8..second + 12].copy_from_slice(&80u32.to_le_bytes());
    bytes.truncate(second + 16 + 80);
    let (observed, _, counters) = read(&bytes, InputKind::Exports);
    assert_eq!(ports(&observed), [1]);
    assert_eq!(counters.decode_errors, [("export_cut", 1)].into());
}

#[test]
fn raw_messages_are_read_up_to_what_is_none() {
    let messages = [export(0, 1, 1000), export(5, 2, 2000), vec![0, 9, 9, 9]].concat();
    let (observed, warnings, _) = read(&messages, InputKind::ByContent);
    assert_eq!(ports(&observed), [2, 1]);
    assert_eq!(warnings.len(), 2);
    assert!(warnings.iter().any(|warning| warning.starts_with("4 records or datagrams were sent and not received")));
    assert!(warnings.iter().any(|warning| warning.starts_with("no whole NetFlow, IPFIX or sFlow message begins here")));
    let Observed::Flow(flow) = &observed[0] else { panic!("no flow") };
    assert_eq!((flow.src.host.clone(), flow.end), (Host::V4([192, 0, 2, 1].into()), NOW + SECOND_US / 4));
}

/// Was a bug: only a file whose first message lay within its first 4 KiB was taken for exports.
#[test]
fn a_long_first_message_is_an_export_too() {
    let records = build::basic(17, 2, 80).repeat(2_000);
    let message = build::ipfix(0, &[build::template(2, 256, &build::BASIC), build::set(256, &records)]);
    assert!(message.len() > 40_000);
    let (observed, warnings, _) = read(&message, InputKind::ByContent);
    assert_eq!((observed.len(), warnings), (2_000, Vec::new()));
}

#[test]
fn a_template_of_the_file_before_serves_the_next_and_no_earlier_one() {
    let directory = tempfile::tempdir().unwrap();
    let with_template = build::ipfix(0, &[build::template(2, 256, &build::BASIC)]);
    let data = build::ipfix(0, &[build::set(256, &build::basic(6, 1, 40))]);
    let read = |files: &[(&str, u32, &[u8])]| {
        let paths: Vec<_> = files
            .iter()
            .map(|(name, later, message)| {
                let mut message = message.to_vec();
                message[4..8].copy_from_slice(&(EXPORTED + later).to_be_bytes());
                std::fs::write(directory.path().join(name), message).unwrap();
                directory.path().join(name)
            })
            .collect();
        let mut input = super::super::open(&paths, &InputOptions::default()).unwrap();
        std::iter::from_fn(|| input.next()).count()
    };
    assert_eq!(read(&[("0", 0, &with_template), ("1", 1_800, &data)]), 1);
    // It was told after the data, or too long before: the exporter may have had another one of that number then.
    assert_eq!(read(&[("0", 0, &data), ("1", 1, &with_template)]), 0);
    assert_eq!(read(&[("0", 0, &with_template), ("1", 3_601, &data)]), 0);
}

#[test]
fn an_export_whose_lengths_do_not_fit_is_refused_in_one_line() {
    let mut damaged = export(0, 1, 1000);
    damaged[3] = 29;
    let stream = Box::new(io::Cursor::new(damaged));
    let Err(error) = super::super::opening::open_stream("bad.dat", stream, None, &InputOptions::default()) else {
        panic!("it was opened")
    };
    let text = error.to_string();
    assert!(text.starts_with("bad.dat: unsupported: a flow export whose lengths do not fit each other"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However late flows are exported, they come in order, none is lost, and none comes twice.
    #[test]
    fn flows_come_in_order(ages in proptest::collection::vec(0..9_000_000u32, 1..600)) {
        let datagrams = ages.iter().enumerate().map(|(number, age)| export(number as u32, number as u16, *age));
        let bytes: Vec<u8> = datagrams.collect::<Vec<_>>().concat();
        let (observed, warnings, _) = read(&bytes, InputKind::ByContent);
        prop_assert!(observed.is_sorted_by_key(Observed::time));
        let mut found = ports(&observed);
        found.sort_unstable();
        prop_assert_eq!(found, (0..ages.len() as u16).collect::<Vec<_>>());
        prop_assert!(warnings.is_empty());
    }
}
