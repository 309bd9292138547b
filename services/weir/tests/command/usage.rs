//! Wrong calls: one line that says what is wrong and how to mend it, exit status 2, nothing on standard output.

use crate::run::{capture, weir};

#[test]
fn wrong_calls_say_what_and_how_to_mend_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let scan = &capture("scan_syn.pcap.gz");
    let empty = &file("empty.pcap", b"");
    let picture = &file("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let no_baseline = &file("notes.json", b"[1, 2]\n");
    let old_baseline = &file("old.json", b"{\"v\": 99, \"baselines\": []}\n");
    let bad_config = &file("bad.toml", b"[sensor]\nidle_timeout = \"soon\"\n");
    let unknown_key = &file("unknown.toml", b"[engine]\nprofil = \"classic\"\n");
    let cases: [(&[&str], &str, &str); 21] = [
        (&["analyze", "--fromat", "table", scan], "'--fromat'", "'--format'"),
        (&["analyze", "--format", "xml", scan], "'xml'", "table, jsonl, markdown"),
        (&["analyze", "--profile", "nonesuch", scan], "\"nonesuch\"", "\"default\" and \"classic\""),
        (&["analyze", "--severity", "huge", scan], "'huge'", "info, low, medium, high, critical"),
        (&["analyze", "--partitions", "0", scan], "'0'", "1..=1024"),
        (&["analyze", "--date", "yesterday", scan], "'yesterday'", "YYYY-MM-DD"),
        (&["analyze", "missing.pcap"], "missing.pcap: no such file", "check the path"),
        (&["analyze", folder], "is a directory without files", "one that holds captures"),
        (&["analyze", "--input", "chart", scan], "'chart'", "zeek_conn"),
        (&["analyze", "--mapping", bad_config, scan], "bad.toml", "12-inputs.md"),
        (&["analyze", empty], "is empty", "give a capture"),
        (&["analyze", picture], "unsupported", "give a capture"),
        (&["analyze", "--baseline", "missing.json", scan], "cannot read missing.json", "weir baseline export"),
        (&["analyze", "--baseline", no_baseline, scan], "notes.json", "weir baseline export"),
        (&["analyze", "--baseline", old_baseline, scan], "version 99", "export it anew"),
        (&["analyze", "--config", bad_config, scan], "bad.toml:2:16", "write a whole number and a unit"),
        (&["analyze", "--config", unknown_key, scan], "unknown.toml:2", "did you mean"),
        (&["analyze", "--set", "engine.partition_memory=1KiB", scan], "too little", "4MiB"),
        (&["flows", "--format", "avro", scan], "--out", "weir flows --help"),
        (&["flows", "--out", scan, scan], "is one of the inputs", "write to another file"),
        (&["detectors", "show", "nonesuch"], "\"nonesuch\"", "port_scan"),
    ];
    for (arguments, what, mend) in cases {
        weir(arguments).assert_is_usage(what, mend);
    }
}

#[test]
fn a_capture_that_is_named_as_output_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("capture.pcap");
    let bytes = crate::fixture::pcap(&crate::fixture::syns(3));
    std::fs::write(&path, &bytes).unwrap();
    // Another way to write the same path.
    let again = directory.path().join(".").join("capture.pcap");
    let (path, again) = (path.to_str().unwrap(), again.to_str().unwrap());
    weir(&["flows", "--format", "csv", "--out", again, path]).assert_is_usage("is one of the inputs", "another file");
    weir(&["baseline", "export", "--out", again, path]).assert_is_usage("is one of the inputs", "another file");
    assert_eq!(std::fs::read(path).unwrap(), bytes);
}
