//! What the services tell of themselves: metrics that Prometheus's own tool finds nothing wrong with.

use std::io::Write as _;
use std::process::{Command, Stdio};

use weir_tests::services::{Service, until};

use crate::support::{judge_more, lane, stop};

/// Metrics that must be there, with a label and its value.
const OF_THE_DETECTOR: [&str; 7] = [
    "weir_detector_records_total{",
    "weir_detector_commits_total{",
    "weir_detector_commit_duration_seconds_bucket{",
    "weir_detector_panes_closed_total{",
    "weir_detector_partitions_owned",
    "weir_engine_findings_total{",
    "weir_detector_consumer_lag",
];
const OF_RESULTS: [&str; 3] =
    ["weir_results_anomalies_total{", "weir_results_end_to_end_latency_seconds_bucket", "weir_results_consumer_lag"];

/// The page, looked through by `promtool check metrics`.
fn checked(service: &Service) -> String {
    let (status, page) = service.page("/metrics").unwrap();
    assert_eq!(status, 200);
    let tool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let mut check = Command::new(&tool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool} does not run ({error}): install Debian's package `prometheus`"));
    check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let checked = check.wait_with_output().unwrap();
    assert!(checked.status.success(), "{checked:?}\n{page}");
    page
}

/// Records, or findings, that each partition is behind.
fn lags(page: &str) -> Vec<&str> {
    page.lines()
        .filter(|line| line.starts_with("weir_detector_consumer_lag") || line.starts_with("weir_results_consumer_lag"))
        .filter_map(|line| line.rsplit(' ').next())
        .collect()
}

#[test]
fn metrics_are_as_prometheus_wants_them() {
    let lane = lane("metrics", 1);
    let detector = lane.detector("d1");
    let results = lane.results(&[]);
    judge_more(&lane, 0, "scan_connect.pcap.gz");
    for (service, names) in [(&detector, &OF_THE_DETECTOR[..]), (&results, &OF_RESULTS[..])] {
        // Levels are told every few seconds, the rest at once.
        until("all that must be there is, and no lag where all is judged", || {
            let Some((200, page)) = service.page("/metrics") else { return false };
            names.iter().all(|name| page.contains(name)) && lags(&page).iter().all(|lag| *lag == "0")
        });
        let page = checked(service);
        assert!(!lags(&page).is_empty(), "{page}");
        // Addresses of the capture are nobody's label.
        assert!(!page.contains("10.0.0."), "{page}");
    }
    stop(detector);
    stop(results);
}
