//! `weir flows`: the same records in every format, readable by other programs.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::run::{Run, capture, weir};

/// Captures with TCP, UDP, ICMP, ARP, IPv6, VLANs and names.
const CAPTURES: [&str; 6] = [
    "scan_connect.pcap.gz",
    "scan_udp.pcap.gz",
    "benign_ping.pcapng.gz",
    "sweep_arp.pcap.gz",
    "benign_ipv6.pcap.zst",
    "scan_vlan.pcap.gz",
];

fn flows(name: &str, more: &[&str]) -> Run {
    let run = weir(&[&["flows", &capture(name)], more].concat());
    assert_eq!(run.status, Some(0), "{run:?}");
    run
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn json_lines_have_the_fields_of_the_flow_record() {
    let always = [
        "kind",
        "sensor",
        "site",
        "boot",
        "seq",
        "input",
        "sampling",
        "event_time",
        "first_time",
        "last_time",
        "clock_offset_us",
        "src",
        "dst",
        "proto",
        "vlan",
        "initiator",
        "vantage",
        "outcome",
        "fwd",
        "rev",
        "flow_id",
        "community_id",
        "export_index",
        "end_reason",
        "capture_drops",
        "labels",
    ];
    let counts = ["packets", "bytes", "payload", "total_packets", "total_bytes", "fragments"];
    for name in CAPTURES {
        let lines = flows(name, &["--format", "jsonl"]).json_lines();
        assert!(!lines.is_empty(), "{name}");
        for line in &lines {
            let fields = keys(line);
            assert!(always.iter().all(|field| fields.contains(field)), "{name}: {line}");
            assert_eq!(keys(&line["fwd"]), counts.into(), "{name}");
            let number = line["proto"].as_u64().unwrap();
            assert_eq!(fields.contains("tcp"), number == 6, "{name}: {line}");
            assert_eq!(fields.contains("link"), number == 0, "{name}: {line}");
            assert_eq!(fields.contains("icmp_type"), matches!(number, 1 | 58), "{name}: {line}");
            assert!(line["event_time"].as_str().unwrap().ends_with('Z'), "{name}");
            assert!(line["community_id"].as_str().unwrap().starts_with("1:"), "{name}");
            assert_eq!(line["flow_id"].as_str().unwrap().len(), 16, "{name}");
            line["src"]["ip"].as_str().unwrap().parse::<std::net::IpAddr>().unwrap();
        }
    }
    let tagged = flows("scan_vlan.pcap.gz", &["--format", "jsonl"]).json_lines();
    assert!(tagged.iter().any(|line| line["vlan"].as_array().unwrap().len() == 1));
}

#[test]
fn every_packet_is_in_one_record() {
    for (name, packets) in [("scan_connect.pcap.gz", 1_022), ("sweep_arp.pcap.gz", 514), ("demo.pcap.zst", 20_793)] {
        let lines = flows(name, &["--format", "jsonl"]).json_lines();
        let count = |line: &Value| {
            let of = |way: &str| line[way]["packets"].as_u64().unwrap();
            of("fwd") + of("rev")
        };
        assert_eq!(lines.iter().map(count).sum::<u64>(), packets, "{name}");
    }
}

#[test]
fn records_of_one_flow_share_its_id_and_add_up() {
    let lines = flows("benign_downloads.pcap.zst", &["--format", "jsonl"]).json_lines();
    let long: Vec<&Value> = lines.iter().filter(|line| line["export_index"].as_u64() > Some(0)).collect();
    assert!(!long.is_empty());
    for line in long {
        let earlier = lines.iter().filter(|other| {
            other["flow_id"] == line["flow_id"] && other["export_index"].as_u64() <= line["export_index"].as_u64()
        });
        let packets: u64 = earlier.map(|record| record["fwd"]["packets"].as_u64().unwrap()).sum();
        assert_eq!(Some(packets), line["fwd"]["total_packets"].as_u64(), "{line}");
    }
}

#[test]
fn comma_separated_values_say_what_json_says() {
    for name in CAPTURES {
        let table = flows(name, &["--format", "csv"]).output;
        let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let header = rows.next().unwrap();
        let lines = flows(name, &["--format", "jsonl"]).json_lines();
        assert_eq!(rows.clone().count(), lines.len(), "{name}");
        for (row, line) in rows.zip(&lines) {
            assert_eq!(row.len(), header.len(), "{name}: {row:?}");
            let cell = |heading: &str| row[header.iter().position(|cell| *cell == heading).unwrap()];
            assert_eq!(cell("flow_id"), line["flow_id"], "{name}");
            assert_eq!(cell("src_ip"), line["src"]["ip"], "{name}");
            assert_eq!(cell("event_time"), line["event_time"], "{name}");
            assert_eq!(cell("outcome"), line["outcome"], "{name}");
            assert_eq!(cell("fwd_bytes"), line["fwd"]["bytes"].to_string(), "{name}");
            assert_eq!(cell("dst_port"), line["dst"]["port"].to_string(), "{name}");
        }
    }
}

#[test]
fn the_avro_file_is_read_by_another_implementation() {
    const READ: &str = "import fastavro, json, sys\n\
        with open(sys.argv[1], 'rb') as file:\n    \
            for record in fastavro.reader(file):\n        \
                print(json.dumps([record['fwd']['packets'], record['rev']['bytes'], record['event_time'], \
                record['src']['port'], record['tcp'] and record['tcp']['history']]))\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flows.avro");
    for name in ["scan_connect.pcap.gz", "benign_ipv6.pcap.zst", "demo.pcap.zst"] {
        let run = flows(name, &["--format", "avro", "--out", path.to_str().unwrap()]);
        assert_eq!(run.output, "");
        let python = Command::new("python3").args(["-c", READ]).arg(&path).output().unwrap();
        assert!(python.status.success(), "{name}: {}", String::from_utf8_lossy(&python.stderr));
        let read = String::from_utf8(python.stdout).unwrap();
        let lines = flows(name, &["--format", "jsonl"]).json_lines();
        assert_eq!(read.lines().count(), lines.len(), "{name}");
        for (record, line) in read.lines().zip(&lines) {
            let record: Value = serde_json::from_str(record).unwrap();
            assert_eq!(record[0], line["fwd"]["packets"], "{name}");
            assert_eq!(record[1], line["rev"]["bytes"], "{name}");
            assert_eq!(record[3], line["src"]["port"], "{name}");
            assert_eq!(record[4], line["tcp"]["history"], "{name}");
        }
    }
}

