//! Hand-made messages from which the codecs' mutations start.

use serde_json::json;
use weir_schemas::app::{App, Dns, DnsType, Http, Irc, Login, Ssh, Tls};
use weir_schemas::flow::{Tunnel, VANTAGE_FORWARD, VANTAGE_REVERSE};
use weir_schemas::partial::{DistinctSet, PartialCounts, PartialSensor, ReceiverCounts, ResponderCounts, SiteCounts};
use weir_schemas::{
    Counts, End, EndReason, Finding, Flow, Host, Initiator, Link, Mark, MarkStatus, Outcome, Partial, PartialBody,
    Record, StateEntry, Tcp,
};

const TIME: i64 = 1_767_603_600_000_000;

/// A flow with every block, and a mark.
pub fn records() -> Vec<Record> {
    let end = |address: &str, port| End::new(Host::parse(address), port);
    let counts = Counts { packets: 3, bytes: 180, payload: 20, total_packets: 6, total_bytes: 360, fragments: 0 };
    let flow = Flow {
        sensor: "file".into(),
        site: "local".into(),
        boot: TIME,
        seq: 7,
        input: "pcap".into(),
        sampling: 1,
        event_time: TIME,
        first_time: TIME,
        last_time: TIME + 500,
        clock_offset_us: -3,
        src: end("10.0.0.66", 40_000),
        dst: end("fd00::20", 443),
        proto: 6,
        icmp_type: None,
        icmp_code: Some(3),
        vlan: vec![7, 42],
        tunnel: Some(Box::new(Tunnel {
            kind: "vxlan".into(),
            outer_src: Host::parse("10.0.0.1"),
            outer_dst: Host::parse("gateway.lan"),
            id: 9,
        })),
        initiator: Initiator::Syn,
        vantage: VANTAGE_FORWARD | VANTAGE_REVERSE,
        outcome: Outcome::Completed,
        fwd: counts,
        rev: counts,
        flow_id: 0x0123_4567_89ab_cdef,
        community_id: [9; 20],
        export_index: 0,
        end_reason: EndReason::Fin,
        capture_drops: 0,
        tcp: Some(Box::new(Tcp { state: "SF".into(), history: "ShADadFf".to_owned(), ..Tcp::default() })),
        link: Some(Box::new(Link::default())),
        app: Some(Box::new(application())),
        timing: None,
        labels: vec![("attack".into(), "scan".into())],
    };
    let status = MarkStatus { packets: 10, ..MarkStatus::default() };
    let mark = Mark { sensor: "file".into(), site: "local".into(), boot: TIME, seq: 8, t: TIME, end: true, status };
    vec![Record::Flow(Box::new(flow)), Record::Mark(Box::new(mark))]
}

/// Facts of every application at once.
fn application() -> App {
    App {
        name: "http".into(),
        dns: Some(Dns {
            query: "www.example.com".to_owned(),
            rcode: Some(3),
            queries: 2,
            types: vec![DnsType { query_type: 1, queries: 2, bytes: 66 }],
            ..Dns::default()
        }),
        http: Some(Http { method: "GET".to_owned(), status: Some(404), requests: 1, ..Http::default() }),
        tls: Some(Tls { version: 0x0304, server_name: "a.example".to_owned(), alert: Some(40), ..Tls::default() }),
        ssh: Some(Ssh { client: "SSH-2.0-a".to_owned(), ..Ssh::default() }),
        login: Some(Login { attempts: 2, failures: 1, proto: "ssh".into(), estimated: true }),
        irc: Some(Irc { nick: "a".to_owned(), commands: 3, ..Irc::default() }),
    }
}

/// A finding with evidence.
pub fn finding() -> Result<Finding, serde_json::Error> {
    serde_json::from_value(json!({
        "v": 1, "id": "00112233445566778899aabbccddeeff", "revision": 0, "state": "opened", "detector": "port_scan",
        "rule_version": 1, "profile": "default", "severity": "high", "score": 0.5, "confidence": 0.9,
        "scope": {"kind": "pair", "key": "10.0.0.66>10.0.0.20"}, "source": {"ip": "10.0.0.66"},
        "target": {"ip": "10.0.0.20", "port": 80}, "discriminator": "tcp",
        "episode_start": "2026-01-05T09:00:00Z",
        "window": {"start": "2026-01-05T09:00:00Z", "end": "2026-01-05T09:01:00Z"},
        "metric": "distinct_ports", "unit": "ports", "observed": 1000.0, "threshold": 20.0,
        "baseline": {"kind": "none", "mean": null, "spread": null, "n": 0}, "deviation": 50.0, "counterfactual": 20.0,
        "contributions": [{"feature": "attempts", "value": 1000.0, "unit": "attempts"}], "scores": {},
        "message": "", "reason": "scan", "variant": "syn", "technique": {"attack_version": "17.1", "ids": ["T1046"]},
        "evidence": {"flows": [], "n_flows": 0, "sensors": [{"id": "file", "vantage": 3, "loss": 0}]},
        "complete": true, "degraded": ["evicted"], "labels": {"a": "b"},
        "provenance": {"topic": "weir.flows.v1", "partition": 0, "first_offset": 0, "last_offset": 9, "engine": "0.1.0",
                       "rules_hash": "00", "emitted_at": null}
    }))
}

/// One partial of each kind that has more than numbers in it.
pub fn partials() -> Vec<Partial> {
    let counts = PartialCounts {
        sensor_sets: vec![vec![PartialSensor { id: "file".into(), vantage: 3, loss: 0 }]],
        receivers: vec![ReceiverCounts {
            host: Host::parse("10.0.0.10"),
            packets: 10,
            bytes: 1_000,
            unsolicited_packets: 0,
            sensor_set: 0,
        }],
        responders: vec![ResponderCounts {
            host: Host::parse("10.0.0.10"),
            port: 80,
            syn: 900,
            attempts: 1_000,
            completed: 5,
            half_open: 900,
            refused: 0,
            unanswered: 95,
            sources: DistinctSet::Exact(vec![1, 2, 3]),
            flows: Vec::new(),
            sensor_set: 0,
        }],
        sites: vec![SiteCounts { site: "local".into(), packets: 10, bytes: 1_000, flows: 3, sensor_set: 0 }],
        ..PartialCounts::default()
    };
    let bodies = [
        PartialBody::Counts(counts),
        PartialBody::Marker { ended: true, complete: true, degraded: vec!["forced".to_owned()], generation: 7 },
    ];
    bodies.map(|body| Partial { v: 1, partition: 0, partition_count: 12, pane: TIME, rules_hash: 5, body }).to_vec()
}

/// A state slot.
pub fn state() -> StateEntry {
    StateEntry { v: 1, epoch: 3, table: "ledger/port_scan".to_owned(), slot: 4, body: vec![1, 2, 3, 4] }
}
