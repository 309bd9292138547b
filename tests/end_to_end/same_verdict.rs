//! Nothing about how a capture reaches the engine may change what is found in it.

use crate::weir::{Finished, capture, decompressed, weir, weir_reading};

const CAPTURES: [&str; 4] = ["scan_syn.pcap.gz", "sweep_arp.pcap.gz", "flood_spoofed.pcap.zst", "demo.pcap.zst"];

fn analyzed(capture_name: &str, more: &[&str]) -> Finished {
    let path = capture(capture_name);
    weir(&[&["analyze", "--format", "jsonl"], more, &[path.to_str().unwrap()]].concat())
}

#[test]
fn a_file_an_unpacked_stream_and_a_packed_stream_give_the_same() {
    for name in CAPTURES {
        let expected = analyzed(name, &[]).canonical_findings();
        assert!(!expected.is_empty(), "{name}");
        let stream = ["analyze", "--format", "jsonl", "-"];
        assert_eq!(weir_reading(&stream, &decompressed(name)).canonical_findings(), expected, "{name}, unpacked");
        let packed = std::fs::read(capture(name)).unwrap();
        assert_eq!(weir_reading(&stream, &packed).canonical_findings(), expected, "{name}, packed");
    }
}

#[test]
fn partitions_and_the_wire_format_change_nothing() {
    for name in CAPTURES {
        let expected = analyzed(name, &[]).canonical_findings();
        for more in
            [&["--partitions", "4"][..], &["--partitions", "12"], &["--encode"], &["--encode", "--partitions", "4"]]
        {
            assert_eq!(analyzed(name, more).canonical_findings(), expected, "{name} {more:?}");
        }
    }
}

#[test]
fn the_exit_status_says_whether_something_was_found_in_every_format() {
    for format in ["table", "jsonl", "markdown"] {
        let status = |name: &str| weir(&["analyze", "--format", format, capture(name).to_str().unwrap()]).status;
        assert_eq!(status("scan_syn.pcap.gz"), Some(1), "{format}");
        assert_eq!(status("benign_ping.pcapng.gz"), Some(0), "{format}");
    }
    let finished = analyzed("scan_syn.pcap.gz", &["--severity", "critical"]);
    assert_eq!(finished.status, Some(i32::from(!finished.output.is_empty())), "{finished:?}");
}

#[test]
fn the_same_run_twice_is_the_same_to_the_byte() {
    let lines = |finished: &Finished| {
        let of_one = |line: &str| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            // The only wall clock in a finding.
            value["provenance"].as_object_mut().unwrap().remove("emitted_at");
            value.to_string()
        };
        finished.output.lines().map(of_one).collect::<Vec<_>>()
    };
    for name in CAPTURES {
        assert_eq!(lines(&analyzed(name, &[])), lines(&analyzed(name, &[])), "{name}");
    }
}
