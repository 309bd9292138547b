//! Findings as JSON: the nested shape that people and programs rely on, and the canonical form.
#![allow(clippy::unwrap_used)]
// One literal holds a whole finding.
#![recursion_limit = "256"]

mod support;

use proptest::prelude::*;
use serde_json::json;
use support::arbitrary_finding::any_finding;
use weir_schemas::finding::{Evidence, EvidenceSensor, Finding, Party, Scope, Window};
use weir_schemas::{
    Baseline, Contribution, EpisodeState, EvidenceFlow, Provenance, ScopeKind, Severity, Technique, canonical,
    finding_json,
};

fn sample() -> Finding {
    Finding {
        v: 1,
        id: "00ff".into(),
        revision: 2,
        state: EpisodeState::Updated,
        detector: "port_scan".into(),
        rule_version: 1,
        profile: "default".into(),
        severity: Severity::High,
        score: 0.5,
        confidence: 0.75,
        scope: Scope { kind: ScopeKind::Pair, key: "10.0.0.1>10.0.0.2".into() },
        source: Some(Party { ip: Some("10.0.0.1".into()), name: None, port: None }),
        target: None,
        discriminator: "tcp".into(),
        episode_start: 0,
        window: Window { start: -1, end: 60_000_000 },
        metric: "ports".into(),
        unit: "ports".into(),
        observed: 100.0,
        threshold: 20.0,
        baseline: Baseline { kind: "none".into(), mean: None, spread: None, n: 0, quantile: None },
        deviation: 5.0,
        counterfactual: 19.0,
        contributions: vec![Contribution {
            feature: "ports".into(),
            value: 100.0,
            unit: "ports".into(),
            threshold: None,
        }],
        scores: [("forest".to_owned(), 0.25)].into(),
        message: "m".into(),
        reason: "r".into(),
        variant: "syn".into(),
        technique: Technique { attack_version: "17".into(), ids: vec!["T1046".into()] },
        evidence: Evidence {
            flows: vec![EvidenceFlow {
                flow_id: "0123456789abcdef".into(),
                community_id: "1:x".into(),
                src: "10.0.0.1:1".into(),
                dst: "10.0.0.2:2".into(),
                proto: 6,
                first_time: 1_500_000,
                packets: 1,
                bytes: 60,
                outcome: "refused".into(),
            }],
            n_flows: 1,
            sensors: vec![EvidenceSensor { id: "file".into(), vantage: 3, loss: 0 }],
        },
        complete: true,
        degraded: vec!["forced".into()],
        labels: [("scenario".to_owned(), "scan".to_owned())].into(),
        provenance: Provenance { topic: "weir.flows.v1".into(), emitted_at: Some(1), ..Provenance::default() },
    }
}

#[test]
fn the_shape_is_the_published_one() {
    let expected = json!({
        "v": 1, "id": "00ff", "revision": 2, "state": "updated", "detector": "port_scan", "rule_version": 1,
        "profile": "default", "severity": "high", "score": 0.5, "confidence": 0.75,
        "scope": {"kind": "pair", "key": "10.0.0.1>10.0.0.2"},
        "source": {"ip": "10.0.0.1"}, "target": null, "discriminator": "tcp",
        "episode_start": "1970-01-01T00:00:00.000000Z",
        "window": {"start": "1969-12-31T23:59:59.999999Z", "end": "1970-01-01T00:01:00.000000Z"},
        "metric": "ports", "unit": "ports", "observed": 100.0, "threshold": 20.0,
        "baseline": {"kind": "none", "mean": null, "spread": null, "n": 0},
        "deviation": 5.0, "counterfactual": 19.0,
        "contributions": [{"feature": "ports", "value": 100.0, "unit": "ports"}],
        "scores": {"forest": 0.25}, "message": "m", "reason": "r", "variant": "syn",
        "technique": {"attack_version": "17", "ids": ["T1046"]},
        "evidence": {
            "flows": [{
                "flow_id": "0123456789abcdef", "community_id": "1:x", "src": "10.0.0.1:1", "dst": "10.0.0.2:2",
                "proto": 6, "first_time": "1970-01-01T00:00:01.500000Z", "packets": 1, "bytes": 60,
                "outcome": "refused",
            }],
            "n_flows": 1,
            "sensors": [{"id": "file", "vantage": 3, "loss": 0}],
        },
        "complete": true, "degraded": ["forced"], "labels": {"scenario": "scan"},
        "provenance": {
            "topic": "weir.flows.v1", "partition": 0, "first_offset": 0, "last_offset": 0, "engine": "",
            "rules_hash": "", "emitted_at": "1970-01-01T00:00:00.000001Z",
        },
    });
    assert_eq!(finding_json(&sample()), expected);
}

#[test]
fn a_line_keeps_the_order_of_the_design() {
    let line = serde_json::to_string(&sample()).unwrap();
    assert!(line.starts_with(r#"{"v":1,"id":"00ff","revision":2,"state":"updated","detector":"port_scan""#), "{line}");
}

fn keys_are_sorted(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(fields) => fields.keys().is_sorted() && fields.values().all(keys_are_sorted),
        serde_json::Value::Array(items) => items.iter().all(keys_are_sorted),
        _ => true,
    }
}

proptest! {
    #[test]
    fn json_reads_back(finding in any_finding()) {
        let line = serde_json::to_string(&finding).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&finding_json(&finding), &value);
        let back: Finding = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(canonical(&back), canonical(&finding));
        prop_assert_eq!(back.provenance, finding.provenance);
    }

    #[test]
    fn canonical_forms_differ_in_everything_but_provenance(finding in any_finding(), observed: u32) {
        let mut other = finding.clone();
        other.provenance = Provenance::default();
        let text = canonical(&finding);
        prop_assert_eq!(&canonical(&other), &text);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert!(value.get("provenance").is_none());
        prop_assert!(keys_are_sorted(&value));
        other.observed = f64::from(observed);
        prop_assert_eq!(canonical(&other) == text, other.observed.to_bits() == finding.observed.to_bits());
    }
}
