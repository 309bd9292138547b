//! More partitions than there were, and more than a member may take.

use weir_tests::services::until;

use crate::support::{judge_more, lane, stop};

#[test]
fn topics_grow_while_services_run() {
    let lane = lane("growth", 4);
    let detector = lane.detector("d1");
    let results = lane.results(&[]);
    judge_more(&lane, 0, "sweep_tcp.pcap.gz");
    let grown = lane.run(&["topics", "grow", "flows.v1", "8"]);
    assert_eq!(grown.status, Some(0), "{grown:?}");
    detector.await_line("the input has 8 partitions now");
    judge_more(&lane, 1, "scan_connect.pcap.gz");
    stop(detector);
    stop(results);
}

#[test]
fn partitions_beyond_what_a_member_may_take_are_told_and_wait_for_another() {
    let lane = lane("refused", 4).with("detector.max_partitions", "2");
    let results = lane.results(&[]);
    let first = lane.detector("d1");
    let told = first.await_line("are not read: they are more than this member may take");
    assert!(told.contains("ERROR"), "{told}");
    until("it is counted", || {
        let (_, metrics) = first.page("/metrics").unwrap_or_default();
        metrics.lines().any(|line| {
            line.starts_with("weir_detector_partitions_refused")
                && line.contains("stage=\"source\"")
                && line.ends_with(" 2")
        })
    });
    let second = lane.detector("d2");
    judge_more(&lane, 0, "scan_connect.pcap.gz");
    for service in [first, second, results] {
        stop(service);
    }
}
