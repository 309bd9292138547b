//! `traffic_spike`: a site, or what one host receives, far above its own normal.
//!
//! Rule: bytes per second over 60 s > level + `medium_spreads` · spread (medium) or `high_spreads` · spread (high), and ≥
//! `medium_ratio` (`high_ratio`) times the level, and ≥ `floor`. The level and spread are learnt from panes with traffic; no
//! verdict before `warm_up` of them.
//! `classic`: level + 2 · spread, level + 3 · spread.
//! Defaults: traffic is heavy-tailed, so μ + 3σ alone fires several times a day on healthy links; a multiple of the level and
//! an absolute floor of 1 Mbit/s keep backups of small hosts silent.
//! Evidence: IP bytes. Known false positives: a first backup, a first large download of the day.
//! ATT&CK: T1498 Network Denial of Service, T1030 where the receiver is outside.

use weir_schemas::{Host, ScopeKind, Severity, Text};

use super::{Detector, Entry, Level, SiteView, Stage};
use crate::baseline::BaselineKey;
use crate::judgement::{Judgement, Normal, Verdicts, contribution, score_of};
use crate::profile::{Parameter, Rules};
use crate::summary::SeenBy;

pub(super) struct TrafficSpike;

const FLOOR: usize = 0;
const WARM_UP: usize = 1;
const MEDIUM_SPREADS: usize = 2;
const HIGH_SPREADS: usize = 3;
const MEDIUM_RATIO: usize = 4;
const HIGH_RATIO: usize = 5;

const WINDOW_SECONDS: f64 = 60.0;

static ENTRY: Entry = Entry {
    id: "traffic_spike",
    rule_version: 1,
    stage: Stage::Site,
    scopes: &[ScopeKind::Site, ScopeKind::Target],
    finds: "a site, or what one host receives, far above its own normal",
    formula: "bytes/s over 60 s > level + spreads x spread, and >= ratio x level, and >= floor; level and spread from panes with traffic",
    windows: &[Level::Minute],
    evidence: "IP bytes, and 30 min of panes with traffic to learn from",
    discriminator: "empty",
    false_positives: &["a first backup or a first large download"],
    techniques: &["T1498"],
    parameters: &[
        Parameter {
            name: "floor",
            unit: "bit/s",
            default: 1_000_000.0,
            classic: 1_000_000.0,
            doc: "below this nothing is a spike",
        },
        Parameter {
            name: "warm_up",
            unit: "s",
            default: 1_800.0,
            classic: 1_800.0,
            doc: "panes with traffic, as time, before the first verdict",
        },
        Parameter {
            name: "medium_spreads",
            unit: "spreads",
            default: 4.0,
            classic: 2.0,
            doc: "spreads above the level for medium",
        },
        Parameter {
            name: "high_spreads",
            unit: "spreads",
            default: 8.0,
            classic: 3.0,
            doc: "spreads above the level for high",
        },
        Parameter {
            name: "medium_ratio",
            unit: "ratio",
            default: 3.0,
            classic: 1.0,
            doc: "multiple of the level for medium",
        },
        Parameter {
            name: "high_ratio",
            unit: "ratio",
            default: 10.0,
            classic: 1.0,
            doc: "multiple of the level for high",
        },
    ],
};

impl Detector for TrafficSpike {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn judge_site(&self, view: &SiteView<'_>, rules: &Rules, verdicts: &mut Verdicts) {
        for site in view.newest.sites.keys() {
            let Some(totals) = view.merged.sites.get(site) else { continue };
            let subject = Subject::Site(site);
            judge(&subject, totals.bytes, totals.seen_by, view, rules, verdicts);
        }
        for host in view.newest.receivers.keys() {
            let Some(totals) = view.merged.receivers.get(host) else { continue };
            judge(&Subject::Target(host), totals.bytes, totals.seen_by, view, rules, verdicts);
        }
    }
}

