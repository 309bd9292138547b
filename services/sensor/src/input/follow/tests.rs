//! Writers of all kinds, a step at a time: what they wrote comes out, and nothing is waited for that is not needed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::open;
use crate::input::{Input, InputError, InputOptions, Observed};

/// Longer than anything here takes on a busy machine.
const HANG: Duration = Duration::from_mins(1);

fn pcap_header() -> Vec<u8> {
    [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A raw IP packet of a second of event time.
fn packet(second: u32) -> Vec<u8> {
    let mut record: Vec<u8> = [second, 0, 20, 20].into_iter().flat_map(u32::to_le_bytes).collect();
    record.extend([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    record
}

fn pcap(seconds: &[u32]) -> Vec<u8> {
    let packets = seconds.iter().flat_map(|second| packet(*second));
    pcap_header().into_iter().chain(packets).collect()
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn seconds_of(observed: &Observed) -> u32 {
    (observed.time() / 1_000_000) as u32
}

/// The next `count` that come.
fn take(input: &mut dyn Input, count: usize) -> Vec<u32> {
    let deadline = Instant::now() + HANG;
    let mut seconds = Vec::new();
    while seconds.len() < count {
        match input.next() {
            Some(observed) => seconds.push(seconds_of(&observed)),
            None => {
                assert!(input.awaits_more(), "ended after {seconds:?}");
                assert!(Instant::now() < deadline, "{seconds:?} came, and then nothing: {:?}", input.take_warnings());
                input.await_more(Duration::from_secs(1));
            }
        }
    }
    seconds
}

/// What comes after the request to stop, to the end.
fn rest(input: &mut dyn Input) -> Vec<u32> {
    input.stop();
    let mut seconds = Vec::new();
    while let Some(observed) = input.next() {
        seconds.push(seconds_of(&observed));
    }
    assert!(!input.awaits_more());
    seconds
}

fn follow(path: &Path) -> Box<dyn Input> {
    open(&[path.to_owned()], &InputOptions::default()).unwrap()
}

#[test]
fn packets_come_as_they_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("growing.pcap");
    fs::write(&path, pcap(&[1])).unwrap();
    let mut input = follow(&path);
    assert_eq!(take(input.as_mut(), 1), [1]);
    append(&path, &packet(2));
    assert_eq!(take(input.as_mut(), 1), [2]);
    // Half a packet is waited for, and is no damage.
    append(&path, &packet(3)[..20]);
    assert!(input.next().is_none() && input.awaits_more());
    append(&path, &packet(3)[20..]);
    assert_eq!(take(input.as_mut(), 1), [3]);
    append(&path, &packet(4)[..7]);
    assert_eq!(rest(input.as_mut()), [0_u32; 0]);
    assert_eq!(input.take_warnings(), []);
    assert_eq!((input.counters().packets, input.kind()), (3, "pcap"));
}

#[test]
fn a_header_alone_is_waited_on_and_so_is_half_of_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new.pcap");
    fs::write(&path, &pcap_header()[..10]).unwrap();
    let mut input = follow(&path);
    assert!(input.next().is_none() && input.awaits_more());
    append(&path, &pcap_header()[10..]);
    append(&path, &packet(7));
    assert_eq!(take(input.as_mut(), 1), [7]);
}

#[test]
fn a_directory_is_read_file_after_file_as_they_rotate() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("0.pcap"), pcap(&[1, 2])).unwrap();
    fs::write(path(".partial"), pcap(&[99])).unwrap();
    let mut input = follow(directory.path());
    assert_eq!(take(input.as_mut(), 2), [1, 2]);
    append(&path("0.pcap"), &packet(3));
    fs::write(path("1.pcap"), pcap(&[4])).unwrap();
    assert_eq!(take(input.as_mut(), 2), [3, 4]);
    // What is no capture is told, and the next file is read.
    fs::write(path("2.txt"), "nothing of the kind, and long enough to tell\n").unwrap();
    fs::write(path("3.pcap"), pcap(&[5])).unwrap();
    assert_eq!(take(input.as_mut(), 1), [5]);
    // A packed copy of what was read is not read again.
    let mut packer =
        flate2::write::GzEncoder::new(File::create(path("1.pcap.gz")).unwrap(), flate2::Compression::fast());
    packer.write_all(&pcap(&[4])).unwrap();
    packer.finish().unwrap();
    fs::remove_file(path("1.pcap")).unwrap();
    fs::write(path("4.pcap"), pcap(&[6])).unwrap();
    assert_eq!(take(input.as_mut(), 1), [6]);
    assert_eq!(rest(input.as_mut()), [0_u32; 0]);
    let warnings = input.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].file.ends_with("2.txt") && warnings[0].message.starts_with("left out"), "{warnings:?}");
}

