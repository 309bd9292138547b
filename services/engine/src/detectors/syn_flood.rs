//! `syn_flood`: a service is asked for more connections than ever come about.
//!
//! Rule: per responder and service port, SYN packets − completed handshakes per second ≥ `rate` over 60 s (and ≥ `min_syn` in
//! number), or ≥ `burst_rate` over the newest 10 s; and at least `min_incomplete_share` of the SYNs. A burst of retries (between
//! 1.5 and `retries` SYNs per attempt: clients of a service that is down) must be seen over 60 s. Severity: `high_rate`,
//! `critical_rate`. The number of sources is evidence, never a condition: a flood may be spoofed, or come from one host.
//! Defaults: 20/s over a minute is more than a dead but popular service draws by retries of some hundred clients; a
//! 1,024-entry listen queue with a 60 s timeout is full at 17/s (tcp(7), `tcp_max_syn_backlog`). A client sends its SYN at 0, 1,
//! 3 and 7 s (RFC 6298 §2 doubles from 1 s): four in a pane.
//! Evidence: SYNs seen, with their outcomes.
//! Known false positives: a very popular service that is down; a sensor that sees clients only.
//! ATT&CK: T1498.001 Direct Network Flood, T1499.001 OS Exhaustion Flood.

use weir_schemas::finding::Window;
use weir_schemas::{Host, ScopeKind, Severity};

use super::{Detector, Entry, Level, SiteView, Stage};
use crate::judgement::{Judgement, Verdicts, contribution, score_of};
use crate::profile::{Parameter, Rules};
use crate::site_summary::ResponderTotals;
use crate::summary::window_of;

pub(super) struct SynFlood;

const RATE: usize = 0;
const MIN_SYN: usize = 1;
const MIN_INCOMPLETE_SHARE: usize = 2;
const HIGH_RATE: usize = 3;
const CRITICAL_RATE: usize = 4;
const BURST_RATE: usize = 5;
const RETRIES: usize = 6;

const WINDOW_SECONDS: f64 = 60.0;
const PANE_SECONDS: f64 = 10.0;

static ENTRY: Entry = Entry {
    id: "syn_flood",
    rule_version: 1,
    stage: Stage::Site,
    scopes: &[ScopeKind::Target],
    finds: "a service is asked for more connections than ever come about",
    formula: "(SYN packets - completed handshakes) per second at one service >= rate over 60 s with >= min_syn such SYNs, or >= burst_rate over 10 s unless they look like retries; and >= min_incomplete_share of all its SYNs",
    windows: &[Level::Pane, Level::Minute],
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
        Parameter {
            name: "burst_rate",
            unit: "SYN/s",
            default: 50.0,
            classic: 50.0,
            doc: "SYNs without completed handshake per second over 10 s: a flood need not last a minute",
        },
        Parameter {
            name: "retries",
            unit: "SYN/attempt",
            default: 6.0,
            classic: 6.0,
            doc: "with 1.5 to this many SYNs per attempt a burst may be clients of a dead service: it must be seen over 60 s",
        },
    ],
};

impl Detector for SynFlood {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn judge_site(&self, view: &SiteView<'_>, rules: &Rules, verdicts: &mut Verdicts) {
        for key in view.newest.responders.keys() {
            let Some(window) = view.merged.responders.get(key) else { continue };
            let Some(pane) = view.newest.responders.get(key) else { continue };
            let speaks = [over_window(window, view, rules), over_pane(pane, view, rules)].into_iter().flatten();
            let Some(excess) = speaks.max_by(|left, right| left.ratio().total_cmp(&right.ratio())) else {
                verdicts.quiet();
                continue;
            };
            verdicts.fire(judgement(key, &excess, view, rules));
        }
    }
}

/// A rate over its threshold.
struct Excess<'a> {
    totals: &'a ResponderTotals,
    rate: f64,
    threshold: f64,
    window: Window,
}

impl Excess<'_> {
    fn ratio(&self) -> f64 {
        self.rate / self.threshold
    }
}

fn incomplete(totals: &ResponderTotals) -> u64 {
    totals.syn.saturating_sub(totals.completed)
}

fn incomplete_share(totals: &ResponderTotals) -> f64 {
    incomplete(totals) as f64 / totals.syn.max(1) as f64
}

fn over_window<'a>(totals: &'a ResponderTotals, view: &SiteView<'_>, rules: &Rules) -> Option<Excess<'a>> {
    let rate = incomplete(totals) as f64 / WINDOW_SECONDS;
    let threshold = rules.get(RATE).max(rules.get(MIN_SYN) / WINDOW_SECONDS);
    let is_flood = rate >= threshold && incomplete_share(totals) >= rules.get(MIN_INCOMPLETE_SHARE);
    is_flood.then_some(Excess { totals, rate, threshold, window: view.window })
}

fn over_pane<'a>(totals: &'a ResponderTotals, view: &SiteView<'_>, rules: &Rules) -> Option<Excess<'a>> {
    const RETRIES_FROM: f64 = 1.5;
    let rate = incomplete(totals) as f64 / PANE_SECONDS;
    let threshold = rules.get(BURST_RATE);
    let per_attempt = totals.syn as f64 / totals.attempts.max(1) as f64;
    let looks_like_retries = (RETRIES_FROM..=rules.get(RETRIES)).contains(&per_attempt);
    let is_flood =
        rate >= threshold && !looks_like_retries && incomplete_share(totals) >= rules.get(MIN_INCOMPLETE_SHARE);
    is_flood.then_some(Excess { totals, rate, threshold, window: window_of(view.pane, 1) })
}

fn judgement((target, port): &(Host, u16), excess: &Excess<'_>, view: &SiteView<'_>, rules: &Rules) -> Judgement {
    let Excess { totals, rate, threshold, window } = *excess;
    let share = incomplete_share(totals);
    let severity = match rate {
        rate if rate >= rules.get(CRITICAL_RATE) => Severity::Critical,
        rate if rate >= rules.get(HIGH_RATE) => Severity::High,
        _ => Severity::Medium,
    };
    let sources = totals.sources.count().min(totals.syn) as f64;
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
            contribution("syn", totals.syn as f64, "packets", None),
            contribution("completed", totals.completed as f64, "handshakes", None),
            contribution("half_open", totals.half_open as f64, "handshakes", None),
            contribution("incomplete_share", share, "ratio", Some(rules.get(MIN_INCOMPLETE_SHARE))),
            contribution("distinct_sources", sources, "hosts", None),
        ],
        reason: "syn_flood".to_owned(),
        flows: totals.evidence.flows().to_vec(),
        n_flows: totals.attempts,
        sensors: (view.sensors)(totals.seen_by),
        window,
        step_panes: view.level.step_panes(),
        first_offset: view.merged.first_offset,
        complete: view.merged.complete,
        degraded: view.merged.degraded.iter().cloned().collect(),
    }
}
