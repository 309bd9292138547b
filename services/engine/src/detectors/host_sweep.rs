//! `host_sweep`: one source tries one service, or mere presence, of many hosts.
//!
//! Rule: distinct hosts at which an attempt at one service failed ≥ `targets_60s` in 60 s (`arp_targets_60s` for ARP,
//! `udp_targets_60s` for UDP), or ≥ `targets_5min` in 5 min, or ≥ `targets_1h` in 1 h; and failed attempts are at least
//! `min_failed_share` of the attempts at that service (95 % lower bound).
//! Defaults: Zeek's scan script alarmed at 25 failed hosts in 5 min; ARP and UDP need more, because routers ask for absent
//! hosts and peer-to-peer clients knock at absent peers.
//! Evidence: seen attempts and their outcomes.
//! Known false positives: a router that relays somebody else's sweep shows as an ARP sweep; peer-to-peer clients.
//! ATT&CK: T1018 Remote System Discovery, T1046 Network Service Discovery.

use std::collections::BTreeMap;

use weir_schemas::{Host, ScopeKind, Severity};

use super::{Detector, Entry, Level, SourceView, Stage, wilson_lower_bound};
use crate::judgement::{Judgement, Verdicts, contribution, score_of};
use crate::profile::{Parameter, Rules};
use crate::summary::{SweepCounts, SweepKey};
use crate::technique::Technique;

pub(super) struct HostSweep;

const TARGETS_60S: usize = 0;
const ARP_TARGETS_60S: usize = 1;
const UDP_TARGETS_60S: usize = 2;
const TARGETS_5MIN: usize = 3;
const TARGETS_1H: usize = 4;
const MIN_FAILED_SHARE: usize = 5;
const HIGH_TARGETS: usize = 6;

static ENTRY: Entry = Entry {
    id: "host_sweep",
    rule_version: 1,
    stage: Stage::Source,
    scopes: &[ScopeKind::Source],
    finds: "one source tries one service of many hosts",
    formula: "distinct hosts with a failed attempt at one service >= targets in the window, and failed attempts >= min_failed_share of attempts there (95 % lower bound)",
    windows: &[Level::Minute, Level::FiveMinutes, Level::Hour],
    evidence: "attempts seen to begin and their outcomes; answers are never attempts",
    discriminator: "technique class: tcp, udp, icmp, arp; the service port is a field",
    false_positives: &[
        "a router that relays a sweep from elsewhere asks for absent hosts by ARP",
        "peer-to-peer clients whose peers have left",
    ],
    techniques: &["T1018", "T1046"],
    parameters: &[
        Parameter {
            name: "targets_60s",
            unit: "hosts",
            default: 25.0,
            classic: 25.0,
            doc: "distinct hosts in 60 s (tcp, icmp); Zeek's scan script used 25 in 5 min",
        },
        Parameter {
            name: "arp_targets_60s",
            unit: "hosts",
            default: 40.0,
            classic: 40.0,
            doc: "distinct hosts in 60 s (arp)",
        },
        Parameter {
            name: "udp_targets_60s",
            unit: "hosts",
            default: 40.0,
            classic: 40.0,
            doc: "distinct hosts in 60 s (udp)",
        },
        Parameter {
            name: "targets_5min",
            unit: "hosts",
            default: 50.0,
            classic: 50.0,
            doc: "distinct hosts in 5 min, for sweeps that wait; 0 = off",
        },
        Parameter {
            name: "targets_1h",
            unit: "hosts",
            default: 60.0,
            classic: 60.0,
            doc: "distinct hosts in 1 h, for sweeps that creep; 0 = off",
        },
        Parameter {
            name: "min_failed_share",
            unit: "ratio",
            default: 0.5,
            classic: 0.0,
            doc: "share of attempts that fail: a monitoring station's targets mostly answer",
        },
        Parameter {
            name: "high_targets",
            unit: "hosts",
            default: 250.0,
            classic: 250.0,
            doc: "distinct hosts from which severity is high: about a /24",
        },
    ],
};

