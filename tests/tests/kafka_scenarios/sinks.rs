//! A sink whose disk is full holds up neither the topic nor other sinks, and gets everything later.

use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use weir_tests::services::{Verdict, until};

use crate::support::{judge_more, lane, stop};

fn held(path: &Path) -> Option<Vec<Verdict>> {
    Some(Verdict::of_lines(&std::fs::read_to_string(path).ok()?))
}

#[test]
fn a_full_disk_of_one_sink_stops_nothing_else_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let (full, good) = (folder.path().join("full.jsonl"), folder.path().join("good.jsonl"));
    // Every write to it fails as on a full disk (full(4)).
    symlink("/dev/full", &full).unwrap();
    let sink = |id: &str, path: &Path| {
        format!("[[results.sinks]]\nkind = \"file\"\nid = \"{id}\"\npath = \"{}\"\n", path.display())
    };
    let config = folder.path().join("weir.toml");
    std::fs::write(&config, [sink("full", &full), sink("good", &good)].concat()).unwrap();

    let lane = lane("full-disk", 1).configured(&config);
    let results = lane.results(&[]);
    let detector = lane.detector("d1");
    judge_more(&lane, 0, "scan_connect.pcap.gz");
    let anomalies = lane.anomalies();
    until("the other sink has all", || held(&good).is_some_and(|held| held == anomalies));
    let told = results.await_line("sink fails and is retried");
    assert!(told.contains("full") && told.contains("No space left on device"), "{told}");
    assert_eq!(results.lines_with("sink fails and is retried").len(), 1, "an outage is told once");

    std::fs::remove_file(&full).unwrap();
    results.await_line("sink works again");
    until("the sink has all", || held(&full).is_some_and(|held| held == anomalies));
    judge_more(&lane, 1, "sweep_tcp.pcap.gz");
    let anomalies = lane.anomalies();
    for path in [&full, &good] {
        until("both sinks go on", || held(path).is_some_and(|held| held == anomalies));
    }
    stop(detector);
    stop(results);
}
