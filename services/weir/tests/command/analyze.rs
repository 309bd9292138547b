//! `weir analyze`: exit statuses, the fields of its JSON, and what may not change the verdicts.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::Value;

use crate::run::{canonical, capture, repository, weir, weir_command, weir_reading};

const FOUND: &str = "scan_syn.pcap.gz";
const NOTHING: &str = "benign_ping.pcapng.gz";

#[test]
fn the_exit_status_says_whether_something_was_found() {
    for format in ["table", "jsonl", "markdown"] {
        for (name, status) in [(FOUND, 1), (NOTHING, 0)] {
            let run = weir(&["analyze", "--format", format, &capture(name)]);
            assert_eq!(run.status, Some(status), "{format} {name}: {run:?}");
        }
        let run = weir(&["analyze", "--format", format, "--severity", "critical", &capture(FOUND)]);
        assert_eq!(run.status, Some(0), "{format}: no scan is critical: {run:?}");
        let run = weir(&["analyze", "--format", format, "missing.pcap"]);
        assert_eq!((run.status, run.output.as_str()), (Some(2), ""), "{format}");
    }
}

#[test]
fn nothing_found_is_said_in_the_table_and_is_no_line_of_json() {
    let run = weir(&["analyze", &capture(NOTHING)]);
    assert!(run.output.starts_with("Nothing found at severity low or above.\nRead from "), "{run:?}");
    assert_eq!(weir(&["analyze", "--format", "jsonl", &capture(NOTHING)]).output, "");
}

#[test]
fn standard_input_gives_what_the_file_gives() {
    let file = weir(&["analyze", "--format", "jsonl", &capture(FOUND)]);
    let bytes = std::fs::read(capture(FOUND)).unwrap();
    let stream = weir_reading(&["analyze", "--format", "jsonl", "-"], &bytes);
    assert_eq!(stream.status, Some(1), "{stream:?}");
    assert_eq!(canonical(&stream), canonical(&file));
}

#[test]
fn partitions_and_encoding_change_no_verdict() {
    let mut compared = 0;
    for entry in std::fs::read_dir(repository().join("tests/captures")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("scan_")
            && !name.starts_with("sweep_")
            && !name.starts_with("flood_")
            && name != "demo.pcap.zst"
        {
            continue;
        }
        let run = |more: &[&str]| weir(&[&["analyze", "--format", "jsonl", &capture(&name)], more].concat());
        let one = run(&["--partitions", "1"]);
        // Beyond a budget each partition has a budget of its own, and less is let go.
        if one.account("evicted") > 0 {
            continue;
        }
        let expected = canonical(&one);
        for more in
            [&["--encode"][..], &["--partitions", "4"], &["--partitions", "12"], &["--encode", "--partitions", "12"]]
        {
            assert_eq!(canonical(&run(more)), expected, "{name} {more:?}");
        }
        compared += 1;
    }
    assert!(compared >= 15, "only {compared} captures stay inside the budget");
}

#[test]
fn every_line_has_the_documented_fields() {
    let fields = [
        "baseline",
        "complete",
        "confidence",
        "contributions",
        "counterfactual",
        "degraded",
        "detector",
        "deviation",
        "discriminator",
        "episode_start",
        "evidence",
        "id",
        "labels",
        "message",
        "metric",
        "observed",
        "profile",
        "provenance",
        "reason",
        "revision",
        "rule_version",
        "scope",
        "score",
        "scores",
        "severity",
        "source",
        "state",
        "target",
        "technique",
        "threshold",
        "unit",
        "v",
        "variant",
        "window",
    ];
    let of_provenance = ["emitted_at", "engine", "first_offset", "last_offset", "partition", "rules_hash", "topic"];
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let run = weir(&["analyze", "--format", "jsonl", &capture("demo.pcap.zst")]);
    let lines = run.json_lines();
    assert!(lines.len() >= 6, "{run:?}");
    for line in &lines {
        assert_eq!(keys(line), fields, "{line}");
        assert_eq!(keys(&line["provenance"]), of_provenance, "{line}");
        assert_eq!(keys(&line["window"]), ["end", "start"]);
        assert_eq!(keys(&line["scope"]), ["key", "kind"]);
        assert_eq!(keys(&line["technique"]), ["attack_version", "ids"]);
        assert_eq!(keys(&line["evidence"]), ["flows", "n_flows", "sensors"]);
        let flow = &line["evidence"]["flows"][0];
        assert!(flow["community_id"].as_str().unwrap().starts_with("1:"), "{line}");
        assert_eq!(flow["flow_id"].as_str().unwrap().len(), 16, "{line}");
        for time in [&line["episode_start"], &line["window"]["start"], &line["provenance"]["emitted_at"]] {
            assert!(time.as_str().unwrap().ends_with('Z'), "{line}");
        }
        assert!(!line["message"].as_str().unwrap().is_empty(), "{line}");
        let (observed, greatest_silent) = (&line["observed"], &line["counterfactual"]);
        assert!(greatest_silent.as_f64().unwrap() < observed.as_f64().unwrap(), "{line}");
    }
}

#[test]
fn an_id_repeats_over_the_revisions_of_its_episode() {
    let run = weir(&["analyze", "--format", "jsonl", &capture("demo.pcap.zst")]);
    let mut episodes: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for line in run.json_lines() {
        let id = line["id"].as_str().unwrap().to_owned();
        assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
        let revision = (line["revision"].as_u64().unwrap(), line["state"].as_str().unwrap().to_owned());
        episodes.entry(id).or_default().push(revision);
    }
    assert_eq!(episodes.len(), 3, "{episodes:?}");
    for (id, revisions) in &episodes {
        let numbers: Vec<u64> = revisions.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=revisions.len() as u64).collect::<Vec<_>>(), "{id}");
        let last = revisions.len() - 1;
        for (index, (_, state)) in revisions.iter().enumerate() {
            let expected = if index == 0 {
                "opened"
            } else if index == last {
                "closed"
            } else {
                "updated"
            };
            assert_eq!(state, expected, "{id}: {revisions:?}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for arguments in [&["analyze", "--format", "jsonl"][..], &["flows", "--format", "csv"], &["flows"]] {
        let mut command = weir_command(&[arguments, &[&capture("demo.pcap.zst")]].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        // Reading one line and dropping the pipe is what `head -1` does.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty(), "{arguments:?}");
        let mut complaint = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        let status = child.wait().unwrap().code();
        assert!(matches!(status, Some(0 | 1)), "{arguments:?}: {status:?} {complaint}");
        assert!(!complaint.contains("panicked") && !complaint.contains("cannot write"), "{arguments:?}: {complaint}");
    }
}
