//! `weir config` as a shell sees it: what stands where, and the exit status.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output};

fn weir(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments).env_clear();
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit status 2, nothing on standard output, one line on standard error.
fn complaint(output: &Output) -> String {
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
    let complaint = text(&output.stderr);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    complaint.trim_end().to_owned()
}

#[test]
fn a_bad_value_is_one_line_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("weir.toml"), "[sensor]\nidle_timeout = \"soon\"\n").unwrap();
    let output = weir(&["config", "check", "--config", "weir.toml"]).current_dir(&directory).output().unwrap();
    assert_eq!(
        complaint(&output),
        "weir: weir.toml:2:16: sensor.idle_timeout: \"soon\" is no duration; write a whole number and a unit \
         (us, ms, s, m, h, d) in quotes, as in \"60s\""
    );
}

#[test]
fn flags_and_environment_are_named() {
    let output = weir(&["--log-level", "loud", "config", "check"]).output().unwrap();
    let expected = "weir: --log-level: log.level: \"loud\" is no choice; write one of error, warn, info, debug, trace";
    assert_eq!(complaint(&output), expected);
    let output = weir(&["config", "check"]).env("WEIR__SITE__NAEM", "x").output().unwrap();
    let expected = "weir: environment WEIR__SITE__NAEM: unknown key `site.naem`; did you mean `site.name`?";
    assert_eq!(complaint(&output), expected);
    let output = weir(&["config", "check", "--config", "missing.toml"]).output().unwrap();
    assert!(complaint(&output).starts_with("weir: missing.toml: cannot read the configuration: No such file"));
}

#[test]
fn what_is_shown_is_a_sound_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let shown = weir(&["config", "show", "--origin", "--set", "engine.profile=classic"])
        .env("WEIR__LOG__LEVEL", "debug")
        .output()
        .unwrap();
    assert_eq!(shown.status.code(), Some(0));
    let shown = text(&shown.stdout);
    assert!(shown.contains("profile = \"classic\"  # --set engine.profile\n"), "{shown}");
    assert!(shown.contains("level = \"debug\"  # environment WEIR__LOG__LEVEL\n"), "{shown}");
    fs::write(directory.path().join("shown.toml"), &shown).unwrap();
    let again = weir(&["config", "show", "--config", "shown.toml"]).current_dir(&directory).output().unwrap();
    let without_origins: Vec<&str> = shown.lines().map(|line| line.split("  # ").next().unwrap_or(line)).collect();
    assert_eq!(text(&again.stdout).lines().collect::<Vec<_>>(), without_origins);
}

#[test]
fn the_schema_is_json_and_the_reference_markdown() {
    let schema = weir(&["config", "schema"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert_eq!(schema["properties"]["log"]["properties"]["format"]["enum"][1], "json");
    let reference = weir(&["config", "schema", "--format", "markdown"]).output().unwrap();
    assert!(text(&reference.stdout).contains("| `idle_timeout` | duration |"));
}
