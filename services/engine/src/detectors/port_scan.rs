//! `port_scan`: one source tries many ports of one target.
//!
//! Rule: distinct destination ports at which an attempt failed (refused, unanswered, or left half-open) ≥ `ports_60s` in
//! 60 s, or ≥ `ports_5min` in 5 min, or ≥ `ports_1h` in 1 h; per technique (`tcp`, `fin`, `null`, `xmas`, `ack`, `udp`).
//! `classic`: all TCP attempts count, > 100 SYN packets and > 20 ports in 60 s.
//! Defaults: Zeek's scan script alarmed at 15 failed ports in 5 min; 20 in 60 s lies above what a client with a dead
//! service does, and 1,000-port scans cross it in their first second.
//! Evidence: seen attempts (a SYN, a probe, a first datagram); answers are never attempts.
//! Known false positives: passive FTP through a firewall that drops the data ports; one-way media to many UDP ports.
//! ATT&CK: T1046 Network Service Discovery.

use weir_schemas::{ScopeKind, Severity};

use super::{Detector, Entry, Level, SourceView, Stage};
use crate::judgement::{Judgement, Verdicts, contribution, score_of};
use crate::pane::PaneRules;
use crate::profile::{Parameter, Rules};
use crate::summary::{PairCounts, PairKey};
use crate::technique::Technique;

pub(super) struct PortScan;

const PORTS_60S: usize = 0;
const PORTS_5MIN: usize = 1;
const PORTS_1H: usize = 2;
const MIN_SYN: usize = 3;
const COUNT_COMPLETED: usize = 4;
const HIGH_PORTS: usize = 5;
const TRACEROUTE_FIRST: usize = 6;
const TRACEROUTE_LAST: usize = 7;

static ENTRY: Entry = Entry {
    id: "port_scan",
    rule_version: 1,
    stage: Stage::Source,
    scopes: &[ScopeKind::Pair, ScopeKind::Source],
    finds: "one source tries many ports of one target",
    formula: "distinct ports with a failed attempt >= ports_60s in 60 s, or >= ports_5min in 5 min, or >= ports_1h in 1 h",
    windows: &[Level::Pane, Level::Minute, Level::FiveMinutes, Level::Hour],
    evidence: "attempts seen to begin (SYN, probe, first datagram) and their outcomes; answers are never attempts",
    discriminator: "technique class: tcp (syn and connect), fin, null, xmas, ack, udp",
    false_positives: &[
        "passive FTP through a firewall that drops the data ports",
        "one-way media (RTP) opened to many UDP ports of one gateway",
    ],
    techniques: &["T1046"],
    parameters: &[
        Parameter {
            name: "ports_60s",
            unit: "ports",
            default: 15.0,
            classic: 21.0,
            doc: "distinct ports in 60 s; Zeek's scan script used 15 in 5 min",
        },
        Parameter {
            name: "ports_5min",
            unit: "ports",
            default: 20.0,
            classic: 0.0,
            doc: "distinct ports in 5 min, for scans that wait; 0 = off",
        },
        Parameter {
            name: "ports_1h",
            unit: "ports",
            default: 30.0,
            classic: 0.0,
            doc: "distinct ports in 1 h, for scans that creep; 0 = off",
        },
        Parameter {
            name: "min_syn",
            unit: "packets",
            default: 0.0,
            classic: 101.0,
            doc: "SYN packets to the target in the window (tcp only)",
        },
        Parameter {
            name: "count_completed",
            unit: "switch",
            default: 0.0,
            classic: 1.0,
            doc: "1 = completed connections count as well",
        },
        Parameter {
            name: "high_ports",
            unit: "ports",
            default: 100.0,
            classic: 100.0,
            doc: "distinct ports from which severity is high",
        },
        Parameter {
            name: "traceroute_first",
            unit: "port",
            default: 33_434.0,
            classic: 0.0,
            doc: "first UDP port left out: traceroute's range",
        },
        Parameter {
            name: "traceroute_last",
            unit: "port",
            default: 33_534.0,
            classic: 0.0,
            doc: "last UDP port left out",
        },
    ],
};