#[test]
fn the_table_has_a_line_per_record_and_the_date() {
    let run = flows("scan_connect.pcap.gz", &[]);
    let lines: Vec<&str> = run.output.lines().collect();
    assert!(lines[0].starts_with("TIME (UTC)") && lines[1] == "2026-01-05", "{run:?}");
    assert_eq!(lines.len(), 2 + flows("scan_connect.pcap.gz", &["--format", "jsonl"]).json_lines().len());
    assert!(lines.iter().any(|line| line.contains("10.0.0.66:") && line.contains("refused")), "{run:?}");
}

#[test]
fn names_stay_names_and_cannot_act() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("names.txt");
    let text = "12:00:00.000000 IP gate.example.40000 > =evil.http: Flags [S], seq 1, win 64240, length 0\n\
                12:00:00.000100 IP =evil.http > gate.example.40000: Flags [R.], seq 0, ack 2, win 0, length 0\n";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let run = weir(&["flows", "--date", "2026-01-05", "--format", "jsonl", path]);
    let line = &run.json_lines()[0];
    assert_eq!((&line["src"]["name"], &line["dst"]["name"]), (&"gate.example".into(), &"=evil".into()), "{run:?}");
    assert!(line["src"].get("ip").is_none(), "{line}");
    let run = weir(&["flows", "--date", "2026-01-05", "--format", "csv", path]);
    assert!(run.output.contains(",'=evil,"), "{run:?}");
}

#[test]
fn the_null_format_prints_totals_only() {
    let run = flows("demo.pcap.zst", &["--format", "null"]);
    assert_eq!(run.output.lines().count(), 1, "{run:?}");
    assert!(run.output.starts_with("20,793 packets in ") && run.output.ends_with(" packets/s\n"), "{run:?}");
}

#[test]
fn a_capture_cut_short_gives_what_is_whole_and_one_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cut.pcap");
    let bytes = crate::fixture::pcap(&crate::fixture::syns(10));
    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let run = weir(&["flows", "--format", "jsonl", path.to_str().unwrap()]);
    assert_eq!((run.status, run.json_lines().len()), (Some(0), 9), "{run:?}");
    let warnings: Vec<&str> = run.complaint.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(warnings.len(), 1, "{run:?}");
    assert!(warnings[0].contains("at byte "), "{run:?}");
}
