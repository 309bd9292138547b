//! `syn_flood`: a service is asked for more connections than ever come about.
//!
//! Rule: per responder and service port in 60 s: SYN packets − completed handshakes ≥ `min_syn`, and that per second ≥
//! `rate`, and at least `min_incomplete_share` of the SYNs. Severity: `high_rate`, `critical_rate`. The number of sources is
//! evidence, never a condition: a flood may be spoofed, or come from one host.
//! Defaults: 20/s over a minute is more than a dead but popular service draws by retries of some hundred clients; a
//! 1,024-entry listen queue with a 60 s timeout is full at 17/s (tcp(7), `tcp_max_syn_backlog`).
//! Evidence: SYNs seen, with their outcomes.
//! Known false positives: a very popular service that is down; a sensor that sees clients only.
//! ATT&CK: T1498.001 Direct Network Flood, T1499.001 OS Exhaustion Flood.

use weir_schemas::{Host, ScopeKind, Severity};

use super::{Detector, Entry, Level, SiteView, Stage};
use crate::judgement::{Judgement, Verdicts, contribution, score_of};
use crate::profile::{Parameter, Rules};
use crate::site_summary::ResponderTotals;

pub(super) struct SynFlood;

const RATE: usize = 0;
const MIN_SYN: usize = 1;
const MIN_INCOMPLETE_SHARE: usize = 2;
const HIGH_RATE: usize = 3;
const CRITICAL_RATE: usize = 4;

const WINDOW_SECONDS: f64 = 60.0;

static ENTRY: Entry = Entry {
    id: "syn_flood",
    rule_version: 1,
    stage: Stage::Site,
    scopes: &[ScopeKind::Target],
    finds: "a service is asked for more connections than ever come about",
    formula: "(SYN packets - completed handshakes) per second at one service in 60 s >= rate, with >= min_syn such SYNs and >= min_incomplete_share of all its SYNs",
    windows: &[Level::Minute],
    evidence: "SYNs seen, with their outcomes",
    discriminator: "service port",
    false_positives: &["a very popular service that is down", "a sensor that sees the clients' half only"],
    techniques: &["T1498.001", "T1499.001"],
    parameters: &[
        Parameter {
            name: "rate",
            unit: "SYN/s",
            default: 20.0,
            classic: 20.0,
            doc: "SYNs without completed handshake per second over 60 s; a 1,024-entry listen queue is full at 17/s",
        },
        Parameter {
            name: "min_syn",
            unit: "packets",
            default: 1_000.0,
            classic: 1_000.0,
            doc: "such SYNs in the window",
        },
        Parameter {
            name: "min_incomplete_share",
            unit: "ratio",
            default: 0.5,
            classic: 0.0,
            doc: "their share of all SYNs at the service: a busy service completes most",
        },
        Parameter {
            name: "high_rate",
            unit: "SYN/s",
            default: 200.0,
            classic: 200.0,
            doc: "rate from which severity is high",
        },
        Parameter {
            name: "critical_rate",
            unit: "SYN/s",
            default: 20_000.0,
            classic: 20_000.0,
            doc: "rate from which severity is critical",
        },
    ],
};

impl Detector for SynFlood {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn judge_site(&self, view: &SiteView<'_>, rules: &Rules, verdicts: &mut Verdicts) {
        for key in view.newest.responders.keys() {
            let Some(totals) = view.merged.responders.get(key) else { continue };
            let incomplete = totals.syn.saturating_sub(totals.completed);
            let rate = incomplete as f64 / WINDOW_SECONDS;
            let share = incomplete as f64 / totals.syn.max(1) as f64;
            let enough = incomplete >= rules.count(MIN_SYN) && rate >= rules.get(RATE);
            if !enough || share < rules.get(MIN_INCOMPLETE_SHARE) {
                verdicts.quiet();
                continue;
            }
            verdicts.fire(judgement(key, totals, rate, share, view, rules));
        }
    }
}

fn judgement(
    (target, port): &(Host, u16),
    totals: &ResponderTotals,
    rate: f64,
    share: f64,
    view: &SiteView<'_>,
    rules: &Rules,
) -> Judgement {
    let severity = match rate {
        rate if rate >= rules.get(CRITICAL_RATE) => Severity::Critical,
        rate if rate >= rules.get(HIGH_RATE) => Severity::High,
        _ => Severity::Medium,
    };
    let sources = totals.sources.count().min(totals.syn) as f64;
    let threshold = rules.get(RATE).max(rules.get(MIN_SYN) / WINDOW_SECONDS);
    Judgement {
        scope: ScopeKind::Target,
        source: None,
        target: Some(target.clone()),
        target_port: Some(*port),
        site: None,
        discriminator: port.to_string(),
        variant: if sources >= 0.5 * totals.syn as f64 { "many_sources".to_owned() } else { "few_sources".to_owned() },
        severity,
        score: score_of(rate / threshold),
        confidence: if totals.seen_by.reverse != 0 || totals.half_open + totals.refused > 0 { 0.95 } else { 0.85 },
        metric: "incomplete_syn_rate".to_owned(),
        unit: "SYN/s".to_owned(),
        observed: rate,
        threshold,
        normal: None,
        counterfactual: threshold,
        contributions: vec![
            contribution("incomplete_syn_rate", rate, "SYN/s", Some(threshold)),
            contribution("syn", totals.syn as f64, "packets", Some(rules.get(MIN_SYN))),
            contribution("completed", totals.completed as f64, "handshakes", None),
            contribution("half_open", totals.half_open as f64, "handshakes", None),
            contribution("incomplete_share", share, "ratio", Some(rules.get(MIN_INCOMPLETE_SHARE))),
            contribution("distinct_sources", sources, "hosts", None),
        ],
        reason: "syn_flood".to_owned(),
        flows: totals.evidence.flows().to_vec(),
        n_flows: totals.attempts,
        sensors: (view.sensors)(totals.seen_by),
        window: view.window,
        step_panes: view.level.step_panes(),
        first_offset: view.merged.first_offset,
        complete: view.merged.complete,
        degraded: view.merged.degraded.iter().cloned().collect(),
    }
}
