//! Files built byte by byte: order, damage, packing, text.

use std::io::Write;

use proptest::prelude::*;

use super::{Date, Input, InputError, InputOptions, Observed, merge, open, opening, read_bytes};
use crate::packet::{Body, Packet, Transport, tcp_flag};

/// A pcap file of raw IP packets with these times; each packet's IP identification is its number in the file.
fn pcap(times: &[u32], big_endian: bool) -> Vec<u8> {
    let number = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut file = Vec::new();
    for field in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(number(field));
    }
    for time in times {
        for field in [*time / 1000, *time % 1000 * 1000, 20, 20] {
            file.extend(number(field));
        }
        file.extend([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    }
    file
}

fn read_all(bytes: Vec<u8>, options: &InputOptions) -> (Vec<Packet>, usize) {
    let input = opening::open_stream("test", Box::new(std::io::Cursor::new(bytes)), None, options).unwrap();
    let mut input = merge::MergedInput::new(vec![input]);
    let packets = std::iter::from_fn(|| input.next()).map(packet).collect();
    (packets, input.take_warnings().len())
}

fn packet(observed: Observed) -> Packet {
    match observed {
        Observed::Packet(packet) => *packet,
        Observed::Flow(flow) => panic!("a capture brings packets, not {flow:?}"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_comes_out_sorted(
        times in prop::collection::vec(0..100_000_u32, 0..200),
        reorder in 0..50_usize,
        big_endian in any::<bool>(),
    ) {
        let options = InputOptions { reorder, ..InputOptions::default() };
        let (packets, warnings) = read_all(pcap(&times, big_endian), &options);
        let mut wanted: Vec<i64> = times.iter().map(|time| i64::from(*time) * 1000).collect();
        wanted.sort_unstable();
        prop_assert_eq!(packets.iter().map(|packet| packet.time).collect::<Vec<_>>(), wanted);
        prop_assert_eq!(warnings, 0);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        magic in prop::sample::select(vec![
            vec![], pcap(&[], false), b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a".to_vec(), vec![0x1f, 0x8b, 8],
            vec![0x28, 0xb5, 0x2f, 0xfd], b"PK\x03\x04".to_vec(), b"12:00:00.1 IP 1.2.3.4.5 > 6.7.8.9.10: ".to_vec(),
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let file = [magic, bytes].concat();
        if let Ok(summary) = read_bytes(&file) {
            prop_assert_eq!(summary.packets, summary.counters.packets);
            prop_assert!(summary.warnings.iter().filter(|warning| warning.offset.is_some()).count() <= 1);
        }
    }

    #[test]
    fn a_cut_file_gives_its_whole_packets_and_one_warning(cut in 24..384_usize) {
        let file = pcap(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false);
        let (packets, warnings) = read_all(file[..cut].to_vec(), &InputOptions::default());
        prop_assert_eq!(packets.len(), (cut - 24) / 36);
        prop_assert_eq!(warnings, usize::from((cut - 24) % 36 != 0));
    }
}

#[test]
fn packed_files_are_told_by_content() {
    let file = pcap(&[1, 2, 3], false);
    let zstd = zstd::stream::encode_all(file.as_slice(), 1).unwrap();
    for packed in [gzip(&file), zstd.clone(), gzip(&zstd)] {
        assert_eq!(read_bytes(&packed).unwrap().packets, 3);
    }
    let thrice = gzip(&gzip(&gzip(&file)));
    assert!(matches!(read_bytes(&thrice), Err(InputError::Unsupported { .. })));
}

#[test]
fn a_broken_packing_gives_one_warning() {
    let times: Vec<u32> = (0..5000).map(|n| n * 7919 % 100_000).collect();
    let packed = gzip(&pcap(&times, false));
    let summary = read_bytes(&packed[..packed.len() / 2]).unwrap();
    assert!(summary.packets > 0 && summary.packets < 5000);
    assert_eq!(summary.warnings.len(), 1, "{:?}", summary.warnings);
}

#[test]
fn beyond_the_spool_packets_leave_in_buffer_order() {
    let mut times: Vec<u32> = (1000..2000).collect();
    times.push(5);
    let options = InputOptions { spool: 4096, reorder: 10, ..InputOptions::default() };
    let (packets, warnings) = read_all(pcap(&times, false), &options);
    assert_eq!(packets.len(), 1001);
    assert!(!packets.is_sorted_by_key(|packet| packet.time));
    assert_eq!(warnings, 1);
}

#[test]
fn files_are_merged_by_time() {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = [[1_u32, 5, 9], [2, 4, 8]]
        .iter()
        .enumerate()
        .map(|(number, times)| {
            let path = directory.path().join(number.to_string());
            std::fs::write(&path, pcap(times, number == 1)).unwrap();
            path
        })
        .collect();
    let mut input = open(&paths, &InputOptions::default()).unwrap();
    let times: Vec<_> = std::iter::from_fn(|| input.next()).map(|observed| observed.time() / 1000).collect();
    assert_eq!((times, input.kind()), (vec![1, 2, 4, 5, 8, 9], "pcap"));
}

#[test]
fn directories_are_read_file_by_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("later")).unwrap();
    std::fs::write(path("b.pcap"), pcap(&[2, 4], false)).unwrap();
    std::fs::write(path("later/a.pcap"), pcap(&[1, 9], false)).unwrap();
    std::fs::write(path("notes.txt"), b"no input\n").unwrap();
    std::fs::write(path("empty.pcap"), b"").unwrap();
    std::fs::write(path(".hidden.pcap"), pcap(&[3], false)).unwrap();
    let mut input = open(&[directory.path().to_owned()], &InputOptions::default()).unwrap();
    let times: Vec<_> = std::iter::from_fn(|| input.next()).map(|observed| observed.time() / 1000).collect();
    assert_eq!((times, input.kind()), (vec![1, 2, 4, 9], "pcap"));
    let warnings = input.take_warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.starts_with("2 files"), "{warnings:?}");
    std::fs::remove_file(path("b.pcap")).unwrap();
    std::fs::remove_dir_all(path("later")).unwrap();
    let error = open(&[directory.path().to_owned()], &InputOptions::default()).err().unwrap();
    assert!(matches!(error, InputError::Unsupported { .. }), "{error}");
}

#[test]
fn of_many_files_few_are_open() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..200_u32 {
        // Each overlaps the next; one is cut, one is out of order.
        let mut file = pcap(&[number * 10, number * 10 + 15], false);
        if number == 7 {
            file.truncate(file.len() - 5);
        }
        std::fs::write(directory.path().join(format!("{:03}.pcap", (number * 7) % 200)), file).unwrap();
    }
    let mut input = open(&[directory.path().to_owned()], &InputOptions::default()).unwrap();
    let open_files = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = open_files();
    let times: Vec<_> = std::iter::from_fn(|| input.next()).map(|observed| observed.time()).collect();
    assert!(times.is_sorted());
    assert_eq!((times.len(), input.counters().packets), (399, 399));
    assert!(before < 150, "{before} files are open");
    assert_eq!(input.take_warnings().len(), 1);
}

#[test]
fn what_cannot_be_read_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let fails = |path: &std::path::Path| open(&[path.to_owned()], &InputOptions::default()).err().unwrap();
    assert!(matches!(fails(directory.path()), InputError::Directory { .. }));
    assert!(matches!(fails(&directory.path().join("none")), InputError::Missing { .. }));
    assert!(matches!(read_bytes(b""), Err(InputError::Empty { .. })));
    assert!(matches!(read_bytes(b"hello\n"), Err(InputError::Unsupported { .. })));
    let mut wireless = pcap(&[1], false);
    wireless[20] = 105;
    assert!(matches!(read_bytes(&wireless), Err(InputError::LinkType { number: 105, .. })));
}