impl Detector for HostSweep {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn judge_source(&self, view: &SourceView<'_>, rules: &Rules, verdicts: &mut Verdicts) {
        verdicts.cannot_judge(
            "flows whose direction nothing proves (the capture began after they did)",
            view.newest_undirected(),
        );
        // The service with most hosts speaks for its class; services merged over the window, keys from the newest step.
        let mut best: BTreeMap<(&Host, Technique), (f64, &SweepKey, &SweepCounts)> = BTreeMap::new();
        for key in view.newest.sweeps.keys() {
            let Some(counts) = view.merged.sweeps.get(key) else { continue };
            let threshold = threshold_of(key.technique, view.level, rules);
            let proven_share = wilson_lower_bound(counts.failed, counts.failed + counts.completed);
            let enough = threshold > 0.0 && counts.distinct_targets() as f64 >= threshold;
            // A sweep in which all fail has a lower bound near, not at, 1: n is at least the threshold, so 0.5 is provable.
            if !enough || proven_share < rules.get(MIN_FAILED_SHARE) {
                verdicts.quiet();
                continue;
            }
            let class = (&key.source, key.technique);
            let more =
                best.get(&class).is_none_or(|(_, _, known)| counts.distinct_targets() > known.distinct_targets());
            if more {
                best.insert(class, (threshold, key, counts));
            }
        }
        for (threshold, key, counts) in best.into_values() {
            verdicts.fire(judgement(key, counts, view, rules, threshold));
        }
    }
}

fn threshold_of(technique: Technique, level: Level, rules: &Rules) -> f64 {
    match (level, technique) {
        (Level::Pane, _) => 0.0,
        (Level::Minute, Technique::Arp) => rules.get(ARP_TARGETS_60S),
        (Level::Minute, Technique::Udp) => rules.get(UDP_TARGETS_60S),
        (Level::Minute, _) => rules.get(TARGETS_60S),
        (Level::FiveMinutes, _) => rules.get(TARGETS_5MIN),
        (Level::Hour, _) => rules.get(TARGETS_1H),
    }
}

fn judgement(key: &SweepKey, counts: &SweepCounts, view: &SourceView<'_>, rules: &Rules, threshold: f64) -> Judgement {
    let targets = counts.distinct_targets() as f64;
    let attempts = counts.failed + counts.completed;
    let has_port = matches!(key.technique, Technique::Tcp | Technique::Udp);
    Judgement {
        scope: ScopeKind::Source,
        source: Some(key.source.clone()),
        target: None,
        target_port: has_port.then_some(key.port),
        site: None,
        discriminator: key.technique.name().to_owned(),
        variant: key.technique.name().to_owned(),
        severity: if targets >= rules.get(HIGH_TARGETS) { Severity::High } else { Severity::Medium },
        score: score_of(targets / threshold),
        confidence: if key.technique == Technique::Arp { 0.8 } else { 0.9 },
        metric: "failed_targets".to_owned(),
        unit: "hosts".to_owned(),
        observed: targets,
        threshold,
        normal: None,
        counterfactual: threshold - 1.0,
        contributions: vec![
            contribution("failed_targets", targets, "hosts", Some(threshold)),
            contribution("failed", counts.failed as f64, "attempts", None),
            contribution("completed", counts.completed as f64, "attempts", None),
            contribution(
                "failed_share_lower_bound",
                wilson_lower_bound(counts.failed, attempts),
                "ratio",
                Some(rules.get(MIN_FAILED_SHARE)),
            ),
        ],
        reason: "host_sweep".to_owned(),
        flows: counts.evidence.flows().to_vec(),
        n_flows: attempts,
        sensors: (view.sensors)(counts.seen_by),
        window: view.window,
        step_panes: view.level.step_panes(),
        first_offset: view.merged.first_offset,
        complete: view.merged.complete,
        degraded: view.merged.degraded.iter().cloned().collect(),
    }
}
