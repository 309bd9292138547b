//! What the scenarios share: lanes of their own, captures, and services that leave their groups as they end.

use std::path::PathBuf;

use tempfile::TempDir;
use weir_tests::broker;
use weir_tests::services::{Lane, Service};

use crate::weir::{binary, capture, decompressed};

/// A lane on the shared broker, its flow records in `partitions`. Members leave their groups as they end: what an operator
/// does to a group needs an empty one.
pub fn lane(test: &str, partitions: u32) -> Lane {
    let lane = Lane::new(binary(), broker::shared().bootstrap(), broker::topics(test));
    lane.with("detector.membership", "dynamic").created(partitions)
}

/// Path of a capture.
pub fn file(name: &str) -> PathBuf {
    capture(name)
}

/// Stops a service that is well.
pub fn stop(service: Service) {
    let ended = service.stop();
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

/// Publishes a capture as if it were of `day` days later, and checks that what the services make of it comes to what was there
/// before. Days must grow: what is older than what was judged is late.
pub fn judge_more(lane: &Lane, day: u32, name: &str) {
    let folder = TempDir::new().unwrap();
    let files = [later(&folder, day, name)];
    let sensor = format!("gate-{day}");
    let more = lane.analyze(&sensor, &files);
    assert!(!more.is_empty(), "{name}");
    let mut expected = lane.anomalies();
    expected.extend(more);
    expected.sort();
    lane.publish(&sensor, &files);
    lane.await_verdicts();
    assert_eq!(lane.anomalies(), expected, "{name}");
}

/// A capture as if it were of `day` days later, in a file in `folder`.
pub fn later(folder: &TempDir, day: u32, name: &str) -> PathBuf {
    let file = folder.path().join("later.pcap");
    std::fs::write(&file, shifted(decompressed(name), day * SECONDS_OF_A_DAY)).unwrap();
    file
}

const SECONDS_OF_A_DAY: u32 = 24 * 60 * 60;

/// A capture with all its times later. Little-endian pcap: 24 bytes of header, then for each packet seconds, fraction, the
/// length that follows, and the length on the wire, 4 bytes each.
fn shifted(mut pcap: Vec<u8>, seconds: u32) -> Vec<u8> {
    let word = |pcap: &[u8], at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    assert!(matches!(word(&pcap, 0), 0xa1b2_c3d4 | 0xa1b2_3c4d), "no little-endian pcap");
    let mut at = 24;
    while at < pcap.len() {
        let later = word(&pcap, at) + seconds;
        pcap[at..at + 4].copy_from_slice(&later.to_le_bytes());
        at += 16 + word(&pcap, at + 8) as usize;
    }
    pcap
}
