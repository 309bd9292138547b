//! Damaged input: the packets before the damage count, one warning names the byte, nothing panics.

use weir_tests::chance::Chance;

use crate::weir::{decompressed, weir_reading};

const ANALYZE: [&str; 4] = ["analyze", "--format", "jsonl", "-"];

#[test]
fn a_capture_cut_anywhere_is_read_up_to_there() {
    let whole = decompressed("scan_xmas.pcap.gz");
    let mut chance = Chance::new(11);
    for _ in 0..25 {
        let cut = 1 + chance.index(whole.len() - 1);
        weir_reading(&ANALYZE, &whole[..cut]).assert_ended_in_order();
    }
    // In the middle of a packet: what came before it is a scan, and the warning says where the file ends.
    let cut = whole.len() - 7;
    let finished = weir_reading(&ANALYZE, &whole[..cut]);
    assert_eq!(finished.status, Some(1), "{finished:?}");
    assert!(finished.complaint.contains("byte") || finished.complaint.contains("offset"), "{finished:?}");
}

#[test]
fn a_capture_with_wrong_bytes_ends_in_order() {
    let whole = decompressed("scan_udp.pcap.gz");
    let mut chance = Chance::new(12);
    for _ in 0..25 {
        let mut damaged = whole.clone();
        for _ in 0..chance.between(1, 40) {
            let place = chance.index(damaged.len());
            damaged[place] = chance.bits() as u8;
        }
        weir_reading(&ANALYZE, &damaged).assert_ended_in_order();
    }
}

#[test]
fn bytes_that_are_no_capture_are_refused_in_one_line() {
    let mut chance = Chance::new(13);
    for _ in 0..10 {
        let noise: Vec<u8> = (0..4_096).map(|_| chance.bits() as u8).collect();
        weir_reading(&ANALYZE, &noise).assert_is_one_line_of_usage("unsupported");
    }
    weir_reading(&ANALYZE, b"").assert_is_one_line_of_usage("empty");
}
