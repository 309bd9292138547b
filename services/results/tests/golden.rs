//! Every rendering, held against a file that people have read. `WEIR_UPDATE_GOLDEN=1` writes the files anew.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use support::flows::{arp, connection, flow, lone_syn};
use support::sample::{self, NOON, Sample as _};
use support::{assert_golden, assert_golden_json};
use weir_results::{
    CannotJudge, CaptureSummary, Episodes, RunFacts, TableOptions, capture_report, ecs, json_line, message,
    render_table, tail_line, verdict_line,
};
use weir_schemas::finding::Party;
use weir_schemas::{Anomaly, EpisodeState, Finding, Severity};

fn published(id: &str, revision: u32, finding: Finding) -> Anomaly {
    let mut anomaly = finding.id(id);
    anomaly.revision = revision;
    anomaly.message = message(&anomaly);
    anomaly.provenance.emitted_at = Some(NOON);
    anomaly
}

fn anomalies() -> Vec<Anomaly> {
    vec![
        published("01", 1, sample::port_scan()),
        published("02", 1, sample::host_sweep()),
        published("03", 1, sample::incomplete_handshakes()),
        published("04", 1, sample::syn_flood()),
        published("05", 1, sample::traffic_spike()),
        published(
            "01",
            2,
            Finding { episode_start: NOON, ..sample::port_scan().later(120_000_000).state(EpisodeState::Closed) },
        ),
    ]
}

fn episodes(anomalies: &[Anomaly]) -> Episodes {
    let mut episodes = Episodes::new(Severity::Low);
    for anomaly in anomalies {
        episodes.add(anomaly);
    }
    episodes
}

fn facts() -> RunFacts {
    RunFacts {
        inputs: vec!["evening.pcap".to_owned()],
        profile: "default".to_owned(),
        packets: 9629,
        flows: 2101,
        span: Some((NOON - 60_000_000, NOON + 95_500_000)),
        other_frames: 12,
        truncated: 1,
        drops: 40,
        decode_errors: BTreeMap::from([("ipv4_header".to_owned(), 3)]),
        warnings: vec!["evening.pcap: cut short at byte 4,711; the 9,629 packets before it were read".to_owned()],
        late: 2,
        evicted: BTreeMap::from([("attempts".to_owned(), 7)]),
        judged: vec![("port_scan".to_owned(), 16), ("traffic_spike".to_owned(), 0)],
        cannot_judge: vec![
            CannotJudge { detector: "traffic_spike".to_owned(), reason: "warm_up".to_owned(), count: 16 },
            ("incomplete_handshakes".to_owned(), "sources with too few attempts for a share".to_owned(), 7).into(),
        ],
    }
}

fn summary() -> CaptureSummary {
    let mut summary = CaptureSummary::default();
    for port in 1..=30 {
        summary.add(&lone_syn("192.0.2.7", ("198.51.100.9", port), NOON - 50_000_000));
    }
    for last in 1..=12 {
        let server = format!("203.0.113.{last}");
        summary.add(&connection("192.0.2.20", (&server, 443), NOON + i64::from(last) * 1_000_000));
    }
    summary.add(&flow(17, ("2001:db8::20", 5353), ("2001:db8::53", 53), NOON, (1, 60), (1, 512)));
    summary.add(&arp("192.0.2.7", "192.0.2.1", NOON));
    let mut answers_only = connection("192.0.2.99", ("198.51.100.80", 8080), NOON);
    answers_only.vantage = weir_schemas::flow::VANTAGE_REVERSE;
    summary.add(&answers_only);
    summary
}

#[test]
fn tail() {
    let whole = TableOptions { width: usize::MAX, ..TableOptions::default() };
    let narrow = TableOptions { width: 80, colour: true, ..TableOptions::default() };
    let mut lines = String::new();
    for options in [whole, narrow] {
        for anomaly in anomalies() {
            lines.push_str(&tail_line(&anomaly, &options));
            lines.push('\n');
        }
    }
    assert_golden("tail.txt", &lines);
}

#[test]
fn ecs_documents() {
    let documents: Vec<serde_json::Value> = anomalies().iter().map(ecs::document).collect();
    assert_golden_json("ecs.json", &documents);
}

#[test]
fn table() {
    assert_golden(
        "table.txt",
        &render_table(&episodes(&anomalies()), &facts(), &TableOptions { width: 140, ..TableOptions::default() }),
    );
}

#[test]
fn table_on_a_narrow_terminal() {
    let options = TableOptions { width: 60, rows: 2, explained: 1, ..TableOptions::default() };
    assert_golden("table_narrow.txt", &render_table(&episodes(&anomalies()), &facts(), &options));
}