impl Detector for PortScan {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn prepare(&self, rules: &Rules, pane: &mut PaneRules) {
        pane.count_completed = rules.is_on(COUNT_COMPLETED);
        pane.traceroute_ports = rules.get(TRACEROUTE_FIRST) as u16..=rules.get(TRACEROUTE_LAST) as u16;
    }

    fn crosses_early(&self, counts: &PairCounts, rules: &Rules) -> bool {
        counts.ports.count() == rules.count(PORTS_60S) && rules.count(MIN_SYN) == 0
    }

    fn judge_early(
        &self,
        key: &PairKey,
        counts: &PairCounts,
        view: &SourceView<'_>,
        rules: &Rules,
        verdicts: &mut Verdicts,
    ) {
        verdicts.fire(judgement(key, counts, view, rules, rules.get(PORTS_60S)));
    }

    fn judge_source(&self, view: &SourceView<'_>, rules: &Rules, verdicts: &mut Verdicts) {
        verdicts.cannot_judge(
            "flows whose direction nothing proves (the capture began after they did)",
            view.newest_undirected(),
        );
        let threshold = match view.level {
            Level::Pane => return,
            Level::Minute => rules.get(PORTS_60S),
            Level::FiveMinutes => rules.get(PORTS_5MIN),
            Level::Hour => rules.get(PORTS_1H),
        };
        if threshold == 0.0 {
            return;
        }
        for key in view.newest.pairs.keys() {
            let Some(counts) = view.merged.pairs.get(key) else { continue };
            let enough_syn = key.technique != Technique::Tcp || counts.syn >= rules.count(MIN_SYN);
            if (counts.distinct_ports() as f64) < threshold || !enough_syn {
                verdicts.quiet();
                continue;
            }
            verdicts.fire(judgement(key, counts, view, rules, threshold));
        }
    }
}

fn judgement(key: &PairKey, counts: &PairCounts, view: &SourceView<'_>, rules: &Rules, threshold: f64) -> Judgement {
    let ports = counts.distinct_ports() as f64;
    let severity = if ports >= rules.get(HIGH_PORTS) { Severity::High } else { Severity::Medium };
    let variant = match key.technique {
        Technique::Tcp if counts.completed > 0 => "connect",
        Technique::Tcp => "syn",
        other => other.name(),
    };
    Judgement {
        scope: ScopeKind::Pair,
        source: Some(key.source.clone()),
        target: Some(key.target.clone()),
        target_port: None,
        site: None,
        discriminator: key.technique.name().to_owned(),
        variant: variant.to_owned(),
        severity,
        score: score_of(ports / threshold),
        confidence: confidence(counts),
        metric: "failed_ports".to_owned(),
        unit: "ports".to_owned(),
        observed: ports,
        threshold,
        normal: None,
        counterfactual: threshold - 1.0,
        contributions: vec![
            contribution("failed_ports", ports, "ports", Some(threshold)),
            contribution("attempts", counts.attempts as f64, "attempts", None),
            contribution("refused", counts.refused as f64, "attempts", None),
            contribution("unanswered", counts.unanswered as f64, "attempts", None),
            contribution("half_open", counts.half_open as f64, "attempts", None),
            contribution("completed", counts.completed as f64, "attempts", None),
        ],
        reason: "port_scan".to_owned(),
        flows: counts.evidence.flows().to_vec(),
        n_flows: counts.attempts,
        sensors: (view.sensors)(counts.seen_by),
        window: view.window,
        step_panes: view.level.step_panes(),
        first_offset: view.merged.first_offset,
        complete: view.merged.complete,
        degraded: view.merged.degraded.iter().cloned().collect(),
    }
}

/// Refusals prove that the probes arrived; silence may also be a blind sensor.
fn confidence(counts: &PairCounts) -> f64 {
    let answered = counts.refused + counts.half_open;
    if answered * 2 >= counts.attempts { 0.95 } else { 0.85 }
}
