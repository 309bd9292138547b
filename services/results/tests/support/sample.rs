//! Findings for tests, as the engine would make them; shared by unit tests and golden tests.

use std::collections::BTreeMap;

use weir_schemas::finding::{Baseline, Contribution, Evidence, EvidenceFlow, EvidenceSensor, Party, Scope, Window};
use weir_schemas::time::SECOND_US;
use weir_schemas::{EpisodeState, Finding, Micros, Provenance, ScopeKind, Severity, Technique};

/// 2026-03-01 12:00:00 UTC, µs.
pub const NOON: Micros = 1_772_366_400 * SECOND_US;

/// Small changes to a finding, chained.
pub trait Sample {
    /// With this id.
    #[must_use]
    fn id(self, id: &str) -> Self;
    /// With this observed value.
    #[must_use]
    fn observed(self, observed: f64) -> Self;
    /// In this state.
    #[must_use]
    fn state(self, state: EpisodeState) -> Self;
    /// With one more reason why the verdict is less than exact.
    #[must_use]
    fn degraded(self, reason: &str) -> Self;
    /// Moved in time by this many µs.
    #[must_use]
    fn later(self, by: Micros) -> Self;
    /// Of this severity.
    #[must_use]
    fn severity(self, severity: Severity) -> Self;
}

impl Sample for Finding {
    fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    fn observed(mut self, observed: f64) -> Self {
        self.observed = observed;
        self
    }

    fn state(mut self, state: EpisodeState) -> Self {
        self.state = state;
        self
    }

    fn degraded(mut self, reason: &str) -> Self {
        self.degraded.push(reason.to_owned());
        self
    }

    fn later(mut self, by: Micros) -> Self {
        self.episode_start += by;
        self.window.start += by;
        self.window.end += by;
        self
    }

    fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

fn party(ip: &str) -> Party {
    Party { ip: Some(ip.to_owned()), ..Party::default() }
}

fn contribution(feature: &str, value: f64, unit: &str, threshold: Option<f64>) -> Contribution {
    Contribution { feature: feature.to_owned(), value, unit: unit.to_owned(), threshold }
}

fn base(detector: &str) -> Finding {
    Finding {
        v: 1,
        id: "00112233445566778899aabbccddeeff".to_owned(),
        revision: 0,
        state: EpisodeState::Opened,
        detector: detector.to_owned(),
        rule_version: 1,
        profile: "default".to_owned(),
        severity: Severity::Medium,
        score: 0.7,
        confidence: 0.9,
        scope: Scope { kind: ScopeKind::Source, key: "192.0.2.7".to_owned() },
        source: Some(party("192.0.2.7")),
        target: None,
        discriminator: "tcp".to_owned(),
        episode_start: NOON,
        window: Window { start: NOON - 50 * SECOND_US, end: NOON + 10 * SECOND_US },
        metric: "failed_ports".to_owned(),
        unit: "ports".to_owned(),
        observed: 1000.0,
        threshold: 20.0,
        baseline: Baseline { kind: "none".to_owned(), mean: None, spread: None, n: 0, quantile: None },
        deviation: 50.0,
        counterfactual: 20.0,
        contributions: Vec::new(),
        scores: BTreeMap::new(),
        message: String::new(),
        reason: detector.to_owned(),
        variant: String::new(),
        technique: Technique { attack_version: "19.1".to_owned(), ids: vec!["T1046".to_owned()] },
        evidence: Evidence {
            flows: vec![EvidenceFlow {
                flow_id: "0123456789abcdef".to_owned(),
                community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned(),
                src: "192.0.2.7:40000".to_owned(),
                dst: "198.51.100.9:22".to_owned(),
                proto: 6,
                first_time: NOON - 42 * SECOND_US,
                packets: 2,
                bytes: 100,
                outcome: "refused".to_owned(),
            }],
            n_flows: 1003,
            sensors: vec![EvidenceSensor { id: "file".into(), vantage: 3, loss: 0 }],
        },
        complete: true,
        degraded: Vec::new(),
        labels: BTreeMap::new(),
        provenance: Provenance {
            topic: "weir.flows.v1".to_owned(),
            partition: 0,
            first_offset: 1,
            last_offset: 2000,
            engine: "0.1.0".to_owned(),
            rules_hash: "90ab12cd34ef5678".to_owned(),
            emitted_at: None,
        },
    }
}

/// A SYN scan of one target.
#[must_use]
pub fn port_scan() -> Finding {
    Finding {
        scope: Scope { kind: ScopeKind::Pair, key: "192.0.2.7>198.51.100.9".to_owned() },
        target: Some(party("198.51.100.9")),
        variant: "syn".to_owned(),
        severity: Severity::High,
        contributions: vec![
            contribution("attempts", 1003.0, "attempts", Some(100.0)),
            contribution("refused", 998.0, "attempts", None),
            contribution("unanswered", 0.0, "attempts", None),
            contribution("half_open", 5.0, "attempts", None),
            contribution("failed_ports", 1000.0, "ports", Some(20.0)),
        ],
        ..base("port_scan")
    }
}

/// One source asking for one service on many hosts.
#[must_use]
pub fn host_sweep() -> Finding {
    Finding {
        metric: "failed_targets".to_owned(),
        unit: "hosts".to_owned(),
        observed: 254.0,
        threshold: 30.0,
        counterfactual: 30.0,
        deviation: 8.467,
        variant: "arp".to_owned(),
        discriminator: "arp".to_owned(),
        technique: Technique { attack_version: "19.1".to_owned(), ids: vec!["T1018".to_owned()] },
        evidence: Evidence { flows: Vec::new(), ..base("host_sweep").evidence },
        contributions: vec![
            contribution("failed", 250.0, "attempts", None),
            contribution("completed", 4.0, "attempts", None),
        ],
        ..base("host_sweep")
    }
}

/// One source whose handshakes stay incomplete.
#[must_use]
pub fn incomplete_handshakes() -> Finding {
    Finding {
        metric: "incomplete_share".to_owned(),
        unit: "ratio".to_owned(),
        observed: 0.45,
        threshold: 0.1,
        counterfactual: 0.1,
        deviation: 4.5,
        severity: Severity::Low,
        confidence: 0.55,
        discriminator: String::new(),
        complete: false,
        degraded: vec!["evicted".to_owned()],
        contributions: vec![
            contribution("attempts", 200.0, "attempts", Some(50.0)),
            contribution("completed", 110.0, "attempts", None),
        ],
        ..base("incomplete_handshakes")
    }
}

/// A SYN flood from spoofed sources: no source to name.
#[must_use]
pub fn syn_flood() -> Finding {
    Finding {
        scope: Scope { kind: ScopeKind::Target, key: "2001:db8::80".to_owned() },
        source: None,
        target: Some(Party { ip: Some("2001:db8::80".to_owned()), name: None, port: Some(443) }),
        metric: "incomplete_syn_rate".to_owned(),
        unit: "SYN/s".to_owned(),
        observed: 627.05,
        threshold: 50.0,
        counterfactual: 50.0,
        deviation: 12.541,
        variant: "many_sources".to_owned(),
        severity: Severity::Critical,
        discriminator: "443".to_owned(),
        contributions: vec![
            contribution("syn", 37_623.0, "packets", Some(100.0)),
            contribution("completed", 0.0, "handshakes", None),
            contribution("distinct_sources", 37_500.0, "hosts", None),
        ],
        technique: Technique { attack_version: "19.1".to_owned(), ids: vec!["T1498.001".to_owned()] },
        ..base("syn_flood")
    }
}

/// A site with far more traffic than it is used to.
#[must_use]
pub fn traffic_spike() -> Finding {
    Finding {
        scope: Scope { kind: ScopeKind::Site, key: "local".to_owned() },
        source: None,
        metric: "byte_rate".to_owned(),
        unit: "bytes/s".to_owned(),
        observed: 48_200_000.0,
        threshold: 9_100_000.0,
        counterfactual: 9_100_000.0,
        evidence: Evidence { flows: Vec::new(), n_flows: 0, ..base("traffic_spike").evidence },
        deviation: 16.2,
        discriminator: String::new(),
        baseline: Baseline {
            kind: "level_spread".to_owned(),
            mean: Some(2_500_000.0),
            spread: Some(2_200_000.0),
            n: 412,
            quantile: Some(1.0),
        },
        technique: Technique { attack_version: "19.1".to_owned(), ids: Vec::new() },
        ..base("traffic_spike")
    }
}
