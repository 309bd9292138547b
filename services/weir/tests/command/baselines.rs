//! `weir baseline`: what is normal goes out as JSON and comes back in.

use std::path::Path;

use serde_json::Value;

use crate::run::{canonical, capture, weir};

const DOWNLOADS: &str = "benign_downloads.pcap.zst";

fn export(to: &Path, name: &str) -> Value {
    let run = weir(&["baseline", "export", "--out", to.to_str().unwrap(), &capture(name)]);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.output.starts_with("1 baselines: 1 sites, 0 targets\n  site local: "), "{run:?}");
    serde_json::from_slice(&std::fs::read(to).unwrap()).unwrap()
}

#[test]
fn what_was_exported_can_be_imported_and_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("normal.json");
    let exported = export(&path, "benign_browsing.pcap.zst");
    let row = &exported["baselines"][0];
    assert_eq!((&exported["v"], &row["scope"], &row["key"]), (&1.into(), &"site".into(), &"local".into()));
    assert!(row["n"].as_u64().unwrap() >= 3 && row["mean"].as_f64().unwrap() > 0.0, "{row}");
    let imported = weir(&["baseline", "import", path.to_str().unwrap()]);
    assert_eq!(imported.status, Some(0), "{imported:?}");
    assert!(imported.output.starts_with("1 baselines: 1 sites, 0 targets\n"), "{imported:?}");
    // Four panes are no warm-up: too young a baseline changes no verdict.
    let scan = capture("scan_syn.pcap.gz");
    let plain = weir(&["analyze", "--format", "jsonl", &scan]);
    let with = weir(&["analyze", "--format", "jsonl", "--baseline", path.to_str().unwrap(), &scan]);
    assert_eq!(canonical(&with), canonical(&plain));
}

#[test]
fn an_old_enough_baseline_is_what_traffic_is_judged_by() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("quiet.json");
    let mut file = export(&path, DOWNLOADS);
    let row = &mut file["baselines"][0];
    // An hour of a quiet site.
    (row["n"], row["mean"], row["spread"]) = (360.into(), 1_000.0.into(), 100.0.into());
    std::fs::write(&path, file.to_string()).unwrap();
    let capture = capture(DOWNLOADS);
    let judge = ["analyze", "--format", "jsonl", "--set", "profile.default.traffic_spike.floor=100000", &capture];
    assert_eq!(weir(&judge).status, Some(0));
    let run = weir(&[&judge[..], &["--baseline", path.to_str().unwrap()]].concat());
    assert_eq!(run.status, Some(1), "{run:?}");
    let line = &run.json_lines()[0];
    assert_eq!((&line["detector"], &line["scope"]["kind"]), (&"traffic_spike".into(), &"site".into()), "{line}");
    assert_eq!((&line["baseline"]["kind"], &line["baseline"]["n"]), (&"level_spread".into(), &360.into()), "{line}");
}
