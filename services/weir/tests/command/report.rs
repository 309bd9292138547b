//! The capture report against what `capinfos` and `tshark` say of the same captures.

use crate::run::{capture, weir};

/// What the report must say of one capture.
struct Expected {
    capture: &'static str,
    /// `capinfos -c`.
    packets: &'static str,
    /// Rows: protocol, and `tshark -Y PROTOCOL | wc -l`.
    protocols: &'static [(&'static str, &'static str)],
    /// `tshark -Y 'tcp.flags.syn==1 && tcp.flags.ack==0'`, likewise with ACK, RST, FIN.
    flags: [&'static str; 4],
    /// Sum of `ip.len`, and 28 for each ARP packet.
    bytes: &'static str,
}

const EXPECTED: [Expected; 3] = [
    Expected {
        capture: "benign_browsing.pcap.zst",
        packets: "4,607",
        protocols: &[("TCP", "4,431"), ("UDP", "160"), ("ARP", "16")],
        flags: ["150", "150", "0", "300"],
        bytes: "2,799,548 B",
    },
    Expected {
        capture: "flood_one_source.pcap.zst",
        packets: "10,819",
        protocols: &[("TCP", "10,809"), ("ARP", "10")],
        flags: ["3,060", "3,060", "3,000", "120"],
        bytes: "1,522,732 B",
    },
    Expected {
        capture: "sweep_arp.pcap.gz",
        packets: "514",
        protocols: &[("ARP", "514")],
        flags: ["0", "0", "0", "0"],
        bytes: "14,392 B",
    },
];

/// The cells of the first table row that begins with `heading`.
fn row<'a>(report: &'a str, heading: &str) -> Vec<&'a str> {
    let start = format!("| {heading} |");
    let line =
        report.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no {heading:?}: {report}"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn totals_are_those_of_other_tools() {
    for expected in EXPECTED {
        let run = weir(&["analyze", "--format", "markdown", &capture(expected.capture)]);
        let report = &run.output;
        assert_eq!(row(report, "packets read")[1], expected.packets, "{}", expected.capture);
        assert_eq!(row(report, "packets in flows")[1], expected.packets, "{}", expected.capture);
        assert!(row(report, "bytes (IP length)")[1].contains(expected.bytes), "{}: {report}", expected.capture);
        for (protocol, packets) in expected.protocols {
            assert_eq!(row(report, protocol)[1], *packets, "{} {protocol}", expected.capture);
        }
        let flags = ["SYN (without ACK)", "SYN-ACK", "RST", "FIN"].map(|flag| row(report, flag)[1]);
        assert_eq!(flags, expected.flags, "{}", expected.capture);
        assert_eq!(run.account("read") - run.account("mark"), run.account("counted"), "{run:?}");
    }
}

#[test]
fn an_alert_stands_in_the_report_with_its_id_and_filter() {
    let path = capture("sweep_arp.pcap.gz");
    let report = weir(&["analyze", "--format", "markdown", &path]).output;
    let lines = weir(&["analyze", "--format", "jsonl", &path]).json_lines();
    let id = lines[0]["id"].as_str().unwrap();
    for part in ["## Alerts", "host_sweep (arp)", id, "- Display filter: `", "- ATT&CK "] {
        assert!(report.contains(part), "{part:?} not in {report}");
    }
}
