//! The log on standard error: at its level, in its format, and never in the way.

use serde_json::Value;

use crate::run::{capture, weir};

#[test]
fn the_log_says_nothing_at_its_default_level() {
    let run = weir(&["analyze", "--format", "jsonl", &capture("benign_ping.pcapng.gz")]);
    assert!(run.complaint.lines().all(|line| line.starts_with("weir: ")), "{run:?}");
    for arguments in [&["detectors", "list"][..], &["config", "check"]] {
        assert_eq!(weir(arguments).complaint, "", "{arguments:?}");
    }
}

#[test]
fn every_command_logs_at_the_level_and_in_the_format_asked_for() {
    let capture = capture("benign_ping.pcapng.gz");
    for arguments in [
        &["analyze", &capture][..],
        &["flows", &capture],
        &["detectors", "list"],
        &["config", "show"],
        &["demo", "--fast"],
    ] {
        let flags = ["--log-level", "debug", "--set", "log.format=json"];
        let run = weir(&[&flags[..], arguments].concat());
        let logged: Vec<Value> = run
            .complaint
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(logged[0]["message"], "configuration loaded", "{run:?}");
        assert_eq!(logged[0]["level"], "DEBUG", "{run:?}");
        assert!(!run.output.contains("configuration loaded"), "{run:?}");
    }
}