#[test]
fn text_without_dates_goes_on_after_midnight() {
    let text = "23:59:59.5 IP 10.0.0.1.1000 > 10.0.0.2.80: Flags [S], seq 1, win 1, length 0\n\
                00:00:00.5 IP 10.0.0.2.80 > 10.0.0.1.1000: Flags [S.], seq 1, ack 2, win 1, length 0\n";
    let options = InputOptions { date: Date::parse("2024-02-28"), ..InputOptions::default() };
    let (packets, warnings) = read_all(text.into(), &options);
    assert_eq!((packets[1].time - packets[0].time, warnings), (1_000_000, 0));
    let flags: Vec<_> = packets
        .iter()
        .map(|packet| match &packet.body {
            Body::Ip(ip) => match ip.transport {
                Transport::Tcp(tcp) => tcp.flags,
                _ => 0,
            },
            _ => 0,
        })
        .collect();
    assert_eq!(flags, [tcp_flag::SYN, tcp_flag::SYN | tcp_flag::ACK]);
}

/// A megabyte of gzip holds a gigabyte of these.
#[test]
fn files_that_go_on_without_packets_end_with_one_warning() {
    let empty_packets = [pcap(&[1], false), vec![0; 16 * 70_000], pcap(&[2], false)[24..].to_vec()].concat();
    let line = "12:00:00.5 IP 10.0.0.1.1000 > 10.0.0.2.80: Flags [S], seq 1, win 1, length 0\n";
    let empty_lines = [line, &"\n".repeat(70_000), line].concat().into_bytes();
    for (name, file, packets) in [("pcap", empty_packets, 65_537), ("text", empty_lines, 1)] {
        let summary = read_bytes(&file).unwrap();
        assert_eq!(summary.packets, packets, "{name}");
        let told: Vec<_> = summary.warnings.iter().filter(|warning| warning.offset.is_some()).collect();
        assert_eq!(told.len(), 1, "{name}: {told:?}");
        assert!(told[0].message.contains("over 65536"), "{name}: {told:?}");
    }
}

#[test]
fn a_few_empty_packets_are_packets() {
    let file = [pcap(&[1], false), vec![0; 16 * 1000], pcap(&[2], false)[24..].to_vec()].concat();
    let summary = read_bytes(&file).unwrap();
    assert_eq!((summary.packets, summary.warnings.len()), (1002, 0));
}
