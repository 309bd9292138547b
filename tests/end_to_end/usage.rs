//! Whatever is wrong with how the command was called: one line that says what, exit status 2.

use crate::weir::{capture, weir};

#[test]
fn wrong_calls_are_one_line_each() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pcap");
    std::fs::write(&empty, b"").unwrap();
    let picture = directory.path().join("picture.png");
    std::fs::write(&picture, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
    let nothing = directory.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let scan = text(&capture("scan_syn.pcap.gz"));
    let cases: [(&[&str], &str); 9] = [
        (&["analyze", "--fromat", "table", &scan], "--fromat"),
        (&["analyze", "--format", "xml", &scan], "xml"),
        (&["analyze", "--profile", "nonesuch", &scan], "nonesuch"),
        (&["analyze", "--severity", "huge", &scan], "huge"),
        (&["analyze", "no-such-file.pcap"], "no-such-file.pcap"),
        (&["analyze", &text(&nothing)], "directory"),
        (&["analyze", &text(&empty)], "empty"),
        (&["analyze", &text(&picture)], "unsupported"),
        (&["detectors", "show", "nonesuch"], "nonesuch"),
    ];
    for (arguments, part) in cases {
        weir(arguments).assert_is_one_line_of_usage(part);
    }
}

#[test]
fn faults_of_a_config_file_are_named_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        ("[sensor]\nidle_timeuot = \"60s\"\n", "idle_timeuot", 2),
        ("[sensor]\n\nidle_timeout = \"soon\"\n", "idle_timeout", 3),
        ("[engine]\npartition_memory = -1\n", "partition_memory", 2),
        ("[nonesuch]\n", "nonesuch", 1),
    ];
    for (index, (content, part, line)) in cases.into_iter().enumerate() {
        let path = directory.path().join(format!("bad{index}.toml"));
        std::fs::write(&path, content).unwrap();
        let finished = weir(&["config", "check", "--config", path.to_str().unwrap()]);
        finished.assert_is_one_line_of_usage(part);
        finished.assert_is_one_line_of_usage(&format!("bad{index}.toml:{line}"));
    }
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in [&[][..], &["analyze"], &["demo"], &["flows"], &["detectors"], &["config"], &["baseline"]] {
        let finished = weir(&[command, &["--help"]].concat());
        assert_eq!(finished.status, Some(0), "{finished:?}");
        assert!(finished.output.contains("Examples"), "{command:?}: {}", finished.output);
    }
}