enum Subject<'a> {
    Site(&'a Text),
    Target(&'a Host),
}

fn judge(
    subject: &Subject<'_>,
    bytes: u64,
    seen_by: SeenBy,
    view: &SiteView<'_>,
    rules: &Rules,
    verdicts: &mut Verdicts,
) {
    let rate = bytes as f64 / WINDOW_SECONDS;
    if rate * 8.0 < rules.get(FLOOR) {
        verdicts.quiet();
        return;
    }
    let key = match subject {
        Subject::Site(site) => BaselineKey::site(site),
        Subject::Target(host) => BaselineKey::target(host),
    };
    let normal = view.baselines.normal(&key);
    let learnt_seconds = normal.map_or(0.0, |normal| normal.n as f64 * key.seconds_per_sample());
    let Some(normal) = normal.filter(|_| learnt_seconds >= rules.get(WARM_UP)) else {
        verdicts.cannot_judge("traffic rates whose baseline is still warming up", 1);
        return;
    };
    let exceeds = |spreads: usize, ratio: usize| {
        rate > normal.mean + rules.get(spreads) * normal.spread && rate >= rules.get(ratio) * normal.mean
    };
    let is_high = exceeds(HIGH_SPREADS, HIGH_RATIO);
    if !is_high && !exceeds(MEDIUM_SPREADS, MEDIUM_RATIO) {
        verdicts.quiet();
        return;
    }
    let (spreads, ratio) = if is_high { (HIGH_SPREADS, HIGH_RATIO) } else { (MEDIUM_SPREADS, MEDIUM_RATIO) };
    let threshold_of = |spreads: usize, ratio: usize| {
        (normal.mean + rules.get(spreads) * normal.spread)
            .max(rules.get(ratio) * normal.mean)
            .max(rules.get(FLOOR) / 8.0)
    };
    let threshold = threshold_of(spreads, ratio);
    let silent_below = threshold_of(MEDIUM_SPREADS, MEDIUM_RATIO);
    let severity = if is_high { Severity::High } else { Severity::Medium };
    verdicts.fire(judgement(subject, rate, threshold, silent_below, normal, severity, seen_by, view, rules));
}

#[expect(clippy::too_many_arguments, reason = "the numbers of one verdict, used once")]
fn judgement(
    subject: &Subject<'_>,
    rate: f64,
    threshold: f64,
    silent_below: f64,
    normal: Normal,
    severity: Severity,
    seen_by: SeenBy,
    view: &SiteView<'_>,
    rules: &Rules,
) -> Judgement {
    let (scope, target, site) = match subject {
        Subject::Site(site) => (ScopeKind::Site, None, Some((*site).clone())),
        Subject::Target(host) => (ScopeKind::Target, Some((*host).clone()), None),
    };
    Judgement {
        scope,
        source: None,
        target,
        target_port: None,
        site,
        discriminator: String::new(),
        variant: String::new(),
        severity,
        score: score_of(rate / threshold),
        confidence: (normal.n as f64 / (normal.n as f64 + 60.0)).clamp(0.3, 0.9),
        metric: "byte_rate".to_owned(),
        unit: "bytes/s".to_owned(),
        observed: rate,
        threshold,
        normal: Some(normal),
        counterfactual: silent_below,
        contributions: vec![
            contribution("byte_rate", rate, "bytes/s", Some(threshold)),
            contribution("level", normal.mean, "bytes/s", None),
            contribution("spread", normal.spread, "bytes/s", None),
            contribution("floor", rules.get(FLOOR) / 8.0, "bytes/s", None),
        ],
        reason: "traffic_spike".to_owned(),
        flows: Vec::new(),
        n_flows: 0,
        sensors: (view.sensors)(seen_by),
        window: view.window,
        step_panes: view.level.step_panes(),
        first_offset: view.merged.first_offset,
        complete: view.merged.complete,
        degraded: view.merged.degraded.iter().cloned().collect(),
    }
}
