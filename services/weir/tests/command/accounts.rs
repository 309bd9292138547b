//! The accounts on standard error: what was read adds up, and what was lost is counted.

use crate::fixture::{pcap, syns};
use crate::run::{Run, capture, weir, weir_reading};

const FATES: [&str; 7] = ["counted", "overlap", "late", "clock_fault", "duplicate", "dead", "mark"];

fn assert_adds_up(run: &Run) {
    assert_eq!(FATES.map(|fate| run.account(fate)).iter().sum::<u64>(), run.account("read"), "{run:?}");
}

#[test]
fn a_file_in_any_order_has_no_late_record() {
    let directory = tempfile::tempdir().unwrap();
    let mut packets = syns(4_000);
    packets.rotate_left(2_000);
    let path = directory.path().join("shuffled.pcap");
    std::fs::write(&path, pcap(&packets)).unwrap();
    let run = weir(&["analyze", "--format", "jsonl", path.to_str().unwrap()]);
    assert_adds_up(&run);
    assert_eq!((run.account("late"), run.account("counted")), (0, 4_000), "{run:?}");
}

#[test]
fn a_stream_further_out_of_order_than_its_buffer_has_late_records() {
    let mut packets = syns(4_000);
    packets.rotate_left(2_000);
    let run = weir_reading(&["analyze", "--format", "jsonl", "--set", "sensor.spool=1B", "-"], &pcap(&packets));
    assert_adds_up(&run);
    assert!(run.account("late") > 0 && run.account("counted") > 0, "{run:?}");
    let warning = run.complaint.lines().next().unwrap();
    assert!(warning.starts_with("weir: warning: -: more than the spool of 1 bytes"), "{warning}");
    // Within the spool the same stream is sorted.
    let run = weir_reading(&["analyze", "--format", "jsonl", "-"], &pcap(&packets));
    assert_eq!(run.account("late"), 0, "{run:?}");
}

#[test]
fn more_sources_than_the_budget_has_room_for_are_evicted_and_counted() {
    let input = pcap(&syns(20_000));
    let small = ["analyze", "--format", "jsonl", "--set", "engine.partition_memory=4MiB", "-"];
    let run = weir_reading(&small, &input);
    assert_adds_up(&run);
    assert!(run.account("evicted") > 0, "{run:?}");
    assert_eq!(run.account("late"), 0, "{run:?}");
    let run = weir(&["analyze", "--format", "jsonl", &capture("scan_syn.pcap.gz")]);
    assert_eq!((run.account("evicted"), run.account("late")), (0, 0), "{run:?}");
}