#[test]
fn a_long_name_is_cut_in_the_table_and_whole_in_the_words() {
    let name = "a-rather-long-name-of-a-workstation.of.some.department.example.com";
    let mut finding = sample::incomplete_handshakes();
    finding.source = Some(Party { ip: None, name: Some(name.to_owned()), port: None });
    let found = episodes(&[published("07", 1, finding)]);
    let table = render_table(&found, &RunFacts::default(), &TableOptions { width: 130, ..TableOptions::default() });
    let row = table.lines().find(|line| line.starts_with("low")).unwrap();
    assert!(row.contains("a-rather-long-name") && row.contains('…') && row.ends_with("10 s"), "{row}");
    assert!(row.chars().count() <= 130, "{row}");
    assert!(table.contains(&format!("that {name} began")), "{table}");
}

#[test]
fn table_in_colour() {
    let options = TableOptions { width: 140, colour: true, explained: 1, ..TableOptions::default() };
    assert_golden("table_colour.txt", &render_table(&episodes(&anomalies()), &facts(), &options));
}

#[test]
fn table_when_nothing_was_found() {
    assert_golden("table_nothing.txt", &render_table(&episodes(&[]), &facts(), &TableOptions::default()));
}

#[test]
fn verdicts_as_they_come() {
    let lines: Vec<String> =
        anomalies().iter().map(|anomaly| verdict_line(anomaly, &TableOptions::default())).collect();
    assert_golden("verdicts.txt", &format!("{}\n", lines.join("\n")));
}

#[test]
fn jsonl() {
    // Compared as values: the order of keys is the JSON library's, and means nothing.
    let values: Vec<serde_json::Value> =
        anomalies().iter().map(|line| serde_json::from_str(&json_line(line)).unwrap()).collect();
    support::assert_golden_json("anomalies.json", &values);
}

#[test]
fn markdown_report() {
    assert_golden("report.md", &capture_report(&summary(), &episodes(&anomalies()), &facts()));
}

#[test]
fn markdown_report_of_nothing() {
    let report = capture_report(&CaptureSummary::default(), &episodes(&[]), &RunFacts::default());
    assert_golden("report_nothing.md", &report);
}

/// A name that tries to act on a terminal, on Markdown, on HTML and on a reader's eye.
const HOSTILE: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[2J|`<script>alert(1)</script>`[x](http://evil.example)\u{202e}\n# Heading\r\u{9b}31m";

fn hostile() -> Anomaly {
    let mut finding = Finding {
        source: Some(Party { ip: None, name: Some(HOSTILE.to_owned()), port: None }),
        detector: HOSTILE.to_owned(),
        variant: HOSTILE.to_owned(),
        ..sample::incomplete_handshakes()
    };
    HOSTILE.clone_into(&mut finding.evidence.flows[0].src);
    published("66", 1, finding)
}

fn hostile_facts() -> RunFacts {
    RunFacts {
        inputs: vec![HOSTILE.to_owned()],
        profile: HOSTILE.to_owned(),
        warnings: vec![HOSTILE.to_owned()],
        decode_errors: BTreeMap::from([(HOSTILE.to_owned(), 1)]),
        evicted: BTreeMap::from([(HOSTILE.to_owned(), 1)]),
        judged: vec![(HOSTILE.to_owned(), 1)],
        cannot_judge: vec![(HOSTILE.to_owned(), HOSTILE.to_owned(), 1).into()],
        ..RunFacts::default()
    }
}

#[test]
fn no_rendering_lets_a_name_act_on_a_terminal() {
    let found = episodes(&[hostile()]);
    let mut summary = CaptureSummary::default();
    summary.add(&connection(HOSTILE, (HOSTILE, 80), NOON));
    let plain = TableOptions::default();
    let renderings = [
        render_table(&found, &hostile_facts(), &plain),
        render_table(&found, &hostile_facts(), &TableOptions { width: 50, ..plain }),
        verdict_line(&hostile(), &plain),
        tail_line(&hostile(), &plain),
        json_line(&hostile()),
        capture_report(&summary, &found, &hostile_facts()),
    ];
    for rendering in renderings {
        let acting =
            rendering.chars().find(|character| *character != '\n' && weir_results::text::is_unsafe(*character));
        assert_eq!(acting, None, "{rendering}");
        assert!(!rendering.lines().any(|line| line.starts_with("# Heading")), "{rendering}");
    }
}

#[test]
fn json_keeps_a_hostile_name_as_data() {
    let parsed: serde_json::Value = serde_json::from_str(&json_line(&hostile())).unwrap();
    assert_eq!(parsed["source"]["name"], HOSTILE);
    assert_eq!(parsed["target"], serde_json::Value::Null);
}

#[test]
fn markdown_holds_no_markup_of_a_hostile_name() {
    let mut summary = CaptureSummary::default();
    summary.add(&connection(HOSTILE, (HOSTILE, 80), NOON));
    let report = capture_report(&summary, &episodes(&[hostile()]), &hostile_facts());
    assert_golden("report_hostile.md", &report);
}