#[test]
fn a_ring_of_files_is_read_round_and_round() {
    let directory = tempfile::tempdir().unwrap();
    let path = |number: u32| directory.path().join(format!("ring{}", number % 2));
    fs::write(path(0), pcap(&[0, 0, 0])).unwrap();
    let mut input = follow(directory.path());
    assert_eq!(take(input.as_mut(), 3), [0, 0, 0]);
    for number in 1..4 {
        // Shorter than what was there: the file is begun anew under its name, as tcpdump -W does.
        let packets = vec![number; 4 - number as usize];
        fs::write(path(number), pcap(&packets)).unwrap();
        assert_eq!(take(input.as_mut(), packets.len()), packets);
    }
}

#[test]
fn a_path_is_followed_over_renaming_and_emptying() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("current.pcap");
    fs::write(&path, pcap(&[1])).unwrap();
    let mut input = follow(&path);
    assert_eq!(take(input.as_mut(), 1), [1]);
    append(&path, &packet(2));
    fs::rename(&path, directory.path().join("old.pcap")).unwrap();
    fs::write(&path, pcap(&[3, 4])).unwrap();
    assert_eq!(take(input.as_mut(), 3), [2, 3, 4]);
    fs::write(&path, pcap(&[5])).unwrap();
    assert_eq!(take(input.as_mut(), 1), [5]);
    assert_eq!(input.take_warnings(), []);
}

#[test]
fn paths_are_merged_by_time_and_a_silent_one_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    let odd: Vec<u32> = (0..2_000).map(|number| number * 2 + 1).collect();
    let even: Vec<u32> = (0..2_000).map(|number| number * 2).collect();
    fs::write(&paths[0], pcap(&odd)).unwrap();
    fs::write(&paths[1], pcap(&even)).unwrap();
    let mut input = open(&paths, &InputOptions::default()).unwrap();
    assert_eq!(take(input.as_mut(), 4_000), (0..4_000).collect::<Vec<_>>());
    append(&paths[0], &packet(5_000));
    assert_eq!(take(input.as_mut(), 1), [5_000]);
}

#[test]
fn a_table_of_flows_grows_line_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("conn.log");
    let line = |second: u32| {
        format!(
            "{{\"ts\":{second}.0,\"uid\":\"C{second}\",\"id.orig_h\":\"10.0.0.1\",\"id.orig_p\":40000,\"id.resp_h\":\"10.0.0.2\",\
             \"id.resp_p\":53,\"proto\":\"udp\",\"duration\":0.5,\"orig_bytes\":40,\"resp_bytes\":80,\"conn_state\":\"SF\",\
             \"orig_pkts\":1,\"orig_ip_bytes\":68,\"resp_pkts\":1,\"resp_ip_bytes\":108}}\n"
        )
    };
    fs::write(&path, line(1)).unwrap();
    let mut input = follow(&path);
    assert_eq!(take(input.as_mut(), 1), [1], "{:?}", input.take_warnings());
    append(&path, line(2).as_bytes());
    append(&path, &line(3).as_bytes()[..50]);
    assert_eq!(take(input.as_mut(), 1), [2]);
    append(&path, &line(3).as_bytes()[50..]);
    assert_eq!(take(input.as_mut(), 1), [3]);
    assert_eq!((input.kind(), input.counters().flows), ("zeek_conn", 3));
}

#[test]
fn what_another_writer_appends_is_told_and_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("0.pcap"), pcap(&[1])).unwrap();
    let mut input = follow(directory.path());
    assert_eq!(take(input.as_mut(), 1), [1]);
    fs::write(path("1.pcap"), pcap(&[2])).unwrap();
    assert_eq!(take(input.as_mut(), 1), [2]);
    append(&path("0.pcap"), &packet(3));
    fs::write(path("2.pcap"), pcap(&[4])).unwrap();
    assert_eq!(take(input.as_mut(), 1), [4]);
    let warnings = input.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.starts_with("36 bytes were written after"), "{warnings:?}");
    assert_eq!(warnings[0].offset, Some(60));
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &Path| open(&[path.to_owned()], &InputOptions::default()).err().unwrap();
    assert!(matches!(refused(&directory.path().join("none")), InputError::Missing { .. }));
    assert!(matches!(refused(Path::new("/dev/null")), InputError::Unsupported { .. }));
    let many = vec![directory.path().to_owned(); 65];
    assert!(matches!(open(&many, &InputOptions::default()), Err(InputError::TooMany { count: 65, most: 64 })));
}
